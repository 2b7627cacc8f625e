//! Who is at work with dpkg. apt and dpkg lock files with fcntl(2), which ends with the process that holds it; the kernel says
//! which that is, without the file being locked by asking.

use rustix::fs::{Mode, OFlags};
use rustix::process::{Flock, FlockType, fcntl_getlk};
use std::path::Path;

/// The files that apt and dpkg lock before they change anything.
const LOCKS: [&str; 2] = ["/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock"];

/// A program that keeps dpkg busy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its name and number, such as `unattended-upgr (812)`; `another program` for one of another container.
    pub who: String,
}

/// The program that holds dpkg's lock; `None` if nobody does.
pub fn holder() -> Option<Holder> {
    LOCKS.iter().find_map(|path| holder_of(Path::new(path)))
}

fn holder_of(path: &Path) -> Option<Holder> {
    // One that does not exist or cannot be opened is apt's to make or to complain of, in its own words.
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let found = fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)).ok()??;
    let name = found.pid.and_then(|process| {
        let process = process.as_raw_nonzero();
        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
        let name = crate::shown::harmless(name.trim_end(), 64);
        Some(format!("{name} ({process})"))
    });
    Some(Holder {
        who: name.unwrap_or_else(|| "another program".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FlockOperation, fcntl_lock};

    #[test]
    fn a_file_that_nobody_locks_has_no_holder_and_asking_locks_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        assert_eq!(holder_of(&path), None, "there is no file");
        let file = std::fs::File::create(&path).expect("the folder is ours");
        assert_eq!(holder_of(&path), None);
        // Locks of one process never block itself: another one's is a test of the whole, with dpkg's own.
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive).expect("nobody holds it");
        assert_eq!(holder_of(&path), None);
    }
}
