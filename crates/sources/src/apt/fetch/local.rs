//! Files of this computer: `file:` and `copy:` archives and lists of mirrors.

use super::address::{Address, AddressError};
use super::{FetchError, Question, Reply, Validators};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The longest list of mirrors that is read.
const MAX_MIRROR_LIST_BYTES: u64 = 64 * 1024;

/// Opens a regular file below `root`; `None` where there is none. Never waits for a FIFO.
fn open(root: &Path, path: &str) -> Result<Option<(File, PathBuf)>, FetchError> {
    let path = root.join(path.trim_start_matches('/'));
    // O_NONBLOCK, so that opening a FIFO in an archive's place returns.
    let opened = OpenOptions::new().read(true).custom_flags(0o4000).open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(FetchError::Local { path, cause }),
    };
    match file.metadata() {
        Ok(facts) if facts.is_file() => Ok(Some((file, path))),
        Ok(_) => {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
            Err(FetchError::Local { path, cause })
        }
        Err(cause) => Err(FetchError::Local { path, cause }),
    }
}

/// Answers a question as an HTTP server would.
pub(super) fn ask(root: &Path, path: &str, question: Question<'_>) -> Result<Reply, FetchError> {
    let Some((mut file, path)) = open(root, path)? else {
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
pub(super) fn mirrors(root: &Path, list: &str, path: &str) -> Result<Vec<Address>, FetchError> {
    let no_mirrors = || {
        FetchError::Address(AddressError::NoMirrors {
            list: list.to_owned(),
        })
    };
    let (file, list_path) = open(root, list)?.ok_or_else(no_mirrors)?;
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
