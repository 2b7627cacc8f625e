//! Downloads that can be resumed: kept by the digest that they shall have, across a kill, until complete or wrong.

use super::insert::{Expected, Fate, InsertError, TempFile};
use super::lock::try_flock;
use super::{Store, StoreError};
use crate::hash::Hasher;
use domain::digest::Sha256Digest;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// A file that is being fetched. Dropped, what was written stays for the next try; [`Partial::finish`] stores it or,
/// if it is wrong, removes it.
#[derive(Debug)]
pub struct Partial {
    store: Store,
    temp: TempFile,
    hasher: Hasher,
    expected: Expected,
    sha256: Sha256Digest,
}

impl Store {
    /// Opens what was fetched so far of the file with this digest and size. `None` if somebody else is fetching it.
    pub fn partial(&self, sha256: Sha256Digest, size_bytes: u64) -> Result<Option<Partial>, StoreError> {
        let path = self.folder.join("partial").join(sha256.to_string());
        let opened = (|| {
            let file = self.disk.open_to_append(&path)?;
            if !try_flock(&file)? {
                return Ok(None);
            }
            let mut hasher = Hasher::new();
            hash_all(&file, &mut hasher)?;
            let temp = TempFile {
                file,
                path: path.clone(),
                disk: Arc::clone(&self.disk),
                fate: Fate::Stay,
            };
            let expected = Expected::Exactly { sha256, size_bytes };
            let mut partial = Partial {
                store: self.clone(),
                temp,
                hasher,
                expected,
                sha256,
            };
            if partial.size_bytes() > size_bytes {
                partial.restart()?;
            }
            Ok(Some(partial))
        })();
        opened.map_err(|cause| StoreError::Write { path, cause })
    }
}

impl Partial {
    /// Bytes fetched so far.
    pub fn size_bytes(&self) -> u64 {
        self.hasher.size_bytes()
    }

    /// Forgets what was fetched.
    pub fn restart(&mut self) -> io::Result<()> {
        self.temp.disk.truncate(&self.temp.file)?;
        self.hasher = Hasher::new();
        Ok(())
    }

    /// Takes the next bytes. More than expected are refused, and all of it is removed.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), InsertError> {
        let limit_bytes = self.expected.limit_bytes();
        if self.size_bytes() + bytes.len() as u64 > limit_bytes {
            self.temp.fate = Fate::Remove;
            return Err(InsertError::TooLong { limit_bytes });
        }
        if let Err(error) = self.temp.write(bytes) {
            // A part of the piece may have been written: the file no longer is what was hashed.
            self.temp.fate = Fate::Remove;
            return Err(InsertError::Disk(error));
        }
        self.hasher.update(bytes);
        Ok(())
    }

    /// Stores the file if it is complete and right. A short one stays to be resumed, a wrong one is removed.
    pub fn finish(mut self) -> Result<(), InsertError> {
        let checked = self.expected.check(std::mem::take(&mut self.hasher).finish());
        if let Err(error) = checked {
            if !matches!(error, InsertError::TooShort { .. }) {
                self.temp.fate = Fate::Remove;
            }
            return Err(error);
        }
        // From here on a copy that is in the store already makes this one superfluous.
        self.temp.fate = Fate::Remove;
        self.store.keep(self.temp, self.sha256).map_err(InsertError::Disk)
    }
}

/// Hashes a file from its beginning. Files are opened to append, so the place for reading does not matter to writing.
fn hash_all(mut file: &File, hasher: &mut Hasher) -> io::Result<()> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
