//! Who else updates a host.

use agent::host::{ReadOptions, read};
use agent::updaters::updaters;
use std::os::unix::fs::symlink;
use testkit::host::HostTree;

const TIMER: &str = "[Timer]\nOnCalendar=*-*-* 6:00\nRandomizedDelaySec=60m\nPersistent=true\n";
const SECURITY: &str = "Unattended-Upgrade::Origins-Pattern { \"origin=Debian,label=Debian-Security\"; };";

fn installed(names: &[&str]) -> HostTree {
    let stanza = |name: &&str| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n")
    };
    names
        .iter()
        .fold(HostTree::new(), |tree, name| tree.status(&stanza(name)))
}

fn shown(tree: HostTree, timers: &[&str]) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    tree.write_to(root.path()).unwrap();
    let wants = root.path().join("etc/systemd/system/timers.target.wants");
    std::fs::create_dir_all(&wants).unwrap();
    for timer in timers {
        symlink(format!("/lib/systemd/system/{timer}"), wants.join(timer)).unwrap();
    }
    let host = read(root.path(), ReadOptions::default()).unwrap();
    updaters(&host).iter().map(ToString::to_string).collect()
}

fn unattended() -> HostTree {
    installed(&["apt", "unattended-upgrades", "systemd-sysv"])
        .file("lib/systemd/system/apt-daily-upgrade.timer", TIMER)
        .file(
            "lib/systemd/system/apt-daily.timer",
            "[Timer]\nOnCalendar=*-*-* 6,18:00\nRandomizedDelaySec=12h\n",
        )
        .apt_conf(
            "20auto-upgrades",
            "APT::Periodic::Unattended-Upgrade \"1\"; APT::Periodic::Update-Package-Lists \"1\";",
        )
}

const BOTH: [&str; 2] = ["apt-daily.timer", "apt-daily-upgrade.timer"];

#[test]
fn unattended_upgrades_is_named_with_what_and_when() {
    let lines = shown(unattended().apt_conf("50u", SECURITY), &BOTH);
    assert_eq!(lines, ["unattended-upgrades (security, daily 06:00-07:00)"]);
    let own_time = unattended().apt_conf("50u", SECURITY).file(
        "etc/systemd/system/apt-daily-upgrade.timer.d/own.conf",
        "[Timer]\nOnCalendar=\nOnCalendar=06:12\nRandomizedDelaySec=0\n",
    );
    assert_eq!(
        shown(own_time, &BOTH),
        ["unattended-upgrades (security, daily 06:12)"]
    );
    let more = "Unattended-Upgrade::Allowed-Origins { \"Debian:stable\"; };";
    let lines = shown(
        unattended().apt_conf("50u", SECURITY).apt_conf("51u", more),
        &BOTH,
    );
    assert_eq!(
        lines,
        ["unattended-upgrades (security and more, daily 06:00-07:00)"]
    );
}

#[test]
fn an_updater_that_is_switched_off_is_not_named() {
    let none: [&str; 0] = [];
    assert_eq!(shown(unattended(), &none), none);
    assert_eq!(
        shown(unattended().apt_conf("99", "APT::Periodic::Enable \"0\";"), &BOTH),
        none
    );
    let off = unattended().apt_conf("99", "APT::Periodic::Unattended-Upgrade \"0\";");
    assert_eq!(
        shown(off, &BOTH),
        ["apt-daily (package lists only, daily 06:00-18:00, 18:00-06:00)"]
    );
    assert_eq!(
        shown(installed(&["apt", "needrestart"]), &none),
        ["needrestart (tells which services to restart)"]
    );
}

#[test]
fn cron_apt_packagekit_and_needrestart_are_told_by_their_files() {
    let tree = installed(&["apt", "cron-apt", "needrestart"])
        .file("etc/cron.d/cron-apt", "0 4 * * * root cron-apt\n")
        .file("etc/cron-apt/action.d/0-update", "update -o quiet=2\n")
        .file(
            "etc/cron-apt/action.d/3-download",
            "autoclean -y\ndist-upgrade -d -y\n",
        )
        .file("var/lib/PackageKit/prepared-update", "")
        .file("system-update", "")
        .file(
            "etc/needrestart/needrestart.conf",
            "#$nrconf{restart} = 'i';\n$nrconf{restart} = 'a';\n",
        );
    let lines = shown(tree.clone(), &[]);
    assert_eq!(
        lines,
        [
            "cron-apt (downloads only, daily)",
            "PackageKit (prepared, at the next boot)",
            "needrestart (restarts services after updates)",
        ]
    );
    let lines = shown(tree.file("etc/cron-apt/action.d/9-install", "upgrade -y\n"), &[]);
    assert_eq!(lines[0], "cron-apt (everything, daily)");
}
