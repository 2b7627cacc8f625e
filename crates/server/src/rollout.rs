//! Changes on their way to hosts: what a plan is made from (`world`), how it is carried out (`carry_out`), fetching what it
//! needs (`stage`), and the orders of which something may still come, in memory (`open`). The rules are in `domain::rollout`;
//! what people decide is in `app::deployment`, what hosts say in `agents`.

mod carry_out;
mod need;
mod open;
mod stage;
mod transaction;
pub mod words;
mod world;

pub use carry_out::run;
pub use need::{NeedFound, of as need_of, transaction_of};
pub use open::OpenOrders;
pub use stage::run as stage_asked;
pub use transaction::{File, Transaction};
pub use world::{Known, KnownChange, approval_of, known, retracted};

use crate::assess::LoadError;
use crate::context::Context;
use domain::digest::Sha256Digest;
use domain::id::DeploymentId;
use jiff::SignedDuration;
use protocol::document::DocumentError;
use store::{Scope, View, deployment, rollout_change};

/// Check-ins in a row that a host may miss before it is given no order.
const MISSED: i64 = 3;
/// Things that are named where there are many.
const NAMED: usize = 5;

/// Why changes could not be planned, or not carried out.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// The database.
    #[error("read or write changes in the database")]
    Store(#[from] store::Error),
    /// An approval that was kept.
    #[error("read a kept approval")]
    Approval(#[source] DocumentError),
    /// A transaction that was kept.
    #[error("read a kept transaction")]
    Transaction(#[source] serde_json::Error),
    /// A document of a host.
    #[error("read a host's inventory")]
    Document(#[from] LoadError),
    /// The files by digest.
    #[error("keep an order's bundle")]
    Content(#[from] content::InsertError),
    /// A row refers to one that is not there.
    #[error("find {0}")]
    Gone(&'static str),
}

/// How long nothing may have been heard of a host that is given an order. A check-in that is held is heard of when it came, and
/// the next one only after its answer.
pub fn silence(context: &Context) -> SignedDuration {
    let file = &context.settings.file;
    let between = i64::from(file.check_in_seconds) + i64::from(file.hold_seconds);
    SignedDuration::from_secs(between * MISSED)
}

/// Whether an inventory shows what a deployment ordered.
///
/// # Errors
/// Of the database, or a kept row that cannot be read.
pub fn is_in_place(
    view: &mut View,
    scope: &Scope,
    deployment: DeploymentId,
    inventory: Sha256Digest,
) -> Result<bool, RolloutError> {
    let gone = RolloutError::Gone("an order's deployment");
    let deployment = deployment::get(view, scope, deployment)?.ok_or(gone)?;
    let change = rollout_change::get(view, scope, deployment.change)?;
    let change = change.ok_or(RolloutError::Gone("a deployment's change"))?;
    let transaction = deployment.need.transaction;
    let transaction = transaction.ok_or(RolloutError::Gone("an ordered deployment's transaction"))?;
    let direction = approval_of(&change)?.direction;
    need::is_shown(view, scope, transaction, inventory, direction)
}
