//! What a server is told before it starts: the data directory, its `settings.toml`, and the values used where that says
//! nothing. Nothing here reads the environment; the shell hands values down.

use domain::id::SourceId;
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The name of the settings file in the data directory.
pub const FILE_NAME: &str = "settings.toml";
/// No settings file is longer, in bytes.
const LONGEST_FILE: u64 = 256 * 1024;

/// A server's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The data directory: everything that the server keeps.
    pub data: PathBuf,
    /// What `settings.toml` says, or the defaults.
    pub file: SettingsFile,
}

/// `settings.toml`. Unknown names are refused; a missing name has its default.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsFile {
    /// Where to listen. Default `127.0.0.1:8443`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names or addresses, each `host:port`, under which agents and people reach this server. Empty: the listening
    /// address.
    pub addresses: Vec<String>,
    /// A database other than `patchyard.db` in the data directory: `postgres://...`. A password is better kept in
    /// libpq's own files.
    pub database: Option<String>,
    /// A certificate of the operator's own for the listener, instead of one by Patchyard's authority.
    pub certificate: Option<GivenCertificate>,
    /// Seconds between two check-ins of an agent. 10 to 86,400; default 300.
    pub check_in_seconds: u32,
    /// The longest time that a check-in is held, in seconds. 0 to 55; default 55.
    pub hold_seconds: u32,
    /// Bounds on what connections may cost.
    pub limits: Limits,
    /// How long what is no longer in force is kept.
    pub retention: Retention,
    /// How much of what hosts miss is fetched before a change needs it, in MiB. 0 to 1,000,000; default 1,024.
    pub fetch_ahead_mib: u32,
    /// Who scans package files before hosts get them; nobody where it is absent.
    pub scan: Option<Scanning>,
}

/// Scanning of package files by clamd.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scanning {
    /// Where clamd listens: the absolute path of its socket, or `host:port`.
    pub clamd: String,
    /// The ids of sources whose files are served although clamd cannot be asked, or takes no files that large. What it finds
    /// bad is never served. None by default.
    #[serde(default)]
    pub serve_unscanned: Vec<String>,
}

impl Scanning {
    /// Whether files of this source are served unscanned where they cannot be scanned.
    pub fn serves_unscanned(&self, source: SourceId) -> bool {
        self.serve_unscanned.iter().any(|id| id.parse() == Ok(source))
    }
}

/// Days for which the past is kept, each 1 to 36,500. What is in force is kept however old it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// What hosts were missing, for questions about a moment of the past. Default 400.
    pub finding_days: u32,
    /// What hosts had, and what changed on them. Default 400.
    pub document_days: u32,
    /// Snapshots that newer ones took the place of, with their files. Default 30.
    pub snapshot_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            finding_days: 400,
            document_days: 400,
            snapshot_days: 30,
        }
    }
}

/// Files of a certificate that somebody else issued.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenCertificate {
    /// PEM: the certificate, then those that lead to its root.
    pub chain: PathBuf,
    /// PEM: its private key (PKCS#8, SEC 1 or PKCS#1).
    pub key: PathBuf,
}

/// Bounds on connections and on work in flight.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open connections in all; a new one beyond is closed at once. Default 24,000.
    pub connections: usize,
    /// Open connections of one address, loopback excepted. Default 24,000, because a whole site may stand behind one
    /// address; lower it where that is not so.
    pub connections_per_address: usize,
    /// TLS handshakes at work at the same time; further ones wait. Default 64.
    pub handshakes: usize,
    /// Requests at work at the same time; a request beyond them and [`Limits::queue`] is answered 503. Default 512.
    pub requests: usize,
    /// Requests that may wait for their turn. Default 4,096.
    pub queue: usize,
    /// Request bodies in memory at the same time, in bytes, all connections together. Default 128 MiB.
    pub body_bytes: usize,
}

impl Default for SettingsFile {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            addresses: Vec::new(),
            database: None,
            certificate: None,
            check_in_seconds: 300,
            hold_seconds: 55,
            limits: Limits::default(),
            retention: Retention::default(),
            fetch_ahead_mib: 1_024,
            scan: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 24_000,
            connections_per_address: 24_000,
            handshakes: 64,
            requests: 512,
            queue: 4_096,
            body_bytes: 128 << 20,
        }
    }
}

/// Why settings are not used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file could not be read.
    #[error("read the settings {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file is longer than any settings are.
    #[error("the settings {} are longer than {LONGEST_FILE} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// The file is not TOML, or says something unknown.
    #[error("understand the settings {}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        cause: Box<toml::de::Error>,
    },
    /// A value outside its range.
    #[error("{name} in the settings is {value}: it may be {range}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        range: &'static str,
    },
}

impl Settings {
    /// The defaults in this data directory, without looking into it.
    pub fn defaults_in(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            file: SettingsFile::default(),
        }
    }

    /// What the data directory's `settings.toml` says; the defaults where there is none.
    pub fn read(data: &Path) -> Result<Self, SettingsError> {
        let path = data.join(FILE_NAME);
        let text = match read_bounded(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::defaults_in(data));
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::FileTooLarge => {
                return Err(SettingsError::TooLong { path });
            }
            Err(cause) => return Err(SettingsError::Read { path, cause }),
        };
        let file: SettingsFile = toml::from_str(&text).map_err(|cause| SettingsError::Malformed {
            path,
            cause: Box::new(cause),
        })?;
        file.check()?;
        Ok(Self {
            data: data.to_owned(),
            file,
        })
    }
}

impl SettingsFile {
    /// Refuses values outside their range.
    pub fn check(&self) -> Result<(), SettingsError> {
        let refused = |name, value: String, range| Err(SettingsError::OutOfRange { name, value, range });
        if !(10..=86_400).contains(&self.check_in_seconds) {
            return refused(
                "check_in_seconds",
                self.check_in_seconds.to_string(),
                "10 to 86400",
            );
        }
        if self.hold_seconds > 55 {
            return refused("hold_seconds", self.hold_seconds.to_string(), "0 to 55");
        }
        if let Some(address) = self.addresses.iter().find(|address| !is_host_and_port(address)) {
            return refused(
                "addresses",
                format!("{address:?}"),
                "host:port, at most 255 bytes",
            );
        }
        if self.addresses.len() > 8 {
            return refused(
                "addresses",
                self.addresses.len().to_string(),
                "at most 8 addresses",
            );
        }
        let limits = &self.limits;
        for (name, value) in [
            ("limits.connections", limits.connections),
            ("limits.connections_per_address", limits.connections_per_address),
            ("limits.handshakes", limits.handshakes),
            ("limits.requests", limits.requests),
            ("limits.queue", limits.queue),
        ] {
            if !(1..=1_000_000).contains(&value) {
                return refused(name, value.to_string(), "1 to 1000000");
            }
        }
        let retention = &self.retention;
        for (name, value) in [
            ("retention.finding_days", retention.finding_days),
            ("retention.document_days", retention.document_days),
            ("retention.snapshot_days", retention.snapshot_days),
        ] {
            if !(1..=36_500).contains(&value) {
                return refused(name, value.to_string(), "1 to 36500");
            }
        }
        if self.fetch_ahead_mib > 1_000_000 {
            let value = self.fetch_ahead_mib.to_string();
            return refused("fetch_ahead_mib", value, "0 to 1000000");
        }
        if let Some(scan) = &self.scan {
            if !(scan.clamd.starts_with('/') || is_host_and_port(&scan.clamd)) {
                let value = format!("{:?}", scan.clamd);
                return refused("scan.clamd", value, "an absolute path or host:port");
            }
            if let Some(id) = (scan.serve_unscanned.iter()).find(|id| SourceId::parse(id).is_err()) {
                return refused("scan.serve_unscanned", format!("{id:?}"), "ids of sources");
            }
        }
        if limits.body_bytes < 16 << 20 || limits.body_bytes > 16 << 30 {
            let range = "16777216 (16 MiB) to 17179869184 (16 GiB)";
            return refused("limits.body_bytes", limits.body_bytes.to_string(), range);
        }
        Ok(())
    }
}

fn is_host_and_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    address.len() <= 255
        && !host.is_empty()
        && host.bytes().all(plain)
        && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn read_bounded(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(LONGEST_FILE + 1)
        .read_to_string(&mut text)?;
    match text.len() as u64 > LONGEST_FILE {
        true => Err(std::io::ErrorKind::FileTooLarge.into()),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Result<Settings, SettingsError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join(FILE_NAME), text).expect("write into it");
        Settings::read(folder.path())
    }

    #[test]
    fn without_a_file_the_server_listens_on_loopback_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = Settings::read(folder.path()).expect("defaults");
        assert!(settings.file.listen.ip().is_loopback());
        assert!(settings.file.check().is_ok());
    }

    #[test]
    fn an_unknown_name_or_a_value_out_of_range_stops_the_server() {
        assert!(matches!(
            written("lisen = '[::]:1'"),
            Err(SettingsError::Malformed { .. })
        ));
        for refused in [
            "check_in_seconds = 9",
            "check_in_seconds = 86401",
            "hold_seconds = 56",
            "addresses = ['patchyard.example']",
            "addresses = ['patchyard.example:0']",
            "addresses = [\"a b:1\"]",
            "[limits]\nqueue = 0",
            "[limits]\nbody_bytes = 1",
            "[retention]\nfinding_days = 0",
            "[retention]\nsnapshot_days = 36501",
            "fetch_ahead_mib = 1000001",
            "[scan]\nclamd = 'clamd.ctl'",
            "[scan]\nclamd = '/run/clamd'\nserve_unscanned = ['debian']",
        ] {
            assert!(
                matches!(written(refused), Err(SettingsError::OutOfRange { .. })),
                "{refused}"
            );
        }
        let good = "listen = '[::]:9443'\naddresses = ['patchyard.example:9443', '[2001:db8::1]:9443']\n\
                    check_in_seconds = 10\nhold_seconds = 0";
        assert_eq!(written(good).expect("good settings").file.hold_seconds, 0);
        assert!(matches!(
            written(&"#".repeat(300_000)),
            Err(SettingsError::TooLong { .. })
        ));
    }
}
