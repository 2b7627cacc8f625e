//! dpkg's status: what is read equals what `dpkg-query` prints; damage is named.

use crate::oracle::{put, run};
use agent::dpkg_status::{StatusError, parse, read};
use agent::problem::{Effect, Problem};
use agent::tree::Tree;
use domain::host::inventory::{InstalledPackage, PackageState, ReinstallRequired, Selection};
use std::path::Path;
use std::process::Command;

const FORMAT: &str =
    "${Package}\t${Architecture}\t${Version}\t${source:Package}\t${source:Version}\t${Status}\n";

fn line(package: &InstalledPackage) -> String {
    let selection = match package.selection {
        Selection::Unknown => "unknown",
        Selection::Install => "install",
        Selection::Hold => "hold",
        Selection::Deinstall => "deinstall",
        Selection::Purge => "purge",
    };
    let flag = match package.reinstall_required {
        ReinstallRequired::Yes => "reinstreq",
        ReinstallRequired::No => "ok",
    };
    let state = match package.state {
        PackageState::Installed => "installed",
        PackageState::HalfInstalled => "half-installed",
        PackageState::Unpacked => "unpacked",
        PackageState::HalfConfigured => "half-configured",
        PackageState::TriggersAwaited => "triggers-awaited",
        PackageState::TriggersPending => "triggers-pending",
    };
    let InstalledPackage {
        name,
        architecture,
        version,
        source,
        source_version,
        ..
    } = package;
    format!("{name}\t{architecture}\t{version}\t{source}\t{source_version}\t{selection} {flag} {state}")
}

/// What dpkg-query says, without packages that are only remembered, sorted.
fn dpkg_query(admindir: &Path) -> Option<Vec<String>> {
    let mut command = Command::new("dpkg-query");
    command
        .arg(format!("--admindir={}", admindir.display()))
        .args(["-W", "-f", FORMAT])
        .env("LC_ALL", "C");
    let text = run("dpkg-query", &mut command)?.unwrap();
    let is_here = |line: &&str| !line.ends_with("config-files") && !line.ends_with("not-installed");
    let mut lines: Vec<String> = text.lines().filter(is_here).map(str::to_owned).collect();
    lines.sort();
    Some(lines)
}

fn assert_equal_to_dpkg(status: &[u8], what: &str) {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "status", status);
    put(root.path(), "available", "");
    let (inventory, problems) = parse("status", status).unwrap();
    let is_doubt = |problem: &Problem| problem.effect == Effect::Doubted;
    assert!(problems.iter().all(is_doubt), "{what}: {problems:?}");
    let mut ours: Vec<String> = inventory.packages.iter().map(line).collect();
    let order = |package: &InstalledPackage| (package.name.clone(), package.architecture.clone());
    assert!(inventory.packages.is_sorted_by_key(order), "{what}");
    ours.sort();
    if let Some(theirs) = dpkg_query(root.path()) {
        assert_eq!(ours, theirs, "{what}");
    }
}

#[test]
fn real_hosts_have_the_packages_that_dpkg_query_prints() {
    if let Ok(status) = std::fs::read("/var/lib/dpkg/status") {
        assert_equal_to_dpkg(&status, "this machine");
    }
    let Some(shared) = testkit::skip::shared_data() else {
        return;
    };
    let mut count = 0;
    for entry in std::fs::read_dir(shared.join("data/inventories")).unwrap() {
        let path = entry.unwrap().path().join("dpkg-status");
        if let Ok(status) = std::fs::read(&path) {
            assert_equal_to_dpkg(&status, &path.display().to_string());
            count += 1;
        }
    }
    assert!(count >= 14, "only {count} inventories");
}

fn stanza(name: &str, status: &str, more: &str) -> String {
    format!(
        "Package: {name}\nStatus: {status}\nMaintainer: x <x@x.example>\nArchitecture: amd64\nVersion: 1.0-1\n{more}Description: x\n\n"
    )
}

#[test]
fn every_state_and_source_reads_as_dpkg_reads_it() {
    let mut text = String::new();
    let states = [
        "installed",
        "half-installed",
        "unpacked",
        "half-configured",
        "config-files",
        "not-installed",
    ];
    for (number, state) in states.iter().enumerate() {
        for (at, selection) in ["install", "hold", "deinstall", "purge"].iter().enumerate() {
            for flag in ["ok", "reinstreq"] {
                let is_settled = matches!(*state, "installed" | "config-files" | "not-installed");
                if is_settled && flag == "reinstreq" {
                    continue;
                }
                let more = if *state == "config-files" {
                    "Config-Version: 1.0-1\n"
                } else {
                    ""
                };
                text.push_str(&stanza(
                    &format!("p{number}-{at}{flag}"),
                    &format!("{selection} {flag} {state}"),
                    more,
                ));
            }
        }
    }
    text.push_str(&stanza("s1", "install ok installed", "Source: other\n"));
    text.push_str(&stanza("s2", "install ok installed", "source: other (2:3.4-5)\n"));
    text.push_str(&stanza("multi", "install ok installed", "Multi-Arch: same\n"));
    text.push_str(&stanza("multi", "install ok installed", "Multi-Arch: same\n").replace("amd64", "i386"));
    assert_equal_to_dpkg(text.as_bytes(), "made up");
}

#[test]
fn a_malformed_stanza_is_named_and_the_rest_is_used() {
    let good = stanza("good", "install ok installed", "");
    let cases = [
        "Package: bad\nStatus: install ok installed\nArchitecture: amd64\n\n".to_owned(),
        stanza("bad\u{1b}[31m", "install ok installed", ""),
        stanza("bad", "install ok imaginary", ""),
        stanza("bad", "install ok installed extra", ""),
        stanza("bad", "install ok installed", "no colon here\n"),
        stanza("bad", "install ok installed", "Version: 2\n"),
        stanza(&"b".repeat(5_000), "install ok installed", ""),
        stanza("bad", "install ok installed", "Source: x (1\n"),
        "Package: bad\nVersion: 1\n\n".to_owned(),
    ];
    for bad in cases {
        let text = format!("{good}{bad}{}", good.replace("good", "other"));
        let (inventory, problems) = parse("/var/lib/dpkg/status", text.as_bytes()).unwrap();
        let names: Vec<&str> = inventory.packages.iter().map(|package| &*package.name).collect();
        assert_eq!(names, ["good", "other"], "{bad}");
        assert_eq!(problems.len(), 1, "{bad}");
        assert!(problems[0].line >= 8, "{:?}", problems[0]);
        assert!(!problems[0].to_string().chars().any(char::is_control));
    }
}

#[test]
fn damage_without_end_costs_no_memory_without_end() {
    let text = "x\n\n".repeat(200_000) + &stanza("good", "install ok installed", "");
    let (inventory, problems) = parse("status", text.as_bytes()).unwrap();
    assert_eq!((inventory.packages.len(), problems.len()), (1, 101));
    assert!(problems[100].what.contains("199900"), "{:?}", problems[100]);
}

#[test]
fn an_empty_truncated_or_foreign_status_is_an_error_and_not_an_empty_host() {
    assert!(matches!(parse("status", b""), Err(StatusError::Empty { .. })));
    let whole = stanza("good", "install ok installed", "");
    let cut = &whole.as_bytes()[..whole.len() - 5];
    assert!(matches!(
        parse("status", cut),
        Err(StatusError::Truncated { line: 6, .. })
    ));
    assert!(matches!(
        parse("status", b"\n\n\n"),
        Err(StatusError::NoPackages { .. })
    ));
    assert!(matches!(
        parse("status", &[0xff; 4_096]),
        Err(StatusError::Truncated { .. })
    ));
    assert!(matches!(
        parse("status", b"hello\n"),
        Err(StatusError::NoPackages { .. })
    ));
}

#[test]
fn an_unfinished_dpkg_run_is_a_problem() {
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "var/lib/dpkg/status",
        stanza("good", "install ok installed", ""),
    );
    put(root.path(), "var/lib/dpkg/updates/tmp.i", "");
    let tree = Tree::open(root.path()).unwrap();
    assert_eq!(read(&tree, "/var/lib/dpkg/status").unwrap().1, []);
    put(root.path(), "var/lib/dpkg/updates/0003", "");
    let problems = read(&tree, "/var/lib/dpkg/status").unwrap().1;
    assert!(problems[0].what.contains("dpkg --configure -a"), "{problems:?}");
}
