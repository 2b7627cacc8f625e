//! The way in: a temporary file in the store, hashed while it is written, flushed, then named by its digest.

use super::{Store, StoreError};
use crate::disk::Disk;
use crate::hash::Hasher;
use domain::digest::Sha256Digest;
use failpoint::{Point, reach};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is known of a file before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Its digest and size, from a signed list. Anything else is refused.
    Exactly {
        /// Its SHA-256.
        sha256: Sha256Digest,
        /// Its size.
        size_bytes: u64,
    },
    /// Only how long it may be.
    AtMost {
        /// The limit, inclusive.
        size_bytes: u64,
    },
}

impl Expected {
    /// The most bytes to take.
    pub fn limit_bytes(&self) -> u64 {
        match *self {
            Self::Exactly { size_bytes, .. } | Self::AtMost { size_bytes } => size_bytes,
        }
    }

    /// Whether what was read is what was expected.
    pub(super) fn check(&self, (digest, size_bytes): (Sha256Digest, u64)) -> Result<(), InsertError> {
        let Self::Exactly {
            sha256,
            size_bytes: whole,
        } = *self
        else {
            return Ok(());
        };
        if size_bytes < whole {
            return Err(InsertError::TooShort {
                expected_bytes: whole,
                got_bytes: size_bytes,
            });
        }
        if digest != sha256 {
            return Err(InsertError::WrongDigest {
                expected: sha256,
                got: digest,
            });
        }
        Ok(())
    }
}

/// Why a file did not get into the store. Nothing of it is left there.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// The reader failed.
    #[error("read the file to store")]
    Read(#[source] io::Error),
    /// More bytes than expected.
    #[error("the file is longer than the {limit_bytes} bytes that were expected")]
    TooLong {
        /// What was expected or allowed.
        limit_bytes: u64,
    },
    /// Fewer bytes than expected.
    #[error("the file ends after {got_bytes} of {expected_bytes} bytes")]
    TooShort {
        /// What was expected.
        expected_bytes: u64,
        /// What came.
        got_bytes: u64,
    },
    /// Other bytes than expected.
    #[error("the file is not the one expected: its SHA-256 is {got}, not {expected}")]
    WrongDigest {
        /// What was expected.
        expected: Sha256Digest,
        /// What came.
        got: Sha256Digest,
    },
    /// The disk is full, or failed.
    #[error("write to the content store")]
    Disk(#[source] io::Error),
    /// The store itself.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Stores what `reader` gives, if it is what is expected, and gives its digest and size. On any error nothing is
    /// left behind. A file that is here already, and whole, is not written again.
    pub fn insert(&self, reader: impl Read, expected: Expected) -> Result<(Sha256Digest, u64), InsertError> {
        if let Expected::Exactly { sha256, size_bytes } = expected
            && self.want(&sha256).map_err(InsertError::Disk)?
        {
            return Ok((sha256, size_bytes));
        }
        let mut temp = self.temp_file().map_err(InsertError::Disk)?;
        let hashed = copy(reader, &mut temp, expected.limit_bytes())?;
        expected.check(hashed)?;
        self.keep(temp, hashed.0).map_err(InsertError::Disk)?;
        Ok(hashed)
    }

    /// Stores a form of the file with the digest `of`, such as a compiled index, beside it and replaces an older one.
    /// The caller derived it from verified bytes; the store has no digest to check it by.
    pub fn insert_derived(&self, kind: &str, of: &Sha256Digest, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.derived_path(kind, of)?;
        let written = self.temp_file().and_then(|mut temp| {
            temp.write(bytes)?;
            self.make_shelf(&path)?;
            temp.give_name(&path)
        });
        written.map_err(|cause| StoreError::Write { path, cause })
    }

    /// Gives a complete file the name that its digest is; one that is there already stays.
    pub(super) fn keep(&self, temp: TempFile, digest: Sha256Digest) -> io::Result<()> {
        if self.want(&digest)? {
            return Ok(());
        }
        let path = self.file_path(&digest);
        self.make_shelf(&path)?;
        temp.give_name(&path)
    }

    /// The folder in which a file stands, there after a power cut too.
    fn make_shelf(&self, path: &Path) -> io::Result<()> {
        let shelf = path.parent().expect("a file of the store has a folder");
        if shelf.is_dir() {
            return Ok(());
        }
        self.disk.make_folder(shelf)?;
        reach(Point::ContentShelved);
        self.disk.sync_folder(&self.folder.join("files"))
    }

    /// A new file in `temp/`.
    pub(super) fn temp_file(&self) -> io::Result<TempFile> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = self.folder.join("temp").join(name);
        let file = self.disk.open_to_append(&path)?;
        let temp = TempFile {
            file,
            path,
            disk: Arc::clone(&self.disk),
            fate: Fate::Remove,
        };
        // A process of the same number may have been killed in another namespace and left a file of the same name.
        temp.disk.truncate(&temp.file)?;
        Ok(temp)
    }
}

/// Copies at most `limit_bytes` and hashes them; one byte more is an error.
fn copy(
    mut reader: impl Read,
    temp: &mut TempFile,
    limit_bytes: u64,
) -> Result<(Sha256Digest, u64), InsertError> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(InsertError::Read(error)),
        };
        if hasher.size_bytes() + count as u64 > limit_bytes {
            return Err(InsertError::TooLong { limit_bytes });
        }
        hasher.update(&buffer[..count]);
        temp.write(&buffer[..count]).map_err(InsertError::Disk)?;
    }
}

/// A file without its final name. Dropped before it gets one, it is removed, or left to be resumed.
#[derive(Debug)]
pub(super) struct TempFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) fate: Fate,
}

/// What becomes of an unfinished file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes.
    Remove,
    /// It stays under the name that it has.
    Stay,
}

impl TempFile {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(&mut self.file, bytes)
    }

    /// Flushes the file, gives it its name and flushes the folder.
    pub(super) fn give_name(mut self, name: &Path) -> io::Result<()> {
        reach(Point::ContentWritten);
        self.disk.sync(&self.file, &self.path)?;
        reach(Point::ContentFlushed);
        self.disk.rename(&self.path, name)?;
        reach(Point::ContentNamed);
        self.fate = Fate::Stay;
        self.disk
            .sync_folder(name.parent().expect("a file of the store has a folder"))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if self.fate == Fate::Remove {
            // Nothing to be done if it fails: `Store::open` empties the folder later.
            let _ = self.disk.remove(&self.path);
        }
    }
}
