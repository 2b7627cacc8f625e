//! What a sync changed: the names of the packages that a snapshot offers otherwise than the one before.

use content::Mapped;
use domain::catalog::listing::ListingNo;
use sources::apt::index::Index;
use std::collections::HashSet;
use std::collections::hash_map::{DefaultHasher, HashMap};
use std::hash::{Hash, Hasher};

/// The names of which the two indexes do not offer the same in the same order.
pub fn changed_names(old: &Index<Mapped>, new: &Index<Mapped>) -> HashSet<String> {
    if old.packages_digest() == new.packages_digest() {
        return HashSet::new();
    }
    let (old, new) = (by_name(old), by_name(new));
    let gone_or_changed = old.iter().filter(|(name, offers)| new.get(*name) != Some(offers));
    let come = new.keys().filter(|name| !old.contains_key(*name));
    let changed = gone_or_changed.map(|(name, _)| name).chain(come);
    changed.map(|name| (*name).to_owned()).collect()
}

/// All names of an index.
pub fn names(index: &Index<Mapped>) -> impl Iterator<Item = &str> {
    index.iter(ListingNo(0)).map(|offer| offer.name)
}

/// For each name a hash of all that is offered under it, in order.
fn by_name(index: &Index<Mapped>) -> HashMap<&str, u64> {
    let mut hashes: HashMap<&str, u64> = HashMap::with_capacity(index.len());
    for offer in index.iter(ListingNo(0)) {
        let hash = hashes.entry(offer.name).or_default();
        let mut hasher = DefaultHasher::new();
        hash.hash(&mut hasher);
        (
            offer.architecture,
            offer.version,
            offer.source,
            offer.source_version,
        )
            .hash(&mut hasher);
        offer.fingerprint.hash(&mut hasher);
        offer.sha256.map(|digest| digest.0).hash(&mut hasher);
        offer.phased_percent.hash(&mut hasher);
        *hash = hasher.finish();
    }
    hashes
}
