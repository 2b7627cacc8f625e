//! Enrolment: a host that has a token, or that was told that it is a copy, asks for an identity of its own. The envelope
//! is signed by the new key, which proves that the host has it.

use super::check_in::Bearer;
use super::{Kind, Message};
use crate::card::ServerCard;
use crate::envelope::Body;
use crate::key::SigningKey;
use crate::limits::{self, OverLimit};
use crate::link::Link;
use crate::wire;
use domain::id::{HostId, KeyId};
use serde::{Deserialize, Serialize};

/// A host asks to be enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrol {
    /// The host's new Ed25519 public key; the envelope is signed by it.
    #[serde(with = "wire::array")]
    pub public_key: [u8; 32],
    /// With what it asks.
    pub credential: Credential,
    /// The host's own name, for people.
    pub hostname: String,
    /// The agent's version, such as `0.1.0`.
    pub agent_version: String,
    /// Where the host runs.
    pub bearer: Bearer,
    /// First 16 bytes of SHA-256 over `patchyard machine id\0` and the machine-id, so that the same machine is known again.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "wire::array_option")]
    pub machine: Option<[u8; 16]>,
    /// The name that the server knew this host by before, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "wire::text_option")]
    pub formerly: Option<HostId>,
}

/// With what a host asks to be enrolled.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Credential {
    /// The secret of an enrolment token.
    Token {
        /// The 16 bytes.
        #[serde(with = "wire::array")]
        secret: [u8; 16],
        /// The site that the token names.
        site: String,
    },
    /// Its old identity, which another host has gone on with.
    Copy {
        /// The identity that it had.
        #[serde(with = "wire::text")]
        of: HostId,
        /// The key that it had.
        #[serde(with = "wire::text")]
        key: KeyId,
        /// That key's signature over [`copy_claim`].
        #[serde(with = "wire::array")]
        signature: [u8; 64],
    },
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Token { site, .. } => write!(f, "Token(.., {site:?})"),
            Self::Copy { of, key, .. } => write!(f, "Copy({of}, {key})"),
        }
    }
}

/// What the old key signs when a copy asks for an identity of its own with a new key.
pub fn copy_claim(of: HostId, public_key: &[u8; 32]) -> Vec<u8> {
    [b"patchyard copy 1\0".as_slice(), &of.0, public_key].concat()
}

impl Credential {
    /// The credential of a copy that still has the key of its old identity.
    pub fn copy_of(of: HostId, old: &SigningKey, public_key: &[u8; 32]) -> Self {
        Self::Copy {
            of,
            key: old.id(),
            signature: old.sign(&copy_claim(of, public_key)),
        }
    }
}

impl Message for Enrol {
    const KIND: Kind = Kind::ENROL;
}

/// The host has an identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The host's id.
    #[serde(with = "wire::text")]
    pub host: HostId,
    /// Whether it may already check in.
    pub standing: Standing,
    /// The name of its site.
    pub site: String,
    /// The host's TLS client certificate and those above it, DER, its own first.
    #[serde(with = "wire::bytes_list")]
    pub certificates: Vec<Vec<u8>>,
    /// The first link of its chain.
    pub link: Link,
}

/// Whether an enrolled host may check in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It may.
    Active,
    /// Somebody must approve it first; until then check-ins are refused as `pending`.
    Pending,
}

impl Message for Enrolled {
    const KIND: Kind = Kind::ENROLLED;

    fn within_limits(&self) -> Result<(), OverLimit> {
        limits::within("certificates", self.certificates.len(), limits::CARD_ENTRIES)
    }
}

/// A body of an answer to an enrolment, in which the server introduces itself by its card. Refusals have it too: the agent
/// must be able to tell a refusal by the pinned server from one by somebody else.
pub fn introducing(message: &impl Message, card: &ServerCard) -> Body {
    Body {
        attachment: Some(card.to_bytes()),
        ..message.to_body()
    }
}
