//! The outbox: what the executor read of the host, as files that the network process may read and not change. A list names the
//! documents by digest; their bytes lie beside it. Older inventories stay for a while, so that a change needs few bytes.

use crate::documents::{HostDocument, Reading};
use crate::service::{Account, Places};
use crate::session::upload::Shelf;
use domain::digest::Sha256Digest;
use domain::host::network::Neighbours;
use protocol::document::facts::FactsDocument;
use protocol::document::{Document, DocumentKind};
use protocol::limits;
use protocol::message::orders::OrderReport;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// The list's name.
const LIST: &str = "list";
/// The name of what is told of orders.
const BOARD: &str = "orders";
/// The longest list, and the longest board, in bytes.
const LONGEST_LIST: u64 = 4 << 20;
/// Documents of earlier readings that are kept.
const KEPT: usize = 16;

/// What was read, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The boot in which it was read, its 16 bytes as hexadecimal digits.
    pub boot: String,
    /// Where the boot clock stood then, in microseconds.
    pub boot_micros: u64,
    /// The documents of which a host has one each.
    pub documents: Vec<Entry>,
    /// The key files that they name.
    pub key_files: Vec<Entry>,
    /// What tells this hardware from others', as hexadecimal digits.
    pub hardware: Option<String>,
    /// What could not be told.
    pub troubles: Vec<String>,
}

/// A document by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub kind: DocumentKind,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub digest: String,
}

/// What the executor tells of orders. The network process passes the reports on, and fetches what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// The highest number of an order that was seen here.
    pub highest: u64,
    /// How far each order is, until the server has kept its end.
    pub reports: Vec<OrderReport>,
    /// Files that are to be fetched into the folder of files.
    pub wants: Vec<Wish>,
    /// Documents of what package managers said, beside this in the outbox; 64 hexadecimal digits each.
    pub outputs: Vec<String>,
    /// Whether something is going on that people watch: anything but waiting for a window, and ends that were told.
    pub is_active: bool,
    /// Why orders are not followed here, in sentences with what to do.
    #[serde(default)]
    pub troubles: Vec<String>,
}

/// A file that an order needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// SHA-256 of its bytes.
    #[serde(with = "crate::text::one")]
    pub digest: Sha256Digest,
    /// Its size in bytes; where the order does not say it, the most that it may be.
    pub size_bytes: u64,
}

impl Board {
    /// What was told last; nothing if nothing ever was.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn open(places: &Places) -> Result<Self, SpoolError> {
        read_json(&places.outbox(), BOARD)
    }

    /// Tells it.
    ///
    /// # Errors
    /// [`SpoolError::Io`].
    pub fn publish(&self, places: &Places, group: Option<u32>) -> Result<(), SpoolError> {
        let folder = places.outbox();
        let text = serde_json::to_vec(self).expect("a board has text as keys");
        write(&folder.join(BOARD), &text, group).map_err(failure(&folder, "write to"))
    }
}

/// Leaves how far orders are for `status`, which everybody may ask.
///
/// # Errors
/// Whatever the operating system says.
pub(super) fn tell_everybody(places: &Places, board: &Board) -> std::io::Result<()> {
    let path = places.doing();
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    file.write_all(&serde_json::to_vec(board)?)?;
    std::fs::rename(next, path)
}

/// Leaves what a package manager said for the network process, and gives its name.
///
/// # Errors
/// [`SpoolError::Io`].
pub fn publish_output(
    places: &Places,
    output: &[u8],
    group: Option<u32>,
) -> Result<Sha256Digest, SpoolError> {
    let folder = places.outbox();
    let digest = protocol::sha256(output);
    write(&folder.join(digest.to_string()), output, group).map_err(failure(&folder, "write to"))?;
    Ok(digest)
}

/// An outbox that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The operating system says no.
    #[error("cannot {attempt} the outbox {}", folder.display())]
    Io {
        /// What was attempted.
        attempt: &'static str,
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It is not the executor's.
    #[error("{} is not written by this agent's executor", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// It is not a list.
    #[error("{} cannot be understood", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and what.
        #[source]
        cause: serde_json::Error,
    },
}

/// Makes the agent's folders, each for whom it is. `account` is the network process's; absent: the caller's own.
///
/// # Errors
/// The folder that could not be made, and why.
pub fn make_folders(places: &Places, account: Option<Account>) -> Result<(), (PathBuf, std::io::Error)> {
    let make = |path: PathBuf, mode: u32, owner: Option<u32>, group: Option<u32>| {
        let made = std::fs::create_dir_all(&path)
            .and_then(|()| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)))
            .and_then(|()| chown(&path, owner, group));
        made.map_err(|cause| (path, cause))
    };
    let (uid, gid) = (
        account.map(|account| account.uid),
        account.map(|account| account.gid),
    );
    make(places.state.clone(), 0o755, None, None)?;
    make(places.outbox(), 0o750, None, gid)?;
    make(places.identity(), 0o700, uid, gid)?;
    make(places.asks(), 0o700, uid, gid)?;
    make(places.files(), 0o700, uid, gid)?;
    make(places.public(), 0o755, uid, gid)?;
    make(places.trust(), 0o700, None, None)?;
    make(places.work(), 0o700, None, None)
}

/// Puts a reading into the outbox: documents first, then the list that names them.
pub fn publish(places: &Places, reading: &Reading, list: List, group: Option<u32>) -> Result<(), SpoolError> {
    let folder = places.outbox();
    let failed = |attempt| failure(&folder, attempt);
    let entry = |document: &HostDocument| Entry {
        kind: document.kind,
        digest: document.digest.to_string(),
    };
    for document in reading.named().chain(&reading.key_files) {
        let path = folder.join(document.digest.to_string());
        if !path.exists() {
            write(&path, &document.bytes, group).map_err(failed("write to"))?;
        }
    }
    let list = List {
        documents: reading.named().map(entry).collect(),
        key_files: reading.key_files.iter().map(entry).collect(),
        hardware: reading.hardware.map(|mark| mark.to_string()),
        troubles: reading.troubles.clone(),
        ..list
    };
    let text = serde_json::to_vec(&list).expect("a list has text as keys");
    write(&folder.join(LIST), &text, group).map_err(failed("write to"))?;
    let outputs = Board::open(places).map(|board| board.outputs).unwrap_or_default();
    sweep(&folder, &list, &outputs).map_err(failed("tidy"))
}

/// What was last seen of neighbours, for the next reading.
pub fn last_neighbours(places: &Places) -> Option<Neighbours> {
    let outbox = Outbox::open(places).ok()?;
    let facts = outbox
        .list
        .documents
        .iter()
        .find(|entry| entry.kind == DocumentKind::Facts)?;
    let digest = facts.digest.parse().ok()?;
    let (bytes, _) = outbox.read(DocumentKind::Facts, digest, 0, limits::BODY_BYTES)?;
    let facts = domain::host::facts::HostFacts::from(FactsDocument::parse_kept(&bytes).ok()?);
    facts.neighbours.known().cloned()
}

/// Whole or not at all; what a power cut leaves is found out by its digest.
fn write(path: &Path, bytes: &[u8], group: Option<u32>) -> std::io::Result<()> {
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR | Mode::RGRP)?;
    std::os::unix::fs::fchown(&file, None, group)?;
    file.write_all(bytes)?;
    std::fs::rename(next, path)
}

/// Removes what neither the list nor the board names nor is among the latest of the rest.
fn sweep(folder: &Path, list: &List, outputs: &[String]) -> std::io::Result<()> {
    let named = list.documents.iter().chain(&list.key_files);
    let named = named.map(|entry| entry.digest.as_str());
    let named: BTreeSet<&str> = named
        .chain(outputs.iter().map(String::as_str))
        .chain([LIST, BOARD])
        .collect();
    let mut rest = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if !named.contains(&*name) {
            rest.push((entry.metadata()?.mtime(), entry.path()));
        }
    }
    rest.sort();
    let surplus = rest.len().saturating_sub(KEPT);
    rest.iter()
        .take(surplus)
        .try_for_each(|(_, path)| std::fs::remove_file(path))
}

/// The outbox as the network process sees it.
#[derive(Clone, Debug)]
pub struct Outbox {
    folder: PathBuf,
    /// What it holds.
    pub list: List,
}

impl Outbox {
    /// Reads the list. An outbox into which nothing was put yet is empty.
    pub fn open(places: &Places) -> Result<Self, SpoolError> {
        let folder = places.outbox();
        let list = read_json(&folder, LIST)?;
        Ok(Self { folder, list })
    }
}

impl Shelf for Outbox {
    fn read(
        &self,
        kind: DocumentKind,
        digest: Sha256Digest,
        offset: u64,
        limit: usize,
    ) -> Option<(Vec<u8>, u64)> {
        if kind == DocumentKind::IndexFile {
            return None;
        }
        let mut file = open(&self.folder.join(digest.to_string())).ok()??;
        let size = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(offset)).ok()?;
        let mut bytes = Vec::new();
        file.take(limit as u64).read_to_end(&mut bytes).ok()?;
        let is_whole = offset == 0 && bytes.len() as u64 == size;
        // A power cut may have torn it; then it is not there.
        (is_whole && protocol::sha256(&bytes) == digest).then_some((bytes, size))
    }
}

/// A file of the executor's in its one form; the default where there is none yet.
fn read_json<T: Default + serde::de::DeserializeOwned>(folder: &Path, name: &str) -> Result<T, SpoolError> {
    let path = folder.join(name);
    match open(&path) {
        Ok(Some(file)) => {
            let mut bytes = Vec::new();
            file.take(LONGEST_LIST)
                .read_to_end(&mut bytes)
                .map_err(failure(folder, "read"))?;
            serde_json::from_slice(&bytes).map_err(|cause| SpoolError::Malformed { path, cause })
        }
        Ok(None) => Err(SpoolError::Foreign { path }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(failure(folder, "read")(error)),
    }
}

/// A file of the executor's: written by root or by this very user. Nothing if it is anybody else's.
fn open(path: &Path) -> std::io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let facts = file.metadata()?;
    let is_executors = facts.uid() == 0 || facts.uid() == rustix::process::geteuid().as_raw();
    Ok((facts.is_file() && is_executors).then_some(file))
}

fn failure(folder: &Path, attempt: &'static str) -> impl Fn(std::io::Error) -> SpoolError + use<> {
    let folder = folder.to_owned();
    move |cause| SpoolError::Io {
        attempt,
        folder: folder.clone(),
        cause,
    }
}
