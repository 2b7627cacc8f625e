//! The server's card: believed for the sake of a pinned authority, and only as far as that vouches.

use crate::samples;
use jiff::{Timestamp, ToSpan};
use protocol::card::{Authority, CardError, KeyCertificate, KeyTerms, Purpose, ServerCard, authority_key};
use protocol::envelope::{Body, Envelope, Unopened};
use protocol::key::SigningKey;
use protocol::limits;
use protocol::message::enrol::{Enrolled, introducing};
use protocol::message::refused::Refused;
use protocol::message::{Kind, Message as _};
use protocol::sha256;

fn next_authority() -> (SigningKey, Vec<u8>) {
    let key = SigningKey::from_seed(&[5; 32]);
    let certificate = samples::certificate(&key, "the next one");
    (key, certificate)
}

fn certificate() -> Vec<u8> {
    samples::certificate(&samples::authority_key(), "the authority")
}

#[test]
fn a_host_that_pins_the_authority_believes_its_card_and_key() {
    let card = samples::card(certificate());
    let read = ServerCard::parse(&card.to_bytes()).expect("it was written so");
    assert_eq!(read, card);
    let trust = read.verify(&[sha256(&certificate())]).expect("it pins it");
    assert_eq!(trust.authorities, [sha256(&certificate())]);
    assert_eq!(trust.certificates, [certificate()]);
    let id = samples::answers_key().id();
    assert_eq!(
        trust.answers_key(id, samples::time()),
        Some(samples::answers_key().verifying())
    );
    let before = samples::time() - 1.microsecond();
    assert!(
        trust.answers_key(id, before).is_some(),
        "certified by a clock that was ahead"
    );
    let end = Timestamp::from_second(1_900_000_000).expect("a time");
    assert!(trust.answers_key(id, end).is_some());
    assert_eq!(
        trust.answers_key(id, end + 1.microsecond()),
        None,
        "after its time"
    );
    assert_eq!(trust.answers_key(samples::host_key().id(), samples::time()), None);
}

#[test]
fn a_card_of_another_authority_is_not_believed() {
    let card = samples::card(certificate());
    assert!(matches!(card.verify(&[]), Err(CardError::OtherAuthority)));
    assert!(matches!(
        card.verify(&[sha256(b"another")]),
        Err(CardError::OtherAuthority)
    ));
}

#[test]
fn a_key_counts_only_as_it_was_certified() {
    let pins = [sha256(&certificate())];
    let key = |change: fn(&mut KeyCertificate)| {
        let mut card = samples::card(certificate());
        change(&mut card.keys[0]);
        card.verify(&pins)
    };
    assert!(key(|_| ()).is_ok());
    let changes: [fn(&mut KeyCertificate); 6] = [
        |key| key.public_key[0] ^= 1,
        |key| key.not_before = Timestamp::UNIX_EPOCH,
        |key| key.not_after = Timestamp::MAX,
        |key| key.epoch = 2,
        |key| key.by = sha256(b"another"),
        |key| key.signature[63] ^= 1,
    ];
    for change in changes {
        assert!(matches!(key(change), Err(CardError::NoAnswersKey)));
    }
    // A key for orders signs no answers, whatever its certificate is called afterwards.
    let terms = KeyTerms {
        purpose: Purpose::Orders,
        not_before: samples::time(),
        not_after: Timestamp::MAX,
        epoch: 1,
    };
    let mut card = samples::card(certificate());
    let orders = KeyCertificate::issue(
        pins[0],
        &samples::authority_key(),
        samples::host_key().verifying(),
        terms,
    );
    card.keys.push(orders.clone());
    let trust = card.verify(&pins).expect("it still has the other");
    assert_eq!(trust.keys.len(), 2);
    assert_eq!(trust.answers_key(samples::host_key().id(), samples::time()), None);
    card.keys = vec![KeyCertificate {
        purpose: Purpose::Answers,
        ..orders
    }];
    assert!(matches!(card.verify(&pins), Err(CardError::NoAnswersKey)));
}

#[test]
fn the_next_authority_is_pinned_ahead_of_time_if_the_present_one_endorses_it() {
    let pins = [sha256(&certificate())];
    let (next_key, next) = next_authority();
    let mut card = samples::card(certificate());
    card.authorities.push(Authority::new(next.clone()));
    let trust = card.verify(&pins).expect("the present one holds");
    assert_eq!(trust.authorities, pins, "nobody endorses it");
    card.authorities[1] = Authority::new(next.clone()).endorsed(&certificate(), &next_key);
    assert_eq!(
        card.verify(&pins).expect("it holds").authorities,
        pins,
        "it endorses itself in another's name"
    );
    card.authorities[1] = Authority::new(next.clone()).endorsed(&certificate(), &samples::authority_key());
    let trust = card.verify(&pins).expect("it holds");
    assert_eq!(trust.authorities, [pins[0], sha256(&next)]);
    // Later the old one is gone, and a key of the next one is believed by a host that saw the card in between.
    let terms = KeyTerms {
        purpose: Purpose::Answers,
        not_before: samples::time(),
        not_after: Timestamp::MAX,
        epoch: 1,
    };
    let key = KeyCertificate::issue(sha256(&next), &next_key, samples::host_key().verifying(), terms);
    let later = ServerCard {
        authorities: vec![Authority::new(next)],
        keys: vec![key],
        ..card
    };
    let after = later
        .verify(&trust.authorities)
        .expect("it was told ahead of time");
    assert!(
        after
            .answers_key(samples::host_key().id(), samples::time())
            .is_some()
    );
    assert!(matches!(later.verify(&pins), Err(CardError::OtherAuthority)));
}

#[test]
fn a_certificate_without_an_ed25519_key_is_no_authority() {
    assert_eq!(
        authority_key(&certificate()),
        Ok(samples::authority_key().verifying())
    );
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let params = rcgen::CertificateParams::new(Vec::new()).expect("no names");
    let other = params.self_signed(&pair).expect("a certificate").der().to_vec();
    assert!(authority_key(&other).is_err());
    for end in 0..certificate().len() {
        assert!(authority_key(&certificate()[..end]).is_err());
    }
}

#[test]
fn a_card_has_its_limits() {
    let of = |addresses: usize, authorities: usize, keys: usize, bytes: usize| {
        let mut card = samples::card(vec![1; bytes]);
        card.addresses = vec![card.addresses[0].clone(); addresses];
        card.authorities = vec![card.authorities[0].clone(); authorities];
        card.keys = vec![card.keys[0].clone(); keys];
        ServerCard::parse(&card.to_bytes())
    };
    use limits::{ADDRESSES, CARD_ENTRIES, CERTIFICATE_BYTES};
    assert!(of(ADDRESSES, CARD_ENTRIES, CARD_ENTRIES, CERTIFICATE_BYTES).is_ok());
    assert!(matches!(of(ADDRESSES + 1, 1, 1, 1), Err(CardError::TooLarge(_))));
    assert!(matches!(
        of(1, CARD_ENTRIES + 1, 1, 1),
        Err(CardError::TooLarge(_))
    ));
    assert!(matches!(
        of(1, 1, CARD_ENTRIES + 1, 1),
        Err(CardError::TooLarge(_))
    ));
    assert!(matches!(
        of(1, 1, 1, CERTIFICATE_BYTES + 1),
        Err(CardError::TooLarge(_))
    ));
}

#[test]
fn a_server_introduces_itself_in_the_answer_to_an_enrolment_even_when_it_refuses() {
    let card = samples::card(certificate());
    let pins = [sha256(&certificate())];
    for (kind, body) in [
        (Enrolled::KIND, introducing(&samples::enrolled(), &card)),
        (Refused::KIND, introducing(&samples::refused(), &card)),
    ] {
        let header = samples::asked(Kind::ENROL).answer(kind, samples::time());
        let bytes = Envelope::seal(&samples::answers_key(), header, &body).expect("below the limit");
        let envelope = Unopened::parse(&bytes).expect("an envelope");
        let trust = envelope
            .introduction()
            .expect("a card")
            .verify(&pins)
            .expect("pinned");
        let key = trust
            .answers_key(envelope.key_id(), envelope.header().sent_at)
            .expect("certified");
        assert!(envelope.open(&key).is_ok());
    }
    let header = samples::asked(Kind::ENROL).answer(Refused::KIND, samples::time());
    for body in [
        samples::refused().to_body(),
        Body {
            attachment: Some(b"{}".to_vec()),
            ..samples::refused().to_body()
        },
    ] {
        let bytes = Envelope::seal(&samples::answers_key(), header, &body).expect("below the limit");
        assert!(
            Unopened::parse(&bytes)
                .expect("an envelope")
                .introduction()
                .is_err()
        );
    }
}

#[test]
fn a_key_is_the_same_for_the_libraries_of_tls() {
    let key = samples::host_key();
    let pair = rcgen::KeyPair::try_from(key.to_pkcs8().as_slice()).expect("rcgen reads it");
    assert_eq!(rcgen::PublicKeyData::der_bytes(&pair), key.verifying().to_bytes());
    let ring = ring::signature::Ed25519KeyPair::from_pkcs8(&key.to_pkcs8())
        .expect("ring reads it, and checks both halves");
    assert_eq!(
        ring::signature::KeyPair::public_key(&ring).as_ref(),
        key.verifying().to_bytes()
    );
}
