//! The local mode of a host: the ceiling of what it lets a server do. Root sets it on the host; no message can lift it.

use std::fmt;
use std::str::FromStr;

/// What a host lets a server do at most, each including those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// A text that is no mode.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a mode is one of monitor, download, install, full")]
pub struct NotAMode;

impl Mode {
    /// All of them, lowest first.
    pub const ALL: [Self; 4] = [Self::Monitor, Self::Download, Self::Install, Self::Full];

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
        (Self::ALL.into_iter())
            .find(|mode| mode.word() == text)
            .ok_or(NotAMode)
    }
}
