//! What of a host changes by itself, and therefore travels apart from its facts.

/// One look at a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// The kernel's id of this boot; absent for a file tree.
    pub boot_id: Option<String>,
    /// Time since the boot in microseconds, suspension included (`CLOCK_BOOTTIME`).
    pub boot_clock_micros: i64,
    /// The host's own clock in microseconds since 1970, UTC.
    pub clock_micros: i64,
    /// Whether something keeps that clock right.
    pub clock: ClockKeeping,
    /// File systems that matter to updates, by path.
    pub disks: Vec<Disk>,
    /// Runnable processes over the last minute, in thousandths.
    pub load_milli: Option<u32>,
}

/// The room on a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The first of the paths that matter that lies on it: `/`, `/boot`, `/var`, `/var/cache/apt` ...
    pub path: String,
    /// Its size in bytes.
    pub total_bytes: u64,
    /// What a user other than root may still fill, in bytes (df(1) `Available`).
    pub available_bytes: u64,
    /// Files that may still be made; absent on file systems without a limit.
    pub available_files: Option<u64>,
}

/// Who keeps the clock right, as the state files of time services tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClockKeeping {
    /// A service has set it.
    Synchronised {
        /// `systemd-timesyncd`, `chrony` or `ntpsec`.
        by: String,
        /// When it last said so, in microseconds since 1970, by the host's clock.
        at_micros: i64,
    },
    /// A service that keeps it runs but has not said so since the boot.
    NotYet {
        /// Its name.
        by: String,
    },
    /// A container's clock is its machine's.
    Machine,
    /// Nothing that we know keeps it, or it left no trace.
    #[default]
    Unknown,
}
