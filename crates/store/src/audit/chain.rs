//! The chains that records stand in: sealed by whoever holds the sealer's lease, read by whoever verifies them, and their
//! ends in signed checkpoints.

use super::{COLUMNS, Personal, Record, hash, qualified, read};
use crate::lease::{self, Fence};
use crate::value::{Row, values};
use crate::{Error, Owner, Page, Scope, Tx, View, Whole};
use domain::id::KeyId;
use jiff::Timestamp;

impl Record {
    /// The chain's hash with this record: SHA-256 over the hash before it and each of its fields behind its length. Whoever
    /// verifies a chain computes it anew.
    pub fn link(&self, number: u64, before: [u8; 32]) -> [u8; 32] {
        let absent: &[u8] = &[];
        hash([
            b"patchyard audit 1".as_slice(),
            &before,
            &number.to_be_bytes(),
            &self.owner.bytes(),
            &self.id.0,
            &self.at.as_microsecond().to_be_bytes(),
            self.actor_kind.as_str().as_bytes(),
            self.actor.as_ref().map_or(absent, |id| id),
            self.action.as_bytes(),
            self.noun.as_bytes(),
            self.noun_id.as_ref().map_or(absent, |id| id),
            self.body.as_bytes(),
            self.personal_hash.as_ref().map_or(absent, |hash| hash),
        ])
    }
}

/// A record with the personal data that it commits to, as long as they were not erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// The record.
    pub record: Record,
    /// The personal data.
    pub personal: Option<Personal>,
}

/// The tenant's chain from after this place on, in its order: for whoever verifies it.
///
/// # Errors
/// Of the database.
pub fn chain(view: &mut View, scope: &Scope, after: u64, limit: u32) -> Result<Vec<Linked>, Error> {
    chain_of(view, scope.owner(), after, limit)
}

/// As [`chain`], of the server's own records.
///
/// # Errors
/// Of the database.
pub fn chain_shared(view: &mut View, _: &Whole, after: u64, limit: u32) -> Result<Vec<Linked>, Error> {
    chain_of(view, Owner::Shared, after, limit)
}

fn chain_of(view: &mut View, owner: Owner, after: u64, limit: u32) -> Result<Vec<Linked>, Error> {
    let columns = qualified();
    let sql = format!(
        "SELECT {columns}, p.salt, p.data FROM audit_records r
         LEFT JOIN audit_personal p ON p.owner = r.owner AND p.record_id = r.id
         WHERE r.owner = $1 AND r.number > $2
         ORDER BY r.number LIMIT $3"
    );
    view.list(sql, values![owner, after, limit], |row| {
        let (salt, data): (Option<[u8; 16]>, Option<String>) = (row.get(12)?, row.get(13)?);
        Ok(Linked {
            record: read(row)?,
            personal: salt.zip(data).map(|(salt, data)| Personal { salt, data }),
        })
    })
}

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose chain.
    pub owner: Owner,
    /// The place of its last record.
    pub number: u64,
    /// The hash up to there.
    pub chain_hash: [u8; 32],
}

/// The ends of all chains in the order of owners.
///
/// # Errors
/// Of the database.
pub fn heads(view: &mut View, _: &Whole) -> Result<Vec<Head>, Error> {
    view.list(
        "SELECT r.owner, r.number, r.chain_hash FROM audit_records r
         JOIN (SELECT owner, MAX(number) AS number FROM audit_records GROUP BY owner) h
             ON h.owner = r.owner AND h.number = r.number
         ORDER BY r.owner",
        values![],
        |row| {
            Ok(Head {
                owner: row.get(0)?,
                number: row.get(1)?,
                chain_hash: row.get(2)?,
            })
        },
    )
}

/// Orders up to `limit` records that are not in a chain yet into their owners' chains, under the sealer's lease. How many.
///
/// # Errors
/// [`Error::Fenced`] if another took the lease; then nothing is sealed.
pub fn seal(tx: &mut Tx, whole: &Whole, fence: &Fence, limit: u32, now: Timestamp) -> Result<usize, Error> {
    lease::hold(tx, whole, fence, now)?;
    let records = tx.list(
        format!("SELECT {COLUMNS} FROM audit_records WHERE number IS NULL ORDER BY owner, id LIMIT $1"),
        values![limit],
        read,
    )?;
    let mut head: Option<Head> = None;
    for record in &records {
        let before = match head {
            Some(head) if head.owner == record.owner => head,
            _ => head_of(tx, record.owner)?,
        };
        let number = before.number + 1;
        let chain_hash = record.link(number, before.chain_hash);
        tx.execute(
            "UPDATE audit_records SET number = $3, chain_hash = $4, sealed_at = $5
             WHERE owner = $1 AND id = $2 AND EXISTS (SELECT 1 FROM leases WHERE name = $6 AND fencing = $7)",
            values![
                record.owner,
                record.id,
                number,
                chain_hash,
                now,
                fence.name(),
                fence.token()
            ],
        )?;
        head = Some(Head {
            owner: record.owner,
            number,
            chain_hash,
        });
    }
    Ok(records.len())
}

/// How many records of this owner are not in its chain yet.
///
/// # Errors
/// Of the database.
pub fn waiting(view: &mut View, _: &Whole, owner: Owner) -> Result<u64, Error> {
    let count = view.find(
        "SELECT COUNT(*) FROM audit_records WHERE owner = $1 AND number IS NULL",
        values![owner],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}

/// The end of one owner's chain; number 0 before its first record.
///
/// # Errors
/// Of the database.
pub fn end_of(view: &mut View, _: &Whole, owner: Owner) -> Result<Head, Error> {
    head_of(view, owner)
}

fn head_of(view: &mut View, owner: Owner) -> Result<Head, Error> {
    let head = view.find(
        "SELECT number, chain_hash FROM audit_records
         WHERE owner = $1 AND number IS NOT NULL ORDER BY number DESC LIMIT 1",
        values![owner],
        |row| {
            Ok(Head {
                owner,
                number: row.get(0)?,
                chain_hash: row.get(1)?,
            })
        },
    )?;
    Ok(head.unwrap_or(Head {
        owner,
        number: 0,
        chain_hash: [0; 32],
    }))
}

/// A signed statement of how far all chains had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Counts checkpoints, from 1.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// What was signed: the heads and the time, as JSON.
    pub heads: String,
    /// By which key.
    pub key_id: KeyId,
    /// Ed25519 over it.
    pub signature: Vec<u8>,
}

fn read_checkpoint(row: &Row) -> Result<Checkpoint, Error> {
    let mut columns = row.columns();
    Ok(Checkpoint {
        number: columns.next()?,
        at: columns.next()?,
        heads: columns.next()?,
        key_id: columns.next()?,
        signature: columns.next()?,
    })
}

/// Keeps a checkpoint.
///
/// # Errors
/// [`Error::Taken`] where another has its number.
pub fn keep_checkpoint(tx: &mut Tx, _: &Whole, checkpoint: &Checkpoint) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO audit_checkpoints (number, at, heads, key_id, signature) VALUES ($1, $2, $3, $4, $5)",
        values![
            checkpoint.number,
            checkpoint.at,
            &checkpoint.heads,
            checkpoint.key_id,
            checkpoint.signature.as_slice()
        ],
    )?;
    Ok(())
}

/// The newest checkpoints, the last one first.
///
/// # Errors
/// Of the database.
pub fn checkpoints(view: &mut View, whole: &Whole, limit: u32) -> Result<Vec<Checkpoint>, Error> {
    Ok(checkpoints_before(view, whole, None, limit)?.rows)
}

/// Checkpoints before the one with this number, the last one first.
///
/// # Errors
/// Of the database.
pub fn checkpoints_before(
    view: &mut View,
    _: &Whole,
    before: Option<u64>,
    limit: u32,
) -> Result<Page<Checkpoint, u64>, Error> {
    let rows = view.list(
        "SELECT number, at, heads, key_id, signature FROM audit_checkpoints
         WHERE number < $1 ORDER BY number DESC LIMIT $2",
        values![before.unwrap_or(u64::MAX), limit.saturating_add(1)],
        read_checkpoint,
    )?;
    Ok(Page::of(rows, limit, |checkpoint| checkpoint.number))
}

/// Keeps of the checkpoints from before this moment only the last one of each day (UTC). How many went.
///
/// # Errors
/// Of the database.
pub fn thin_checkpoints(tx: &mut Tx, _: &Whole, before: Timestamp) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM audit_checkpoints
         WHERE at < $1 AND EXISTS (
             SELECT 1 FROM audit_checkpoints later
             WHERE later.number > audit_checkpoints.number
                 AND later.at / 86400000000 = audit_checkpoints.at / 86400000000)",
        values![before],
    )
}
