//! Index files of sources that only this host reaches, as its own apt fetched and the archive signed them. The server asks
//! for them by source; only sources that the host itself is configured to use are ever handed out, and of their files
//! only release files and package indexes.

use super::claim::lists;
use crate::host::Host;
use crate::tree::{ReadError, Tree, join};
use domain::digest::Sha256Digest;
use domain::host::address::{list_file_name, release_uri, without_login};
use domain::host::channels::Stanza;
use protocol::limits;
use protocol::message::check_in::{CarriedFile, CarriedSource};
use std::io::{self, Read as _, Seek as _, SeekFrom};

/// apt's own forms of a stored index: plain, or packed as it was fetched.
const FORMS: [&str; 5] = ["", ".lz4", ".xz", ".gz", ".zst"];
/// What is hashed at once.
const PIECE_BYTES: usize = 64 << 10;

/// A file that can be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// As a check-in names it.
    pub file: CarriedFile,
    /// Where it lies inside the host's tree.
    pub path: String,
}

/// The files of these sources that the host has; sources that it is not configured to use have none. Every file is hashed,
/// which takes about a second a gigabyte.
pub fn carried(host: &Host, wanted: &[CarriedSource]) -> Vec<Carried> {
    let mut files: Vec<Carried> = Vec::new();
    for stanza in &host.channel_config.stanzas {
        let source = CarriedSource {
            uri: without_login(&stanza.uri),
            suite: stanza.suite.clone(),
        };
        if !wanted.contains(&source) {
            continue;
        }
        for name in names(stanza) {
            let is_new = !files
                .iter()
                .any(|own| own.file.source == source && own.file.path == name);
            let found = is_new.then(|| of_name(host, stanza, &source, name)).flatten();
            files.extend(found);
            if files.len() == limits::CARRIED_FILES {
                return files;
            }
        }
    }
    files
}

/// So many bytes of a carried file from `offset` on; fewer at its end. What has changed since is for the digest to tell.
///
/// # Errors
/// [`ReadError`] if it can no longer be read.
pub fn piece(tree: &Tree, carried: &Carried, offset: u64, bytes: usize) -> Result<Vec<u8>, ReadError> {
    let failed = |source| ReadError::Io {
        path: carried.path.clone(),
        source,
    };
    let mut file = tree.open_file(&carried.path)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut piece = Vec::new();
    file.take(bytes as u64).read_to_end(&mut piece).map_err(failed)?;
    Ok(piece)
}

/// Paths below the release folder that the stanza may use, in every form.
fn names(stanza: &Stanza) -> Vec<String> {
    let mut names: Vec<String> = ["InRelease", "Release", "Release.gpg"].map(str::to_owned).into();
    let mut indexes = Vec::new();
    if stanza.is_flat() {
        indexes.push("Packages".to_owned());
    }
    for component in &stanza.components {
        let architectures = stanza.architectures.iter().map(String::as_str).chain(["all"]);
        indexes.extend(architectures.map(|name| format!("{component}/binary-{name}/Packages")));
    }
    for index in indexes {
        names.extend(FORMS.map(|form| format!("{index}{form}")));
    }
    names
}

fn of_name(host: &Host, stanza: &Stanza, source: &CarriedSource, name: String) -> Option<Carried> {
    let uri = format!("{}{name}", release_uri(&stanza.uri, &stanza.suite));
    let path = join(&lists(&host.apt_conf), &list_file_name(&uri));
    let (digest, size_bytes) = digest(&host.tree, &path)?;
    Some(Carried {
        file: CarriedFile {
            source: source.clone(),
            path: name,
            digest,
            size_bytes,
        },
        path,
    })
}

/// Digest and size; none for what is not there, cannot be read or is larger than any index.
fn digest(tree: &Tree, path: &str) -> Option<(Sha256Digest, u64)> {
    let mut file = tree.open_file(path).ok()?.take(limits::INDEX_FILE_BYTES + 1);
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut size = 0;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => {
                context.update(&piece[..length]);
                size += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    let digest = context.finish().as_ref().try_into().ok().map(Sha256Digest)?;
    (size <= limits::INDEX_FILE_BYTES).then_some((digest, size))
}
