//! Verdicts of one host of 900 packages, three or six offers each, without pins or with a dozen: `verdicts ROUNDS` prints microseconds a host.
//! Without words (as `cargo bench` does) it does nothing.

#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench measures")]

use domain::assess::policy::Policy;
use domain::assess::verdict::{Verdict, verdict};
use domain::catalog::listing::{Listing, ListingNo};
use domain::catalog::offer::Offer;
use domain::catalog::release::ReleaseFacts;
use domain::host::channels::{ChannelConfig, Pin, PinMatcher, PinPriority};
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, PackageState, ReinstallRequired, Selection,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [rounds] = words.as_slice() else { return };
    let rounds: u32 = rounds.parse().unwrap_or(1);
    for (pins, most) in [(0, 3), (12, 3), (0, 6), (12, 6)] {
        let (config, listings) = (config(pins), listings());
        let policy = Policy::new(&config, &listings);
        let names: Vec<String> = (0..900).map(|number| format!("libpackage{number}-dev")).collect();
        let packages: Vec<InstalledPackage> = names.iter().map(|name| installed(name)).collect();
        let offers: Vec<Vec<Offer<'_>>> = names.iter().map(|name| offers(name, most)).collect();
        let start = Instant::now();
        let mut missing = 0;
        for _ in 0..rounds {
            for (package, offers) in packages.iter().zip(black_box(&offers)) {
                missing += usize::from(matches!(verdict(&policy, package, offers), Verdict::Missing(_)));
            }
        }
        println!(
            "{pins} pins, {most} offers: {} us a host, {missing} missing",
            start.elapsed().as_micros() / u128::from(rounds)
        );
    }
}

fn config(pins: usize) -> ChannelConfig {
    let pin = |number: usize| Pin {
        file: "/etc/apt/preferences".to_owned(),
        line: 1,
        packages: vec![if number.is_multiple_of(2) {
            format!("linux-image-{number}*")
        } else {
            format!("pinned{number}")
        }],
        matcher: PinMatcher::Release("a=stable-backports".to_owned()),
        priority: PinPriority::Value(600),
    };
    ChannelConfig {
        native_architecture: "amd64".to_owned(),
        pins: (0..pins).map(pin).collect(),
        ..ChannelConfig::default()
    }
}

fn listings() -> Vec<Listing> {
    let listing = |suite: &str| Listing {
        release: Arc::new(ReleaseFacts {
            suite: Some(suite.to_owned()),
            ..ReleaseFacts::default()
        }),
        site: "archive.example".to_owned(),
        component: "main".to_owned(),
        architecture: "amd64".to_owned(),
    };
    ["stable", "stable-security", "stable-updates", "stable-backports"]
        .map(listing)
        .into()
}

fn installed(name: &str) -> InstalledPackage {
    InstalledPackage {
        name: name.into(),
        architecture: "amd64".into(),
        version: "1.2.3-4+deb12u1".into(),
        source: name.into(),
        source_version: "1.2.3-4+deb12u1".into(),
        selection: Selection::Install,
        state: PackageState::Installed,
        reinstall_required: ReinstallRequired::No,
        fingerprint: BuildFingerprint::default(),
    }
}

fn offers(name: &str, most: usize) -> Vec<Offer<'_>> {
    let versions = [
        (0, "1.2.3-4+deb12u1"),
        (1, "1.2.3-4+deb12u2"),
        (1, "1.2.3-4+deb12u3"),
        (2, "1.2.3-4"),
        (3, "1.3-1~bpo12+1"),
        (3, "1.2-1"),
    ];
    let offer = |(listing, version)| Offer {
        listing: ListingNo(listing),
        name,
        architecture: "amd64",
        version,
        source: name,
        source_version: version,
        fingerprint: BuildFingerprint::default(),
        sha256: None,
        phased_percent: 100,
    };
    versions.into_iter().take(most).map(offer).collect()
}
