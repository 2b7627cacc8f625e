//! What the agent must not forget, in one file: its key, its certificate, its place in the chain of check-ins, the last time that
//! a server signed. Each change is written before its effect, whole or not at all, and outlives a power cut. A file that is
//! torn, foreign or newer stops the agent: it never guesses who it is.

use crate::session::Memory;
use domain::digest::Sha256Digest;
use ring::digest::{SHA256, digest};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The journal's name in its folder.
const NAME: &str = "journal";
/// Where the next journal is written before it takes the name.
const NEXT: &str = "journal.next";
/// The file whose lock one process holds.
const LOCK: &str = "lock";
/// What every journal begins with; the digest of all after the line follows.
const HEAD: &str = "patchyard-agent journal 1 ";
/// What journals of every version begin with.
const HEAD_OF_ALL: &str = "patchyard-agent journal ";
/// No journal is longer, in bytes.
const LONGEST: u64 = 1 << 20;

/// An open journal. While it is open no other process of this agent can open it.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    at: OwnedFd,
    _lock: OwnedFd,
}

/// A journal that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it open.
    #[error("another patchyard-agent is at work with {}; stop it first, or ask it with `patchyard-agent status`", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The operating system says no.
    #[error("cannot {attempt} the agent's journal in {}", folder.display())]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Somebody else owns it, or others may read it.
    #[error("{} {fault}: an identity that others could read or write is not used; restore it from where it came, or run `patchyard-agent forget` and enrol again", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: &'static str,
    },
    /// It is not whole.
    #[error("{} is not whole: its bytes are not those that were written; run `patchyard-agent forget` and enrol again", path.display())]
    Torn {
        /// The file.
        path: PathBuf,
    },
    /// It is no journal, or one that this version does not understand.
    #[error("{} is no journal that this version understands: {why}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: String,
    },
}

impl Journal {
    /// Opens the journal's folder, which is made if it is missing (readable for the caller only).
    pub fn open(folder: &Path) -> Result<Self, JournalError> {
        let failed = |attempt| io(folder, attempt);
        make_private_folder(folder).map_err(failed("make the folder of"))?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let at = rustix::fs::open(folder, flags, Mode::empty())
            .map_err(|errno| failed("open the folder of")(errno.into()))?;
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::openat(&at, LOCK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed("open the lock of")(errno.into()))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(JournalError::InUse {
                    folder: folder.to_owned(),
                });
            }
            Err(errno) => return Err(failed("lock")(errno.into())),
        }
        Ok(Self {
            folder: folder.to_owned(),
            at,
            _lock: lock,
        })
    }

    /// What was written last; nothing if nothing ever was.
    pub fn read(&self) -> Result<Option<Memory>, JournalError> {
        read_at(&self.at, &self.folder)
    }

    /// Replaces the journal. When this returns, a power cut brings back these bytes or later ones.
    pub fn write(&self, memory: &Memory) -> Result<(), JournalError> {
        let bytes = encoded(memory);
        let failed = |attempt| move |errno: Errno| io(&self.folder, attempt)(errno.into());
        // What a power cut left of an earlier attempt is not written into: it might be readable for others.
        match rustix::fs::unlinkat(&self.at, NEXT, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed("write")(errno)),
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let next =
            rustix::fs::openat(&self.at, NEXT, flags, Mode::RUSR | Mode::WUSR).map_err(failed("write"))?;
        let mut next = File::from(next);
        next.write_all(&bytes)
            .and_then(|()| next.sync_all())
            .map_err(io(&self.folder, "write"))?;
        rustix::fs::renameat(&self.at, NEXT, &self.at, NAME).map_err(failed("replace"))?;
        rustix::fs::fsync(&self.at).map_err(failed("replace"))
    }

    /// Removes the journal, identity and all.
    pub fn remove(&self) -> Result<(), JournalError> {
        for name in [NAME, NEXT] {
            match rustix::fs::unlinkat(&self.at, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(io(&self.folder, "remove")(errno.into())),
            }
        }
        rustix::fs::fsync(&self.at).map_err(|errno| io(&self.folder, "remove")(errno.into()))
    }
}

/// Reads a journal that another process may have open, for `status`.
pub fn look(folder: &Path) -> Result<Option<Memory>, JournalError> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    match rustix::fs::open(folder, flags, Mode::empty()) {
        Ok(at) => read_at(&at, folder),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(io(folder, "open the folder of")(errno.into())),
    }
}

fn read_at(at: &OwnedFd, folder: &Path) -> Result<Option<Memory>, JournalError> {
    let path = folder.join(NAME);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(at.as_fd(), NAME, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(exposed(path, "is a symbolic link")),
        Err(errno) => return Err(io(folder, "open")(errno.into())),
    };
    let facts = file.metadata().map_err(io(folder, "read"))?;
    let owner = at_owner(at).map_err(io(folder, "read"))?;
    if !facts.is_file() {
        return Err(exposed(path, "is no file"));
    }
    if facts.uid() != owner {
        return Err(exposed(path, "belongs to another user than its folder"));
    }
    if facts.mode() & 0o077 != 0 {
        return Err(exposed(path, "may be read or written by other users"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(io(folder, "read"))?;
    if bytes.len() as u64 > LONGEST {
        let why = format!("it is longer than {LONGEST} bytes");
        return Err(JournalError::Foreign { path, why });
    }
    decoded(&bytes, path).map(Some)
}

fn at_owner(at: &OwnedFd) -> std::io::Result<u32> {
    Ok(rustix::fs::fstat(at)?.st_uid)
}

fn encoded(memory: &Memory) -> Vec<u8> {
    let body = serde_json::to_vec(memory).expect("a memory holds nothing that JSON cannot");
    let mut bytes = format!("{HEAD}{}\n", sha256(&body)).into_bytes();
    bytes.extend_from_slice(&body);
    bytes
}

fn decoded(bytes: &[u8], path: PathBuf) -> Result<Memory, JournalError> {
    let line = bytes.iter().position(|&byte| byte == b'\n');
    let (head, body) = match line {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    let Some(found) = head.strip_prefix(HEAD.as_bytes()) else {
        if HEAD.as_bytes().starts_with(head) {
            return Err(JournalError::Torn { path });
        }
        if head.starts_with(HEAD_OF_ALL.as_bytes()) {
            let why = "a newer version wrote it; install that version again".to_owned();
            return Err(JournalError::Foreign { path, why });
        }
        let why = "it does not begin as one".to_owned();
        return Err(JournalError::Foreign { path, why });
    };
    if Sha256Digest::parse(found) != Ok(sha256(body)) {
        return Err(JournalError::Torn { path });
    }
    serde_json::from_slice(body).map_err(|error| JournalError::Foreign {
        path,
        why: error.to_string(),
    })
}

fn sha256(bytes: &[u8]) -> Sha256Digest {
    let found = digest(&SHA256, bytes);
    Sha256Digest(found.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

fn exposed(path: PathBuf, fault: &'static str) -> JournalError {
    JournalError::Exposed { path, fault }
}

fn io(folder: &Path, attempt: &'static str) -> impl Fn(std::io::Error) -> JournalError {
    move |cause| JournalError::Io {
        attempt,
        folder: folder.to_owned(),
        cause,
    }
}

/// A folder, and those above it, that only the caller may enter.
fn make_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}
