//! The findings of the hosts of one chunk. Chunks have nothing in common but the table: threads may share them out.

use super::hosts::{ChannelsNo, ChunkNo, Fleet, HostState, InventoryNo};
use super::packages::{PackageId, PackageSet};
use super::table::{Code, PackageVerdict, UpdateNo, VerdictTable};
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

/// Which hosts of a chunk miss what. Bitmaps hold whole host numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ChunkFindings {
    /// The chunk.
    pub chunk: ChunkNo,
    /// The hosts that miss an update, for each update that some host misses.
    pub missing: BTreeMap<UpdateNo, RoaringBitmap>,
    /// The hosts of which something is not known. They stand in `missing` too, as far as it is known.
    pub unknown: RoaringBitmap,
}

/// Assesses the hosts of a chunk.
pub fn assess_chunk<Rule: Fn(ChannelsNo, PackageId) -> PackageVerdict>(
    fleet: &Fleet,
    table: &VerdictTable<Rule>,
    chunk: ChunkNo,
) -> ChunkFindings {
    let mut known = Known::default();
    let mut places_by_update: Vec<Vec<u16>> = Vec::new();
    let mut unknown = RoaringBitmap::new();
    for (place, host) in (0..=u16::MAX).zip(fleet.chunk(chunk)) {
        let found = match *host {
            HostState::Vacant => continue,
            HostState::Silent => Found::nothing_known(),
            HostState::Reported { channels, inventory } => known.look_up(fleet, table, channels, inventory),
        };
        if found.coverage == Coverage::Holed {
            unknown.insert(chunk.host(place).0);
        }
        for update in &known.updates[found.updates] {
            let update = *update as usize;
            if update >= places_by_update.len() {
                places_by_update.resize_with(update + 1, Vec::new);
            }
            places_by_update[update].push(place);
        }
    }
    let numbers = table.update_numbers();
    let missing = places_by_update
        .iter()
        .zip(numbers)
        .filter(|(places, _)| !places.is_empty())
        .map(|(places, update)| (update, bitmap(chunk, places)))
        .collect();
    ChunkFindings {
        chunk,
        missing,
        unknown,
    }
}

/// The hosts at these ascending places.
fn bitmap(chunk: ChunkNo, places: &[u16]) -> RoaringBitmap {
    let mut hosts = RoaringBitmap::from_sorted_iter(places.iter().map(|place| chunk.host(*place).0))
        .expect("hosts are walked in the order of their numbers");
    hosts.optimize();
    hosts
}

/// Whether a verified source answered for all packages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Coverage {
    Full,
    Holed,
}

/// What is found for one pair of channels and inventory.
#[derive(Clone)]
struct Found {
    updates: Range<usize>,
    coverage: Coverage,
}

impl Found {
    fn nothing_known() -> Self {
        Self {
            updates: 0..0,
            coverage: Coverage::Holed,
        }
    }
}

/// What was found in this chunk so far: hosts that were made from one image are assessed once.
#[derive(Default)]
struct Known {
    found: HashMap<(ChannelsNo, InventoryNo), Found>,
    updates: Vec<u32>,
}

impl Known {
    fn look_up<Rule: Fn(ChannelsNo, PackageId) -> PackageVerdict>(
        &mut self,
        fleet: &Fleet,
        table: &VerdictTable<Rule>,
        channels: ChannelsNo,
        inventory: InventoryNo,
    ) -> Found {
        if let Some(found) = self.found.get(&(channels, inventory)) {
            return found.clone();
        }
        let found = match fleet.packages(inventory) {
            None => Found::nothing_known(),
            Some(packages) => self.assess(table, channels, packages),
        };
        self.found.insert((channels, inventory), found.clone());
        found
    }

    fn assess<Rule: Fn(ChannelsNo, PackageId) -> PackageVerdict>(
        &mut self,
        table: &VerdictTable<Rule>,
        channels: ChannelsNo,
        packages: &PackageSet,
    ) -> Found {
        let start = self.updates.len();
        // A host without a single package has not been understood.
        let mut coverage = if packages.is_empty() {
            Coverage::Holed
        } else {
            Coverage::Full
        };
        for (upper, lowers) in packages.runs() {
            let Some(page) = table.page(channels, upper) else {
                coverage = Coverage::Holed;
                continue;
            };
            for lower in lowers {
                let package = PackageId(u32::from(upper) << 16 | u32::from(*lower));
                let code = table.code(page, channels, package);
                if code == Code::SETTLED {
                    continue;
                }
                match code.update() {
                    Some(update) => self.updates.push(update as u32),
                    None => coverage = Coverage::Holed,
                }
            }
        }
        self.updates[start..].sort_unstable();
        let mut kept = start;
        for at in start..self.updates.len() {
            if kept == start || self.updates[kept - 1] != self.updates[at] {
                self.updates[kept] = self.updates[at];
                kept += 1;
            }
        }
        self.updates.truncate(kept);
        Found {
            updates: start..kept,
            coverage,
        }
    }
}
