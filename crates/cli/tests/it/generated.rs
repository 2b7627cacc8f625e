//! Hosts that never were, by the hundred: packages of the shared inventories in older, newer and rebuilt versions, on
//! hold, half-installed and foreign, with preferences of every form, against generated archives. apt is asked once for
//! every host. What the archives are is in [`world`].

pub mod world;

use crate::chance::Chance;
use crate::product::{assert_same, explanation, scan, text};
use std::collections::BTreeSet;
use std::path::Path;
use testkit::apt::{Apt, Pending};
use testkit::skip::cases;
use world::World;

/// Hosts that share an archive.
const HOSTS_A_WORLD: u64 = 50;

#[test]
fn generated_hosts_are_missing_what_apt_would_upgrade() {
    let hosts = cases("PATCHYARD_HOSTS", 200, 1000);
    let worlds: Vec<u64> = (0..hosts.div_ceil(HOSTS_A_WORLD)).collect();
    let (left, right) = worlds.split_at(worlds.len() / 2);
    let run = |worlds: &[u64]| {
        worlds
            .iter()
            .map(|&seed| run_world(seed, HOSTS_A_WORLD.min(hosts - seed * HOSTS_A_WORLD)))
            .sum::<usize>()
    };
    let found: usize = std::thread::scope(|scope| {
        let other = scope.spawn(|| run(left));
        run(right) + other.join().unwrap()
    });
    assert!(
        found > hosts as usize * 10,
        "{found} updates on {hosts} hosts are too few to show anything"
    );
}

/// Compares so many hosts of one world; how many updates apt found on them.
fn run_world(seed: u64, hosts: u64) -> usize {
    let world = World::generate(seed);
    let caches = tempfile::tempdir().unwrap();
    let mut found = 0;
    for number in 0..hosts {
        let mut chance = Chance::new(seed * 1_000_000 + number);
        let tree = world.host(&mut chance);
        let apt = Apt::over_with_cache(tree.path(), &caches.path().join("apt")).unwrap();
        let ours = scan(tree.path(), &caches.path().join("patchyard"), &[]);
        let name = format!("host {number} of world {seed}");
        let theirs = apt.upgradable().unwrap();
        let pending = ours.pending();
        if let Some(package) = pending.symmetric_difference(&theirs).next() {
            explain(&apt, tree.path(), &caches.path().join("patchyard"), package);
        }
        assert_same(&format!("{name}: upgradable"), &pending, &theirs);
        let unknown: BTreeSet<(String, String)> = ours.0["coverage"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|package| !text(package, "reason").starts_with("newer than anything"))
            .map(|package| (text(package, "name"), text(package, "architecture")))
            .collect();
        assert_same(
            &format!("{name}: answered for by nobody"),
            &unknown,
            &apt.obsolete().unwrap(),
        );
        found += theirs.len();
    }
    found
}

/// Shows both explanations of one package, for whoever has to find out who is right.
fn explain(apt: &Apt, root: &Path, cache: &Path, package: &Pending) {
    let name = match package.architecture.as_str() {
        "all" => package.name.clone(),
        architecture => format!("{}:{architecture}", package.name),
    };
    println!("{}", apt.run("apt-cache", &["policy", &name]).unwrap());
    println!("{}", explanation(root, cache, &name));
    let preferences = std::fs::read_dir(root.join("etc/apt/preferences.d"));
    for entry in preferences.into_iter().flatten() {
        let path = entry.unwrap().path();
        println!("{}:\n{}", path.display(), std::fs::read_to_string(&path).unwrap());
    }
}
