//! Whose signatures a tenant's changes need. The hosts know the approvers themselves; what stands here only says how many
//! signatures to wait for.

use crate::value::{Row, values};
use crate::{Change, Error, Scope, Tx, View};

/// A tenant's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Approvers with their public keys, as JSON.
    pub approvers: String,
    /// How many of them have to sign a change; 0 for none.
    pub needed: u32,
    /// Counts its changes.
    pub version: i64,
}

fn read(row: &Row) -> Result<Policy, Error> {
    let mut columns = row.columns();
    Ok(Policy {
        approvers: columns.next()?,
        needed: columns.next()?,
        version: columns.next()?,
    })
}

/// The tenant's policy; none where nobody decided one.
///
/// # Errors
/// Of the database.
pub fn policy(view: &mut View, scope: &Scope) -> Result<Option<Policy>, Error> {
    view.find(
        "SELECT approvers, needed, version FROM approval_policies WHERE tenant_id = $1",
        values![scope],
        read,
    )
}

/// Sets it if it is still at this version; version 0 is that of a policy that was never made.
///
/// # Errors
/// [`Error::NoSuchRow`] without such a tenant.
pub fn set_policy(
    tx: &mut Tx,
    scope: &Scope,
    version: i64,
    approvers: &str,
    needed: u32,
) -> Result<Change<Policy>, Error> {
    let sql = if version == 0 {
        "INSERT INTO approval_policies (tenant_id, approvers, needed, version) VALUES ($1, $3, $4, $2 + 1)
         ON CONFLICT (tenant_id) DO NOTHING RETURNING approvers, needed, version"
    } else {
        "UPDATE approval_policies SET approvers = $3, needed = $4, version = version + 1
         WHERE tenant_id = $1 AND version = $2 RETURNING approvers, needed, version"
    };
    let changed = tx.find(sql, values![scope, version, approvers, needed], read)?;
    Change::of(changed, || policy(tx, scope))
}
