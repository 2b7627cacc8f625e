//! Who has which package: for each package the hosts that have it.

use super::hosts::HostNo;
use super::packages::{PackageId, PackageSet};
use roaring::RoaringBitmap;
use std::cmp::Ordering;

/// Packages in a page; a page is made when its first package is met.
const PAGE: usize = 1 << 10;

/// The hosts of each package.
#[derive(Debug, Default)]
pub(super) struct Holders {
    pages: Vec<Option<Box<[RoaringBitmap]>>>,
}

impl Holders {
    /// The hosts that have a package.
    pub(super) fn of(&self, package: PackageId) -> Option<&RoaringBitmap> {
        let place = package.0 as usize;
        let page = self.pages.get(place / PAGE)?.as_ref()?;
        Some(&page[place % PAGE]).filter(|hosts| !hosts.is_empty())
    }

    /// A host has these packages and had none.
    pub(super) fn add(&mut self, host: HostNo, packages: &PackageSet) {
        for package in packages.iter() {
            self.at(package).insert(host.0);
        }
    }

    /// A host had these packages and has none.
    pub(super) fn remove(&mut self, host: HostNo, packages: &PackageSet) {
        for package in packages.iter() {
            self.at(package).remove(host.0);
        }
    }

    /// A host had the old packages and has the new ones.
    pub(super) fn change(&mut self, host: HostNo, old: &PackageSet, new: &PackageSet) {
        let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(gone), Some(come)) => gone.cmp(come),
            };
            let gone = old.next_if(|_| order.is_le());
            let come = new.next_if(|_| order.is_ge());
            match (gone, come) {
                (Some(gone), None) => drop(self.at(gone).remove(host.0)),
                (None, Some(come)) => drop(self.at(come).insert(host.0)),
                _ => {}
            }
        }
    }

    fn at(&mut self, package: PackageId) -> &mut RoaringBitmap {
        let place = package.0 as usize;
        if place / PAGE >= self.pages.len() {
            self.pages.resize_with(place / PAGE + 1, || None);
        }
        let page = self.pages[place / PAGE].get_or_insert_with(|| vec![RoaringBitmap::new(); PAGE].into());
        &mut page[place % PAGE]
    }
}
