//! Where the agent keeps what, under which user it talks to the network, and what `agent.toml` says. Nothing here reads the
//! environment; the shell hands values down.

pub mod log;

use crate::transport::ProxySettings;
use serde::Deserialize;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The agent's state, when root runs it.
pub const ROOT_STATE: &str = "/var/lib/patchyard-agent";
/// The settings, when root runs it.
pub const ROOT_SETTINGS: &str = "/etc/patchyard-agent/agent.toml";
/// The user under whom the network process runs.
pub const USER: &str = "patchyard-agent";
/// The user and group that stand in where there is no [`USER`]: nobody, as Linux has it.
pub const NOBODY: u32 = 65_534;
/// No settings file is longer, in bytes.
const LONGEST_SETTINGS: u64 = 64 << 10;
/// No file of users is longer, in bytes.
const LONGEST_PASSWD: u64 = 4 << 20;

/// The agent's folders and files. The executor (root) owns what the network process may only read, and the other way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Everything that the agent keeps.
    pub state: PathBuf,
    /// The settings file.
    pub settings: PathBuf,
}

impl Places {
    /// The key, the journal and their lock: the network process's own.
    pub fn identity(&self) -> PathBuf {
        self.state.join("identity")
    }

    /// What the executor read of the host: the executor's own.
    pub fn outbox(&self) -> PathBuf {
        self.state.join("outbox")
    }

    /// What the network process asks of the executor: the network process's own.
    pub fn asks(&self) -> PathBuf {
        self.state.join("asks")
    }

    /// What was fetched for orders, each file under its digest: the network process's own.
    pub fn files(&self) -> PathBuf {
        self.state.join("files")
    }

    /// Whom orders are believed from: the executor's own.
    pub fn trust(&self) -> PathBuf {
        self.state.join("trust")
    }

    /// The orders that were taken, and what is being done with them: the executor's own.
    pub fn work(&self) -> PathBuf {
        self.state.join("work")
    }

    /// What `status` shows of orders: the executor's own, for everybody to read.
    pub fn doing(&self) -> PathBuf {
        self.state.join("doing")
    }

    /// What `status` shows, without secrets: the network process's own.
    pub fn public(&self) -> PathBuf {
        self.state.join("public")
    }

    /// The local ceiling: the executor's own.
    pub fn mode(&self) -> PathBuf {
        self.state.join("mode")
    }

    /// The file whose lock the running service holds.
    pub fn running(&self) -> PathBuf {
        self.state.join("running")
    }
}

/// `agent.toml`. Unknown names are refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The proxy to the server, `http://[user:password@]host:port`; absent: what the environment says.
    pub proxy: Option<String>,
    /// Hosts that are reached without it.
    pub no_proxy: Vec<String>,
}

/// Settings that are not used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It is longer than settings are.
    #[error("the settings {} are longer than {LONGEST_SETTINGS} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is not TOML, or says something unknown.
    #[error("cannot understand the settings {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        cause: Box<toml::de::Error>,
    },
}

impl Settings {
    /// Reads a settings file; the defaults where there is none.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let failed = |cause| SettingsError::Read {
            path: path.to_owned(),
            cause,
        };
        let text = match read_bounded(path, LONGEST_SETTINGS) {
            Ok(Some(text)) => text,
            Ok(None) => {
                return Err(SettingsError::TooLong {
                    path: path.to_owned(),
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(error)),
        };
        let text = String::from_utf8(text).map_err(|error| failed(std::io::Error::other(error)))?;
        toml::from_str(&text).map_err(|cause| SettingsError::Malformed {
            path: path.to_owned(),
            cause: Box::new(cause),
        })
    }

    /// The proxies to use: the settings' own, or the environment's.
    pub fn proxies(&self, environment: ProxySettings) -> ProxySettings {
        if self.proxy.is_none() {
            return environment;
        }
        ProxySettings {
            proxy: self.proxy.clone(),
            direct: self.no_proxy.clone(),
        }
    }
}

/// A user and its main group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// The account for the network process when root starts it: [`USER`] as the file of users (passwd(5)) has it, else nobody.
/// An entry that would be root is not taken.
pub fn network_account(passwd: &Path) -> Account {
    let text = read_bounded(passwd, LONGEST_PASSWD)
        .ok()
        .flatten()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let entry = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_ours = fields.next() == Some(USER);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        (is_ours && uid != 0 && gid != 0).then_some(Account { uid, gid })
    });
    entry.unwrap_or(Account {
        uid: NOBODY,
        gid: NOBODY,
    })
}

/// A file's bytes; nothing if there are more than `limit`.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(limit + 1)
        .read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}
