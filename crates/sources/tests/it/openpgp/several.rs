//! Several signatures on one text, good and bad, known and unknown, and packets between them that do not belong there.

use super::Expected::{Accepted, NeverMore, Refused};
use super::{Case, KEY, STRANGER, TEXT, good, inline_file, text_signature};
use testkit::keys::packets::{Algorithm, Signature, packet};
use testkit::keys::{Design, SIGNED, SigningKey, canonical};

pub fn cases() -> Vec<Case> {
    [several(), among_packets()].concat()
}

fn several() -> Vec<Case> {
    let second = SigningKey::ed25519("Second");
    let rsa = SigningKey::rsa("RSA", 2048);
    let ended = SigningKey::design(
        "Ended",
        &Design {
            expires_after: Some(9_000_000),
            ..Design::honest()
        },
    );
    let revoked = SigningKey::design(
        "Revoked",
        &Design {
            revoked: Some(1),
            ..Design::honest()
        },
    );
    let small = SigningKey::rsa("Small", 1024);
    let dsa = SigningKey::design(
        "DSA",
        &Design {
            algorithm: Algorithm::Dsa2048,
            ..Design::honest()
        },
    );
    let keyring: Vec<_> = [&*KEY, &second, &rsa, &ended, &revoked, &small, &dsa]
        .iter()
        .flat_map(|key| key.certificate())
        .collect();
    let bad = |key: &SigningKey| packet(2, &plain(key).sign(key.signer(), b"something else"));
    let with = |key: &SigningKey, digest| text_signature(&plain(key).digest(digest), key.signer());
    let case = |name: &str, packets: &[Vec<u8>], expected| {
        Case::inline(
            name,
            inline_file("SHA256, SHA512, SHA1", &packets.concat()),
            expected,
        )
        .under(keyring.clone())
    };
    let mut cases = vec![
        case("good and good", &[good(&KEY), good(&second)], Accepted),
        case("the same twice", &[good(&KEY), good(&KEY)], NeverMore),
        case(
            "three of two algorithms",
            &[good(&KEY), good(&rsa), good(&second)],
            Accepted,
        ),
        case("good and unknown", &[good(&KEY), good(&STRANGER)], Accepted),
        case("unknown and good", &[good(&STRANGER), good(&KEY)], Accepted),
        case(
            "good, and unknown that does not fit",
            &[good(&KEY), bad(&STRANGER)],
            Accepted,
        ),
        case("unknown alone", &[good(&STRANGER)], Refused),
        case("good and bad", &[good(&KEY), bad(&second)], Refused),
        case("bad and good", &[bad(&second), good(&KEY)], Refused),
        case("good and bad of one key", &[good(&KEY), bad(&KEY)], Refused),
        case("good and bad RSA", &[good(&KEY), bad(&rsa)], Refused),
        case(
            "good and bad by a key that ended",
            &[good(&KEY), bad(&ended)],
            Refused,
        ),
        case(
            "good and bad by a revoked key",
            &[good(&KEY), bad(&revoked)],
            Refused,
        ),
        case("good and bad by a small key", &[good(&KEY), bad(&small)], Refused),
        case("good and bad by a DSA key", &[good(&KEY), bad(&dsa)], Refused),
        case("good and ended", &[good(&KEY), good(&ended)], Accepted),
        case("ended and good", &[good(&ended), good(&KEY)], Accepted),
        case("good and revoked", &[good(&KEY), good(&revoked)], Accepted),
        case("ended and revoked", &[good(&ended), good(&revoked)], Refused),
        case("good and small", &[good(&KEY), good(&small)], NeverMore),
        case("good and SHA-1", &[good(&KEY), with(&rsa, 2)], NeverMore),
        case("SHA-1 and good", &[with(&rsa, 2), good(&KEY)], NeverMore),
        case("good and SHA-512", &[good(&KEY), with(&second, 10)], NeverMore),
        case(
            "good and a critical condition",
            &[
                good(&KEY),
                text_signature(&plain(&second).with(0xe5, b"x"), second.signer()),
            ],
            Refused,
        ),
        case(
            "good and one of type 0",
            &[
                good(&KEY),
                packet(
                    2,
                    &Signature {
                        kind: 0,
                        ..plain(&second)
                    }
                    .sign(second.signer(), &canonical(TEXT)),
                ),
            ],
            Refused,
        ),
        case(
            "sixteen",
            &vec![good(&STRANGER); 15]
                .into_iter()
                .chain([good(&KEY)])
                .collect::<Vec<_>>(),
            NeverMore,
        ),
        case(
            "seventeen",
            &vec![good(&STRANGER); 16]
                .into_iter()
                .chain([good(&KEY)])
                .collect::<Vec<_>>(),
            Refused,
        ),
    ];
    let swapped = [good(&KEY), good(&second)].concat();
    cases.push(Case::inline(
        "two, one of them known",
        inline_file("SHA256", &swapped),
        Accepted,
    ));
    cases
}

fn plain(key: &SigningKey) -> Signature {
    Signature::plain(1, key.signer(), SIGNED)
}

/// Packets that do not belong between signatures.
fn among_packets() -> Vec<Case> {
    let mut cases = Vec::new();
    let literal = [&[b't', 0, 0, 0, 0, 0][..], TEXT].concat();
    let one_pass = [&[3, 1, 8, 22][..], &KEY.primary().key_id(), &[1]].concat();
    let strange: [(u8, &[u8]); 7] = [
        (10, b"PGP"),
        (11, &literal),
        (4, &one_pass),
        (8, &[0]),
        (12, &[0]),
        (21, &[0; 4]),
        (60, b"x"),
    ];
    for (tag, body) in strange {
        for (place, packets) in [
            ("before", [packet(tag, body), good(&KEY)]),
            ("after", [good(&KEY), packet(tag, body)]),
        ] {
            let file = inline_file("SHA256", &packets.concat());
            cases.push(Case::inline(
                format!("packet {tag} {place} the signature"),
                file,
                Refused,
            ));
        }
    }
    let old_style = good(&KEY);
    let body = &old_style[5..];
    let length = u8::try_from(body.len()).unwrap();
    let short = [&[0x88, length][..], body].concat();
    let new = [&[0xc2, length][..], body].concat();
    let endless = [&[0x8b][..], body].concat();
    let partial = [&[0xc2, 0xe6][..], &body[..64], &[length - 64], &body[64..]].concat();
    cases.push(Case::inline(
        "a packet with a short length",
        inline_file("SHA256", &short),
        Accepted,
    ));
    cases.push(Case::inline(
        "a packet in the new format",
        inline_file("SHA256", &new),
        NeverMore,
    ));
    cases.push(Case::inline(
        "a packet without a length",
        inline_file("SHA256", &endless),
        Refused,
    ));
    cases.push(Case::inline(
        "a packet in parts",
        inline_file("SHA256", &partial),
        Refused,
    ));
    cases
}
