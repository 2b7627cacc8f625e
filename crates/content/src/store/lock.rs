//! Locks between processes: one name, one holder. A lock is freed by the kernel when its holder ends, however it ends.

use super::{Store, StoreError, check_name};
use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A held lock. Dropping it frees it.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Store {
    /// Takes the lock of this name; `None` if somebody else holds it, in this process or another.
    pub fn try_lock(&self, name: &str) -> Result<Option<Lock>, StoreError> {
        check_name(name)?;
        let path = self.folder.join("locks").join(name);
        let taken = open_lock_file(&path).and_then(|file| match try_flock(&file)? {
            true => Ok(Some(Lock { _file: file })),
            false => Ok(None),
        });
        taken.map_err(|cause| StoreError::Write { path, cause })
    }
}

/// Whether the lock on this open file was taken.
pub(super) fn try_flock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn open_lock_file(path: &Path) -> io::Result<File> {
    let no_symlink = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let mut options = OpenOptions::new();
    options
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(no_symlink)
        .open(path)
}
