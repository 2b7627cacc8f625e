//! Which indexes of a source a host uses, against apt: a real `apt-get update` over generated archives, then
//! `apt-get indextargets` for what apt reads, in its order.

use crate::tools;
use domain::host::channels::Stanza;
use sources::apt::keyring::Keyring;
use sources::apt::openpgp::verify_inrelease;
use sources::apt::release::Release;
use sources::apt::targets::{merge, merged_targets};
use std::fs;
use std::path::Path;
use testkit::apt::Apt;
use testkit::archive::package::Package;
use testkit::archive::{AllIndex, Archive};
use testkit::host::HostTree;
use testkit::keys::SigningKey;

/// A line of sources.list: suite, components, architectures (none: the host's).
struct Line(&'static str, &'static [&'static str], &'static [&'static str]);

struct Case {
    name: &'static str,
    archives: Vec<Archive>,
    foreign: &'static [&'static str],
    lines: Vec<Line>,
}

fn archive(name: &str, architectures: &[&str], all: AllIndex) -> Archive {
    let archive = architectures
        .iter()
        .fold(Archive::new(name), |archive, name| archive.arch(name));
    let mut archive = archive.all_index(all);
    for component in ["main", "contrib"] {
        archive = archive.component(component);
        for architecture in architectures.iter().chain(&["all"]) {
            let package = Package::new(&format!("{component}-{architecture}"), "1").arch(architecture);
            archive = archive.package(package);
        }
    }
    archive
}

fn cases() -> Vec<Case> {
    let case = |name, archives: Vec<Archive>, foreign: &'static [&'static str], lines| Case {
        name,
        archives,
        foreign,
        lines,
    };
    let in_every = |name: &str| archive(name, &["amd64", "i386"], AllIndex::InEvery);
    vec![
        case(
            "one component",
            vec![in_every("s")],
            &[],
            vec![Line("s", &["main"], &[])],
        ),
        case(
            "two components",
            vec![in_every("s")],
            &[],
            vec![Line("s", &["contrib", "main"], &[])],
        ),
        case(
            "a foreign architecture",
            vec![in_every("s")],
            &["i386"],
            vec![Line("s", &["main", "contrib"], &[])],
        ),
        case(
            "an architecture that is not there",
            vec![in_every("s")],
            &["riscv64"],
            vec![Line("s", &["main"], &[])],
        ),
        case(
            "a component that is not there",
            vec![in_every("s")],
            &[],
            vec![Line("s", &["main", "mian"], &[])],
        ),
        case(
            "a separate index for all",
            vec![archive("s", &["amd64", "i386"], AllIndex::Separate)],
            &["i386"],
            vec![Line("s", &["main"], &[])],
        ),
        case(
            "a separate index that is not for apt",
            vec![archive("s", &["amd64"], AllIndex::Both)],
            &[],
            vec![Line("s", &["main", "contrib"], &[])],
        ),
        case(
            "all by name, although it is not for apt",
            vec![archive("s", &["amd64"], AllIndex::Both)],
            &[],
            vec![Line("s", &["main"], &["amd64", "all"])],
        ),
        case(
            "one architecture by name",
            vec![in_every("s")],
            &["i386"],
            vec![Line("s", &["main"], &["i386"])],
        ),
        case(
            "two lines of one suite around another",
            vec![in_every("s"), in_every("t")],
            &["i386"],
            vec![
                Line("s", &["contrib"], &["amd64"]),
                Line("t", &["main"], &[]),
                Line("s", &["main", "contrib"], &[]),
            ],
        ),
        case(
            "all implied first and named later",
            vec![archive("s", &["amd64"], AllIndex::Both)],
            &[],
            vec![Line("s", &["main"], &[]), Line("s", &["main"], &["all"])],
        ),
        case(
            "a flat repository between others",
            vec![
                in_every("s"),
                Archive::flat("flat")
                    .arch("amd64")
                    .package(Package::new("f", "1")),
            ],
            &["i386"],
            vec![Line("flat/", &[], &[]), Line("s", &["main"], &[])],
        ),
    ]
}

fn stanza(uri: &str, Line(suite, components, architectures): &Line, of_host: &[&str]) -> Stanza {
    let architectures = if architectures.is_empty() {
        of_host
    } else {
        architectures
    };
    Stanza::new(uri, suite, components, architectures)
}

/// The indexes that we would use, as `suite path`, in order.
fn ours(tree: &Path, keyring: &Keyring, stanzas: &[Stanza]) -> Vec<String> {
    let mut used = Vec::new();
    for source in merge(stanzas) {
        let suite = &source.stanzas[0].suite;
        let folder = if suite.ends_with('/') {
            suite.clone()
        } else {
            format!("dists/{suite}/")
        };
        let inrelease = fs::read(tree.join(folder).join("InRelease")).unwrap();
        let now = "2026-06-02T00:00:00Z".parse().unwrap();
        let release = Release::parse(&verify_inrelease(&inrelease, keyring, now).unwrap()).unwrap();
        let targets = merged_targets(&source, release.facts(), |path| release.file(path).is_some());
        let empty = |path: &str| release.file(path).is_some_and(|entry| entry.size_bytes == 0);
        let fetched = targets.iter().filter(|target| !empty(&target.path));
        used.extend(fetched.map(|target| format!("{} {}", suite.trim_end_matches('/'), target.path)));
    }
    used
}

/// The indexes that apt has after an update and reads, in its order.
fn apts(tree: &Path, host: &HostTree) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    host.write_to(root.path()).unwrap();
    let apt = Apt::over(root.path()).unwrap();
    apt.run("apt-get", &["update", "-q", "-o", "APT::Sandbox::User=root"])
        .unwrap();
    let text = apt.run(
        "apt-get",
        &[
            "indextargets",
            "--format",
            "$(REPO_URI) $(RELEASE) $(METAKEY)",
            "Created-By: Packages",
        ],
    );
    let prefix = format!("file:{}/ ", tree.display());
    text.unwrap()
        .lines()
        .map(|line| line.strip_prefix(&prefix).unwrap().replace("/ ", " "))
        .collect()
}

#[test]
fn the_indexes_used_are_apts_in_apts_order() {
    if !tools::has("apt-get", &["--version"]) {
        return;
    }
    let key = SigningKey::ed25519("Archive <archive@archive.example>");
    let keyring = Keyring::parse(&key.certificate()).unwrap();
    for Case {
        name,
        archives,
        foreign,
        lines,
    } in cases()
    {
        let tree = tempfile::tempdir().unwrap();
        for archive in archives {
            archive.sign(&key).write_to(tree.path()).unwrap();
        }
        let uri = format!("file:{}/", tree.path().display());
        let of_host: Vec<&str> = ["amd64"].iter().chain(foreign).copied().collect();
        let stanzas: Vec<Stanza> = lines.iter().map(|line| stanza(&uri, line, &of_host)).collect();
        let mut text = String::new();
        for Line(suite, components, architectures) in &lines {
            let arch = if architectures.is_empty() {
                String::new()
            } else {
                format!(" arch={}", architectures.join(","))
            };
            text += &format!(
                "deb [signed-by=/etc/key.gpg{arch}] {uri} {suite} {}\n",
                components.join(" ")
            );
        }
        let host = HostTree::new()
            .key("/etc/key.gpg", &key.certificate())
            .sources_list(&text);
        let host = foreign.iter().fold(host, |host, name| host.foreign(name));
        let ours = ours(tree.path(), &keyring, &stanzas);
        assert_eq!(ours, apts(tree.path(), &host), "{name}");
        assert!(
            !ours.is_empty() || name.contains("not there"),
            "{name}: nothing to compare"
        );
    }
}
