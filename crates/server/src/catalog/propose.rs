//! Sources that hosts use and nobody decided about become rows that wait for a person; adopted ones learn which components
//! and architectures hosts use of them. An adopted source's addresses and keys are the administrator's: no host adds any.

use super::row::{self, AddressesJson, BadRow, IdentityJson, PlaceJson, ScheduleJson};
use super::wish::Wish;
use crate::clock::draw;
use crate::context::Context;
use crate::start::millis;
use content::Expected;
use domain::catalog::source::{Asked, KnownSource, Match, find};
use domain::digest::Sha256Digest;
use domain::id::SourceId;
use jiff::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use store::source::{self, NewSource, Source, SourceEdit, SourceKind, SourceState};
use store::{Owner, Scope, Tx, Whole};

/// Most components, architectures and addresses that are taken from hosts.
const MOST_WORDS: usize = 64;

/// Why wishes were not noted.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A row of it.
    #[error(transparent)]
    BadRow(#[from] BadRow),
    /// The content store.
    #[error("keep a key file of a proposed source")]
    Content(#[from] content::InsertError),
}

/// Notes what hosts of a tenant want. `key_files` are those that the wishes name. How many sources are new.
pub async fn note(
    context: &Context,
    scope: Scope,
    wishes: Vec<Wish>,
    key_files: &HashMap<Sha256Digest, Arc<[u8]>>,
) -> Result<usize, ProposeError> {
    let now = context.clock.now();
    for digest in wishes.iter().flat_map(|wish| &wish.key_files) {
        if let Some(bytes) = key_files.get(digest) {
            let limit = Expected::AtMost {
                size_bytes: bytes.len() as u64,
            };
            context.content.insert(&**bytes, limit)?;
        }
    }
    let ids: Vec<SourceId> = wishes
        .iter()
        .map(|_| SourceId::new(millis(now), draw(&*context.chance)))
        .collect();
    context
        .db
        .attempt(move |tx| {
            let mut noting = Noting::read(tx, scope)?;
            for (wish, id) in wishes.iter().zip(&ids) {
                noting.note(tx, wish, *id, now)?;
            }
            Ok(noting.new)
        })
        .await
}

struct Noting {
    scope: Scope,
    sources: HashMap<SourceId, Source>,
    known: Vec<KnownSource<SourceId>>,
    new: usize,
}

impl Noting {
    fn read(tx: &mut Tx, scope: Scope) -> Result<Self, ProposeError> {
        let rows = source::all(tx, &scope, None)?;
        let known = rows.iter().map(|row| {
            let identity: IdentityJson = row::parse("the identity", &row.identity)?;
            Ok::<_, BadRow>(identity.known(row.id))
        });
        let mut known: Vec<_> = known.collect::<Result<_, _>>()?;
        let sources: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
        // What is decided comes before what waits.
        known.sort_by_key(|known| (sources[&known.id].state == SourceState::Proposed, known.id));
        Ok(Self {
            scope,
            sources,
            known,
            new: 0,
        })
    }

    fn note(&mut self, tx: &mut Tx, wish: &Wish, id: SourceId, now: Timestamp) -> Result<(), ProposeError> {
        let asked = Asked {
            identity: Some(wish.identity.clone()),
            keys: wish.keys.clone(),
        };
        match find(&asked, &self.known) {
            Match::Source(known) => self.extend(tx, wish, known, now),
            Match::New | Match::OtherKeys(_) | Match::Unnamed => self.propose(tx, wish, id, now),
        }
    }

    fn propose(
        &mut self,
        tx: &mut Tx,
        wish: &Wish,
        id: SourceId,
        now: Timestamp,
    ) -> Result<(), ProposeError> {
        let identity = IdentityJson::new(&wish.identity, &wish.keys);
        let text = row::json(&identity);
        let new = NewSource {
            id,
            identity_digest: content::sha256(text.as_bytes()),
            identity: text,
            edit: SourceEdit {
                kind: SourceKind::Apt,
                state: SourceState::Proposed,
                name: identity.name(),
                addresses: row::json(&AddressesJson {
                    places: vec![PlaceJson::from(&wish.place)],
                    key_files: wish.key_files.iter().map(ToString::to_string).collect(),
                }),
                components: row::json(&wish.components),
                architectures: row::json(&wish.architectures),
                schedule: row::json(&ScheduleJson::default()),
                credentials_sealed: None,
                next_sync_at: None,
            },
        };
        if source::create(tx, &self.scope, &new, now)?
            && let Some(row) = source::get(tx, &self.scope, id)?
        {
            self.known.push(identity.known(id));
            self.sources.insert(id, row);
            self.new += 1;
        }
        Ok(())
    }

    fn extend(&mut self, tx: &mut Tx, wish: &Wish, id: SourceId, now: Timestamp) -> Result<(), ProposeError> {
        let Some(row) = self.sources.get(&id) else {
            return Ok(());
        };
        if row.state == SourceState::Declined {
            return Ok(());
        }
        let mut edit = edit_of(row);
        let grown = grow(&mut edit.components, &wish.components)?
            | grow(&mut edit.architectures, &wish.architectures)?;
        let mut addresses: AddressesJson = row::parse("the addresses", &row.addresses)?;
        let place = PlaceJson::from(&wish.place);
        let is_new_place = row.state == SourceState::Proposed
            && addresses.places.len() < MOST_WORDS
            && !addresses.places.contains(&place);
        if is_new_place {
            addresses.places.push(place);
            edit.addresses = row::json(&addresses);
        }
        if grown == Grown::Not && !is_new_place {
            return Ok(());
        }
        if row.state == SourceState::Adopted {
            edit.next_sync_at = Some(now);
        }
        let changed = match row.owner {
            Owner::Shared => source::edit_shared(tx, &Whole::server(), id, row.version, &edit)?,
            Owner::Tenant(_) => source::edit(tx, &self.scope, id, row.version, &edit)?,
        };
        if let Some(row) = changed.changed() {
            self.sources.insert(id, row);
        }
        Ok(())
    }
}

/// A source's row as an edit that changes nothing.
pub fn edit_of(row: &Source) -> SourceEdit {
    SourceEdit {
        kind: row.kind,
        state: row.state,
        name: row.name.clone(),
        addresses: row.addresses.clone(),
        components: row.components.clone(),
        architectures: row.architectures.clone(),
        schedule: row.schedule.clone(),
        credentials_sealed: row.credentials_sealed.clone(),
        next_sync_at: row.next_sync_at,
    }
}

/// Whether words were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grown {
    By,
    Not,
}

impl std::ops::BitOr for Grown {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        match (self, other) {
            (Self::Not, Self::Not) => Self::Not,
            _ => Self::By,
        }
    }
}

fn grow(json: &mut String, words: &BTreeSet<String>) -> Result<Grown, BadRow> {
    let mut all: BTreeSet<String> = row::parse("the words", json)?;
    let before = all.len();
    for word in words {
        if all.len() < MOST_WORDS {
            all.insert(word.clone());
        }
    }
    if all.len() == before {
        return Ok(Grown::Not);
    }
    *json = row::json(&all);
    Ok(Grown::By)
}
