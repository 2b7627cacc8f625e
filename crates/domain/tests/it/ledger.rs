//! A fleet kept current against the same fleet assessed from the beginning.

use domain::assess::fleet::{
    Changes, ChannelsNo, ChunkNo, Counts, HostNo, Ledger, PackageId, PackageSet, PackageVerdict, Reading,
    Told, UpdateNo, chunks_of, of_chunk,
};
use domain::catalog::update::Classification;
use proptest::prelude::*;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const CHANNELS: u32 = 3;
/// Packages that are judged anew together.
const GROUPS: usize = 8;

#[derive(Clone, Debug)]
enum Event {
    Tell(u32, u32, Vec<u32>, Reading),
    Expect(u32),
    Remove(u32),
    /// A sync of these channels published something else for a group of packages.
    Publish(u32, usize, u32),
    Doubt(u32, Reading),
    Store,
}

/// What is published: for each channels and group of packages, a number that changes the verdicts.
type Published = [[u32; GROUPS]; CHANNELS as usize];

fn verdict(published: &Published, channels: ChannelsNo, package: PackageId) -> PackageVerdict {
    let salt = published[channels.0 as usize][package.0 as usize % GROUPS];
    let mixed = (package.0 ^ channels.0.wrapping_mul(0x9e37_79b9) ^ salt).wrapping_mul(0x85eb_ca6b) >> 16;
    match mixed % 16 {
        0 => PackageVerdict::Unknown,
        1..=5 => PackageVerdict::Missing(UpdateNo(mixed / 16 % 9 * 7), class(mixed)),
        _ => PackageVerdict::Settled,
    }
}

fn class(mixed: u32) -> Classification {
    match mixed / 1_024 % 3 {
        0 => Classification::Security,
        _ => Classification::Other,
    }
}

fn event() -> impl Strategy<Value = Event> {
    let host = || prop_oneof![0..12_u32, 65_530..65_540_u32, 131_070..131_075_u32];
    let package = prop_oneof![0..50_u32, 4_090..4_100_u32, 65_500..65_600_u32];
    let reading = || prop_oneof![4 => Just(Reading::Whole), 1 => Just(Reading::Holed)];
    prop_oneof![
        8 => (host(), 0..CHANNELS, prop::collection::vec(package, 0..25), reading())
            .prop_map(|(host, channels, packages, reading)| Event::Tell(host, channels, packages, reading)),
        1 => host().prop_map(Event::Expect),
        1 => host().prop_map(Event::Remove),
        3 => (0..CHANNELS, 0..GROUPS, 0..4_u32)
            .prop_map(|(channels, group, salt)| Event::Publish(channels, group, salt << 20)),
        1 => (0..CHANNELS, reading()).prop_map(|(channels, reading)| Event::Doubt(channels, reading)),
        2 => Just(Event::Store),
    ]
}

/// What is known of each host, kept without anything clever.
#[derive(Default)]
struct Plain {
    hosts: BTreeMap<u32, Option<(u32, BTreeSet<u32>, Reading)>>,
    doubted: BTreeSet<u32>,
    published: Published,
}

impl Plain {
    fn found(&self) -> (BTreeMap<u32, BTreeSet<u32>>, BTreeSet<u32>) {
        let (mut missing, mut unknown) = (BTreeMap::<u32, BTreeSet<u32>>::new(), BTreeSet::new());
        for (host, told) in &self.hosts {
            let Some((channels, packages, reading)) = told else {
                unknown.insert(*host);
                continue;
            };
            if packages.is_empty() || *reading == Reading::Holed || self.doubted.contains(channels) {
                unknown.insert(*host);
            }
            for package in packages {
                match verdict(&self.published, ChannelsNo(*channels), PackageId(*package)) {
                    PackageVerdict::Settled => {}
                    PackageVerdict::Unknown => drop(unknown.insert(*host)),
                    PackageVerdict::Missing(update, _) => {
                        missing.entry(update.0).or_default().insert(*host);
                    }
                }
            }
        }
        (missing, unknown)
    }
}

impl Plain {
    /// How many updates each host misses, and of how many of them some package is a security update to it.
    fn counts(&self) -> BTreeMap<u32, Counts> {
        let counted = self.hosts.iter().map(|(host, told)| {
            let (mut all, mut security) = (BTreeSet::new(), BTreeSet::new());
            let told = told.iter().flat_map(|(channels, packages, _)| {
                packages
                    .iter()
                    .map(|package| (ChannelsNo(*channels), PackageId(*package)))
            });
            for (channels, package) in told {
                if let PackageVerdict::Missing(update, class) = verdict(&self.published, channels, package) {
                    all.insert(update);
                    if class == Classification::Security {
                        security.insert(update);
                    }
                }
            }
            let counts = Counts {
                missing: all.len() as u32,
                security: security.len() as u32,
            };
            (*host, counts)
        });
        counted.collect()
    }
}

/// Bitmaps as somebody stores them who writes only what is said to have changed.
#[derive(Default)]
struct Stored {
    missing: BTreeMap<(UpdateNo, ChunkNo), RoaringBitmap>,
    unknown: BTreeMap<ChunkNo, RoaringBitmap>,
    counts: BTreeMap<u32, Counts>,
}

impl Stored {
    fn write(
        &mut self,
        ledger: &Ledger,
        Changes {
            missing,
            unknown,
            hosts,
        }: Changes,
    ) {
        for host in hosts {
            self.counts.insert(host, ledger.counts(HostNo(host)));
        }
        for (update, chunk) in missing {
            let hosts = ledger.missing(update).map(|hosts| of_chunk(hosts, chunk));
            self.missing.insert((update, chunk), hosts.unwrap_or_default());
        }
        for chunk in unknown {
            self.unknown.insert(chunk, of_chunk(ledger.unknown(), chunk));
        }
    }

    fn found(&self) -> (BTreeMap<u32, BTreeSet<u32>>, BTreeSet<u32>) {
        let mut missing = BTreeMap::<u32, BTreeSet<u32>>::new();
        for ((update, _), hosts) in self.missing.iter().filter(|(_, hosts)| !hosts.is_empty()) {
            missing.entry(update.0).or_default().extend(hosts);
        }
        (missing, self.unknown.values().flatten().collect())
    }
}

fn tell(ledger: &mut Ledger, plain: &mut Plain, event: &Event) {
    match event {
        Event::Tell(host, channels, packages, reading) => {
            let set: PackageSet = packages.iter().copied().map(PackageId).collect();
            let told = Told {
                channels: ChannelsNo(*channels),
                packages: Arc::new(set),
                reading: *reading,
            };
            let published = plain.published;
            ledger.tell(HostNo(*host), told, &mut |channels, package| {
                verdict(&published, channels, package)
            });
            let packages = packages.iter().copied().collect();
            plain.hosts.insert(*host, Some((*channels, packages, *reading)));
        }
        Event::Expect(host) => {
            ledger.expect(HostNo(*host));
            plain.hosts.insert(*host, None);
        }
        Event::Remove(host) => {
            ledger.remove(HostNo(*host));
            plain.hosts.remove(host);
        }
        Event::Publish(channels, group, salt) => {
            plain.published[*channels as usize][*group] = *salt;
            let published = plain.published;
            let touched = (0..66_000)
                .map(PackageId)
                .filter(|package| package.0 as usize % GROUPS == *group);
            ledger.rejudge(ChannelsNo(*channels), touched, &mut |channels, package| {
                verdict(&published, channels, package)
            });
        }
        Event::Doubt(channels, reading) => {
            ledger.set_reading(ChannelsNo(*channels), *reading);
            match reading {
                Reading::Holed => drop(plain.doubted.insert(*channels)),
                Reading::Whole => drop(plain.doubted.remove(channels)),
            }
        }
        Event::Store => {}
    }
}

fn found(ledger: &Ledger) -> (BTreeMap<u32, BTreeSet<u32>>, BTreeSet<u32>) {
    let missing = ledger
        .updates()
        .map(|(update, hosts)| (update.0, hosts.iter().collect()));
    (missing.collect(), ledger.unknown().iter().collect())
}

proptest! {
    #[test]
    fn a_fleet_kept_current_is_the_fleet_assessed_from_the_beginning(events in prop::collection::vec(event(), 0..80)) {
        let (mut ledger, mut plain, mut stored) = (Ledger::default(), Plain::default(), Stored::default());
        for event in &events {
            tell(&mut ledger, &mut plain, event);
            if matches!(event, Event::Store) {
                let changes = ledger.take_changes();
                stored.write(&ledger, changes);
                prop_assert_eq!(stored.found(), plain.found());
            }
        }
        prop_assert_eq!(found(&ledger), plain.found());
        let changes = ledger.take_changes();
        stored.write(&ledger, changes);
        prop_assert_eq!(stored.found(), plain.found());
        for (host, counts) in plain.counts() {
            prop_assert_eq!(ledger.counts(HostNo(host)), counts);
            prop_assert_eq!(stored.counts[&host], counts);
        }
        prop_assert_eq!(ledger.take_changes(), Changes::default());
        for (host, told) in &plain.hosts {
            let has = told.as_ref().map(|(_, packages, _)| packages.clone()).unwrap_or_default();
            for package in has {
                let holders = ledger.holders(PackageId(package));
                prop_assert!(holders.is_some_and(|hosts| hosts.contains(*host)));
            }
        }
    }

    #[test]
    fn chunks_are_those_that_hosts_are_in(hosts in prop::collection::btree_set(prop_oneof![any::<u32>(), 65_530..65_540_u32], 0..40)) {
        let bitmap: RoaringBitmap = hosts.iter().copied().collect();
        let chunks: BTreeSet<ChunkNo> = hosts.iter().map(|host| HostNo(*host).chunk()).collect();
        prop_assert!(chunks_of(&bitmap).eq(chunks.iter().copied()));
        let together: RoaringBitmap = chunks.iter().flat_map(|chunk| of_chunk(&bitmap, *chunk)).collect();
        prop_assert_eq!(together, bitmap);
    }
}
