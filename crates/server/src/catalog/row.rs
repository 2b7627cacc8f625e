//! Sources and snapshots as the database keeps them: the parts that are JSON there, and what they mean.

use super::fetching::Place;
use crate::assess::force::{InForce, SnapshotInForce, SourceInForce};
use domain::catalog::source::{KnownSource, SourceIdentity};
use domain::catalog::update::Publisher;
use domain::digest::Sha256Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sources::apt::snapshot::{Kept, Published, Snapshot, SnapshotIndex};
use std::collections::{BTreeSet, HashMap};
use store::View;
use store::snapshot as rows;
use store::source::{Source, SourceState};

/// A row that this program did not write, or not so.
#[derive(Debug, thiserror::Error)]
#[error("read {what} of a source or snapshot from the database")]
pub struct BadRow {
    what: &'static str,
    #[source]
    cause: serde_json::Error,
}

/// Who a source is: what its releases call themselves, and the keys that signed when it was first met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityJson {
    /// `Origin`.
    pub origin: String,
    /// `Label`.
    pub label: String,
    /// `Codename`, or `Suite` where there is none.
    pub codename: String,
    /// What tells suites of one codename apart.
    pub pocket: String,
    /// Fingerprints of the certificates that may sign, sorted.
    pub keys: Vec<String>,
}

/// Where a source is fetched from, and with which keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressesJson {
    /// Addresses, the one to ask first at the front.
    pub places: Vec<PlaceJson>,
    /// The key files, which are content.
    pub key_files: BTreeSet<String>,
}

/// One address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlaceJson {
    /// The archive, with a slash at its end.
    pub uri: String,
    /// The suite as it is called there.
    pub suite: String,
}

impl From<PlaceJson> for Place {
    fn from(place: PlaceJson) -> Self {
        Self {
            uri: place.uri,
            suite: place.suite,
        }
    }
}

impl From<&Place> for PlaceJson {
    fn from(place: &Place) -> Self {
        Self {
            uri: place.uri.clone(),
            suite: place.suite.clone(),
        }
    }
}

/// When a source is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleJson {
    /// Seconds from one sync to the next.
    pub every_seconds: u32,
}

impl Default for ScheduleJson {
    fn default() -> Self {
        Self {
            every_seconds: 4 * 3600,
        }
    }
}

/// The facts of a release that are shown without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseJson {
    /// `Origin`.
    pub origin: Option<String>,
    /// `Label`.
    pub label: Option<String>,
    /// `Suite`.
    pub suite: Option<String>,
    /// `Codename`.
    pub codename: Option<String>,
    /// `Version`.
    pub version: Option<String>,
    /// Digest of a signature beside the release file.
    pub signature: Option<String>,
    /// Fingerprints of the certificates that signed it.
    pub signed_by: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct IndexJson {
    component: String,
    architecture: String,
    digest: String,
    size_bytes: u64,
    published: Option<PublishedJson>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PublishedJson {
    path: String,
    digest: String,
    size_bytes: u64,
}

/// Reads one of the JSON columns.
pub fn parse<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, BadRow> {
    serde_json::from_str(text).map_err(|cause| BadRow { what, cause })
}

/// Writes one of the JSON columns.
pub fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("these shapes have text as keys")
}

impl IdentityJson {
    /// Who a source is that calls itself so and is signed by these.
    pub fn new(identity: &SourceIdentity, keys: &BTreeSet<String>) -> Self {
        Self {
            origin: identity.origin.clone(),
            label: identity.label.clone(),
            codename: identity.codename.clone(),
            pocket: identity.pocket.clone(),
            keys: keys.iter().cloned().collect(),
        }
    }

    /// As stanzas are matched with it.
    pub fn known<Id>(&self, id: Id) -> KnownSource<Id> {
        KnownSource {
            id,
            identity: SourceIdentity {
                origin: self.origin.clone(),
                label: self.label.clone(),
                codename: self.codename.clone(),
                pocket: self.pocket.clone(),
            },
            keys: self.keys.iter().cloned().collect(),
        }
    }

    /// As the publisher of updates.
    pub fn publisher(&self) -> Publisher {
        Publisher {
            origin: self.origin.clone(),
            keys: self.keys.clone(),
        }
    }

    /// A name for people.
    pub fn name(&self) -> String {
        let who = if self.label.is_empty() {
            &self.origin
        } else {
            &self.label
        };
        let words = [who.as_str(), self.codename.as_str()];
        let mut name = words
            .iter()
            .filter(|word| !word.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join(" ");
        if !self.pocket.is_empty() && !self.codename.ends_with(&self.pocket) {
            name.push('-');
            name.push_str(&self.pocket);
        }
        name
    }
}

/// What is kept of a snapshot, as its row has it.
pub fn kept(row: &rows::Snapshot) -> Result<Kept, BadRow> {
    let release: ReleaseJson = parse("the release", &row.release)?;
    Ok(Kept {
        release_digest: row.digest,
        signature_digest: release
            .signature
            .and_then(|text| Sha256Digest::parse(text.as_bytes()).ok()),
        indexes: indexes(row)?,
    })
}

/// The indexes of a snapshot.
pub fn indexes(row: &rows::Snapshot) -> Result<Vec<SnapshotIndex>, BadRow> {
    let indexes: Vec<IndexJson> = parse("the indexes", &row.indexes)?;
    let digest = |text: &str| Sha256Digest::parse(text.as_bytes()).ok();
    let read = |index: IndexJson| {
        Some(SnapshotIndex {
            digest: digest(&index.digest)?,
            component: index.component,
            architecture: index.architecture,
            size_bytes: index.size_bytes,
            published: match index.published {
                None => None,
                Some(published) => Some(Published {
                    digest: digest(&published.digest)?,
                    path: published.path,
                    size_bytes: published.size_bytes,
                }),
            },
        })
    };
    Ok(indexes.into_iter().filter_map(read).collect())
}

/// A snapshot to be adopted.
pub fn new_snapshot(id: domain::id::SnapshotId, snapshot: &Snapshot) -> rows::NewSnapshot {
    let facts = snapshot.release.facts();
    let index = |index: &SnapshotIndex| IndexJson {
        component: index.component.clone(),
        architecture: index.architecture.clone(),
        digest: index.digest.to_string(),
        size_bytes: index.size_bytes,
        published: index.published.as_ref().map(|published| PublishedJson {
            path: published.path.clone(),
            digest: published.digest.to_string(),
            size_bytes: published.size_bytes,
        }),
    };
    let indexes: Vec<IndexJson> = snapshot.indexes.iter().map(index).collect();
    rows::NewSnapshot {
        id,
        digest: snapshot.release_digest,
        release: json(&ReleaseJson {
            origin: facts.origin.clone(),
            label: facts.label.clone(),
            suite: facts.suite.clone(),
            codename: facts.codename.clone(),
            version: facts.version.clone(),
            signature: snapshot.signature_digest.map(|digest| digest.to_string()),
            signed_by: snapshot
                .signatures
                .iter()
                .map(|good| good.certificate.clone())
                .collect(),
        }),
        indexes: json(&indexes),
        published_at: facts.date.unwrap_or(jiff::Timestamp::UNIX_EPOCH),
        valid_until: facts.valid_until,
    }
}

/// Why the sources in force could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ForceError {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A row of it.
    #[error(transparent)]
    BadRow(#[from] BadRow),
}

/// The adopted sources that a tenant sees, with these snapshots. One that rests keeps answering, until it is too old.
pub fn in_force(
    view: &mut View,
    scope: &store::Scope,
    snapshots: Vec<rows::Snapshot>,
) -> Result<InForce, ForceError> {
    let mut by_source: HashMap<_, _> = snapshots
        .into_iter()
        .map(|snapshot| (snapshot.source, snapshot))
        .collect();
    let sources = store::source::all(view, scope, None)?;
    let used = sources
        .into_iter()
        .filter(|source| matches!(source.state, SourceState::Adopted | SourceState::Paused));
    used.map(|source| {
        let snapshot = by_source.remove(&source.id);
        Ok(source_in_force(&source, snapshot.as_ref())?)
    })
    .collect()
}

fn source_in_force(source: &Source, snapshot: Option<&rows::Snapshot>) -> Result<SourceInForce, BadRow> {
    let identity: IdentityJson = parse("the identity", &source.identity)?;
    Ok(SourceInForce {
        known: identity.known(source.id),
        publisher: identity.publisher(),
        owner: source.owner,
        snapshot: match snapshot {
            None => None,
            Some(row) => Some(SnapshotInForce {
                id: row.id,
                kept: kept(row)?,
            }),
        },
        reached_at: source.last_success_at,
    })
}
