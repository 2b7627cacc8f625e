//! One document, from the bytes that an agent sent to the row that is stored.

use domain::digest::Sha256Digest;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use jiff::Timestamp;
use protocol::document::channels::ChannelConfigDocument;
use protocol::document::delta::{DeltaError, InventoryDelta};
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document as _, DocumentError, DocumentKind};
use protocol::limits;
use protocol::message::documents::{Form, Part, WhyRefused};
use store::document::{Document, Encoding};

/// A document that is what it says, ready to be stored.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) kind: DocumentKind,
    pub(super) document: Document,
    /// When the host saw itself so.
    pub(super) observed_at: Timestamp,
}

/// Why a document is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Its digest.
    #[error("the document's digest is {made}")]
    Digest {
        /// The digest of what came.
        made: Sha256Digest,
    },
    /// It is too long for its kind.
    #[error("the document is longer than {limit} bytes")]
    TooLong {
        /// How long it may be.
        limit: usize,
    },
    /// Its text.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The delta that it came as.
    #[error(transparent)]
    Delta(DeltaError),
    /// The delta starts from an inventory that is not here any more.
    #[error("the server does not have the inventory that the delta starts from: send it whole")]
    BaseUnknown,
    /// A form or kind that is not taken so.
    #[error("a document of this kind does not come in this form")]
    Form,
}

impl Fault {
    pub(super) fn why(&self) -> WhyRefused {
        match self {
            Self::Digest { .. } | Self::Delta(DeltaError::OtherResult { .. }) => WhyRefused::Digest,
            Self::TooLong { .. }
            | Self::Document(DocumentError::TooLarge(_))
            | Self::Delta(DeltaError::Document(DocumentError::TooLarge(_))) => WhyRefused::TooLarge,
            Self::BaseUnknown => WhyRefused::BaseUnknown,
            Self::Document(_) | Self::Delta(_) | Self::Form => WhyRefused::Malformed,
        }
    }
}

/// Checks a document: digest, canonical text, limits. `base` is the inventory that a delta starts from.
pub(super) fn check(
    part: &Part,
    bytes: &[u8],
    base: Option<&[u8]>,
    observed_at: Timestamp,
) -> Result<Checked, Fault> {
    let plain = match (&part.form, part.kind) {
        (Form::Whole, kind) => {
            check_whole(kind, part.digest, bytes)?;
            bytes.to_vec()
        }
        (Form::Delta { .. }, DocumentKind::Inventory) => {
            let delta = InventoryDelta::parse(bytes)?;
            let base = InventoryDocument::parse_kept(base.ok_or(Fault::BaseUnknown)?)?;
            let (_inventory, made) = delta.apply(base, part.digest).map_err(Fault::Delta)?;
            made
        }
        (Form::Delta { .. } | Form::Piece { .. }, _) => return Err(Fault::Form),
    };
    Ok(Checked {
        kind: part.kind,
        document: encode(super::stored_kind(part.kind), part.digest, &plain),
        observed_at,
    })
}

fn check_whole(kind: DocumentKind, digest: Sha256Digest, bytes: &[u8]) -> Result<(), Fault> {
    let limit = match kind {
        DocumentKind::KeyFile => limits::KEY_FILE_BYTES,
        DocumentKind::Output => limits::OUTPUT_BYTES,
        _ => limits::BODY_BYTES,
    };
    if bytes.len() > limit {
        return Err(Fault::TooLong { limit });
    }
    let made = protocol::sha256(bytes);
    if made != digest {
        return Err(Fault::Digest { made });
    }
    match kind {
        DocumentKind::Inventory => drop(InventoryDocument::parse(bytes)?),
        DocumentKind::ChannelConfig => drop(ChannelConfigDocument::parse(bytes)?),
        DocumentKind::Facts => drop(FactsDocument::parse(bytes)?),
        // Keys are read by whoever verifies with them; until then they are bytes. Output is shown, never read.
        DocumentKind::KeyFile | DocumentKind::Output => {}
        DocumentKind::IndexFile | DocumentKind::Unrecognised => return Err(Fault::Form),
    }
    Ok(())
}

fn encode(kind: store::document::DocumentKind, digest: Sha256Digest, plain: &[u8]) -> Document {
    let packed = deflate(plain);
    let is_smaller = packed.len() < plain.len();
    Document {
        digest,
        kind,
        encoding: if is_smaller {
            Encoding::Deflated
        } else {
            Encoding::Plain
        },
        size_bytes: plain.len() as u64,
        bytes: if is_smaller { packed } else { plain.to_vec() },
    }
}

fn deflate(plain: &[u8]) -> Vec<u8> {
    let mut packer = Compress::new(Compression::fast(), false);
    let mut packed = Vec::with_capacity(plain.len() / 4 + 128);
    loop {
        let taken = usize::try_from(packer.total_in()).unwrap_or(plain.len());
        match packer.compress_vec(&plain[taken..], &mut packed, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => return packed,
            _ => packed.reserve(packed.capacity()),
        }
    }
}

/// The bytes of a stored document as they came.
pub(super) fn decode(document: &Document) -> Result<Vec<u8>, store::Error> {
    let damaged = store::Error::Decode { what: "document" };
    match document.encoding {
        Encoding::Plain => Ok(document.bytes.clone()),
        // Only index files lie in the content store.
        Encoding::Content => Err(damaged),
        Encoding::Deflated => {
            let size = usize::try_from(document.size_bytes).unwrap_or(usize::MAX);
            if size > limits::BODY_BYTES {
                return Err(damaged);
            }
            let mut plain = Vec::with_capacity(size + 1);
            let ended =
                Decompress::new(false).decompress_vec(&document.bytes, &mut plain, FlushDecompress::Finish);
            match ended {
                Ok(Status::StreamEnd) if plain.len() == size => Ok(plain),
                _ => Err(damaged),
            }
        }
    }
}
