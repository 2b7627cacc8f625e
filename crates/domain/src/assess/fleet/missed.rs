//! Who misses an update, and how many updates a host misses.

use super::table::UpdateNo;
use crate::catalog::update::Classification;
use roaring::RoaringBitmap;

/// The hosts that miss an update.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// All of them.
    pub(super) hosts: RoaringBitmap,
    /// Those of them to which it is a security update.
    pub(super) security: RoaringBitmap,
}

/// How many updates a host misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them, those that are held or not phased in on the host too.
    pub missing: u32,
    /// How many of them are security updates to this host, by any package of theirs.
    pub security: u32,
}

impl Counts {
    pub(super) fn add(&mut self, class: Classification) {
        self.missing += 1;
        self.security += u32::from(class == Classification::Security);
    }

    pub(super) fn take(&mut self, class: Classification) {
        self.missing -= 1;
        self.security -= u32::from(class == Classification::Security);
    }
}

/// Each update once: to a host that misses it by several packages it is a security update if it is one by any of them.
pub(super) fn once_each(updates: &mut Vec<(UpdateNo, Classification)>) {
    updates.sort_unstable();
    updates.dedup_by_key(|(update, _)| *update);
}
