//! Signature packets (RFC 9580 §5.2), read from their own bytes so that what is hashed is what was received. Of an
//! unknown or doubtful packet nothing is guessed.

use super::key::{self, PublicKey, Value};
use super::packet::{Criticality, Subpacket, subpackets};

/// A version 4 signature.
#[derive(Clone, Debug)]
pub(crate) struct Signature<'packet> {
    /// Signature type (RFC 9580 §5.2.1).
    pub(crate) kind: u8,
    algorithm: u8,
    /// Digest algorithm's number (RFC 9580 §9.5).
    pub(crate) digest: u8,
    /// When it was made, in seconds since 1970.
    pub(crate) made: u32,
    /// Seconds after which it ends; 0 is never.
    pub(crate) expires_after: u32,
    /// Seconds after its creation at which the key ends; 0 is never.
    pub(crate) key_expires_after: u32,
    /// First byte of the key flags, if it has any.
    pub(crate) key_flags: Option<u8>,
    /// Who made it, as it says itself.
    pub(crate) issuer: Issuer,
    /// A signature inside: the back signature of a subkey.
    pub(crate) embedded: Option<&'packet [u8]>,
    /// Fingerprints of keys that may revoke this one.
    pub(crate) revokers: Vec<[u8; 20]>,
    /// Code of a revocation's reason.
    pub(crate) reason: Option<u8>,
    /// Whether it carries a critical subpacket that is not understood.
    pub(crate) criticals: Criticals,
    signed: &'packet [u8],
    check: [u8; 2],
    numbers: Vec<&'packet [u8]>,
}

/// The maker of a signature, by its own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Issuer {
    pub(crate) key_id: Option<[u8; 8]>,
    pub(crate) fingerprint: Option<[u8; 20]>,
}

/// Whether all critical subpackets are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Criticals {
    Understood,
    Unknown,
}

/// A signature packet that is no usable version 4 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Version 2 or 3, which names its maker.
    Old { key_id: [u8; 8] },
    /// A version that this program, like GnuPG 2.2, does not know.
    Version(u8),
    /// Contradicts itself or the standard.
    Malformed,
}

/// A date, or a length of time, that must not be given twice.
struct Once(Option<u32>);

impl Once {
    fn set(&mut self, body: &[u8]) -> Option<()> {
        let number = u32::from_be_bytes(body.try_into().ok()?);
        let unset = self.0.is_none();
        self.0 = Some(number);
        unset.then_some(())
    }
}

impl<'packet> Signature<'packet> {
    /// Reads the body of a signature packet.
    pub(crate) fn parse(body: &'packet [u8]) -> Result<Self, Unreadable> {
        match body.first() {
            Some(4) => Self::version_4(body).ok_or(Unreadable::Malformed),
            Some(2 | 3) => {
                let key_id = body.get(7..15).and_then(|id| id.try_into().ok());
                Err(key_id.map_or(Unreadable::Malformed, |key_id| Unreadable::Old { key_id }))
            }
            Some(version) => Err(Unreadable::Version(*version)),
            None => Err(Unreadable::Malformed),
        }
    }

    fn version_4(body: &'packet [u8]) -> Option<Self> {
        let &[_, kind, algorithm, digest, high, low] = body.first_chunk()?;
        let signed_length = 6 + usize::from(u16::from_be_bytes([high, low]));
        let signed = body.get(..signed_length)?;
        let (unhashed, rest) = counted(&body[signed_length..])?;
        let (check, numbers) = rest.split_first_chunk()?;
        let mut signature = Self {
            kind,
            algorithm,
            digest,
            made: 0,
            expires_after: 0,
            key_expires_after: 0,
            key_flags: None,
            issuer: Issuer::default(),
            embedded: None,
            revokers: Vec::new(),
            reason: None,
            criticals: Criticals::Understood,
            signed,
            check: *check,
            numbers: all_numbers(numbers)?,
        };
        let hashed = subpackets(&signed[6..])?;
        let unhashed = subpackets(unhashed)?;
        signature.take_hashed(&hashed)?;
        let mut prints = Vec::new();
        for subpacket in hashed.iter().chain(&unhashed) {
            signature.take_any(*subpacket, &mut prints)?;
        }
        signature.is_consistent(&prints).then_some(signature)
    }

    /// What counts only where it is signed.
    fn take_hashed(&mut self, hashed: &[Subpacket<'packet>]) -> Option<()> {
        let (mut made, mut expires, mut key_expires) = (Once(None), Once(None), Once(None));
        for Subpacket { kind, body, .. } in hashed {
            match kind {
                2 => made.set(body)?,
                3 => expires.set(body)?,
                9 => key_expires.set(body)?,
                12 => self.revokers.push(body.get(2..)?.try_into().ok()?),
                33 => self.issuer.fingerprint = body.get(1..)?.try_into().ok(),
                27 if self.key_flags.is_some() => return None,
                27 => self.key_flags = Some(body.first().copied().unwrap_or(0)),
                29 => self.reason = body.first().copied(),
                _ => {}
            }
        }
        self.made = made.0?;
        self.expires_after = expires.0.unwrap_or(0);
        self.key_expires_after = key_expires.0.unwrap_or(0);
        Some(())
    }

    /// What counts wherever it stands: it proves itself, or makes the signature worth less.
    fn take_any(&mut self, subpacket: Subpacket<'packet>, prints: &mut Vec<[u8; 20]>) -> Option<()> {
        let Subpacket {
            kind,
            criticality,
            body,
        } = subpacket;
        match kind {
            16 => {
                let key_id = body.try_into().ok()?;
                let same = self.issuer.key_id.is_none_or(|earlier| earlier == key_id);
                self.issuer.key_id = same.then_some(Some(key_id))?;
            }
            33 if body.first() == Some(&4) => prints.push(body[1..].try_into().ok()?),
            33 => return None,
            32 if self.embedded.is_none() => self.embedded = Some(body),
            32 => return None,
            _ => {}
        }
        if criticality == Criticality::Critical && !is_understood(kind) {
            self.criticals = Criticals::Unknown;
        }
        Some(())
    }

    /// Whether everything that names its maker names the same key. As with GnuPG, a fingerprint that is not signed
    /// names nobody, but must not differ either.
    fn is_consistent(&self, prints: &[[u8; 20]]) -> bool {
        let same = prints.iter().all(|print| *print == prints[0]);
        same && prints
            .first()
            .is_none_or(|print| self.issuer.key_id.is_none_or(|id| print.ends_with(&id)))
    }

    /// Whether `key` made this signature over the concatenated `content`.
    pub(crate) fn is_by(&self, key: &PublicKey, content: &[&[u8]]) -> bool {
        if key.algorithm() != self.algorithm {
            return false;
        }
        let length = u32::try_from(self.signed.len())
            .expect("counted by two bytes")
            .to_be_bytes();
        let document = [content, &[self.signed, &[4, 0xff], &length]].concat();
        let value = Value {
            digest: self.digest,
            check: self.check,
            numbers: &self.numbers,
        };
        key.verify(&document, &value)
    }

    /// Whether GnuPG 2.2 knows its algorithms: at another one it stops reading, whoever made the signature.
    pub(crate) fn has_known_algorithms(&self) -> bool {
        matches!(self.algorithm, 1 | 3 | 17 | 19 | 22) && matches!(self.digest, 1..=3 | 8..=11)
    }

    /// Whether the digest is one that nobody can find collisions for today: SHA-256, SHA-384 or SHA-512.
    pub(crate) fn has_strong_digest(&self) -> bool {
        matches!(self.digest, 8..=10)
    }

    /// When it ends, in seconds since 1970.
    pub(crate) fn expires(&self) -> Option<u32> {
        end(self.made, self.expires_after)
    }
}

/// A moment and a length of time added as GnuPG does it, in 32 bits: an end after 2106 lies in the past. No length is
/// no end.
pub(crate) fn end(from: u32, seconds: u32) -> Option<u32> {
    (seconds != 0).then(|| from.wrapping_add(seconds))
}

/// The critical subpackets that both this program and GnuPG 2.2 heed.
fn is_understood(kind: u8) -> bool {
    matches!(
        kind,
        2..=4 | 7 | 9 | 11 | 12 | 16 | 21 | 22 | 25 | 27 | 29 | 30 | 32 | 33
    )
}

/// Splits off an area that begins with its length in two bytes.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// One or two multiprecision integers and nothing after them (RFC 9580 §3.2).
fn all_numbers(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut numbers = Vec::new();
    while !bytes.is_empty() {
        let (bits, rest) = bytes.split_first_chunk()?;
        let bits = usize::from(u16::from_be_bytes(*bits));
        if numbers.len() == 2 || bits > key::MAX_BITS {
            return None;
        }
        let (number, rest) = rest.split_at_checked(bits.div_ceil(8))?;
        numbers.push(number);
        bytes = rest;
    }
    Some(numbers)
}
