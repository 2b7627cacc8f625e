//! Sources: upstream feeds, known by what they say and who signs them, never by an address. A source is everybody's or one
//! tenant's own; proposed ones wait for a person.

use crate::value::{Row, values, words};
use crate::{Change, Error, Owner, Scope, Tx, View, Whole};
use domain::digest::Sha256Digest;
use domain::id::SourceId;
use jiff::Timestamp;

words! {
    /// What a source speaks.
    pub enum SourceKind {
        /// An apt repository.
        Apt = "apt",
        /// An rpm repository.
        Rpm = "rpm",
        /// An apt repository that only hosts reach, carried by their agents.
        Carried = "carried",
    }
}

words! {
    /// Whether a source is used.
    pub enum SourceState {
        /// Some host uses it and nobody decided yet.
        Proposed = "proposed",
        /// It is synced, and answers for packages.
        Adopted = "adopted",
        /// It was adopted and rests: no syncs, its snapshots stay.
        Paused = "paused",
        /// A person declined it; it is not proposed again.
        Declined = "declined",
    }
}

/// A source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Whose it is.
    pub owner: Owner,
    /// Its id.
    pub id: SourceId,
    /// What it speaks.
    pub kind: SourceKind,
    /// Whether it is used.
    pub state: SourceState,
    /// Its name, for people.
    pub name: String,
    /// Origin, Label, Codename, suite, key set: canonical JSON.
    pub identity: String,
    /// SHA-256 over the identity: one owner has it once.
    pub identity_digest: Sha256Digest,
    /// Where it is fetched from, as JSON.
    pub addresses: String,
    /// Its components, as JSON.
    pub components: String,
    /// Its architectures, as JSON.
    pub architectures: String,
    /// When it is synced, as JSON.
    pub schedule: String,
    /// Its credentials, sealed.
    pub credentials_sealed: Option<Vec<u8>>,
    /// When it is to be synced next.
    pub next_sync_at: Option<Timestamp>,
    /// When it was tried last.
    pub last_sync_at: Option<Timestamp>,
    /// When that last went well.
    pub last_success_at: Option<Timestamp>,
    /// What came of it, as JSON.
    pub last_outcome: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts what was decided about it.
    pub version: i64,
}

const COLUMNS: &str = "owner, id, kind, state, name, identity, identity_digest, addresses, components, architectures, \
    schedule, credentials_sealed, next_sync_at, last_sync_at, last_success_at, last_outcome, created_at, version";

fn read(row: &Row) -> Result<Source, Error> {
    let mut columns = row.columns();
    Ok(Source {
        owner: columns.next()?,
        id: columns.next()?,
        kind: columns.next()?,
        state: columns.next()?,
        name: columns.next()?,
        identity: columns.next()?,
        identity_digest: columns.next()?,
        addresses: columns.next()?,
        components: columns.next()?,
        architectures: columns.next()?,
        schedule: columns.next()?,
        credentials_sealed: columns.next()?,
        next_sync_at: columns.next()?,
        last_sync_at: columns.next()?,
        last_success_at: columns.next()?,
        last_outcome: columns.next()?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}

/// What people decide about a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceEdit {
    /// What it speaks, and who fetches it.
    pub kind: SourceKind,
    /// Whether it is used.
    pub state: SourceState,
    /// Its name.
    pub name: String,
    /// Where it is fetched from, as JSON.
    pub addresses: String,
    /// Its components, as JSON.
    pub components: String,
    /// Its architectures, as JSON.
    pub architectures: String,
    /// When it is synced, as JSON.
    pub schedule: String,
    /// Its credentials, sealed.
    pub credentials_sealed: Option<Vec<u8>>,
    /// When it is to be synced next.
    pub next_sync_at: Option<Timestamp>,
}

/// A source to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSource {
    /// Its id.
    pub id: SourceId,
    /// Canonical JSON.
    pub identity: String,
    /// SHA-256 over it.
    pub identity_digest: Sha256Digest,
    /// The rest.
    pub edit: SourceEdit,
}

/// Adds a source for everybody. `false` where there is one of this identity.
///
/// # Errors
/// Of the database.
pub fn create_shared(tx: &mut Tx, _: &Whole, new: &NewSource, now: Timestamp) -> Result<bool, Error> {
    insert(tx, Owner::Shared, new, now)
}

/// Adds a source of the tenant's own. `false` where it has one of this identity.
///
/// # Errors
/// Of the database.
pub fn create(tx: &mut Tx, scope: &Scope, new: &NewSource, now: Timestamp) -> Result<bool, Error> {
    insert(tx, scope.owner(), new, now)
}

fn insert(tx: &mut Tx, owner: Owner, new: &NewSource, now: Timestamp) -> Result<bool, Error> {
    let edit = &new.edit;
    let added = tx.execute(
        "INSERT INTO sources (owner, id, kind, state, name, identity, identity_digest, addresses, components,
             architectures, schedule, credentials_sealed, next_sync_at, last_outcome, created_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, '{}', $14, 1)
         ON CONFLICT (owner, identity_digest) DO NOTHING",
        values![
            owner,
            new.id,
            edit.kind,
            edit.state,
            &edit.name,
            &new.identity,
            new.identity_digest,
            &edit.addresses,
            &edit.components,
            &edit.architectures,
            &edit.schedule,
            edit.credentials_sealed.clone(),
            edit.next_sync_at,
            now
        ],
    )?;
    Ok(added == 1)
}

/// A source that the tenant sees: everybody's, or its own.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: SourceId) -> Result<Option<Source>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM sources WHERE owner IN ($1, $2) AND id = $3"),
        values![Owner::Shared, scope, id],
        read,
    )
}

/// Any source.
///
/// # Errors
/// Of the database.
pub fn find(view: &mut View, _: &Whole, id: SourceId) -> Result<Option<Source>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM sources WHERE id = $1"),
        values![id],
        read,
    )
}

/// The sources that the tenant sees, in this state or any: everybody's first, then its own, each in the order of ids.
///
/// # Errors
/// Of the database.
pub fn all(view: &mut View, scope: &Scope, state: Option<SourceState>) -> Result<Vec<Source>, Error> {
    let mut values = values![Owner::Shared, scope];
    values.extend(state.map(Into::into));
    let in_state = if state.is_some() { "AND state = $3" } else { "" };
    view.list(
        format!("SELECT {COLUMNS} FROM sources WHERE owner IN ($1, $2) {in_state} ORDER BY owner, id"),
        values,
        read,
    )
}

/// Every source of the server and its tenants, in the order of owners and ids.
///
/// # Errors
/// Of the database.
pub fn all_of_server(view: &mut View, _: &Whole) -> Result<Vec<Source>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM sources ORDER BY owner, id"),
        values![],
        read,
    )
}

/// The source of this identity.
///
/// # Errors
/// Of the database.
pub fn by_identity(
    view: &mut View,
    _: &Whole,
    owner: Owner,
    identity: Sha256Digest,
) -> Result<Option<Source>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM sources WHERE owner = $1 AND identity_digest = $2"),
        values![owner, identity],
        read,
    )
}

/// Adopted sources whose sync is due, the longest due first; also those that were last synced at a time still to come:
/// then a clock was wrong, and what it planned counts for nothing.
///
/// # Errors
/// Of the database.
pub fn due(view: &mut View, _: &Whole, now: Timestamp, limit: u32) -> Result<Vec<Source>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM sources WHERE state = $1 AND (next_sync_at <= $2 OR last_sync_at > $2)
             ORDER BY next_sync_at, id LIMIT $3"
        ),
        values![SourceState::Adopted, now, limit],
        read,
    )
}

/// Changes a source for everybody if it is still at this version.
///
/// # Errors
/// Of the database.
pub fn edit_shared(
    tx: &mut Tx,
    whole: &Whole,
    id: SourceId,
    version: i64,
    edit: &SourceEdit,
) -> Result<Change<Source>, Error> {
    let changed = change(tx, Owner::Shared, id, version, edit)?;
    Change::of(changed, || find(tx, whole, id))
}

/// Changes a source of the tenant's own if it is still at this version.
///
/// # Errors
/// Of the database.
pub fn edit(
    tx: &mut Tx,
    scope: &Scope,
    id: SourceId,
    version: i64,
    edit: &SourceEdit,
) -> Result<Change<Source>, Error> {
    let changed = change(tx, scope.owner(), id, version, edit)?;
    Change::of(changed, || get(tx, scope, id))
}

fn change(
    tx: &mut Tx,
    owner: Owner,
    id: SourceId,
    version: i64,
    edit: &SourceEdit,
) -> Result<Option<Source>, Error> {
    tx.find(
        format!(
            "UPDATE sources SET state = $4, name = $5, addresses = $6, components = $7, architectures = $8,
                 schedule = $9, credentials_sealed = $10, next_sync_at = $11, kind = $12, version = version + 1
             WHERE owner = $1 AND id = $2 AND version = $3 RETURNING {COLUMNS}"
        ),
        values![
            owner,
            id,
            version,
            edit.state,
            &edit.name,
            &edit.addresses,
            &edit.components,
            &edit.architectures,
            &edit.schedule,
            edit.credentials_sealed.clone(),
            edit.next_sync_at,
            edit.kind
        ],
        read,
    )
}

/// What came of a sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncNote {
    /// When it was tried.
    pub at: Timestamp,
    /// Whether it went well.
    pub went: Went,
    /// What there is to say, as JSON.
    pub outcome: String,
    /// When it is to be tried next.
    pub next_sync_at: Option<Timestamp>,
}

/// Whether a sync went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Went {
    /// It did.
    Well,
    /// It did not; the snapshot in force stays.
    Wrong,
}

/// Notes what came of a sync. The source's version stays: this is observation. Whether there is such a source.
///
/// # Errors
/// Of the database.
pub fn note_sync(tx: &mut Tx, _: &Whole, id: SourceId, note: &SyncNote) -> Result<bool, Error> {
    let success = (note.went == Went::Well).then_some(note.at);
    let noted = tx.execute(
        "UPDATE sources SET last_sync_at = $2, last_success_at = COALESCE($3, last_success_at), last_outcome = $4,
             next_sync_at = $5
         WHERE id = $1",
        values![id, note.at, success, &note.outcome, note.next_sync_at],
    )?;
    Ok(noted == 1)
}

/// Asks for a sync at the next opportunity. Whether the source is adopted.
///
/// # Errors
/// Of the database.
pub fn ask_for_sync(tx: &mut Tx, scope: &Scope, id: SourceId, now: Timestamp) -> Result<bool, Error> {
    let asked = tx.execute(
        "UPDATE sources SET next_sync_at = $4 WHERE owner IN ($1, $2) AND id = $3 AND state = $5",
        values![Owner::Shared, scope, id, now, SourceState::Adopted],
    )?;
    Ok(asked == 1)
}

/// Asks for a sync of every adopted source, whoever owns it. How many there are.
///
/// # Errors
/// Of the database.
pub fn ask_for_all_syncs(tx: &mut Tx, _: &Whole, now: Timestamp) -> Result<u64, Error> {
    tx.execute(
        "UPDATE sources SET next_sync_at = $1 WHERE state = $2",
        values![now, SourceState::Adopted],
    )
}
