//! What a plan is made from: the members of changes and the hosts, as bare as a plan needs them.

use super::{Intent, NeedKind};
use crate::host::{HostMode, HostState};
use crate::order::{FailureReason, OrderStage};
use crate::value::{Row, values};
use crate::{Error, Scope, View};
use domain::assess::fleet::HostNo;
use domain::digest::Sha256Digest;
use domain::id::{ChangeId, DeploymentId, HostId};
use jiff::Timestamp;

/// A host in a change's scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The host's number.
    pub host_no: HostNo,
    /// Counts what was decided about the deployment.
    pub version: i64,
    /// What is wanted.
    pub intent: Intent,
    /// What it would take.
    pub need: NeedKind,
    /// Its packages.
    pub transaction: Option<Sha256Digest>,
    /// The inventory that the need was found by.
    pub inventory: Option<Sha256Digest>,
    /// The order in force.
    pub order: Option<u64>,
    /// What is seen of it.
    pub stage: Option<OrderStage>,
    /// Why it failed.
    pub failure: Option<FailureReason>,
    /// Until when the host may begin without anything new.
    pub may_begin_until: Option<Timestamp>,
    /// Since when its order is taken back.
    pub withdrawn_at: Option<Timestamp>,
}

fn read(row: &Row) -> Result<Member, Error> {
    let mut columns = row.columns();
    Ok(Member {
        deployment: columns.next()?,
        host_no: HostNo(columns.next()?),
        version: columns.next()?,
        intent: columns.next()?,
        need: columns.next()?,
        transaction: columns.next()?,
        inventory: columns.next()?,
        order: columns.next()?,
        stage: columns.next()?,
        failure: columns.next()?,
        may_begin_until: columns.next()?,
        withdrawn_at: columns.next()?,
    })
}

/// The members of a change, in the order of their hosts' numbers.
///
/// # Errors
/// Of the database.
pub fn members(view: &mut View, scope: &Scope, change: ChangeId) -> Result<Vec<Member>, Error> {
    view.list(
        "SELECT d.id, h.host_no, d.version, d.intent, d.need, d.transaction_digest, d.inventory, d.order_number,
             o.stage, o.failure, o.may_begin_until, o.withdrawn_at
         FROM deployments d
         JOIN hosts h ON h.tenant_id = d.tenant_id AND h.id = d.host_id
         LEFT JOIN orders o ON o.tenant_id = d.tenant_id AND o.number = d.order_number
         WHERE d.tenant_id = $1 AND d.change_id = $2 ORDER BY h.host_no",
        values![scope, change],
        read,
    )
}

/// The hosts of a change, in the order of their ids: its scope, as it was approved.
///
/// # Errors
/// Of the database.
pub fn scope_of(view: &mut View, scope: &Scope, change: ChangeId) -> Result<Vec<HostId>, Error> {
    view.list(
        "SELECT host_id FROM deployments WHERE tenant_id = $1 AND change_id = $2 ORDER BY host_id",
        values![scope, change],
        |row| row.get(0),
    )
}

/// The transactions that hosts of a change would still take, each once.
///
/// # Errors
/// Of the database.
pub fn wanted_transactions(
    view: &mut View,
    scope: &Scope,
    change: ChangeId,
) -> Result<Vec<Sha256Digest>, Error> {
    view.list(
        "SELECT DISTINCT transaction_digest FROM deployments
         WHERE tenant_id = $1 AND change_id = $2 AND intent <> 'cancelled' AND transaction_digest IS NOT NULL
         ORDER BY transaction_digest",
        values![scope, change],
        |row| row.get(0),
    )
}

/// A host as a plan sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedHost {
    /// Its number.
    pub host_no: HostNo,
    /// Its id.
    pub id: HostId,
    /// Where it is between enrolment and its end.
    pub state: HostState,
    /// What it permits.
    pub mode: HostMode,
    /// Its present inventory.
    pub inventory: Option<Sha256Digest>,
    /// When it was last heard.
    pub seen_at: Option<Timestamp>,
}

/// Every host of the tenant, in the order of numbers.
///
/// # Errors
/// Of the database.
pub fn hosts(view: &mut View, scope: &Scope) -> Result<Vec<PlannedHost>, Error> {
    view.list(
        "SELECT h.host_no, h.id, h.state, h.mode, h.inventory, l.seen_at FROM hosts h
         LEFT JOIN liveness l ON l.tenant_id = h.tenant_id AND l.host_id = h.id
         WHERE h.tenant_id = $1 ORDER BY h.host_no",
        values![scope],
        |row| {
            let mut columns = row.columns();
            Ok(PlannedHost {
                host_no: HostNo(columns.next()?),
                id: columns.next()?,
                state: columns.next()?,
                mode: columns.next()?,
                inventory: columns.next()?,
                seen_at: columns.next()?,
            })
        },
    )
}
