//! Freshly built roots of three Debian releases: each root's own apt, run inside it, against a scan from outside.

use crate::product::{Scan, assert_same, scan};
use std::collections::BTreeSet;
use testkit::apt::{Apt, Simulated, Upgrade};
use testkit::{lab, skip};

fn transaction(ours: &Scan, run: &str, list: &str) -> BTreeSet<String> {
    let names = ours.0["simulation"][run][list].as_array().unwrap();
    // apt names a package of the native architecture without it.
    names
        .iter()
        .map(|name| name.as_str().unwrap().trim_end_matches(":amd64").to_owned())
        .collect()
}

fn assert_same_transaction(what: &str, ours: &Scan, run: &str, theirs: &Simulated) {
    let upgraded: BTreeSet<String> = theirs.upgraded.iter().map(|(name, _, _)| name.clone()).collect();
    let new: BTreeSet<String> = theirs.new.iter().map(|(name, _)| name.clone()).collect();
    assert_same(
        &format!("{what}: upgraded"),
        &transaction(ours, run, "upgraded"),
        &upgraded,
    );
    assert_same(&format!("{what}: new"), &transaction(ours, run, "new"), &new);
    assert_same(
        &format!("{what}: removed"),
        &transaction(ours, run, "removed"),
        &theirs.removed,
    );
}

fn compare(suite: &str) {
    let root = match lab::root(suite) {
        Ok(root) => root,
        Err(missing) => return skip::skip_for(&missing),
    };
    let cache = tempfile::tempdir().unwrap();
    let apt = Apt::inside(&root);
    let theirs = apt.upgradable().unwrap();
    assert!(
        !theirs.is_empty(),
        "nothing is pending in a release without its updates"
    );
    let plain = scan(&root, cache.path(), &[]);
    assert_same(suite, &plain.pending(), &theirs);
    let ours = scan(&root, cache.path(), &["--simulate"]);
    let (upgrade, dist_upgrade) = (
        apt.simulate(Upgrade::Plain).unwrap(),
        apt.simulate(Upgrade::Dist).unwrap(),
    );
    assert_same_transaction(&format!("{suite}: upgrade"), &ours, "upgrade", &upgrade);
    assert_same_transaction(
        &format!("{suite}: dist-upgrade"),
        &ours,
        "dist_upgrade",
        &dist_upgrade,
    );
    let upgraded: BTreeSet<String> = upgrade.upgraded.iter().map(|(name, _, _)| name.clone()).collect();
    let kept: BTreeSet<String> = theirs.iter().map(|package| package.name.clone()).collect();
    let kept: BTreeSet<String> = kept.difference(&upgraded).cloned().collect();
    assert_same(
        &format!("{suite}: kept back"),
        &ours.names_in_state("kept_back", "amd64"),
        &kept,
    );
}

#[test]
fn a_fresh_bullseye_is_missing_what_its_own_apt_would_upgrade() {
    compare("bullseye");
}

#[test]
fn a_fresh_bookworm_is_missing_what_its_own_apt_would_upgrade() {
    compare("bookworm");
}

#[test]
fn a_fresh_trixie_is_missing_what_its_own_apt_would_upgrade() {
    compare("trixie");
}
