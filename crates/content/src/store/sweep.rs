//! Room: how much the store takes, and removing what nobody refers to any more (mark and sweep; the caller marks).

use super::{Store, StoreError};
use crate::hash::HashingReader;
use domain::digest::Sha256Digest;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How much room the store takes, in files and in bytes on the disk (as du(1) counts them).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files under their own digest.
    pub files: u64,
    /// Bytes of those.
    pub file_bytes: u64,
    /// Bytes of derived forms, such as compiled indexes, which can be made again.
    pub derived_bytes: u64,
    /// Bytes of downloads that have not ended.
    pub partial_bytes: u64,
}

/// What a sweep removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Nothing: it only says what would go.
    DryRun,
    /// What is not marked.
    Remove,
}

/// What a sweep removed, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files, derived forms and downloads not counted.
    pub files: u64,
    /// Bytes on the disk, of all that went.
    pub bytes: u64,
    /// Files that stay.
    pub kept: u64,
    /// All that went.
    pub gone: Vec<Gone>,
}

/// One thing that a sweep removed, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gone {
    /// What it was.
    pub kind: Kind,
    /// The digest that it stood under.
    pub digest: Sha256Digest,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// What stands under a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The file with this digest.
    File,
    /// Forms that were made from it.
    Derived,
    /// What was fetched of it before a download ended unfinished.
    Download,
}

impl Store {
    /// How much room the store takes. Files that come or go meanwhile may be counted or not.
    ///
    /// # Errors
    /// A folder of the store cannot be listed.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        self.each_file(|_, kind, bytes| {
            if kind == Kind::File {
                usage.files += 1;
                usage.file_bytes += bytes;
            } else {
                usage.derived_bytes += bytes;
            }
            Ok(())
        })?;
        let partial = self.folder.join("partial");
        each_entry(&partial, |_, bytes| {
            usage.partial_bytes += bytes;
            Ok(())
        })
        .map_err(|cause| StoreError::Read { path: partial, cause })?;
        Ok(usage)
    }

    /// The digests of all files that are here, in ascending order; derived forms are left out.
    ///
    /// # Errors
    /// A folder of the store cannot be listed.
    pub fn digests(&self) -> Result<Vec<Sha256Digest>, StoreError> {
        let mut digests = Vec::new();
        self.each_file(|digest, kind, _| {
            if kind == Kind::File {
                digests.push(digest);
            }
            Ok(())
        })?;
        digests.sort();
        Ok(digests)
    }

    /// Removes files, with their derived forms, that `is_marked` does not want and that nobody stored or asked to store
    /// since `before` (seconds since 1970): whoever inserts a file has until then to refer to it. A derived form whose
    /// file is not here is wanted or not by the digest of that file. What was fetched before a download ended unfinished
    /// goes by its age alone.
    ///
    /// # Errors
    /// A folder of the store cannot be listed, or a file not removed.
    pub fn sweep(
        &self,
        is_marked: impl Fn(&Sha256Digest) -> bool,
        before: i64,
        sweep: Sweep,
    ) -> Result<Swept, StoreError> {
        let mut swept = Swept::default();
        let mut unwanted = Vec::new();
        self.each_file(|digest, kind, _| {
            match is_marked(&digest) {
                true => swept.kept += u64::from(kind == Kind::File),
                false => unwanted.push((digest, kind)),
            }
            Ok(())
        })?;
        for (digest, kind) in unwanted {
            match self.remove_if_old(&digest, kind, before, sweep)? {
                None => swept.kept += u64::from(kind == Kind::File),
                Some(bytes) => swept.note(Gone { kind, digest, bytes }),
            }
        }
        self.sweep_downloads(before, sweep, &mut swept)?;
        Ok(swept)
    }

    /// Removes what was fetched before downloads that nobody goes on with.
    fn sweep_downloads(&self, before: i64, sweep: Sweep, swept: &mut Swept) -> Result<(), StoreError> {
        let folder = self.folder.join("partial");
        let visited = each_entry(&folder, |path, bytes| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let Ok(digest) = Sha256Digest::parse(name.as_bytes()) else {
                return Ok(());
            };
            // Who fetches it holds its lock.
            let is_idle = super::lock::try_flock(&fs::File::open(path)?)?;
            if is_idle && fs::symlink_metadata(path)?.mtime() < before {
                if sweep == Sweep::Remove {
                    self.disk.remove(path)?;
                }
                swept.note(Gone {
                    kind: Kind::Download,
                    digest,
                    bytes,
                });
            }
            Ok(())
        });
        visited.map_err(|cause| StoreError::Write { path: folder, cause })
    }

    /// Whether the form called `kind` that was derived from the file with this digest is here; if so, a sweep leaves it alone
    /// for as long as a new one.
    ///
    /// # Errors
    /// Its time cannot be set, or the name is none.
    pub fn claim_derived(&self, kind: &str, of: &Sha256Digest) -> Result<bool, StoreError> {
        self.touched(self.derived_path(kind, of)?)
    }

    fn touched(&self, path: PathBuf) -> Result<bool, StoreError> {
        let touch = || {
            let _no_sweep = self.sweep_lock(rustix::fs::FlockOperation::LockShared)?;
            self.disk.touch(&path)
        };
        match touch() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(cause) => Err(StoreError::Write { path, cause }),
        }
    }

    /// Whether the file with this digest is here and still has its bytes; if so, a sweep leaves it alone for as long as a
    /// new one. One that a failing disk or a person altered is removed, so that it can be stored anew.
    ///
    /// # Errors
    /// It cannot be read, or not removed.
    pub fn holds(&self, digest: &Sha256Digest) -> Result<bool, StoreError> {
        self.want(digest).map_err(|cause| StoreError::Read {
            path: self.file_path(digest),
            cause,
        })
    }

    pub(super) fn want(&self, digest: &Sha256Digest) -> io::Result<bool> {
        let path = self.file_path(digest);
        if !path.is_file() {
            return Ok(false);
        }
        let _no_sweep = self.sweep_lock(rustix::fs::FlockOperation::LockShared)?;
        let wanted = match self.digest_of(digest)? {
            None => return Ok(false),
            Some(found) if found == *digest => self.disk.touch(&path).map(|()| true),
            Some(_altered) => self.disk.remove(&path).map(|()| false),
        };
        match wanted {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            wanted => wanted,
        }
    }

    /// The digest of the bytes that stand under this digest; `None` where nothing does.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn digest_of(&self, digest: &Sha256Digest) -> io::Result<Option<Sha256Digest>> {
        let Some(file) = super::open_to_read(&self.file_path(digest))? else {
            return Ok(None);
        };
        let mut reader = HashingReader::new(file);
        io::copy(&mut reader, &mut io::sink())?;
        Ok(Some(reader.finish().0))
    }

    /// Removes the file, or the derived forms of this digest, and gives the bytes that became free; `None` where they are
    /// too young.
    fn remove_if_old(
        &self,
        digest: &Sha256Digest,
        kind: Kind,
        before: i64,
        sweep: Sweep,
    ) -> Result<Option<u64>, StoreError> {
        let path = self.file_path(digest);
        let failed = |cause| StoreError::Write {
            path: path.clone(),
            cause,
        };
        let _alone = self
            .sweep_lock(rustix::fs::FlockOperation::LockExclusive)
            .map_err(failed)?;
        let folder = path.parent().expect("a file of the store has a folder");
        let mut freed = None;
        let own = digest.to_string();
        each_entry(folder, |entry, bytes| {
            let name = entry
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let is_it = match kind {
                Kind::File => name == own,
                Kind::Derived | Kind::Download => name.len() > own.len() && name.starts_with(&own),
            };
            if is_it && fs::symlink_metadata(entry)?.mtime() < before {
                if sweep == Sweep::Remove {
                    failpoint::reach(failpoint::Point::ContentSwept);
                    self.disk.remove(entry)?;
                }
                *freed.get_or_insert(0) += bytes;
            }
            Ok(())
        })
        .map_err(failed)?;
        Ok(freed)
    }

    /// Held shared while somebody says that a file is wanted, alone while one is removed.
    fn sweep_lock(&self, how: rustix::fs::FlockOperation) -> io::Result<fs::File> {
        let file = super::lock::open_lock_file(&self.folder.join("locks").join("sweep"))?;
        rustix::fs::flock(&file, how)?;
        Ok(file)
    }

    /// Calls `visit` for each file under its digest, and once for the derived forms of a digest together.
    fn each_file(
        &self,
        mut visit: impl FnMut(Sha256Digest, Kind, u64) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let files = self.folder.join("files");
        let mut shelves = Vec::new();
        let list = fs::read_dir(&files).and_then(|entries| {
            for entry in entries {
                shelves.push(entry?.path());
            }
            Ok(())
        });
        list.map_err(|cause| StoreError::Read { path: files, cause })?;
        shelves.sort();
        for shelf in shelves {
            let mut derived = std::collections::BTreeMap::<Sha256Digest, u64>::new();
            let visited = each_entry(&shelf, |path, bytes| {
                let name = path
                    .file_name()
                    .and_then(|name| name.to_str())
                    .unwrap_or_default();
                let (hex, form) = name.split_at(name.len().min(64));
                match Sha256Digest::parse(hex.as_bytes()) {
                    Ok(digest) if form.is_empty() => visit(digest, Kind::File, bytes),
                    Ok(digest) => {
                        *derived.entry(digest).or_default() += bytes;
                        Ok(())
                    }
                    // Not ours: nobody refers to it, and nobody removes it.
                    Err(_) => Ok(()),
                }
            });
            visited
                .and_then(|()| {
                    derived
                        .iter()
                        .try_for_each(|(digest, bytes)| visit(*digest, Kind::Derived, *bytes))
                })
                .map_err(|cause| StoreError::Read { path: shelf, cause })?;
        }
        Ok(())
    }
}

impl Swept {
    fn note(&mut self, gone: Gone) {
        self.files += u64::from(gone.kind == Kind::File);
        self.bytes += gone.bytes;
        self.gone.push(gone);
    }
}

/// Calls `visit` with each regular file of a folder and the bytes that it takes on the disk. One that goes meanwhile is
/// left out.
fn each_entry(folder: &Path, mut visit: impl FnMut(&Path, u64) -> io::Result<()>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match fs::symlink_metadata(&path) {
            Ok(facts) if facts.is_file() => visit(&path, facts.blocks() * 512)?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
