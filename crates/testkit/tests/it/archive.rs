//! Archives built here are archives to apt and dpkg.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use testkit::apt::{Apt, Pending, Upgrade};
use testkit::archive::package::Package;
use testkit::archive::{AllIndex, Archive, ByHash, Format, Pool, Signatures};
use testkit::host::{HostTree, Installed};
use testkit::keys::SigningKey;
use testkit::server::Server;

fn pending(name: &str, architecture: &str, installed: &str, candidate: &str) -> Pending {
    Pending {
        name: name.to_owned(),
        architecture: architecture.to_owned(),
        installed: installed.to_owned(),
        candidate: candidate.to_owned(),
    }
}

/// Fetches the archive by apt over HTTP into a tree that has hello 1.0-1, libhello1 in two architectures, and shy on hold.
fn fetched(archive: &Archive, key: &SigningKey) -> (tempfile::TempDir, tempfile::TempDir, Server) {
    let (tree, host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    archive.write_to(tree.path()).unwrap();
    let server = Server::start(tree.path()).unwrap();
    HostTree::new()
        .foreign("i386")
        .stanza(
            "test",
            &archive.stanza(&server.uri(), &["Signed-By: /usr/share/keyrings/test.gpg"]),
        )
        .key("/usr/share/keyrings/test.gpg", &key.certificate())
        .package(&Package::new("hello", "1.0-1").arch("all"), Installed::Yes)
        .package(&libhello("1.0-1"), Installed::Yes)
        .package(&libhello("1.0-1").arch("i386"), Installed::Yes)
        .package(&Package::new("shy", "1:1.0-1"), Installed::Held)
        .write_to(host.path())
        .unwrap();
    Apt::over(host.path()).unwrap().update().unwrap();
    (tree, host, server)
}

fn libhello(version: &str) -> Package {
    Package::new("libhello1", version)
        .source("hello")
        .multi_arch("same")
}

fn newer(archive: Archive) -> Archive {
    archive
        .package(
            Package::new("hello", "1.0-2")
                .arch("all")
                .depends("libhello1 (>= 1.0-2)"),
        )
        .package(libhello("1.0-2"))
        .package(libhello("1.0-2").arch("i386"))
        .package(Package::new("shy", "1:1.0-2"))
}

fn expected() -> BTreeSet<Pending> {
    BTreeSet::from([
        pending("hello", "all", "1.0-1", "1.0-2"),
        pending("libhello1", "amd64", "1.0-1", "1.0-2"),
        pending("libhello1", "i386", "1.0-1", "1.0-2"),
        pending("shy", "amd64", "1:1.0-1", "1:1.0-2"),
    ])
}

#[test]
fn apt_fetches_verifies_and_reads_every_form_of_archive() {
    let key = SigningKey::ed25519("Archive <archive@archive.example>");
    let other = SigningKey::ed25519("Other <other@archive.example>");
    let base = || Archive::new("stable").origin("Debian").version("1.0").sign(&key);
    let forms = [
        ("as Debian", base()),
        ("gzip", base().formats(&[Format::Gzip])),
        ("zstd", base().formats(&[Format::Zstd])),
        ("plain", base().formats(&[Format::Plain])),
        ("by hash only", base().by_hash(ByHash::Only)),
        ("all forms", base().formats(&Format::ALL).by_hash(ByHash::Yes)),
        ("detached signature", base().signatures(Signatures::Detached)),
        ("two signatures", base().sign(&other)),
        (
            "two detached signatures",
            base().signatures(Signatures::Detached).sign(&other),
        ),
        ("separate all", base().all_index(AllIndex::Separate)),
        ("all in both", base().all_index(AllIndex::Both)),
        (
            "two components",
            base()
                .component("main")
                .arch("amd64")
                .arch("i386")
                .component("extra"),
        ),
        ("flat", Archive::flat("").sign(&key)),
        ("flat in a folder", Archive::flat("flat/repository").sign(&key)),
    ];
    for (what, archive) in forms {
        let (_tree, host, _server) = fetched(&newer(archive), &key);
        assert_eq!(
            Apt::over(host.path()).unwrap().upgradable().unwrap(),
            expected(),
            "{what}"
        );
    }
}

#[test]
fn apt_refuses_an_archive_that_another_key_signed() {
    let (tree, host) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let archive = newer(Archive::new("stable").sign(&SigningKey::ed25519("Other <other@archive.example>")));
    archive.write_to(tree.path()).unwrap();
    let server = Server::start(tree.path()).unwrap();
    let key = SigningKey::ed25519("Archive <archive@archive.example>");
    HostTree::new()
        .stanza(
            "test",
            &archive.stanza(&server.uri(), &["Signed-By: /usr/share/keyrings/test.gpg"]),
        )
        .key("/usr/share/keyrings/test.gpg", &key.certificate())
        .write_to(host.path())
        .unwrap();
    let error = Apt::over(host.path()).unwrap().update().unwrap_err().to_string();
    assert!(error.contains("NO_PUBKEY"), "{error}");
}

#[test]
fn a_simulated_upgrade_is_read_with_what_it_keeps_back_and_installs() {
    let key = SigningKey::ed25519("Archive <archive@archive.example>");
    let archive = Archive::new("stable").sign(&key);
    let archive = archive
        .package(libhello("1.0-2"))
        .package(libhello("1.0-2").arch("i386"))
        .package(Package::new("fresh", "3"))
        .package(Package::new("hello", "1.0-2").arch("all").depends("fresh"));
    let (_tree, host, _server) = fetched(&archive, &key);
    let apt = Apt::over(host.path()).unwrap();
    let plain = apt.simulate(Upgrade::Plain).unwrap();
    let step = |name: &str| (name.to_owned(), "1.0-1".to_owned(), "1.0-2".to_owned());
    assert_eq!(
        plain.upgraded,
        BTreeSet::from([step("libhello1"), step("libhello1:i386")])
    );
    assert_eq!(plain.kept_back, BTreeSet::from(["hello".to_owned()]));
    assert_eq!(plain.new, BTreeSet::new());
    let dist = apt.simulate(Upgrade::Dist).unwrap();
    assert_eq!(
        dist.upgraded,
        BTreeSet::from([step("hello"), step("libhello1"), step("libhello1:i386")])
    );
    assert_eq!(dist.new, BTreeSet::from([("fresh".to_owned(), "3".to_owned())]));
    assert_eq!(dist.removed, BTreeSet::new());
}

#[test]
fn a_package_rebuilt_under_its_version_is_an_upgrade_to_apt_too() {
    let key = SigningKey::ed25519("Archive <archive@archive.example>");
    let rebuilt = libhello("1.0-1").depends("base").rebuilt("second");
    let (_tree, host, _server) = fetched(
        &Archive::new("stable").sign(&key).package(rebuilt).arch("i386"),
        &key,
    );
    let found = Apt::over(host.path()).unwrap().upgradable().unwrap();
    assert_eq!(
        found,
        BTreeSet::from([pending("libhello1", "amd64", "1.0-1", "1.0-1")])
    );
}

#[test]
fn packages_of_a_pool_are_packages_to_dpkg() {
    let folder = tempfile::tempdir().unwrap();
    let package = Package::new("hello", "1:1.0-1")
        .source("greetings (1.0)")
        .depends("libc6");
    let archive = Archive::new("stable")
        .pool(Pool::Written)
        .package(package.clone());
    archive.write_to(folder.path()).unwrap();
    let deb = folder.path().join(package.filename());
    assert_eq!(dpkg_deb(&["--field"], &deb, &["Version"]), "1:1.0-1\n");
    assert_eq!(dpkg_deb(&["--field"], &deb, &["Source"]), "greetings (1.0)\n");
    assert!(dpkg_deb(&["--contents"], &deb, &[]).contains("./usr/share/doc/hello/note-amd64"));
    let index = archive.files().unwrap();
    assert_eq!(index[&package.filename()], std::fs::read(&deb).unwrap());
}

fn dpkg_deb(before: &[&str], deb: &Path, after: &[&str]) -> String {
    let done = Command::new("dpkg-deb")
        .args(before)
        .arg(deb)
        .args(after)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "dpkg-deb: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}
