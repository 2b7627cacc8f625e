//! Chosen packages put together as an order names them: by snapshot, with the index files that list them, and every file by
//! its digest.

use super::former::{of_place, package_file, way_back};
use super::places::{Chosen, Place, Places};
use super::{Below, NeededFile, Resolved, Unresolved};
use crate::assess::moment::Moment;
use content::Store;
use domain::digest::Sha256Digest;
use domain::order::{OrderedIndex, OrderedPackage, OrderedSnapshot};
use std::collections::BTreeMap;

/// Puts them together.
///
/// # Errors
/// [`Unresolved::Unknown`] where a file that is needed is not here any more, or said nowhere.
pub(super) fn put(
    moment: &Moment,
    places: &Places,
    mut chosen: Vec<Chosen>,
    content: &Store,
) -> Result<Resolved, Unresolved> {
    chosen.sort_by(|one, other| (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture)));
    let (way_back, mut former) = way_back(places, &chosen, content)?;
    let mut files: BTreeMap<Sha256Digest, NeededFile> = BTreeMap::new();
    let mut packages = Vec::with_capacity(chosen.len());
    for one in &chosen {
        let file = package_file(places, one)?;
        packages.push(OrderedPackage {
            name: one.name.clone(),
            architecture: one.architecture.clone(),
            version: one.version.clone(),
            from: one.from.clone(),
            sha256: one.sha256,
            size_bytes: file.size_bytes,
        });
        files.entry(file.sha256).or_insert(file);
    }
    let mut by_snapshot: BTreeMap<(usize, Sha256Digest), Vec<&Chosen>> = BTreeMap::new();
    for one in &chosen {
        by_snapshot
            .entry(of_place(places, one.place))
            .or_default()
            .push(one);
    }
    let mut snapshots = Vec::with_capacity(by_snapshot.len());
    for ((source, _), of_snapshot) in by_snapshot {
        let resolved = &moment.channels.sources[source];
        let stanza = &moment.channels.host.config.stanzas[resolved.stanzas[0]];
        let listing: Vec<&Place> = of_snapshot.iter().map(|one| places.get(one.place)).collect();
        let indexes = indexes(&listing);
        for file in release_files(listing[0], content)?
            .into_iter()
            .chain(index_files(listing[0], &indexes))
        {
            files.entry(file.sha256).or_insert(file);
        }
        snapshots.push(OrderedSnapshot {
            address: stanza.uri.as_str().into(),
            suite: stanza.suite.as_str().into(),
            release: listing[0].kept.release_digest,
            signature: listing[0].kept.signature_digest,
            indexes,
        });
    }
    let files: Vec<NeededFile> = files.into_values().collect();
    former.retain(|file| {
        files
            .binary_search_by_key(&file.sha256, |file| file.sha256)
            .is_err()
    });
    Ok(Resolved {
        snapshots,
        packages,
        removals: Vec::new(),
        bytes: files.iter().map(|file| file.size_bytes).sum(),
        files,
        way_back,
        former,
    })
}

/// The index files of one snapshot that list these packages, and those of their components for all architectures, which apt
/// reads beside every other.
fn indexes(listing: &[&Place]) -> Vec<OrderedIndex> {
    let mut indexes: BTreeMap<&str, OrderedIndex> = BTreeMap::new();
    for place in listing {
        let beside = place.kept.indexes.iter().filter(|index| {
            *index == &place.index
                || (index.component == place.index.component && index.architecture == "all")
        });
        for published in beside.filter_map(|index| index.published.as_ref()) {
            indexes.insert(
                &published.path,
                OrderedIndex {
                    path: published.path.as_str().into(),
                    sha256: published.digest,
                    size_bytes: published.size_bytes,
                },
            );
        }
    }
    indexes.into_values().collect()
}

fn index_files(of: &Place, indexes: &[OrderedIndex]) -> Vec<NeededFile> {
    let file = |index: &OrderedIndex| NeededFile {
        sha256: index.sha256,
        size_bytes: index.size_bytes,
        source: of.id,
        path: index.path.to_string(),
        below: Below::Release,
        release: of.kept.release_digest,
    };
    indexes.iter().map(file).collect()
}

/// The release file, and its signature where that stands beside it.
fn release_files(of: &Place, content: &Store) -> Result<Vec<NeededFile>, Unresolved> {
    let named = match of.kept.signature_digest {
        None => vec![("InRelease", of.kept.release_digest)],
        Some(signature) => vec![("Release", of.kept.release_digest), ("Release.gpg", signature)],
    };
    let file = |(path, sha256): (&str, Sha256Digest)| {
        let gone = || Unresolved::Unknown(format!("the file {path} of a source is not here any more"));
        let bytes = content.map(&sha256).ok().flatten().ok_or_else(gone)?;
        Ok(NeededFile {
            sha256,
            size_bytes: bytes.len() as u64,
            source: of.id,
            path: path.to_owned(),
            below: Below::Release,
            release: of.kept.release_digest,
        })
    };
    named.into_iter().map(file).collect()
}
