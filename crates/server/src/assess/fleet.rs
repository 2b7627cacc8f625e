//! One tenant's fleet in memory: who has what, what each package is judged under each channels, who misses what. It is a
//! cache: everything in it comes from stored rows and verified content, in any order, and comes out the same again.

use super::channels::{Channels, HostChannels, Judged};
use super::difference::changed_names;
use super::force::InForce;
use content::{Mapped, Store};
use domain::assess::at_risk::Warning;
use domain::assess::fleet::{
    Changes, ChannelsNo, Full, HostNo, Interner, Ledger, PackageId, PackageSet, PackageVerdict, Reading,
    Told, UpdateNo,
};
use domain::assess::policy::Policy;
use domain::assess::rules::AptRules;
use domain::catalog::update::{Classification, UpdateId};
use domain::digest::Sha256Digest;
use domain::host::inventory::Inventory;
use jiff::Timestamp;
use roaring::RoaringBitmap;
use sources::apt::answer::ReadableIndex;
use sources::apt::channels::Keyrings;
use sources::apt::index::Index;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// What a host's row says, as far as it is assessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRow {
    /// Its inventory by digest.
    pub inventory: Option<Sha256Digest>,
    /// Its channel config by digest.
    pub channel_config: Option<Sha256Digest>,
}

/// A channel config that is kept.
#[derive(Clone, Debug)]
struct Config {
    host: Arc<HostChannels>,
    /// Digest of what it means: without the places in files, which change nothing.
    meaning: Sha256Digest,
    reading: Reading,
}

/// Channels as one version of apt reads them.
#[derive(Debug)]
struct Slot {
    meaning: Sha256Digest,
    channels: Arc<Channels>,
    policy: Policy,
    rules: AptRules,
}

impl Slot {
    /// Whether all sources can be believed and all pins followed.
    fn reading(&self) -> Reading {
        match self.policy.problems() {
            [] => self.channels.reading(),
            _ => Reading::Holed,
        }
    }
}

/// The updates that somebody misses or missed, numbered.
#[derive(Debug, Default)]
pub struct Updates {
    numbers: HashMap<UpdateId, UpdateNo>,
    known: Vec<(UpdateId, Classification)>,
}

impl Updates {
    fn number(&mut self, id: UpdateId, class: Classification) -> UpdateNo {
        if let Some(number) = self.numbers.get(&id) {
            // What some listing calls a security update is one.
            let known = &mut self.known[number.0 as usize].1;
            *known = (*known).min(class);
            return *number;
        }
        let number = UpdateNo(u32::try_from(self.known.len()).expect("memory ends before 2^32 updates"));
        self.known.push((id.clone(), class));
        self.numbers.insert(id, number);
        number
    }

    /// The update that has a number.
    pub fn id(&self, number: UpdateNo) -> &UpdateId {
        &self.known[number.0 as usize].0
    }

    /// What kind of update it is.
    pub fn class(&self, number: UpdateNo) -> Classification {
        self.known[number.0 as usize].1
    }

    /// How many there are; their numbers count from 0.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// The number of an update, if somebody ever missed it.
    pub fn find(&self, id: &UpdateId) -> Option<UpdateNo> {
        self.numbers.get(id).copied()
    }
}

/// One tenant's fleet.
#[derive(Debug, Default)]
pub struct Fleet {
    ledger: Ledger,
    rows: HashMap<HostNo, HostRow>,
    packages: Interner,
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

    /// The packages that hosts have.
    pub fn packages(&self) -> &Interner {
        &self.packages
    }

    /// The packages that hosts have, to add to.
    pub fn packages_mut(&mut self) -> &mut Interner {
        &mut self.packages
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
        let packages = self.packages.intern_inventory(inventory)?;
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
        let meaning = meaning(&host);
        self.configs.insert(
            digest,
            Config {
                host: Arc::new(host),
                meaning,
                reading,
            },
        );
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
        ledger.tell(host, told, &mut judge(slots, packages, updates));
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
        self.in_force = in_force;
        self.resolve_again(content, now, |_| true)
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
        let mut hosts = RoaringBitmap::new();
        for range in &warning.ranges {
            let mut of_range = RoaringBitmap::new();
            for (package, _) in self.packages.all().filter(|(_, key)| range.holds(*key)) {
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
        let apts = self.packages.of_name("apt").iter();
        let installed = apts.filter(|apt| packages.contains(**apt));
        let first = installed
            .filter_map(|apt| self.packages.package(*apt))
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
        let slot = Slot {
            meaning: config.meaning,
            policy: channels.policy(rules),
            channels,
            rules,
        };
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
        slot.channels = Arc::clone(new);
        slot.policy = new.policy(slot.rules);
        self.ledger.set_reading(number, slot.reading());
        let again: Vec<PackageId> = match touched {
            Touched::Everything => self.packages.all().map(|(package, _)| package).collect(),
            Touched::Names(names) => names
                .iter()
                .flat_map(|name| self.packages.of_name(name))
                .copied()
                .collect(),
        };
        let Self {
            ledger,
            slots,
            packages,
            updates,
            ..
        } = self;
        let count = again.len();
        ledger.rejudge(number, again, &mut judge(slots, packages, updates));
        count
    }
}

/// The rule by which a ledger judges.
fn judge<'a>(
    slots: &'a [Slot],
    packages: &'a Interner,
    updates: &'a mut Updates,
) -> impl FnMut(ChannelsNo, PackageId) -> PackageVerdict + 'a {
    move |channels, package| {
        let slot = &slots[channels.0 as usize];
        let Some(key) = packages.package(package) else {
            return PackageVerdict::Unknown;
        };
        match slot.channels.judge(&slot.policy, key) {
            Judged::Settled => PackageVerdict::Settled,
            Judged::Unknown => PackageVerdict::Unknown,
            Judged::Missing(update, class) => PackageVerdict::Missing(updates.number(update, class)),
        }
    }
}

/// What has to be judged again.
enum Touched {
    Everything,
    Names(HashSet<String>),
}

/// Indexes that were compared already: most channels use the same.
#[derive(Default)]
struct Compared(HashMap<(Sha256Digest, Sha256Digest), Arc<HashSet<String>>>);

impl Compared {
    fn names(&mut self, old: &ReadableIndex, new: &ReadableIndex) -> Arc<HashSet<String>> {
        let key = (old.digest, new.digest);
        let (old, new): (&Index<Mapped>, &Index<Mapped>) = (&old.index, &new.index);
        let names = self
            .0
            .entry(key)
            .or_insert_with(|| Arc::new(changed_names(old, new)));
        Arc::clone(names)
    }
}

/// What differs between the channels before and after: names, as long as the same listings stand in the same order and
/// say the same of themselves, dates apart.
fn touched(old: &Channels, new: &Channels, compared: &mut Compared) -> Touched {
    let same_listing = |(old, new): (
        &domain::catalog::listing::Listing,
        &domain::catalog::listing::Listing,
    )| {
        let dateless = |listing: &domain::catalog::listing::Listing| {
            let mut release = (*listing.release).clone();
            release.date = None;
            release.valid_until = None;
            release.version = None;
            release
        };
        let same_version = old.release.version == new.release.version;
        old.site == new.site
            && old.component == new.component
            && old.architecture == new.architecture
            && same_version
            && dateless(old) == dateless(new)
    };
    let (before, after) = (old.listings.all(), new.listings.all());
    if before.len() != after.len() || !before.iter().zip(after).all(same_listing) {
        return Touched::Everything;
    }
    let same_publishers = old
        .sources
        .iter()
        .zip(&new.sources)
        .all(|(old, new)| old.publisher == new.publisher);
    if !same_publishers {
        return Touched::Everything;
    }
    let mut names = HashSet::new();
    for (old, new) in indexes(old).zip(indexes(new)) {
        names.extend(compared.names(old, new).iter().cloned());
    }
    Touched::Names(names)
}

fn indexes(channels: &Channels) -> impl Iterator<Item = &ReadableIndex> {
    let answers = channels
        .sources
        .iter()
        .filter_map(|source| source.answer.as_ref().ok());
    answers.flat_map(|answer| {
        answer
            .listings
            .iter()
            .filter_map(|listing| listing.outcome.as_ref().ok())
    })
}

/// What a channel config means for verdicts, as a digest: two that differ in nothing but the files and lines that say it
/// are one.
fn meaning(host: &HostChannels) -> Sha256Digest {
    let mut config = host.config.clone();
    for stanza in &mut config.stanzas {
        stanza.file.clear();
        stanza.line = 0;
    }
    for pin in &mut config.pins {
        pin.file.clear();
        pin.line = 0;
    }
    let keys: Vec<_> = host
        .stanzas
        .iter()
        .map(|stanza| {
            let files = stanza.keys.as_ref().map(|files| {
                let digests = files.iter().map(|file| content::sha256(&file.bytes));
                digests.collect::<Vec<_>>()
            });
            (&stanza.identity, files)
        })
        .collect();
    content::sha256(format!("{config:?}\n{keys:?}").as_bytes())
}
