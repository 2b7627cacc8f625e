//! A host's packages as a set of numbers.

use std::fmt;

/// The number of a package in one [`Interner`](super::Interner): name, architecture, version and build together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageId(pub u32);

/// A set of packages in ascending order, two bytes a package: runs of (upper half, count less one, lower halves).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct PackageSet(Box<[u16]>);

impl PackageSet {
    /// The packages of the set in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = PackageId> + '_ {
        self.runs().flat_map(|(upper, lowers)| {
            let upper = u32::from(upper) << 16;
            lowers
                .iter()
                .map(move |lower| PackageId(upper | u32::from(*lower)))
        })
    }

    /// Whether a package is one of the set.
    pub fn contains(&self, package: PackageId) -> bool {
        let run = self
            .runs()
            .find(|(upper, _)| u32::from(*upper) == package.0 >> 16);
        run.is_some_and(|(_, lowers)| lowers.binary_search(&(package.0 as u16)).is_ok())
    }

    /// The number of packages.
    pub fn len(&self) -> usize {
        self.runs().map(|(_, lowers)| lowers.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes that the packages take in memory.
    pub fn size_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// The packages by the upper half of their number, with the lower halves in ascending order.
    #[inline]
    pub(super) fn runs(&self) -> impl Iterator<Item = (u16, &[u16])> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let [upper, count, lowers @ ..] = rest else {
                return None;
            };
            let (run, after) = lowers.split_at(usize::from(*count) + 1);
            rest = after;
            Some((*upper, run))
        })
    }
}

impl FromIterator<PackageId> for PackageSet {
    /// In any order, with repetitions.
    fn from_iter<I: IntoIterator<Item = PackageId>>(packages: I) -> Self {
        let mut packages: Vec<PackageId> = packages.into_iter().collect();
        if !packages.is_sorted_by(|a, b| a < b) {
            packages.sort_unstable();
            packages.dedup();
        }
        let mut halves = Vec::with_capacity(packages.len() + 8);
        for run in packages.chunk_by(|a, b| a.0 >> 16 == b.0 >> 16) {
            // A run has at most 65,536 numbers, because they differ in their lower halves only.
            halves.extend([(run[0].0 >> 16) as u16, (run.len() - 1) as u16]);
            halves.extend(run.iter().map(|package| package.0 as u16));
        }
        Self(halves.into())
    }
}

impl fmt::Debug for PackageSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|package| package.0))
            .finish()
    }
}
