//! Taking back what a deployment installed: a change of its own, for that host, to the versions that were there before.

use super::create::make;
use super::draft::Draft;
use super::of_rollout;
use super::request::{HostsWanted, Wanted, usual_end};
use crate::Context;
use crate::app::caller::{Caller, Place};
use crate::app::change::{self, Made, Once};
use crate::app::finding::of_load;
use crate::app::refusal::Refusal;
use crate::catalog::resolve::{Unresolved, former_updates};
use crate::rollout::{self, RolloutError, Transaction, words};
use domain::change::{Approval, Release, Rules};
use domain::id::DeploymentId;
use domain::order::Direction;
use domain::rollout::deployment::{Failure, Shown};
use serde::Deserialize;
use store::host::{self, Host};
use store::{Scope, View, deployment, order, rollout_change};
use utoipa::ToSchema;

/// Why something is taken back.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackOutRequest {
    /// For whoever reads it later: up to 1,000 characters.
    #[serde(default)]
    #[schema(max_length = 1000)]
    pub reason: String,
}

/// A deployment that may be taken back.
struct Before {
    host: Host,
    transaction: Transaction,
    approval: Approval,
}

/// Makes the change that takes a deployment back.
///
/// # Errors
/// Not found, nothing was installed, or there is no way back.
pub async fn back_out(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: DeploymentId,
    once: Once,
    request: BackOutRequest,
) -> Result<Made, Refusal> {
    let scope = place.scope;
    if let Some(made) = change::answered(ctx, caller, scope.owner(), &once).await? {
        return Ok(made);
    }
    if request.reason.chars().count() > 1_000 {
        return Err(Refusal::invalid("/reason", "a reason has up to 1000 characters"));
    }
    let before = ctx.db.attempt_read(move |view| find(view, &scope, id)).await?;
    let packages = before.transaction.packages();
    let updates = former_updates(ctx, &scope, before.host.id, &packages).await;
    let updates = updates.map_err(no_way_back)?;
    if updates.is_empty() {
        let why = "this deployment only brought new packages: there is nothing to go back to";
        return Err(Refusal::WrongState(why.to_owned()));
    }
    let now = ctx.clock.now();
    let rules = Rules {
        removals: Vec::new(),
        ..before.approval.release.rules
    };
    let wanted = Wanted {
        updates: Vec::new(),
        hosts: HostsWanted::default(),
        rules: rules.clone(),
        opens: now,
        closes: usual_end(now),
        at_once: None,
        reason: request.reason,
    };
    let release = Release { updates, rules };
    let hosts = vec![before.host];
    let draft = Draft::for_hosts(ctx, scope, release, hosts, wanted.closes, Direction::BackOut).await?;
    let why = draft
        .hosts
        .iter()
        .find_map(|(_, found)| found.as_ref().as_ref().err());
    if let Some(why) = why {
        return Err(Refusal::WrongState(why.to_string()));
    }
    make(ctx, caller, scope, once, draft, wanted).await
}

fn no_way_back(why: Unresolved) -> Refusal {
    match why {
        Unresolved::Failed(error) => of_load(error),
        why => Refusal::WrongState(why.to_string()),
    }
}

fn find(view: &mut View, scope: &Scope, id: DeploymentId) -> Result<Before, Refusal> {
    let not_found = || Refusal::NotFound { what: "deployment" };
    let row = deployment::get(view, scope, id)?.ok_or_else(not_found)?;
    let order = match row.order {
        Some(number) => order::get_many(view, scope, &[number])?.pop(),
        None => None,
    };
    let shown = words::deployment(row.intent, order.as_ref().map(Into::into)).shown();
    match shown {
        Shown::Succeeded | Shown::NotInEffect => {}
        // Some of it may be there.
        Shown::Failed(
            Failure::Script | Failure::PackageManager | Failure::Interrupted | Failure::NotSeen,
        ) => {}
        _ => {
            let why = "nothing of this deployment was installed: there is nothing to take back";
            return Err(Refusal::WrongState(why.to_owned()));
        }
    }
    let gone = |what| of_rollout(RolloutError::Gone(what));
    let digest = row
        .need
        .transaction
        .ok_or_else(|| gone("a deployment's transaction"))?;
    let change = rollout_change::get(view, scope, row.change)?;
    let change = change.ok_or_else(|| gone("a deployment's change"))?;
    Ok(Before {
        host: host::get(view, scope, row.host)?.ok_or_else(not_found)?,
        transaction: rollout::transaction_of(view, scope, digest).map_err(of_rollout)?,
        approval: rollout::approval_of(&change).map_err(of_rollout)?,
    })
}
