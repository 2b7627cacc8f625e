//! Changes: what people approved, whether it goes on, and how far its files are. What becomes of it on each host is in
//! [`crate::deployment`].

mod generation;
mod policy;

pub use generation::{generation, hold_generation, next_generation};
pub use policy::{Policy, policy, set_policy};

use crate::value::{Row, values, words};
use crate::{Change, Error, Page, Scope, Tx, View, Whole};
use domain::digest::Sha256Digest;
use domain::id::{ChangeId, KeyId, TenantId, UserId};
use jiff::Timestamp;

words! {
    /// Whether people want a change to go on.
    pub enum ChangeState {
        /// They do.
        Running = "running",
        /// A person stopped it.
        Stopped = "stopped",
    }
}

words! {
    /// How far the files of a change are.
    pub enum ChangeStaging {
        /// Nobody has asked for them.
        NotAsked = "not_asked",
        /// They are being fetched, verified and scanned.
        Asked = "asked",
        /// All are there.
        Done = "done",
    }
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutChange {
    /// Its id.
    pub id: ChangeId,
    /// Why, in the words of who made it.
    pub reason: String,
    /// What was approved, as bytes.
    pub approval: Vec<u8>,
    /// Their digest.
    pub approved: Sha256Digest,
    /// How many approvers' signatures it needs.
    pub needed: u32,
    /// Nothing is ordered before.
    pub opens: Timestamp,
    /// Nothing begins at this moment or later.
    pub closes: Timestamp,
    /// Hosts at once.
    pub at_once: u32,
    /// Who made it, if a person did.
    pub made_by: Option<UserId>,
    /// When.
    pub created_at: Timestamp,
    /// Whether it is to go on.
    pub state: ChangeState,
    /// Counts what was decided about it.
    pub version: i64,
    /// How far its files are.
    pub staging: ChangeStaging,
    /// What of them could not be had, in words.
    pub staging_detail: String,
    /// Since when nothing of it is left to be done.
    pub finished_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, reason, approval, approved, needed, opens, closes, at_once, made_by, created_at, state, \
                       version, staging, staging_detail, finished_at";

fn read(row: &Row) -> Result<RolloutChange, Error> {
    let mut columns = row.columns();
    Ok(RolloutChange {
        id: columns.next()?,
        reason: columns.next()?,
        approval: columns.next()?,
        approved: columns.next()?,
        needed: columns.next()?,
        opens: columns.next()?,
        closes: columns.next()?,
        at_once: columns.next()?,
        made_by: columns.next()?,
        created_at: columns.next()?,
        state: columns.next()?,
        version: columns.next()?,
        staging: columns.next()?,
        staging_detail: columns.next()?,
        finished_at: columns.next()?,
    })
}

/// A change to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChange {
    /// Its id.
    pub id: ChangeId,
    /// Why.
    pub reason: String,
    /// What is approved, as bytes.
    pub approval: Vec<u8>,
    /// Their digest.
    pub approved: Sha256Digest,
    /// How many approvers' signatures it needs.
    pub needed: u32,
    /// Nothing is ordered before.
    pub opens: Timestamp,
    /// Nothing begins at this moment or later.
    pub closes: Timestamp,
    /// Hosts at once.
    pub at_once: u32,
    /// Who makes it, if a person does.
    pub made_by: Option<UserId>,
}

/// Adds a change that goes on and whose files nobody has asked for.
///
/// # Errors
/// [`Error::Taken`] where the id is, [`Error::NoSuchRow`] without such a tenant.
pub fn create(tx: &mut Tx, scope: &Scope, new: &NewChange, now: Timestamp) -> Result<RolloutChange, Error> {
    let created = tx.find(
        format!(
            "INSERT INTO changes (tenant_id, id, reason, approval, approved, needed, opens, closes, at_once, made_by,
                 created_at, state, version, staging, staging_detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, '') RETURNING {COLUMNS}"
        ),
        values![
            scope,
            new.id,
            &new.reason,
            new.approval.as_slice(),
            new.approved,
            new.needed,
            new.opens,
            new.closes,
            new.at_once,
            new.made_by,
            now,
            ChangeState::Running,
            ChangeStaging::NotAsked
        ],
        read,
    )?;
    created.ok_or(Error::Decode {
        what: "the change that was just added",
    })
}

/// The change with this id.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: ChangeId) -> Result<Option<RolloutChange>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM changes WHERE tenant_id = $1 AND id = $2"),
        values![scope, id],
        read,
    )
}

/// The tenant's changes, the last made first.
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    scope: &Scope,
    before: Option<ChangeId>,
    limit: u32,
) -> Result<Page<RolloutChange, ChangeId>, Error> {
    let sql =
        format!("SELECT {COLUMNS} FROM changes WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    let before = before.unwrap_or(ChangeId([0xff; 16]));
    let rows = view.list(sql, values![scope, before, limit.saturating_add(1)], read)?;
    Ok(Page::of(rows, limit, |change| change.id))
}

/// The changes of which something may be left to be done, the first made first.
///
/// # Errors
/// Of the database.
pub fn unfinished(view: &mut View, scope: &Scope) -> Result<Vec<RolloutChange>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM changes WHERE tenant_id = $1 AND finished_at IS NULL ORDER BY id"),
        values![scope],
        read,
    )
}

/// The tenants that have such changes.
///
/// # Errors
/// Of the database.
pub fn tenants_with_unfinished(view: &mut View, _: &Whole) -> Result<Vec<TenantId>, Error> {
    view.list(
        "SELECT DISTINCT c.tenant_id FROM changes c JOIN tenants t ON t.id = c.tenant_id
         WHERE c.finished_at IS NULL AND t.state = 'active' ORDER BY c.tenant_id",
        values![],
        |row| row.get(0),
    )
}

/// Lets a change go on or stops it, if it is still at this version.
///
/// # Errors
/// Of the database.
pub fn set_state(
    tx: &mut Tx,
    scope: &Scope,
    id: ChangeId,
    version: i64,
    state: ChangeState,
) -> Result<Change<RolloutChange>, Error> {
    let changed = tx.find(
        format!(
            "UPDATE changes SET state = $4, version = version + 1
             WHERE tenant_id = $1 AND id = $2 AND version = $3 RETURNING {COLUMNS}"
        ),
        values![scope, id, version, state],
        read,
    )?;
    Change::of(changed, || get(tx, scope, id))
}

/// Notes how far the files of a change are. Whether there is such a change.
///
/// # Errors
/// Of the database.
pub fn note_staging(
    tx: &mut Tx,
    scope: &Scope,
    id: ChangeId,
    staging: ChangeStaging,
    detail: &str,
) -> Result<bool, Error> {
    let noted = tx.execute(
        "UPDATE changes SET staging = $3, staging_detail = $4 WHERE tenant_id = $1 AND id = $2",
        values![scope, id, staging, detail],
    )?;
    Ok(noted == 1)
}

/// Notes what came of fetching the files of a change, unless others are wanted since it was begun. Whether it was noted.
///
/// # Errors
/// Of the database.
pub fn note_staged(
    tx: &mut Tx,
    scope: &Scope,
    id: ChangeId,
    staging: ChangeStaging,
    detail: &str,
) -> Result<bool, Error> {
    let noted = tx.execute(
        "UPDATE changes SET staging = $3, staging_detail = $4 WHERE tenant_id = $1 AND id = $2 AND staging = $5",
        values![scope, id, staging, detail, ChangeStaging::Asked],
    )?;
    Ok(noted == 1)
}

/// Notes since when nothing is left to be done, or that there is again. Whether there is such a change.
///
/// # Errors
/// Of the database.
pub fn note_finished(
    tx: &mut Tx,
    scope: &Scope,
    id: ChangeId,
    finished_at: Option<Timestamp>,
) -> Result<bool, Error> {
    let noted = tx.execute(
        "UPDATE changes SET finished_at = $3 WHERE tenant_id = $1 AND id = $2",
        values![scope, id, finished_at],
    )?;
    Ok(noted == 1)
}

/// An approver's signature over the approval of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeSignature {
    /// Whose key.
    pub key: KeyId,
    /// The signature.
    pub signature: [u8; 64],
}

/// Keeps a signature. `false` where the change has one of this key.
///
/// # Errors
/// [`Error::NoSuchRow`] without such a change.
pub fn sign(
    tx: &mut Tx,
    scope: &Scope,
    id: ChangeId,
    signature: &ChangeSignature,
    now: Timestamp,
) -> Result<bool, Error> {
    let kept = tx.execute(
        "INSERT INTO change_signatures (tenant_id, change_id, key_id, signature, signed_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, change_id, key_id) DO NOTHING",
        values![scope, id, signature.key, signature.signature, now],
    )?;
    Ok(kept == 1)
}

/// The signatures of a change, in the order of keys.
///
/// # Errors
/// Of the database.
pub fn signatures(view: &mut View, scope: &Scope, id: ChangeId) -> Result<Vec<ChangeSignature>, Error> {
    view.list(
        "SELECT key_id, signature FROM change_signatures WHERE tenant_id = $1 AND change_id = $2 ORDER BY key_id",
        values![scope, id],
        |row| {
            Ok(ChangeSignature {
                key: row.get(0)?,
                signature: row.get(1)?,
            })
        },
    )
}
