//! The updates that a snapshot lists: each source package in each version and build, once however many binaries and
//! architectures it has.

use content::{Mapped, Store};
use domain::catalog::listing::ListingNo;
use domain::version::deb::split_rebuild;
use sources::apt::answer::{NoListing, ReadableIndex};
use sources::apt::index::Index;
use sources::apt::snapshot::SnapshotIndex;
use std::collections::{BTreeSet, HashSet};

/// An update as one index lists it. Its publisher is the source's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Listed {
    /// Component; empty of a flat repository.
    pub component: String,
    /// Architecture of the index.
    pub architecture: String,
    /// Source package.
    pub source: String,
    /// Source version.
    pub source_version: String,
    /// The binary-rebuild suffix; empty for a first build.
    pub build: String,
}

/// What a snapshot lists otherwise than the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Listed now and not before.
    pub come: BTreeSet<Listed>,
    /// Listed before and not now: replaced, or retracted.
    pub gone: BTreeSet<Listed>,
}

/// Finds what a snapshot lists otherwise than the one before, or everything if it is the first. Indexes that both have
/// are not looked at.
///
/// # Errors
/// An index that cannot be read: [`NoListing::Missing`] if it is gone from the store.
pub fn difference(
    content: &Store,
    old: &[SnapshotIndex],
    new: &[SnapshotIndex],
) -> Result<Difference, NoListing> {
    let mut difference = Difference::default();
    let place = |index: &SnapshotIndex| (index.component.clone(), index.architecture.clone());
    for index in new {
        let before = old.iter().find(|other| place(other) == place(index));
        if before.is_some_and(|before| before.digest == index.digest) {
            continue;
        }
        let now = open(content, index)?;
        // What was listed before is history: if its index is gone from the store, everything now listed counts as new.
        let then = before.and_then(|before| open(content, before).ok());
        let (now, then) = (updates(&now), then.as_deref().map(updates).unwrap_or_default());
        let listed = |key: &(&str, &str, &str)| listed(index, *key);
        difference.come.extend(now.difference(&then).map(listed));
        difference.gone.extend(then.difference(&now).map(listed));
    }
    for index in old {
        if new.iter().all(|other| place(other) != place(index))
            && let Ok(then) = open(content, index)
        {
            difference
                .gone
                .extend(updates(&then).iter().map(|key| listed(index, *key)));
        }
    }
    Ok(difference)
}

fn open(content: &Store, index: &SnapshotIndex) -> Result<std::sync::Arc<Index<Mapped>>, NoListing> {
    let readable = ReadableIndex::open(content, index.digest)?.ok_or(NoListing::Missing)?;
    Ok(readable.index)
}

fn updates(index: &Index<Mapped>) -> HashSet<(&str, &str, &str)> {
    index
        .iter(ListingNo(0))
        .map(|offer| (offer.source, offer.source_version, split_rebuild(offer.version).1))
        .collect()
}

fn listed(index: &SnapshotIndex, (source, source_version, build): (&str, &str, &str)) -> Listed {
    Listed {
        component: index.component.clone(),
        architecture: index.architecture.clone(),
        source: source.to_owned(),
        source_version: source_version.to_owned(),
        build: build.to_owned(),
    }
}
