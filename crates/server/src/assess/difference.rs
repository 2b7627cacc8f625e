//! What a sync changed: the names of the packages that a snapshot offers otherwise than the one before.

use content::Mapped;
use domain::catalog::listing::ListingNo;
use sources::apt::index::Index;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::collections::hash_map::{DefaultHasher, HashMap};
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// The names of which the two indexes do not offer the same in the same order.
pub fn changed_names(old: &Index<Mapped>, new: &Index<Mapped>) -> HashSet<String> {
    if old.packages_digest() == new.packages_digest() {
        return HashSet::new();
    }
    side_by_side(old, new).unwrap_or_else(|| by_hashes(old, new))
}

/// Goes through two indexes that have their names in order, as vendors publish them; nothing for others.
fn side_by_side<B: Bytes>(old: &Index<B>, new: &Index<B>) -> Option<HashSet<String>> {
    let mut names = HashSet::new();
    let (mut before, mut after) = (
        old.iter(ListingNo(0)).peekable(),
        new.iter(ListingNo(0)).peekable(),
    );
    let (mut last_before, mut last_after) = ("", "");
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return Some(names),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(gone), Some(come)) => gone.name.cmp(come.name),
        };
        let gone = before.next_if(|_| order.is_le());
        let come = after.next_if(|_| order.is_ge());
        for (offer, last) in [(&gone, &mut last_before), (&come, &mut last_after)] {
            if let Some(offer) = offer {
                if offer.name < *last {
                    return None;
                }
                *last = offer.name;
            }
        }
        if gone != come
            && let Some(offer) = gone.or(come)
            && !names.contains(offer.name)
        {
            names.insert(offer.name.to_owned());
        }
    }
}

fn by_hashes<B: Bytes>(old: &Index<B>, new: &Index<B>) -> HashSet<String> {
    let (old, new) = (by_name(old), by_name(new));
    let gone_or_changed = old.iter().filter(|(name, offers)| new.get(*name) != Some(offers));
    let come = new.keys().filter(|name| !old.contains_key(*name));
    let changed = gone_or_changed.map(|(name, _)| name).chain(come);
    changed.map(|name| (*name).to_owned()).collect()
}

/// The bytes of an index.
trait Bytes: Deref<Target = [u8]> {}
impl<B: Deref<Target = [u8]>> Bytes for B {}

/// All names of an index.
pub fn names(index: &Index<Mapped>) -> impl Iterator<Item = &str> {
    index.iter(ListingNo(0)).map(|offer| offer.name)
}

/// For each name a hash of all that is offered under it, in order.
fn by_name<B: Bytes>(index: &Index<B>) -> HashMap<&str, u64> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::digest::Sha256Digest;
    use proptest::prelude::*;
    use sources::apt::index::IndexBuilder;

    fn index(packages: &[(u8, u8)]) -> Index<Vec<u8>> {
        let mut text = String::new();
        for (name, version) in packages {
            text += &format!("Package: p{name}\nVersion: {version}\nArchitecture: all\n\n");
        }
        let mut builder = IndexBuilder::new();
        builder.push(text.as_bytes()).expect("stanzas are short");
        let compiled = builder.finish(Sha256Digest([0; 32])).expect("it is small");
        Index::open(compiled.bytes).expect("it was just made")
    }

    proptest! {
        #[test]
        fn side_by_side_finds_what_hashes_find(
            mut old in prop::collection::vec((0..9_u8, 0..3_u8), 0..12),
            mut new in prop::collection::vec((0..9_u8, 0..3_u8), 0..12),
        ) {
            // Two versions of one name may change their places.
            old.sort_by_key(|(name, _)| *name);
            new.sort_by_key(|(name, _)| *name);
            let (old, new) = (index(&old), index(&new));
            prop_assert_eq!(side_by_side(&old, &new), Some(by_hashes(&old, &new)));
        }
    }

    #[test]
    fn indexes_out_of_order_are_compared_by_hashes() {
        let (one, other) = (index(&[(2, 1), (1, 1)]), index(&[(1, 1), (2, 2)]));
        assert_eq!(side_by_side(&one, &other), None);
        assert_eq!(by_hashes(&one, &other), HashSet::from(["p2".to_owned()]));
    }
}
