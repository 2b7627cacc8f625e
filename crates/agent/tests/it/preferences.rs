//! Preferences: which records apt refuses, and the priority it gives.

use crate::oracle::{apt, put};
use agent::apt_conf::read::{ConfOptions, read as read_conf};
use agent::preferences::{SourceVersionPins, read};
use agent::problem::{Effect, Problem};
use agent::tree::Tree;
use domain::host::channels::{Pin, PinMatcher, PinPriority};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use std::path::Path;

fn parse(file: &str, bytes: &[u8]) -> (Vec<Pin>, Vec<Problem>) {
    agent::preferences::parse(file, bytes, SourceVersionPins::Known)
}

fn pins(root: &Path) -> (Vec<Pin>, bool) {
    let tree = Tree::open(root).unwrap();
    let (conf, _) = read_conf(&tree, &ConfOptions::default());
    let (pins, problems) = read(&tree, &conf, SourceVersionPins::Unknown);
    (
        pins,
        problems
            .iter()
            .any(|problem| problem.effect == Effect::AptRefuses),
    )
}

fn status_of(packages: u32) -> String {
    let stanza = |number| {
        format!(
            "Package: p{number}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\nMaintainer: x\n\
             Description: x\n\n"
        )
    };
    (0..packages).map(stanza).collect()
}

/// One record for one package of its own, pinned by its version.
fn record(random: &mut StdRng, package: u32) -> String {
    let priorities = [
        "500",
        "-1",
        "32767",
        "-32768",
        "1001",
        " 7 ",
        "12x",
        "0",
        "never",
        "40000",
        "",
        "0x10",
        "+3",
        "abc",
        "2147483648",
    ];
    let weights: Vec<_> = priorities
        .iter()
        .enumerate()
        .map(|(at, text)| (text, if at < 6 { 20 } else { 1 }))
        .collect();
    let priority = weights.choose_weighted(random, |pair| pair.1).unwrap().0;
    let name = match random.gen_range(0..8) {
        0 => format!("nothing p{package}"),
        1 => format!("p{package}\n other"),
        _ => format!("p{package}"),
    };
    let pin = [
        "version 1.0*",
        "version 1.0-1",
        "VERSION  1.0-1",
        "unknown x",
        "version\t1.0-1",
    ];
    let pin = if random.gen_bool(0.9) {
        pin[0]
    } else {
        pin.choose(random).unwrap()
    };
    let mut text = String::new();
    if random.gen_bool(0.2) {
        text.push_str("# a comment\n\n");
    }
    if random.gen_bool(0.02) {
        text.push_str("Explanation: no package\nPin: version 1\nPin-Priority: 3\n\n");
    }
    text.push_str(&format!("Package: {name}\n"));
    if random.gen_bool(0.95) {
        text.push_str(&format!("# inside\nPin: {pin}\n"));
    }
    if random.gen_bool(0.98) {
        text.push_str(&format!("pin-priority: {priority}\n"));
    }
    text.push('\n');
    text
}

/// The priority that the pins give a package: the first that names it counts.
fn ours(pins: &[Pin], package: &str) -> Option<i16> {
    let pin = pins
        .iter()
        .find(|pin| pin.packages.iter().any(|name| name == package))?;
    match pin.priority {
        PinPriority::Value(value) => Some(value),
        PinPriority::Never => None,
    }
}

#[test]
fn generated_pins_have_apts_priorities_and_refusals() {
    let mut random = StdRng::seed_from_u64(13);
    let (mut refused, mut compared) = (0, 0);
    for case in 0..60 {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            "etc/apt/apt.conf",
            "APT::Architecture \"amd64\";\nAPT::Architectures { \"amd64\"; };\n",
        );
        put(root.path(), "var/lib/dpkg/status", status_of(6));
        let mut files = Vec::new();
        for name in [
            "preferences",
            "preferences.d/b.pref",
            "preferences.d/a",
            "preferences.d/c.ignored",
        ] {
            let text: String = (0..2)
                .map(|_| {
                    let package = random.gen_range(0..6);
                    record(&mut random, package)
                })
                .collect();
            put(root.path(), &format!("etc/apt/{name}"), &text);
            files.push((name, text));
        }
        let names: Vec<String> = (0..6).map(|number| format!("p{number}")).collect();
        let mut arguments = vec!["policy"];
        arguments.extend(names.iter().map(String::as_str));
        let Some(answer) = apt(root.path(), "apt-cache", &arguments) else {
            return;
        };
        let (pins, is_refused) = pins(root.path());
        match answer {
            Err(said) => {
                refused += 1;
                assert!(
                    is_refused,
                    "case {case}: apt refuses ({said}), we do not: {files:#?}"
                );
            }
            Ok(text) => {
                assert!(!is_refused, "case {case}: apt accepts, we do not: {files:#?}");
                for name in &names {
                    let block = text.split(&format!("{name}:\n")).nth(1).unwrap();
                    let line = block.lines().find(|line| line.contains("***")).unwrap();
                    let theirs: i16 = line.split_whitespace().last().unwrap().parse().unwrap();
                    // Without a pin the installed version has 100.
                    assert_eq!(
                        ours(&pins, name).unwrap_or(100),
                        theirs,
                        "case {case} {name}: {files:#?}"
                    );
                    compared += 1;
                }
            }
        }
    }
    assert!(refused >= 5 && compared >= 100, "{refused} {compared}");
}

#[test]
fn never_is_for_everything_and_a_version_for_named_packages() {
    let (pins, problems) = parse("p", b"Package: *\nPin: release a=x, o=Y\nPin-Priority: never\n");
    assert_eq!(pins[0].priority, PinPriority::Never);
    assert_eq!(pins[0].matcher, PinMatcher::Release("a=x, o=Y".to_owned()));
    assert_eq!(problems, []);
    let (pins, problems) = parse("p", b"Package: a\nPin: release a=x\nPin-Priority: never\n");
    assert_eq!((pins.len(), problems[0].effect), (0, Effect::AptRefuses));
    let (pins, problems) = parse("p", b"\n\nPackage: *\nPin: version 1\nPin-Priority: 5\n");
    assert_eq!(
        (pins.len(), problems[0].effect, problems[0].line),
        (0, Effect::Skipped, 3)
    );
    let (pins, _) = parse("p", b"Package: *\nPin: origin \"deb.example\"\nPin-Priority: 5\n");
    assert_eq!(pins[0].matcher, PinMatcher::Origin("\"deb.example\"".to_owned()));
}

#[test]
fn a_pin_by_source_version_counts_where_the_hosts_apt_knows_it() {
    let record = b"Package: a\nPin: source-version 1.2*\nPin-Priority: 900\n";
    let (pins, _) = parse("p", record);
    assert_eq!(pins[0].matcher, PinMatcher::SourceVersion("1.2*".to_owned()));
    let (pins, problems) = agent::preferences::parse("p", record, SourceVersionPins::Unknown);
    assert_eq!((pins.len(), problems[0].effect), (0, Effect::Skipped));
}
