//! Snapshots: a source exactly as published at one sync. One is in force at a time; what was in force when stays known.

use crate::value::{Row, values};
use crate::{Error, Owner, Scope, Tx, View, Whole};
use domain::digest::Sha256Digest;
use domain::id::{SnapshotId, SourceId};
use jiff::Timestamp;

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose source it is of.
    pub owner: Owner,
    /// The source.
    pub source: SourceId,
    /// Its id.
    pub id: SnapshotId,
    /// SHA-256 of the release file as signed.
    pub digest: Sha256Digest,
    /// The facts of the release, as canonical JSON.
    pub release: String,
    /// Its indexes by digest, as canonical JSON.
    pub indexes: String,
    /// When it was published: the release's Date.
    pub published_at: Timestamp,
    /// Until when its publisher vouches for it.
    pub valid_until: Option<Timestamp>,
    /// When it came into force here.
    pub adopted_at: Timestamp,
    /// When another took its place.
    pub superseded_at: Option<Timestamp>,
    /// When updates and listings were derived from it.
    pub derived_at: Option<Timestamp>,
}

const COLUMNS: &str = "owner, source_id, id, digest, release, indexes, published_at, valid_until, adopted_at, \
                       superseded_at, derived_at";

/// What stands for the end of what has not ended: beyond every time, so that it compares like one.
const OPEN: i64 = i64::MAX;

fn read(row: &Row) -> Result<Snapshot, Error> {
    let mut columns = row.columns();
    Ok(Snapshot {
        owner: columns.next()?,
        source: columns.next()?,
        id: columns.next()?,
        digest: columns.next()?,
        release: columns.next()?,
        indexes: columns.next()?,
        published_at: columns.next()?,
        valid_until: columns.next()?,
        adopted_at: columns.next()?,
        superseded_at: Timestamp::from_microsecond(columns.next()?).ok(),
        derived_at: columns.next()?,
    })
}

/// A snapshot to be adopted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSnapshot {
    /// Its id.
    pub id: SnapshotId,
    /// SHA-256 of the release file as signed.
    pub digest: Sha256Digest,
    /// The facts of the release.
    pub release: String,
    /// Its indexes.
    pub indexes: String,
    /// When it was published.
    pub published_at: Timestamp,
    /// Until when its publisher vouches for it.
    pub valid_until: Option<Timestamp>,
}

/// What came of an adoption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// It is in force.
    Now,
    /// It was in force already.
    Already,
    /// One that was published later is in force; it stays.
    Older,
    /// There is no such source.
    NoSource,
}

/// Brings a snapshot into force in the place of the one that is, unless that is newer.
///
/// # Errors
/// Of the database.
pub fn adopt(
    tx: &mut Tx,
    whole: &Whole,
    source: SourceId,
    new: &NewSnapshot,
    now: Timestamp,
) -> Result<Adopted, Error> {
    // Two syncs of one source adopt one after the other.
    let owner = tx.find(
        "UPDATE sources SET id = id WHERE id = $1 RETURNING owner",
        values![source],
        |row| row.get(0),
    )?;
    let Some(owner) = owner else {
        return Ok(Adopted::NoSource);
    };
    let owner: Owner = owner;
    if let Some(current) = in_force_of(tx, whole, source)? {
        // Another component or architecture of the same release is another snapshot.
        if current.digest == new.digest && current.indexes == new.indexes {
            return Ok(Adopted::Already);
        }
        if current.published_at > new.published_at {
            return Ok(Adopted::Older);
        }
        tx.execute(
            "UPDATE snapshots SET superseded_at = $4 WHERE owner = $1 AND source_id = $2 AND id = $3",
            values![owner, source, current.id, now],
        )?;
    }
    tx.execute(
        "INSERT INTO snapshots (owner, source_id, id, digest, release, indexes, published_at, valid_until, adopted_at,
             superseded_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        values![
            owner,
            source,
            new.id,
            new.digest,
            &new.release,
            &new.indexes,
            new.published_at,
            new.valid_until,
            now,
            OPEN
        ],
    )?;
    Ok(Adopted::Now)
}

fn in_force_of(view: &mut View, _: &Whole, source: SourceId) -> Result<Option<Snapshot>, Error> {
    view.find(
        format!(
            "SELECT {COLUMNS} FROM snapshots
             WHERE owner = (SELECT owner FROM sources WHERE id = $1) AND source_id = $1 AND superseded_at = $2"
        ),
        values![source, OPEN],
        read,
    )
}

/// Every snapshot in force, in the order of sources.
///
/// # Errors
/// Of the database.
pub fn in_force(view: &mut View, _: &Whole) -> Result<Vec<Snapshot>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM snapshots WHERE superseded_at = $1 ORDER BY owner, source_id"),
        values![OPEN],
        read,
    )
}

/// Snapshots that updates were not derived from yet, the oldest first.
///
/// # Errors
/// Of the database.
pub fn to_derive(view: &mut View, _: &Whole, limit: u32) -> Result<Vec<Snapshot>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM snapshots WHERE derived_at IS NULL ORDER BY adopted_at, id LIMIT $1"),
        values![limit],
        read,
    )
}

/// Notes that updates were derived from a snapshot.
///
/// # Errors
/// Of the database.
pub fn note_derived(tx: &mut Tx, _: &Whole, snapshot: &Snapshot, now: Timestamp) -> Result<(), Error> {
    tx.execute(
        "UPDATE snapshots SET derived_at = $4 WHERE owner = $1 AND source_id = $2 AND id = $3",
        values![snapshot.owner, snapshot.source, snapshot.id, now],
    )?;
    Ok(())
}

/// The snapshots of a source that the tenant sees, the last adopted first.
///
/// # Errors
/// Of the database.
pub fn of_source(
    view: &mut View,
    scope: &Scope,
    source: SourceId,
    before: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<Snapshot>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM snapshots
             WHERE owner IN ($1, $2) AND source_id = $3 AND adopted_at < $4 ORDER BY adopted_at DESC, id DESC LIMIT $5"
        ),
        values![Owner::Shared, scope, source, before.unwrap_or(Timestamp::MAX), limit],
        read,
    )
}

/// The snapshot with this id, of a source that the tenant sees.
///
/// # Errors
/// Of the database.
pub fn get(
    view: &mut View,
    scope: &Scope,
    source: SourceId,
    id: SnapshotId,
) -> Result<Option<Snapshot>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM snapshots WHERE owner IN ($1, $2) AND source_id = $3 AND id = $4"),
        values![Owner::Shared, scope, source, id],
        read,
    )
}

/// The last adopted snapshot of a source with this release file.
///
/// # Errors
/// Of the database.
pub fn by_digest(
    view: &mut View,
    _: &Whole,
    source: SourceId,
    digest: Sha256Digest,
) -> Result<Option<Snapshot>, Error> {
    view.find(
        format!(
            "SELECT {COLUMNS} FROM snapshots
             WHERE owner = (SELECT owner FROM sources WHERE id = $1) AND source_id = $1 AND digest = $2
             ORDER BY adopted_at DESC, id DESC LIMIT 1"
        ),
        values![source, digest],
        read,
    )
}

/// The snapshots that were in force at this moment, of the sources that the tenant sees.
///
/// # Errors
/// Of the database.
pub fn as_of(view: &mut View, scope: &Scope, at: Timestamp) -> Result<Vec<Snapshot>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM snapshots
             WHERE owner IN ($1, $2) AND adopted_at <= $3 AND superseded_at > $3 ORDER BY owner, source_id"
        ),
        values![Owner::Shared, scope, at],
        read,
    )
}

/// Forgets snapshots that others took the place of before this time; those that were forgotten, at most `limit`.
///
/// # Errors
/// Of the database.
pub fn forget_before(tx: &mut Tx, _: &Whole, before: Timestamp, limit: u32) -> Result<Vec<Snapshot>, Error> {
    tx.list(
        format!(
            "DELETE FROM snapshots WHERE (owner, source_id, id) IN (
                 SELECT owner, source_id, id FROM snapshots
                 WHERE superseded_at < $1 AND derived_at IS NOT NULL LIMIT $2)
             RETURNING {COLUMNS}"
        ),
        values![before, limit],
        read,
    )
}
