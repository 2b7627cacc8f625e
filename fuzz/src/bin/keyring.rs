//! Keyrings from a stranger: whatever is read as one, the text that our key signed is believed only if our key is in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sources::apt::keyring::Keyring;
use sources::apt::openpgp::verify_detached;
use std::sync::LazyLock;
use testkit::keys::SigningKey;

static SIGNATURE: LazyLock<Vec<u8>> = LazyLock::new(|| fuzz::KEY.sign_detached(fuzz::TEXT.as_bytes()));

fn certificates() -> [Vec<u8>; 4] {
    let other = SigningKey::ed25519("Other <other@archive.example>");
    let both = [fuzz::KEY.certificate(), other.certificate()].concat();
    [
        fuzz::KEY.certificate(),
        fuzz::KEY.armored().into_bytes(),
        other.certificate(),
        both,
    ]
}

fuzz_target!(init: fuzz::seeds(certificates()), |bytes: &[u8]| {
    let Ok(keyring) = Keyring::parse(bytes) else { return };
    let fingerprints = keyring.fingerprints();
    assert!(fingerprints.is_sorted());
    if verify_detached(fuzz::TEXT.as_bytes(), &SIGNATURE, &keyring, *fuzz::NOW).is_ok() {
        assert!(fingerprints.contains(&fuzz::KEY.fingerprint()));
    }
    let merged = keyring.merge(fuzz::KEYRING.clone());
    assert!(merged.fingerprints().contains(&fuzz::KEY.fingerprint()));
});
