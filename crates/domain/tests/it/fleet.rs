//! The findings of a fleet against those of each host alone.

use domain::assess::fleet::{
    ChannelsNo, ChunkFindings, Fleet, HostNo, HostState, Interner, PackageId, PackageKey, PackageSet,
    PackageVerdict, UpdateNo, VerdictTable, assess_chunk,
};
use domain::catalog::update::Classification;
use domain::digest::Sha256Digest;
use domain::host::inventory::BuildFingerprint;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// A verdict that looks arbitrary and is not.
fn verdict(channels: ChannelsNo, package: PackageId) -> PackageVerdict {
    let mixed = (package.0 ^ channels.0.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b) >> 16;
    match mixed % 16 {
        0 => PackageVerdict::Unknown,
        1..=5 => {
            let class = match mixed / 1_024 % 3 {
                0 => Classification::Security,
                _ => Classification::Other,
            };
            PackageVerdict::Missing(UpdateNo(mixed / 16 % 9 * 100_000), class)
        }
        _ => PackageVerdict::Settled,
    }
}

#[derive(Clone, Debug)]
enum Host {
    Silent,
    Reported(u32, usize),
}

#[derive(Clone, Debug)]
struct Case {
    channels: u32,
    inventories: Vec<Vec<u32>>,
    hosts: BTreeMap<u32, Host>,
}

const PACKAGES: u32 = 200_000;

fn case() -> impl Strategy<Value = Case> {
    let package = prop_oneof![
        0..60_u32,
        65_500..65_600_u32,
        0..PACKAGES,
        PACKAGES..PACKAGES + 70_000
    ];
    let inventories = prop::collection::vec(prop::collection::vec(package, 0..30), 1..8);
    (1..4_u32, inventories).prop_flat_map(|(channels, inventories)| {
        // One more than there are: what the table does not hold has to be unknown.
        let reported =
            (0..channels + 1, 0..inventories.len()).prop_map(|(channels, own)| Host::Reported(channels, own));
        let host = prop_oneof![1 => Just(Host::Silent), 9 => reported];
        let number = prop_oneof![0..20_u32, 65_530..65_545_u32, 131_060..131_080_u32];
        let hosts = prop::collection::btree_map(number, host, 0..40);
        hosts.prop_map(move |hosts| Case {
            channels,
            inventories: inventories.clone(),
            hosts,
        })
    })
}

/// Host by host, package by package, with nothing shared and nothing numbered anew.
fn one_by_one(case: &Case) -> (BTreeMap<u32, BTreeSet<u32>>, BTreeSet<u32>) {
    let (mut missing, mut unknown) = (BTreeMap::<u32, BTreeSet<u32>>::new(), BTreeSet::new());
    for (number, host) in &case.hosts {
        let Host::Reported(channels, inventory) = *host else {
            unknown.insert(*number);
            continue;
        };
        let packages = &case.inventories[inventory];
        if packages.is_empty() || channels >= case.channels {
            unknown.insert(*number);
            continue;
        }
        for package in packages {
            match verdict(ChannelsNo(channels), PackageId(*package)) {
                _ if *package >= PACKAGES => drop(unknown.insert(*number)),
                PackageVerdict::Settled => {}
                PackageVerdict::Unknown => drop(unknown.insert(*number)),
                PackageVerdict::Missing(update, _) => {
                    missing.entry(update.0).or_default().insert(*number);
                }
            }
        }
    }
    (missing, unknown)
}

fn fleet(case: &Case) -> Fleet {
    let mut fleet = Fleet::default();
    for (number, host) in &case.hosts {
        let state = match *host {
            Host::Silent => HostState::Silent,
            Host::Reported(channels, inventory) => {
                let digest = Sha256Digest([inventory as u8; 32]);
                let packages = || {
                    case.inventories[inventory]
                        .iter()
                        .copied()
                        .map(PackageId)
                        .collect()
                };
                let inventory = fleet.inventory(digest, packages);
                HostState::Reported {
                    channels: ChannelsNo(channels),
                    inventory,
                }
            }
        };
        fleet.set_host(HostNo(*number), state);
    }
    fleet
}

fn together(found: &[ChunkFindings]) -> (BTreeMap<u32, BTreeSet<u32>>, BTreeSet<u32>) {
    let (mut missing, mut unknown) = (BTreeMap::<u32, BTreeSet<u32>>::new(), BTreeSet::new());
    for chunk in found {
        for (update, hosts) in &chunk.missing {
            assert!(!hosts.is_empty(), "an update that nobody misses is no finding");
            missing.entry(update.0).or_default().extend(hosts);
        }
        unknown.extend(&chunk.unknown);
        let hosts = chunk.missing.values().chain([&chunk.unknown]).flatten();
        assert!(
            hosts.map(HostNo).all(|host| host.chunk() == chunk.chunk),
            "a host outside its chunk"
        );
    }
    (missing, unknown)
}

proptest! {
    #[test]
    fn a_fleet_is_found_to_miss_what_its_hosts_miss_one_by_one(case in case()) {
        let table = VerdictTable::new(case.channels as usize, PACKAGES as usize, verdict);
        let fleet = fleet(&case);
        let found: Vec<_> = fleet.chunks().map(|chunk| assess_chunk(&fleet, &table, chunk)).collect();
        prop_assert_eq!(together(&found), one_by_one(&case));
    }

    #[test]
    fn chunks_that_threads_share_out_are_found_alike(case in case()) {
        let table = VerdictTable::new(case.channels as usize, PACKAGES as usize, verdict);
        let fleet = fleet(&case);
        let (fleet, table) = (&fleet, &table);
        let found: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                fleet.chunks().map(|chunk| scope.spawn(move || assess_chunk(fleet, table, chunk))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        prop_assert_eq!(together(&found), one_by_one(&case));
    }

    #[test]
    fn a_package_set_holds_what_was_put_in(packages in prop::collection::vec(any::<u32>(), 0..400), upper in 0..3_u32) {
        let near = packages.iter().map(|package| package % 300 + (upper << 16));
        let all: BTreeSet<PackageId> = packages.iter().copied().chain(near).map(PackageId).collect();
        let set: PackageSet = packages.iter().copied().chain(all.iter().rev().map(|package| package.0)).map(PackageId).collect();
        prop_assert!(set.iter().eq(all.iter().copied()));
        prop_assert_eq!(set.len(), all.len());
        for asked in packages.iter().flat_map(|package| [package.wrapping_sub(1), *package]).map(PackageId) {
            prop_assert_eq!(set.contains(asked), all.contains(&asked));
        }
    }
}

#[test]
fn numbers_that_are_kept_elsewhere_stay_what_they_are() {
    let key = |version: &'static str| PackageKey {
        name: "bash",
        architecture: "amd64",
        version,
        source: "bash",
        source_version: version,
        fingerprint: BuildFingerprint::default(),
    };
    let mut interner = Interner::default();
    interner.assign(PackageId(5), key("1")).expect("room");
    interner.assign(PackageId(2), key("2")).expect("room");
    // Neither a number nor a package is given away twice.
    interner.assign(PackageId(5), key("3")).expect("room");
    interner.assign(PackageId(7), key("1")).expect("room");
    assert_eq!(interner.find(key("1")), Some(PackageId(5)));
    assert_eq!(interner.find(key("3")), None);
    assert_eq!(interner.package(PackageId(7)), None);
    assert_eq!(interner.intern(key("4")), Ok(PackageId(6)));
    assert_eq!(
        interner.of_name("bash"),
        [PackageId(5), PackageId(2), PackageId(6)]
    );
    assert!(interner.of_name("1").is_empty());
    let all: Vec<_> = interner
        .all()
        .map(|(number, key)| (number.0, key.version))
        .collect();
    assert_eq!(all, [(2, "2"), (5, "1"), (6, "4")]);
    assert_eq!(interner.len(), 3);
}

#[test]
fn a_package_set_can_be_whole_runs() {
    let all = (65_536..196_608).map(PackageId);
    let set: PackageSet = all.clone().collect();
    assert!(set.iter().eq(all));
    assert_eq!(set.size_bytes(), 2 * (131_072 + 4));
}

#[test]
fn each_pair_of_channels_and_package_is_judged_once() {
    let asked = RefCell::new(BTreeMap::new());
    let table = VerdictTable::new(2, 100, |channels, package| {
        *asked.borrow_mut().entry((channels, package)).or_insert(0) += 1;
        verdict(channels, package)
    });
    let mut fleet = Fleet::default();
    for number in 0..100_000_u32 {
        let packages = || (number % 50..=number % 50 + 50).map(PackageId).collect();
        let inventory = fleet.inventory(Sha256Digest([(number % 50) as u8; 32]), packages);
        let channels = ChannelsNo(number % 2);
        fleet.set_host(HostNo(number), HostState::Reported { channels, inventory });
    }
    assert_eq!(fleet.distinct_inventories(), 50);
    let found: usize = fleet
        .chunks()
        .map(|chunk| assess_chunk(&fleet, &table, chunk).missing.len())
        .sum();
    assert!(found > 0);
    assert!(asked.borrow().values().all(|times| *times == 1), "asked twice");
    // Inventories of even numbers stand under channels 0, odd ones under 1.
    assert_eq!(asked.borrow().len(), 99 + 99);
}

#[test]
fn a_package_is_found_by_all_that_its_verdict_depends_on() {
    let build = BuildFingerprint {
        relations: 7,
        multi_arch: 1,
        size_bytes: 0,
    };
    let key = PackageKey {
        name: "openssl",
        architecture: "amd64",
        version: "3.0.19-1",
        source: "openssl",
        source_version: "3.0.19-1",
        fingerprint: build,
    };
    let others = [
        PackageKey {
            name: "libssl3",
            ..key
        },
        PackageKey {
            architecture: "i386",
            ..key
        },
        PackageKey {
            version: "3.0.20-1",
            ..key
        },
        PackageKey {
            fingerprint: BuildFingerprint {
                relations: 8,
                ..build
            },
            ..key
        },
        PackageKey {
            name: "amd64",
            architecture: "openssl",
            ..key
        },
        PackageKey {
            source: "libressl",
            ..key
        },
        PackageKey {
            source_version: "3.0.19-1+b1",
            ..key
        },
    ];
    let mut interner = Interner::default();
    let first = interner.intern(key).expect("room");
    let numbers: BTreeSet<_> = others
        .iter()
        .map(|other| interner.intern(*other).expect("room"))
        .collect();
    assert_eq!((numbers.len(), numbers.contains(&first)), (7, false));
    assert_eq!(
        (interner.intern(key), interner.find(key), interner.len()),
        (Ok(first), Some(first), 8)
    );
    assert_eq!(interner.package(first), Some(key));
    assert_eq!(
        interner.find(PackageKey {
            version: "amd64",
            ..key
        }),
        None
    );
    assert_eq!(interner.package(PackageId(8)), None);
}
