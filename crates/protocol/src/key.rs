//! Ed25519 keys (RFC 8032): the host's, the server's and the authorities'. A key is named by its [`KeyId`].

use crate::sha256;
use domain::id::KeyId;
use ed25519_dalek::Verifier as _;
use ring::signature::{Ed25519KeyPair, KeyPair};
use std::fmt;
use zeroize::Zeroizing;

/// A pair of keys that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; 32]>,
    verifying: VerifyingKey,
}

/// The public half of a pair. Its point is worked out once, because most keys verify again and again.
#[derive(Clone, Copy)]
pub struct VerifyingKey {
    bytes: [u8; 32],
    id: KeyId,
    /// `None` if the bytes are no point of the curve, or one of small order, under which anybody can sign.
    point: Option<ed25519_dalek::VerifyingKey>,
}

/// A signature does not hold.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the signature is not by this key over these bytes")]
pub struct BadSignature;

/// What stands before the seed in PKCS#8 version 2 (RFC 5958, RFC 8410).
const PKCS8_BEFORE_SEED: [u8; 16] = [
    0x30, 0x51, 0x02, 0x01, 0x01, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// What stands between the seed and the public key.
const PKCS8_BEFORE_PUBLIC: [u8; 3] = [0x81, 0x21, 0x00];

impl SigningKey {
    /// The pair of a 32-byte seed, which must come from a good source of chance.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("every 32 bytes are a seed");
        let public = pair.public_key().as_ref().try_into();
        Self {
            verifying: VerifyingKey::from_bytes(public.expect("a public key has 32 bytes")),
            seed: Zeroizing::new(*seed),
            pair,
        }
    }

    /// The public half.
    pub fn verifying(&self) -> VerifyingKey {
        self.verifying
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        self.verifying.id
    }

    /// The 32 bytes from which the pair is made: the secret itself.
    pub fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    /// The pair as PKCS#8 (DER), for libraries that make or use certificates: a secret.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let parts: [&[u8]; 4] = [
            &PKCS8_BEFORE_SEED,
            &*self.seed,
            &PKCS8_BEFORE_PUBLIC,
            &self.verifying.bytes,
        ];
        Zeroizing::new(parts.concat())
    }

    /// The signature over these bytes.
    pub fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let signature = self.pair.sign(bytes);
        signature.as_ref().try_into().expect("a signature has 64 bytes")
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id())
    }
}

impl VerifyingKey {
    /// A public key from its 32 bytes. Bytes that are no point of the curve, or one of small order, verify nothing.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let point = ed25519_dalek::VerifyingKey::from_bytes(&bytes);
        Self {
            bytes,
            id: key_id(&bytes),
            point: point.ok().filter(|point| !point.is_weak()),
        }
    }

    /// The 32 bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.bytes
    }

    /// The key's name.
    pub fn id(self) -> KeyId {
        self.id
    }

    /// Checks a signature.
    ///
    /// # Errors
    /// [`BadSignature`] if it is not by this key over these bytes.
    pub fn verify(&self, bytes: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        let point = self.point.ok_or(BadSignature)?;
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        point.verify(bytes, &signature).map_err(|_| BadSignature)
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for VerifyingKey {}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.id)
    }
}

/// The name of the key with these 32 public bytes.
pub fn key_id(public_key: &[u8; 32]) -> KeyId {
    let (id, _) = sha256(public_key)
        .0
        .split_first_chunk()
        .map(|(id, rest)| (*id, rest))
        .expect("a digest has 32 bytes");
    KeyId(id)
}
