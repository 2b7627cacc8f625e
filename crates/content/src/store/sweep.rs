//! Room: how much the store takes, and removing what nobody refers to any more (mark and sweep; the caller marks).

use super::{Store, StoreError};
use domain::digest::Sha256Digest;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files, derived forms not counted.
    pub files: u64,
    /// Bytes on the disk, derived forms included.
    pub bytes: u64,
    /// Files that stay.
    pub kept: u64,
}

impl Store {
    /// How much room the store takes. Files that come or go meanwhile may be counted or not.
    ///
    /// # Errors
    /// A folder of the store cannot be listed.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        self.each_file(|_, derived, bytes| {
            match derived {
                Derived::No => {
                    usage.files += 1;
                    usage.file_bytes += bytes;
                }
                Derived::Yes => usage.derived_bytes += bytes,
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
        self.each_file(|digest, derived, _| {
            if derived == Derived::No {
                digests.push(digest);
            }
            Ok(())
        })?;
        digests.sort();
        Ok(digests)
    }

    /// Removes files, with their derived forms, that `is_marked` does not want and that nobody stored or asked to store
    /// since `before` (seconds since 1970): whoever inserts a file has until then to refer to it. A derived form whose
    /// file is not here is wanted or not by the digest of that file.
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
        self.each_file(|digest, derived, bytes| {
            if is_marked(&digest) {
                swept.kept += u64::from(derived == Derived::No);
            } else {
                unwanted.push((digest, derived, bytes));
            }
            Ok(())
        })?;
        for (digest, derived, _) in unwanted {
            let went = self.remove_if_old(&digest, derived, before, sweep)?;
            swept.files += u64::from(derived == Derived::No && went > 0);
            swept.kept += u64::from(derived == Derived::No && went == 0);
            swept.bytes += went;
        }
        Ok(swept)
    }

    /// Whether the file with this digest is here; if so, a sweep leaves it alone for as long as a new one.
    pub(super) fn want(&self, digest: &Sha256Digest) -> io::Result<bool> {
        let path = self.file_path(digest);
        if !path.is_file() {
            return Ok(false);
        }
        let _no_sweep = self.sweep_lock(rustix::fs::FlockOperation::LockShared)?;
        match self.disk.touch(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes the file, or the derived forms of this digest, and gives the bytes that became free; 0 where it is too young.
    fn remove_if_old(
        &self,
        digest: &Sha256Digest,
        derived: Derived,
        before: i64,
        sweep: Sweep,
    ) -> Result<u64, StoreError> {
        let path = self.file_path(digest);
        let failed = |cause| StoreError::Write {
            path: path.clone(),
            cause,
        };
        let _alone = self
            .sweep_lock(rustix::fs::FlockOperation::LockExclusive)
            .map_err(failed)?;
        let folder = path.parent().expect("a file of the store has a folder");
        let mut freed = 0;
        let own = digest.to_string();
        each_entry(folder, |entry, bytes| {
            let name = entry
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            let is_it = match derived {
                Derived::No => name == own,
                Derived::Yes => name.len() > own.len() && name.starts_with(&own),
            };
            if is_it && fs::symlink_metadata(entry)?.mtime() < before {
                if sweep == Sweep::Remove {
                    self.disk.remove(entry)?;
                }
                freed += bytes;
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
        mut visit: impl FnMut(Sha256Digest, Derived, u64) -> io::Result<()>,
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
                    Ok(digest) if form.is_empty() => visit(digest, Derived::No, bytes),
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
                        .try_for_each(|(digest, bytes)| visit(*digest, Derived::Yes, *bytes))
                })
                .map_err(|cause| StoreError::Read { path: shelf, cause })?;
        }
        Ok(())
    }
}

/// Whether an entry is a file under its own digest, or forms made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Derived {
    No,
    Yes,
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
