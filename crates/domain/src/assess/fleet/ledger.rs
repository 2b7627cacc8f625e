//! A fleet's findings kept current: one host's news or one sync changes what it touches and nothing else. What comes out
//! is what [`assess_chunk`](super::assess_chunk) finds from the beginning. How one package is judged is not known here.

use super::holders::Holders;
use super::hosts::{CHUNK_HOSTS, ChannelsNo, ChunkNo, HostNo};
use super::missed::{Counts, Missed, once_each};
use super::packages::{PackageId, PackageSet};
use super::table::{PackageVerdict, UpdateNo};
use super::verdicts::Verdicts;
use crate::catalog::update::Classification;
use roaring::RoaringBitmap;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What a host has told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Where its packages come from.
    pub channels: ChannelsNo,
    /// What it has; hosts of one image share it.
    pub packages: Arc<PackageSet>,
    /// Whether all of the host itself could be read and followed.
    pub reading: Reading,
}

/// Whether something could be read and believed as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reading {
    /// All of it.
    #[default]
    Whole,
    /// Something is missing or in doubt: silence proves nothing.
    Holed,
}

/// What is known of a host number.
#[derive(Clone, Debug, Default)]
enum Entry {
    /// No host has it.
    #[default]
    Vacant,
    /// Its host has not said yet what it has: it is unknown.
    Silent,
    Told {
        told: Told,
        /// How many of its packages no verified source answers for.
        unanswered: u32,
    },
}

/// One channels' hosts and verdicts.
#[derive(Debug, Default)]
struct Channel {
    members: RoaringBitmap,
    verdicts: Verdicts,
    reading: Reading,
}

/// What changed since it was asked last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The updates whose hosts of a chunk are others now.
    pub missing: BTreeSet<(UpdateNo, ChunkNo)>,
    /// The chunks whose unknown hosts are others now.
    pub unknown: BTreeSet<ChunkNo>,
    /// The hosts of which something is otherwise now; told again without a difference counts too.
    pub hosts: RoaringBitmap,
}

/// A fleet and its findings.
#[derive(Debug, Default)]
pub struct Ledger {
    hosts: Vec<Entry>,
    counts: Vec<Counts>,
    holders: Holders,
    channels: Vec<Channel>,
    missing: Vec<Missed>,
    /// For each update, the pairs whose verdict it is.
    causes: HashMap<UpdateNo, Vec<(ChannelsNo, PackageId)>>,
    unknown: RoaringBitmap,
    changes: Changes,
}

impl Ledger {
    /// A host has told what it has and where its packages come from. `judge` has to give equal answers to equal
    /// questions until [`Self::rejudge`] is called for them.
    pub fn tell(
        &mut self,
        host: HostNo,
        told: Told,
        judge: &mut impl FnMut(ChannelsNo, PackageId) -> PackageVerdict,
    ) {
        let channels = told.channels;
        self.channel(channels);
        let (mut updates, mut unanswered) = (Vec::new(), 0);
        for package in told.packages.iter() {
            match self.verdict(channels, package, judge) {
                PackageVerdict::Settled => {}
                PackageVerdict::Unknown => unanswered += 1,
                PackageVerdict::Missing(update, class) => updates.push((update, class)),
            }
        }
        once_each(&mut updates);
        let before = self.updates_of(host);
        let old = std::mem::take(self.entry(host));
        match &old {
            Entry::Told { told: old, .. } => {
                self.holders.change(host, &old.packages, &told.packages);
                self.channel(old.channels).members.remove(host.0);
            }
            Entry::Vacant | Entry::Silent => self.holders.add(host, &told.packages),
        }
        self.changes.hosts.insert(host.0);
        self.channel(channels).members.insert(host.0);
        *self.entry(host) = Entry::Told { told, unanswered };
        self.replace(host, &before, &updates);
        self.see_whether_known(host);
    }

    /// A host is there and has told nothing yet.
    pub fn expect(&mut self, host: HostNo) {
        self.clear(host);
        self.changes.hosts.insert(host.0);
        *self.entry(host) = Entry::Silent;
        self.see_whether_known(host);
    }

    /// A host is gone: retired, or moved to another tenant.
    pub fn remove(&mut self, host: HostNo) {
        self.clear(host);
        self.changes.hosts.insert(host.0);
        self.see_whether_known(host);
    }

    /// Judges again what a sync may have changed: these packages under these channels. Those that nobody asked about yet
    /// are passed over.
    pub fn rejudge(
        &mut self,
        channels: ChannelsNo,
        packages: impl IntoIterator<Item = PackageId>,
        judge: &mut impl FnMut(ChannelsNo, PackageId) -> PackageVerdict,
    ) {
        let mut touched = BTreeSet::new();
        for package in packages {
            let Some(old) = self.channel(channels).verdicts.get(package) else {
                continue;
            };
            let new = judge(channels, package);
            if old == new {
                continue;
            }
            self.channel(channels).verdicts.set(package, new);
            if let PackageVerdict::Missing(update, _) = old {
                let causes = self.causes.entry(update).or_default();
                causes.retain(|cause| *cause != (channels, package));
                touched.insert(update);
            }
            if let PackageVerdict::Missing(update, _) = new {
                self.causes.entry(update).or_default().push((channels, package));
                touched.insert(update);
            }
            if (old == PackageVerdict::Unknown) != (new == PackageVerdict::Unknown) {
                self.count_unanswered(channels, package, new);
            }
        }
        for update in touched {
            self.gather(update);
        }
    }

    /// Says whether all sources of these channels can be believed; if not, their hosts are unknown.
    pub fn set_reading(&mut self, channels: ChannelsNo, reading: Reading) {
        let channel = self.channel(channels);
        if channel.reading == reading {
            return;
        }
        channel.reading = reading;
        let members = channel.members.clone();
        for host in members {
            self.see_whether_known(HostNo(host));
        }
    }

    /// The hosts that miss an update.
    pub fn missing(&self, update: UpdateNo) -> Option<&RoaringBitmap> {
        let missed = self.missing.get(update.0 as usize)?;
        Some(&missed.hosts).filter(|hosts| !hosts.is_empty())
    }

    /// The updates that somebody misses, with their hosts.
    pub fn updates(&self) -> impl Iterator<Item = (UpdateNo, &RoaringBitmap)> {
        (0..)
            .map(UpdateNo)
            .zip(self.missing.iter().map(|missed| &missed.hosts))
            .filter(|(_, hosts)| !hosts.is_empty())
    }

    /// How many updates a host misses.
    pub fn counts(&self, host: HostNo) -> Counts {
        self.counts.get(host.0 as usize).copied().unwrap_or_default()
    }

    /// The hosts of which something is not known. They may miss updates too.
    pub fn unknown(&self) -> &RoaringBitmap {
        &self.unknown
    }

    /// The hosts that have a package; none for a package that nobody has.
    pub fn holders(&self, package: PackageId) -> Option<&RoaringBitmap> {
        self.holders.of(package)
    }

    /// The hosts that use these channels.
    pub fn members(&self, channels: ChannelsNo) -> Option<&RoaringBitmap> {
        self.channels
            .get(channels.0 as usize)
            .map(|channel| &channel.members)
    }

    /// What a host has told, if it has.
    pub fn told(&self, host: HostNo) -> Option<&Told> {
        match self.hosts.get(host.0 as usize)? {
            Entry::Told { told, .. } => Some(told),
            Entry::Vacant | Entry::Silent => None,
        }
    }

    /// How many packages of a host no verified source answers for.
    pub fn unanswered(&self, host: HostNo) -> u32 {
        match self.hosts.get(host.0 as usize) {
            Some(Entry::Told { unanswered, .. }) => *unanswered,
            Some(Entry::Vacant | Entry::Silent) | None => 0,
        }
    }

    /// The packages that no verified source answers for, under each channels, with the hosts that have them so.
    pub fn gaps(&self) -> impl Iterator<Item = (ChannelsNo, PackageId, RoaringBitmap)> + '_ {
        let channels = (0..).map(ChannelsNo).zip(&self.channels);
        channels.flat_map(|(number, channel)| {
            let held = channel.verdicts.unknown().filter_map(|package| {
                let hosts = self.holders.of(package)? & &channel.members;
                (!hosts.is_empty()).then_some((package, hosts))
            });
            held.map(move |(package, hosts)| (number, package, hosts))
        })
    }

    /// The updates that a host misses, ascending, each of its kind to this host.
    fn updates_of(&self, host: HostNo) -> Vec<(UpdateNo, Classification)> {
        let Some(told) = self.told(host) else {
            return Vec::new();
        };
        let verdicts = &self.channels[told.channels.0 as usize].verdicts;
        let mut updates: Vec<_> = told
            .packages
            .iter()
            .filter_map(|package| match verdicts.get(package) {
                Some(PackageVerdict::Missing(update, class)) => Some((update, class)),
                _ => None,
            })
            .collect();
        once_each(&mut updates);
        updates
    }

    /// What changed since the last call.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn entry(&mut self, host: HostNo) -> &mut Entry {
        let place = host.0 as usize;
        if place >= self.hosts.len() {
            self.hosts.resize_with(place + 1, Entry::default);
        }
        &mut self.hosts[place]
    }

    fn channel(&mut self, channels: ChannelsNo) -> &mut Channel {
        let place = channels.0 as usize;
        if place >= self.channels.len() {
            self.channels.resize_with(place + 1, Channel::default);
        }
        &mut self.channels[place]
    }

    fn missed(&mut self, update: UpdateNo) -> &mut Missed {
        let place = update.0 as usize;
        if place >= self.missing.len() {
            self.missing.resize_with(place + 1, Missed::default);
        }
        &mut self.missing[place]
    }

    fn counts_mut(&mut self, host: u32) -> &mut Counts {
        let place = host as usize;
        if place >= self.counts.len() {
            self.counts.resize(place + 1, Counts::default());
        }
        &mut self.counts[place]
    }

    fn verdict(
        &mut self,
        channels: ChannelsNo,
        package: PackageId,
        judge: &mut impl FnMut(ChannelsNo, PackageId) -> PackageVerdict,
    ) -> PackageVerdict {
        let verdicts = &mut self.channels[channels.0 as usize].verdicts;
        if let Some(known) = verdicts.get(package) {
            return known;
        }
        let verdict = judge(channels, package);
        verdicts.set(package, verdict);
        if let PackageVerdict::Missing(update, _) = verdict {
            self.causes.entry(update).or_default().push((channels, package));
        }
        verdict
    }

    /// Takes back all that a host told.
    fn clear(&mut self, host: HostNo) {
        let before = self.updates_of(host);
        if let Entry::Told { told, .. } = std::mem::take(self.entry(host)) {
            self.holders.remove(host, &told.packages);
            self.channel(told.channels).members.remove(host.0);
        }
        self.replace(host, &before, &[]);
    }

    /// Two ascending lists of updates: what is in one only has changed for the host.
    fn replace(
        &mut self,
        host: HostNo,
        before: &[(UpdateNo, Classification)],
        now: &[(UpdateNo, Classification)],
    ) {
        let is_in = |list: &[(UpdateNo, Classification)], update: UpdateNo| {
            list.binary_search_by_key(&update, |(update, _)| *update).is_ok()
        };
        for &(update, class) in before.iter().filter(|missed| now.binary_search(missed).is_err()) {
            self.counts_mut(host.0).take(class);
            let missed = self.missed(update);
            missed.security.remove(host.0);
            if !is_in(now, update) {
                missed.hosts.remove(host.0);
                self.changes.missing.insert((update, host.chunk()));
            }
        }
        for &(update, class) in now.iter().filter(|missed| before.binary_search(missed).is_err()) {
            self.counts_mut(host.0).add(class);
            let missed = self.missed(update);
            if class == Classification::Security {
                missed.security.insert(host.0);
            }
            if missed.hosts.insert(host.0) {
                self.changes.missing.insert((update, host.chunk()));
            }
        }
    }

    fn see_whether_known(&mut self, host: HostNo) {
        let is_unknown = match &self.hosts[host.0 as usize] {
            Entry::Vacant => false,
            Entry::Silent => true,
            Entry::Told { told, unanswered } => {
                // A host without a single package has not been understood.
                *unanswered > 0
                    || told.packages.is_empty()
                    || told.reading == Reading::Holed
                    || self.channels[told.channels.0 as usize].reading == Reading::Holed
            }
        };
        let has_changed = match is_unknown {
            true => self.unknown.insert(host.0),
            false => self.unknown.remove(host.0),
        };
        if has_changed {
            self.changes.hosts.insert(host.0);
            self.changes.unknown.insert(host.chunk());
        }
    }

    fn count_unanswered(&mut self, channels: ChannelsNo, package: PackageId, now: PackageVerdict) {
        let Some(holders) = self.holders.of(package) else {
            return;
        };
        for host in holders & &self.channels[channels.0 as usize].members {
            self.changes.hosts.insert(host);
            if let Entry::Told { unanswered, .. } = &mut self.hosts[host as usize] {
                match now {
                    PackageVerdict::Unknown => *unanswered += 1,
                    PackageVerdict::Settled | PackageVerdict::Missing(..) => *unanswered -= 1,
                }
            }
            self.see_whether_known(HostNo(host));
        }
    }

    /// Puts the hosts of an update together again.
    fn gather(&mut self, update: UpdateNo) {
        let mut now = Missed::default();
        for (channels, package) in self.causes.get(&update).into_iter().flatten() {
            let Some(holders) = self.holders.of(*package) else {
                continue;
            };
            let channel = &self.channels[channels.0 as usize];
            let hosts = holders & &channel.members;
            if let Some(PackageVerdict::Missing(_, Classification::Security)) = channel.verdicts.get(*package)
            {
                now.security |= &hosts;
            }
            now.hosts |= hosts;
        }
        let old = std::mem::take(self.missed(update));
        for host in &now.hosts - &old.hosts {
            self.counts_mut(host).missing += 1;
        }
        for host in &old.hosts - &now.hosts {
            self.counts_mut(host).missing -= 1;
        }
        for host in &now.security - &old.security {
            self.counts_mut(host).security += 1;
        }
        for host in &old.security - &now.security {
            self.counts_mut(host).security -= 1;
        }
        let differing = &old.hosts ^ &now.hosts;
        for chunk in chunks_of(&differing) {
            self.changes.missing.insert((update, chunk));
        }
        self.changes.hosts |= differing;
        self.changes.hosts |= &old.security ^ &now.security;
        *self.missed(update) = now;
    }
}

/// The chunks in which a bitmap has hosts.
pub fn chunks_of(hosts: &RoaringBitmap) -> impl Iterator<Item = ChunkNo> + '_ {
    let mut next = hosts.min();
    std::iter::from_fn(move || {
        let chunk = HostNo(next?).chunk();
        next = match (u32::from(chunk.0) + 1).checked_mul(CHUNK_HOSTS as u32) {
            Some(start) => {
                let mut rest = hosts.iter();
                rest.advance_to(start);
                rest.next()
            }
            None => None,
        };
        Some(chunk)
    })
}

/// The hosts of one chunk.
pub fn of_chunk(hosts: &RoaringBitmap, chunk: ChunkNo) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    all.insert_range(chunk.host(0).0..=chunk.host(u16::MAX).0);
    all &= hosts;
    all
}
