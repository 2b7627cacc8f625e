//! Which backups were made, when and where to.

use crate::value::{Row, values, words};
use crate::{Error, Tx, View, Whole};
use domain::digest::Sha256Digest;
use domain::id::BackupId;
use jiff::Timestamp;

words! {
    /// What came of a backup.
    pub enum BackupOutcome {
        /// It is being made, or the server stopped while it was.
        Begun = "begun",
        /// It is whole.
        Complete = "complete",
        /// It is not.
        Failed = "failed",
    }
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its id.
    pub id: BackupId,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it was made.
    pub reason: String,
    /// Where it is.
    pub place: String,
    /// What came of it.
    pub outcome: BackupOutcome,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256 of its manifest.
    pub manifest_digest: Option<Sha256Digest>,
}

const COLUMNS: &str = "id, started_at, ended_at, reason, place, outcome, size_bytes, manifest_digest";

fn read(row: &Row) -> Result<Backup, Error> {
    let mut columns = row.columns();
    Ok(Backup {
        id: columns.next()?,
        started_at: columns.next()?,
        ended_at: columns.next()?,
        reason: columns.next()?,
        place: columns.next()?,
        outcome: columns.next()?,
        size_bytes: columns.next()?,
        manifest_digest: columns.next()?,
    })
}

/// Notes that a backup is begun.
///
/// # Errors
/// [`Error::Taken`] where the id is.
pub fn begin(
    tx: &mut Tx,
    _: &Whole,
    id: BackupId,
    reason: &str,
    place: &str,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO backups (id, started_at, reason, place, outcome, size_bytes) VALUES ($1, $2, $3, $4, $5, 0)",
        values![id, now, reason, place, BackupOutcome::Begun],
    )?;
    Ok(())
}

/// Notes what came of a backup. Whether it was begun and not ended.
///
/// # Errors
/// Of the database.
pub fn end(
    tx: &mut Tx,
    _: &Whole,
    id: BackupId,
    outcome: BackupOutcome,
    size_bytes: u64,
    manifest_digest: Option<Sha256Digest>,
    now: Timestamp,
) -> Result<bool, Error> {
    let ended = tx.execute(
        "UPDATE backups SET ended_at = $2, outcome = $3, size_bytes = $4, manifest_digest = $5
         WHERE id = $1 AND ended_at IS NULL",
        values![id, now, outcome, size_bytes, manifest_digest],
    )?;
    Ok(ended == 1)
}

/// The last backups, the newest first.
///
/// # Errors
/// Of the database.
pub fn latest(view: &mut View, _: &Whole, limit: u32) -> Result<Vec<Backup>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM backups ORDER BY started_at DESC, id DESC LIMIT $1"),
        values![limit],
        read,
    )
}
