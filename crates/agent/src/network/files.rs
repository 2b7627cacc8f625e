//! The folder of files that were fetched for orders. A file has its digest for a name once all of it is there and has that
//! digest; a part of one has a dot before it, and is gone on with. What lies here is believed by nobody: the executor hashes
//! it again while it copies it.

use crate::executor::spool::Wish;
use crate::service::Places;
use crate::transport::Sink;
use domain::digest::Sha256Digest;
use ring::digest::{Context, SHA256};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that are left free on the file system for others.
const LEFT_FREE_BYTES: u64 = 64 << 20;
/// Bytes that are read at once.
const AT_ONCE: usize = 64 << 10;

/// Whether all of a file is here.
pub(super) fn is_here(places: &Places, file: &Wish) -> bool {
    places.files().join(file.digest.to_string()).is_file()
}

/// Removes whatever is not to be kept; what cannot be removed is tried again the next time.
pub(super) fn tidy(places: &Places, keep: &[Sha256Digest]) {
    let Ok(entries) = std::fs::read_dir(places.files()) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let digest = name.trim_start_matches('.').parse();
        if !digest.is_ok_and(|digest: Sha256Digest| keep.contains(&digest)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// A file that is not whole yet.
pub(super) struct Partial {
    folder: PathBuf,
    wish: Wish,
    file: File,
    hash: Context,
    /// How many bytes are here.
    pub(super) bytes: u64,
}

/// Why a file is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    /// The operating system says no.
    #[error("cannot keep what was fetched in {}", folder.display())]
    Io {
        folder: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    /// Too little room.
    #[error("there is no room for a file of {size_bytes} bytes below {}", folder.display())]
    NoRoom { folder: PathBuf, size_bytes: u64 },
    /// All came, and it is something else.
    #[error("what came for {0} has another digest")]
    OtherDigest(Sha256Digest),
}

impl Partial {
    /// Goes on with what is here of a file.
    pub(super) fn open(places: &Places, wish: Wish) -> Result<Self, KeepError> {
        let folder = places.files();
        let failed = |cause| KeepError::Io {
            folder: folder.clone(),
            cause,
        };
        // What has its name already is looked at again.
        match std::fs::rename(folder.join(wish.digest.to_string()), part(&folder, &wish)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::open(part(&folder, &wish), flags, Mode::RUSR | Mode::WUSR);
        let file = File::from(file.map_err(|errno| failed(errno.into()))?);
        let mut partial = Self {
            wish,
            file,
            hash: Context::new(&SHA256),
            bytes: 0,
            folder: folder.clone(),
        };
        partial.read_what_is_here().map_err(failed)?;
        let room = rustix::fs::statvfs(&folder).map_err(|errno| failed(errno.into()))?;
        let available = room.f_bavail.saturating_mul(room.f_frsize);
        if available < (wish.size_bytes - partial.bytes).saturating_add(LEFT_FREE_BYTES) {
            return Err(KeepError::NoRoom {
                folder,
                size_bytes: wish.size_bytes,
            });
        }
        Ok(partial)
    }

    fn read_what_is_here(&mut self) -> std::io::Result<()> {
        if self.file.metadata()?.len() > self.wish.size_bytes {
            return self.begin_anew();
        }
        let mut buffer = vec![0; AT_ONCE];
        loop {
            let read = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hash.update(&buffer[..read]);
            self.bytes += read as u64;
        }
    }

    /// Whether it is a part of this file.
    pub(super) fn is_of(&self, wish: &Wish) -> bool {
        self.wish == *wish
    }

    /// Whether it is as large as it may be.
    pub(super) fn is_full(&self) -> bool {
        self.bytes == self.wish.size_bytes
    }

    /// Whether what is here is the whole file already.
    pub(super) fn is_whole(&self) -> bool {
        self.hash.clone().finish().as_ref() == self.wish.digest.0
    }

    /// All came: gives it its name.
    pub(super) fn finish(self) -> Result<(), KeepError> {
        let part = part(&self.folder, &self.wish);
        let failed = |cause| KeepError::Io {
            folder: self.folder.clone(),
            cause,
        };
        if !self.is_whole() {
            std::fs::remove_file(part).map_err(failed)?;
            return Err(KeepError::OtherDigest(self.wish.digest));
        }
        std::fs::rename(part, self.folder.join(self.wish.digest.to_string())).map_err(failed)
    }
}

impl Sink for Partial {
    fn begin_anew(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hash = Context::new(&SHA256);
        self.bytes = 0;
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

fn part(folder: &Path, wish: &Wish) -> PathBuf {
    folder.join(format!(".{}", wish.digest))
}
