//! Keeping the server: `patchyard install` on a booted host makes it a service that comes back after a reboot, and
//! `patchyard uninstall --purge` leaves the host as it was.

use super::world::until;
use std::collections::BTreeMap;
use std::fs;
use testkit::lab::Lab;
use testkit::lab::booted::BootedHost;
use testkit::skip;

/// What changes on a host that runs, whoever is installed: logs, caches, dpkg's own books and the copies that user
/// management keeps of its files.
const RESTLESS: [&str; 12] = [
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/tmp",
    "/root",
    "/var/log",
    "/var/tmp",
    "/var/cache/ldconfig",
    "/var/lib/dpkg",
    "/var/lib/systemd",
    "/etc/ld.so.cache",
];
const COPIES: [&str; 6] = ["passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-"];

/// Every file of the host with its digest, or what else it is.
fn files(host: &BootedHost) -> BTreeMap<String, String> {
    let prune: Vec<String> = RESTLESS.iter().map(|path| format!("-path {path}")).collect();
    let prune = format!("\\( {} \\) -prune", prune.join(" -o "));
    let command = format!(
        "find / {prune} -o -type f -exec sha256sum {{}} + ; find / {prune} -o ! -type f -printf '%y%m:%u:%g  %p\\n'; \
         dpkg-query -W -f 'package  ${{Package}} ${{Version}} ${{Status}}\\n'"
    );
    let listed = host.run(&["sh", "-c", &command]).unwrap();
    let lines = listed.lines().filter_map(|line| line.split_once("  "));
    let kept = lines.filter(|(_, path)| !COPIES.iter().any(|copy| path.ends_with(copy)));
    kept.map(|(what, path)| (path.to_owned(), what.to_owned()))
        .collect()
}

#[test]
fn an_installed_server_survives_a_reboot_and_an_uninstalled_one_leaves_no_trace() {
    let mut lab = match Lab::start() {
        Ok(lab) => lab,
        Err(missing) => return skip::skip_for(&missing),
    };
    let host = match lab.boot("keeper", "bookworm") {
        Ok(host) => host,
        Err(missing) => return skip::skip_for(&missing),
    };
    fs::copy(
        env!("CARGO_BIN_EXE_patchyard"),
        host.root().join("root/patchyard"),
    )
    .unwrap();
    let before = files(&host);

    let said = host.run(&["/root/patchyard", "install"]).unwrap();
    assert!(said.contains("The server runs as patchyard.service"), "{said}");
    let answers = || host.run(&["patchyard", "tenant", "list", "--json"]).is_ok();
    let log = || {
        host.run(&["journalctl", "-u", "patchyard", "--no-pager"])
            .unwrap_or_default()
    };
    until("the service answers", answers, log);
    host.run(&["patchyard", "tenant", "add", "north"]).unwrap();
    assert_eq!(
        host.run(&["stat", "-c", "%U %a", "/var/lib/patchyard"])
            .unwrap()
            .trim(),
        "patchyard 700"
    );
    host.reboot().unwrap();
    until("the service answers after a reboot", answers, log);
    assert!(
        host.run(&["patchyard", "tenant", "list"])
            .unwrap()
            .contains("north")
    );
    let complaints = log();
    let words = [
        "denied",
        "not permitted",
        "Read-only file system",
        "Failed at step",
    ];
    assert!(
        !words.iter().any(|word| complaints.contains(word)),
        "{complaints}"
    );

    // What is kept for a later installation is there, until it is to go too.
    host.run(&["patchyard", "uninstall"]).unwrap();
    assert!(host.run(&["systemctl", "is-active", "patchyard"]).is_err());
    assert!(host.root().join("var/lib/patchyard/patchyard.db").is_file());
    host.run(&["/root/patchyard", "install"]).unwrap();
    until("the service answers again", answers, log);
    assert!(
        host.run(&["patchyard", "tenant", "list"])
            .unwrap()
            .contains("north")
    );

    host.run(&["patchyard", "uninstall", "--purge"]).unwrap();
    let after = files(&host);
    let differ = |one: &BTreeMap<String, String>, other: &BTreeMap<String, String>| {
        let changed = one.iter().filter(|(path, what)| other.get(*path) != Some(what));
        changed
            .map(|(path, what)| format!("{what} {path}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(differ(&before, &after), [""; 0], "gone or changed");
    assert_eq!(differ(&after, &before), [""; 0], "left behind");
}
