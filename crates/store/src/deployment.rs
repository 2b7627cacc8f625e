//! Deployments: a change on one host. What is wanted of it stands here, with what it would take there by the host's inventory;
//! what is seen of it stands with its orders, in [`crate::order`].

mod transaction;
mod world;

pub use transaction::{put_transaction, transactions};
pub use world::{Member, PlannedHost, hosts, members, scope_of, wanted_transactions};

use crate::order::{FailureReason, OrderStage};
use crate::value::{Row, values, words};
use crate::{Change, Error, Page, Scope, Tx, View};
use domain::assess::fleet::HostNo;
use domain::digest::Sha256Digest;
use domain::id::{ChangeId, DeploymentId, HostId, SiteId};

words! {
    /// What is wanted of a deployment.
    pub enum Intent {
        /// To be done when nothing stands in the way.
        Planned = "planned",
        /// An order was made.
        Ordered = "ordered",
        /// Not to be done any more.
        Cancelled = "cancelled",
    }
}

words! {
    /// What a change would take on a host.
    pub enum NeedKind {
        /// Packages.
        Install = "install",
        /// Nothing: it is all there.
        Nothing = "nothing",
        /// Nobody knows.
        Unknown = "unknown",
        /// An update besides that was not approved.
        NeedsAlso = "needs_also",
        /// Something that is not to be had for it.
        NotBuilt = "not_built",
    }
}

/// What a change would take on a host, by an inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What.
    pub kind: NeedKind,
    /// In words, where there is something to say.
    pub detail: String,
    /// The packages, where there are any.
    pub transaction: Option<Sha256Digest>,
    /// The inventory that it was found by.
    pub inventory: Option<Sha256Digest>,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// The change that it is part of.
    pub change: ChangeId,
    /// The host.
    pub host: HostId,
    /// The host's number.
    pub host_no: HostNo,
    /// The host's name.
    pub host_name: String,
    /// The host's site.
    pub site: SiteId,
    /// What is wanted.
    pub intent: Intent,
    /// The order in force.
    pub order: Option<u64>,
    /// Counts what was decided about it.
    pub version: i64,
    /// What it would take.
    pub need: Need,
}

const SELECT: &str =
    "SELECT d.id, d.change_id, d.host_id, h.host_no, h.name, h.site_id, d.intent, d.order_number, d.version,
         d.need, d.need_detail, d.transaction_digest, d.inventory
     FROM deployments d JOIN hosts h ON h.tenant_id = d.tenant_id AND h.id = d.host_id";

fn read(row: &Row) -> Result<Deployment, Error> {
    let mut columns = row.columns();
    Ok(Deployment {
        id: columns.next()?,
        change: columns.next()?,
        host: columns.next()?,
        host_no: HostNo(columns.next()?),
        host_name: columns.next()?,
        site: columns.next()?,
        intent: columns.next()?,
        order: columns.next()?,
        version: columns.next()?,
        need: Need {
            kind: columns.next()?,
            detail: columns.next()?,
            transaction: columns.next()?,
            inventory: columns.next()?,
        },
    })
}

/// A deployment to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeployment {
    /// Its id.
    pub id: DeploymentId,
    /// The host.
    pub host: HostId,
    /// What it would take.
    pub need: Need,
}

/// Adds the deployments of a change, planned.
///
/// # Errors
/// [`Error::NoSuchRow`] where the change, a host or a transaction is not there.
pub fn create(tx: &mut Tx, scope: &Scope, change: ChangeId, new: &[NewDeployment]) -> Result<(), Error> {
    tx.execute_many(
        "INSERT INTO deployments (tenant_id, id, change_id, host_id, intent, version, need, need_detail,
             transaction_digest, inventory)",
        "",
        new.iter().map(|one| {
            values![
                scope,
                one.id,
                change,
                one.host,
                Intent::Planned,
                1_i64,
                one.need.kind,
                &one.need.detail,
                one.need.transaction,
                one.need.inventory
            ]
        }),
    )?;
    Ok(())
}

/// The deployment with this id.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: DeploymentId) -> Result<Option<Deployment>, Error> {
    view.find(
        format!("{SELECT} WHERE d.tenant_id = $1 AND d.id = $2"),
        values![scope, id],
        read,
    )
}

/// The deployments of a change, in the order of ids.
///
/// # Errors
/// Of the database.
pub fn of_change(
    view: &mut View,
    scope: &Scope,
    change: ChangeId,
    after: Option<DeploymentId>,
    limit: u32,
) -> Result<Page<Deployment, DeploymentId>, Error> {
    let after = after.unwrap_or(DeploymentId([0; 16]));
    let rows = view.list(
        format!("{SELECT} WHERE d.tenant_id = $1 AND d.change_id = $2 AND d.id > $3 ORDER BY d.id LIMIT $4"),
        values![scope, change, after, limit.saturating_add(1)],
        read,
    )?;
    Ok(Page::of(rows, limit, |deployment| deployment.id))
}

/// Deployments that are not cancelled and whose last order is at one of these stages, the last ordered first; the key is that
/// order's number.
///
/// # Errors
/// Of the database.
pub fn work_list(
    view: &mut View,
    scope: &Scope,
    stages: &[OrderStage],
    before: Option<u64>,
    limit: u32,
) -> Result<Page<Deployment, u64>, Error> {
    let sql = format!(
        "{SELECT} JOIN orders o ON o.tenant_id = d.tenant_id AND o.number = d.order_number
         WHERE d.tenant_id = $1 AND d.intent <> $2 AND o.number < $3 AND o.stage IN ({})
         ORDER BY o.number DESC LIMIT $4",
        crate::db::placeholders(5, stages.len())
    );
    let mut values = values![
        scope,
        Intent::Cancelled,
        before.unwrap_or(u64::MAX),
        limit.saturating_add(1)
    ];
    values.extend(stages.iter().map(|stage| (*stage).into()));
    let rows = view.list(sql, values, read)?;
    Ok(Page::of(rows, limit, |deployment| deployment.order.unwrap_or(0)))
}

/// How many deployments of a change are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alike {
    /// What is wanted of them.
    pub intent: Intent,
    /// What they would take.
    pub need: NeedKind,
    /// What is seen of their last orders; none without an order.
    pub stage: Option<OrderStage>,
    /// Why they failed.
    pub failure: Option<FailureReason>,
    /// Whether those orders are taken back.
    pub is_withdrawn: bool,
    /// How many.
    pub count: u64,
}

/// How far the deployments of a change are, as counts.
///
/// # Errors
/// Of the database.
pub fn counts(view: &mut View, scope: &Scope, change: ChangeId) -> Result<Vec<Alike>, Error> {
    view.list(
        "SELECT d.intent, d.need, o.stage, o.failure, CAST(CASE WHEN o.withdrawn_at IS NULL THEN 0 ELSE 1 END AS BIGINT), COUNT(*)
         FROM deployments d
         LEFT JOIN orders o ON o.tenant_id = d.tenant_id AND o.number = d.order_number
         WHERE d.tenant_id = $1 AND d.change_id = $2
         GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5",
        values![scope, change],
        |row| {
            let mut columns = row.columns();
            Ok(Alike {
                intent: columns.next()?,
                need: columns.next()?,
                stage: columns.next()?,
                failure: columns.next()?,
                is_withdrawn: columns.next()?,
                count: columns.next()?,
            })
        },
    )
}

/// Decides about a deployment if it is still at this version.
///
/// # Errors
/// Of the database.
pub fn decide(
    tx: &mut Tx,
    scope: &Scope,
    id: DeploymentId,
    version: i64,
    intent: Intent,
    order: Option<u64>,
) -> Result<Change<Deployment>, Error> {
    let changed = tx.execute(
        "UPDATE deployments SET intent = $4, order_number = $5, version = version + 1
         WHERE tenant_id = $1 AND id = $2 AND version = $3",
        values![scope, id, version, intent, order],
    )?;
    let row = get(tx, scope, id)?;
    Ok(match (changed, row) {
        (1, Some(row)) => Change::Changed(row),
        (_, Some(row)) => Change::Conflict(row),
        (_, None) => Change::Absent,
    })
}

/// Notes what a deployment would take by another inventory. Its version stays: this is observation. Whether there is such a
/// deployment.
///
/// # Errors
/// [`Error::NoSuchRow`] where the transaction is not there.
pub fn note_need(tx: &mut Tx, scope: &Scope, id: DeploymentId, need: &Need) -> Result<bool, Error> {
    let noted = tx.execute(
        "UPDATE deployments SET need = $3, need_detail = $4, transaction_digest = $5, inventory = $6
         WHERE tenant_id = $1 AND id = $2",
        values![
            scope,
            id,
            need.kind,
            &need.detail,
            need.transaction,
            need.inventory
        ],
    )?;
    Ok(noted == 1)
}
