//! Enrolment tokens: what is read says exactly what it is written as, whether it came as text or as bytes with a good check sum.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::token::EnrolmentToken;

fuzz_target!(
    init: fuzz::seeds([include_bytes!("../../../crates/protocol/tests/it/golden/v1/token.txt").as_slice()]),
    |bytes: &[u8]| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        if let Ok(token) = text.parse::<EnrolmentToken>() {
            assert_eq!(token.to_text().parse(), Ok(token.clone()));
            assert!(!format!("{token} {token:?}").contains(char::is_control));
        }
    }
);
