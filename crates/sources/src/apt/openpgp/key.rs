//! Public keys and the arithmetic with them. Only algorithms of the accepted set ever reach the libraries that compute:
//! ring for RSA, five times faster than the rest; rPGP for curves, and for RSA with digests that are refused in the end.

use super::proven::{Claim, Proven};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::PacketHeader;
use pgp::types::{EcdsaPublicParams as Curve, EddsaLegacyPublicParams as Edwards};
use pgp::types::{KeyDetails as _, Mpi, PublicParams, SignatureBytes, Tag, VerifyingKey as _};
use ring::digest::{SHA256, SHA384, SHA512};
use ring::signature::{self as rsa, RsaParameters, RsaPublicKeyComponents};
use std::sync::Arc;

/// Largest number that is computed with, in bits.
pub(crate) const MAX_BITS: usize = 8192;
/// Smallest RSA key whose signatures count, in bits.
pub(crate) const MIN_RSA_BITS: usize = 2048;
/// Largest key packet that is read, in bytes.
const MAX_KEY_BYTES: usize = 4096;

/// A key that can check signatures.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey {
    inner: pgp::packet::PublicKey,
    body: Box<[u8]>,
    proven: Arc<Proven>,
    algorithm: u8,
    strength: Strength,
    /// Of RSA; empty otherwise.
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

/// Whether a key is long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strength {
    Enough,
    TooFewBits(usize),
}

/// A key of an algorithm outside the accepted set, or none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    /// The algorithm's name.
    pub(crate) algorithm: &'static str,
}

impl PublicKey {
    /// Reads the body of a version 4 public-key packet: RSA up to 8192 bits, EdDSA on Curve25519, ECDSA on NIST P-256,
    /// P-384 and P-521. `proven` is asked before a signature by it is computed.
    pub(crate) fn parse(body: &[u8], proven: Arc<Proven>) -> Result<Self, Unusable> {
        let algorithm = body.get(5).copied().unwrap_or(0);
        let unusable = Unusable {
            algorithm: name(algorithm),
        };
        if !matches!(algorithm, 1 | 3 | 19 | 22) || body.len() > MAX_KEY_BYTES {
            return Err(unusable);
        }
        let length = u32::try_from(body.len()).expect("limited above");
        let mut rest = body;
        let inner = pgp::packet::PublicKey::try_from_reader(
            PacketHeader::new_fixed(Tag::PublicKey, length),
            &mut rest,
        );
        let inner = inner.map_err(|_| unusable.clone())?;
        if !rest.is_empty() {
            return Err(unusable);
        }
        let rsa = matches!(algorithm, 1 | 3).then(|| number(&body[6..])).flatten();
        let (modulus, rest) = rsa.unwrap_or_default();
        let exponent = number(rest).map_or(&[][..], |(exponent, _)| exponent);
        let strength = match inner.public_params() {
            PublicParams::RSA(_) => rsa_strength(modulus),
            PublicParams::EdDSALegacy(Edwards::Ed25519 { .. }) => Strength::Enough,
            PublicParams::ECDSA(Curve::P256 { .. } | Curve::P384 { .. } | Curve::P521 { .. }) => {
                Strength::Enough
            }
            _ => return Err(unusable),
        };
        Ok(Self {
            inner,
            body: body.into(),
            proven,
            algorithm,
            strength,
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
        })
    }

    /// The algorithm's number (RFC 9580 §9.1).
    pub(crate) fn algorithm(&self) -> u8 {
        self.algorithm
    }

    /// Whether it is long enough.
    pub(crate) fn strength(&self) -> Strength {
        self.strength
    }

    /// Whether the value is this key's signature of the document, whose parts follow each other. What was proven before
    /// is not computed again.
    pub(crate) fn verify(&self, document: &[&[u8]], value: &Value<'_>) -> bool {
        let Some(hash) = hash(document, value.digest) else {
            return false;
        };
        let claim = Claim {
            key: &self.body,
            digest: value.digest,
            hash: &hash,
            numbers: value.numbers,
        };
        hash.starts_with(&value.check)
            && self
                .proven
                .holds(&claim, || self.computes(document, &hash, value))
    }

    fn computes(&self, document: &[&[u8]], hash: &[u8], value: &Value<'_>) -> bool {
        match (rsa_parameters(value.digest), value.numbers) {
            (Some(parameters), [number]) if self.is_rsa() && self.strength == Strength::Enough => {
                self.verify_rsa(&document.concat(), parameters, number)
            }
            _ => self.verify_slowly(hash, value),
        }
    }

    fn is_rsa(&self) -> bool {
        matches!(self.algorithm, 1 | 3)
    }

    fn verify_rsa(&self, document: &[u8], parameters: &RsaParameters, number: &[u8]) -> bool {
        let number = without_zeros(number);
        let Some(missing) = self.modulus.len().checked_sub(number.len()) else {
            return false;
        };
        let padded = [&vec![0; missing][..], number].concat();
        let key = RsaPublicKeyComponents {
            n: &self.modulus,
            e: &self.exponent,
        };
        key.verify(parameters, document, &padded).is_ok()
    }

    fn verify_slowly(&self, hash: &[u8], value: &Value<'_>) -> bool {
        let numbers = value.numbers.iter().map(|number| Mpi::from_slice(number));
        let bytes = SignatureBytes::Mpis(numbers.collect());
        self.inner
            .verify(HashAlgorithm::from(value.digest), hash, &bytes)
            .is_ok()
    }
}

/// What a signature says besides what it signs.
pub(crate) struct Value<'a> {
    /// Number of the digest algorithm (RFC 9580 §9.5).
    pub(crate) digest: u8,
    /// The first bits of the hash.
    pub(crate) check: [u8; 2],
    /// The signature's own numbers.
    pub(crate) numbers: &'a [&'a [u8]],
}

/// The hash of the parts one after another; nothing for an algorithm that is not known.
fn hash(document: &[&[u8]], digest: u8) -> Option<Vec<u8>> {
    let algorithm = match digest {
        8 => &SHA256,
        9 => &SHA384,
        10 => &SHA512,
        _ => return HashAlgorithm::from(digest).digest(&document.concat()).ok(),
    };
    let mut context = ring::digest::Context::new(algorithm);
    document.iter().for_each(|part| context.update(part));
    Some(context.finish().as_ref().to_vec())
}

fn rsa_parameters(digest: u8) -> Option<&'static RsaParameters> {
    match digest {
        8 => Some(&rsa::RSA_PKCS1_2048_8192_SHA256),
        9 => Some(&rsa::RSA_PKCS1_2048_8192_SHA384),
        10 => Some(&rsa::RSA_PKCS1_2048_8192_SHA512),
        _ => None,
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// The number at the start, without leading zeros, and what follows it (RFC 9580 §3.2).
fn number(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (bits, rest) = bytes.split_first_chunk()?;
    let (number, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*bits)).div_ceil(8))?;
    Some((without_zeros(number), rest))
}

fn rsa_strength(modulus: &[u8]) -> Strength {
    let bits = modulus
        .first()
        .map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
    if bits < MIN_RSA_BITS {
        Strength::TooFewBits(bits)
    } else {
        Strength::Enough
    }
}

/// When a version 4 key was created, in seconds since 1970.
pub(crate) fn created(body: &[u8]) -> u32 {
    body.get(1..5)
        .and_then(|date| date.try_into().ok())
        .map_or(0, u32::from_be_bytes)
}

/// The first three bytes of a key as it is hashed (RFC 9580 §5.2.4); its body follows.
pub(crate) fn hash_prefix(body: &[u8]) -> [u8; 3] {
    let [high, low] = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [0x99, high, low]
}

/// The fingerprint of a version 4 key (RFC 9580 §5.5.4.2).
pub(crate) fn fingerprint(body: &[u8]) -> Option<[u8; 20]> {
    let hashed = [&hash_prefix(body)[..], body].concat();
    HashAlgorithm::Sha1.digest(&hashed).ok()?.try_into().ok()
}

/// Names of public-key algorithms (RFC 9580 §9.1).
fn name(number: u8) -> &'static str {
    match number {
        1..=3 => "RSA",
        16 | 20 => "Elgamal",
        17 => "DSA",
        18 => "ECDH",
        19 => "ECDSA",
        22 => "EdDSA",
        25 => "X25519",
        26 => "X448",
        27 => "Ed25519",
        28 => "Ed448",
        _ => "an unknown algorithm",
    }
}
