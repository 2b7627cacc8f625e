//! The data directory: private to the server's user, and open in one server at a time.

use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// An open data directory. The lock is held as long as it lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// It could not be made or opened.
    #[error("open the data directory {}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Others may look into it or change it.
    #[error(
        "the data directory {} is open to others (owner {owner}, mode {mode:o}): `chmod 700` it, or use one of your own",
        path.display()
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// Another server has it open.
    #[error("another server has the data directory {} open: stop that one, or use another directory", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
}

impl DataDir {
    /// Opens the directory; makes it, with its parents, for its owner only (mode 0700) where it is missing.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |cause| DataDirError::Open {
            path: path.to_owned(),
            cause,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        let facts = std::fs::metadata(path).map_err(failed)?;
        if facts.uid() != rustix::process::geteuid().as_raw() || facts.mode() & 0o077 != 0 {
            return Err(DataDirError::Exposed {
                path: path.to_owned(),
                owner: facts.uid(),
                mode: facts.mode() & 0o7777,
            });
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DataDirError::InUse {
                path: path.to_owned(),
            }),
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_server_has_a_data_directory_and_nobody_else_looks_into_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("deep/data");
        let first = DataDir::open(&path).expect("it is made");
        let mode = std::fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse { .. })));
        drop(first);
        DataDir::open(&path).expect("the lock goes with who held it");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o750)).expect("chmod");
        assert!(matches!(
            DataDir::open(&path),
            Err(DataDirError::Exposed { mode: 0o750, .. })
        ));
    }
}
