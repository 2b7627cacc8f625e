//! Envelopes: what is sealed opens, and nothing else does.

use crate::samples;
use domain::identity::Nonce;
use proptest::prelude::*;
use protocol::envelope::{Body, CONTEXT, Envelope, HEADER_BYTES, Header, OpenError, ParseError, Unopened};
use protocol::key::{SigningKey, VerifyingKey};
use protocol::limits;
use protocol::message::Kind;
use ring::signature::Ed25519KeyPair;

fn opens(bytes: &[u8], key: &VerifyingKey) -> bool {
    Unopened::parse(bytes).is_ok_and(|envelope| envelope.open(key).is_ok())
}

fn sealed(json: &[u8]) -> Vec<u8> {
    let body = Body {
        json: json.to_vec(),
        attachment: None,
    };
    Envelope::seal(&samples::host_key(), samples::header(Kind::CHECK_IN), &body).expect("below the limit")
}

#[test]
fn an_envelope_altered_at_any_bit_is_refused() {
    let key = samples::host_key().verifying();
    for json in [b"{\"a\":1}".to_vec(), b"x".repeat(6 << 10)] {
        let bytes = sealed(&json);
        assert!(opens(&bytes, &key));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << bit;
                assert!(!opens(&altered, &key), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn an_envelope_cut_short_or_drawn_out_is_refused() {
    let key = samples::host_key().verifying();
    let bytes = sealed(b"{\"a\":1}");
    for end in 0..bytes.len() {
        assert!(!opens(&bytes[..end], &key), "cut at {end}");
    }
    let longer = [bytes.as_slice(), b"x"].concat();
    assert!(matches!(Unopened::parse(&longer), Err(ParseError::Length { .. })));
}

#[test]
fn another_key_opens_nothing_even_if_it_is_named() {
    let bytes = sealed(b"{}");
    let other = SigningKey::from_seed(&[8; 32]);
    let envelope = Unopened::parse(&bytes).expect("an envelope");
    assert!(matches!(
        envelope.open(&other.verifying()),
        Err(OpenError::OtherKey { .. })
    ));
    let mut renamed = bytes.clone();
    renamed[10..26].copy_from_slice(&other.id().0);
    let envelope = Unopened::parse(&renamed).expect("an envelope");
    assert!(matches!(
        envelope.open(&other.verifying()),
        Err(OpenError::Signature(_))
    ));
}

/// Noise that does not deflate.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = Vec::with_capacity(bytes);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend(state.to_be_bytes());
    }
    noise.truncate(bytes);
    noise
}

#[test]
fn a_body_may_have_its_limit_and_not_a_byte_more() {
    let key = samples::host_key();
    let body = |bytes| Body {
        json: noise(bytes),
        attachment: None,
    };
    let header = samples::header(Kind::DOCUMENTS);
    let largest = Envelope::seal(&key, header, &body(limits::BODY_BYTES)).expect("at the limit");
    assert_eq!(largest.len(), HEADER_BYTES + limits::BODY_BYTES);
    assert!(opens(&largest, &key.verifying()));
    assert!(Envelope::seal(&key, header, &body(limits::BODY_BYTES + 1)).is_err());
    let mut above = largest;
    above[58..62].copy_from_slice(&(limits::BODY_BYTES as u32 + 1).to_be_bytes());
    above.push(0);
    assert!(matches!(Unopened::parse(&above), Err(ParseError::TooLarge(_))));
}

/// An envelope made by hand from the layout in docs/protocol.md, with another hand at the signature.
fn by_hand(flags: u16, body: &[u8]) -> Vec<u8> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("a seed");
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    let mut header = b"PYE1".to_vec();
    header.extend(1_u16.to_be_bytes());
    header.extend(2_u16.to_be_bytes());
    header.extend(flags.to_be_bytes());
    header.extend(samples::host_key().id().0);
    header.extend(41_u64.to_be_bytes());
    header.extend([0x5a; 16]);
    header.extend(1_790_000_000_123_456_i64.to_be_bytes());
    header.extend((body.len() as u32).to_be_bytes());
    header.extend(digest.as_ref());
    let signature = pair.sign(&[b"patchyard envelope 1\0", header.as_slice()].concat());
    [&header, signature.as_ref(), body].concat()
}

#[test]
fn an_envelope_has_the_bytes_that_are_documented() {
    assert_eq!(by_hand(0, b"{\"a\":1}"), sealed(b"{\"a\":1}"));
    assert_eq!(CONTEXT, b"patchyard envelope 1\0");
}

#[test]
fn what_is_signed_but_deflated_beyond_the_ratio_or_the_limit_is_refused() {
    let key = samples::host_key().verifying();
    let deflated = |plain: &[u8]| {
        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut packer, plain).expect("into memory");
        packer.finish().expect("into memory")
    };
    let bomb = by_hand(1, &deflated(&vec![b' '; 1 << 20]));
    let error = Unopened::parse(&bomb)
        .expect("an envelope")
        .open(&key)
        .expect_err("a bomb");
    assert!(matches!(error, OpenError::Inflate(_)), "{error}");
    // A ratio of two, but more than any body may have.
    let large = [noise(limits::BODY_BYTES / 2), vec![0; limits::BODY_BYTES / 2 + 1]].concat();
    let error = by_hand(1, &deflated(&large));
    let error = Unopened::parse(&error)
        .expect("an envelope")
        .open(&key)
        .expect_err("too large");
    assert!(matches!(error, OpenError::Inflate(_)), "{error}");
    let allowed = by_hand(1, &deflated(&large[..limits::BODY_BYTES]));
    let allowed = Unopened::parse(&allowed)
        .expect("an envelope")
        .open(&key)
        .expect("at the limit");
    assert_eq!(allowed.json().len(), limits::BODY_BYTES);
}

#[test]
fn what_is_signed_and_still_wrong_is_refused() {
    let key = samples::host_key().verifying();
    let unknown_flag = by_hand(4, b"{}");
    assert_eq!(
        Unopened::parse(&unknown_flag).expect_err("a flag"),
        ParseError::Flags(4)
    );
    for body in [
        b"".as_slice(),
        &[0, 0, 0],
        &[0, 0, 0, 1],
        &[0xff, 0xff, 0xff, 0xff, 1, 2],
    ] {
        let bytes = by_hand(2, body);
        let opened = Unopened::parse(&bytes).expect("an envelope").open(&key);
        assert_eq!(
            opened.expect_err("parts that do not fit"),
            OpenError::Parts,
            "{body:?}"
        );
    }
    let empty = by_hand(2, &[0, 0, 0, 0]);
    let opened = Unopened::parse(&empty)
        .expect("an envelope")
        .open(&key)
        .expect("two empty parts");
    assert_eq!((opened.json().len(), opened.attachment().len()), (0, 0));
}

#[test]
fn an_answer_counts_for_its_own_request_only() {
    let request = samples::asked(Kind::CHECK_IN);
    let answer = |header: Header| {
        let bytes = Envelope::seal(&samples::answers_key(), header, &Body::default()).expect("empty");
        let key = samples::answers_key().verifying();
        let opened = Unopened::parse(&bytes)
            .expect("an envelope")
            .open(&key)
            .expect("signed");
        opened.answers(&request)
    };
    let good = request.answer(Kind::CHECKED_IN, samples::time());
    assert!(answer(good));
    assert!(!answer(Header {
        nonce: Nonce([1; 16]),
        ..good
    }));
    assert!(!answer(Header { sequence: 42, ..good }));
    assert!(
        !answer(Header {
            kind: Kind::CHECK_IN,
            ..good
        }),
        "a request thrown back"
    );
    assert!(!answer(Header::unasked(Kind::REFUSED, samples::time())));
}

/// Two requests that nothing tells apart but what they say: as of a host and a copy of its disk.
#[test]
fn requests_of_one_key_nonce_number_and_time_have_answers_of_their_own() {
    let header = samples::header(Kind::CHECK_IN);
    let asked = |key: &SigningKey, json: &[u8]| {
        let body = Body {
            json: json.to_vec(),
            attachment: None,
        };
        let bytes = Envelope::seal(key, header, &body).expect("below the limit");
        let unopened = Unopened::parse(&bytes).expect("an envelope");
        let opened = unopened.open(&key.verifying()).expect("signed");
        assert_eq!(opened.asked(), unopened.asked());
        unopened.asked()
    };
    let (host, other) = (samples::host_key(), samples::next_host_key());
    assert_eq!(asked(&host, b"{}"), asked(&host, b"{}"), "the same bytes again");
    assert_ne!(asked(&host, b"{}"), asked(&host, b"{ }"));
    assert_ne!(asked(&host, b"{}"), asked(&other, b"{}"));
}

proptest! {
    #[test]
    fn what_was_sealed_opens_again(
        json in proptest::collection::vec(any::<u8>(), 0..20_000),
        attachment in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20_000)),
        repeated in 1_usize..30,
        kind in any::<u16>(),
    ) {
        let body = Body { json: json.repeat(repeated), attachment };
        let key = samples::host_key();
        let header = samples::header(Kind(kind));
        let bytes = Envelope::seal(&key, header, &body).expect("below the limit");
        let opened = Unopened::parse(&bytes).expect("an envelope").open(&key.verifying()).expect("signed");
        prop_assert_eq!(opened.header(), header);
        prop_assert_eq!(opened.json(), body.json.as_slice());
        prop_assert_eq!(opened.attachment(), body.attachment.as_deref().unwrap_or_default());
    }

    #[test]
    fn any_bytes_are_parsed_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let key = samples::host_key().verifying();
        prop_assert!(!opens(&bytes, &key));
        let mut dressed = sealed(b"{}");
        let at = bytes.len().min(dressed.len());
        dressed[..at].copy_from_slice(&bytes[..at]);
        let is_untouched = dressed == sealed(b"{}");
        prop_assert!(is_untouched || !opens(&dressed, &key));
    }
}
