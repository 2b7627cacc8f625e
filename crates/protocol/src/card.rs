//! The server's card: where it listens, which authorities it has, and which keys they vouch for. An agent believes a card
//! if an authority on it is one that the agent already pins; the next authority stands on it ahead of time, endorsed by
//! the present one. A card is known by the SHA-256 digest of its bytes.

mod trust;

use crate::address::ServerAddress;
use crate::key::{SigningKey, VerifyingKey};
use crate::limits::{self, OverLimit};
use crate::{sha256, wire};
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
pub use trust::{Trust, TrustedKey};

/// What a server says of itself. JSON; keys and authorities that an agent does not understand are left out by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCard {
    /// The server's life between two restores, counted from 1; it never goes back.
    pub epoch: u64,
    /// Where it listens, the best first; at most [`limits::ADDRESSES`].
    #[serde(with = "wire::text_list")]
    pub addresses: Vec<ServerAddress>,
    /// Its authorities, the present one first; at most [`limits::CARD_ENTRIES`].
    pub authorities: Vec<Authority>,
    /// The keys that they vouch for; at most [`limits::CARD_ENTRIES`].
    pub keys: Vec<KeyCertificate>,
}

/// A root authority: what its TLS certificates and keys hang from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Its X.509 certificate, DER, with an Ed25519 key.
    #[serde(with = "wire::bytes")]
    pub certificate: Vec<u8>,
    /// Other authorities that name it as one to follow them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endorsements: Vec<Endorsement>,
}

/// An authority's word for the one that follows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endorsement {
    /// The digest of the endorsing authority's certificate.
    #[serde(with = "wire::text")]
    pub by: Sha256Digest,
    /// Its signature over `patchyard authority 1`, a zero byte and the digest of the endorsed certificate.
    #[serde(with = "wire::array")]
    pub signature: [u8; 64],
}

/// An authority's word for a key of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyCertificate {
    /// What the key is for.
    pub purpose: Purpose,
    /// The key.
    #[serde(with = "wire::array")]
    pub public_key: [u8; 32],
    /// From when on it counts.
    #[serde(with = "wire::micros")]
    pub not_before: Timestamp,
    /// Until when it counts.
    #[serde(with = "wire::micros")]
    pub not_after: Timestamp,
    /// The server's epoch when the key was certified.
    pub epoch: u64,
    /// The digest of the certifying authority's certificate.
    #[serde(with = "wire::text")]
    pub by: Sha256Digest,
    /// Its signature over what stands above; the bytes are those of docs/protocol.md.
    #[serde(with = "wire::array")]
    pub signature: [u8; 64],
}

/// What a key of the server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Signs answers to agents.
    Answers,
    /// Signs orders.
    Orders,
    /// Signs checkpoints of the audit.
    Audit,
    /// Something of a later version.
    #[serde(other)]
    Unrecognised,
}

/// A card that is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The envelope has none.
    #[error("the server's answer does not say who the server is")]
    Absent,
    /// It cannot be read.
    #[error("the server's card cannot be read")]
    Malformed(#[source] serde_json::Error),
    /// A list on it is too long.
    #[error(transparent)]
    TooLarge(#[from] OverLimit),
    /// No authority on it is a pinned one.
    #[error("the server is another one: it is not of the authority that this host was told to trust")]
    OtherAuthority,
    /// The pinned authority vouches for no key that signs answers.
    #[error("the server's authority vouches for no key that signs answers")]
    NoAnswersKey,
}

/// An authority's certificate that cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the authority's certificate is no X.509 certificate with an Ed25519 key")]
pub struct NotAnAuthority;

/// What an X.509 certificate with an Ed25519 key has where its public key stands, before the 32 bytes (RFC 8410).
const ED25519_KEY_INFO: [u8; 10] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The public key of an authority's certificate (DER).
///
/// # Errors
/// [`NotAnAuthority`] if it is no X.509 certificate, or its key is of another kind.
pub fn authority_key(certificate: &[u8]) -> Result<VerifyingKey, NotAnAuthority> {
    let certificate = rustls_pki_types::CertificateDer::from(certificate);
    let anchor = webpki::anchor_from_trusted_cert(&certificate).map_err(|_| NotAnAuthority)?;
    let info = anchor.subject_public_key_info.as_ref();
    let key = info
        .strip_prefix(&ED25519_KEY_INFO)
        .and_then(|key| key.try_into().ok());
    key.map(VerifyingKey::from_bytes).ok_or(NotAnAuthority)
}

impl Authority {
    /// An authority that nobody endorses.
    pub fn new(certificate: Vec<u8>) -> Self {
        Self {
            certificate,
            endorsements: Vec::new(),
        }
    }

    /// The same authority, endorsed by another one (its certificate and its key).
    #[must_use]
    pub fn endorsed(mut self, by: &[u8], key: &SigningKey) -> Self {
        let signature = key.sign(&Endorsement::claim(self.digest()));
        self.endorsements.push(Endorsement {
            by: sha256(by),
            signature,
        });
        self
    }

    /// The digest by which it is pinned.
    pub fn digest(&self) -> Sha256Digest {
        sha256(&self.certificate)
    }
}

impl Endorsement {
    fn claim(endorsed: Sha256Digest) -> Vec<u8> {
        [b"patchyard authority 1\0".as_slice(), &endorsed.0].concat()
    }
}

impl Purpose {
    const fn code(self) -> u8 {
        match self {
            Self::Unrecognised => 0,
            Self::Answers => 1,
            Self::Orders => 2,
            Self::Audit => 3,
        }
    }
}

/// What an authority certifies of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTerms {
    /// What it is for.
    pub purpose: Purpose,
    /// From when on it counts.
    pub not_before: Timestamp,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// The server's epoch.
    pub epoch: u64,
}

impl KeyCertificate {
    /// The word of an authority (the digest of its certificate, and its key) for a key.
    pub fn issue(by: Sha256Digest, authority: &SigningKey, key: VerifyingKey, terms: KeyTerms) -> Self {
        let mut certificate = Self {
            purpose: terms.purpose,
            public_key: key.to_bytes(),
            not_before: terms.not_before,
            not_after: terms.not_after,
            epoch: terms.epoch,
            by,
            signature: [0; 64],
        };
        certificate.signature = authority.sign(&certificate.claim());
        certificate
    }

    fn claim(&self) -> Vec<u8> {
        [
            b"patchyard key 1\0".as_slice(),
            &[self.purpose.code()],
            &self.public_key,
            &self.not_before.as_microsecond().to_be_bytes(),
            &self.not_after.as_microsecond().to_be_bytes(),
            &self.epoch.to_be_bytes(),
        ]
        .concat()
    }
}

impl ServerCard {
    /// Reads a card. It is not to be believed before [`ServerCard::verify`].
    ///
    /// # Errors
    /// [`CardError`] if it cannot be read or is above a limit.
    pub fn parse(bytes: &[u8]) -> Result<Self, CardError> {
        let card: Self = serde_json::from_slice(bytes).map_err(CardError::Malformed)?;
        limits::within("addresses of a server", card.addresses.len(), limits::ADDRESSES)?;
        limits::within(
            "authorities of a server",
            card.authorities.len(),
            limits::CARD_ENTRIES,
        )?;
        limits::within("keys of a server", card.keys.len(), limits::CARD_ENTRIES)?;
        for authority in &card.authorities {
            limits::within(
                "bytes of a certificate",
                authority.certificate.len(),
                limits::CERTIFICATE_BYTES,
            )?;
            limits::within("endorsements", authority.endorsements.len(), limits::CARD_ENTRIES)?;
        }
        Ok(card)
    }

    /// The card's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a card has text as keys and no floating numbers")
    }

    /// The digest of the card's bytes.
    pub fn digest(&self) -> Sha256Digest {
        sha256(&self.to_bytes())
    }

    /// What may be believed of the card by somebody who pins these authorities (digests of their certificates).
    ///
    /// # Errors
    /// [`CardError`] if no authority on it is pinned, or none that may be believed vouches for a key that signs answers.
    pub fn verify(&self, pins: &[Sha256Digest]) -> Result<Trust, CardError> {
        trust::of(self, pins)
    }
}
