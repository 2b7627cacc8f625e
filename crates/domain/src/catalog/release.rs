//! The facts of a Release file (Debian repository format, wiki.debian.org/DebianRepository/Format).

use jiff::Timestamp;

/// What a verified Release or InRelease says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseFacts {
    /// `Origin`.
    pub origin: Option<String>,
    /// `Label`.
    pub label: Option<String>,
    /// `Suite`, apt's "archive".
    pub suite: Option<String>,
    /// `Codename`.
    pub codename: Option<String>,
    /// `Version`.
    pub version: Option<String>,
    /// `Date`.
    pub date: Option<Timestamp>,
    /// `Valid-Until`.
    pub valid_until: Option<Timestamp>,
    /// `Components`.
    pub components: Vec<String>,
    /// `Architectures`.
    pub architectures: Vec<String>,
    /// `NotAutomatic` and `ButAutomaticUpgrades` together.
    pub automatic: Automatic,
    /// `Acquire-By-Hash`.
    pub acquire_by_hash: bool,
    /// `No-Support-for-Architecture-all: Packages`.
    pub no_support_for_all: bool,
}

/// How a host takes packages from a source without being told (apt_preferences(5), default priorities).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Automatic {
    /// Priority 500.
    #[default]
    Yes,
    /// `NotAutomatic: yes` alone, priority 1.
    No,
    /// `NotAutomatic` and `ButAutomaticUpgrades`, priority 100.
    UpgradesOnly,
}
