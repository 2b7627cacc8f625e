//! Release files from a publisher who is who he says, and hostile: paths that stay inside, dates that do not overflow.
#![no_main]

use domain::host::channels::Settings;
use libfuzzer_sys::fuzz_target;
use sources::apt::freshness::{FreshnessRules, freshness};
use sources::apt::openpgp::verify_detached;
use sources::apt::release::Release;

fuzz_target!(init: fuzz::seeds([fuzz::TEXT]), |bytes: &[u8]| {
    let signature = fuzz::KEY.sign_detached(bytes);
    let Ok(verified) = verify_detached(bytes, &signature, &fuzz::KEYRING, *fuzz::NOW) else { return };
    let Ok(release) = Release::parse(&verified) else { return };
    for (path, entry) in release.files() {
        assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."), "{path}");
        assert!(!path.contains(char::is_control), "{path:?}");
        assert!(release.file(path).is_some_and(|found| found.sha256 == entry.sha256));
    }
    let settings = Settings { max_valid_seconds: i64::MAX, min_valid_seconds: i64::MIN, ..Settings::default() };
    let mut stanza = fuzz::stanza();
    stanza.date_max_future_seconds = Some(i64::MIN);
    let rules = FreshnessRules::new(&stanza, &settings);
    let _ = freshness(release.facts(), &rules, *fuzz::NOW);
});
