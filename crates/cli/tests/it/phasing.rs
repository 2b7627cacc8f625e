//! Phased updates: which host gets them when, as apt decides by machine-id.

use crate::chance::Chance;
use crate::product::{assert_same, scan};
use std::collections::BTreeSet;
use std::path::Path;
use testkit::apt::{Apt, Upgrade};
use testkit::archive::Archive;
use testkit::archive::package::Package;
use testkit::host::{HostTree, Installed};
use testkit::keys::SigningKey;
use testkit::server::Server;

const KEY_FILE: &str = "/usr/share/keyrings/phased.gpg";
const HOSTS: u64 = 40;

/// A host with 100 packages whose updates are phased in by different percentages, some of them security updates too.
fn host() -> tempfile::TempDir {
    let key = SigningKey::ed25519("Phased <phased@archive.example>");
    let mut chance = Chance::new(11);
    let mut updates = Archive::new("noble-updates")
        .origin("Ubuntu")
        .label("Ubuntu")
        .sign(&key);
    let mut security = Archive::new("noble-security")
        .origin("Ubuntu")
        .label("Ubuntu")
        .arch("amd64")
        .sign(&key);
    let apt = Package::new("apt", &Apt::version().unwrap());
    let mut tree = HostTree::new()
        .os("ubuntu", "24.04", "noble")
        .key(KEY_FILE, &key.certificate())
        .package(&apt, Installed::Yes);
    for number in 0..100_u8 {
        // Packages of one source move together: the draw depends on the source and its version.
        let package =
            Package::new(&format!("phased{number}"), "1.0-1").source(&format!("source{}", number / 2));
        tree = tree.package(&package, Installed::Yes);
        let newer = package
            .with_version("1.0-1ubuntu1")
            .phased(number / 2 * 2 + number % 2);
        if chance.happens(10) {
            security = security.package(newer.clone());
        }
        updates = updates.package(newer);
    }
    let served = tempfile::tempdir().unwrap();
    let server = Server::start(served.path()).unwrap();
    for archive in [&updates, &security] {
        archive.write_to(served.path()).unwrap();
        let options = [format!("Signed-By: {KEY_FILE}")];
        tree = tree.stanza(
            &archive.sources_suite(),
            &archive.stanza(&server.uri(), &[&options[0]]),
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = "Acquire::Check-Valid-Until \"false\";\nAcquire::Check-Date \"false\";\n";
    tree.apt_conf("90clock", settings)
        .write_to(folder.path())
        .unwrap();
    Apt::over(folder.path()).unwrap().update().unwrap();
    folder
}

/// Compares what is phased out of the upgrade; how many packages that are.
fn compare(what: &str, root: &Path, cache: &Path) -> usize {
    let apt = Apt::over_with_cache(root, &cache.join("apt")).unwrap();
    let ours = scan(root, &cache.join("patchyard"), &[]);
    assert_same(what, &ours.pending(), &apt.upgradable().unwrap());
    let upgraded = apt.simulate(Upgrade::Plain).unwrap().upgraded;
    let upgraded: BTreeSet<String> = upgraded.into_iter().map(|(name, _, _)| name).collect();
    assert_same(
        &format!("{what}: missing"),
        &ours.names_in_state("missing", "amd64"),
        &upgraded,
    );
    let pending: BTreeSet<String> = ours.pending().into_iter().map(|package| package.name).collect();
    let left: BTreeSet<String> = pending.difference(&upgraded).cloned().collect();
    assert_same(
        &format!("{what}: phased"),
        &ours.names_in_state("phased", "amd64"),
        &left,
    );
    left.len()
}

#[test]
fn a_phased_update_reaches_the_hosts_that_apt_says_it_reaches() {
    let (root, cache) = (host(), tempfile::tempdir().unwrap());
    let mut chance = Chance::new(7);
    let mut phased = 0;
    for number in 0..HOSTS {
        let id = chance.machine_id();
        std::fs::write(root.path().join("etc/machine-id"), format!("{id}\n")).unwrap();
        phased += compare(
            &format!("host {number} with machine-id {id}"),
            root.path(),
            cache.path(),
        );
    }
    assert!(
        phased > 1000,
        "only {phased} packages were phased on {HOSTS} hosts"
    );
}

#[test]
fn settings_and_a_missing_machine_id_decide_on_phased_updates_as_in_apt() {
    let (root, cache) = (host(), tempfile::tempdir().unwrap());
    let setting = root.path().join("etc/apt/apt.conf.d/50phasing");
    for text in [
        "APT::Get::Always-Include-Phased-Updates \"true\";\n",
        "APT::Get::Never-Include-Phased-Updates \"true\";\n",
        "Update-Manager::Always-Include-Phased-Updates \"true\";\n",
        "Update-Manager::Never-Include-Phased-Updates \"true\";\n",
        "APT::Machine-ID \"912e43bd1c1d4ba481f9f8ccab25f9ee\";\n",
        "APT::Get::Phase-Policy \"true\";\n",
    ] {
        std::fs::write(&setting, text).unwrap();
        compare(text, root.path(), cache.path());
    }
    std::fs::remove_file(&setting).unwrap();
    std::fs::remove_file(root.path().join("etc/machine-id")).unwrap();
    compare("no machine-id", root.path(), cache.path());
}
