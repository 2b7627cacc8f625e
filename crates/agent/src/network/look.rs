//! How the host looks, as far as every user may see it, and what the executor left in the outbox.

use super::{edge, files};
use crate::documents::carry::{self, Carried};
use crate::executor::spool::{Board, Outbox, SpoolError};
use crate::host::ReadOptions;
use crate::service::Places;
use crate::session::upload::Shelf;
use crate::session::{Look, Memory};
use crate::survey;
use crate::tree::Tree;
use domain::digest::Sha256Digest;
use domain::identity::BootId;
use domain::identity::time::BootClock;
use protocol::document::DocumentKind;
use protocol::limits;
use protocol::message::check_in::{CarriedSource, DocumentName, Measures};
use std::path::Path;

/// The longest name of a host that is told, in characters.
const NAME_CHARS: usize = 253;

/// The host now.
pub(super) fn now(places: &Places, memory: &Memory) -> Look {
    let wall_clock = edge::wall_clock();
    let outbox = Outbox::open(places);
    let mut troubles = Vec::new();
    let list = match outbox {
        Ok(outbox) => outbox.list,
        Err(error) => {
            troubles.push(crate::problem::chain(&error));
            crate::executor::spool::List::default()
        }
    };
    let read_at = BootClock {
        boot: BootId(hex_16(&list.boot).unwrap_or_default()),
        micros: list.boot_micros,
    };
    // A reading of an earlier boot is dated by what was known of time then.
    let now_clock = edge::boot_clock();
    let clock = if read_at.boot == now_clock.boot {
        read_at
    } else {
        now_clock
    };
    let observed_at = memory.estimate(clock, wall_clock);
    let documents = list.documents.iter().filter_map(|entry| {
        Some(DocumentName {
            kind: entry.kind,
            digest: entry.digest.parse().ok()?,
            observed_at,
        })
    });
    let documents = documents.collect();
    troubles.extend(list.troubles);
    let orders = orders(places).unwrap_or_else(|error| {
        troubles.push(crate::problem::chain(&error));
        Board::default()
    });
    troubles.extend(orders.troubles.iter().cloned());
    let measures = Tree::open(Path::new("/")).ok();
    let measures = measures.map(|tree| survey::measures(&tree, wall_clock.as_microsecond()));
    Look {
        hostname: hostname(),
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: machine(),
        hardware: list.hardware.as_deref().and_then(hex_16),
        mode: crate::mode::read(places).into(),
        documents,
        measures: measures
            .map(|look| Measures::from_domain(&look))
            .unwrap_or_default(),
        troubles,
        carried: Vec::new(),
        orders,
    }
}

/// What the executor tells of orders, within what a check-in may hold; of what it wants, what is not here yet.
pub(super) fn orders(places: &Places) -> Result<Board, SpoolError> {
    let mut board = Board::open(places)?;
    board.reports.truncate(limits::ORDERS);
    board.wants.retain(|wish| !files::is_here(places, wish));
    Ok(board)
}

fn hostname() -> String {
    let name = rustix::system::uname();
    name.nodename()
        .to_string_lossy()
        .chars()
        .take(NAME_CHARS)
        .collect()
}

/// First 16 bytes of SHA-256 over `patchyard machine id\0` and the machine-id.
fn machine() -> Option<[u8; 16]> {
    let id = crate::service::read_bounded(Path::new("/etc/machine-id"), 256)
        .ok()
        .flatten()?;
    let id = id.trim_ascii();
    if id.is_empty() {
        return None;
    }
    let digest = protocol::sha256(&[b"patchyard machine id\0", id].concat());
    digest.0.first_chunk().copied()
}

fn hex_16(text: &str) -> Option<[u8; 16]> {
    let number = (text.len() == 32)
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten();
    number.map(u128::to_be_bytes)
}

/// The index files of these sources, as the host's own apt fetched them; none if nothing is asked for.
pub(super) fn carried(sources: &[CarriedSource]) -> Vec<Carried> {
    if sources.is_empty() {
        return Vec::new();
    }
    let host = crate::host::read(Path::new("/"), ReadOptions::default());
    host.map(|host| carry::carried(&host, sources))
        .unwrap_or_default()
}

/// Where documents are read from when the server wants them.
pub(super) struct Shelves<'a> {
    outbox: Option<Outbox>,
    carried: &'a [Carried],
}

impl<'a> Shelves<'a> {
    pub(super) fn open(places: &Places, carried: &'a [Carried]) -> Self {
        Self {
            outbox: Outbox::open(places).ok(),
            carried,
        }
    }
}

impl Shelf for Shelves<'_> {
    fn read(
        &self,
        kind: DocumentKind,
        digest: Sha256Digest,
        offset: u64,
        limit: usize,
    ) -> Option<(Vec<u8>, u64)> {
        if kind != DocumentKind::IndexFile {
            return self.outbox.as_ref()?.read(kind, digest, offset, limit);
        }
        let own = self
            .carried
            .iter()
            .find(|carried| carried.file.digest == digest)?;
        let tree = Tree::open(Path::new("/")).ok()?;
        let piece = carry::piece(&tree, own, offset, limit).ok()?;
        Some((piece, own.file.size_bytes))
    }
}
