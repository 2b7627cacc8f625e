//! One tenant's fleet in memory: who has what, what each package is judged under each channels, who misses what. It is a
//! cache: everything in it comes from stored rows and verified content, in any order, and comes out the same again.

mod config;
mod slot;
mod touched;
mod updates;

pub use updates::Updates;

use super::channels::{Channels, HostChannels, Resolved};
use super::force::InForce;
use config::Config;
use content::Store;
use domain::assess::at_risk::Warning;
use domain::assess::coverage::SourceState;
use domain::assess::fleet::{
    Changes, ChannelsNo, Full, HostNo, Interner, Ledger, PackageId, PackageSet, Reading, Told,
};
use domain::assess::rules::AptRules;
use domain::catalog::source::Match;
use domain::digest::Sha256Digest;
use domain::host::inventory::Inventory;
use jiff::Timestamp;
use roaring::RoaringBitmap;
use slot::{Slot, judge};
use sources::apt::channels::Keyrings;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use touched::{Compared, Touched, touched};

/// What a host's row says, as far as it is assessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Its inventory by digest.
    pub inventory: Option<Sha256Digest>,
    /// Its channel config by digest.
    pub channel_config: Option<Sha256Digest>,
}

/// The packages that hosts of the server have: every tenant's fleet goes by the same numbers.
pub type Packages = Arc<RwLock<Interner>>;

/// One tenant's fleet.
#[derive(Debug, Default)]
pub struct Fleet {
    ledger: Ledger,
    rows: HashMap<HostNo, HostRow>,
    packages: Packages,
    inventories: HashMap<Sha256Digest, Weak<PackageSet>>,
    configs: HashMap<Sha256Digest, Config>,
    channels: HashMap<Sha256Digest, Arc<Channels>>,
    slots: Vec<Slot>,
    numbers: HashMap<(Sha256Digest, String), ChannelsNo>,
    updates: Updates,
    in_force: InForce,
    keyrings: Keyrings,
}

/// What of a host's documents has to be handed over before the host can be judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// Its inventory.
    pub inventory: Option<Sha256Digest>,
    /// Its channel config.
    pub channel_config: Option<Sha256Digest>,
}

impl Fleet {
    /// The findings.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The updates in them.
    pub fn updates(&self) -> &Updates {
        &self.updates
    }

    /// An empty fleet that goes by these numbers of packages.
    pub fn sharing(packages: &Packages) -> Self {
        Self {
            packages: Arc::clone(packages),
            ..Self::default()
        }
    }

    /// The packages that hosts have.
    pub fn packages(&self) -> RwLockReadGuard<'_, Interner> {
        self.packages.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The packages that hosts have, to add to.
    pub fn packages_mut(&self) -> RwLockWriteGuard<'_, Interner> {
        self.packages.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the row of a host said when it was judged last.
    pub fn row(&self, host: HostNo) -> Option<HostRow> {
        self.rows.get(&host).copied()
    }

    /// The hosts that have this channel config, with their rows.
    pub fn hosts_using(&self, channel_config: Sha256Digest) -> Vec<(HostNo, HostRow)> {
        let own = self.rows.iter().map(|(host, row)| (*host, *row));
        own.filter(|(_, row)| row.channel_config == Some(channel_config))
            .collect()
    }

    /// Whether a host was judged; not while one of its documents is missing here.
    pub fn is_told(&self, host: HostNo) -> bool {
        self.ledger.told(host).is_some()
    }

    /// The hosts that are there.
    pub fn hosts(&self) -> impl Iterator<Item = HostNo> + '_ {
        self.rows.keys().copied()
    }

    /// The sources that it goes by.
    pub fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// The channels that a host uses.
    pub fn channels_of(&self, host: HostNo) -> Option<&Arc<Channels>> {
        let told = self.ledger.told(host)?;
        Some(&self.slots[told.channels.0 as usize].channels)
    }

    /// The sources of channels that do not answer as they should, each with why.
    pub fn doubts(&self, channels: ChannelsNo) -> Vec<String> {
        let sources = &self.slots[channels.0 as usize].channels.sources;
        let silent = sources
            .iter()
            .filter(|source| !matches!(source.report.state, SourceState::Verified { .. }));
        silent
            .map(|source| {
                let why = source.report.state.doubt().unwrap_or_default();
                format!("{}: {why}", source.report.name)
            })
            .collect()
    }

    /// Every distinct channels that some host uses or used.
    pub fn channels(&self) -> impl Iterator<Item = &Arc<Channels>> {
        self.channels.values()
    }

    /// The documents that are not known here yet and a host with this row needs.
    pub fn needs(&self, row: &HostRow) -> Needed {
        let has_inventory = |digest: &Sha256Digest| self.inventory(*digest).is_some();
        Needed {
            inventory: row.inventory.filter(|digest| !has_inventory(digest)),
            channel_config: row
                .channel_config
                .filter(|digest| !self.configs.contains_key(digest)),
        }
    }

    /// Hands over an inventory; the caller keeps it until a host that has it is told.
    ///
    /// # Errors
    /// [`Full`].
    pub fn learn_inventory(
        &mut self,
        digest: Sha256Digest,
        inventory: &Inventory,
    ) -> Result<Arc<PackageSet>, Full> {
        let packages = self.packages_mut().intern_inventory(inventory)?;
        Ok(self.learn_set(digest, packages))
    }

    /// The same for one whose packages have numbers already.
    pub fn learn_set(&mut self, digest: Sha256Digest, packages: PackageSet) -> Arc<PackageSet> {
        if let Some(known) = self.inventory(digest) {
            return known;
        }
        let packages = Arc::new(packages);
        self.inventories.insert(digest, Arc::downgrade(&packages));
        packages
    }

    /// Hands over a channel config, with whether all of the host's files could be followed.
    pub fn learn_config(&mut self, digest: Sha256Digest, host: HostChannels, reading: Reading) {
        self.configs.insert(digest, Config::of(host, reading));
    }

    /// A host is there, and its row says this. What [`Self::needs`] asked for was handed over; a document that is still
    /// missing makes the host unknown.
    pub fn tell(&mut self, host: HostNo, row: HostRow, content: &Store, now: Timestamp) {
        self.rows.insert(host, row);
        let inventory = row.inventory.and_then(|digest| self.inventory(digest));
        let config = row
            .channel_config
            .and_then(|digest| self.configs.get(&digest))
            .cloned();
        let (Some(packages), Some(config)) = (inventory, config) else {
            self.ledger.expect(host);
            return;
        };
        let rules = self.apt_rules(&packages);
        let channels = self.slot(&config, rules, content, now);
        let told = Told {
            channels,
            packages,
            reading: config.reading,
        };
        let Self {
            ledger,
            slots,
            packages,
            updates,
            ..
        } = self;
        let packages = packages.read().unwrap_or_else(PoisonError::into_inner);
        ledger.tell(host, told, &mut judge(slots, &packages, updates));
    }

    /// A host is gone.
    pub fn remove(&mut self, host: HostNo) {
        if self.rows.remove(&host).is_some() {
            self.ledger.remove(host);
        }
    }

    /// Goes by these sources from now on: what they changed is judged again. How many packages that were.
    pub fn set_in_force(&mut self, in_force: InForce, content: &Store, now: Timestamp) -> usize {
        if self.in_force == in_force {
            return 0;
        }
        let old = std::mem::replace(&mut self.in_force, in_force);
        let new = self.in_force.clone();
        let is_other = |source: &Resolved| match source.matched {
            Match::Source(id) => old.source(id) != new.source(id),
            Match::New | Match::OtherKeys(_) | Match::Unnamed => false,
        };
        // Another set of sources may mean something else to any stanza.
        let are_others = old.known() != new.known();
        self.resolve_again(content, now, |channels| {
            are_others || channels.sources.iter().any(is_other)
        })
    }

    /// Looks again at the channels whose sources have become too old by now, or are in force since.
    pub fn pass_time(&mut self, content: &Store, now: Timestamp) -> usize {
        self.resolve_again(content, now, |channels| {
            channels.changes_at().is_some_and(|at| at <= now)
        })
    }

    /// What changed since it was asked last.
    pub fn take_changes(&mut self) -> Changes {
        self.ledger.take_changes()
    }

    /// The hosts that have a package that the warning is about; `codename` is a host's release.
    pub fn at_risk(&self, warning: &Warning, codename: impl Fn(HostNo) -> Option<Arc<str>>) -> RoaringBitmap {
        let packages = self.packages();
        let mut hosts = RoaringBitmap::new();
        for range in &warning.ranges {
            let mut of_range = RoaringBitmap::new();
            for (package, _) in packages.all().filter(|(_, key)| range.holds(*key)) {
                if let Some(holders) = self.ledger.holders(package) {
                    of_range |= holders;
                }
            }
            if range.codename.is_some() {
                of_range = of_range
                    .iter()
                    .filter(|host| range.is_for(codename(HostNo(*host)).as_deref()))
                    .collect();
            }
            hosts |= of_range;
        }
        hosts
    }

    /// The inventory with this digest, while some host has it.
    fn inventory(&self, digest: Sha256Digest) -> Option<Arc<PackageSet>> {
        self.inventories.get(&digest)?.upgrade()
    }

    /// The rules of the apt that is among the packages.
    fn apt_rules(&self, packages: &PackageSet) -> AptRules {
        let known = self.packages();
        let apts = known.of_name("apt").iter();
        let installed = apts.filter(|apt| packages.contains(**apt));
        let first = installed
            .filter_map(|apt| known.package(*apt))
            .min_by_key(|key| key.architecture);
        first
            .map(|key| AptRules::of_version(key.version))
            .unwrap_or_default()
    }

    fn slot(&mut self, config: &Config, rules: AptRules, content: &Store, now: Timestamp) -> ChannelsNo {
        let name = (config.meaning, format!("{rules:?}"));
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let channels = match self.channels.get(&config.meaning) {
            Some(known) => Arc::clone(known),
            None => {
                let host = Arc::clone(&config.host);
                let channels = Channels::resolve(host, &self.in_force, &self.keyrings, content, now);
                let channels = Arc::new(channels);
                self.channels.insert(config.meaning, Arc::clone(&channels));
                channels
            }
        };
        let number = u32::try_from(self.slots.len()).expect("memory ends before 2^32 channels");
        let slot = Slot::new(config.meaning, channels, rules);
        self.ledger.set_reading(ChannelsNo(number), slot.reading());
        self.slots.push(slot);
        self.numbers.insert(name, ChannelsNo(number));
        ChannelsNo(number)
    }

    fn resolve_again(
        &mut self,
        content: &Store,
        now: Timestamp,
        is_due: impl Fn(&Channels) -> bool,
    ) -> usize {
        let due: Vec<(Sha256Digest, Arc<Channels>)> = self
            .channels
            .iter()
            .filter(|(_, channels)| is_due(channels))
            .map(|(meaning, channels)| (*meaning, Arc::clone(channels)))
            .collect();
        let mut compared = Compared::default();
        let mut judged = 0;
        for (meaning, old) in due {
            let host = Arc::clone(&old.host);
            let new = Channels::resolve(host, &self.in_force, &self.keyrings, content, now);
            let new = Arc::new(new);
            let touched = touched(&old, &new, &mut compared);
            self.channels.insert(meaning, Arc::clone(&new));
            for number in 0..self.slots.len() {
                if self.slots[number].meaning == meaning {
                    judged += self.rejudge(ChannelsNo(number as u32), &new, &touched);
                }
            }
        }
        judged
    }

    fn rejudge(&mut self, number: ChannelsNo, new: &Arc<Channels>, touched: &Touched) -> usize {
        let slot = &mut self.slots[number.0 as usize];
        slot.set_channels(new);
        self.ledger.set_reading(number, slot.reading());
        let Self {
            ledger,
            slots,
            packages,
            updates,
            ..
        } = self;
        let packages = packages.read().unwrap_or_else(PoisonError::into_inner);
        let again: Vec<PackageId> = match touched {
            Touched::Everything => packages.all().map(|(package, _)| package).collect(),
            Touched::Names(names) => names
                .iter()
                .flat_map(|name| packages.of_name(name))
                .copied()
                .collect(),
        };
        let count = again.len();
        ledger.rejudge(number, again, &mut judge(slots, &packages, updates));
        count
    }
}
