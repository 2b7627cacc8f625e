//! Taking leave of a tenant: everything of it for keeping, then its removal by name. Its rows go in the background, its audit
//! chain's end stays in the server's own chain.

use domain::digest::Sha256Digest;
use domain::id::TenantId;
use serde::{Deserialize, Serialize};
use store::lease::{self, Fence};
use store::tenant::{self, Removal, TenantState};
use store::{Owner, Scope, Whole, audit};
use tokio::sync::mpsc;
use utoipa::ToSchema;

use crate::Context;
use crate::agents;
use crate::app::audit::hex;
use crate::app::caller::Caller;
use crate::app::change::{self, Done, Keep, Made, Once, Record};
use crate::app::permission::{Noun, Verb};
use crate::app::refusal::{Refusal, changed};
use crate::app::shape::IdText;
use crate::context::Work;
use crate::reconcile::Outcome;

/// Rows that one transaction removes.
const A_TIME: u32 = 500;
/// Pieces of an export that wait for a slow reader.
const AHEAD: usize = 4;

/// The pieces of an export; it was cut off where its last line is missing.
pub type Pieces = mpsc::Receiver<Vec<u8>>;

/// Everything of a tenant as lines of JSON, as of one moment. Who stops reading ends it.
pub fn export(ctx: &Context, scope: Scope) -> Pieces {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let (ctx, now) = (ctx.clone(), ctx.clock.now());
    tokio::spawn(async move {
        if let Err(error) = store::export::tenant(&ctx.db, scope, now, sender).await {
            let tenant = scope.tenant();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                %tenant,
                "The export of the tenant {tenant} was cut off."
            );
        }
    });
    receiver
}

/// Which tenant goes, said in its own name and by its export.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveTenant {
    /// Its name, once more.
    pub name: String,
    /// `chain_hash` of the last line of its export: nothing was decided since.
    pub exported: String,
}

/// A tenant that was removed.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RemovedTenant {
    /// Its id.
    pub id: IdText,
    /// How many audit records its chain had.
    pub chain_number: u64,
    /// The end of its chain, in hexadecimal digits.
    pub chain_hash: String,
}

/// Removes a suspended tenant whose export was taken. Nobody finds it from now on; its rows go within the hour.
///
/// # Errors
/// Where it is not suspended, called otherwise, or something was decided since the export.
pub async fn remove(
    ctx: &Context,
    caller: &Caller,
    id: TenantId,
    once: Once,
    wanted: RemoveTenant,
) -> Result<Made, Refusal> {
    let exported: Sha256Digest = wanted.exported.parse().map_err(|_other| {
        Refusal::invalid(
            "/exported",
            "the last line of an export has 64 hexadecimal digits",
        )
    })?;
    let scope = Scope::of_tenant(id);
    let made = change::make(ctx, caller, Owner::Shared, once, Keep::Plain, move |tx| {
        let whole = Whole::server();
        let found = tenant::get(tx, &scope)?.ok_or(Refusal::NotFound { what: "tenant" })?;
        if found.name != wanted.name {
            return Err(Refusal::invalid("/name", "the tenant is called otherwise"));
        }
        if found.state != TenantState::Suspended {
            return Err(Refusal::WrongState(
                "suspend the tenant first: a tenant that is served is not removed".to_owned(),
            ));
        }
        if audit::waiting(tx, &whole, scope.owner())? > 0 {
            return Err(Refusal::WrongState(
                "its last audit records are on their way into their chain: try again in a second".to_owned(),
            ));
        }
        let end = audit::end_of(tx, &whole, scope.owner())?;
        if end.chain_hash != exported.0 {
            return Err(Refusal::WrongState(
                "something was decided in this tenant since that export: take another one".to_owned(),
            ));
        }
        changed(tenant::remove(tx, &whole, id, found.version)?, "tenant")?;
        let view = RemovedTenant {
            id: IdText::of(id),
            chain_number: end.number,
            chain_hash: hex(&end.chain_hash),
        };
        let record = Record::of(Verb::Remove, Noun::Tenant, id)
            .with("name", found.name)
            .with("chain_number", view.chain_number)
            .with("chain_hash", &*view.chain_hash);
        Ok(Done::new(view, record).only_done())
    });
    let made = made.await?;
    agents::forget_tenant(ctx, id);
    ctx.wake_ups.nudge(Work::RemoveTenants);
    Ok(made)
}

/// Removes the rows of removed tenants, piece by piece under the lease.
///
/// # Errors
/// Of the database, and when another holds the lease.
pub async fn sweep(ctx: &Context, fence: &Fence) -> Outcome {
    let tenants = ctx
        .db
        .read(|view| tenant::removed(view, &Whole::server()))
        .await?;
    let mut rows = 0;
    for id in &tenants {
        let plan = std::sync::Arc::new(Removal::plan().await?);
        loop {
            let (id, fence, now, plan) = (*id, fence.clone(), ctx.clock.now(), plan.clone());
            let some = ctx.db.write(move |tx| {
                lease::hold(tx, &Whole::server(), &fence, now)?;
                plan.piece(tx, &Whole::server(), id, A_TIME)
            });
            match some.await? {
                0 => break,
                some => rows += some,
            }
        }
    }
    Ok(format!("{} tenants gone with {rows} rows", tenants.len()))
}
