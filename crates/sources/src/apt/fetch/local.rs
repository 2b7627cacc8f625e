//! Files of this computer, or of the tree that is assessed: `file:` and `copy:` archives, lists of mirrors and
//! certificate authorities.

use super::address::{Address, AddressError};
use super::{FetchError, Question, Reply, Validators};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

/// Opens a regular file; `None` where there is none.
type Open = dyn Fn(&str) -> io::Result<Option<File>> + Send + Sync;

/// The longest list of mirrors that is read.
const MAX_MIRROR_LIST_BYTES: u64 = 64 * 1024;

/// How local files are opened. Who assesses a tree decides how far its links lead.
#[derive(Clone)]
pub struct LocalFiles(Arc<Open>);

impl LocalFiles {
    /// Opened by `open`, which gives regular files only and never waits for a FIFO.
    pub fn opened_by(open: impl Fn(&str) -> io::Result<Option<File>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    fn open(&self, path: &str) -> Result<Option<(File, PathBuf)>, FetchError> {
        let shown = PathBuf::from(path);
        match (self.0)(path) {
            Ok(file) => Ok(file.map(|file| (file, shown))),
            Err(cause) => Err(FetchError::Local { path: shown, cause }),
        }
    }

    /// All bytes of a file of at most `limit_bytes`.
    pub(super) fn read(&self, path: &str, limit_bytes: u64) -> io::Result<Vec<u8>> {
        let file = (self.0)(path)?.ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = Vec::new();
        file.take(limit_bytes + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > limit_bytes {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => Ok(bytes),
        }
    }
}

impl Default for LocalFiles {
    /// The files of this computer.
    fn default() -> Self {
        Self::opened_by(open_here)
    }
}

impl std::fmt::Debug for LocalFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LocalFiles").finish()
    }
}

fn open_here(path: &str) -> io::Result<Option<File>> {
    // O_NONBLOCK, so that opening a FIFO in an archive's place returns.
    let opened = OpenOptions::new().read(true).custom_flags(0o4000).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.metadata()?.is_file() {
        true => Ok(Some(file)),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}

/// Answers a question as an HTTP server would.
pub(super) fn ask(files: &LocalFiles, path: &str, question: Question<'_>) -> Result<Reply, FetchError> {
    let Some((mut file, path)) = files.open(path)? else {
        return Ok(Reply::Missing);
    };
    let failed = |cause| FetchError::Local {
        path: path.clone(),
        cause,
    };
    let facts = file.metadata().map_err(failed)?;
    let etag = format!(
        "\"{:x}-{:x}-{:x}-{:x}\"",
        facts.ino(),
        facts.size(),
        facts.mtime(),
        facts.mtime_nsec()
    );
    if question.validators.and_then(|known| known.etag.as_ref()) == Some(&etag) {
        return Ok(Reply::Unchanged);
    }
    if question.from_byte > facts.size() {
        return Ok(Reply::NoSuchRange);
    }
    file.seek(SeekFrom::Start(question.from_byte)).map_err(failed)?;
    Ok(Reply::Body {
        reader: Box::new(file),
        start_byte: question.from_byte,
        declared_bytes: Some(facts.size() - question.from_byte),
        validators: Validators {
            etag: Some(etag),
            last_modified: None,
        },
    })
}

/// The addresses of a file below each archive that a list of mirrors names: one a line, lower `priority:` first, then
/// in the list's order (apt-transport-mirror(1)). Never empty.
pub(super) fn mirrors(files: &LocalFiles, list: &str, path: &str) -> Result<Vec<Address>, FetchError> {
    let no_mirrors = || {
        FetchError::Address(AddressError::NoMirrors {
            list: list.to_owned(),
        })
    };
    let (file, list_path) = files.open(list)?.ok_or_else(no_mirrors)?;
    let mut text = String::new();
    file.take(MAX_MIRROR_LIST_BYTES)
        .read_to_string(&mut text)
        .map_err(|cause| FetchError::Local {
            path: list_path,
            cause,
        })?;
    let mut found: Vec<(u32, Address)> = Vec::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let (archive, facts) = line.split_once('\t').unwrap_or((line, ""));
        let priority = facts
            .split_ascii_whitespace()
            .find_map(|fact| fact.strip_prefix("priority:"));
        let priority = priority
            .and_then(|number| number.parse().ok())
            .unwrap_or(u32::MAX);
        match Address::parse(&format!("{}/{path}", archive.trim_end_matches('/'))) {
            Ok(Address::MirrorList { .. }) | Err(_) => {}
            Ok(address) => found.push((priority, address)),
        }
    }
    found.sort_by_key(|(priority, _)| *priority);
    match found.is_empty() {
        true => Err(no_mirrors()),
        false => Ok(found.into_iter().map(|(_, address)| address).collect()),
    }
}
