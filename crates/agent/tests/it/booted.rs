//! A booted host of the lab as the built agent sees it, against the host's own programs. What only a whole system has is
//! here: services, sockets of others, apt's own history, a reboot.

use crate::oracle::run;
use domain::host::change::Author;
use domain::host::facts::HostFacts;
use domain::host::hardware::Virtualisation;
use domain::host::inventory::Inventory;
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document, DocumentKind};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use testkit::lab::Lab;
use testkit::lab::booted::BootedHost;
use testkit::skip;

const STATE: &str = "/root/state";

/// What the agent hands over, by kind.
struct Outbox {
    facts: HostFacts,
    inventory: Inventory,
    digests: Vec<(DocumentKind, String)>,
}

fn collect(host: &BootedHost) -> Outbox {
    host.run(&["patchyard-agent", "--state", STATE, "collect"])
        .unwrap();
    let outbox = host.root().join(STATE.trim_start_matches('/')).join("outbox");
    let list: agent::executor::spool::List =
        serde_json::from_slice(&std::fs::read(outbox.join("list")).unwrap()).unwrap();
    let bytes = |wanted: DocumentKind| {
        let entry = list.documents.iter().find(|entry| entry.kind == wanted).unwrap();
        find(&outbox, &entry.digest)
    };
    Outbox {
        facts: FactsDocument::parse(&bytes(DocumentKind::Facts)).unwrap().into(),
        inventory: InventoryDocument::parse(&bytes(DocumentKind::Inventory))
            .unwrap()
            .into(),
        digests: list
            .documents
            .iter()
            .map(|own| (own.kind, own.digest.clone()))
            .collect(),
    }
}

/// The document's bytes, wherever the outbox keeps them.
fn find(folder: &Path, digest: &str) -> Vec<u8> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().contains(digest) {
                return std::fs::read(entry.path()).unwrap();
            }
        }
    }
    panic!("no document {digest}")
}

fn offers(facts: &HostFacts) -> BTreeSet<(u16, Option<&str>)> {
    let listening = facts.listening.known().unwrap().iter();
    listening.map(|own| (own.port, own.service.as_deref())).collect()
}

#[test]
fn a_booted_host_is_told_as_its_own_programs_see_it() {
    let mut lab = match Lab::start() {
        Ok(lab) => lab,
        Err(missing) => return skip::skip_for(&missing),
    };
    let host = match lab.boot("facts1", "bookworm") {
        Ok(host) => host,
        Err(missing) => return skip::skip_for(&missing),
    };
    let program = env!("CARGO_BIN_EXE_patchyard-agent");
    std::fs::copy(program, host.root().join("usr/bin/patchyard-agent")).unwrap();
    // The gateway of the lab becomes a neighbour.
    let _ = host.try_run(&["timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/server/9"]);
    let first = collect(&host);
    let facts = &first.facts;

    let kind = host.run(&["systemd-detect-virt"]).unwrap();
    assert_eq!(
        facts.virtualisation,
        Virtualisation::Container {
            kind: kind.trim().to_owned()
        }
    );
    assert_eq!(
        (&facts.kernels.running, facts.kernels.installed.len()),
        (&None, 0)
    );
    let installed = host.run(&[
        "dpkg-query",
        "--show",
        "--showformat=${Package} ${Architecture} ${Version}\n",
    ]);
    let theirs: BTreeSet<String> = installed.unwrap().lines().map(str::to_owned).collect();
    let ours = first.inventory.packages.iter();
    let ours: BTreeSet<String> = ours
        .map(|own| format!("{} {} {}", own.name, own.architecture, own.version))
        .collect();
    assert_eq!(ours, theirs);

    let interfaces = facts.interfaces.known().unwrap();
    assert_eq!(interfaces.len(), 1);
    assert_eq!(
        interfaces[0].addresses[0].address,
        std::net::IpAddr::from(host.address())
    );
    let neighbours = host
        .run(&["ip", "-4", "neigh", "show", &lab.address().to_string()])
        .unwrap();
    let seen = &facts.neighbours.known().unwrap().neighbours;
    assert!(
        seen.iter().any(|own| neighbours.contains(&own.link_address)),
        "{seen:?} {neighbours}"
    );
    let offers = offers(facts);
    assert!(offers.contains(&(22, Some("ssh.service"))), "{offers:?}");
    assert!(offers.contains(&(80, Some("nginx.service"))), "{offers:?}");

    // An unchanged host has unchanged documents, also after a reboot.
    assert_eq!(collect(&host).digests, first.digests);
    host.reboot().unwrap();
    let rebooted = collect(&host);
    assert_eq!(rebooted.facts, first.facts);
    assert_eq!(rebooted.digests, first.digests);
}

#[test]
fn a_replaced_program_and_the_person_who_removed_a_package_are_told() {
    let mut lab = match Lab::start() {
        Ok(lab) => lab,
        Err(missing) => return skip::skip_for(&missing),
    };
    let host = match lab.boot("facts2", "trixie") {
        Ok(host) => host,
        Err(missing) => return skip::skip_for(&missing),
    };
    let program = env!("CARGO_BIN_EXE_patchyard-agent");
    std::fs::copy(program, host.root().join("usr/bin/patchyard-agent")).unwrap();
    let stale = |facts: &HostFacts| facts.restart.known().unwrap().services.clone();
    assert_eq!(stale(&collect(&host).facts), [""; 0]);

    // As dpkg replaces a file: another one takes its name.
    let replace =
        "cp -p /usr/sbin/nginx /usr/sbin/nginx.dpkg-new && mv /usr/sbin/nginx.dpkg-new /usr/sbin/nginx";
    host.run(&["sh", "-c", replace]).unwrap();
    assert_eq!(stale(&collect(&host).facts), ["nginx.service"]);
    host.run(&["systemctl", "restart", "nginx"]).unwrap();
    assert_eq!(stale(&collect(&host).facts), [""; 0]);

    // apt itself records who asked; dpkg alone records nobody.
    host.run(&["useradd", "--uid", "1234", "alice"]).unwrap();
    host.run(&["env", "SUDO_UID=1234", "apt-get", "-y", "-q", "remove", "git"])
        .unwrap();
    host.run(&["dpkg", "--remove", "curl"]).unwrap();
    let told = collect(&host);
    let transactions = &told.facts.history.transactions;
    let of = |package: &str| {
        let mut all = transactions.iter().rev();
        let found = all.find(|own| own.changes.iter().any(|change| &*change.package == package));
        &found
            .unwrap_or_else(|| panic!("no change of {package}: {transactions:#?}"))
            .by
    };
    let alice = Author::Person {
        login: "alice".to_owned(),
        program: "apt-get".to_owned(),
    };
    assert_eq!(of("git"), &alice);
    assert_eq!(of("curl"), &Author::Unrecorded);
    let names = || told.inventory.packages.iter().map(|own| &*own.name);
    assert!(!names().any(|name| name == "git" || name == "curl"));
}

/// The oracles of the running system's facts, in a container with services of its own.
#[test]
fn the_oracles_agree_inside_a_booted_host_too() {
    let mut lab = match Lab::start() {
        Ok(lab) => lab,
        Err(missing) => return skip::skip_for(&missing),
    };
    let host = match lab.boot("facts3", "bookworm") {
        Ok(host) => host,
        Err(missing) => return skip::skip_for(&missing),
    };
    let tests = std::env::current_exe().unwrap();
    std::fs::copy(&tests, host.root().join("root/it")).unwrap();
    let done = host.run(&["/root/it", "survey::"]).unwrap();
    assert!(done.contains("0 failed"), "{done}");
    // The same file, asked on this machine, has as many of them.
    let listed = run("it", Command::new(tests).args(["survey::", "--list"]))
        .unwrap()
        .unwrap();
    let count = listed.lines().filter(|line| line.ends_with(": test")).count();
    assert!(done.contains(&format!("running {count} tests")), "{done}");
}
