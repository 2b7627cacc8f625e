//! What hosts say of their orders: the last of it in the order's row, each change of stage in its history.

use super::{FailureReason, OrderStage};
use crate::value::values;
use crate::{Error, Scope, Tx, View};
use domain::digest::Sha256Digest;
use jiff::Timestamp;

/// What a host said of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Where it is.
    pub stage: OrderStage,
    /// Why it failed.
    pub failure: Option<FailureReason>,
    /// Since when, by the host's time; none before it said anything.
    pub since: Option<Timestamp>,
    /// In a sentence of the host.
    pub detail: String,
    /// What the package manager said last.
    pub last_line: String,
    /// All that the package manager said, as a document.
    pub output: Option<Sha256Digest>,
    /// Fetching, in milliseconds.
    pub fetch_millis: u64,
    /// The package manager, in milliseconds.
    pub install_millis: u64,
    /// Bytes fetched.
    pub fetched_bytes: u64,
}

/// Keeps what a host said of an order that has not ended, and with it the end where this is one. A stage that is new goes into
/// the order's history. Whether there is such an order.
///
/// # Errors
/// Of the database.
pub fn note(
    tx: &mut Tx,
    scope: &Scope,
    number: u64,
    report: &Report,
    ended_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<bool, Error> {
    tx.execute(
        "INSERT INTO order_stages (tenant_id, number, received_at, stage, since, detail)
         SELECT $1, $2, $3, $4, $5, $6 FROM orders
         WHERE tenant_id = $1 AND number = $2 AND ended_at IS NULL AND stage <> $4
         ON CONFLICT (tenant_id, number, received_at, stage) DO NOTHING",
        values![
            scope,
            number,
            now,
            report.stage,
            report.since.unwrap_or(now),
            &report.detail
        ],
    )?;
    let noted = tx.execute(
        "UPDATE orders SET stage = $3, failure = $4, since = $5, detail = $6, last_line = $7, output = $8,
             fetch_millis = $9, install_millis = $10, fetched_bytes = $11, reported_at = $12, ended_at = $13
         WHERE tenant_id = $1 AND number = $2 AND ended_at IS NULL",
        values![
            scope,
            number,
            report.stage,
            report.failure,
            report.since,
            &report.detail,
            &report.last_line,
            report.output,
            report.fetch_millis,
            report.install_millis,
            report.fetched_bytes,
            now,
            ended_at
        ],
    )?;
    Ok(noted == 1)
}

/// A stage that an order reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageNote {
    /// Which.
    pub stage: OrderStage,
    /// Since when, by the host's time.
    pub since: Timestamp,
    /// When the server heard of it.
    pub received_at: Timestamp,
    /// In a sentence of the host.
    pub detail: String,
}

/// The stages that an order reached, the first one first.
///
/// # Errors
/// Of the database.
pub fn stages(view: &mut View, scope: &Scope, number: u64) -> Result<Vec<StageNote>, Error> {
    view.list(
        "SELECT stage, since, received_at, detail FROM order_stages WHERE tenant_id = $1 AND number = $2
         ORDER BY received_at, stage",
        values![scope, number],
        |row| {
            let mut columns = row.columns();
            Ok(StageNote {
                stage: columns.next()?,
                since: columns.next()?,
                received_at: columns.next()?,
                detail: columns.next()?,
            })
        },
    )
}
