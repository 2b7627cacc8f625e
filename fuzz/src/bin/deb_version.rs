//! Versions: any two strings have an order, valid ones a transitive one; any string is valid or refused, and splits or not.
#![no_main]

use domain::version::deb::{compare, split_rebuild, validate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: fuzz::seeds(["1.0~rc1-1\n1.0-1\n1.0-1+b1", "2:1.16.2+ds-1+b3\n1.16.2+ds0-1\n1:0"]),
    |text: &str| {
        let mut parts = text.splitn(3, '\n');
        let (a, b, c) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        assert_eq!(compare(a, b), compare(b, a).reverse());
        assert!(compare(a, a).is_eq());
        let is_valid = [a, b, c].iter().all(|version| validate(version).is_ok());
        if is_valid && compare(a, b).is_le() && compare(b, c).is_le() {
            assert!(compare(a, c).is_le());
        }
        let (base, rebuild) = split_rebuild(a);
        assert_eq!(format!("{base}{rebuild}"), a);
    }
);
