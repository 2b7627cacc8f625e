//! Certificates of every kind: ended, revoked, weakly bound, without rights, with subkeys, with several names, put
//! together from strange parts; and keyrings of several of them.

use super::Expected::{Accepted, NeverMore, Refused};
use super::{Case, Expected, KEY, STRANGER, TEXT};
use testkit::keys::packets::{Algorithm, Secret, Signature, packet, subpacket};
use testkit::keys::{Back, CREATED, Design, SIGNED, SigningKey, Subkey, certified};

const DAY: u32 = 24 * 3600;
/// The year 2100.
const FAR: u32 = 4_102_444_800;
const NAME: &str = "Example Archive <archive@deb.example>";

pub fn cases() -> Vec<Case> {
    let mut cases = designs();
    cases.extend(subkeys());
    cases.extend(names());
    cases.extend(direct_signatures());
    cases.extend(bindings());
    cases.extend(keyrings());
    cases.extend(damaged());
    cases
}

/// Every byte of two key files changed in turn, and both cut everywhere.
fn damaged() -> Vec<Case> {
    let subkey = Some(Subkey {
        algorithm: Algorithm::Rsa(2048),
        ..Subkey::honest()
    });
    let large = SigningKey::design(
        NAME,
        &Design {
            algorithm: Algorithm::P256,
            subkey,
            ..Design::honest()
        },
    );
    let mut cases = Vec::new();
    for (name, key) in [("the key file", &*KEY), ("the key file with a subkey", &large)] {
        let (file, keyring) = (key.sign_inline(TEXT), key.certificate());
        let mut add = |what: String, keyring| {
            cases.push(Case::inline(format!("{name} {what}"), file.clone(), NeverMore).under(keyring));
        };
        for place in 0..keyring.len() {
            let mut changed = keyring.clone();
            changed[place] = changed[place].wrapping_add(1 + (place % 255) as u8);
            add(format!("with byte {place} changed"), changed);
            if place % 5 == 0 {
                add(format!("cut to {place} bytes"), keyring[..place].to_vec());
            }
        }
    }
    cases
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

fn revoker() -> Vec<u8> {
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

/// A certification of a name by a key.
fn certification(kind: u8, issuer: &Secret, name: &str, made: u32, more: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let plain = Signature::plain(kind, issuer, made);
    let signature = more
        .iter()
        .fold(plain, |signature, (kind, body)| signature.with(*kind, body));
    packet(2, &signature.sign(issuer, &certified(KEY.primary(), name)))
}

fn flags(flags: u8) -> (u8, Vec<u8>) {
    (27, vec![flags])
}

fn ends(seconds: u32) -> (u8, Vec<u8>) {
    (9, seconds.to_be_bytes().to_vec())
}

/// [`KEY`] with these parts behind the primary key.
fn assembled(name: &str, parts: &[Vec<u8>], expected: Expected) -> Case {
    let certificate = [packet(6, KEY.primary().body()), parts.concat()].concat();
    Case::inline(name, KEY.sign_inline(TEXT), expected).under(certificate)
}

fn names() -> Vec<Case> {
    let key = KEY.primary();
    let id = |name: &str| packet(13, name.as_bytes());
    let own = |name: &str, made, more: &[(u8, Vec<u8>)]| certification(0x13, key, name, made, more);
    let revoked = |name: &str, made| certification(0x30, key, name, made, &[]);
    let good = || vec![id(NAME), own(NAME, CREATED, &[flags(3)])];
    let and = |more: Vec<Vec<u8>>| [good(), more].concat();
    vec![
        assembled("put together as it should be", &good(), Accepted),
        assembled("no name", &[], Refused),
        assembled("a name without signature", &[id(NAME)], Refused),
        assembled(
            "a name vouched for by a stranger",
            &[
                id(NAME),
                certification(0x13, STRANGER.primary(), NAME, CREATED, &[flags(3)]),
            ],
            Refused,
        ),
        assembled(
            "a name with another's signature",
            &[id("Evil"), own(NAME, CREATED, &[flags(3)])],
            Refused,
        ),
        assembled(
            "also vouched for by a stranger",
            &and(vec![certification(0x10, STRANGER.primary(), NAME, CREATED, &[])]),
            Accepted,
        ),
        assembled(
            "prolonged",
            &and(vec![own(NAME, CREATED + DAY, &[flags(3), ends(FAR - CREATED)])]),
            Accepted,
        ),
        assembled(
            "shortened",
            &and(vec![own(NAME, CREATED + DAY, &[flags(3), ends(2 * DAY)])]),
            Refused,
        ),
        assembled(
            "prolonged after an end",
            &[
                id(NAME),
                own(NAME, CREATED, &[flags(3), ends(DAY)]),
                own(NAME, CREATED + DAY, &[flags(3)]),
            ],
            NeverMore,
        ),
        assembled(
            "prolonged, the other way round",
            &[
                id(NAME),
                own(NAME, CREATED + DAY, &[flags(3)]),
                own(NAME, CREATED, &[flags(3), ends(DAY)]),
            ],
            NeverMore,
        ),
        assembled(
            "shortened in 2100",
            &and(vec![own(NAME, FAR, &[flags(3), ends(DAY)])]),
            Refused,
        ),
        assembled(
            "its right taken away",
            &and(vec![own(NAME, CREATED + DAY, &[flags(1)])]),
            Refused,
        ),
        assembled(
            "its only name revoked",
            &and(vec![revoked(NAME, CREATED + DAY)]),
            Refused,
        ),
        assembled(
            "its name revoked and renewed",
            &and(vec![
                revoked(NAME, CREATED + DAY),
                own(NAME, CREATED + 2 * DAY, &[flags(3)]),
            ]),
            NeverMore,
        ),
        assembled(
            "one of two names revoked",
            &and(vec![
                id("Old"),
                own("Old", CREATED, &[flags(3)]),
                revoked("Old", CREATED + DAY),
            ]),
            Accepted,
        ),
        assembled(
            "the first of two names revoked",
            &[
                id("Old"),
                own("Old", CREATED, &[flags(3)]),
                revoked("Old", CREATED + DAY),
                id(NAME),
                own(NAME, CREATED, &[flags(3)]),
            ],
            Accepted,
        ),
        assembled(
            "two names",
            &and(vec![id("Other"), own("Other", CREATED + DAY, &[flags(3)])]),
            Accepted,
        ),
        assembled(
            "two names, one without the right",
            &and(vec![id("Other"), own("Other", CREATED + DAY, &[flags(1)])]),
            Refused,
        ),
        assembled(
            "two names, one with an end",
            &and(vec![
                id("Other"),
                own("Other", CREATED + DAY, &[flags(3), ends(2 * DAY)]),
            ]),
            Refused,
        ),
        assembled(
            "a generic certification",
            &[id(NAME), certification(0x10, key, NAME, CREATED, &[flags(3)])],
            NeverMore,
        ),
        assembled(
            "a casual certification",
            &[id(NAME), certification(0x12, key, NAME, CREATED, &[flags(3)])],
            NeverMore,
        ),
        assembled(
            "a certification older than the key",
            &[id(NAME), own(NAME, CREATED - 1, &[flags(3)])],
            Refused,
        ),
        assembled(
            "a name that is not text",
            &[packet(13, b"\xff\x00\x1b[31m"), own(NAME, CREATED, &[flags(3)])],
            Refused,
        ),
        assembled(
            "a trust packet between",
            &and(vec![packet(12, &[0, 0])]),
            NeverMore,
        ),
        assembled("a picture", &and(vec![packet(17, &[2, 1, 0])]), NeverMore),
        assembled("a padding packet", &and(vec![packet(21, &[0; 8])]), NeverMore),
    ]
}

fn direct_signatures() -> Vec<Case> {
    let key = KEY.primary();
    let direct = |issuer: &Secret, kind, made, more: &[(u8, Vec<u8>)]| {
        let plain = Signature::plain(kind, issuer, made);
        let signature = more
            .iter()
            .fold(plain, |signature, (kind, body)| signature.with(*kind, body));
        packet(2, &signature.sign(issuer, &key.hashed()))
    };
    let named = || {
        [
            packet(13, NAME.as_bytes()),
            certification(0x13, key, NAME, CREATED, &[flags(3)]),
        ]
        .concat()
    };
    let stranger = STRANGER.primary();
    let foreign_revocation = || direct(stranger, 0x20, CREATED + DAY, &[(29, vec![2])]);
    let names_revoker = || direct(key, 0x1f, CREATED, &[(12, revoker())]);
    let mut cases = vec![
        assembled(
            "a direct signature",
            &[direct(key, 0x1f, CREATED, &[flags(3)]), named()],
            Accepted,
        ),
        assembled(
            "a direct signature and no name",
            &[direct(key, 0x1f, CREATED, &[flags(3)])],
            NeverMore,
        ),
        assembled(
            "a direct signature with an end",
            &[direct(key, 0x1f, CREATED, &[ends(DAY)]), named()],
            Refused,
        ),
        assembled(
            "a direct signature that prolongs",
            &[direct(key, 0x1f, CREATED, &[ends(FAR - CREATED)]), named()],
            Accepted,
        ),
        assembled(
            "a direct signature without the right",
            &[direct(key, 0x1f, CREATED, &[flags(1)]), named()],
            Refused,
        ),
        assembled(
            "revoked in 2100",
            &[direct(key, 0x20, FAR, &[(29, vec![0])]), named()],
            Refused,
        ),
        assembled(
            "revoked by a stranger",
            &[foreign_revocation(), named()],
            Accepted,
        ),
        assembled(
            "revoked by a named revoker",
            &[names_revoker(), foreign_revocation(), named()],
            Refused,
        ),
        assembled(
            "revoked with a wrong signature",
            &[
                packet(2, &Signature::plain(0x20, key, CREATED).sign(key, b"x")),
                named(),
            ],
            NeverMore,
        ),
        assembled(
            "revoked with an unknown critical condition",
            &[direct(key, 0x20, CREATED, &[(0x80 | 101, vec![1])]), named()],
            Refused,
        ),
    ];
    let both = [
        packet(6, key.body()),
        names_revoker(),
        foreign_revocation(),
        named(),
        STRANGER.certificate(),
    ]
    .concat();
    cases.push(
        Case::inline(
            "revoked by a revoker in the keyring",
            KEY.sign_inline(TEXT),
            Refused,
        )
        .under(both),
    );
    cases
}

/// Bindings and consents with conditions of their own.
fn bindings() -> Vec<Case> {
    let (primary, subkey) = (KEY.primary(), STRANGER.primary());
    let both = [primary.hashed(), subkey.hashed()].concat();
    let file = STRANGER.sign_inline(TEXT);
    let consent = |kind, made| Signature::plain(kind, subkey, made);
    let bound = |name: &str, consent: Option<Vec<u8>>, binding: Signature, expected| {
        let binding = consent
            .iter()
            .fold(binding, |binding, consent| binding.with(32, consent));
        let parts = [
            KEY.certificate(),
            packet(14, subkey.body()),
            packet(2, &binding.sign(primary, &both)),
        ]
        .concat();
        Case::inline(name, file.clone(), expected).under(parts)
    };
    let binding = || Signature::plain(0x18, primary, CREATED).with(27, &[2]);
    let good = || Some(consent(0x19, CREATED).sign(subkey, &both));
    let late = |seconds| {
        Some(
            consent(0x19, CREATED)
                .with(3, &u32::to_be_bytes(seconds))
                .sign(subkey, &both),
        )
    };
    let mut unhashed = binding();
    unhashed.unhashed.extend(subpacket(32, &good().unwrap()));
    vec![
        bound("a key bound as a subkey", good(), binding(), Accepted),
        bound("consent outside the signed part", None, unhashed, NeverMore),
        bound(
            "consent of another type",
            Some(consent(0x18, CREATED).sign(subkey, &both)),
            binding(),
            Refused,
        ),
        bound(
            "consent older than the subkey",
            Some(consent(0x19, CREATED - 9).sign(subkey, &both)),
            binding(),
            Refused,
        ),
        bound("consent that ended", late(DAY), binding(), Refused),
        bound(
            "consent by the primary key",
            Some(Signature::plain(0x19, primary, CREATED).sign(primary, &both)),
            binding(),
            Refused,
        ),
        bound(
            "consent that is no signature",
            Some(vec![4, 0x19, 1]),
            binding(),
            Refused,
        ),
        bound(
            "a binding that ended",
            good(),
            binding().with(3, &DAY.to_be_bytes()),
            Refused,
        ),
        bound(
            "a binding older than the subkey",
            good(),
            Signature::plain(0x18, primary, CREATED - 9).with(27, &[2]),
            Refused,
        ),
        bound(
            "a binding with an unknown critical condition",
            good(),
            binding().with(0x80 | 101, b"x"),
            Refused,
        ),
        bound(
            "a binding by the subkey",
            good(),
            Signature::plain(0x18, subkey, CREATED).with(27, &[2]),
            Refused,
        ),
    ]
}

fn keyrings() -> Vec<Case> {
    let file = || KEY.sign_inline(TEXT);
    let under = |name: &str, keyring: Vec<u8>, expected| Case::inline(name, file(), expected).under(keyring);
    let ended = SigningKey::design(
        NAME,
        &Design {
            expires_after: Some(DAY),
            ..Design::honest()
        },
    )
    .certificate();
    let revoked = SigningKey::design(
        NAME,
        &Design {
            revoked: Some(2),
            ..Design::honest()
        },
    )
    .certificate();
    let secret = packet(5, &[KEY.primary().body(), &[0, 0, 1, 1, 0, 1]].concat());
    let mut version_3 = KEY.primary().body().to_vec();
    version_3[0] = 3;
    vec![
        under(
            "a keyring of two",
            [STRANGER.certificate(), KEY.certificate()].concat(),
            Accepted,
        ),
        under("a stranger's keyring", STRANGER.certificate(), Refused),
        under(
            "a keyring with the key twice",
            KEY.certificate().repeat(2),
            NeverMore,
        ),
        under(
            "first the current key, then one that ended",
            [KEY.certificate(), ended.clone()].concat(),
            NeverMore,
        ),
        under(
            "first the key that ended, then the current",
            [ended, KEY.certificate()].concat(),
            Refused,
        ),
        under(
            "first the current key, then the revoked",
            [KEY.certificate(), revoked].concat(),
            Refused,
        ),
        under("an empty keyring", Vec::new(), Refused),
        under("a keyring of text", b"not a key\n".to_vec(), Refused),
        under(
            "a keyring with a secret key",
            [KEY.certificate(), secret].concat(),
            Refused,
        ),
        under(
            "a keyring with a version 3 key first",
            [packet(6, &version_3), KEY.certificate()].concat(),
            NeverMore,
        ),
        under(
            "a keyring that is cut",
            KEY.certificate()[..KEY.certificate().len() - 9].to_vec(),
            Refused,
        ),
        under(
            "a keybox",
            [&[0, 0, 0, 32, 1, 1, 0, 2][..], b"KBXf", &[0; 20]].concat(),
            Refused,
        ),
    ]
}
