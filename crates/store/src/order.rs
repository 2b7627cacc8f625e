//! Orders: what hosts were told to prepare, whether it was taken back, and what they said of it since, stage by stage.

mod report;

pub use report::{Report, StageNote, note, stages};

use crate::value::{Row, values, words};
use crate::{Error, Scope, Tx, View, Whole};
use domain::digest::Sha256Digest;
use domain::id::{DeploymentId, HostId, TenantId};
use jiff::Timestamp;

words! {
    /// What is seen of an order.
    pub enum OrderStage {
        /// Nothing was heard.
        None = "none",
        /// It was taken, and its files are being fetched.
        Taken = "taken",
        /// It waits for its time or its go.
        Prepared = "prepared",
        /// The package manager is at work.
        Installing = "installing",
        /// Installed; the host has to restart.
        RebootPending = "reboot_pending",
        /// A fresh inventory is awaited.
        Verifying = "verifying",
        /// In effect.
        Succeeded = "succeeded",
        /// Installed, and something old runs.
        NotInEffect = "not_in_effect",
        /// It ended otherwise.
        Failed = "failed",
        /// The host let go of it before it began.
        Withdrawn = "withdrawn",
    }
}

words! {
    /// Why an order failed.
    pub enum FailureReason {
        /// The host did not take it.
        Refused = "refused",
        /// Files could not be had as ordered.
        Content = "content",
        /// A release file is not the approved one.
        Snapshot = "snapshot",
        /// The host is not any more as it was.
        HostChanged = "host_changed",
        /// The package manager would have done something else.
        Differs = "differs",
        /// The package manager was busy until the end.
        Busy = "busy",
        /// No room.
        DiskFull = "disk_full",
        /// A package's script failed.
        Script = "script",
        /// The package manager failed otherwise.
        PackageManager = "package_manager",
        /// Cut off, and not repaired.
        Interrupted = "interrupted",
        /// Its time ended first.
        Expired = "expired",
        /// A fresh inventory does not show it.
        NotSeen = "not_seen",
    }
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub number: u64,
    /// What it is an order of.
    pub deployment: DeploymentId,
    /// For this host.
    pub host: HostId,
    /// Its statement's digest.
    pub digest: Sha256Digest,
    /// Its bundle's digest.
    pub bundle: Sha256Digest,
    /// The bundle's size.
    pub bundle_bytes: u64,
    /// When it was made.
    pub made_at: Timestamp,
    /// Since when it is taken back.
    pub withdrawn_at: Option<Timestamp>,
    /// Until when the host may begin by what it was permitted last.
    pub may_begin_until: Option<Timestamp>,
    /// What the host said last.
    pub report: Report,
    /// When it said so.
    pub reported_at: Option<Timestamp>,
    /// Since when nothing more will come of it.
    pub ended_at: Option<Timestamp>,
}

const COLUMNS: &str = "number, deployment_id, host_id, digest, bundle, bundle_bytes, made_at, withdrawn_at, may_begin_until, \
                       stage, failure, since, detail, last_line, output, fetch_millis, install_millis, fetched_bytes, \
                       reported_at, ended_at";

fn read(row: &Row) -> Result<Order, Error> {
    let mut columns = row.columns();
    Ok(Order {
        number: columns.next()?,
        deployment: columns.next()?,
        host: columns.next()?,
        digest: columns.next()?,
        bundle: columns.next()?,
        bundle_bytes: columns.next()?,
        made_at: columns.next()?,
        withdrawn_at: columns.next()?,
        may_begin_until: columns.next()?,
        report: Report {
            stage: columns.next()?,
            failure: columns.next()?,
            since: columns.next()?,
            detail: columns.next()?,
            last_line: columns.next()?,
            output: columns.next()?,
            fetch_millis: columns.next()?,
            install_millis: columns.next()?,
            fetched_bytes: columns.next()?,
        },
        reported_at: columns.next()?,
        ended_at: columns.next()?,
    })
}

/// An order to be kept before the host hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Its number.
    pub number: u64,
    /// What it is an order of.
    pub deployment: DeploymentId,
    /// For this host.
    pub host: HostId,
    /// Its statement's digest.
    pub digest: Sha256Digest,
    /// Its bundle's digest.
    pub bundle: Sha256Digest,
    /// The bundle's size.
    pub bundle_bytes: u64,
    /// Until when the host may begin by the order alone, where it needs no go.
    pub may_begin_until: Option<Timestamp>,
}

/// Keeps an order.
///
/// # Errors
/// [`Error::Taken`] where the number is, [`Error::NoSuchRow`] without such a deployment.
pub fn create(tx: &mut Tx, scope: &Scope, new: &NewOrder, now: Timestamp) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO orders (tenant_id, number, deployment_id, host_id, digest, bundle, bundle_bytes, made_at,
             may_begin_until, stage, detail, last_line, fetch_millis, install_millis, fetched_bytes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '', '', 0, 0, 0)",
        values![
            scope,
            new.number,
            new.deployment,
            new.host,
            new.digest,
            new.bundle,
            new.bundle_bytes,
            now,
            new.may_begin_until,
            OrderStage::None
        ],
    )?;
    Ok(())
}

/// These orders, in the order of numbers.
///
/// # Errors
/// Of the database.
pub fn get_many(view: &mut View, scope: &Scope, numbers: &[u64]) -> Result<Vec<Order>, Error> {
    let mut found = Vec::with_capacity(numbers.len());
    for some in numbers.chunks(200) {
        let sql = format!(
            "SELECT {COLUMNS} FROM orders WHERE tenant_id = $1 AND number IN ({}) ORDER BY number",
            crate::db::placeholders(2, some.len())
        );
        let mut values = values![scope];
        values.extend(some.iter().map(|number| (*number).into()));
        found.extend(view.list(sql, values, read)?);
    }
    Ok(found)
}

/// The order with this digest.
///
/// # Errors
/// Of the database.
pub fn by_digest(view: &mut View, scope: &Scope, digest: Sha256Digest) -> Result<Option<Order>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM orders WHERE tenant_id = $1 AND digest = $2"),
        values![scope, digest],
        read,
    )
}

/// The orders that a deployment had, the first one first.
///
/// # Errors
/// Of the database.
pub fn of_deployment(view: &mut View, scope: &Scope, deployment: DeploymentId) -> Result<Vec<Order>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM orders WHERE tenant_id = $1 AND deployment_id = $2 ORDER BY number"),
        values![scope, deployment],
        read,
    )
}

/// The orders of a host of which something may still come.
///
/// # Errors
/// Of the database.
pub fn open_of_host(view: &mut View, scope: &Scope, host: HostId) -> Result<Vec<Order>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM orders WHERE tenant_id = $1 AND host_id = $2 AND ended_at IS NULL ORDER BY number"
        ),
        values![scope, host],
        read,
    )
}

/// Every order of which something may still come, with its tenant.
///
/// # Errors
/// Of the database.
pub fn open(view: &mut View, _: &Whole) -> Result<Vec<(TenantId, Order)>, Error> {
    view.list(
        format!("SELECT {COLUMNS}, tenant_id FROM orders WHERE ended_at IS NULL ORDER BY tenant_id, number"),
        values![],
        |row| Ok((row.get(20)?, read(row)?)),
    )
}

/// Takes an order back, if it was not. One of which the host said nothing and that it may not begin has ended with that: if the
/// host took it meanwhile, it is told when it says so. Whether it was in force.
///
/// # Errors
/// Of the database.
pub fn withdraw(tx: &mut Tx, scope: &Scope, number: u64, now: Timestamp) -> Result<bool, Error> {
    let withdrawn = tx.execute(
        "UPDATE orders SET withdrawn_at = $3,
             ended_at = CASE WHEN stage = 'none' AND COALESCE(may_begin_until, 0) <= $3 THEN $3 ELSE ended_at END
         WHERE tenant_id = $1 AND number = $2 AND withdrawn_at IS NULL AND ended_at IS NULL",
        values![scope, number, now],
    )?;
    Ok(withdrawn == 1)
}

/// Notes until when the host may begin, before it is told so. Whether the order is in force.
///
/// # Errors
/// Of the database.
pub fn permit(tx: &mut Tx, scope: &Scope, number: u64, until: Timestamp) -> Result<bool, Error> {
    let permitted = tx.execute(
        "UPDATE orders SET may_begin_until = $3
         WHERE tenant_id = $1 AND number = $2 AND withdrawn_at IS NULL AND ended_at IS NULL",
        values![scope, number, until],
    )?;
    Ok(permitted == 1)
}
