//! The store: a folder of this computer that holds files under their SHA-256, forms derived from them beside them, and
//! small named state files. A file gets its name only when it is complete, verified and flushed.
//!
//! Layout: `files/ab/<digest>`, derived forms `files/ab/<digest>.<kind>`, `state/<name>`, `locks/<name>`,
//! `partial/<digest>` (downloads that can be resumed) and `temp/` (emptied when nobody else has the store open).

mod insert;
mod lock;
mod partial;
mod state;
mod sweep;

pub use insert::{Expected, InsertError};
pub use lock::Lock;
pub use partial::Partial;
pub use sweep::{Gone, Kind, Sweep, Swept, Usage};

use crate::disk::{Disk, LocalDisk};
use crate::mapped::Mapped;
use domain::digest::Sha256Digest;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A content store, open. Cheap to clone; usable from many threads and, at the same time, many processes.
#[derive(Clone, Debug)]
pub struct Store {
    folder: Arc<PathBuf>,
    disk: Arc<dyn Disk>,
    /// A shared lock held while the store is open: who gets it exclusively may empty `temp/`.
    _in_use: Arc<File>,
}

/// Why the store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder could not be made or opened.
    #[error("open the content store {}", folder.display())]
    Open {
        /// The store's folder.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// Somebody else could change files under their digest.
    #[error(
        "the content store {} can be changed by others (owner {owner}, mode {mode:o}): \
         use a folder of your own, or `chmod 700` it", folder.display()
    )]
    NotOursAlone {
        /// The store's folder.
        folder: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Its permission bits.
        mode: u32,
    },
    /// A file of the store could not be read.
    #[error("read {} of the content store", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file of the store could not be written.
    #[error("write {} of the content store", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A state file is longer than its reader allows.
    #[error("{} of the content store is longer than {limit_bytes} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// A name for a state file, lock or derived form that could leave its folder.
    #[error(
        "{name:?} is no name for a file of the content store: 1 to 200 of a-z A-Z 0-9 . _ -, no dot first"
    )]
    BadName {
        /// The name.
        name: String,
    },
}

impl Store {
    /// Opens the store in this folder and makes it, with its parents, for the owner only (mode 0700) where it is
    /// missing. A folder that belongs to somebody else, or that others may write to, is refused: a mapped file must
    /// not change.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_on(folder, Arc::new(LocalDisk))
    }

    /// The same on another disk.
    pub fn open_on(folder: &Path, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let failed = |cause| StoreError::Open {
            folder: folder.to_owned(),
            cause,
        };
        if !folder.is_dir() {
            disk.make_folder(folder).map_err(failed)?;
        }
        let facts = fs::metadata(folder).map_err(failed)?;
        let ours = facts.uid() == rustix::process::geteuid().as_raw();
        if !ours || facts.mode() & 0o022 != 0 {
            let (owner, mode) = (facts.uid(), facts.mode() & 0o7777);
            return Err(StoreError::NotOursAlone {
                folder: folder.to_owned(),
                owner,
                mode,
            });
        }
        for part in ["files", "state", "locks", "partial", "temp"] {
            let part = folder.join(part);
            if !part.is_dir() {
                disk.make_folder(&part).map_err(failed)?;
            }
        }
        let in_use = lock::open_lock_file(&folder.join("in-use")).map_err(failed)?;
        let store = Self {
            folder: Arc::new(folder.to_owned()),
            disk,
            _in_use: Arc::new(in_use),
        };
        store.tidy_and_share().map_err(failed)?;
        Ok(store)
    }

    /// The folder that it lives in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a file with this digest is here.
    pub fn contains(&self, digest: &Sha256Digest) -> bool {
        self.file_path(digest).is_file()
    }

    /// Where the file with this digest lies, for programs that are handed it by name; `None` where it is not here.
    pub fn path(&self, digest: &Sha256Digest) -> Option<PathBuf> {
        Some(self.file_path(digest)).filter(|path| path.is_file())
    }

    /// The file with this digest, mapped; `None` where it is not here.
    pub fn map(&self, digest: &Sha256Digest) -> Result<Option<Mapped>, StoreError> {
        map_path(self.file_path(digest))
    }

    /// The form called `kind` that was derived from the file with this digest (which need not be here itself).
    pub fn map_derived(&self, kind: &str, of: &Sha256Digest) -> Result<Option<Mapped>, StoreError> {
        map_path(self.derived_path(kind, of)?)
    }

    /// Whether the form called `kind` is here.
    pub fn contains_derived(&self, kind: &str, of: &Sha256Digest) -> bool {
        self.derived_path(kind, of).is_ok_and(|path| path.is_file())
    }

    fn file_path(&self, digest: &Sha256Digest) -> PathBuf {
        let hex = digest.to_string();
        self.folder.join("files").join(&hex[..2]).join(hex)
    }

    fn derived_path(&self, kind: &str, of: &Sha256Digest) -> Result<PathBuf, StoreError> {
        check_name(kind)?;
        let mut path = self.file_path(of).into_os_string();
        path.push(".");
        path.push(kind);
        Ok(path.into())
    }

    /// Empties `temp/` if nobody else has the store open, then shares it. What lies there was left by a process that
    /// was killed.
    fn tidy_and_share(&self) -> io::Result<()> {
        use rustix::fs::{FlockOperation, flock};
        if flock(&*self._in_use, FlockOperation::NonBlockingLockExclusive).is_ok() {
            for entry in fs::read_dir(self.folder.join("temp"))? {
                self.disk.remove(&entry?.path())?;
            }
        }
        Ok(flock(&*self._in_use, FlockOperation::LockShared)?)
    }
}

/// Refuses names that could leave the folder.
fn check_name(name: &str) -> Result<(), StoreError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=200).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain) {
        return Ok(());
    }
    Err(StoreError::BadName {
        name: name.chars().take(200).collect(),
    })
}

fn map_path(path: PathBuf) -> Result<Option<Mapped>, StoreError> {
    match open_to_read(&path).and_then(|file| file.map(|file| Mapped::of(&file)).transpose()) {
        Ok(mapped) => Ok(mapped),
        Err(cause) => Err(StoreError::Read { path, cause }),
    }
}

/// Opens a regular file; `None` where there is none.
fn open_to_read(path: &Path) -> io::Result<Option<File>> {
    let no_symlink = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    let file = match OpenOptions::new().read(true).custom_flags(no_symlink).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    match file.metadata()?.is_file() {
        true => Ok(Some(file)),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "not a regular file")),
    }
}
