//! Why hosts of a tenant's changes are not acted on now: the plan, made and not carried out.

use super::of_rollout;
use crate::Context;
use crate::app::refusal::Refusal;
use crate::rollout::{self, words};
use domain::assess::fleet::HostNo;
use domain::id::ChangeId;
use domain::rollout::plan::plan;
use std::collections::HashMap;
use store::Scope;

/// By change and host: a word and a sentence.
pub(super) type Waits = HashMap<(ChangeId, HostNo), (&'static str, String)>;

/// Plans, and says what waits.
pub(super) async fn of_tenant(ctx: &Context, scope: Scope) -> Result<Waits, Refusal> {
    let silence = rollout::silence(ctx);
    let known = ctx
        .db
        .attempt_read(move |view| rollout::read(view, &scope, silence));
    let known = known.await.map_err(of_rollout)?;
    let now = ctx.clock.now();
    let planning = tokio::task::spawn_blocking(move || {
        let changes = known.change_ids();
        let plan = plan(&known.world, now);
        let waits = plan.waiting.into_iter().filter_map(|waits| {
            let change = changes.get(usize::try_from(waits.change.0).ok()?)?;
            Some(((*change, waits.host), words::waiting(waits.why, &changes)))
        });
        waits.collect()
    });
    Ok(planning.await.expect("planning does not panic"))
}
