//! Fleets that never were, as large as wanted and the same for the same seed: hosts of several distributions and roles,
//! each with its own extra packages and its own delay in patching. Only what the fleet's assessment looks at is made: numbers
//! of packages, not package files.

use domain::assess::fleet::{
    ChannelsNo, Fleet, Full, HostNo, HostState, Interner, PackageId, PackageKey, PackageSet, PackageVerdict,
    UpdateNo,
};
use domain::catalog::update::Classification;
use domain::digest::Sha256Digest;
use domain::host::inventory::BuildFingerprint;
use sha2::{Digest, Sha256};
use std::iter;

const DISTRIBUTIONS: [&str; 5] = ["bullseye", "bookworm", "trixie", "jammy", "noble"];
const NAMES: usize = 30_000;
const NAMES_IN_COMMON: usize = 300;
const ROLES: usize = 12;
const EXTRAS: usize = 60;
/// One name in so many has no verified source.
const UNSOURCED: usize = 4_000;

/// What can be installed somewhere, and what is the newest of it.
pub struct World {
    interner: Interner,
    distributions: Vec<Distribution>,
    /// By package: its name's place in its distribution, and how many newer versions there are.
    facts: Vec<(u32, u32)>,
    packages_of_a_host: usize,
    seed: u64,
}

struct Distribution {
    /// By name: its oldest version's number; its newer versions have the numbers after that.
    oldest: Vec<u32>,
    /// By name: the number of its versions.
    versions: Vec<u32>,
    /// By role: the places of its names, ascending.
    roles: Vec<Vec<u32>>,
}

impl World {
    /// Five distributions of 30,000 names with one to four versions each; every host has that many packages (at least 400).
    ///
    /// # Errors
    /// None that can be met: there are fewer packages than numbers.
    pub fn new(seed: u64, packages_of_a_host: usize) -> Result<Self, Full> {
        let mut world = Self {
            interner: Interner::default(),
            distributions: Vec::new(),
            facts: Vec::new(),
            packages_of_a_host: packages_of_a_host.max(NAMES_IN_COMMON + EXTRAS + 40),
            seed,
        };
        let mut chance = Chance::new(seed, u64::MAX);
        for codename in DISTRIBUTIONS {
            world.add_distribution(codename, &mut chance)?;
        }
        Ok(world)
    }

    fn add_distribution(&mut self, codename: &str, chance: &mut Chance) -> Result<(), Full> {
        let (mut oldest, mut versions) = (Vec::with_capacity(NAMES), Vec::with_capacity(NAMES));
        for place in 0..NAMES {
            let count = [1, 1, 1, 2, 2, 3, 4][chance.below(7)];
            for version in 0..count {
                let fingerprint = BuildFingerprint {
                    relations: chance.below(1 << 30) as u32,
                    ..Default::default()
                };
                let stated = format!("1.{}-{version}+{codename}{}", place % 50, place % 7);
                let package = self.interner.intern(PackageKey {
                    name: &format!("package-{place:05}"),
                    architecture: if place % 3 == 0 { "all" } else { "amd64" },
                    version: &stated,
                    source: &format!("source-{:05}", place / 3),
                    source_version: &stated,
                    fingerprint,
                })?;
                if version == 0 {
                    oldest.push(package.0);
                }
                self.facts.push((place as u32, count - 1 - version));
            }
            versions.push(count);
        }
        let own = self.packages_of_a_host - NAMES_IN_COMMON - EXTRAS;
        let roles = (0..ROLES)
            .map(|_| {
                let stride = NAMES - NAMES_IN_COMMON;
                let names = (0..own).map(|part| NAMES_IN_COMMON + in_stratum(part, own, stride, chance));
                (0..NAMES_IN_COMMON)
                    .chain(names)
                    .map(|place| place as u32)
                    .collect()
            })
            .collect();
        self.distributions.push(Distribution {
            oldest,
            versions,
            roles,
        });
        Ok(())
    }

    /// The packages by number.
    pub fn interner(&self) -> &Interner {
        &self.interner
    }

    /// How many channels there are: one for each distribution.
    pub fn channels(&self) -> usize {
        self.distributions.len()
    }

    /// What is right for a package: three neighbouring names come from one source, and so from one update.
    pub fn verdict(&self, channels: ChannelsNo, package: PackageId) -> PackageVerdict {
        let Some((place, newer)) = self.facts.get(package.0 as usize).copied() else {
            return PackageVerdict::Unknown;
        };
        match newer {
            _ if place as usize % UNSOURCED == UNSOURCED - 1 => PackageVerdict::Unknown,
            0 => PackageVerdict::Settled,
            _ => PackageVerdict::Missing(
                UpdateNo(channels.0 * NAMES as u32 + place / 3),
                Classification::Other,
            ),
        }
    }

    /// A fleet of that many hosts, that many of a hundred with an inventory that no host before has.
    pub fn fleet(&self, hosts: u32, distinct_percent: u32) -> Fleet {
        let mut fleet = Fleet::default();
        for host in 0..hosts {
            let image = self.image(host, distinct_percent);
            let (channels, packages) = self.inventory(image);
            let digest = Sha256Digest(Sha256::digest(image.to_le_bytes()).into());
            let inventory = fleet.inventory(digest, || packages.collect());
            fleet.set_host(HostNo(host), HostState::Reported { channels, inventory });
        }
        fleet
    }

    /// The host whose inventory this one has: itself, or an earlier one.
    fn image(&self, host: u32, distinct_percent: u32) -> u32 {
        let mut chance = Chance::new(self.seed ^ 0x1a9e, u64::from(host));
        if chance.below(100) < distinct_percent as usize {
            host
        } else {
            chance.below(host.max(1) as usize) as u32
        }
    }

    /// The channels of a host with an inventory of its own, and its packages in ascending order.
    pub fn inventory(&self, host: u32) -> (ChannelsNo, impl Iterator<Item = PackageId> + '_) {
        let mut chance = Chance::new(self.seed, u64::from(host));
        let channels = chance.below(self.distributions.len());
        let distribution = &self.distributions[channels];
        let role = &distribution.roles[chance.below(ROLES)];
        let up_to_date_percent = [100, 99, 97, 95, 90, 80, 50][chance.below(7)];
        let mut extras = Vec::with_capacity(EXTRAS);
        for part in 0..EXTRAS {
            // A stratum is wider than the names that a role has in it by far: this ends soon.
            let extra = iter::repeat_with(|| in_stratum(part, EXTRAS, NAMES, &mut chance) as u32)
                .find(|place| role.binary_search(place).is_err());
            extras.extend(extra);
        }
        let mut extras = extras.into_iter().peekable();
        let mut role = role.iter().copied().peekable();
        let places = iter::from_fn(move || match (role.peek(), extras.peek()) {
            (Some(own), Some(extra)) if extra < own => extras.next(),
            (Some(_), _) => role.next(),
            (None, _) => extras.next(),
        });
        let packages = places.map(move |place| {
            let versions = distribution.versions[place as usize];
            let behind = if chance.below(100) < up_to_date_percent {
                0
            } else {
                chance.below(versions as usize) as u32
            };
            PackageId(distribution.oldest[place as usize] + versions - 1 - behind)
        });
        (ChannelsNo(channels as u32), packages)
    }

    /// The packages of a host of [`Self::fleet`] as a set, made anew.
    pub fn packages(&self, host: u32, distinct_percent: u32) -> (ChannelsNo, PackageSet) {
        let (channels, packages) = self.inventory(self.image(host, distinct_percent));
        (channels, packages.collect())
    }
}

/// A place below `total` in part `part` of `parts` equal ones; with more parts than places two may be equal.
fn in_stratum(part: usize, parts: usize, total: usize, chance: &mut Chance) -> usize {
    let (start, end) = (total * part / parts, total * (part + 1) / parts);
    start + chance.below((end - start).max(1))
}

/// A sequence of numbers that depends on a seed and a place alone (splitmix64).
struct Chance(u64);

impl Chance {
    fn new(seed: u64, place: u64) -> Self {
        let mut chance = Self(seed ^ place.wrapping_mul(0xd134_2543_de82_ef95));
        chance.below(1);
        chance
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((mixed >> 32) * limit as u64) >> 32) as usize
    }
}
