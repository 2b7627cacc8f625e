//! Renewal of a host's certificate, the only thing that an expired one may do.

use super::{Kind, Message};
use crate::key::{BadSignature, SigningKey, VerifyingKey};
use crate::limits::{self, OverLimit};
use crate::link::Link;
use crate::wire;
use domain::id::HostId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A host asks for a new certificate; the envelope is signed by its present key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renew {
    /// The host.
    #[serde(with = "wire::text")]
    pub host: HostId,
    /// The last link it got; renewal does not use it up.
    pub link: Link,
    /// The agent's version.
    pub agent_version: String,
    /// The key to go on with; absent to keep the present one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_key: Option<NextKey>,
}

/// A key that is to take the place of the present one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextKey {
    /// The public key.
    #[serde(with = "wire::array")]
    pub public_key: [u8; 32],
    /// Its own signature over the host and itself, which proves that the host has it.
    #[serde(with = "wire::array")]
    pub signature: [u8; 64],
}

impl NextKey {
    /// The claim of a host that has this key.
    pub fn new(host: HostId, key: &SigningKey) -> Self {
        let public_key = key.verifying().to_bytes();
        Self {
            public_key,
            signature: key.sign(&Self::claim(host, &public_key)),
        }
    }

    /// The key, if the host has it.
    ///
    /// # Errors
    /// [`BadSignature`] if the claim is not signed by the key itself.
    pub fn verify(&self, host: HostId) -> Result<VerifyingKey, BadSignature> {
        let key = VerifyingKey::from_bytes(self.public_key);
        key.verify(&Self::claim(host, &self.public_key), &self.signature)?;
        Ok(key)
    }

    fn claim(host: HostId, public_key: &[u8; 32]) -> Vec<u8> {
        [b"patchyard next key 1\0".as_slice(), &host.0, public_key].concat()
    }
}

impl Message for Renew {
    const KIND: Kind = Kind::RENEW;
}

/// The new certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewed {
    /// The host's TLS client certificate and those above it, DER, its own first.
    #[serde(with = "wire::bytes_list")]
    pub certificates: Vec<Vec<u8>>,
    /// When it ends, in microseconds since 1970 UTC.
    #[serde(with = "wire::micros")]
    pub not_after: Timestamp,
}

impl Message for Renewed {
    const KIND: Kind = Kind::RENEWED;

    fn within_limits(&self) -> Result<(), OverLimit> {
        limits::within("certificates", self.certificates.len(), limits::CARD_ENTRIES)
    }
}
