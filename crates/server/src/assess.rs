//! Which host is missing what: a fleet in memory, rebuilt from stored rows alone, its findings written as bitmaps under the
//! assessor's lease. Wiping what is in memory changes no answer.

pub mod channels;
pub mod difference;
pub mod documents;
pub mod fleet;
pub mod force;
pub mod host;
mod keep;
pub(crate) mod load;
pub mod moment;
mod write;

pub use keep::{Fleets, TenantFleet};
pub use load::{LoadError, catch_up};

use crate::catalog;
use crate::context::Context;
use crate::operations::metrics::Metric;
use crate::reconcile::Outcome;
use store::lease::Fence;
use store::{Scope, Whole, tenant};

/// Whether a package is the agent of this very version, for which the server answers itself: no vendor publishes it. Any
/// other version of it is unknown, as every package that nobody answers for.
fn is_own_agent(name: &str, version: &str) -> bool {
    name == "patchyard-agent" && version == env!("CARGO_PKG_VERSION")
}

/// A run of the assessor: every tenant's fleet is brought up to date, and what changed is written.
pub async fn run(context: &Context, fence: &Fence) -> Outcome {
    let (mut tenants, mut bitmaps, mut hosts, mut proposed) = (0, 0, 0, 0);
    let mut after = None;
    loop {
        let page = context
            .db
            .read(move |view| tenant::page(view, &Whole::server(), after.as_ref(), 100))
            .await?;
        for row in &page.rows {
            let done = run_tenant(context, fence, Scope::of_tenant(row.id)).await?;
            tenants += 1;
            bitmaps += done.bitmaps;
            hosts += done.hosts;
            proposed += done.proposed;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let ended = u64::try_from(context.clock.now().as_second()).unwrap_or(0);
    context.metrics.set(Metric::LastAssessment, ended);
    Ok(format!(
        "{tenants} tenants, {hosts} hosts changed, {bitmaps} bitmaps written, {proposed} sources proposed"
    ))
}

/// What a run did for a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Bitmaps that were written.
    pub bitmaps: usize,
    /// Hosts that stand otherwise, or were looked at again.
    pub hosts: usize,
    /// Sources that wait for a person since.
    pub proposed: usize,
}

/// The same for one tenant.
pub async fn run_tenant(
    context: &Context,
    fence: &Fence,
    scope: Scope,
) -> Result<Done, Box<dyn std::error::Error + Send + Sync>> {
    let kept = context.fleets.of(scope.tenant()).await;
    let mut kept = load::catch_up(context, scope, kept).await?;
    let (bitmaps, hosts) = write::write(context, fence, scope, &mut kept).await?;
    context.metrics.add(Metric::HostsAssessed, hosts as u64);
    let proposed = match kept.new_wishes() {
        None => 0,
        Some(wishes) => catalog::propose::note(context, scope, wishes, kept.key_files()).await?,
    };
    Ok(Done {
        bitmaps,
        hosts,
        proposed,
    })
}
