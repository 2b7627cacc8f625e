//! The package indexes that a host's packages may come from: those of its sources in force, numbered as the assessment numbers
//! them, and behind them those of earlier snapshots that are still here.

use super::Unresolved;
use crate::assess::moment::Moment;
use crate::catalog::row;
use content::{Mapped, Store};
use domain::catalog::listing::ListingNo;
use domain::catalog::offer::Offer;
use domain::catalog::source::Match;
use domain::catalog::update::UpdateId;
use domain::digest::Sha256Digest;
use domain::id::SourceId;
use domain::version::deb::split_rebuild;
use sources::apt::answer::ReadableIndex;
use sources::apt::details::{Detail, Details};
use sources::apt::index::Index;
use sources::apt::snapshot::{Kept, SnapshotIndex};
use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

/// Earlier snapshots of one source that are looked at.
pub(super) const MOST_PAST: u32 = 60;

/// An earlier snapshot of one of the host's sources.
#[derive(Clone, Debug)]
pub(super) struct Past {
    /// The place of the source among the host's.
    source: usize,
    kept: Kept,
}

/// An index.
#[derive(Debug)]
pub(super) struct Place {
    /// The place of its source among the host's.
    pub source: usize,
    /// The source.
    pub id: SourceId,
    /// What is kept of its snapshot.
    pub kept: Kept,
    /// The index itself.
    pub index: SnapshotIndex,
    compiled: Arc<Index<Mapped>>,
    details: OnceCell<Details<Mapped>>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Places {
    current: Vec<Place>,
    earlier: Vec<Past>,
    /// Opened when something is not among the others: a source has many of them.
    past: OnceCell<Vec<Place>>,
    publishers: Vec<domain::catalog::update::Publisher>,
    content: Store,
}

/// Which of them: first those in force, then those behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlaceNo(usize);

/// A package that is to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// Where it is listed.
    pub place: PlaceNo,
    pub name: Box<str>,
    pub architecture: Box<str>,
    pub version: Box<str>,
    /// What it replaces.
    pub from: Option<Box<str>>,
    pub sha256: Sha256Digest,
    pub multi_arch: u8,
}

/// The sources that the host's stanzas mean.
pub(super) fn sources_of(moment: &Moment) -> Vec<SourceId> {
    let sources = moment.channels.sources.iter();
    let mut ids: Vec<SourceId> = sources.filter_map(|source| matched(&source.matched)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn matched(found: &Match<SourceId>) -> Option<SourceId> {
    match found {
        Match::Source(id) => Some(*id),
        Match::New | Match::OtherKeys(_) | Match::Unnamed => None,
    }
}

/// The earlier snapshots among these rows, the last first; one that cannot be read is as good as gone.
pub(super) fn past(moment: &Moment, rows: Vec<store::snapshot::Snapshot>) -> Vec<Past> {
    let earlier = rows.into_iter().filter(|row| row.superseded_at.is_some());
    earlier
        .filter_map(|row| {
            let of =
                |source: &crate::assess::channels::Resolved| matched(&source.matched) == Some(row.source);
            let source = moment.channels.sources.iter().position(of)?;
            let kept = row::kept(&row).ok()?;
            Some(Past { source, kept })
        })
        .collect()
}

impl Places {
    pub(super) fn of(moment: &Moment, past: Vec<Past>, content: &Store) -> Self {
        let mut places = Self {
            current: Vec::new(),
            earlier: past,
            past: OnceCell::new(),
            publishers: moment
                .channels
                .sources
                .iter()
                .map(|source| source.publisher.clone())
                .collect(),
            content: content.clone(),
        };
        for (source, resolved) in moment.channels.sources.iter().enumerate() {
            let (Ok(answer), Some(id)) = (&resolved.answer, matched(&resolved.matched)) else {
                continue;
            };
            let known = moment
                .in_force
                .source(id)
                .and_then(|known| known.snapshot.as_ref());
            let kept = &known.expect("a source without a snapshot does not answer").kept;
            for listing in &answer.listings {
                let Ok(readable) = &listing.outcome else { continue };
                places.current.push(Place {
                    source,
                    id,
                    kept: kept.clone(),
                    index: index_of(kept, &listing.component, &listing.architecture)
                        .expect("what answers is of the snapshot")
                        .clone(),
                    compiled: Arc::clone(&readable.index),
                    details: OnceCell::new(),
                });
            }
        }
        places
    }

    /// The indexes of earlier snapshots that no later one has too, the last first.
    fn past(&self) -> &[Place] {
        self.past.get_or_init(|| {
            let mut past = Vec::new();
            let current = self
                .current
                .iter()
                .map(|place| (place.source, place.index.digest));
            let mut seen: HashSet<(usize, Sha256Digest)> = current.collect();
            for earlier in &self.earlier {
                for used in self.current.iter().filter(|place| place.source == earlier.source) {
                    let (component, architecture) = (&used.index.component, &used.index.architecture);
                    let Some(index) = index_of(&earlier.kept, component, architecture) else {
                        continue;
                    };
                    if !seen.insert((earlier.source, index.digest)) {
                        continue;
                    }
                    // What was swept meanwhile offers nothing any more.
                    if let Ok(Some(readable)) = ReadableIndex::open(&self.content, index.digest) {
                        past.push(Place {
                            source: earlier.source,
                            id: used.id,
                            kept: earlier.kept.clone(),
                            index: index.clone(),
                            compiled: readable.index,
                            details: OnceCell::new(),
                        });
                    }
                }
            }
            past
        })
    }

    /// The place of a listing, as the assessment numbers them.
    pub(super) fn listed(&self, number: ListingNo) -> PlaceNo {
        PlaceNo(usize::from(number.0))
    }

    pub(super) fn get(&self, number: PlaceNo) -> &Place {
        match number.0.checked_sub(self.current.len()) {
            None => &self.current[number.0],
            Some(past) => &self.past()[past],
        }
    }

    /// Those in force.
    pub(super) fn current(&self) -> impl Iterator<Item = (PlaceNo, &Place)> {
        self.current
            .iter()
            .enumerate()
            .map(|(at, place)| (PlaceNo(at), place))
    }

    /// Those in force, then the others, the last first.
    pub(super) fn all(&self) -> impl Iterator<Item = (PlaceNo, &Place)> {
        let past = std::iter::once_with(|| self.past()).flatten();
        let places = self.current.iter().chain(past);
        places.enumerate().map(|(at, place)| (PlaceNo(at), place))
    }

    /// Whether a place is of a snapshot in force.
    pub(super) fn is_current(&self, number: PlaceNo) -> bool {
        number.0 < self.current.len()
    }

    /// The update that an offer of a listing belongs to.
    pub(super) fn update_of(&self, offer: &Offer<'_>) -> UpdateId {
        self.update_at(self.listed(offer.listing), offer)
    }

    /// The update that an offer of this place belongs to.
    pub(super) fn update_at(&self, place: PlaceNo, offer: &Offer<'_>) -> UpdateId {
        UpdateId {
            publisher: self.publishers[self.get(place).source].clone(),
            source: offer.source.to_owned(),
            source_version: offer.source_version.to_owned(),
            build: split_rebuild(offer.version).1.to_owned(),
        }
    }

    /// What the index says of a chosen package.
    pub(super) fn detail(&self, chosen: &Chosen) -> Result<Detail<'_>, Unresolved> {
        let details = self.details(self.get(chosen.place))?;
        let is_it = |detail: &Detail<'_>| {
            detail.architecture == &*chosen.architecture
                && detail.version == &*chosen.version
                && detail.sha256 == chosen.sha256
        };
        let found = details.find(&chosen.name, is_it);
        found.ok_or_else(|| {
            let (name, version) = (&chosen.name, &chosen.version);
            Unresolved::Unknown(format!(
                "the package list of its source does not say where {name} {version} is"
            ))
        })
    }

    /// The details of a place, made where nobody has asked for them yet.
    pub(super) fn details<'p>(&self, place: &'p Place) -> Result<&'p Details<Mapped>, Unresolved> {
        if let Some(known) = place.details.get() {
            return Ok(known);
        }
        let made = Details::of(&self.content, &place.index)?;
        Ok(place.details.get_or_init(|| made))
    }
}

impl Place {
    /// What it offers under a name.
    pub(super) fn offers<'p>(&'p self, name: &'p str) -> impl Iterator<Item = Offer<'p>> {
        self.compiled.offers(name, ListingNo(0))
    }
}

fn index_of<'k>(kept: &'k Kept, component: &str, architecture: &str) -> Option<&'k SnapshotIndex> {
    (kept.indexes.iter()).find(|index| index.component == component && index.architecture == architecture)
}
