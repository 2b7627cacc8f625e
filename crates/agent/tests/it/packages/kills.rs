//! Killed at random moments, again and again: transaction, apt, dpkg or everything at once, as a power cut does. Each order ends as it
//! was ordered, and nothing is unpacked again but what was cut off within it.

use super::cut_off::kill;
use super::room::{Case, LEASE, Room, archive, room};
use agent::packages::End;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::fs;
use testkit::archive::package::Package;
use testkit::skip;

/// Packages of each order.
const PACKAGES: usize = 6;
/// Lines that dpkg logs of one order, about.
const LINES: usize = 60;
const VICTIMS: [&[&str]; 4] = [
    &["patchyard-agent transact"],
    &["apt-get -c"],
    &["/usr/bin/dpkg --"],
    &[
        "patchyard-agent transact",
        "apt-get -c",
        "/usr/bin/dpkg --",
        "dpkg-deb",
        ".postinst",
    ],
];

fn packages(version: u64) -> Vec<Package> {
    let package = |number: usize| {
        let package = Package::new(&format!("part{number}"), &version.to_string())
            .script("postinst", "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done")
            .file(&format!("usr/lib/part{number}"), &vec![b'x'; 300_000]);
        match number {
            0 => package,
            _ => package.depends(&format!("part{} (= {version})", number - 1)),
        }
    };
    (0..PACKAGES).map(package).collect()
}

fn log() -> String {
    fs::read_to_string("/var/log/dpkg.log").unwrap_or_default()
}

/// Goes on with a transaction until it has an end.
fn to_its_end(room: &Room, case: &Case) -> u32 {
    for starts in 0..6 {
        room.wait(case);
        if agent::packages::outcome(&room.folder(case)).is_some() {
            return starts;
        }
        room.start(case, LEASE);
    }
    panic!("it never ends: {}", agent::packages::output(&room.folder(case)));
}

#[test]
fn killed_at_any_moment_an_order_ends_as_it_was_ordered() {
    room(|room| {
        let cases = skip::cases("PATCHYARD_KILLS", 8, 24);
        for package in packages(1) {
            room.install(&package);
        }
        for seed in 0..cases {
            let (version, mut chance) = (seed + 2, StdRng::seed_from_u64(seed));
            let (old, new) = ((version - 1).to_string(), packages(version));
            let pairs: Vec<_> = new.iter().map(|package| (package, Some(old.as_str()))).collect();
            let mut case = room.case(&archive(new.clone()), &pairs);
            case.order.number = 100 + seed;
            room.prepare(&case).unwrap();
            let _ = fs::remove_file("/var/log/dpkg.log");
            let (at, victim) = (
                chance.gen_range(0..LINES),
                VICTIMS[chance.gen_range(0..VICTIMS.len())],
            );
            room.start(&case, LEASE);
            // Until dpkg has come so far, or has ended before.
            while log().lines().count() < at && agent::packages::is_running(&room.folder(&case)) {
                std::thread::yield_now();
            }
            let killed = kill(victim);
            let starts = to_its_end(room, &case);

            let context =
                format!("seed {seed}: {killed} of {victim:?} after {at} lines, {starts} more starts");
            let outcome = room.outcome(&case);
            let said = agent::packages::output(&room.folder(&case));
            assert_eq!(outcome.end, End::Installed {}, "{context}: {outcome:?}\n{said}");
            for package in &new {
                assert_eq!(
                    room.state(package.name()),
                    format!("{version} installed"),
                    "{context}"
                );
            }
            assert_eq!(room.run(&["dpkg", "--audit"]), "", "{context}");
            let unpacked = room.unpacked();
            let again = unpacked.len() - PACKAGES;
            assert!(again <= usize::from(killed > 0), "{context}: {unpacked:?}");
            fs::remove_dir_all(room.folder(&case)).unwrap();
        }
    });
}
