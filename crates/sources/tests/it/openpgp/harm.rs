//! Random damage to key files and signatures: whatever comes in, a typed answer comes out, and what is accepted reads as
//! it was signed.

use super::{KEY, TEXT, inline_file, now, text_signature};
use proptest::prelude::*;
use sources::apt::keyring::Keyring;
use sources::apt::openpgp::{verify_detached, verify_inrelease};
use std::sync::LazyLock;
use testkit::keys::packets::{Algorithm, Signature, armor};
use testkit::keys::{Design, SIGNED, SigningKey, Subkey};

/// Keys of every algorithm that is computed with, and the signatures of [`TEXT`] by them.
static FILES: LazyLock<(Vec<u8>, Vec<u8>)> = LazyLock::new(|| {
    let algorithms = [
        Algorithm::Rsa(2048),
        Algorithm::P256,
        Algorithm::P384,
        Algorithm::P521,
    ];
    let designs = algorithms.map(|algorithm| Design {
        algorithm,
        digest: 10,
        ..Design::honest()
    });
    let with_subkey = Design {
        subkey: Some(Subkey::honest()),
        ..Design::honest()
    };
    let mut keys: Vec<_> = designs
        .iter()
        .map(|design| SigningKey::design("Harm", design))
        .collect();
    keys.extend([KEY.clone(), SigningKey::design("Subkey", &with_subkey)]);
    let certificates = keys.iter().flat_map(SigningKey::certificate).collect();
    (certificates, keys.iter().flat_map(signature).collect())
});

/// With SHA-512, which all curves are content with.
fn signature(key: &SigningKey) -> Vec<u8> {
    text_signature(
        &Signature::plain(1, key.signer(), SIGNED).digest(10),
        key.signer(),
    )
}

/// Places and what is done there: a byte changed, some bytes doubled, some left out.
fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..6)
}

fn damaged(bytes: &[u8], damage: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, kind, value) in damage {
        let at = place.index(bytes.len());
        let end = bytes.len().min(at + usize::from(*value));
        match kind {
            0 | 1 => bytes[at] = *value,
            2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            _ if end - at < bytes.len() => drop(bytes.drain(at..end)),
            _ => {}
        }
    }
    bytes
}

#[test]
fn undamaged_it_is_believed() {
    let (certificates, signatures) = &*FILES;
    let keyring = Keyring::parse(certificates).unwrap();
    let verified = verify_inrelease(&inline_file("SHA512", signatures), &keyring, now()).unwrap();
    assert_eq!(verified.signatures().len(), 6);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_keys_and_signatures_never_change_what_is_read(
        to_keys in damage(),
        to_signatures in damage(),
        which in 0..3_u8,
    ) {
        let (certificates, signatures) = &*FILES;
        let keys = if which == 1 { certificates.clone() } else { damaged(certificates, &to_keys) };
        let packets = if which == 0 { signatures.clone() } else { damaged(signatures, &to_signatures) };
        if let Ok(keyring) = Keyring::parse(&keys)
            && let Ok(verified) = verify_inrelease(&inline_file("SHA512", &packets), &keyring, now())
        {
            prop_assert_eq!(verified.text(), TEXT.trim_ascii_end());
        }
    }

    #[test]
    fn bytes_by_chance_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let keyring = Keyring::parse(&KEY.certificate()).unwrap();
        prop_assert!(Keyring::parse(&bytes).is_err());
        prop_assert!(verify_inrelease(&bytes, &keyring, now()).is_err());
        prop_assert!(verify_inrelease(&inline_file("SHA256", &bytes), &keyring, now()).is_err());
        prop_assert!(verify_detached(TEXT, armor("SIGNATURE", &bytes).as_bytes(), &keyring, now()).is_err());
    }
}
