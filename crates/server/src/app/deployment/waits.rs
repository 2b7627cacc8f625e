//! Why hosts of a tenant's changes are not acted on now: the plan, made and not carried out.

use super::of_rollout;
use crate::Context;
use crate::app::refusal::Refusal;
use crate::rollout::{self, words};
use domain::assess::fleet::HostNo;
use domain::id::ChangeId;
use domain::rollout::plan::plan;
use domain::rollout::waiting::Waiting;
use std::collections::HashMap;
use store::Scope;

/// By change and host: a word and a sentence.
pub(super) type Waits = HashMap<(ChangeId, HostNo), (&'static str, String)>;

/// Plans, and says what waits.
pub(super) async fn of_tenant(ctx: &Context, scope: Scope) -> Result<Waits, Refusal> {
    let known = rollout::known(ctx, scope).await.map_err(of_rollout)?;
    let now = ctx.clock.now();
    let planning = tokio::task::spawn_blocking(move || {
        let changes = known.change_ids();
        let plan = plan(&known.world, now);
        let waits = plan.waiting.into_iter().filter_map(|waits| {
            let change = known.changes.get(usize::try_from(waits.change.0).ok()?)?;
            let (word, sentence) = words::waiting(waits.why, &changes);
            let sentence = match (waits.why, &change.retracted) {
                (Waiting::NotBuilt, Some(retracted)) => retracted.clone(),
                _ => sentence,
            };
            Some(((change.row.id, waits.host), (word, sentence)))
        });
        waits.collect()
    });
    Ok(planning.await.expect("planning does not panic"))
}
