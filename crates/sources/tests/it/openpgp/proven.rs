//! Signatures that were computed in an earlier run: that their numbers fit is believed, and nothing else about them.
//! That all other cases come out alike with such a memory and without is seen where they are judged.

use super::TEXT;
use content::Store;
use domain::host::channels::{FingerprintChoice, Subkeys};
use jiff::{SignedDuration, Timestamp};
use sources::apt::keyring::Keyring;
use sources::apt::openpgp::{Fault, Proven, Refusal, Verified, verify_inrelease};
use std::sync::Arc;
use testkit::keys::packets::Algorithm;
use testkit::keys::{CREATED, Design, SIGNED, SigningKey};

const DAY: u32 = 24 * 3600;

fn design() -> Design {
    Design {
        algorithm: Algorithm::Rsa(2048),
        expires_after: Some(500 * DAY),
        ..Design::honest()
    }
}

fn at(seconds: u32) -> Timestamp {
    Timestamp::from_second(seconds.into()).unwrap()
}

fn fault(verified: Result<Verified, Refusal>) -> Fault {
    let refusal = verified.unwrap_err();
    refusal.faults()[0].fault.clone()
}

#[test]
fn what_was_computed_before_is_judged_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cache")).unwrap();
    let key = SigningKey::design("Remembered", &design());
    let file = key.sign_inline(TEXT);
    let soon = at(SIGNED + DAY);
    let first = Arc::new(Proven::default());
    let keyring = Keyring::parse_with(&key.certificate(), &first).unwrap();
    let verified = verify_inrelease(&file, &keyring, soon).unwrap();
    first.save(&store).unwrap();

    let remembered = || Arc::new(Proven::load(&store));
    let keyring = || Keyring::parse_with(&key.certificate(), &remembered()).unwrap();
    assert_eq!(verify_inrelease(&file, &keyring(), soon), Ok(verified));
    let end = at(CREATED + 500 * DAY);
    assert_eq!(
        fault(verify_inrelease(&file, &keyring(), end)),
        Fault::KeyExpired { since: end }
    );
    let before = at(SIGNED) - SignedDuration::from_hours(48);
    assert_eq!(
        fault(verify_inrelease(&file, &keyring(), before)),
        Fault::FromTheFuture { made: at(SIGNED) }
    );
    let other = FingerprintChoice {
        fingerprint: "0".repeat(40),
        subkeys: Subkeys::Included,
    };
    assert_eq!(
        fault(verify_inrelease(&file, &keyring().restrict(&[other]), soon)),
        Fault::NotAllowed
    );
    let revoked = SigningKey::design(
        "Remembered",
        &Design {
            revoked: Some(2),
            ..design()
        },
    );
    assert_eq!(revoked.fingerprint(), key.fingerprint(), "the same key");
    let revoked = Keyring::parse_with(&revoked.certificate(), &remembered()).unwrap();
    assert!(matches!(
        fault(verify_inrelease(&file, &revoked, soon)),
        Fault::KeyRevoked { .. }
    ));
    let altered = String::from_utf8(file)
        .unwrap()
        .replace("Codename: one", "Codename: two");
    assert_eq!(
        fault(verify_inrelease(altered.as_bytes(), &keyring(), soon)),
        Fault::Altered
    );
}
