//! What is installed on a host.

/// All packages of a host that dpkg knows and that are not merely remembered, sorted by name, then architecture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The packages.
    pub packages: Vec<InstalledPackage>,
}

/// One package as the host's dpkg status has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Binary package name.
    pub name: Box<str>,
    /// Architecture as dpkg says it, `all` included.
    pub architecture: Box<str>,
    /// Installed version.
    pub version: Box<str>,
    /// Source package; the binary's own name where the status names none.
    pub source: Box<str>,
    /// Source version; the binary's own version where the status names none.
    pub source_version: Box<str>,
    /// What the administrator wants of it (first word of `Status`).
    pub selection: Selection,
    /// How far dpkg got with it (third word of `Status`).
    pub state: PackageState,
    /// Whether dpkg demands a re-installation (second word of `Status` is `reinstreq`).
    pub reinstall_required: ReinstallRequired,
    /// What tells two builds of one version apart.
    pub fingerprint: BuildFingerprint,
}

/// dpkg's selection of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Not decided.
    Unknown,
    /// To be installed and kept current.
    Install,
    /// On hold: the administrator wants no other version.
    Hold,
    /// To be removed.
    Deinstall,
    /// To be removed with its configuration.
    Purge,
}

/// dpkg's state of a package that has a version on the host (dpkg(1), PACKAGE STATES). `not-installed` and
/// `config-files` are no inventory: apt does not count them as installed either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackageState {
    /// Unpacked and configured.
    Installed,
    /// Unpacking was started and not completed.
    HalfInstalled,
    /// Unpacked, not configured.
    Unpacked,
    /// Configuring was started and not completed.
    HalfConfigured,
    /// Waits for another package's trigger.
    TriggersAwaited,
    /// Its own trigger has not run yet.
    TriggersPending,
}

/// Whether dpkg marked the package as broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReinstallRequired {
    /// dpkg wants it unpacked again.
    Yes,
    /// In order.
    No,
}

/// What apt compares, besides the version string, to decide whether two packages are the same build: a hash over
/// size and relations, the Multi-Arch field and, where known, the size of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildFingerprint {
    /// apt's `VersionHash` over Installed-Size, Depends, Pre-Depends, Conflicts, Breaks and Replaces, low 32 bits.
    pub relations: u32,
    /// The Multi-Arch field: 0 none or `no`, 1 `same`, 2 `foreign`, 3 `allowed`.
    pub multi_arch: u8,
    /// Size of the .deb in bytes; 0 where unknown, as in dpkg's status.
    pub size_bytes: u64,
}

impl BuildFingerprint {
    /// Whether apt takes the two for one build of one version (`debListParser::SameVersion`).
    pub fn is_same_build(self, other: Self) -> bool {
        self.relations == other.relations
            && self.multi_arch == other.multi_arch
            && (self.size_bytes == 0 || other.size_bytes == 0 || self.size_bytes == other.size_bytes)
    }
}
