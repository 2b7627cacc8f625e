//! Room on the disk that content lies on: syncs rest before it is full, so that check-ins go on.

use std::io;
use std::path::PathBuf;

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Its size in bytes.
    pub total_bytes: u64,
    /// What may still be filled, in bytes.
    pub free_bytes: u64,
}

/// Where to ask for room. A port, so that a test can fill a disk.
pub trait Space: Send + Sync {
    /// The room now.
    fn room(&self) -> io::Result<Room>;
}

/// The file system of a folder (statvfs(3)).
#[derive(Clone, Debug)]
pub struct DiskOf(pub PathBuf);

impl Space for DiskOf {
    fn room(&self) -> io::Result<Room> {
        let facts = rustix::fs::statvfs(&self.0)?;
        Ok(Room {
            total_bytes: facts.f_blocks.saturating_mul(facts.f_frsize),
            free_bytes: facts.f_bavail.saturating_mul(facts.f_frsize),
        })
    }
}

/// Room that is always kept for what hosts report, in bytes.
pub const KEPT_FREE_BYTES: u64 = 1 << 30;

impl Room {
    /// Whether there is room for a sync: a gibibyte is free, and a twentieth of the disk if that is less.
    pub fn allows_syncs(self) -> bool {
        self.free_bytes >= KEPT_FREE_BYTES.min(self.total_bytes / 20)
    }
}
