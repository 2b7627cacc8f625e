//! The sources that are adopted, each with its snapshot in force, as the assessment uses them.

use domain::catalog::source::KnownSource;
use domain::catalog::update::Publisher;
use domain::id::{SnapshotId, SourceId};
use jiff::Timestamp;
use sources::apt::snapshot::Kept;
use std::collections::HashMap;

/// An adopted source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInForce {
    /// Its id, name and keys.
    pub known: KnownSource<SourceId>,
    /// Who publishes what it lists. It stays as it was when the source was adopted.
    pub publisher: Publisher,
    /// Whose source it is.
    pub owner: store::Owner,
    /// The snapshot in force.
    pub snapshot: Option<SnapshotInForce>,
    /// When a sync last found out what is published there.
    pub reached_at: Option<Timestamp>,
}

/// A snapshot that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInForce {
    /// Its id.
    pub id: SnapshotId,
    /// What is kept of it.
    pub kept: Kept,
}

/// All adopted sources that a tenant may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    known: Vec<KnownSource<SourceId>>,
    sources: HashMap<SourceId, SourceInForce>,
}

impl InForce {
    /// The sources as far as stanzas are matched with them.
    pub fn known(&self) -> &[KnownSource<SourceId>] {
        &self.known
    }

    /// One of them.
    pub fn source(&self, id: SourceId) -> Option<&SourceInForce> {
        self.sources.get(&id)
    }

    /// The same as it was known at an earlier moment: a snapshot that was in force then had been reached then, or when it
    /// was found.
    #[must_use]
    pub fn as_known_at(mut self, at: Timestamp) -> Self {
        for source in self.sources.values_mut() {
            source.reached_at = source.reached_at.map(|reached| reached.min(at));
        }
        self
    }

    /// Whose updates of this publisher are: everybody's if any of its sources is.
    pub fn owner_of(&self, publisher: &Publisher) -> Option<store::Owner> {
        let of_publisher = self.sources().filter(|source| source.publisher == *publisher);
        of_publisher.map(|source| source.owner).min()
    }

    /// All of them, in no order.
    pub fn sources(&self) -> impl Iterator<Item = &SourceInForce> {
        self.sources.values()
    }
}

impl FromIterator<SourceInForce> for InForce {
    /// Of two sources of one name and key, the one with the lower id is meant.
    fn from_iter<I: IntoIterator<Item = SourceInForce>>(sources: I) -> Self {
        let sources: HashMap<_, _> = sources
            .into_iter()
            .map(|source| (source.known.id, source))
            .collect();
        let mut known: Vec<_> = sources.values().map(|source| source.known.clone()).collect();
        known.sort_by_key(|source| source.id);
        Self { known, sources }
    }
}
