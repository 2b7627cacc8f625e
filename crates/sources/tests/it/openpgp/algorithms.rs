//! Key algorithms and digests in all combinations, inline and detached.

use super::Expected::{Accepted, NeverMore, Refused};
use super::{Case, Expected, TEXT, inline_file, text_signature};
use testkit::keys::packets::{Algorithm, Signature, armor, packet};
use testkit::keys::{Design, SIGNED, SigningKey};

const STRONG: [(u8, &str); 3] = [(8, "SHA256"), (9, "SHA384"), (10, "SHA512")];
const WEAK: [(u8, &str); 4] = [(1, "MD5"), (2, "SHA1"), (3, "RIPEMD160"), (11, "SHA224")];

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut both =
        |algorithm, digest, header, expected| cases.extend(pair(algorithm, digest, header, expected));
    for (digest, header) in STRONG {
        for algorithm in [
            Algorithm::Ed25519,
            Algorithm::Rsa(2048),
            Algorithm::Rsa(3072),
            Algorithm::P256,
        ] {
            both(algorithm, digest, header, Accepted);
        }
    }
    both(Algorithm::P384, 9, "SHA384", Accepted);
    both(Algorithm::P384, 10, "SHA512", Accepted);
    both(Algorithm::P521, 10, "SHA512", Accepted);
    for (digest, header) in WEAK {
        both(Algorithm::Rsa(2048), digest, header, Refused);
    }
    for algorithm in [
        Algorithm::Rsa(1024),
        Algorithm::Dsa1024,
        Algorithm::Dsa2048,
        Algorithm::Secp256k1,
    ] {
        both(algorithm, 8, "SHA256", Refused);
    }
    both(Algorithm::Ed25519Native, 8, "SHA256", NeverMore);
    both(Algorithm::Ed25519Native, 10, "SHA512", NeverMore);
    // A header that announces another digest than the signature uses.
    for (digest, header) in [(8, "SHA512"), (10, "SHA256"), (8, "MD5"), (8, "SHA1")] {
        cases.push(one(Algorithm::Ed25519, digest, header, Refused));
    }
    cases.push(one(Algorithm::Ed25519, 10, "SHA256, SHA512", Accepted));
    cases.push(one(Algorithm::Ed25519, 8, "SHA256,SHA1", NeverMore));
    cases.push(one(Algorithm::Ed25519, 8, "SHA3-256", Refused));
    cases
}

fn pair(algorithm: Algorithm, digest: u8, header: &str, expected: Expected) -> [Case; 2] {
    let key = key(algorithm);
    let signature = Signature::plain(0, key.signer(), SIGNED)
        .digest(digest)
        .sign(key.signer(), TEXT);
    let detached = armor("SIGNATURE", &packet(2, &signature)).into_bytes();
    let name = format!("{algorithm:?} with {header}, detached");
    let detached = Case::detached(name, TEXT, detached, expected).under(key.certificate());
    [one(algorithm, digest, header, expected), detached]
}

fn one(algorithm: Algorithm, digest: u8, header: &str, expected: Expected) -> Case {
    let key = key(algorithm);
    let signature = Signature::plain(1, key.signer(), SIGNED).digest(digest);
    let file = inline_file(header, &text_signature(&signature, key.signer()));
    Case::inline(
        format!("{algorithm:?} with digest {digest} under {header}"),
        file,
        expected,
    )
    .under(key.certificate())
}

/// A key whose certificate uses SHA-512, which all curves are content with.
fn key(algorithm: Algorithm) -> SigningKey {
    SigningKey::design(
        "Algorithms",
        &Design {
            algorithm,
            digest: 10,
            ..Design::honest()
        },
    )
}
