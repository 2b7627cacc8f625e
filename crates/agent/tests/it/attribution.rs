//! Who changed what, from logs as dpkg and apt write them, and from this machine's own.

use crate::oracle::put;
use agent::attribution::read;
use agent::tree::Tree;
use domain::host::change::{Author, History, PackageChange};
use std::path::Path;

const HISTORY: &str = "\n\
    Start-Date: 2026-03-01  06:10:00\n\
    Commandline: /usr/bin/unattended-upgrade\n\
    Upgrade: openssl:amd64 (3.0.17-1, 3.0.20-1), libssl3:amd64 (3.0.17-1, 3.0.20-1)\n\
    End-Date: 2026-03-01  06:10:20\n\
    \n\
    Start-Date: 2026-03-02  10:00:00\n\
    Commandline: apt-get install vim\n\
    Requested-By: alice (1000)\n\
    Install: vim:amd64 (9.0-1), vim-runtime:all (9.0-1, automatic)\n\
    End-Date: 2026-03-02  10:00:09\n\
    \n\
    Start-Date: 2026-03-03  11:00:00\n\
    Commandline: apt-get purge nano\n\
    Requested-By: bob (1001)\n\
    Purge: nano:amd64 (7.2-1)\n\
    Error: Sub-process /usr/bin/dpkg returned an error code (1)\n\
    End-Date: 2026-03-03  11:00:01\n";

const DPKG: &str = "2026-03-01 06:10:01 startup archives unpack\n\
    2026-03-01 06:10:02 upgrade openssl:amd64 3.0.17-1 3.0.20-1\n\
    2026-03-01 06:10:02 status half-configured openssl:amd64 3.0.17-1\n\
    2026-03-01 06:10:03 upgrade libssl3:amd64 3.0.17-1 3.0.20-1\n\
    2026-03-01 06:10:04 configure openssl:amd64 3.0.20-1 <none>\n\
    2026-03-01 20:00:00 install hand:amd64 <none> 1.0\n\
    2026-03-02 10:00:02 install vim:amd64 <none> 9.0-1\n\
    2026-03-02 10:00:03 install vim-runtime:all <none> 9.0-1\n\
    2026-03-03 11:00:00 purge other:amd64 1.0 <none>\n";

fn history(files: &[(&str, &[u8])]) -> History {
    let root = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        put(root.path(), path, bytes);
    }
    read(&Tree::open(root.path()).unwrap(), &[])
}

fn names(changes: &[PackageChange]) -> Vec<&str> {
    changes.iter().map(|change| &*change.package).collect()
}

#[test]
fn each_change_has_its_author_and_what_failed_is_no_change() {
    let history = history(&[
        ("/var/log/apt/history.log", HISTORY.as_bytes()),
        ("/var/log/dpkg.log", DPKG.as_bytes()),
    ]);
    assert_eq!(history.unread, [""; 0]);
    let [unattended, hand, alice] = history.transactions.as_slice() else {
        panic!("{history:#?}")
    };
    let tool = Author::Tool {
        name: "unattended-upgrades".to_owned(),
    };
    assert_eq!(
        (&unattended.by, names(&unattended.changes)),
        (&tool, vec!["libssl3", "openssl"])
    );
    assert_eq!(unattended.at_micros, 1_772_345_400_000_000);
    assert_eq!(
        (&hand.by, names(&hand.changes)),
        (&Author::Unrecorded, vec!["hand"])
    );
    let person = Author::Person {
        login: "alice".to_owned(),
        program: "apt-get".to_owned(),
    };
    assert_eq!(
        (&alice.by, names(&alice.changes)),
        (&person, vec!["vim", "vim-runtime"])
    );
    assert_eq!(alice.changes[0].to.as_deref(), Some("9.0-1"));
    assert_eq!(alice.command.as_deref(), Some("apt-get install vim"));
}

#[test]
fn logs_that_are_not_read_are_named_and_a_long_one_is_read_from_its_end() {
    let line = "2026-03-01 06:10:02 upgrade openssl:amd64 3.0.17-1 3.0.20-1\n";
    let long = line.repeat((5 << 20) / line.len());
    let history = history(&[
        ("/var/log/dpkg.log", long.as_bytes()),
        (
            "/var/log/dpkg.log.1",
            b"2026-02-01 06:10:02 install old:amd64 <none> 1\n",
        ),
        ("/var/log/dpkg.log.2.gz", b"\x1f\x8b"),
        ("/var/log/apt/history.log.1", HISTORY.as_bytes()),
    ]);
    assert_eq!(
        history.unread,
        [
            "/var/log/dpkg.log is long: only its end was read",
            "older, packed logs beside /var/log/dpkg.log were not read"
        ]
    );
    assert!(
        history
            .transactions
            .iter()
            .any(|own| names(&own.changes) == ["openssl"])
    );
}

#[test]
fn the_hosts_own_time_zone_counts() {
    let zone = Path::new("/usr/share/zoneinfo/Asia/Tokyo");
    let Ok(tokyo) = std::fs::read(zone) else {
        return testkit::skip::skip(&"tzdata is not installed");
    };
    let history = history(&[
        ("/etc/localtime", &tokyo),
        ("/var/log/apt/history.log", HISTORY.as_bytes()),
    ]);
    assert_eq!(
        history.transactions[0].at_micros,
        1_772_345_400_000_000 - 9 * 3_600_000_000
    );
}

#[test]
fn hostile_logs_are_read_to_an_end_and_show_no_control_characters() {
    let hostile = "Start-Date: 2026-03-01  06:10:00\nCommandline: apt-get \u{1b}[31minstall\u{202e}\nRequested-By: \u{1b}]0;x\u{7} (0)\n\
                   Install: a:amd64 (\u{1b}1), :, b, (), c:d (e, f), :::: ((((\n\n";
    let mut bytes = hostile.repeat(50).into_bytes();
    bytes.extend([0xff, 0xfe, 0, b'\n']);
    let history = history(&[
        ("/var/log/apt/history.log", &bytes),
        ("/var/log/dpkg.log", &bytes),
    ]);
    let shown = format!(
        "{:?}",
        history
            .transactions
            .iter()
            .map(|own| (&own.by, &own.command))
            .collect::<Vec<_>>()
    );
    assert!(!shown.contains("\\u{1b}") && !shown.contains("\\u{7}"), "{shown}");
    assert_ne!(history.transactions, []);
}
