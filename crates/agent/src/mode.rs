//! The local ceiling: what this host allows at most, whatever a server orders. Root sets it on the host; no message can lift it.

use crate::service::{Places, read_bounded};
use rustix::fs::Mode as Permissions;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::str::FromStr;

/// What the agent may do at most, each including those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Report what is installed. Nothing else happens.
    #[default]
    Monitor,
    /// Also fetch packages ahead of time.
    Download,
    /// Also install them.
    Install,
    /// Also restart services and the host.
    Full,
}

/// All modes, lowest first.
pub const MODES: [Mode; 4] = [Mode::Monitor, Mode::Download, Mode::Install, Mode::Full];

/// A text that is no mode.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a mode is one of monitor, download, install, full")]
pub struct NotAMode;

impl Mode {
    /// The mode's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Download => "download",
            Self::Install => "install",
            Self::Full => "full",
        }
    }

    /// What it allows, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Monitor => "reports what is installed and changes nothing",
            Self::Download => "may fetch approved packages ahead of time",
            Self::Install => "may install approved packages, and restarts nothing",
            Self::Full => "may install approved packages and restart what they need",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Mode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        MODES.into_iter().find(|mode| mode.word() == text).ok_or(NotAMode)
    }
}

impl From<Mode> for protocol::message::check_in::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Monitor => Self::Monitor,
            Mode::Download => Self::Download,
            Mode::Install => Self::Install,
            Mode::Full => Self::Full,
        }
    }
}

/// A ceiling that could not be set.
#[derive(Debug, thiserror::Error)]
#[error("cannot set the mode in {}; only the user who runs the agent's executor may, usually root", path.display())]
pub struct SetModeError {
    path: std::path::PathBuf,
    #[source]
    cause: std::io::Error,
}

/// The ceiling of this host: [`Mode::Monitor`] until one was set, and whenever the file says nothing that is understood.
pub fn read(places: &Places) -> Mode {
    let text = read_bounded(&places.mode(), 64)
        .ok()
        .flatten()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.trim().parse().unwrap_or_default()
}

/// Sets the ceiling, whole or not at all.
pub fn set(places: &Places, mode: Mode) -> Result<(), SetModeError> {
    let path = places.mode();
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(&places.state)?;
        let next = path.with_extension("next");
        let mut file = File::create(&next)?;
        rustix::fs::fchmod(&file, Permissions::from_raw_mode(0o644))?;
        writeln!(file, "{mode}")?;
        file.sync_all()?;
        std::fs::rename(&next, &path)?;
        File::open(&places.state)?.sync_all()
    };
    write().map_err(|cause| SetModeError {
        path: path.clone(),
        cause,
    })
}
