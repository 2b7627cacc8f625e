//! Stanza files: every way of reading the same bytes sees the same stanzas and fields.
#![no_main]

use domain::deb822;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for stanza in deb822::stanzas(bytes).flatten() {
        let whole = stanza.bytes().as_ptr_range();
        assert!(bytes.as_ptr_range().start <= whole.start && whole.end <= bytes.as_ptr_range().end);
        for field in stanza.fields() {
            assert!(!field.name().is_empty());
            assert!(
                stanza.field(field.name()).is_some(),
                "a field that is listed is found by its name"
            );
            let _ = field.text();
        }
    }
    let mut scanner = deb822::Scanner::new(bytes);
    while scanner.next_stanza().is_some() {}
    for stanza in deb822::Uncommented::new(bytes).stanzas() {
        let _ = stanza;
    }
});
