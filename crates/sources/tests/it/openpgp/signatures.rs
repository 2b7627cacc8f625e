//! Signatures of every kind: dated, ended, with conditions, of other types and versions, with strange makers. Several
//! of them on one text are in [`super::several`].

use super::Expected::{Accepted, NeverMore, Refused};
use super::certificates::notation;
use super::{Case, Expected, KEY, STRANGER, TEXT, good, inline_file, now, text_signature};
use testkit::keys::packets::{Signature, armor, packet, subpacket};
use testkit::keys::{CREATED, SIGNED, SigningKey, canonical};

const HOUR: u32 = 3600;

pub fn cases() -> Vec<Case> {
    let mut cases = dates();
    cases.extend(makers());
    cases.extend(conditions());
    cases.extend(kinds());
    cases.extend(versions());
    cases.extend(damaged());
    cases
}

fn plain() -> Signature {
    Signature::plain(1, KEY.primary(), SIGNED)
}

fn signed(name: impl Into<String>, signature: &Signature, expected: Expected) -> Case {
    Case::inline(
        name,
        inline_file("SHA256", &text_signature(signature, KEY.primary())),
        expected,
    )
}

fn dates() -> Vec<Case> {
    let now = u32::try_from(now().as_second()).unwrap();
    let dated = |made| Signature::plain(1, KEY.primary(), made);
    let ends = |seconds: u32| plain().with(3, &seconds.to_be_bytes());
    let no_date = Signature {
        hashed: Vec::new(),
        ..plain()
    };
    let unhashed_date = Signature {
        hashed: Vec::new(),
        unhashed: [plain().hashed, plain().unhashed].concat(),
        ..plain()
    };
    vec![
        signed("made now", &dated(now), Accepted),
        signed("made in an hour", &dated(now + HOUR), NeverMore),
        signed("made in two days", &dated(now + 48 * HOUR), Refused),
        signed("made in 2100", &dated(4_102_444_800), Refused),
        signed("made with the key", &dated(CREATED), Accepted),
        signed("made before the key", &dated(CREATED - 1), Refused),
        signed("made in 1970", &dated(0), Refused),
        signed("ended", &ends(HOUR), Refused),
        signed(
            "ends in an hour",
            &dated(now - HOUR).with(3, &(2 * HOUR).to_be_bytes()),
            Accepted,
        ),
        signed("ends never, said so", &ends(0), NeverMore),
        signed("ends after the last date there is", &ends(u32::MAX), NeverMore),
        signed(
            "with two ends",
            &ends(u32::MAX).with(3, &HOUR.to_be_bytes()),
            Refused,
        ),
        signed("with two dates", &plain().with(2, &now.to_be_bytes()), Refused),
        signed("without a date", &no_date, Refused),
        signed("with a date outside the signed part", &unhashed_date, Refused),
        signed("with a short date", &plain().with(2, &[1, 2]), Refused),
        signed("with a long end", &plain().with(3, &[0; 8]), Refused),
    ]
}

fn makers() -> Vec<Case> {
    let id = |key: &SigningKey| subpacket(16, &key.primary().key_id());
    let print = |version: u8, key: &SigningKey| {
        subpacket(33, &[&[version][..], &key.primary().fingerprint()].concat())
    };
    let date = subpacket(2, &SIGNED.to_be_bytes());
    let case = |name: &str, hashed: &[Vec<u8>], unhashed: &[Vec<u8>], expected| {
        let hashed = [&date[..], &hashed.concat()].concat();
        signed(
            name,
            &Signature {
                hashed,
                unhashed: unhashed.concat(),
                ..plain()
            },
            expected,
        )
    };
    vec![
        case("names its fingerprint only", &[print(4, &KEY)], &[], NeverMore),
        case("names its key id only", &[id(&KEY)], &[], Accepted),
        case(
            "names its key id outside the signed part",
            &[],
            &[id(&KEY)],
            Accepted,
        ),
        case(
            "names its fingerprint outside the signed part",
            &[],
            &[print(4, &KEY)],
            NeverMore,
        ),
        case("names nobody", &[], &[], Refused),
        case("names a stranger", &[id(&STRANGER)], &[], Refused),
        case("names two key ids", &[id(&KEY)], &[id(&STRANGER)], Refused),
        case("names its key id twice", &[id(&KEY)], &[id(&KEY)], NeverMore),
        case(
            "names two fingerprints",
            &[print(4, &KEY)],
            &[print(4, &STRANGER)],
            Refused,
        ),
        case(
            "names its id and a stranger's fingerprint",
            &[id(&KEY)],
            &[print(4, &STRANGER)],
            Refused,
        ),
        case(
            "names a stranger's id and its fingerprint",
            &[print(4, &KEY)],
            &[id(&STRANGER)],
            Refused,
        ),
        case(
            "names a fingerprint of version 5",
            &[print(5, &KEY)],
            &[id(&KEY)],
            Refused,
        ),
        case(
            "names a short fingerprint",
            &[subpacket(33, &[4, 1, 2])],
            &[id(&KEY)],
            Refused,
        ),
        case("names the wildcard", &[subpacket(16, &[0; 8])], &[], Refused),
    ]
}

fn conditions() -> Vec<Case> {
    let mut cases = Vec::new();
    // A body that suits most types: one byte that means yes or nothing much.
    for kind in (1..=40).chain([99, 100, 101, 110, 111, 127]) {
        let body: Vec<u8> = match kind {
            2 | 16 | 33 => continue,
            3 | 9 => vec![0x7f, 0, 0, 0],
            5 => vec![1, 60],
            12 => [&[0x80, 22][..], &[7; 20]].concat(),
            20 => notation(),
            31 => [&[22, 8][..], &[7; 32]].concat(),
            32 => Signature::plain(0x19, KEY.primary(), SIGNED).sign(KEY.primary(), b""),
            _ => vec![1],
        };
        cases.push(signed(
            format!("with subpacket {kind}"),
            &plain().with(kind, &body),
            NeverMore,
        ));
        cases.push(signed(
            format!("with critical subpacket {kind}"),
            &plain().with(0x80 | kind, &body),
            NeverMore,
        ));
        let mut unhashed = plain();
        unhashed.unhashed.extend(subpacket(0x80 | kind, &body));
        cases.push(signed(
            format!("with critical subpacket {kind}, not signed"),
            &unhashed,
            NeverMore,
        ));
    }
    let date_critical = Signature {
        hashed: subpacket(0x82, &SIGNED.to_be_bytes()),
        ..plain()
    };
    cases.push(signed("with a critical date", &date_critical, NeverMore));
    cases.push(signed(
        "with a notation",
        &plain().with(20, &notation()),
        Accepted,
    ));
    cases.push(signed(
        "with a critical notation",
        &plain().with(0x94, &notation()),
        Refused,
    ));
    cases.push(signed(
        "with an unknown critical condition",
        &plain().with(0x80 | 101, b"x"),
        Refused,
    ));
    cases
}

fn kinds() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in [
        0, 2, 0x10, 0x13, 0x18, 0x19, 0x1f, 0x20, 0x28, 0x30, 0x40, 0x50, 0x77,
    ] {
        let signature = Signature { kind, ..plain() };
        cases.push(signed(format!("of type {kind:#04x}"), &signature, Refused));
        let plain_text = packet(2, &signature.sign(KEY.primary(), TEXT.trim_ascii_end()));
        let name = format!("of type {kind:#04x} over the plain text");
        cases.push(Case::inline(name, inline_file("SHA256", &plain_text), Refused));
        if kind != 0 {
            let detached = armor("SIGNATURE", &packet(2, &signature.sign(KEY.primary(), TEXT))).into_bytes();
            cases.push(Case::detached(
                format!("of type {kind:#04x}, detached"),
                TEXT,
                detached,
                Refused,
            ));
        }
    }
    let text = packet(
        2,
        &plain().sign(KEY.primary(), &[&canonical(TEXT)[..], b"\r\n"].concat()),
    );
    cases.push(Case::detached(
        "of type 0x01 over lines, detached",
        TEXT,
        armor("SIGNATURE", &text).into_bytes(),
        Refused,
    ));
    cases
}

fn versions() -> Vec<Case> {
    let content = canonical(TEXT);
    let old = packet(2, &plain().sign_v3(KEY.primary(), SIGNED, &content));
    let strange = |version: u8| {
        let mut body = plain().sign(KEY.primary(), &content);
        body[0] = version;
        packet(2, &body)
    };
    let file = |packets: &[Vec<u8>]| inline_file("SHA256", &packets.concat());
    let mut cases = strange_strangers();
    cases.extend([
        Case::inline("version 3", file(std::slice::from_ref(&old)), Refused),
        Case::inline(
            "version 4 and version 3",
            file(&[good(&KEY), old.clone()]),
            Refused,
        ),
        Case::inline(
            "a stranger's version 3 and version 4",
            file(&[
                packet(2, &plain().sign_v3(STRANGER.primary(), SIGNED, &content)),
                good(&KEY),
            ]),
            NeverMore,
        ),
    ]);
    for version in [0, 1, 2, 5, 6, 7, 255] {
        cases.push(Case::inline(
            format!("version {version}"),
            file(&[strange(version)]),
            Refused,
        ));
        cases.push(Case::inline(
            format!("version {version} after a good one"),
            file(&[good(&KEY), strange(version)]),
            NeverMore,
        ));
        cases.push(Case::inline(
            format!("version {version} before a good one"),
            file(&[strange(version), good(&KEY)]),
            NeverMore,
        ));
    }
    cases
}

/// A stranger's signature with something strange about it, in front of a good one and behind it.
fn strange_strangers() -> Vec<Case> {
    let body = Signature::plain(1, STRANGER.primary(), SIGNED).sign(STRANGER.primary(), &canonical(TEXT));
    let changed = |place: usize, value: u8| {
        let mut changed = body.clone();
        changed[place] = value;
        packet(2, &changed)
    };
    let mut strange = Vec::new();
    for kind in [0, 2, 0x10, 0x18, 0x1f, 0x40, 0x66] {
        strange.push((format!("type {kind:#04x}"), changed(1, kind)));
    }
    for algorithm in [0, 1, 2, 3, 16, 17, 18, 19, 20, 23, 27, 100, 255] {
        strange.push((format!("algorithm {algorithm}"), changed(2, algorithm)));
    }
    for digest in [0, 1, 2, 3, 4, 7, 9, 10, 11, 12, 14, 100, 255] {
        strange.push((format!("digest {digest}"), changed(3, digest)));
    }
    let conditional = Signature::plain(1, STRANGER.primary(), SIGNED).with(0xe5, b"x");
    strange.push((
        "a condition".to_owned(),
        text_signature(&conditional, STRANGER.primary()),
    ));
    let mut cases = Vec::new();
    for (what, packet) in strange {
        let file = |packets: [&[u8]; 2]| inline_file("SHA256", &packets.concat());
        cases.push(Case::inline(
            format!("a stranger's with {what}, then a good one"),
            file([&packet, &good(&KEY)]),
            NeverMore,
        ));
        cases.push(Case::inline(
            format!("a good one, then a stranger's with {what}"),
            file([&good(&KEY), &packet]),
            NeverMore,
        ));
    }
    cases
}

/// Every byte of the signature packet changed in turn.
fn damaged() -> Vec<Case> {
    let packet = good(&KEY);
    let mut cases = Vec::new();
    for place in (0..packet.len()).step_by(3) {
        let mut changed = packet.clone();
        changed[place] = changed[place].wrapping_add(1 + (place % 250) as u8);
        cases.push(Case::inline(
            format!("byte {place} of the packet changed"),
            inline_file("SHA256", &changed),
            NeverMore,
        ));
    }
    for length in (0..packet.len()).step_by(9) {
        let cut = inline_file("SHA256", &packet[..length]);
        cases.push(Case::inline(
            format!("the packet cut to {length} bytes"),
            cut,
            Refused,
        ));
    }
    let body = plain().sign(KEY.primary(), &canonical(TEXT));
    for algorithm in [0, 2, 3, 16, 17, 19, 20, 25, 27, 28, 100, 255] {
        let mut changed = body.clone();
        changed[2] = algorithm;
        let name = format!("key algorithm {algorithm} in the signature");
        cases.push(Case::inline(
            name,
            inline_file("SHA256", &testkit::keys::packets::packet(2, &changed)),
            Refused,
        ));
    }
    let longer = testkit::keys::packets::packet(2, &[&body[..], &[0]].concat());
    cases.push(Case::inline(
        "a byte after the numbers",
        inline_file("SHA256", &longer),
        Refused,
    ));
    cases
}
