//! Audit records: reading them, and putting them into their chains. What holds the chains from outside is in `checkpoint`, how
//! they are followed in `verify`.

pub mod checkpoint;
pub mod examine;
pub mod verify;

use domain::id::{AuditId, UserId};
use serde::Serialize;
use serde_json::Value;
use store::Whole;
pub use store::audit::RecordFilter;
use store::audit::{self, Record};
use store::lease::Fence;
use utoipa::ToSchema;

use super::grant::Where;
use super::refusal::Refusal;
use super::shape::{IdText, Listed, Part, When};
use crate::Context;

/// Records that are put into their chains in one transaction.
const SEALED_AT_ONCE: u32 = 500;

/// An audit record, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AuditRecord)]
pub struct RecordView {
    /// Its id.
    pub id: IdText,
    /// When it was written.
    pub at: When,
    /// `user`, `token`, `agent`, or `server` for the command line on the server's machine and the server itself.
    pub actor_kind: &'static str,
    /// Which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<IdText>,
    /// What was done: a verb of the table of permissions.
    pub action: String,
    /// To what: a noun of the table.
    pub noun: String,
    /// To which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noun_id: Option<IdText>,
    /// The facts.
    #[schema(value_type = Object)]
    pub facts: Value,
    /// Its place in the chain; missing for the second until it is sealed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The chain's hash up to and with it, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_hash: Option<String>,
}

impl Listed for RecordView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "at",
        "actor_kind",
        "actor",
        "action",
        "noun",
        "noun_id",
        "facts",
        "number",
        "chain_hash",
    ];
}

impl From<Record> for RecordView {
    fn from(record: Record) -> Self {
        // Any id type shows 16 bytes as a UUID.
        let id = |bytes: [u8; 16]| IdText::of(UserId(bytes));
        Self {
            id: IdText::of(record.id),
            at: When(record.at),
            actor_kind: record.actor_kind.as_str(),
            actor: record.actor.map(id),
            action: record.action,
            noun: record.noun,
            noun_id: record.noun_id.map(id),
            facts: serde_json::from_str(&record.body).unwrap_or(Value::Null),
            number: record.number,
            chain_hash: record.chain_hash.map(|hash| hex(&hash)),
        }
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The records of a place, the newest first.
///
/// # Errors
/// Of the database.
pub async fn list(
    ctx: &Context,
    at: Where,
    filter: RecordFilter,
    before: Option<AuditId>,
    limit: u32,
) -> Result<Part<RecordView, String>, Refusal> {
    let page = ctx.db.read(move |view| match at {
        Where::Server => audit::page_shared(view, &Whole::server(), &filter, before, limit),
        Where::Tenant(scope) => audit::page(view, &scope, &filter, before, limit),
    });
    Ok(Part::of(page.await?, RecordView::from, |id| id.to_string()))
}

/// Puts all records that are not in a chain yet into their chains, under the sealer's lease, and keeps a checkpoint now and
/// then; how many records. Run within a second of a nudge by [`crate::context::Work::SealAudit`].
///
/// # Errors
/// Of the database, and when another holds the lease.
pub async fn seal(ctx: &Context, fence: &Fence) -> Result<usize, store::Error> {
    let mut sealed = 0;
    loop {
        let (held, now) = (fence.clone(), ctx.clock.now());
        let some = ctx
            .db
            .write(move |tx| audit::seal(tx, &Whole::server(), &held, SEALED_AT_ONCE, now))
            .await?;
        failpoint::reach(failpoint::Point::AuditSealed);
        sealed += some;
        if some < SEALED_AT_ONCE as usize {
            checkpoint::keep(ctx, fence).await?;
            return Ok(sealed);
        }
    }
}
