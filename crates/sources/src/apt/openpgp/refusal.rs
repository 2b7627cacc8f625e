//! Why a signed file is not believed, in words that tell a person what to do.

use super::armor::ArmorError;
use super::packet::PacketError;
use crate::apt::clearsign::ClearSignError;
use jiff::Timestamp;
use std::fmt;

/// Why a signed file is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not exactly one clear-signed text.
    #[error("it is not one clear-signed text")]
    Shape(#[source] ClearSignError),
    /// The signed document is larger than allowed.
    #[error("it has {size_bytes} bytes, more than are allowed")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// The signature's armour is damaged.
    #[error("its signature cannot be read")]
    Armor(#[source] ArmorError),
    /// The signature's packets are damaged.
    #[error("its signature cannot be read")]
    Packet(#[source] PacketError),
    /// Something else stands between the signatures.
    #[error("its signature block contains an OpenPGP packet of type {tag}, which is no signature")]
    NotASignature {
        /// The packet's type.
        tag: u8,
    },
    /// More signatures than anyone needs.
    #[error("it carries more than {limit} signatures")]
    TooManySignatures {
        /// How many are allowed.
        limit: usize,
    },
    /// No signature is good, or one that should be is not. At least one fault.
    #[error("{}", list(.0))]
    Signatures(Vec<SignatureFault>),
}

impl Refusal {
    /// The faults of single signatures; empty where the file did not get that far.
    pub fn faults(&self) -> &[SignatureFault] {
        match self {
            Self::Signatures(faults) => faults,
            _ => &[],
        }
    }
}

fn list(faults: &[SignatureFault]) -> String {
    faults
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}

/// What is wrong with one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFault {
    /// Fingerprint or, failing that, id of the key that it says made it; upper-case hexadecimal, empty if it names none.
    pub issuer: String,
    /// The key's user id, where the key is known.
    pub user_id: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for SignatureFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = if self.issuer.is_empty() {
            "not named"
        } else {
            &self.issuer
        };
        match &self.user_id {
            Some(user_id) => write!(f, "key {named} ({user_id}): {}", self.fault),
            None => write!(f, "key {named}: {}", self.fault),
        }
    }
}

/// What can be wrong with a signature or its key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The key is not among those of the source.
    #[error("is not among the keys of this source; if its publisher announced it, install the new key file")]
    UnknownKey,
    /// The key is known, and the source names other ones.
    #[error("is known, but this source names other keys")]
    NotAllowed,
    /// The signature does not fit the text.
    #[error("made no such signature; the text or the signature was altered")]
    Altered,
    /// The signature packet contradicts itself or the standard.
    #[error("its signature is malformed")]
    Malformed,
    /// A version 3 signature.
    #[error("its signature has an outdated form (version 3)")]
    OutdatedForm,
    /// The key's algorithm is outside the accepted set.
    #[error(
        "uses {algorithm}, which is not accepted; its publisher must sign with RSA, Ed25519 or ECDSA on a NIST curve"
    )]
    Algorithm {
        /// Its name.
        algorithm: &'static str,
    },
    /// A signature in front of it has a form at which GnuPG stops reading.
    #[error("its signature stands behind one of a form that is not understood")]
    BehindUnknown,
    /// A signature that was made for something other than a text.
    #[error("its signature is of type 0x{kind:02x}, which does not sign a text of this form")]
    Kind {
        /// Signature type (RFC 9580 §5.2.1).
        kind: u8,
    },
    /// The signature's digest is not in the `Hash` header.
    #[error("its signature uses a digest that the Hash header does not announce")]
    NotAnnounced,
    /// A critical subpacket that is not understood.
    #[error("its signature carries a critical condition that is not understood")]
    UnknownCritical,
    /// A digest that is too weak.
    #[error(
        "its signature uses {digest}, which is too weak; its publisher must sign with SHA-256 or SHA-512"
    )]
    WeakDigest {
        /// Its name.
        digest: &'static str,
    },
    /// An RSA key below 2048 bits.
    #[error("has {bits} bits only, at least 2048 are needed; its publisher must make a new key")]
    SmallKey {
        /// Its size.
        bits: usize,
    },
    /// The signature was made later than now.
    #[error("its signature is dated {made}, in the future; check this machine's clock")]
    FromTheFuture {
        /// Its date.
        made: Timestamp,
    },
    /// The signature is older than the key.
    #[error("its signature is dated {made}, before the key was created")]
    OlderThanKey {
        /// Its date.
        made: Timestamp,
    },
    /// The signature had an end.
    #[error("its signature expired {since}")]
    Expired {
        /// When.
        since: Timestamp,
    },
    /// The key had an end.
    #[error("expired {since}; install the publisher's current key file")]
    KeyExpired {
        /// When.
        since: Timestamp,
    },
    /// The key, or its binding, is dated later than now.
    #[error("is valid from {from} only; check this machine's clock")]
    KeyNotYetValid {
        /// From when.
        from: Timestamp,
    },
    /// The key was revoked.
    #[error("was revoked by its owner ({}); install the publisher's current key file", reason.unwrap_or("no reason given"))]
    KeyRevoked {
        /// Why (RFC 9580 §5.2.3.31).
        reason: Option<&'static str>,
    },
    /// The certificate binds the key by a digest that is too weak.
    #[error(
        "is bound to its certificate by {digest} only, which is too weak; install a key file renewed with SHA-256"
    )]
    WeakBinding {
        /// Its name.
        digest: &'static str,
    },
    /// The certificate does not vouch for the key.
    #[error("is not vouched for by its own certificate")]
    Unbound,
    /// The key is not for signing.
    #[error("may not sign by its certificate")]
    MayNotSign,
    /// The subkey does not confirm that it belongs to the certificate.
    #[error("is a subkey that does not confirm that it belongs to its certificate")]
    NoBackSignature,
    /// The certificate carries more self-signatures than are checked.
    #[error("has a certificate with too many signatures")]
    TooManySelfSignatures,
}

impl Fault {
    /// Whether the file is refused even if another signature is good: GnuPG would report a bad signature, which apt
    /// never forgives, or this program cannot tell.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Altered
                | Self::Malformed
                | Self::OutdatedForm
                | Self::Algorithm { .. }
                | Self::Kind { .. }
                | Self::NotAnnounced
                | Self::UnknownCritical
        )
    }
}

/// Names of digests (RFC 9580 §9.5).
pub(crate) fn digest_name(number: u8) -> &'static str {
    match number {
        1 => "MD5",
        2 => "SHA-1",
        3 => "RIPEMD-160",
        8 => "SHA-256",
        9 => "SHA-384",
        10 => "SHA-512",
        11 => "SHA-224",
        12 => "SHA3-256",
        14 => "SHA3-512",
        _ => "an unknown digest",
    }
}

/// Reasons of a revocation (RFC 9580 §5.2.3.31).
pub(crate) fn revocation_reason(code: u8) -> Option<&'static str> {
    match code {
        1 => Some("replaced by a new key"),
        2 => Some("compromised"),
        3 => Some("no longer used"),
        _ => None,
    }
}
