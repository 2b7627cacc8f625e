//! Whether a transaction is at work: a lock that it and apt hold, and that the kernel takes back when the last of them is gone.

use crate::packages::Trouble;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use std::path::Path;

const NAME: &str = "running";

/// The lock, for as long as it is held. Programs that are started while it is hold it too.
#[derive(Debug)]
pub(super) struct Running {
    _lock: OwnedFd,
}

/// Takes the lock, and waits for whoever has it: one transaction of an order at a time.
pub(super) fn take(folder: &Path) -> Result<Running, Trouble> {
    let failed = |errno: Errno| Trouble::io("take the lock of the transaction", &errno.into());
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = rustix::fs::open(folder.join(NAME), flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(failed)?;
    fcntl_setfd(&lock, FdFlags::empty()).map_err(failed)?;
    Ok(Running { _lock: lock })
}

/// Whether somebody has it.
pub(super) fn is_taken(folder: &Path) -> bool {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let Ok(lock) = rustix::fs::open(folder.join(NAME), flags, Mode::empty()) else {
        return false;
    };
    flock(&lock, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}
