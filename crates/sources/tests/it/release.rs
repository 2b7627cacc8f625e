//! Release files: their facts, the files that they list, and when they are in force.

use crate::tools;
use domain::catalog::release::{Automatic, ReleaseFacts};
use domain::host::channels::{Settings, Stanza};
use jiff::Timestamp;
use sources::apt::freshness::{Freshness, FreshnessRules, freshness};
use sources::apt::keyring::Keyring;
use sources::apt::openpgp::{Verified, verify_inrelease};
use sources::apt::release::{Release, ReleaseError};
use testkit::keys::SigningKey;

const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn now() -> Timestamp {
    "2026-11-01T00:00:00Z".parse().unwrap()
}

fn verified(text: &str) -> Verified {
    let key = SigningKey::ed25519("Example Archive");
    let keyring = Keyring::parse(&key.certificate()).unwrap();
    verify_inrelease(&key.sign_inline(text.as_bytes()), &keyring, now()).unwrap()
}

fn parse(text: &str) -> Result<Release, ReleaseError> {
    Release::parse(&verified(text))
}

fn dated(date: &str) -> Option<Timestamp> {
    parse(&format!("Date: {date}\nSHA256:\n {EMPTY} 0 Packages\n"))
        .unwrap()
        .facts()
        .date
}

#[test]
fn facts_are_read_as_apt_reads_them() {
    let text = format!(
        "origin: Example\nLabel: Tools\nSuite: stable\nCodename: one\nVersion: 1.2\n\
         Date: Sat, 11 Jul 2026 09:30:00 UTC\nValid-Until: Sat, 18 Jul 2026 09:30:00 UTC\n\
         NotAutomatic: yes\nButAutomaticUpgrades: yes\nAcquire-By-Hash: yes\n\
         No-Support-for-Architecture-all: Packages\nArchitectures: all amd64\nComponents: main  updates/contrib\n\
         SHA256:\n {EMPTY} 0 main/binary-amd64/Packages\n"
    );
    let expected = ReleaseFacts {
        origin: Some("Example".to_owned()),
        label: Some("Tools".to_owned()),
        suite: Some("stable".to_owned()),
        codename: Some("one".to_owned()),
        version: Some("1.2".to_owned()),
        date: Some("2026-07-11T09:30:00Z".parse().unwrap()),
        valid_until: Some("2026-07-18T09:30:00Z".parse().unwrap()),
        components: vec!["main".to_owned(), "updates/contrib".to_owned()],
        architectures: vec!["all".to_owned(), "amd64".to_owned()],
        automatic: Automatic::UpgradesOnly,
        acquire_by_hash: true,
        no_support_for_all: true,
    };
    assert_eq!(**parse(&text).unwrap().facts(), expected);
}

#[test]
fn files_are_found_by_path() {
    let text = format!("SHA256:\n {EMPTY} 5 main/b\n {EMPTY}   7 main/a\n {EMPTY} 7 main/a\n");
    let release = parse(&text).unwrap();
    assert_eq!(release.file("main/a").unwrap().size_bytes, 7);
    assert_eq!(release.file("main/b").unwrap().sha256, EMPTY.parse().unwrap());
    assert_eq!(release.file("main/c"), None);
    assert_eq!(
        release.files().map(|(path, _)| path).collect::<Vec<_>>(),
        ["main/a", "main/b"]
    );
}

#[test]
fn what_cannot_be_relied_on_is_refused_by_name() {
    let list = |lines: &str| format!("Origin: x\nSHA256:\n{lines}");
    let entry = |path: &str| list(&format!(" {EMPTY} 0 fine\n {EMPTY} 0 {path}\n"));
    let weak =
        "Origin: x\nMD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 Packages\nSHA1:\n da39a3ee 0 Packages\n";
    let cases = [
        (String::new(), ReleaseError::Empty),
        (
            weak.to_owned(),
            ReleaseError::NoSha256 {
                sections: vec!["MD5Sum", "SHA1"],
            },
        ),
        (
            "Origin: x\n".to_owned(),
            ReleaseError::NoSha256 { sections: Vec::new() },
        ),
        (
            list(&format!(" {EMPTY} 0 a\n\nOrigin: y\n")),
            ReleaseError::SecondStanza { line: 5 },
        ),
        (
            list(" d41d8cd98f00b204e9800998ecf8427e 0 a\n"),
            ReleaseError::Entry { entry: 1 },
        ),
        (list(&format!(" {EMPTY} a\n")), ReleaseError::Entry { entry: 1 }),
        (
            list(&format!(" {EMPTY} 0 a b\n")),
            ReleaseError::Entry { entry: 1 },
        ),
        (
            list(&format!(" {EMPTY} -1 a\n")),
            ReleaseError::Entry { entry: 1 },
        ),
        (
            list(&format!(" {EMPTY} +1 a\n")),
            ReleaseError::Entry { entry: 1 },
        ),
        (
            list(&format!(" {EMPTY} 18446744073709551616 a\n")),
            ReleaseError::Entry { entry: 1 },
        ),
        (entry("../evil"), ReleaseError::Path { entry: 2 }),
        (entry("a/../../evil"), ReleaseError::Path { entry: 2 }),
        (entry("/etc/passwd"), ReleaseError::Path { entry: 2 }),
        (entry("a//b"), ReleaseError::Path { entry: 2 }),
        (entry("a\u{1b}[31m"), ReleaseError::Path { entry: 2 }),
        (
            list(&format!(" {EMPTY} 0 a\n {EMPTY} 1 a\n")),
            ReleaseError::Conflict { path: "a".to_owned() },
        ),
        (
            format!("Valid-Until: soon\nSHA256:\n {EMPTY} 0 a\n"),
            ReleaseError::ValidUntil,
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(&text).unwrap_err(), expected, "{text:?}");
    }
    assert!(matches!(parse("no colon\n"), Err(ReleaseError::Malformed(_))));
    assert!(matches!(
        parse("Origin: x\norigin: y\n"),
        Err(ReleaseError::Malformed(_))
    ));
}

/// python3-apt's `str_to_time` is the same reader of dates (`RFC1123StrToTime`).
#[test]
fn dates_are_what_libapt_takes_them_for() {
    let dates = [
        "Sat, 11 Jul 2026 09:30:00 UTC",
        "Sat, 11 Jul 2026 09:30:00 GMT",
        "Sat, 11 Jul 2026 09:30:00 Z",
        "Sat, 11 Jul 2026 09:30:00 +0000",
        "Sat, 11 Jul 2026 09:30:00 -0000",
        "Sat, 11 Jul 2026 09:30:00 +0100",
        "Sat, 11 Jul 2026 09:30:00 CET",
        "Sat, 11 Jul 2026 09:30:00",
        "Sat, 1 Jul 2026 9:3:0 UTC",
        "sat, 01 jul 2026 09:30:00 UTC",
        "Xxx, 11 Jul 2026 09:30:00 UTC",
        "Sun Nov  6 08:49:37 1994",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 EST",
        "11 Jul 2026 09:30:00 UTC",
        "2026-07-11T09:30:00Z",
        "Thu, 29 Feb 2024 23:59:59 UTC",
        "Sat, 11 Jul 2026 09:30:60 UTC",
        "Sat, 11 Jul 2026 24:30:00 UTC",
        "Sat, 11 Jul 2026 09:60:00 UTC",
        "Sat, 32 Jul 2026 09:30:00 UTC",
        "Sat, 00 Jul 2026 09:30:00 UTC",
        "Thu, 01 Jan 1970 00:00:00 UTC",
        "Fri, 31 Dec 2099 23:59:59 UTC",
        "tomorrow",
    ];
    if !tools::has_libapt() {
        return;
    }
    let script = "import apt_pkg, sys\nfor line in sys.stdin: print(apt_pkg.str_to_time(line.rstrip('\\n')))";
    let answers = tools::pipe(tools::PYTHON, &["-c", script], dates.join("\n").as_bytes());
    let answers = String::from_utf8(answers).unwrap();
    let answers: Vec<_> = answers.lines().map(|line| line.parse::<i64>().ok()).collect();
    let ours: Vec<_> = dates
        .iter()
        .map(|date| dated(date).map(|date| date.as_second()))
        .collect();
    assert!(ours.iter().flatten().count() >= 12, "{ours:?}");
    for ((date, ours), apt) in dates.iter().zip(ours).zip(answers) {
        assert_eq!(ours, apt, "{date}");
    }
}

fn stanza() -> Stanza {
    Stanza::new("https://archive.example/", "stable", &["main"], &["amd64"])
}

#[test]
fn a_release_is_in_force_from_its_date_until_its_end() {
    let at = |second: i64| Timestamp::from_second(1_000_000 + second).unwrap();
    let facts = |valid_until: Option<i64>| ReleaseFacts {
        date: Some(at(0)),
        valid_until: valid_until.map(at),
        ..Default::default()
    };
    let judge = |facts: &ReleaseFacts, stanza: &Stanza, settings: &Settings, second| {
        freshness(facts, &FreshnessRules::new(stanza, settings), at(second))
    };
    let (plain, settings) = (stanza(), Settings::default());
    let fresh = |second| Freshness::Fresh {
        until: Some(at(second)),
    };
    let endless = Freshness::Fresh { until: None };
    assert_eq!(judge(&facts(Some(100)), &plain, &settings, 100), fresh(100));
    assert_eq!(
        judge(&facts(Some(100)), &plain, &settings, 101),
        Freshness::Expired { since: at(100) }
    );
    assert_eq!(judge(&facts(None), &plain, &settings, 1_000_000), endless);
    assert_eq!(judge(&facts(None), &plain, &settings, -10), endless);
    assert_eq!(
        judge(&facts(None), &plain, &settings, -11),
        Freshness::FromTheFuture { until: at(-10) }
    );

    let hour_ahead = Stanza {
        date_max_future_seconds: Some(3600),
        ..stanza()
    };
    assert_eq!(judge(&facts(None), &hour_ahead, &settings, -3600), endless);
    let no_end = Stanza {
        check_valid_until: Some(false),
        ..stanza()
    };
    assert_eq!(judge(&facts(Some(100)), &no_end, &settings, 101), endless);
    assert!(matches!(
        judge(&facts(Some(100)), &no_end, &settings, -11),
        Freshness::FromTheFuture { .. }
    ));
    let no_date = Stanza {
        check_date: Some(false),
        ..stanza()
    };
    assert_eq!(judge(&facts(Some(100)), &no_date, &settings, 101), endless);
    assert_eq!(judge(&facts(Some(100)), &no_date, &settings, -11), endless);

    let at_most = Settings {
        max_valid_seconds: 50,
        ..Settings::default()
    };
    assert_eq!(judge(&facts(Some(100)), &plain, &at_most, 50), fresh(50));
    assert_eq!(
        judge(&facts(None), &plain, &at_most, 51),
        Freshness::Expired { since: at(50) }
    );
    let at_least = Settings {
        min_valid_seconds: 500,
        ..Settings::default()
    };
    assert_eq!(judge(&facts(Some(100)), &plain, &at_least, 500), fresh(500));
    assert_eq!(judge(&facts(None), &plain, &at_least, 501), endless);
    let own = Stanza {
        valid_until_max_seconds: Some(20),
        ..stanza()
    };
    assert_eq!(
        judge(&facts(Some(100)), &own, &at_most, 21),
        Freshness::Expired { since: at(20) }
    );
    let zero = Stanza {
        valid_until_max_seconds: Some(0),
        ..stanza()
    };
    assert_eq!(judge(&facts(Some(100)), &zero, &at_most, 50), fresh(50));
    let checks_off = Settings {
        check_valid_until: false,
        ..Settings::default()
    };
    let checks_on = Stanza {
        check_valid_until: Some(true),
        ..stanza()
    };
    assert_eq!(judge(&facts(Some(100)), &plain, &checks_off, 101), endless);
    assert_eq!(
        judge(&facts(Some(100)), &checks_on, &checks_off, 101),
        Freshness::Expired { since: at(100) }
    );
}
