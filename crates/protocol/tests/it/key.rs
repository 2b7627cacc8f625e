//! Keys: a signature holds where the standard and other libraries say that it holds, and nowhere else.

use crate::samples;
use proptest::prelude::*;
use protocol::key::{SigningKey, VerifyingKey};
use ring::signature::{ED25519, UnparsedPublicKey};

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    std::array::from_fn(|at| digit(2 * at))
}

/// RFC 8032, section 7.1, test 2.
#[test]
fn the_example_of_the_standard_comes_out() {
    let key = SigningKey::from_seed(&bytes(
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    ));
    let public = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
    let signature = bytes(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    );
    assert_eq!(key.verifying().to_bytes(), public);
    assert_eq!(key.sign(&[0x72]), signature);
    assert!(key.verifying().verify(&[0x72], &signature).is_ok());
    assert!(key.verifying().verify(&[0x73], &signature).is_err());
}

#[test]
fn a_key_under_which_anybody_can_sign_verifies_nothing() {
    // The neutral point as key and as R, and 0 as S: the equation holds for every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(
        UnparsedPublicKey::new(&ED25519, neutral)
            .verify(b"anything", &signature)
            .is_ok()
    );
    assert!(
        VerifyingKey::from_bytes(neutral)
            .verify(b"anything", &signature)
            .is_err()
    );
    let no_point = VerifyingKey::from_bytes([2; 32]);
    assert!(no_point.verify(b"", &samples::host_key().sign(b"")).is_err());
}

proptest! {
    #[test]
    fn a_signature_holds_here_where_it_holds_for_ring(
        seed in any::<[u8; 32]>(),
        message in proptest::collection::vec(any::<u8>(), 0..200),
        turned in proptest::option::of(0_usize..96 * 8),
    ) {
        let key = SigningKey::from_seed(&seed);
        let (mut public, mut signature) = (key.verifying().to_bytes(), key.sign(&message));
        match turned.map(|bit| (bit / 8, 1_u8 << (bit % 8))) {
            Some((at, bit)) if at < 32 => public[at] ^= bit,
            Some((at, bit)) => signature[at - 32] ^= bit,
            None => {}
        }
        let here = VerifyingKey::from_bytes(public).verify(&message, &signature).is_ok();
        let there = UnparsedPublicKey::new(&ED25519, public).verify(&message, &signature).is_ok();
        prop_assert_eq!(here, there);
        prop_assert_eq!(here, turned.is_none());
    }
}
