//! Stanza files: every way of reading the same bytes sees the same stanzas and fields.
#![no_main]

use domain::deb822;
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: fuzz::seeds([fuzz::PACKAGES, fuzz::TEXT, "# comment\nTypes: deb\nURIs: http://a.example/\n\n"]),
    |bytes: &[u8]| {
        let mut scanner = deb822::Scanner::new(bytes);
        for stanza in deb822::stanzas(bytes) {
            let scanned = scanner.next_stanza().expect("the scanner sees as many stanzas");
            match (stanza, scanned) {
                (Ok(stanza), Ok(fields)) => {
                    assert!(stanza.fields().eq(fields.iter().copied()), "both see the same fields");
                    for field in stanza.fields() {
                        assert!(!field.name().is_empty());
                        assert!(stanza.field(field.name()) == Some(field), "a field is found by its name");
                        let _ = field.text();
                    }
                }
                (Err(a), Err(b)) => assert_eq!(a, b),
                (stanza, scanned) => panic!("{stanza:?} against {scanned:?}"),
            }
        }
        assert!(scanner.next_stanza().is_none());
        let lines = bytes.split(|byte| *byte == b'\n').count();
        for stanza in deb822::Uncommented::new(bytes).stanzas().flatten() {
            assert!(stanza.fields().all(|field| (1..=lines).contains(&(field.line as usize))));
        }
    }
);
