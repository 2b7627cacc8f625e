//! Believing a signed file: an InRelease, or a Release with its Release.gpg. The only place where [`Verified`] is made,
//! so that whoever holds one holds bytes that a known key signed and nothing else.
//!
//! The rule: GnuPG's verdict as apt reads it, never less strict. One good signature by an allowed key suffices; a bad
//! one by any known key refuses the file, whatever the others say; unknown keys do not matter.

pub(crate) mod armor;
pub(crate) mod certificate;
mod key;
pub(crate) mod packet;
mod proven;
mod refusal;
pub(crate) mod signature;

pub use armor::ArmorError;
pub use packet::PacketError;
pub use proven::Proven;
pub use refusal::{Fault, Refusal, SignatureFault};

use super::clearsign::{self, DigestName};
use super::keyring::{FoundKey, Keyring, hexadecimal};
use certificate::{CLOCK_SKEW_SECONDS, seconds};
use jiff::Timestamp;
use packet::{packets, tag};
use refusal::digest_name;
use signature::{Criticals, Issuer, Signature, Unreadable};

/// Most signatures that one file may carry.
pub const MAX_SIGNATURES: usize = 16;
/// Largest detached signature file, in bytes.
pub const MAX_SIGNATURE_BYTES: usize = 64 << 10;

/// A text that at least one allowed key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    text: Vec<u8>,
    signatures: Vec<GoodSignature>,
}

impl Verified {
    /// The signed text and nothing else.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The good signatures by allowed keys, in the file's order; at least one.
    pub fn signatures(&self) -> &[GoodSignature] {
        &self.signatures
    }
}

/// A good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodSignature {
    /// Fingerprint of the certificate, upper-case hexadecimal.
    pub certificate: String,
    /// Fingerprint of the key that made it: the primary key or a subkey.
    pub key: String,
    /// The certificate's user id, without control characters.
    pub user_id: Option<String>,
    /// When it was made.
    pub made: Timestamp,
    /// When it, its key or its certificate ends, whichever is first.
    pub expires: Option<Timestamp>,
}

/// Verifies a clear-signed file (InRelease) at `now`.
pub fn verify_inrelease(file: &[u8], keyring: &Keyring, now: Timestamp) -> Result<Verified, Refusal> {
    let signed = clearsign::split(file).map_err(Refusal::Shape)?;
    let canonical = signed.canonical();
    let document = Document {
        bytes: &canonical,
        kind: 1,
        announced: Some(signed.digests()),
    };
    let signatures = document.verify(signed.signature(), keyring, now)?;
    Ok(Verified {
        text: signed.into_text(),
        signatures,
    })
}

/// Verifies a file (Release) by its detached, armoured signature (Release.gpg) at `now`.
pub fn verify_detached(
    release: &[u8],
    signature: &[u8],
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Verified, Refusal> {
    if release.len() > clearsign::MAX_INRELEASE_BYTES {
        return Err(Refusal::TooLarge {
            size_bytes: release.len(),
        });
    }
    if signature.len() > MAX_SIGNATURE_BYTES {
        return Err(Refusal::TooLarge {
            size_bytes: signature.len(),
        });
    }
    let document = Document {
        bytes: release,
        kind: 0,
        announced: None,
    };
    let signatures = document.verify(signature, keyring, now)?;
    Ok(Verified {
        text: release.to_vec(),
        signatures,
    })
}

/// What is signed, in the form in which it is hashed.
struct Document<'file> {
    bytes: &'file [u8],
    /// The signature type that signs this form (RFC 9580 §5.2.1).
    kind: u8,
    /// Digests that the file announced, if it has to.
    announced: Option<&'file [DigestName]>,
}

impl Document<'_> {
    /// The good signatures by allowed keys, at least one.
    fn verify(
        &self,
        armored: &[u8],
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<Vec<GoodSignature>, Refusal> {
        let block = armor::decode_one(armored, "SIGNATURE").map_err(Refusal::Armor)?;
        let mut good = Vec::new();
        let mut faults = Vec::new();
        let mut is_understood = true;
        for (number, packet) in packets(&block).enumerate() {
            let packet = packet.map_err(Refusal::Packet)?;
            if number == MAX_SIGNATURES {
                return Err(Refusal::TooManySignatures {
                    limit: MAX_SIGNATURES,
                });
            }
            if packet.tag != tag::SIGNATURE {
                return Err(Refusal::NotASignature { tag: packet.tag });
            }
            let signature = Signature::parse(packet.body);
            is_understood &= signature.as_ref().is_ok_and(|signature| self.is_usual(signature));
            match self.check(signature, keyring, now) {
                Ok(signature) if is_understood => good.push(signature),
                Ok(signature) => faults.push(SignatureFault {
                    issuer: signature.key,
                    user_id: signature.user_id,
                    fault: Fault::BehindUnknown,
                }),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.iter().any(|fault| fault.fault.is_fatal()) {
            faults.retain(|fault| fault.fault.is_fatal());
            return Err(Refusal::Signatures(faults));
        }
        if good.is_empty() {
            Err(Refusal::Signatures(faults))
        } else {
            Ok(good)
        }
    }

    /// Whether GnuPG goes on to the next signature after this one, whoever made it.
    fn is_usual(&self, signature: &Signature<'_>) -> bool {
        signature.kind == self.kind && signature.has_known_algorithms()
    }

    fn check(
        &self,
        signature: Result<Signature<'_>, Unreadable>,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<GoodSignature, SignatureFault> {
        let signature = signature.map_err(|unreadable| unreadable_fault(unreadable, keyring))?;
        let keys = keyring.find(signature.issuer);
        let Some(key) = keys.first().copied() else {
            return Err(about(signature.issuer, None, Fault::UnknownKey));
        };
        let judged = self.judge(&signature, key, now).and_then(|end| {
            if keys.iter().any(|copy| copy.certificate.is_revoked()) {
                Err(Fault::KeyRevoked { reason: None })
            } else if keyring.allows(key) {
                Ok(end)
            } else {
                Err(Fault::NotAllowed)
            }
        });
        let expires = judged.map_err(|fault| about(signature.issuer, Some(key), fault))?;
        Ok(GoodSignature {
            certificate: fingerprint_of(key.certificate.primary().fingerprint),
            key: fingerprint_of(key.component.fingerprint),
            user_id: key.certificate.user_id().map(str::to_owned),
            made: seconds(signature.made),
            expires,
        })
    }

    /// Until when the signature by this key is good. What makes it a bad one comes first, what makes it worthless after.
    fn judge(
        &self,
        signature: &Signature<'_>,
        key: FoundKey<'_>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Fault> {
        let public = key.component.key().map_err(|unusable| Fault::Algorithm {
            algorithm: unusable.algorithm,
        })?;
        if signature.kind != self.kind {
            return Err(Fault::Kind { kind: signature.kind });
        }
        if signature.criticals == Criticals::Unknown {
            return Err(Fault::UnknownCritical);
        }
        if self
            .announced
            .is_some_and(|names| !names.iter().any(|name| number_of(*name) == signature.digest))
        {
            return Err(Fault::NotAnnounced);
        }
        if !signature.is_by(public, &[self.bytes]) {
            return Err(Fault::Altered);
        }
        if !signature.has_strong_digest() {
            return Err(Fault::WeakDigest {
                digest: digest_name(signature.digest),
            });
        }
        let made = seconds(signature.made);
        if made.as_second() > now.as_second() + CLOCK_SKEW_SECONDS {
            return Err(Fault::FromTheFuture { made });
        }
        if signature.made < key::created(&key.component.body) {
            return Err(Fault::OlderThanKey { made });
        }
        let end = signature.expires().map(seconds);
        if let Some(since) = end.filter(|end| *end <= now) {
            return Err(Fault::Expired { since });
        }
        let key_end = key.certificate.may_sign(key.component, now)?;
        Ok([end, key_end].into_iter().flatten().min())
    }
}

/// What is wrong with a packet that is no version 4 signature: nothing that matters if its maker is unknown anyway.
fn unreadable_fault(unreadable: Unreadable, keyring: &Keyring) -> SignatureFault {
    match unreadable {
        Unreadable::Old { key_id } => {
            let issuer = Issuer {
                key_id: Some(key_id),
                fingerprint: None,
            };
            match keyring.find(issuer).first() {
                Some(key) => about(issuer, Some(*key), Fault::OutdatedForm),
                None => about(issuer, None, Fault::UnknownKey),
            }
        }
        Unreadable::Version(_) => about(Issuer::default(), None, Fault::UnknownKey),
        Unreadable::Malformed => about(Issuer::default(), None, Fault::Malformed),
    }
}

fn about(issuer: Issuer, key: Option<FoundKey<'_>>, fault: Fault) -> SignatureFault {
    let fingerprint = issuer
        .fingerprint
        .or(key.and_then(|key| key.component.fingerprint));
    let issuer = fingerprint
        .map(|print| hexadecimal(&print))
        .or(issuer.key_id.map(|id| hexadecimal(&id)));
    let user_id = key.and_then(|key| key.certificate.user_id().map(str::to_owned));
    SignatureFault {
        issuer: issuer.unwrap_or_default(),
        user_id,
        fault,
    }
}

fn fingerprint_of(fingerprint: Option<[u8; 20]>) -> String {
    fingerprint.map(|print| hexadecimal(&print)).unwrap_or_default()
}

/// The digest's number (RFC 9580 §9.5).
fn number_of(name: DigestName) -> u8 {
    match name {
        DigestName::Md5 => 1,
        DigestName::Sha1 => 2,
        DigestName::Ripemd160 => 3,
        DigestName::Sha256 => 8,
        DigestName::Sha384 => 9,
        DigestName::Sha512 => 10,
        DigestName::Sha224 => 11,
    }
}
