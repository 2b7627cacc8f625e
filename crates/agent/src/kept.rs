//! One small file of the agent's own: written whole or not at all, to a new file that takes the name when it is on the disk,
//! headed by its form and the digest of the rest, and readable for its owner only. What is torn, foreign, newer or exposed is an
//! error, never a guess. What stands in the files is the matter of those who keep them.

use domain::digest::Sha256Digest;
use protocol::sha256;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a file is: `patchyard-agent WORD VERSION DIGEST` is its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// What is kept.
    pub(crate) word: &'static str,
    /// In which version of its form.
    pub(crate) version: u32,
    /// No such file is longer, in bytes.
    pub(crate) longest: u64,
}

impl Form {
    fn head_of_all(self) -> String {
        format!("patchyard-agent {} ", self.word)
    }

    fn head(self) -> String {
        format!("{}{} ", self.head_of_all(), self.version)
    }
}

/// A file that cannot be kept or read back.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// The operating system says no.
    #[error("cannot {attempt} {}", path.display())]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// The file, or its folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Somebody else owns it, or others may read it.
    #[error("{} {fault}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: &'static str,
    },
    /// It is not whole.
    #[error("{} is not whole: its bytes are not those that were written", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
    },
    /// It is something else, or of a version that is not understood.
    #[error("{} is nothing that this version understands: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: String,
    },
}

/// A folder with such files.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    path: PathBuf,
    at: OwnedFd,
}

impl PrivateFolder {
    /// Opens the folder, which is made if it is missing (for the caller only).
    pub(crate) fn open(path: &Path) -> Result<Self, KeptError> {
        make(path).map_err(io(path, "make"))?;
        Self::at(path).map_err(|errno| io(path, "open")(errno.into()))
    }

    /// Opens the folder as it is; nothing if there is none.
    pub(crate) fn look(path: &Path) -> Result<Option<Self>, KeptError> {
        match Self::at(path) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(io(path, "open")(errno.into())),
        }
    }

    fn at(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        Ok(Self {
            path: path.to_owned(),
            at: rustix::fs::open(path, flags, Mode::empty())?,
        })
    }

    /// The open folder.
    pub(crate) fn fd(&self) -> &OwnedFd {
        &self.at
    }

    /// What was kept last under a name; nothing if nothing ever was.
    pub(crate) fn read(&self, name: &str, form: Form) -> Result<Option<Vec<u8>>, KeptError> {
        let path = self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(self.at.as_fd(), name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(exposed(path, "is a symbolic link")),
            Err(errno) => return Err(io(&path, "open")(errno.into())),
        };
        let facts = file.metadata().map_err(io(&path, "read"))?;
        let owner = rustix::fs::fstat(&self.at).map_err(|errno| io(&path, "read")(errno.into()))?;
        if !facts.is_file() {
            return Err(exposed(path, "is no file"));
        }
        if facts.uid() != owner.st_uid {
            return Err(exposed(path, "belongs to another user than its folder"));
        }
        if facts.mode() & 0o077 != 0 {
            return Err(exposed(path, "may be read or written by other users"));
        }
        let mut bytes = Vec::new();
        file.take(form.longest + 1)
            .read_to_end(&mut bytes)
            .map_err(io(&path, "read"))?;
        if bytes.len() as u64 > form.longest {
            let why = format!("it is longer than {} bytes", form.longest);
            return Err(KeptError::Foreign { path, why });
        }
        body_of(&bytes, form, path).map(Some)
    }

    /// Keeps this. When it returns, a power cut brings back these bytes or later ones.
    pub(crate) fn write(&self, name: &str, form: Form, body: &[u8]) -> Result<(), KeptError> {
        let path = self.path.join(name);
        let failed = |attempt| move |errno: Errno| io(&self.path.join(name), attempt)(errno.into());
        let next = format!("{name}.next");
        // What a power cut left of an earlier attempt is not written into: it might be readable for others.
        self.remove(&next)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.at, next.as_str(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(failed("write"))?;
        let mut file = File::from(file);
        let mut bytes = format!("{}{}\n", form.head(), sha256(body)).into_bytes();
        bytes.extend_from_slice(body);
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(io(&path, "write"))?;
        rustix::fs::renameat(&self.at, next.as_str(), &self.at, name).map_err(failed("replace"))?;
        rustix::fs::fsync(&self.at).map_err(failed("replace"))
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &str) -> Result<(), KeptError> {
        match rustix::fs::unlinkat(&self.at, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(io(&self.path.join(name), "remove")(errno.into())),
        }
    }

    /// Waits until what was removed stays removed.
    pub(crate) fn flush(&self) -> Result<(), KeptError> {
        rustix::fs::fsync(&self.at).map_err(|errno| io(&self.path, "flush")(errno.into()))
    }
}

fn body_of(bytes: &[u8], form: Form, path: PathBuf) -> Result<Vec<u8>, KeptError> {
    let line = bytes.iter().position(|&byte| byte == b'\n');
    let (head, body) = match line {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    let expected = form.head();
    let Some(found) = head.strip_prefix(expected.as_bytes()) else {
        if expected.as_bytes().starts_with(head) {
            return Err(KeptError::Torn { path });
        }
        let why = if head.starts_with(form.head_of_all().as_bytes()) {
            "a newer version wrote it; install that version again"
        } else {
            "it does not begin as one"
        };
        let why = why.to_owned();
        return Err(KeptError::Foreign { path, why });
    };
    if Sha256Digest::parse(found) != Ok(sha256(body)) {
        return Err(KeptError::Torn { path });
    }
    Ok(body.to_vec())
}

fn exposed(path: PathBuf, fault: &'static str) -> KeptError {
    KeptError::Exposed { path, fault }
}

fn io(path: &Path, attempt: &'static str) -> impl Fn(std::io::Error) -> KeptError + use<> {
    let path = path.to_owned();
    move |cause| KeptError::Io {
        attempt,
        path: path.clone(),
        cause,
    }
}

/// A folder, and those above it, that only the caller may enter.
fn make(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}
