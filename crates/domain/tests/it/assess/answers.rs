//! What people read: the chain of facts, what stands in the way of an update, and whether a host is up to date.

use domain::assess::coverage::{
    Assessed, Hole, HostStanding, SourceNo, SourceReport, SourceState, Unanswered, coverage,
};
use domain::assess::explain::{Question, explain};
use domain::assess::overlay::{KeptBackReason, Simulated, State, overlay};
use domain::assess::phasing::{InChroot, Machine};
use domain::assess::policy::Policy;
use domain::assess::rules::{AptRules, HostSide, KeptBy, PhasingRule, SameBuild, SecurityException};
use domain::assess::verdict::{Missing, Verdict, verdict};
use domain::catalog::listing::{Listing, ListingNo};
use domain::catalog::offer::Offer;
use domain::catalog::release::{Automatic, ReleaseFacts};
use domain::catalog::update::{Classification, Publisher};
use domain::digest::Sha256Digest;
use domain::host::channels::{ChannelConfig, PhasedChoice, Pin, PinMatcher, PinPriority, Settings};
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, PackageState, ReinstallRequired, Selection,
};
use std::sync::Arc;

const STABLE: ListingNo = ListingNo(0);
const SECURITY: ListingNo = ListingNo(1);
const BACKPORTS: ListingNo = ListingNo(2);

fn listing(suite: &str, label: &str, automatic: Automatic) -> Listing {
    let release = ReleaseFacts {
        origin: Some("Debian".to_owned()),
        label: Some(label.to_owned()),
        suite: Some(suite.replace("bookworm", "stable")),
        codename: Some(suite.to_owned()),
        automatic,
        ..ReleaseFacts::default()
    };
    Listing {
        release: Arc::new(release),
        site: "archive.example".to_owned(),
        component: "main".to_owned(),
        architecture: "amd64".to_owned(),
    }
}

fn listings() -> Vec<Listing> {
    vec![
        listing("bookworm", "Debian", Automatic::Yes),
        listing("bookworm-security", "Debian-Security", Automatic::Yes),
        listing("bookworm-backports", "Debian Backports", Automatic::UpgradesOnly),
    ]
}

fn config(pins: Vec<Pin>) -> ChannelConfig {
    ChannelConfig {
        native_architecture: "amd64".to_owned(),
        pins,
        ..ChannelConfig::default()
    }
}

fn installed(version: &str) -> InstalledPackage {
    InstalledPackage {
        name: "openssl".into(),
        architecture: "amd64".into(),
        version: version.into(),
        source: "openssl".into(),
        source_version: version.into(),
        selection: Selection::Install,
        state: PackageState::Installed,
        reinstall_required: ReinstallRequired::No,
        fingerprint: BuildFingerprint::default(),
    }
}

fn offer(listing: ListingNo, version: &'static str) -> Offer<'static> {
    Offer {
        listing,
        name: "openssl",
        architecture: "amd64",
        version,
        source: "openssl",
        source_version: version,
        fingerprint: BuildFingerprint::default(),
        sha256: None,
        phased_percent: 100,
    }
}

fn missing<'a>(policy: &Policy, package: &InstalledPackage, offers: &[Offer<'a>]) -> Missing<'a> {
    match verdict(policy, package, offers) {
        Verdict::Missing(missing) => missing,
        other => panic!("nothing is missing: {other:?}"),
    }
}

#[test]
fn an_explanation_names_the_pin_that_beat_a_newer_version() {
    let pin = |file: &str, line, text: &str, priority| Pin {
        file: file.to_owned(),
        line,
        packages: vec!["*".to_owned()],
        matcher: PinMatcher::Release(text.to_owned()),
        priority: PinPriority::Value(priority),
    };
    let config = config(vec![pin(
        "/etc/apt/preferences.d/backports",
        3,
        "n=bookworm-backports",
        50,
    )]);
    let (listings, package) = (listings(), installed("3.0.19-1"));
    let policy = Policy::new(&config, &listings);
    let offers = [
        offer(STABLE, "3.0.20-1"),
        offer(SECURITY, "3.0.22-1"),
        offer(BACKPORTS, "3.5.1-1~bpo12+1"),
    ];
    let explanation = explain(
        &policy,
        &Question {
            name: "openssl",
            architecture: "amd64",
            package: Some(&package),
            offers: &offers,
            listings: &listings,
            settings: &config.settings,
            simulated: None,
        },
    );
    let expected = "\
openssl 3.0.19-1 (amd64) is installed
3.5.1-1~bpo12+1 is offered with pin 50 for all packages from /etc/apt/preferences.d/backports:3 (release \
n=bookworm-backports): bookworm-backports/main amd64 of Debian at archive.example (50)
3.0.22-1 is offered with the usual priority 500: bookworm-security/main amd64 of Debian at archive.example (500)
3.0.20-1 is offered with the usual priority 500: bookworm/main amd64 of Debian at archive.example (500)
3.0.19-1 is installed and no source offers it; it has priority 100 of what is installed
apt would upgrade to 3.0.22-1 (priority 500)
3.5.1-1~bpo12+1 is not offered, because pin 50 for all packages from /etc/apt/preferences.d/backports:3 (release \
n=bookworm-backports) is below the 500 of 3.0.22-1
it is a security update, because 3.0.22-1 stands in bookworm-security/main amd64 of Debian at archive.example
";
    assert_eq!(explanation.to_string(), expected);
}

#[test]
fn an_update_is_security_if_a_version_on_the_way_to_it_was() {
    let (config, listings) = (config(Vec::new()), listings());
    let policy = Policy::new(&config, &listings);
    let offers = [offer(STABLE, "3.0.23-1"), offer(SECURITY, "3.0.22-1")];
    let of = |version: &str| missing(&policy, &installed(version), &offers).classification;
    assert_eq!(of("3.0.19-1"), Classification::Security);
    assert_eq!(
        of("3.0.22-1"),
        Classification::Other,
        "the security update is already there"
    );
}

#[test]
fn an_update_keeps_its_identity_wherever_it_is_listed() {
    let (config, listings) = (config(Vec::new()), listings());
    let policy = Policy::new(&config, &listings);
    let rebuilt = |listing| Offer {
        source_version: "3.0.22-1",
        ..offer(listing, "3.0.22-1+b2")
    };
    let publisher = Publisher {
        origin: "Debian".to_owned(),
        keys: Vec::new(),
    };
    let id = |listing| {
        let offers = [rebuilt(listing)];
        missing(&policy, &installed("3.0.19-1"), &offers)
            .candidate
            .update_id(publisher.clone())
    };
    assert_eq!(id(STABLE), id(SECURITY));
    assert_eq!(
        (id(STABLE).source_version.as_str(), id(STABLE).build.as_str()),
        ("3.0.22-1", "+b2")
    );
}

#[test]
fn a_hold_hides_phasing_and_phasing_hides_a_simulation() {
    let (config, listings) = (config(Vec::new()), listings());
    let policy = Policy::new(&config, &listings);
    let offers = [Offer {
        phased_percent: 0,
        ..offer(STABLE, "3.0.20-1")
    }];
    let mut package = installed("3.0.19-1");
    let missing = missing(&policy, &package, &offers);
    let host = HostSide {
        machine: Machine {
            machine_id: Some("0".repeat(32)),
            in_chroot: InChroot::No,
        },
        rules: AptRules::default(),
    };
    let mut settings = Settings {
        phased: PhasedChoice::Never,
        ..Settings::default()
    };
    let kept = Simulated::KeptBack(KeptBackReason::NeedsNewPackages(vec!["libnew".to_owned()]));
    let word = |package: &InstalledPackage, settings: &Settings, host: &HostSide| {
        overlay(&missing, package, settings, host, Some(&kept)).word()
    };
    assert_eq!(word(&package, &settings, &host), "phased");
    settings.phased = PhasedChoice::Always;
    assert_eq!(word(&package, &settings, &host), "kept_back");
    package.selection = Selection::Hold;
    assert_eq!(word(&package, &settings, &host), "held");
    settings.ignore_hold = true;
    assert_eq!(word(&package, &settings, &host), "kept_back");
    let state = overlay(&missing, &package, &settings, &host, Some(&Simulated::Upgraded));
    assert_eq!(state, State::Missing);
}

#[test]
fn a_chroot_or_a_host_without_a_machine_id_takes_phased_updates_at_once() {
    let excluded = |machine_id: Option<&str>, in_chroot| {
        let machine = Machine {
            machine_id: machine_id.map(str::to_owned),
            in_chroot,
        };
        // One of a hundred versions at least is drawn above 0.
        (0..100).any(|number| {
            machine
                .decide(PhasedChoice::ByMachineId, 0, "source", &number.to_string())
                .is_excluded()
        })
    };
    assert!(excluded(Some("abc"), InChroot::No));
    assert!(!excluded(Some("abc"), InChroot::Yes));
    assert!(!excluded(Some(""), InChroot::No));
    assert!(!excluded(None, InChroot::No));
}

#[test]
fn each_apt_is_followed_by_its_own_rules() {
    let old = AptRules::of_version("2.2.4");
    assert_eq!(
        (old.phasing, old.same_build),
        (PhasingRule::ByPriority, SameBuild::BySize)
    );
    let bookworm = AptRules::of_version("2.6.1");
    assert_eq!(
        (bookworm.phasing, bookworm.kept_by),
        (PhasingRule::ByKeeping, KeptBy::InstalledToo)
    );
    assert_eq!(bookworm.security_exception, SecurityException::BelowCandidate);
    assert_eq!(
        AptRules::of_version("2.4.13").security_exception,
        SecurityException::WithCandidate
    );
    assert_eq!(AptRules::of_version("3.0.3"), AptRules::default());
    assert_eq!(AptRules::of_version("2.0.9").phasing, PhasingRule::Ignored);
}

#[test]
fn two_files_of_one_version_are_two_builds_to_a_new_apt_and_one_to_an_old() {
    let (config, listings) = (config(Vec::new()), listings());
    let file = |listing, byte| Offer {
        sha256: Some(Sha256Digest([byte; 32])),
        ..offer(listing, "3.0.20-1")
    };
    let offers = [file(STABLE, 1), file(SECURITY, 2)];
    let listed = |apt: &str| {
        let host = HostSide {
            rules: AptRules::of_version(apt),
            ..HostSide::default()
        };
        let policy = Policy::new(&config, &listings).on(host);
        let candidate = missing(&policy, &installed("3.0.19-1"), &offers).candidate;
        assert_eq!(
            candidate.digests,
            domain::assess::verdict::Digests::Differ,
            "either way it is told"
        );
        candidate.listings
    };
    assert_eq!(listed("2.6.1"), [STABLE, SECURITY]);
    assert_eq!(listed("3.0.3"), [STABLE]);
}

fn report(state: SourceState) -> SourceReport {
    SourceReport {
        name: "archive.example bookworm".to_owned(),
        state,
    }
}

#[test]
fn a_host_with_a_hole_never_reads_as_up_to_date() {
    let package = installed("3.0.19-1");
    let assess = |verdict, named_by| Assessed {
        package: &package,
        verdict,
        named_by,
    };
    let good = report(SourceState::Verified { listings: 1 });
    let up_to_date = coverage([good.clone()].as_slice(), [assess(&Verdict::Current, None)]);
    assert_eq!(up_to_date.standing(), HostStanding::UpToDate);

    let why = || "its key expired".to_owned();
    for doubt in [
        SourceState::Stale {
            listings: 1,
            why: why(),
        },
        SourceState::Refused { why: why() },
        SourceState::ListMissing { why: why() },
    ] {
        let coverage = coverage(&[good.clone(), report(doubt)], [assess(&Verdict::Current, None)]);
        assert_eq!(coverage.standing(), HostStanding::Unknown { holes: 1 });
        assert_eq!(
            coverage.holes,
            [Hole::Source {
                source: SourceNo(1),
                why: why()
            }]
        );
    }
    let unlisted = coverage(&[good], [assess(&Verdict::Unknown, None)]);
    assert_eq!(unlisted.standing(), HostStanding::Unknown { holes: 1 });
    assert!(matches!(
        &unlisted.holes[0],
        Hole::Package {
            why: Unanswered::Nowhere,
            ..
        }
    ));
    let refused = [report(SourceState::Refused { why: why() })];
    let named = coverage(&refused, [assess(&Verdict::Unknown, Some(SourceNo(0)))]);
    assert!(matches!(
        &named.holes[1],
        Hole::Package {
            why: Unanswered::NamedBy(SourceNo(0)),
            ..
        }
    ));
    let perhaps = coverage(&refused, [assess(&Verdict::Unknown, None)]);
    assert!(matches!(
        &perhaps.holes[1],
        Hole::Package {
            why: Unanswered::PerhapsIn(_),
            ..
        }
    ));
    assert_eq!(coverage(&[], []).standing(), HostStanding::Unknown { holes: 2 });
}

#[test]
fn what_is_missing_is_counted_beside_the_holes() {
    let (config, listings) = (config(Vec::new()), listings());
    let policy = Policy::new(&config, &listings);
    let package = installed("3.0.19-1");
    let offers = [offer(SECURITY, "3.0.22-1")];
    let verdict = Verdict::Missing(missing(&policy, &package, &offers));
    let sources = [report(SourceState::ListMissing {
        why: "never fetched".to_owned(),
    })];
    let coverage = coverage(
        &sources,
        [Assessed {
            package: &package,
            verdict: &verdict,
            named_by: None,
        }],
    );
    assert_eq!(
        coverage.standing(),
        HostStanding::UpdatesMissing {
            packages: 1,
            security: 1,
            holes: 1
        }
    );
}

#[test]
fn a_package_that_nobody_lists_is_unknown_and_one_above_all_is_ahead() {
    let (config, listings) = (config(Vec::new()), listings());
    let policy = Policy::new(&config, &listings);
    let package = installed("3.0.19-1");
    assert_eq!(verdict(&policy, &package, &[]), Verdict::Unknown);
    let foreign = [Offer {
        architecture: "i386",
        ..offer(STABLE, "3.0.20-1")
    }];
    assert_eq!(verdict(&policy, &package, &foreign), Verdict::Unknown);
    let older = [offer(STABLE, "3.0.18-1")];
    assert_eq!(
        verdict(&policy, &package, &older),
        Verdict::Ahead {
            newest: "3.0.18-1",
            downgrade: None
        }
    );
}
