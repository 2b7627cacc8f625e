//! Which server a command talks to: the one named on the command line, the one last logged in to, or the one of this
//! machine, whose data folder holds a token that only its owner can read.

use super::client::Target;
use crate::place::Variables;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use server::private_file::write_durably;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What `patchyard login` keeps, readable by its owner only.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Logins {
    /// The address that commands use where none is named.
    pub current: Option<String>,
    /// By address.
    pub servers: BTreeMap<String, Login>,
}

/// What is kept of one server.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Login {
    /// The certificate of its root authority, PEM.
    pub root_pem: String,
    /// The token.
    pub token: String,
}

/// The file of the logins, by the XDG Base Directory Specification.
///
/// # Errors
/// HOME is not set.
pub fn login_file(variables: &Variables<'_>) -> anyhow::Result<PathBuf> {
    let folder = variables
        .folder("XDG_CONFIG_HOME", ".config")
        .context("no folder for logins: HOME is not set")?;
    Ok(folder.join("patchyard").join("logins.json"))
}

impl Logins {
    /// What is kept; nothing where nobody logged in.
    ///
    /// # Errors
    /// The file cannot be read, or is not one of ours.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        match fs::read(file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is damaged: remove it and log in again", file.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
        }
    }

    /// Writes it anew, for the owner only, whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be made or written to.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let folder = file.parent().context("a login file has a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let text = serde_json::to_string_pretty(self)?;
        write_durably(file, text.as_bytes()).with_context(|| format!("write {}", file.display()))
    }
}

/// The server to talk to.
///
/// # Errors
/// There is none, or what is kept of it cannot be read.
pub fn target(server: Option<&str>, data: &Path, variables: &Variables<'_>) -> anyhow::Result<Target> {
    let logins = login_file(variables).and_then(|file| Logins::read(&file));
    if let Some(server) = server {
        let url = server.trim_end_matches('/');
        let logins = logins?;
        let Some(login) = logins.servers.get(url) else {
            bail!("not logged in to {url}: run `patchyard login {url}` first");
        };
        return Ok(login.target(url));
    }
    if let Some(local) = local(data)? {
        return Ok(local);
    }
    let logins = logins?;
    match logins
        .current
        .as_ref()
        .and_then(|url| Some((url, logins.servers.get(url)?)))
    {
        Some((url, login)) => Ok(login.target(url)),
        None => bail!(
            "no server: start one here with `patchyard up`, or log in to one with `patchyard login ADDRESS` \
             (looked in {})",
            data.display()
        ),
    }
}

impl Login {
    fn target(&self, url: &str) -> Target {
        Target {
            url: url.to_owned(),
            root_pem: self.root_pem.clone(),
            token: self.token.clone(),
        }
    }
}

/// The server of this machine, where its data folder can be read.
fn local(data: &Path) -> anyhow::Result<Option<Target>> {
    let read = |name: &str| -> anyhow::Result<Option<String>> {
        let path = data.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error)
                .with_context(|| format!("read {}: are you the one who started the server?", path.display())),
        }
    };
    let (Some(token), Some(url), Some(root_pem)) =
        (read("local-token")?, read("local-address")?, read("root.pem")?)
    else {
        return Ok(None);
    };
    Ok(Some(Target { url, root_pem, token }))
}
