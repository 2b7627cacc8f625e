//! What a person is told when a file is refused, and which keys may vouch for it.

use super::{KEY, STRANGER, TEXT, good, inline_file, text_signature};
use domain::host::channels::{FingerprintChoice, Subkeys};
use jiff::Timestamp;
use sources::apt::keyring::{Keyring, KeyringError};
use sources::apt::openpgp::{Fault, Refusal, verify_inrelease};
use testkit::keys::packets::{Algorithm, Signature};
use testkit::keys::{Back, CREATED, Design, SIGNED, SigningKey, Subkey};

const DAY: u32 = 24 * 3600;

fn now() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

fn moment(seconds: u32) -> Timestamp {
    Timestamp::from_second(seconds.into()).unwrap()
}

fn ring(key: &SigningKey) -> Keyring {
    Keyring::parse(&key.certificate()).unwrap()
}

/// The only fault that the file is refused for.
fn fault(file: &[u8], keyring: &Keyring) -> Fault {
    let refusal = verify_inrelease(file, keyring, now()).unwrap_err();
    let [fault] = refusal.faults() else {
        panic!("one fault, not {refusal:?}")
    };
    fault.fault.clone()
}

fn fault_of(design: &Design) -> Fault {
    let key = SigningKey::design("Faulty", design);
    fault(&key.sign_inline(TEXT), &ring(&key))
}

#[test]
fn a_refusal_names_what_is_wrong_with_the_key() {
    let honest = Design::honest;
    let with = |subkey| Design {
        subkey: Some(subkey),
        ..honest()
    };
    let rsa = || Design {
        algorithm: Algorithm::Rsa(2048),
        ..honest()
    };
    let expected = [
        (
            Design {
                expires_after: Some(DAY),
                ..honest()
            },
            Fault::KeyExpired {
                since: moment(CREATED + DAY),
            },
        ),
        (
            Design {
                revoked: Some(2),
                ..honest()
            },
            Fault::KeyRevoked {
                reason: Some("compromised"),
            },
        ),
        (
            Design { digest: 2, ..rsa() },
            Fault::WeakBinding { digest: "SHA-1" },
        ),
        (
            Design {
                algorithm: Algorithm::Rsa(1024),
                ..honest()
            },
            Fault::SmallKey { bits: 1024 },
        ),
        (
            Design {
                algorithm: Algorithm::Dsa2048,
                ..honest()
            },
            Fault::Algorithm { algorithm: "DSA" },
        ),
        (
            Design {
                flags: Some(1),
                ..honest()
            },
            Fault::MayNotSign,
        ),
        (
            with(Subkey {
                back: Back::Missing,
                ..Subkey::honest()
            }),
            Fault::NoBackSignature,
        ),
        (
            with(Subkey {
                revoked: Some(1),
                ..Subkey::honest()
            }),
            Fault::KeyRevoked {
                reason: Some("replaced by a new key"),
            },
        ),
        (
            Design {
                created: SIGNED + DAY,
                ..honest()
            },
            Fault::OlderThanKey { made: moment(SIGNED) },
        ),
    ];
    for (design, expected) in expected {
        assert_eq!(fault_of(&design), expected, "{design:?}");
    }
}

#[test]
fn a_refusal_names_what_is_wrong_with_the_signature() {
    let rsa = SigningKey::rsa("Faulty", 2048);
    let signed = |key: &SigningKey, header: &str, signature: Signature| {
        fault(
            &inline_file(header, &text_signature(&signature, key.signer())),
            &ring(key),
        )
    };
    let plain = |made| Signature::plain(1, KEY.signer(), made);
    let weak = Signature::plain(1, rsa.signer(), SIGNED).digest(2);
    let future = now().as_second() as u32 + 2 * DAY;
    assert_eq!(
        fault(&inline_file("SHA256", &good(&STRANGER)), &ring(&KEY)),
        Fault::UnknownKey
    );
    assert_eq!(signed(&rsa, "SHA1", weak), Fault::WeakDigest { digest: "SHA-1" });
    assert_eq!(
        signed(&KEY, "SHA256", plain(future)),
        Fault::FromTheFuture { made: moment(future) }
    );
    let ended = plain(SIGNED).with(3, &DAY.to_be_bytes());
    assert_eq!(
        signed(&KEY, "SHA256", ended),
        Fault::Expired {
            since: moment(SIGNED + DAY)
        }
    );
    assert_eq!(
        signed(&KEY, "SHA256", plain(SIGNED).with(0xe5, b"x")),
        Fault::UnknownCritical
    );
    assert_eq!(signed(&KEY, "SHA512", plain(SIGNED)), Fault::NotAnnounced);
    let altered = KEY
        .sign_inline(TEXT)
        .iter()
        .map(|byte| if *byte == b'E' { b'e' } else { *byte })
        .collect::<Vec<_>>();
    assert!(matches!(
        verify_inrelease(&altered, &ring(&KEY), now()),
        Err(Refusal::Shape(_))
    ));
    let text = String::from_utf8(KEY.sign_inline(TEXT))
        .unwrap()
        .replace("Example", "Evil");
    assert_eq!(fault(text.as_bytes(), &ring(&KEY)), Fault::Altered);
}

#[test]
fn a_refusal_says_whose_key_it_was_and_what_to_do() {
    let key = SigningKey::design(
        "Tools <tools@deb.example>",
        &Design {
            expires_after: Some(DAY),
            ..Design::honest()
        },
    );
    let refusal = verify_inrelease(&key.sign_inline(TEXT), &ring(&key), now()).unwrap_err();
    let expected = format!(
        "key {} (Tools <tools@deb.example>): expired 2024-01-02T00:00:00Z; install the publisher's current key file",
        key.fingerprint()
    );
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn a_key_counts_until_its_last_second() {
    let key = SigningKey::design(
        "Ending",
        &Design {
            expires_after: Some(SIGNED - CREATED + DAY),
            ..Design::honest()
        },
    );
    let (file, keyring) = (key.sign_inline(TEXT), ring(&key));
    let end = moment(SIGNED + DAY);
    let before = Timestamp::from_second(end.as_second() - 1).unwrap();
    let verified = verify_inrelease(&file, &keyring, before).unwrap();
    assert_eq!(verified.signatures()[0].expires, Some(end));
    assert!(verify_inrelease(&file, &keyring, end).is_err());
}

#[test]
fn a_verified_text_tells_who_signed_it() {
    let key = SigningKey::design(
        "Two",
        &Design {
            subkey: Some(Subkey::honest()),
            ..Design::honest()
        },
    );
    let verified = verify_inrelease(&key.sign_inline(TEXT), &ring(&key), now()).unwrap();
    let [signature] = verified.signatures() else {
        panic!("one signature")
    };
    assert_eq!(signature.certificate, key.fingerprint());
    assert_eq!(signature.key, key.signing_fingerprint());
    assert_eq!(signature.user_id.as_deref(), Some("Two"));
    assert_eq!(signature.made, moment(SIGNED));
    assert_eq!(verified.text(), TEXT.trim_ascii_end());
}

#[test]
fn a_name_with_control_characters_is_shown_without_them() {
    let key = SigningKey::ed25519("Evil\x1b[31m\r\n\0name");
    let verified = verify_inrelease(&key.sign_inline(TEXT), &ring(&key), now()).unwrap();
    assert_eq!(verified.signatures()[0].user_id.as_deref(), Some("Evil[31mname"));
}

#[test]
fn fingerprints_restrict_who_may_vouch() {
    let key = SigningKey::design(
        "Two",
        &Design {
            subkey: Some(Subkey::honest()),
            ..Design::honest()
        },
    );
    let choice = |fingerprint: String, subkeys| [FingerprintChoice { fingerprint, subkeys }];
    let verdict = |choices: &[FingerprintChoice]| {
        let keyring = ring(&key).merge(ring(&KEY)).restrict(choices);
        verify_inrelease(&key.sign_inline(TEXT), &keyring, now()).map(drop)
    };
    let not_allowed =
        |verdict: Result<(), Refusal>| verdict.unwrap_err().faults()[0].fault == Fault::NotAllowed;
    assert!(verdict(&[]).is_ok());
    assert!(verdict(&choice(key.fingerprint(), Subkeys::Included)).is_ok());
    assert!(not_allowed(verdict(&choice(
        key.fingerprint(),
        Subkeys::Excluded
    ))));
    assert!(verdict(&choice(key.signing_fingerprint(), Subkeys::Excluded)).is_ok());
    assert!(not_allowed(verdict(&choice(
        KEY.fingerprint(),
        Subkeys::Included
    ))));
    let restricted = ring(&key)
        .merge(ring(&KEY))
        .restrict(&choice(key.fingerprint(), Subkeys::Excluded));
    assert_eq!(restricted.fingerprints(), [key.fingerprint()]);
    assert_ne!(restricted.digest(), ring(&key).merge(ring(&KEY)).digest());
}

#[test]
fn a_bad_signature_by_a_key_that_may_not_vouch_still_refuses() {
    let bad = Signature::plain(1, STRANGER.signer(), SIGNED).sign(STRANGER.signer(), b"something else");
    let packets = [good(&KEY), testkit::keys::packets::packet(2, &bad)].concat();
    let only_key = [FingerprintChoice {
        fingerprint: KEY.fingerprint(),
        subkeys: Subkeys::Included,
    }];
    let keyring = ring(&KEY).merge(ring(&STRANGER)).restrict(&only_key);
    assert_eq!(fault(&inline_file("SHA256", &packets), &keyring), Fault::Altered);
}

#[test]
fn key_files_are_read_armoured_and_binary_alike() {
    let binary = [KEY.certificate(), STRANGER.certificate()].concat();
    let armored = format!("{}\n{}", KEY.armored(), STRANGER.armored());
    let (binary, armored) = (
        Keyring::parse(&binary).unwrap(),
        Keyring::parse(armored.as_bytes()).unwrap(),
    );
    let mut expected = [KEY.fingerprint(), STRANGER.fingerprint()];
    expected.sort();
    assert_eq!(binary.fingerprints(), expected);
    assert_eq!(armored.fingerprints(), expected);
    assert_eq!(binary.digest(), armored.digest());
}

#[test]
fn what_is_no_key_file_is_named() {
    let keybox = [&[0, 0, 0, 32, 1, 1, 0, 2][..], b"KBXf", &[0; 20]].concat();
    assert_eq!(Keyring::parse(&keybox).unwrap_err(), KeyringError::Keybox);
    let secret = testkit::keys::packets::packet(5, b"x");
    assert_eq!(Keyring::parse(&secret).unwrap_err(), KeyringError::SecretKey);
    assert_eq!(
        Keyring::parse(&good(&KEY)).unwrap_err(),
        KeyringError::Misplaced { tag: 2 }
    );
    assert!(matches!(
        Keyring::parse(b"<html>").unwrap_err(),
        KeyringError::Armor(_)
    ));
    assert!(matches!(
        Keyring::parse(&vec![0x99; 5 << 20]).unwrap_err(),
        KeyringError::TooLarge { .. }
    ));
}
