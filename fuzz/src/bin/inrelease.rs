//! Signed release files: a key that signed one text verifies that text and no other, whatever is done to file and signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sources::apt::openpgp::{verify_detached, verify_inrelease};

fn files() -> [Vec<u8>; 2] {
    [
        fuzz::KEY.sign_inline(fuzz::TEXT.as_bytes()),
        fuzz::KEY.sign_detached(fuzz::TEXT.as_bytes()),
    ]
}

fuzz_target!(init: fuzz::seeds(files()), |bytes: &[u8]| {
    if let Ok(verified) = verify_inrelease(bytes, &fuzz::KEYRING, *fuzz::NOW) {
        assert!(is_the_signed_text(verified.text()), "{:?}", String::from_utf8_lossy(verified.text()));
    }
    let _ = verify_detached(fuzz::TEXT.as_bytes(), bytes, &fuzz::KEYRING, *fuzz::NOW);
    let other = fuzz::TEXT.replace("stable", "unstable");
    assert!(verify_detached(other.as_bytes(), bytes, &fuzz::KEYRING, *fuzz::NOW).is_err());
});

/// A clear-text signature does not cover blanks at the ends of lines, nor the last line break (RFC 9580 §7.2).
fn is_the_signed_text(text: &[u8]) -> bool {
    let lines = |text: &str| -> Vec<String> { text.lines().map(|line| line.trim_end().to_owned()).collect() };
    std::str::from_utf8(text).is_ok_and(|text| lines(text) == lines(fuzz::TEXT))
}
