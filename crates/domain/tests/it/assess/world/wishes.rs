//! Random settings and preferences, and how preferences are written.

use super::{NAMES, maybe};
use crate::oracle::Chance;
use domain::host::channels::{PhasedChoice, Pin, PinMatcher, PinPriority, Settings};

pub(super) fn settings(chance: &mut Chance) -> Settings {
    let releases = [
        "stable",
        "bookworm",
        "12*",
        "12",
        "a=stable*",
        "now",
        "/stab/",
        "nonsense",
        "*",
        "n=trixie, o=Debian",
        "noble-updates",
    ];
    let phased = [
        PhasedChoice::ByMachineId,
        PhasedChoice::ByMachineId,
        PhasedChoice::Always,
        PhasedChoice::Never,
    ];
    Settings {
        default_release: maybe(chance, 20).then(|| releases[chance.below(releases.len())].to_owned()),
        phased: phased[chance.below(4)],
        phase_policy: maybe(chance, 25),
        ignore_hold: maybe(chance, 10),
        ..Settings::default()
    }
}

pub(super) fn pin(chance: &mut Chance, number: u32) -> Pin {
    let packages: Vec<&str> = match chance.below(10) {
        0..4 => vec!["*"],
        4..7 => vec![chance.of(NAMES)],
        7 => vec![chance.of(NAMES), chance.of(NAMES)],
        _ => vec![chance.of(&[
            "alpha*",
            "ALPHA",
            "Al*",
            "[a-c]*",
            "/^a/",
            "/(beta|zeta)$/",
            "beta:i386",
            "beta:any",
            "*:any",
            "*:i386",
            "*:linux-any",
            "alpha:all",
            "src:alpha",
            "src:al*",
            "src:beta-src:any",
            "src:/gam/",
            "beta:",
            "gimp?.0",
            "src:*",
            "delta+x:amd64",
            "/[[:digit:]]/",
            "beta:any-i386",
            "nothing",
            "* beta",
        ])],
    };
    let packages: Vec<String> = packages.join(" ").split(' ').map(str::to_owned).collect();
    let is_general = packages == ["*"];
    let priorities = [
        -10,
        -1,
        1,
        50,
        99,
        100,
        101,
        499,
        500,
        501,
        989,
        990,
        991,
        999,
        1000,
        1001,
        i16::MAX,
        i16::MIN,
    ];
    let priority = if is_general && maybe(chance, 15) {
        PinPriority::Never
    } else {
        PinPriority::Value(priorities[chance.below(priorities.len())])
    };
    Pin {
        file: "/preferences".to_owned(),
        line: 4 * number + 1,
        packages,
        matcher: matcher(chance, is_general),
        priority,
    }
}

fn matcher(chance: &mut Chance, is_general: bool) -> PinMatcher {
    let long = format!(
        "a=stable, {}o=Nobody",
        "x=1234567890123456789012345678901234567890, ".repeat(7)
    );
    let many = format!("a=stable{}", ", z=12".repeat(19));
    let releases = [
        "a=stable",
        "a=stable*",
        "o=Debian",
        "o=debian, l=Debian",
        "n=bookworm",
        "l=Debian-Security",
        "c=main",
        "c=contrib",
        "b=i386",
        "b=all",
        "v=12*",
        "v=12.5",
        "v=*",
        "stable",
        "bookworm",
        "12",
        "12.*",
        "*",
        "a=/stab.*ty/",
        "a=now",
        "now",
        "",
        "x=1",
        "c=now",
        "a=*-security",
        "A=stable , O=Debian",
        "o=Debian,l=*,",
        "l=My, label",
        long.as_str(),
        many.as_str(),
        "o=/(debian|tools)/",
        "a=[st]*",
        "/^bookworm/",
    ];
    let origins = [
        "\"\"",
        "archive.example",
        "\"archive.example\"",
        "*.example",
        "/^arch/",
        "",
        "nowhere.example",
        "\"",
    ];
    let versions = [
        "1.0-1",
        "1.0*",
        "*1*",
        "/^1/",
        "2:*",
        "1.1-1~bpo*",
        "*",
        "1.0-1+[bd]*",
        "/deb12u[0-9]+$/",
        "/(a|b){1,2}/",
        "2.0~RC1-1",
    ];
    match chance.below(10) {
        0..3 if !is_general => PinMatcher::Version(versions[chance.below(versions.len())].to_owned()),
        3..5 => PinMatcher::Origin(origins[chance.below(origins.len())].to_owned()),
        _ => PinMatcher::Release(releases[chance.below(releases.len())].to_owned()),
    }
}

pub(super) fn pin_text(pin: &Pin) -> String {
    let (word, text) = match &pin.matcher {
        PinMatcher::Version(text) => ("version", text),
        PinMatcher::SourceVersion(text) => ("source-version", text),
        PinMatcher::Release(text) => ("release", text),
        PinMatcher::Origin(text) => ("origin", text),
    };
    let priority = match pin.priority {
        PinPriority::Never => "never".to_owned(),
        PinPriority::Value(value) => value.to_string(),
    };
    format!(
        "Package: {}\nPin: {word} {text}\nPin-Priority: {priority}\n\n",
        pin.packages.join(" ")
    )
}
