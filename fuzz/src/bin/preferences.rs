//! Preferences, and the policy made of them: hostile patterns and expressions cost bounded time, and every listing has a priority.
#![no_main]

use agent::preferences::{SourceVersionPins, parse};
use domain::assess::policy::Policy;
use domain::assess::verdict::verdict;
use domain::catalog::listing::{Listing, ListingNo};
use domain::catalog::offer::Offer;
use domain::catalog::release::ReleaseFacts;
use domain::host::channels::ChannelConfig;
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, PackageState, ReinstallRequired, Selection,
};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;

const PREFERENCES: &str = "Package: *\nPin: release a=stable, o=Seeds, n=seeds, l=L*, c=main, v=12.1\nPin-Priority: 990\n\n\
    Package: src:openssl /^lib(ssl|crypto)/ python3-*\nPin: version 3.0.*\nPin-Priority: never\n\n\
    Package: openssl:any\nPin: origin \"archive.example\"\nPin-Priority: -1\n\nExplanation: e\nPackage: a\nPin: version /^1/\nPin-Priority: 1001\n";

fuzz_target!(init: fuzz::seeds([PREFERENCES]), |bytes: &[u8]| {
    let (pins, _problems) = parse("preferences", bytes, SourceVersionPins::Known);
    let config = ChannelConfig { native_architecture: "amd64".into(), pins, ..ChannelConfig::default() };
    let listing = Listing {
        release: Arc::new(ReleaseFacts {
            origin: Some("Seeds".into()),
            suite: Some("stable".into()),
            codename: Some("seeds".into()),
            version: Some("12.10".into()),
            ..ReleaseFacts::default()
        }),
        site: "archive.example".into(),
        component: "main".into(),
        architecture: "amd64".into(),
    };
    let policy = Policy::new(&config, &[listing]);
    assert!(policy.listing(ListingNo(0)).is_some());
    let offer = Offer {
        listing: ListingNo(0),
        name: "openssl",
        architecture: "amd64",
        version: "3.0.22-1",
        source: "openssl",
        source_version: "3.0.22-1",
        fingerprint: BuildFingerprint::default(),
        sha256: None,
        phased_percent: 100,
    };
    let _ = verdict(&policy, &installed(), &[offer]);
});

fn installed() -> InstalledPackage {
    InstalledPackage {
        name: "openssl".into(),
        architecture: "amd64".into(),
        version: "3.0.19-1".into(),
        source: "openssl".into(),
        source_version: "3.0.19-1".into(),
        selection: Selection::Install,
        state: PackageState::Installed,
        reinstall_required: ReinstallRequired::No,
        fingerprint: BuildFingerprint::default(),
    }
}
