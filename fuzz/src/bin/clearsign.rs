//! The clear-text framework: what is split is inside one block, and every line of its text stands in the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sources::apt::clearsign;

fuzz_target!(
    init: fuzz::seeds([fuzz::KEY.sign_inline(fuzz::TEXT.as_bytes()), fuzz::KEY.sign_inline(b"- dashed\nlast")]),
    |bytes: &[u8]| {
        let Ok(split) = clearsign::split(bytes) else { return };
        assert!(!split.text().windows(15).any(|part| part == b"\n-----BEGIN PGP"), "a second block inside the text");
        for line in split.text().split(|byte| *byte == b'\n') {
            let stands = line.is_empty() || bytes.windows(line.len()).any(|part| part == line);
            assert!(stands, "the text has a line that the file has not");
        }
        assert!(split.canonical().len() <= bytes.len() * 2);
        assert!(!split.signature().is_empty());
    }
);
