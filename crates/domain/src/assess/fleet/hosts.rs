//! The hosts of one tenant, each with the numbers of its channels and of its inventory.

use super::packages::PackageSet;
use crate::digest::Sha256Digest;
use std::collections::HashMap;
use std::ops::Range;

/// A host's number in its tenant. Numbers are dense: memory is spent on all up to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostNo(pub u32);

/// Hosts in a chunk: those whose numbers have the upper half in common.
pub const CHUNK_HOSTS: usize = 1 << 16;

/// The upper half of the numbers of a chunk's hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkNo(pub u16);

impl HostNo {
    /// The chunk that the host is in.
    pub fn chunk(self) -> ChunkNo {
        ChunkNo((self.0 >> 16) as u16)
    }
}

impl ChunkNo {
    /// The host at a place of the chunk.
    #[inline]
    pub fn host(self, place: u16) -> HostNo {
        HostNo(u32::from(self.0) << 16 | u32::from(place))
    }
}

/// The number of distinct channels (a channel config and the snapshots in force).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelsNo(pub u32);

/// The number of a distinct inventory in its [`Fleet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InventoryNo(u32);

/// What is known of a host number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostState {
    /// No host has it.
    #[default]
    Vacant,
    /// Its host has not said yet what it has, or where its packages come from: it is unknown.
    Silent,
    /// Its host has said both.
    Reported {
        /// Where its packages come from.
        channels: ChannelsNo,
        /// What it has.
        inventory: InventoryNo,
    },
}

/// The hosts of one tenant and their distinct inventories.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    hosts: Vec<HostState>,
    inventories: Vec<PackageSet>,
    by_digest: HashMap<Sha256Digest, InventoryNo>,
}

impl Fleet {
    /// The number of the inventory of that digest; the packages are asked for only if it is new.
    pub fn inventory(&mut self, digest: Sha256Digest, packages: impl FnOnce() -> PackageSet) -> InventoryNo {
        *self.by_digest.entry(digest).or_insert_with(|| {
            let number = u32::try_from(self.inventories.len()).expect("memory ends before 2^32 inventories");
            self.inventories.push(packages());
            InventoryNo(number)
        })
    }

    /// Sets what is known of a host.
    pub fn set_host(&mut self, host: HostNo, state: HostState) {
        let place = host.0 as usize;
        if place >= self.hosts.len() {
            self.hosts.resize(place + 1, HostState::Vacant);
        }
        self.hosts[place] = state;
    }

    /// What is known of a host.
    pub fn host(&self, host: HostNo) -> HostState {
        self.hosts.get(host.0 as usize).copied().unwrap_or_default()
    }

    /// The packages of an inventory; `None` for a number of another fleet.
    pub fn packages(&self, inventory: InventoryNo) -> Option<&PackageSet> {
        self.inventories.get(inventory.0 as usize)
    }

    /// How many distinct inventories there are.
    pub fn distinct_inventories(&self) -> usize {
        self.inventories.len()
    }

    /// The chunks that have hosts, vacant numbers included.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkNo> + use<> {
        let count = self.hosts.len().div_ceil(CHUNK_HOSTS);
        (0..=u16::MAX).take(count).map(ChunkNo)
    }

    /// The hosts of a chunk in the order of their numbers; those that are missing at the end are vacant.
    pub(super) fn chunk(&self, chunk: ChunkNo) -> &[HostState] {
        let start = (usize::from(chunk.0) * CHUNK_HOSTS).min(self.hosts.len());
        let places: Range<usize> = start..self.hosts.len().min(start + CHUNK_HOSTS);
        &self.hosts[places]
    }
}
