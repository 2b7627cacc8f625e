//! OpenPGP packets as bytes (RFC 9580 §4, §5.2 and §6), written by hand so that a test can say anything, also what no
//! honest program would. Keys and what they sign are in [`super`].

use pgp::composed::{DsaKeySize, KeyType};
use pgp::crypto::ecc_curve::ECCCurve;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PubKeyInner, PublicKey, SecretKey};
use pgp::ser::Serialize;
use pgp::types::{KeyVersion, Password, SignatureBytes, SigningKey as _, Timestamp};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// EdDSA on Curve25519 as GnuPG makes it (algorithm 22).
    Ed25519,
    /// Ed25519 as RFC 9580 has it (algorithm 27), which GnuPG 2.2 does not know.
    Ed25519Native,
    /// RSA with so many bits.
    Rsa(u32),
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// ECDSA on NIST P-521.
    P521,
    /// ECDSA on the curve of Bitcoin.
    Secp256k1,
    /// DSA with 1024 bits.
    Dsa1024,
    /// DSA with 2048 bits.
    Dsa2048,
}

impl Algorithm {
    fn key_type(self) -> KeyType {
        match self {
            Self::Ed25519 => KeyType::Ed25519Legacy,
            Self::Ed25519Native => KeyType::Ed25519,
            Self::Rsa(bits) => KeyType::Rsa(bits),
            Self::P256 => KeyType::ECDSA(ECCCurve::P256),
            Self::P384 => KeyType::ECDSA(ECCCurve::P384),
            Self::P521 => KeyType::ECDSA(ECCCurve::P521),
            Self::Secp256k1 => KeyType::ECDSA(ECCCurve::Secp256k1),
            Self::Dsa1024 => KeyType::Dsa(DsaKeySize::B1024),
            Self::Dsa2048 => KeyType::Dsa(DsaKeySize::B2048),
        }
    }
}

/// A secret key: the same for the same algorithm, seed and date.
#[derive(Clone, Debug)]
pub struct Secret {
    packet: SecretKey,
    body: Vec<u8>,
}

impl Secret {
    /// Makes the key; `created` in seconds since 1970.
    pub fn generate(algorithm: Algorithm, seed: &str, created: u32) -> Self {
        let digest = HashAlgorithm::Sha256.digest(format!("{algorithm:?} {seed}").as_bytes());
        let digest = digest.expect("SHA-256 is supported");
        let rng = StdRng::from_seed(digest.try_into().expect("32 bytes"));
        let kind = algorithm.key_type();
        let (public, secret) = kind.generate(rng).expect("the algorithm is supported");
        let created = Timestamp::from_secs(created);
        let inner = PubKeyInner::new(KeyVersion::V4, kind.to_alg(), created, None, public);
        let details = PublicKey::from_inner(inner.expect("a version 4 key")).expect("a short key");
        let body = details.to_bytes().expect("a vector takes all bytes");
        let packet = SecretKey::new(details, secret).expect("both halves belong together");
        Self { packet, body }
    }

    /// The body of its public-key packet.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The key as signatures hash it (RFC 9580 §5.2.4).
    pub fn hashed(&self) -> Vec<u8> {
        let length = u16::try_from(self.body.len()).expect("a short key").to_be_bytes();
        [&[0x99][..], &length, &self.body].concat()
    }

    /// Its fingerprint (RFC 9580 §5.5.4.2).
    pub fn fingerprint(&self) -> [u8; 20] {
        let digest = HashAlgorithm::Sha1
            .digest(&self.hashed())
            .expect("no collision by chance");
        digest.try_into().expect("20 bytes")
    }

    /// The key id: the last eight bytes of the fingerprint.
    pub fn key_id(&self) -> [u8; 8] {
        self.fingerprint()[12..].try_into().expect("eight bytes")
    }

    /// Its algorithm's number (RFC 9580 §9.1).
    fn algorithm(&self) -> u8 {
        self.body[5]
    }
}

/// A signature packet before it is made.
#[derive(Clone, Debug)]
pub struct Signature {
    /// Signature type (RFC 9580 §5.2.1).
    pub kind: u8,
    /// Digest algorithm's number (RFC 9580 §9.5).
    pub digest: u8,
    /// Hashed subpackets.
    pub hashed: Vec<u8>,
    /// Unhashed subpackets.
    pub unhashed: Vec<u8>,
}

impl Signature {
    /// A signature with SHA-256, its date and its issuer, as GnuPG makes it.
    pub fn plain(kind: u8, issuer: &Secret, made: u32) -> Self {
        let fingerprint = [&[4][..], &issuer.fingerprint()].concat();
        let hashed = [subpacket(33, &fingerprint), subpacket(2, &made.to_be_bytes())].concat();
        Self {
            kind,
            digest: 8,
            hashed,
            unhashed: subpacket(16, &issuer.key_id()),
        }
    }

    /// The same with another digest.
    pub fn digest(mut self, number: u8) -> Self {
        self.digest = number;
        self
    }

    /// The same with one more hashed subpacket; add 128 to `kind` to make it critical.
    pub fn with(mut self, kind: u8, body: &[u8]) -> Self {
        self.hashed.extend(subpacket(kind, body));
        self
    }

    /// The body of a version 4 signature packet over `content`.
    pub fn sign(&self, secret: &Secret, content: &[u8]) -> Vec<u8> {
        let count = |bytes: &[u8]| u16::try_from(bytes.len()).expect("few subpackets").to_be_bytes();
        let head = [4, self.kind, secret.algorithm(), self.digest];
        let signed = [&head[..], &count(&self.hashed), &self.hashed].concat();
        let length = u32::try_from(signed.len()).expect("short").to_be_bytes();
        let document = [content, &signed, &[4, 0xff], &length].concat();
        let (check, value) = raw(secret, self.digest, &document);
        [
            &signed[..],
            &count(&self.unhashed),
            &self.unhashed,
            &check,
            &value,
        ]
        .concat()
    }

    /// The body of a version 3 signature packet over `content` (RFC 9580 §5.2.2).
    pub fn sign_v3(&self, secret: &Secret, made: u32, content: &[u8]) -> Vec<u8> {
        let signed = [&[self.kind][..], &made.to_be_bytes()].concat();
        let (check, value) = raw(secret, self.digest, &[content, &signed].concat());
        let algorithms = [secret.algorithm(), self.digest];
        [
            &[3, 5][..],
            &signed,
            &secret.key_id(),
            &algorithms,
            &check,
            &value,
        ]
        .concat()
    }
}

/// The first two bytes of the digest, and the algorithm's own numbers.
fn raw(secret: &Secret, digest: u8, document: &[u8]) -> ([u8; 2], Vec<u8>) {
    let algorithm = HashAlgorithm::from(digest);
    let hash = algorithm.digest(document).expect("a digest that can be computed");
    let value = secret
        .packet
        .sign(&Password::empty(), algorithm, &hash)
        .expect("a digest fit for the key");
    let value = match value {
        SignatureBytes::Mpis(numbers) => numbers.to_bytes().expect("a vector takes all bytes"),
        SignatureBytes::Native(bytes) => bytes.to_vec(),
    };
    ([hash[0], hash[1]], value)
}

/// A subpacket (RFC 9580 §5.2.3.7).
pub fn subpacket(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = body.len() + 1;
    let head = match u8::try_from(length) {
        Ok(short) if short < 192 => vec![short],
        _ => [&[0xff][..], &u32::try_from(length).expect("short").to_be_bytes()].concat(),
    };
    [&head[..], &[kind], body].concat()
}

/// A packet in the old format that GnuPG writes (RFC 9580 §4.2.2), for tags below 16; the new format above.
pub fn packet(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short");
    if tag < 16 {
        return [&[0x80 | tag << 2 | 2][..], &length.to_be_bytes(), body].concat();
    }
    [&[0xc0 | tag, 0xff][..], &length.to_be_bytes(), body].concat()
}

/// ASCII armour with its checksum (RFC 9580 §6); `label` such as `SIGNATURE`.
pub fn armor(label: &str, bytes: &[u8]) -> String {
    let mut text = format!("-----BEGIN PGP {label}-----\n\n");
    for line in base64(bytes).as_bytes().chunks(64) {
        text.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        text.push('\n');
    }
    text.push('=');
    text.push_str(&base64(&crc24(bytes).to_be_bytes()[1..]));
    text.push_str(&format!("\n-----END PGP {label}-----\n"));
    text
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = group
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * place)) as usize & 63];
            text.push(if place > group.len() {
                '='
            } else {
                char::from(digit)
            });
        }
    }
    text
}

fn crc24(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x00b7_04ce, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 16, |crc, _| {
            let next = crc << 1;
            if next & 0x0100_0000 == 0 {
                next
            } else {
                next ^ 0x0186_4cfb
            }
        }) & 0x00ff_ffff
    })
}
