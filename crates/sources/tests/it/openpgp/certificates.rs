//! Certificates by design: ended, revoked, weakly bound, without rights, with subkeys of every kind. Those put together
//! from strange parts are in [`super::assembled`], key files in [`super::keyrings`].

use super::Expected::{Accepted, NeverMore, Refused};
use super::{Case, Expected, KEY, NAME, STRANGER, TEXT};
use testkit::keys::packets::{Algorithm, packet};
use testkit::keys::{Back, CREATED, Design, SIGNED, SigningKey, Subkey};

pub const DAY: u32 = 24 * 3600;
/// The year 2100.
pub const FAR: u32 = 4_102_444_800;

pub fn cases() -> Vec<Case> {
    [designs(), subkeys()].concat()
}

fn by(name: &str, key: &SigningKey, expected: Expected) -> Case {
    Case::inline(name, key.sign_inline(TEXT), expected).under(key.certificate())
}

fn designs() -> Vec<Case> {
    let honest = Design::honest;
    let designs = [
        ("an honest key", honest(), Accepted),
        (
            "a key that ends in 2100",
            Design {
                expires_after: Some(FAR - CREATED),
                ..honest()
            },
            Accepted,
        ),
        (
            "a key that never ends, said so",
            Design {
                expires_after: Some(0),
                ..honest()
            },
            NeverMore,
        ),
        (
            "a key that ended after it signed",
            Design {
                expires_after: Some(SIGNED - CREATED + DAY),
                ..honest()
            },
            Refused,
        ),
        (
            "a key that ended before it signed",
            Design {
                expires_after: Some(DAY),
                ..honest()
            },
            Refused,
        ),
        (
            "a key created after it signed",
            Design {
                created: SIGNED + DAY,
                ..honest()
            },
            Refused,
        ),
        (
            "a key from the year 2100",
            Design {
                created: FAR,
                ..honest()
            },
            Refused,
        ),
        (
            "a key from 1970",
            Design {
                created: 1,
                ..honest()
            },
            NeverMore,
        ),
        (
            "revoked without reason",
            Design {
                revoked: Some(0),
                ..honest()
            },
            Refused,
        ),
        (
            "revoked for a new key",
            Design {
                revoked: Some(1),
                ..honest()
            },
            Refused,
        ),
        (
            "revoked as compromised",
            Design {
                revoked: Some(2),
                ..honest()
            },
            Refused,
        ),
        (
            "revoked as no longer used",
            Design {
                revoked: Some(3),
                ..honest()
            },
            Refused,
        ),
        (
            "bound by SHA-1",
            rsa(Design {
                digest: 2,
                ..honest()
            }),
            Refused,
        ),
        (
            "bound by MD5",
            rsa(Design {
                digest: 1,
                ..honest()
            }),
            Refused,
        ),
        (
            "bound by RIPEMD-160",
            rsa(Design {
                digest: 3,
                ..honest()
            }),
            Refused,
        ),
        (
            "bound by SHA-224",
            rsa(Design {
                digest: 11,
                ..honest()
            }),
            Refused,
        ),
        (
            "bound by SHA-512",
            Design {
                digest: 10,
                ..honest()
            },
            Accepted,
        ),
        (
            "without flags",
            Design {
                flags: None,
                ..honest()
            },
            NeverMore,
        ),
        (
            "with no right at all",
            Design {
                flags: Some(0),
                ..honest()
            },
            Refused,
        ),
        (
            "that may certify only",
            Design {
                flags: Some(1),
                ..honest()
            },
            Refused,
        ),
        (
            "that may sign only",
            Design {
                flags: Some(2),
                ..honest()
            },
            NeverMore,
        ),
        (
            "that may encrypt and certify",
            Design {
                flags: Some(13),
                ..honest()
            },
            Refused,
        ),
        (
            "with an unknown critical condition",
            with(0x80 | 101, b"x"),
            Refused,
        ),
        ("with an unknown condition", with(101, b"x"), NeverMore),
        ("with a critical notation", with(0x80 | 20, &notation()), Refused),
        ("with a notation", with(20, &notation()), NeverMore),
        ("whose self-signature ended", with(3, &DAY.to_be_bytes()), Refused),
        (
            "with two ends",
            Design {
                expires_after: Some(FAR - CREATED),
                ..with(9, &DAY.to_be_bytes())
            },
            Refused,
        ),
        ("with two sets of flags", with(27, &[3]), Refused),
        (
            "whose self-signature is dated twice",
            with(2, &SIGNED.to_be_bytes()),
            Refused,
        ),
        ("that lists what it prefers", with(21, &[10, 9, 8]), Accepted),
        ("that names a revoker", with(12, &revoker()), NeverMore),
    ];
    designs
        .map(|(name, design, expected)| by(name, &SigningKey::design(NAME, &design), expected))
        .to_vec()
}

/// Ed25519 wants 256 bits of digest, RSA takes all.
fn rsa(design: Design) -> Design {
    Design {
        algorithm: Algorithm::Rsa(2048),
        ..design
    }
}

fn with(kind: u8, body: &[u8]) -> Design {
    Design {
        extra: vec![(kind, body.to_vec())],
        ..Design::honest()
    }
}

pub fn notation() -> Vec<u8> {
    let (name, value) = (b"x@deb.example", b"y");
    [&[0x80, 0, 0, 0, 0, 13, 0, 1][..], name, value].concat()
}

pub fn revoker() -> Vec<u8> {
    [&[0x80, 22][..], &STRANGER.primary().fingerprint()].concat()
}

fn subkeys() -> Vec<Case> {
    let honest = Subkey::honest;
    let plain = Design::honest;
    let with = |subkey| Design {
        subkey: Some(subkey),
        ..plain()
    };
    let rsa_subkey = |digest| Design {
        algorithm: Algorithm::Rsa(2048),
        ..with(Subkey { digest, ..honest() })
    };
    let designs = [
        ("an honest subkey", with(honest()), Accepted),
        (
            "an RSA subkey",
            with(Subkey {
                algorithm: Algorithm::Rsa(2048),
                ..honest()
            }),
            Accepted,
        ),
        (
            "a small RSA subkey",
            with(Subkey {
                algorithm: Algorithm::Rsa(1024),
                ..honest()
            }),
            Refused,
        ),
        (
            "a DSA subkey",
            with(Subkey {
                algorithm: Algorithm::Dsa2048,
                ..honest()
            }),
            Refused,
        ),
        (
            "a P-256 subkey",
            with(Subkey {
                algorithm: Algorithm::P256,
                ..honest()
            }),
            Accepted,
        ),
        (
            "a subkey without flags",
            with(Subkey {
                flags: None,
                ..honest()
            }),
            Refused,
        ),
        (
            "a subkey without rights",
            with(Subkey {
                flags: Some(0),
                ..honest()
            }),
            Refused,
        ),
        (
            "a subkey for encryption",
            with(Subkey {
                flags: Some(12),
                ..honest()
            }),
            Refused,
        ),
        (
            "a subkey for authentication",
            with(Subkey {
                flags: Some(32),
                ..honest()
            }),
            Refused,
        ),
        (
            "a subkey for everything",
            with(Subkey {
                flags: Some(46),
                ..honest()
            }),
            NeverMore,
        ),
        (
            "a subkey that does not consent",
            with(Subkey {
                back: Back::Missing,
                ..honest()
            }),
            Refused,
        ),
        (
            "a subkey that consents to something else",
            with(Subkey {
                back: Back::Wrong,
                ..honest()
            }),
            Refused,
        ),
        (
            "a subkey that ended",
            with(Subkey {
                expires_after: Some(DAY),
                ..honest()
            }),
            Refused,
        ),
        (
            "a subkey that ends in 2100",
            with(Subkey {
                expires_after: Some(FAR - CREATED),
                ..honest()
            }),
            Accepted,
        ),
        (
            "a subkey revoked without reason",
            with(Subkey {
                revoked: Some(0),
                ..honest()
            }),
            Refused,
        ),
        (
            "a subkey replaced",
            with(Subkey {
                revoked: Some(1),
                ..honest()
            }),
            Refused,
        ),
        (
            "a subkey compromised",
            with(Subkey {
                revoked: Some(2),
                ..honest()
            }),
            Refused,
        ),
        ("a subkey bound by SHA-1", rsa_subkey(2), Refused),
        ("a subkey bound by MD5", rsa_subkey(1), Refused),
        ("a subkey bound by SHA-512", rsa_subkey(10), Accepted),
        (
            "a subkey of a key that only certifies",
            Design {
                flags: Some(1),
                ..with(honest())
            },
            Accepted,
        ),
        (
            "a subkey of a key that ended",
            Design {
                expires_after: Some(DAY),
                ..with(honest())
            },
            Refused,
        ),
        (
            "a subkey of a revoked key",
            Design {
                revoked: Some(1),
                ..with(honest())
            },
            Refused,
        ),
        (
            "a subkey of a DSA key",
            Design {
                algorithm: Algorithm::Dsa2048,
                ..with(honest())
            },
            Refused,
        ),
        (
            "a subkey of a small key",
            Design {
                algorithm: Algorithm::Rsa(1024),
                ..with(honest())
            },
            Refused,
        ),
    ];
    let mut cases: Vec<_> = designs
        .into_iter()
        .map(|(name, design, expected)| by(name, &SigningKey::design(NAME, &design), expected))
        .collect();
    // The subkey of one certificate, bound to it, moved under another primary key.
    let key = SigningKey::design("Another", &with(honest()));
    let other = KEY.certificate();
    let stolen = [
        other,
        packet(14, key.signer().body()),
        key.certificate().split_off(key_part(&key)),
    ]
    .concat();
    cases.push(
        Case::inline(
            "a subkey under a foreign certificate",
            key.sign_inline(TEXT),
            Refused,
        )
        .under(stolen),
    );
    let bare = [KEY.certificate(), packet(14, key.signer().body())].concat();
    cases.push(Case::inline("a subkey without binding", key.sign_inline(TEXT), Refused).under(bare));
    cases
}

/// Where the binding of the subkey begins in its certificate.
fn key_part(key: &SigningKey) -> usize {
    let subkey = packet(14, key.signer().body());
    let certificate = key.certificate();
    certificate
        .windows(subkey.len())
        .position(|part| part == subkey)
        .unwrap()
        + subkey.len()
}
