//! Key files: several keys, the same key twice, what is no key file, and every byte changed in turn.

use super::Expected::{Accepted, NeverMore, Refused};
use super::certificates::DAY;
use super::{Case, KEY, NAME, STRANGER, TEXT};
use testkit::keys::packets::{Algorithm, packet};
use testkit::keys::{Design, SigningKey, Subkey};

pub fn cases() -> Vec<Case> {
    [keyrings(), damaged()].concat()
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
