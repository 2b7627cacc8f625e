//! Addresses and redirects: what is shown has no control characters and no login, and a location leads to a host or nowhere.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sources::apt::fetch::address::{Address, shown};

fuzz_target!(
    init: fuzz::seeds([
        "http://user:secret@a.example:8080/debian/\n../pool/x%20y",
        "https://[::1]/a\n//b.example/c",
        "file:/srv/archive\nhttp://a.example/",
        "http://a.example/b\nfile:///etc/passwd",
    ]),
    |text: &str| {
        let (uri, location) = text.split_once('\n').unwrap_or((text, ""));
        let _ = shown(uri);
        let Ok(address) = Address::parse(uri) else { return };
        if let Address::Http(http) = &address {
            let printed = http.to_string();
            assert!(!printed.contains(char::is_control), "{printed:?}");
            let authority = printed.split('/').nth(2).expect("a scheme, two slashes and an authority are printed");
            assert!(!authority.contains('@'), "a login is shown: {printed:?}");
            assert!(!http.host().is_empty());
            if let Some(joined) = http.join(location) {
                assert!(!joined.host().is_empty());
            }
        }
    }
);
