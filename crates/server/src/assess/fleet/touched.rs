//! What of the verdicts under channels a sync can have changed.

use crate::assess::channels::Channels;
use crate::assess::difference::changed_names;
use content::Mapped;
use domain::catalog::listing::Listing;
use domain::digest::Sha256Digest;
use sources::apt::answer::ReadableIndex;
use sources::apt::index::Index;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What has to be judged again.
pub(super) enum Touched {
    /// All packages that somebody has.
    Everything,
    /// Those of these names.
    Names(HashSet<String>),
}

/// Indexes that were compared already: most channels use the same.
#[derive(Default)]
pub(super) struct Compared(HashMap<(Sha256Digest, Sha256Digest), Arc<HashSet<String>>>);

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
pub(super) fn touched(old: &Channels, new: &Channels, compared: &mut Compared) -> Touched {
    let same_listing = |(old, new): (&Listing, &Listing)| {
        let dateless = |listing: &Listing| {
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
