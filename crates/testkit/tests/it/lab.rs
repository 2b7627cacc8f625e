//! The lab's lists and roots are what they say.

use std::collections::BTreeSet;
use std::process::Command;
use testkit::apt::{Apt, Upgrade};
use testkit::{lab, skip};

#[test]
fn lists_of_a_suite_come_with_updates_and_security() {
    let tree = match lab::lists("trixie", &["i386"]) {
        Ok(tree) => tree,
        Err(missing) => return skip::skip_for(&missing),
    };
    let apt = Apt::over(&tree).unwrap();
    let targets = apt.run(
        "apt-get",
        &[
            "indextargets",
            "--format",
            "$(RELEASE) $(ARCHITECTURE)",
            "Created-By: Packages",
        ],
    );
    let targets = targets.unwrap();
    let targets: BTreeSet<&str> = targets.lines().collect();
    let expected = [
        "trixie amd64",
        "trixie i386",
        "trixie-security amd64",
        "trixie-updates amd64",
    ];
    let expected = BTreeSet::from(expected);
    assert_eq!(targets, expected);
}

#[test]
fn a_root_is_a_debian_system_with_security_updates_pending_that_may_be_copied_and_upgraded() {
    let root = match lab::root("bookworm") {
        Ok(root) => root,
        Err(missing) => return skip::skip_for(&missing),
    };
    let apt = Apt::inside(&root);
    let pending = apt.upgradable().unwrap();
    assert!(
        pending.iter().any(|package| package.name == "openssl"),
        "{pending:?}"
    );
    let plain = apt.simulate(Upgrade::Plain).unwrap();
    assert_eq!(plain.upgraded.len() + plain.kept_back.len(), pending.len());
    let copy = lab::copy(&root).unwrap();
    let done = Command::new("chroot")
        .arg(copy.path())
        .args(["dpkg", "--remove", "nginx"])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(
        Apt::inside(&root).upgradable().unwrap(),
        pending,
        "the cached root stays as it is"
    );
}
