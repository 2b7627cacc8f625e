//! The verdicts on packages under one channels, four bytes each, in pages that are made when they are first needed.

use super::packages::PackageId;
use super::table::{Code, PackageVerdict, UpdateNo};

/// Packages in a page.
const PAGE: usize = 1 << 12;

/// Verdicts by package.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pages: Vec<Option<Box<[Code]>>>,
}

impl Verdicts {
    /// The verdict on a package, if it was asked for.
    #[inline]
    pub(super) fn get(&self, package: PackageId) -> Option<PackageVerdict> {
        let place = package.0 as usize;
        match self.pages.get(place / PAGE)?.as_ref()?[place % PAGE] {
            Code::UNASKED => None,
            Code::SETTLED => Some(PackageVerdict::Settled),
            code => Some(match code.missing() {
                Some((update, class)) => PackageVerdict::Missing(UpdateNo(update), class),
                None => PackageVerdict::Unknown,
            }),
        }
    }

    /// The packages that were asked for and that no verified source answers for, ascending.
    pub(super) fn unknown(&self) -> impl Iterator<Item = PackageId> + '_ {
        let pages = self.pages.iter().enumerate();
        let codes = pages.flat_map(|(page, codes)| {
            let codes = codes.iter().flat_map(|codes| codes.iter());
            codes.enumerate().map(move |(at, code)| (page * PAGE + at, *code))
        });
        codes
            .filter(|(_, code)| *code == Code::UNKNOWN)
            .filter_map(|(place, _)| u32::try_from(place).ok().map(PackageId))
    }

    /// Keeps the verdict on a package.
    pub(super) fn set(&mut self, package: PackageId, verdict: PackageVerdict) {
        let place = package.0 as usize;
        if place / PAGE >= self.pages.len() {
            self.pages.resize_with(place / PAGE + 1, || None);
        }
        let page = self.pages[place / PAGE].get_or_insert_with(|| vec![Code::UNASKED; PAGE].into());
        page[place % PAGE] = match verdict {
            PackageVerdict::Settled => Code::SETTLED,
            PackageVerdict::Unknown => Code::UNKNOWN,
            PackageVerdict::Missing(update, class) => Code::of_update(update.0, class),
        };
    }
}
