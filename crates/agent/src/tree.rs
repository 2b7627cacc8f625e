//! A host's file tree. Every path is resolved inside it: an absolute link or a `..` in a mounted image leads to the
//! image's own root, never to the files of the machine that reads it. Only regular files are read, up to a limit.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Symbolic links followed on one way before it counts as a loop, as in Linux (path_resolution(7)).
const LINKS: usize = 40;
/// Entries of one folder that are looked at; a folder with more is refused.
const ENTRIES: usize = 65_536;

/// An open file tree.
#[derive(Debug)]
pub struct Tree {
    path: PathBuf,
    root: OwnedFd,
    way: Way,
}

/// How paths are kept inside the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The tree is the running system: the kernel's own resolution is the right one.
    Live,
    /// openat2(2) with `RESOLVE_IN_ROOT`.
    Kernel,
    /// Component by component, where openat2 is missing or forbidden.
    Steps,
}

/// What stands at a path, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A device, socket or named pipe: never opened for reading.
    Special,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name; bytes that are not UTF-8 are replaced, which no name that apt accepts contains.
    pub name: String,
    /// What it is, links followed; absent for a link that leads nowhere.
    pub kind: Option<Kind>,
}

/// A tree that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {} as the root of a file tree; name a folder that you may read", path.display())]
pub struct OpenTreeError {
    /// The folder.
    pub path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// A file or folder of the tree that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file or folder.
    #[error("{path} does not exist")]
    NotFound {
        /// The path inside the tree.
        path: String,
    },
    /// It is a folder, device, socket or pipe, or for a folder that was asked for: a file.
    #[error("{path} is not {expected}")]
    WrongKind {
        /// The path inside the tree.
        path: String,
        /// What it should be.
        expected: &'static str,
    },
    /// It is larger than such a file may be.
    #[error("{path} is larger than {limit_bytes} bytes, which no such file needs")]
    TooLarge {
        /// The path inside the tree.
        path: String,
        /// The limit in bytes (for a folder: in entries).
        limit_bytes: u64,
    },
    /// The operating system says no.
    #[error("cannot read {path}")]
    Io {
        /// The path inside the tree.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ReadError {
    /// Whether the only fault is that nothing is there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    fn from_errno(path: &str, errno: Errno) -> Self {
        match errno {
            Errno::NOENT | Errno::NOTDIR => Self::NotFound {
                path: path.to_owned(),
            },
            other => Self::Io {
                path: path.to_owned(),
                source: other.into(),
            },
        }
    }
}

impl Tree {
    /// Opens the tree whose root is the folder `root`; `/` is the running system.
    pub fn open(root: &Path) -> Result<Self, OpenTreeError> {
        let fail = |source| OpenTreeError {
            path: root.to_owned(),
            source,
        };
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open =
            |path: &Path| rustix::fs::open(path, folder, Mode::empty()).map_err(|errno| fail(errno.into()));
        let root_fd = open(root)?;
        let mut path = root.canonicalize().map_err(fail)?;
        // The text of `/proc/PID/root` says `/` for a container too; where it leads is for the kernel to say.
        if !is_same(&root_fd, &open(&path)?).map_err(|errno| fail(errno.into()))? {
            path = std::path::absolute(root).map_err(fail)?;
        }
        let way = if path == Path::new("/") {
            Way::Live
        } else if openat2(root_fd.as_fd(), OsStr::new("."), folder).is_ok() {
            Way::Kernel
        } else {
            Way::Steps
        };
        Ok(Self {
            path,
            root: root_fd,
            way,
        })
    }

    /// Whether the tree is the running system.
    pub fn is_live(&self) -> bool {
        self.way == Way::Live
    }

    /// The root as seen from outside.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All bytes of a regular file of at most `limit_bytes`.
    pub fn read(&self, path: &str, limit_bytes: u64) -> Result<Vec<u8>, ReadError> {
        let file = self.open_file(path)?;
        let failed = |source| ReadError::Io {
            path: path.to_owned(),
            source,
        };
        let size = file.metadata().map_err(failed)?.len();
        let too_large = || ReadError::TooLarge {
            path: path.to_owned(),
            limit_bytes,
        };
        if size > limit_bytes {
            return Err(too_large());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).saturating_add(1));
        file.take(limit_bytes.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if bytes.len() as u64 > limit_bytes {
            return Err(too_large());
        }
        Ok(bytes)
    }

    /// A regular file, open for reading.
    pub fn open_file(&self, path: &str) -> Result<File, ReadError> {
        let expected = "a regular file";
        match self.kind_before_opening(path)? {
            Some(Kind::File) => {}
            Some(_) => {
                return Err(ReadError::WrongKind {
                    path: path.to_owned(),
                    expected,
                });
            }
            None => {
                return Err(ReadError::NotFound {
                    path: path.to_owned(),
                });
            }
        }
        // Non-blocking: a pipe may have taken the file's place since it was looked at.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = self
            .open_at(path, flags)
            .map_err(|errno| ReadError::from_errno(path, errno))?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| ReadError::from_errno(path, errno))?;
        match FileType::from_raw_mode(stat.st_mode).is_file() {
            true => Ok(File::from(fd)),
            false => Err(ReadError::WrongKind {
                path: path.to_owned(),
                expected,
            }),
        }
    }

    /// A foreign tree may hold devices, which are better not opened at all. The running system's own files need no
    /// look ahead.
    fn kind_before_opening(&self, path: &str) -> Result<Option<Kind>, ReadError> {
        if self.is_live() {
            Ok(Some(Kind::File))
        } else {
            self.kind(path)
        }
    }

    /// Whether `path` is a link that leads nowhere: what it should lead to may lie on another disk.
    pub fn is_broken_link(&self, path: &str) -> bool {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = if folder.is_empty() { "/" } else { folder };
        let is_it = |entry: &Entry| entry.name == name && entry.kind.is_none();
        self.entries(folder)
            .is_ok_and(|entries| entries.iter().any(is_it))
    }

    /// What stands at `path`, links followed; `None` if nothing does.
    pub fn kind(&self, path: &str) -> Result<Option<Kind>, ReadError> {
        match self.open_at(path, OFlags::PATH | OFlags::CLOEXEC) {
            Ok(fd) => kind_of(fd.as_fd())
                .map(Some)
                .map_err(|errno| ReadError::from_errno(path, errno)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(ReadError::from_errno(path, errno)),
        }
    }

    /// The entries of a folder in no particular order, without `.` and `..`.
    pub fn entries(&self, path: &str) -> Result<Vec<Entry>, ReadError> {
        let fail = |errno| match errno {
            Errno::NOTDIR => ReadError::WrongKind {
                path: path.to_owned(),
                expected: "a folder",
            },
            other => ReadError::from_errno(path, other),
        };
        let folder = self
            .open_at(
                path,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK | OFlags::CLOEXEC,
            )
            .map_err(fail)?;
        let mut entries = Vec::new();
        for entry in Dir::read_from(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let raw_name = entry.file_name();
            if raw_name == c"." || raw_name == c".." {
                continue;
            }
            if entries.len() == ENTRIES {
                return Err(ReadError::TooLarge {
                    path: path.to_owned(),
                    limit_bytes: ENTRIES as u64,
                });
            }
            let name = raw_name.to_string_lossy().into_owned();
            let kind = match entry.file_type() {
                FileType::RegularFile => Some(Kind::File),
                FileType::Directory => Some(Kind::Folder),
                FileType::Symlink | FileType::Unknown => self.kind(&join(path, &name)).unwrap_or(None),
                _ => Some(Kind::Special),
            };
            entries.push(Entry { name, kind });
        }
        Ok(entries)
    }

    /// Where `path` lies for somebody outside, all links resolved inside the tree. What does not exist yet is
    /// appended as it is written, without its `..`.
    pub fn outside(&self, path: &str) -> PathBuf {
        if self.is_live() {
            return PathBuf::from(path);
        }
        let mut walk = Walk::new(Path::new(path));
        let mut resolved: Vec<CString> = Vec::new();
        while let Some(step) = walk.next_step() {
            match step {
                Step::Up => drop(resolved.pop()),
                Step::Down(name) => {
                    let mut here = self.path.clone();
                    here.extend(resolved.iter().map(|name| OsStr::from_bytes(name.as_bytes())));
                    here.push(OsStr::from_bytes(name.as_bytes()));
                    match std::fs::read_link(&here) {
                        Ok(target) if walk.follow(&target) => {
                            if target.is_absolute() {
                                resolved.clear();
                            }
                        }
                        _ => resolved.push(name),
                    }
                }
            }
        }
        let mut outside = self.path.clone();
        outside.extend(resolved.iter().map(|name| OsStr::from_bytes(name.as_bytes())));
        outside
    }

    fn open_at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.way {
            Way::Live => rustix::fs::openat(self.root.as_fd(), path, flags, Mode::empty()),
            Way::Kernel => openat2(self.root.as_fd(), OsStr::new(path), flags),
            Way::Steps => self.open_by_steps(Path::new(path), flags),
        }
    }

    /// The same promise as `RESOLVE_IN_ROOT`: each folder on the way stays open, so that `..` goes back to the
    /// one we came from even if somebody moves it meanwhile.
    fn open_by_steps(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let no_follow = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut walk = Walk::new(path);
        let mut way: Vec<OwnedFd> = Vec::new();
        while let Some(step) = walk.next_step() {
            let Step::Down(name) = step else {
                way.pop();
                continue;
            };
            let here = way.last().map_or(self.root.as_fd(), AsFd::as_fd);
            let fd = rustix::fs::openat(here, &name, no_follow, Mode::empty())?;
            let mode = rustix::fs::fstat(&fd)?.st_mode;
            if FileType::from_raw_mode(mode).is_symlink() {
                let target = rustix::fs::readlinkat(&fd, c"", Vec::new())?;
                let target = PathBuf::from(std::ffi::OsString::from_vec(target.into_bytes()));
                if target.is_absolute() {
                    way.clear();
                }
                if !walk.follow(&target) {
                    return Err(Errno::LOOP);
                }
            } else if walk.is_at_end() && !FileType::from_raw_mode(mode).is_dir() {
                return rustix::fs::openat(here, &name, flags | OFlags::NOFOLLOW, Mode::empty());
            } else if FileType::from_raw_mode(mode).is_dir() {
                way.push(fd);
            } else {
                return Err(Errno::NOTDIR);
            }
        }
        let here = way.last().map_or(self.root.as_fd(), AsFd::as_fd);
        rustix::fs::openat(here, c".", flags, Mode::empty())
    }
}

/// The part of a path that is still to be walked.
struct Walk {
    rest: VecDeque<Vec<u8>>,
    links: usize,
}

enum Step {
    Up,
    Down(CString),
}

impl Walk {
    fn new(path: &Path) -> Self {
        let mut walk = Self {
            rest: VecDeque::new(),
            links: 0,
        };
        walk.prepend(path);
        walk
    }

    fn prepend(&mut self, path: &Path) {
        for part in path.as_os_str().as_bytes().split(|&byte| byte == b'/').rev() {
            if !part.is_empty() && part != b"." {
                self.rest.push_front(part.to_vec());
            }
        }
    }

    /// Puts a link's target in front of the rest; false once there were too many.
    fn follow(&mut self, target: &Path) -> bool {
        self.links += 1;
        if self.links > LINKS {
            return false;
        }
        self.prepend(target);
        true
    }

    fn next_step(&mut self) -> Option<Step> {
        let part = self.rest.pop_front()?;
        if part == b".." {
            return Some(Step::Up);
        }
        // A name with a NUL byte cannot exist; cut there, it is looked for and not found.
        let name = part.split(|&byte| byte == 0).next().unwrap_or_default();
        Some(Step::Down(
            CString::new(name).expect("a name cut at its first NUL has none"),
        ))
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

fn openat2(root: BorrowedFd<'_>, path: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut tries = 0;
    loop {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
            // openat2(2): a rename elsewhere raced with the resolution of `..`.
            Err(Errno::AGAIN | Errno::INTR) if tries < 16 => tries += 1,
            result => return result,
        }
    }
}

/// Whether both are the same folder.
fn is_same(one: &OwnedFd, other: &OwnedFd) -> Result<bool, Errno> {
    let identity = |fd: &OwnedFd| rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    Ok(identity(one)? == identity(other)?)
}

fn kind_of(fd: BorrowedFd<'_>) -> Result<Kind, Errno> {
    let stat = rustix::fs::statat(fd, c"", AtFlags::EMPTY_PATH)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Special,
    })
}

/// `folder` and `name` with exactly one slash between them.
pub(crate) fn join(folder: &str, name: &str) -> String {
    format!("{}/{name}", folder.trim_end_matches('/'))
}

#[cfg(test)]
mod tests;
