//! What people and scripts see: texts, exit codes, hostile names.

use crate::world::World;
use testkit::archive::package::Package;

#[test]
fn exit_codes_are_those_that_the_help_promises() {
    let world = World::new();
    world.fetch_as_apt();
    for (options, code) in [
        (&[][..], 0),
        (&["--fail-on", "security"], 3),
        (&["--fail-on", "any"], 3),
        (&["--fail-on", "unknown"], 0),
        (&["--fail-on", "nonsense"], 2),
        (&["--explain", "hello", "--json"], 2),
        (&["--explain", "no-such-package"], 1),
    ] {
        assert_eq!(world.scan(options).code, code, "{options:?}");
    }
}

#[test]
fn people_see_what_is_the_matter_first() {
    let world = World::with(|main, _| main, |tree| tree.file("etc/hostname", "web3\n"));
    world.fetch_as_apt();
    let shown = world.scan(&[]).stdout;
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[0].starts_with("web3 · debian 12 (bookworm) · root "),
        "{shown}"
    );
    assert!(
        lines[0].contains("3 packages · 2 sources, signatures good · lists "),
        "{shown}"
    );
    assert_eq!(
        lines[1],
        "  2 updates missing (2 packages), 1 of them security; nothing was changed"
    );
    assert_eq!(lines[2], "  SECURITY  hello  1.0-1 → 1.0-1+deb1u1  1 package");
    assert_eq!(lines[3], "  update    plain  2.0-1 → 2.0-2         1 package");
    let shown = world.scan(&["--security"]).stdout;
    assert!(!shown.contains("2.0-2"), "{shown}");
    assert!(shown.contains("1 other update not shown"), "{shown}");
}

#[test]
fn held_packages_are_set_aside_and_still_listed_for_programs() {
    let world = World::new();
    world.fetch_as_apt();
    let status = world.host().join("var/lib/dpkg/status");
    let text = std::fs::read_to_string(&status).unwrap();
    std::fs::write(
        &status,
        text.replacen("Status: install ok installed", "Status: hold ok installed", 1),
    )
    .unwrap();
    let json = world.json(&[]);
    assert_eq!(json["counts"]["held"], 1);
    assert_eq!(json["counts"]["updates"], 1);
    assert_eq!(json["updates"][0]["packages"][0]["state"], "held");
    assert_eq!(world.scan(&["--fail-on", "security"]).code, 0);
    let shown = world.scan(&[]).stdout;
    assert!(
        shown.contains("held: hello (on hold by the administrator"),
        "{shown}"
    );
}

#[test]
fn an_explanation_names_versions_priorities_and_who_signed() {
    let world = World::with(
        |main, _| main,
        |tree| tree.preferences("keep", "Package: plain\nPin: version 2.0-1\nPin-Priority: 1001\n"),
    );
    world.fetch_as_apt();
    let shown = world.scan(&["--explain", "plain"]).stdout;
    for fact in [
        "plain 2.0-1 (amd64) is installed",
        "2.0-2 is offered",
        "1001",
        "/etc/apt/preferences.d/keep:1",
        "World <world@archive.example>",
    ] {
        assert!(shown.contains(fact), "no {fact:?} in {shown}");
    }
    assert_eq!(world.json(&[])["counts"]["updates"], 1);
}

#[test]
fn hostile_text_of_host_and_archive_is_harmless_in_a_terminal() {
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\u{9b}1m<script>";
    let world = World::with(
        |main, _| {
            main.origin(evil).raw_stanza(
                "amd64",
                &format!("Package: x{evil}\nVersion: 1\nArchitecture: amd64\n"),
            )
        },
        |tree| {
            tree.file("etc/hostname", &format!("{evil}\n")).stanza(
                "evil",
                &format!("Types: deb\nURIs: http://{evil}/\nSuites: {evil}\nComponents: main\n"),
            )
        },
    );
    world.fetch_as_apt();
    for options in [
        &["--color", "never"][..],
        &["--color", "never", "--explain", "plain"],
        &["--color", "never", "--json"],
    ] {
        let ran = world.scan(options);
        for text in [&ran.stdout, &ran.stderr] {
            let unsafe_character = text
                .chars()
                .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
            assert_eq!(unsafe_character, None, "{text:?}");
        }
    }
}

#[test]
fn a_cache_that_cannot_be_written_is_named_and_one_that_was_damaged_is_made_anew() {
    let world = World::new();
    world.fetch_as_apt();
    let first = world.json(&[]);
    let cache = world.host().parent().unwrap().join("cache");
    let mut damaged = 0;
    for path in files_below(&cache) {
        if std::fs::metadata(&path).unwrap().len() > 0 {
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, b"damaged").unwrap();
            damaged += 1;
        }
    }
    assert!(damaged > 1, "{damaged} files");
    let second = world.json(&[]);
    assert_eq!(first["updates"], second["updates"], "{second:#}");
    assert_eq!(world.json(&["--refresh"])["standing"], "updates_missing");
    for index in files_below(&cache)
        .iter()
        .filter(|path| path.to_string_lossy().contains("packages-index"))
    {
        std::fs::remove_file(index).unwrap();
        std::fs::write(index, b"damaged").unwrap();
    }
    assert_eq!(world.json(&["--refresh"])["standing"], "updates_missing");

    let ran = crate::world::scan_at(&world.host(), std::path::Path::new("/proc/nothing"), &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("/proc/nothing"), "{}", ran.stderr);
}

#[test]
fn what_apt_would_keep_back_is_said_in_apts_word() {
    let world = World::new();
    let plain = Package::new("plain", "2.0-2").depends("helper");
    world.publish_main(&[plain, Package::new("helper", "1")]);
    world.fetch_as_apt();
    for options in [&[][..], &["--refresh"]] {
        let plain = |options: &[&str]| {
            let json = world.json(options);
            let packages = json["updates"].as_array().unwrap().iter();
            let mut packages = packages.flat_map(|update| update["packages"].as_array().unwrap().clone());
            packages.find(|package| package["name"] == "plain").unwrap()
        };
        let unasked = plain(options);
        assert_eq!(
            (&unasked["state"], &unasked["kept_back"]),
            (&"missing".into(), &serde_json::Value::Null)
        );
        let asked = plain(&[options, &["--simulate"]].concat());
        assert_eq!(
            (&asked["state"], &asked["kept_back"]),
            (&"kept_back".into(), &true.into())
        );
        assert!(asked["reason"].as_str().unwrap().contains("helper"), "{asked}");
    }
    let shown = world.scan(&["--simulate"]).stdout;
    assert!(shown.contains("kept back: plain (needs new packages"), "{shown}");
}

fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}
