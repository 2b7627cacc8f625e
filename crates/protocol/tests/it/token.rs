//! Enrolment tokens.

use domain::digest::Sha256Digest;
use jiff::Timestamp;
use proptest::prelude::*;
use protocol::limits;
use protocol::token::{EnrolmentToken, SITE_BYTES, TokenError};

fn token() -> EnrolmentToken {
    EnrolmentToken {
        addresses: vec![
            "patchyard.example:8443".parse().expect("an address"),
            "[2001:db8::1]:443".parse().expect("an address"),
        ],
        authority: Sha256Digest([0xaa; 32]),
        secret: [0x5e; 16],
        site: "Zürich".into(),
        package: Some(Sha256Digest([0xbb; 32])),
        expires: Timestamp::from_second(1_790_000_000).expect("a time"),
    }
}

#[test]
fn a_token_reads_back_what_it_was_made_of() {
    let plain = EnrolmentToken {
        package: None,
        ..token()
    };
    for token in [token(), plain] {
        let text = token.to_text();
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!(format!("  {text}\n").parse(), Ok(token));
    }
}

#[test]
fn a_token_that_was_mistyped_or_cut_is_damaged() {
    let text = token().to_text();
    for at in 4..text.len() {
        let mut typo = text.clone().into_bytes();
        typo[at] = if typo[at] == b'A' { b'B' } else { b'A' };
        let typo = String::from_utf8(typo).expect("ASCII");
        assert_eq!(
            typo.parse::<EnrolmentToken>(),
            Err(TokenError::Damaged),
            "at {at}"
        );
        assert!(text[..at].parse::<EnrolmentToken>().is_err(), "cut at {at}");
    }
    assert_eq!(
        format!("{text}A").parse::<EnrolmentToken>(),
        Err(TokenError::Damaged)
    );
    assert_eq!("".parse::<EnrolmentToken>(), Err(TokenError::NotAToken));
    assert_eq!(text[4..].parse::<EnrolmentToken>(), Err(TokenError::NotAToken));
}

#[test]
fn a_token_has_its_limits() {
    let with = |count: usize, site: usize| {
        let token = EnrolmentToken {
            addresses: vec![
                format!("{}:8443", "a.".repeat(120) + "a")
                    .parse()
                    .expect("an address");
                count
            ],
            site: "x".repeat(site),
            ..token()
        };
        token.to_text().parse::<EnrolmentToken>().is_ok()
    };
    assert!(with(limits::ADDRESSES, SITE_BYTES));
    assert!(!with(limits::ADDRESSES + 1, SITE_BYTES));
    assert!(!with(limits::ADDRESSES, SITE_BYTES + 1));
    assert!(!with(0, 1));
    assert!(!with(1, 0));
    let endless = format!("py1-{}", "A".repeat(limits::TOKEN_BYTES));
    assert_eq!(endless.parse::<EnrolmentToken>(), Err(TokenError::Damaged));
}

#[test]
fn a_token_shows_its_secret_to_nobody() {
    let shown = format!("{0} {0:?}", token());
    assert!(!shown.contains("5e5e"), "{shown}");
    assert!(!shown.contains("94, 94"), "{shown}");
    assert!(shown.contains("patchyard.example:8443"), "{shown}");
}

#[test]
fn the_server_finds_a_token_by_a_digest_that_does_not_tell_it() {
    assert_ne!(
        EnrolmentToken::secret_digest(&[1; 16]),
        EnrolmentToken::secret_digest(&[2; 16])
    );
    assert_ne!(
        EnrolmentToken::secret_digest(&[1; 16]),
        protocol::sha256(&[1; 16])
    );
}

proptest! {
    #[test]
    fn any_text_is_read_without_harm(text in "py1-[A-Za-z0-9_-]{0,200}|.{0,80}") {
        prop_assert!(text.parse::<EnrolmentToken>().is_err());
    }
}
