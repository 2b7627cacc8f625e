//! Who else updates a host.

/// Something on the host that updates it, or may, without Patchyard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Updater {
    /// Its name: `unattended-upgrades`, `puppet` ...
    pub name: String,
    /// What it does and when, in words: `security, daily 06:00-07:00`.
    pub does: String,
    /// What that means for Patchyard.
    pub effect: UpdaterEffect,
}

/// What an updater does to packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UpdaterEffect {
    /// Installs packages by itself.
    Installs,
    /// Installs none: lists, downloads or restarts only.
    InstallsNothing,
    /// A configuration tool that was seen to change packages, or is installed and may.
    Configures,
}
