//! Public keys and the arithmetic with them. Only algorithms of the accepted set ever reach the library that computes.

use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::PacketHeader;
use pgp::types::{EcdsaPublicParams as Curve, EddsaLegacyPublicParams as Edwards};
use pgp::types::{KeyDetails as _, PublicParams, SignatureBytes, Tag, VerifyingKey as _};

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
    algorithm: u8,
    strength: Strength,
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
    /// P-384 and P-521.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Unusable> {
        let number = body.get(5).copied().unwrap_or(0);
        let unusable = Unusable {
            algorithm: name(number),
        };
        if !matches!(number, 1 | 3 | 19 | 22) || body.len() > MAX_KEY_BYTES {
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
        let strength = match inner.public_params() {
            PublicParams::RSA(_) => rsa_strength(body),
            PublicParams::EdDSALegacy(Edwards::Ed25519 { .. }) => Strength::Enough,
            PublicParams::ECDSA(Curve::P256 { .. } | Curve::P384 { .. } | Curve::P521 { .. }) => {
                Strength::Enough
            }
            _ => return Err(unusable),
        };
        Ok(Self {
            inner,
            algorithm: number,
            strength,
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

    /// Whether the signature over this digest is this key's.
    pub(crate) fn verify(&self, digest: HashAlgorithm, hash: &[u8], signature: &SignatureBytes) -> bool {
        self.inner.verify(digest, hash, signature).is_ok()
    }
}

/// Counts the bits of the modulus, the first number after the algorithm.
fn rsa_strength(body: &[u8]) -> Strength {
    let counted = body
        .get(6..8)
        .map_or(0, |bits| usize::from(u16::from_be_bytes([bits[0], bits[1]])));
    let modulus = body.get(8..8 + counted.div_ceil(8)).unwrap_or_default();
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let bits = modulus.get(zeros).map_or(0, |first| {
        (modulus.len() - zeros) * 8 - first.leading_zeros() as usize
    });
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
