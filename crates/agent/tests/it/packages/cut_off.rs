//! Killed at its most delicate moment, while dpkg configures: whoever is killed, the host ends as ordered or is told as it is, and
//! each package was unpacked once.

use super::room::{Case, LEASE, Room, archive, room};
use agent::packages::{Begun, End};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use testkit::archive::package::Package;

/// The first time it is configured it says so, and waits to be told to go on.
pub const WAITING: &str =
    "[ -e /room/once ] && exit 0\n: >/room/once\necho configuring >/room/ready\nread word </room/go";

/// A case in the middle of its transaction.
fn halfway(room: &Room) -> Case {
    let (old, new) = (
        Package::new("tool", "1"),
        Package::new("tool", "2").script("postinst", WAITING),
    );
    let library = Package::new("library", "2");
    room.install(&old);
    room.install(&library.clone().with_version("1"));
    room.run(&["apt-mark", "auto", "library"]);
    let _ = fs::remove_file("/var/log/dpkg.log");
    room.run(&["mkfifo", "/room/ready", "/room/go"]);
    let case = room.case(
        &archive([new.clone(), library.clone()]),
        &[(&new, Some("1")), (&library, Some("1"))],
    );
    room.prepare(&case).unwrap();
    assert_eq!(room.start(&case, LEASE), Begun::Now);
    room.wait_for_script();
    case
}

/// Ends each process whose command line has these words, at once.
pub fn kill(words: &[&str]) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut killed = 0;
    for number in numbers.filter(|number| *number > 1) {
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if words.iter().any(|word| line.contains(word)) {
            kill_process(Pid::from_raw(number).unwrap(), Signal::KILL).unwrap();
            killed += 1;
        }
    }
    killed
}

/// As ordered, and nothing was done twice.
fn is_done(room: &Room, case: &Case) {
    assert_eq!(room.state("tool"), "2 installed");
    assert_eq!(room.state("library"), "2 installed");
    let mut unpacked = room.unpacked();
    unpacked.sort();
    assert_eq!(unpacked, ["upgrade library:amd64 1 2", "upgrade tool:amd64 1 2"]);
    assert_eq!(
        room.run(&["apt-mark", "showauto", "tool", "library"]),
        "library\n"
    );
    assert_eq!(room.run(&["dpkg", "--audit"]), "");
    let outcome = room.outcome(case);
    assert_eq!(outcome.end, End::Installed {}, "{outcome:?}");
    assert_eq!(outcome.left, []);
}

#[test]
fn a_transaction_whose_dpkg_is_killed_is_repaired_and_goes_on() {
    room(|room| {
        let case = halfway(room);
        assert!(kill(&["/usr/bin/dpkg --"]) >= 1);
        room.wait(&case);
        is_done(room, &case);
    });
}

#[test]
fn a_transaction_whose_apt_is_killed_waits_for_its_dpkg_and_goes_on() {
    room(|room| {
        let case = halfway(room);
        assert_eq!(kill(&["apt-get -c"]), 1);
        // dpkg is still at work, and is waited for.
        room.let_go();
        room.wait(&case);
        is_done(room, &case);
    });
}

#[test]
fn a_transaction_that_is_killed_itself_leaves_apt_to_its_work_and_is_taken_up_again() {
    room(|room| {
        let case = halfway(room);
        assert_eq!(kill(&["patchyard-agent transact"]), 1);
        assert!(
            agent::packages::is_running(&room.folder(&case)),
            "apt has its lock"
        );
        assert_eq!(room.start(&case, LEASE), Begun::Already);
        room.let_go();
        room.wait(&case);
        assert_eq!(
            agent::packages::outcome(&room.folder(&case)),
            None,
            "nobody was there to tell"
        );
        assert_eq!(room.start(&case, LEASE), Begun::Now);
        room.wait(&case);
        is_done(room, &case);
    });
}

#[test]
fn after_a_power_cut_the_host_is_repaired_even_when_its_time_is_over() {
    room(|room| {
        let case = halfway(room);
        assert!(
            kill(&[
                "patchyard-agent transact",
                "apt-get -c",
                "/usr/bin/dpkg --",
                "tool.postinst"
            ]) >= 4
        );
        room.wait(&case);
        assert_eq!(room.start(&case, 0), Begun::Now);
        room.wait(&case);
        is_done(room, &case);
    });
}
