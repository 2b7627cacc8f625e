//! The documents that a check-in was answered to want. Their bytes go as the envelope's attachment, one after the other in
//! the order of the list.

use super::{Kind, Message, MessageError};
use crate::document::DocumentKind;
use crate::envelope::{Body, Opened};
use crate::limits::{self, OverLimit};
use crate::link::Link;
use crate::wire;
use domain::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

/// An agent sends documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Documents {
    /// The link that the check-in before was answered with; it is not used up.
    pub link: Link,
    /// What follows, at most [`limits::DOCUMENTS_PER_MESSAGE`].
    pub documents: Vec<Part>,
}

/// One document, or a piece of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub kind: DocumentKind,
    /// SHA-256 of the whole document.
    #[serde(with = "wire::text")]
    pub digest: Sha256Digest,
    /// How many bytes of the attachment are its.
    pub size_bytes: u64,
    /// What these bytes are.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub form: Form,
}

/// What the bytes of a part are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Form {
    /// The document.
    #[default]
    Whole,
    /// What changed since another inventory; see [`crate::document::delta`].
    Delta {
        /// The digest of the inventory that it starts from.
        #[serde(with = "wire::text")]
        base: Sha256Digest,
    },
    /// A piece of an index file.
    Piece {
        /// Where it begins, in bytes.
        offset: u64,
        /// The size of the whole file, in bytes.
        total_bytes: u64,
    },
}

impl Message for Documents {
    const KIND: Kind = Kind::DOCUMENTS;

    fn within_limits(&self) -> Result<(), OverLimit> {
        limits::within("documents", self.documents.len(), limits::DOCUMENTS_PER_MESSAGE)?;
        let totals = self.documents.iter().map(|part| match part.form {
            Form::Piece { total_bytes, .. } => total_bytes,
            Form::Whole | Form::Delta { .. } => 0,
        });
        let largest = totals.max().unwrap_or(0);
        if largest <= limits::INDEX_FILE_BYTES {
            return Ok(());
        }
        Err(OverLimit {
            what: "bytes of an index file",
            count: largest,
            limit: limits::INDEX_FILE_BYTES,
        })
    }
}

/// Parts and attachment do not fit together.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the documents named have {named} bytes, those sent {sent}")]
pub struct Unfit {
    /// Bytes that the parts name.
    pub named: u64,
    /// Bytes of the attachment.
    pub sent: u64,
}

/// A message of documents that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// The message itself.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// Its attachment.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

impl Documents {
    /// The message and the bytes of its parts as a body.
    pub fn with_bytes(&self, bytes: Vec<u8>) -> Body {
        Body {
            attachment: Some(bytes),
            ..self.to_body()
        }
    }

    /// The message of an envelope, and the bytes of each of its parts.
    ///
    /// # Errors
    /// [`DocumentsError`] if the message cannot be read, or its parts are not exactly the attachment.
    pub fn read<'a>(opened: &'a Opened<'_>) -> Result<(Self, Vec<&'a [u8]>), DocumentsError> {
        let message: Self = opened.message()?;
        let mut rest = opened.attachment();
        let sent = rest.len() as u64;
        let named = message
            .documents
            .iter()
            .map(|part| part.size_bytes)
            .fold(0, u64::saturating_add);
        let unfit = Unfit { named, sent };
        if named != sent {
            return Err(unfit.into());
        }
        let mut bytes = Vec::with_capacity(message.documents.len());
        for part in &message.documents {
            let size = usize::try_from(part.size_bytes).map_err(|_| unfit)?;
            let (own, after) = rest.split_at_checked(size).ok_or(unfit)?;
            bytes.push(own);
            rest = after;
        }
        Ok((message, bytes))
    }
}

/// The server has the documents, durably.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentsTaken {
    /// What it took: digests of whole documents.
    #[serde(with = "wire::text_list")]
    pub taken: Vec<Sha256Digest>,
    /// What it did not take, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedDocument>,
    /// Key files and other documents that those taken name, and that the server does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<super::check_in::Wanted>,
}

/// A document that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedDocument {
    /// Its digest.
    #[serde(with = "wire::text")]
    pub digest: Sha256Digest,
    /// Why.
    pub why: WhyRefused,
    /// The same for people.
    pub sentence: String,
}

/// Why a document is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyRefused {
    /// It was not asked for.
    Unasked,
    /// Its bytes do not have its digest.
    Digest,
    /// It cannot be read, or is not written as documents are.
    Malformed,
    /// It is above a limit.
    TooLarge,
    /// The server no longer has the inventory that the delta starts from: send it whole.
    BaseUnknown,
    /// A reason of a later version.
    #[serde(other)]
    Unrecognised,
}

impl Message for DocumentsTaken {
    const KIND: Kind = Kind::DOCUMENTS_TAKEN;
}
