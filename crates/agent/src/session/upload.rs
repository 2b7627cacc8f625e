//! What of the wanted documents goes into one message: whole, as what changed, or in pieces. Bytes are read by whoever has
//! them; which, and how many, is decided here.

use super::Upload;
use domain::digest::Sha256Digest;
use protocol::document::delta::InventoryDelta;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document, DocumentKind};
use protocol::limits;
use protocol::link::Link;
use protocol::message::check_in::Wanted;
use protocol::message::documents::{Documents, Form, Part};

/// Bytes of documents in one message: what is left of the limit is for the names of the parts.
const MESSAGE_BYTES: usize = limits::BODY_BYTES - (256 << 10);
/// Bytes of an index file in one message.
const PIECE_BYTES: usize = 4 << 20;

/// Where the bytes of documents come from.
pub trait Shelf {
    /// The bytes of a document from `offset` on, at most `limit`, and how many the whole has; nothing if it is not there.
    fn read(
        &self,
        kind: DocumentKind,
        digest: Sha256Digest,
        offset: u64,
        limit: usize,
    ) -> Option<(Vec<u8>, u64)>;
}

/// A message of documents before it is written.
pub(super) struct Sent {
    pub(super) link: Link,
    pub(super) parts: Vec<Part>,
}

impl Sent {
    pub(super) fn message(self) -> Documents {
        Documents {
            link: self.link,
            documents: self.parts,
        }
    }
}

/// Takes from the shelf what fits into one message. A document larger than a message counts as missing.
pub fn collect(wanted: Vec<Wanted>, shelf: &impl Shelf) -> Upload {
    let mut upload = Upload::default();
    let mut rest = wanted.into_iter();
    for want in rest.by_ref() {
        if upload.parts.len() == limits::DOCUMENTS_PER_MESSAGE {
            upload.left.push(want);
            break;
        }
        let Some((part, bytes, more)) = part(&want, shelf) else {
            upload.missing.push(want);
            continue;
        };
        if upload.bytes.len() + bytes.len() > MESSAGE_BYTES {
            upload.left.push(want);
            break;
        }
        upload.parts.push(part);
        upload.bytes.extend(bytes);
        upload.left.extend(more);
    }
    upload.left.extend(rest);
    upload
}

/// One part, its bytes, and what is still to be sent of the same document.
fn part(want: &Wanted, shelf: &impl Shelf) -> Option<(Part, Vec<u8>, Option<Wanted>)> {
    let limit = match want.kind {
        DocumentKind::IndexFile => PIECE_BYTES,
        _ => MESSAGE_BYTES,
    };
    let (bytes, total_bytes) = shelf.read(want.kind, want.digest, want.offset, limit)?;
    let end = want.offset + bytes.len() as u64;
    let (form, bytes) = match want.kind {
        DocumentKind::IndexFile => {
            let offset = want.offset;
            (Form::Piece { offset, total_bytes }, bytes)
        }
        _ if end < total_bytes || want.offset > 0 => return None,
        _ => as_delta(want, &bytes, shelf).unwrap_or((Form::Whole, bytes)),
    };
    let more = (end < total_bytes && !bytes.is_empty()).then_some(Wanted { offset: end, ..*want });
    let part = Part {
        kind: want.kind,
        digest: want.digest,
        size_bytes: bytes.len() as u64,
        form,
    };
    Some((part, bytes, more))
}

/// What changed since the inventory that the server has, if that is still here and saves anything.
fn as_delta(want: &Wanted, bytes: &[u8], shelf: &impl Shelf) -> Option<(Form, Vec<u8>)> {
    let base = want.base.filter(|_| want.kind == DocumentKind::Inventory)?;
    let (old, _) = shelf.read(want.kind, base, 0, MESSAGE_BYTES)?;
    let old = InventoryDocument::parse_kept(&old).ok()?;
    let new = InventoryDocument::parse_kept(bytes).ok()?;
    let delta = InventoryDelta::between(&old, &new).to_bytes();
    (delta.len() < bytes.len()).then_some((Form::Delta { base }, delta))
}
