//! What people decide about sources, each with its audit record; what follows from it is in `source` and `catalog`.

use domain::id::{SourceId, TenantId};
use serde::Deserialize;
use store::Scope;
use store::source::SourceState;
use utoipa::ToSchema;

use super::caller::Caller;
use super::change::{self, Done, Keep, Made, Once, Record};
use super::permission::{Noun, Verb};
use super::refusal::Refusal;
use super::source::{self, SourceView};
use crate::Context;
use crate::context::Work;

/// What is to become of a source.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceChange {
    /// `adopted`, `paused` or `declined`.
    pub state: String,
}

/// Adopts, pauses or declines a source of the tenant's own. An adopted one is synced soon.
///
/// # Errors
/// Where it is everybody's, is not there, or somebody changed it meanwhile.
pub async fn edit(
    ctx: &Context,
    caller: &Caller,
    scope: Scope,
    id: SourceId,
    version: i64,
    wanted: SourceChange,
) -> Result<SourceView, Refusal> {
    let state = SourceState::parse(&wanted.state).filter(|state| *state != SourceState::Proposed);
    let state = state.ok_or_else(|| Refusal::invalid("/state", "it is adopted, paused or declined"))?;
    let now = ctx.clock.now();
    let shown = change::change(ctx, caller, scope.owner(), move |tx| {
        let row = source::set_state(tx, &scope, id, version, state, now)?;
        let record = Record::of(Verb::Approve, Noun::Source, id);
        Ok(Done::new(
            source::shown(&row)?,
            record.with("state", state.as_str()).with("name", row.name),
        ))
    });
    let shown = shown.await?;
    ctx.wake_ups.nudge(Work::Sync);
    Ok(shown)
}

/// Adopts for every tenant what the hosts of one proposed: one sync then serves all.
///
/// # Errors
/// Where it is not there, or somebody changed it meanwhile.
pub async fn adopt_for_everybody(
    ctx: &Context,
    caller: &Caller,
    tenant: TenantId,
    id: SourceId,
    once: Once,
) -> Result<Made, Refusal> {
    let (scope, new, now) = (
        Scope::of_tenant(tenant),
        change::draw_id(ctx, SourceId::new),
        ctx.clock.now(),
    );
    let made = change::make(ctx, caller, store::Owner::Shared, once, Keep::Plain, move |tx| {
        let proposed = store::source::get(tx, &scope, id)?.ok_or(Refusal::NotFound { what: "source" })?;
        let places = (&store::Whole::server(), &scope);
        let row = source::adopt_for_everybody(tx, places, id, proposed.version, new, now)?;
        let record = Record::of(Verb::Approve, Noun::Source, row.id).with("proposed_by", tenant.to_string());
        let version = row.version;
        Ok(Done::new(source::shown(&row)?, record.with("name", row.name))
            .version(version)
            .only_done())
    });
    let made = made.await?;
    ctx.wake_ups.nudge(Work::Sync);
    Ok(made)
}

/// Has an adopted source synced at the next opportunity.
///
/// # Errors
/// Where there is no such adopted source.
pub async fn sync(
    ctx: &Context,
    caller: &Caller,
    scope: Scope,
    id: SourceId,
    once: Once,
) -> Result<Made, Refusal> {
    let now = ctx.clock.now();
    let made = change::make(ctx, caller, scope.owner(), once, Keep::Plain, move |tx| {
        source::ask_for_sync(tx, &scope, id, now)?;
        let row = store::source::get(tx, &scope, id)?.ok_or(Refusal::NotFound { what: "source" })?;
        Ok(Done::new(source::shown(&row)?, Record::of(Verb::Run, Noun::Source, id)).only_done())
    });
    let made = made.await?;
    ctx.wake_ups.nudge(Work::Sync);
    Ok(made)
}
