//! The verdicts on packages under one channels, four bytes each, in pages that are made when they are first needed.

use super::packages::PackageId;
use super::table::{PackageVerdict, UpdateNo};

/// Packages in a page.
const PAGE: usize = 1 << 12;

const UNASKED: u32 = 0;
const SETTLED: u32 = 1;
const UNKNOWN: u32 = 2;
const FIRST_UPDATE: u32 = 3;

/// Verdicts by package.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pages: Vec<Option<Box<[u32]>>>,
}

impl Verdicts {
    /// The verdict on a package, if it was asked for.
    #[inline]
    pub(super) fn get(&self, package: PackageId) -> Option<PackageVerdict> {
        let place = package.0 as usize;
        match self.pages.get(place / PAGE)?.as_ref()?[place % PAGE] {
            UNASKED => None,
            SETTLED => Some(PackageVerdict::Settled),
            UNKNOWN => Some(PackageVerdict::Unknown),
            update => Some(PackageVerdict::Missing(UpdateNo(update - FIRST_UPDATE))),
        }
    }

    /// Keeps the verdict on a package.
    pub(super) fn set(&mut self, package: PackageId, verdict: PackageVerdict) {
        let place = package.0 as usize;
        if place / PAGE >= self.pages.len() {
            self.pages.resize_with(place / PAGE + 1, || None);
        }
        let page = self.pages[place / PAGE].get_or_insert_with(|| vec![UNASKED; PAGE].into());
        page[place % PAGE] = match verdict {
            PackageVerdict::Settled => SETTLED,
            PackageVerdict::Unknown => UNKNOWN,
            PackageVerdict::Missing(update) => {
                let room = update.0.checked_add(FIRST_UPDATE);
                room.expect("memory ends before 2^32 updates")
            }
        };
    }
}
