//! Which request an answer belongs to. A request's own name does not do: a host and a copy of its disk have one key, and
//! while a request is out they have its nonce and its number too. What differs is what they signed.

use super::{HEADER_BYTES, Header};
use crate::message::Kind;
use crate::{VERSION, sha256};
use domain::identity::Nonce;
use jiff::Timestamp;

/// A request as its answer names it: by the first 16 bytes of SHA-256 over its header and its signature.
///
/// Made from an envelope only, so that nothing can be answered that was not read, and no answer believed that was given to
/// somebody else: a relay that carries both cannot exchange them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    kind: Kind,
    sequence: u64,
    name: Nonce,
}

impl Asked {
    pub(super) fn of(header: Header, head: &[u8; HEADER_BYTES]) -> Self {
        let digest = sha256(head);
        let name = digest.0.first_chunk().expect("a digest has 32 bytes");
        Self {
            kind: header.kind,
            sequence: header.sequence,
            name: Nonce(*name),
        }
    }

    /// What was asked.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The header of an answer of this kind.
    pub fn answer(&self, kind: Kind, sent_at: Timestamp) -> Header {
        Header {
            protocol: VERSION,
            kind,
            sequence: self.sequence,
            nonce: self.name,
            sent_at,
        }
    }

    pub(super) fn is_named_by(&self, answer: &Header) -> bool {
        answer.nonce == self.name && answer.sequence == self.sequence
    }
}
