//! What the agent must not forget, in one file: its key, its certificate, its place in the chain of check-ins, the last time that
//! a server signed. Each change is written before its effect, whole or not at all, and outlives a power cut. A file that is
//! torn, foreign or newer stops the agent: it never guesses who it is.

use crate::kept::{Form, KeptError, PrivateFolder};
use crate::session::Memory;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// The journal's name in its folder.
const NAME: &str = "journal";
/// Where the next journal is written before it takes the name.
const NEXT: &str = "journal.next";
/// The file whose lock one process holds.
const LOCK: &str = "lock";
const FORM: Form = Form {
    word: "journal",
    version: 1,
    longest: 1 << 20,
};

/// An open journal. While it is open no other process of this agent can open it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    folder: PrivateFolder,
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
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |attempt, errno: Errno| JournalError::Io {
            attempt,
            folder: path.to_owned(),
            cause: errno.into(),
        };
        let folder = PrivateFolder::open(path).map_err(|error| of_kept(path, error))?;
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::openat(folder.fd(), LOCK, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| failed("open the lock of", errno))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(JournalError::InUse {
                    folder: path.to_owned(),
                });
            }
            Err(errno) => return Err(failed("lock", errno)),
        }
        Ok(Self {
            path: path.to_owned(),
            folder,
            _lock: lock,
        })
    }

    /// What was written last; nothing if nothing ever was.
    pub fn read(&self) -> Result<Option<Memory>, JournalError> {
        read(&self.folder, &self.path)
    }

    /// Replaces the journal. When this returns, a power cut brings back these bytes or later ones.
    pub fn write(&self, memory: &Memory) -> Result<(), JournalError> {
        let body = serde_json::to_vec(memory).expect("a memory holds nothing that JSON cannot");
        let written = self.folder.write(NAME, FORM, &body);
        written.map_err(|error| of_kept(&self.path, error))
    }

    /// Removes the journal, identity and all.
    pub fn remove(&self) -> Result<(), JournalError> {
        let removed = self
            .folder
            .remove(NAME)
            .and_then(|()| self.folder.remove(NEXT))
            .and_then(|()| self.folder.flush());
        removed.map_err(|error| of_kept(&self.path, error))
    }
}

/// Reads a journal that another process may have open, for `status`.
pub fn look(path: &Path) -> Result<Option<Memory>, JournalError> {
    let folder = PrivateFolder::look(path).map_err(|error| of_kept(path, error))?;
    folder.map_or(Ok(None), |folder| read(&folder, path))
}

fn read(folder: &PrivateFolder, path: &Path) -> Result<Option<Memory>, JournalError> {
    let body = folder.read(NAME, FORM).map_err(|error| of_kept(path, error))?;
    let understood = |body: Vec<u8>| {
        serde_json::from_slice(&body).map_err(|error| JournalError::Foreign {
            path: path.join(NAME),
            why: error.to_string(),
        })
    };
    body.map(understood).transpose()
}

/// The same fault, with what it means for an identity.
fn of_kept(folder: &Path, error: KeptError) -> JournalError {
    match error {
        KeptError::Io { attempt, cause, .. } => JournalError::Io {
            attempt,
            folder: folder.to_owned(),
            cause,
        },
        KeptError::Exposed { path, fault } => JournalError::Exposed { path, fault },
        KeptError::Torn { path } => JournalError::Torn { path },
        KeptError::Foreign { path, why } => JournalError::Foreign { path, why },
    }
}
