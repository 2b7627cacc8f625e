//! Certificates put together from parts that seldom come together: several names, direct signatures, revocations by
//! others, bindings and consents with conditions of their own.

use super::Expected::{Accepted, NeverMore, Refused};
use super::certificates::{DAY, FAR, revoker};
use super::{Case, Expected, KEY, NAME, STRANGER, TEXT};
use testkit::keys::packets::{Secret, Signature, packet, subpacket};
use testkit::keys::{CREATED, certified};

pub fn cases() -> Vec<Case> {
    [names(), direct_signatures(), bindings()].concat()
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
