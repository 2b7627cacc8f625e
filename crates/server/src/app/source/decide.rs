//! What people decide about sources that are known: used or not, fetched by whom and how often, synced now. Each with its
//! audit record.

use super::{SourceView, shown};
use crate::Context;
use crate::app::caller::Caller;
use crate::app::change::{self, Done, Keep, Made, Once, Record};
use crate::app::permission::{Noun, Verb};
use crate::app::refusal::{Refusal, changed};
use crate::app::shape::maybe_whole;
use crate::catalog::propose::edit_of;
use crate::catalog::row::{self, ScheduleJson};
use crate::context::Work;
use domain::id::{SourceId, TenantId};
use jiff::Timestamp;
use serde::Deserialize;
use store::source::{self, NewSource, Source, SourceEdit, SourceKind, SourceState};
use store::{Owner, Scope, Tx, Whole};
use utoipa::ToSchema;

/// What is to become of a source. What is left out stays.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceChange {
    /// Whether it is used.
    #[serde(default)]
    pub state: Option<WantedState>,
    /// Who fetches it.
    #[serde(default)]
    pub fetched_by: Option<FetchedBy>,
    /// Seconds from one sync to the next: from five minutes to seven days.
    #[serde(default, deserialize_with = "maybe_whole")]
    #[schema(minimum = 300, maximum = 604_800)]
    pub every_seconds: Option<u32>,
}

/// Whether a source is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WantedState {
    /// It is synced, and answers for packages.
    Adopted,
    /// No syncs; what it published last keeps answering until it is too old.
    Paused,
    /// It is not used, and not proposed again.
    Declined,
}

impl From<WantedState> for SourceState {
    fn from(wanted: WantedState) -> Self {
        match wanted {
            WantedState::Adopted => Self::Adopted,
            WantedState::Paused => Self::Paused,
            WantedState::Declined => Self::Declined,
        }
    }
}

/// Who fetches a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FetchedBy {
    /// The server itself.
    Server,
    /// The agents of hosts that alone reach it; they carry what the archive signed.
    Agents,
}

/// Adopts, pauses or declines a source of the tenant's own, or says who fetches it and how often. An adopted one is synced
/// soon.
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
    if wanted
        .every_seconds
        .is_some_and(|every| !(300..=604_800).contains(&every))
    {
        return Err(Refusal::invalid("/every_seconds", "it is 300 to 604,800 seconds"));
    }
    let now = ctx.clock.now();
    let shown = change::change(ctx, caller, scope.owner(), move |tx| {
        let row = own(tx, &scope, id)?;
        let state = wanted.state.map_or(row.state, SourceState::from);
        let mut edit = decided(&row, state, now);
        edit.kind = match (wanted.fetched_by, row.kind) {
            (Some(FetchedBy::Agents), SourceKind::Rpm) => {
                return Err(Refusal::WrongState("agents carry apt sources only".to_owned()));
            }
            (Some(FetchedBy::Agents), _) => SourceKind::Carried,
            (Some(FetchedBy::Server), SourceKind::Carried) => SourceKind::Apt,
            (_, kind) => kind,
        };
        if let Some(every_seconds) = wanted.every_seconds {
            edit.schedule = row::json(&ScheduleJson { every_seconds });
        }
        let record = Record::of(Verb::Approve, Noun::Source, id)
            .with("state", state.as_str())
            .with("kind", edit.kind.as_str())
            .with("every_seconds", wanted.every_seconds)
            .with("name", &*row.name);
        let row = changed(source::edit(tx, &scope, id, version, &edit)?, "source")?;
        Ok(Done::new(shown(&row)?, record))
    });
    let shown = shown.await?;
    ctx.wake_ups.nudge(Work::Sync);
    Ok(shown)
}

/// A source of the tenant's own.
///
/// # Errors
/// Not found, or everybody's.
pub(super) fn own(tx: &mut Tx, scope: &Scope, id: SourceId) -> Result<Source, Refusal> {
    let row = source::get(tx, scope, id)?.ok_or(Refusal::NotFound { what: "source" })?;
    match row.owner {
        Owner::Tenant(_) => Ok(row),
        Owner::Shared => Err(Refusal::WrongState(
            "the source is everybody's: the infrastructure's administrators decide about it".to_owned(),
        )),
    }
}

/// A row in this state; an adopted one is synced at the next opportunity.
pub(super) fn decided(row: &Source, state: SourceState, now: Timestamp) -> SourceEdit {
    SourceEdit {
        state,
        next_sync_at: (state == SourceState::Adopted).then_some(now),
        ..edit_of(row)
    }
}

/// Adopts a source for the tenant, or rests, declines or takes it up again, within the caller's transaction. Nudge
/// [`Work::Sync`] afterwards.
///
/// # Errors
/// Not found, everybody's, changed meanwhile, or of the database.
pub fn set_state(
    tx: &mut Tx,
    scope: &Scope,
    id: SourceId,
    version: i64,
    state: SourceState,
    now: Timestamp,
) -> Result<Source, Refusal> {
    let row = own(tx, scope, id)?;
    let edit = decided(&row, state, now);
    changed(source::edit(tx, scope, id, version, &edit)?, "source")
}

/// Adopts for every tenant what the hosts of one proposed: one sync then serves all. The tenant's own proposal is declined,
/// as the shared source answers in its place.
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
    let made = change::make(ctx, caller, Owner::Shared, once, Keep::Plain, move |tx| {
        let row = share(tx, &scope, id, new, now)?;
        let record = Record::of(Verb::Approve, Noun::Source, row.id).with("proposed_by", tenant.to_string());
        let version = row.version;
        Ok(Done::new(shown(&row)?, record.with("name", row.name))
            .version(version)
            .only_done())
    });
    let made = made.await?;
    ctx.wake_ups.nudge(Work::Sync);
    Ok(made)
}

fn share(
    tx: &mut Tx,
    scope: &Scope,
    proposed: SourceId,
    id: SourceId,
    now: Timestamp,
) -> Result<Source, Refusal> {
    let whole = Whole::server();
    let row = source::get(tx, scope, proposed)?.ok_or(Refusal::NotFound { what: "source" })?;
    let adopted = decided(&row, SourceState::Adopted, now);
    if row.owner == Owner::Shared {
        let edited = source::edit_shared(tx, &whole, proposed, row.version, &adopted)?;
        return changed(edited, "source");
    }
    let declined = decided(&row, SourceState::Declined, now);
    changed(
        source::edit(tx, scope, proposed, row.version, &declined)?,
        "source",
    )?;
    let new = NewSource {
        id,
        identity: row.identity.clone(),
        identity_digest: row.identity_digest,
        edit: adopted,
    };
    source::create_shared(tx, &whole, &new, now)?;
    let there = source::by_identity(tx, &whole, Owner::Shared, row.identity_digest)?;
    there.ok_or(Refusal::Fault("the source that was just adopted is not there"))
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
        let row = source::get(tx, &scope, id)?.ok_or(Refusal::NotFound { what: "source" })?;
        ask_for_sync(tx, &scope, id, now)?;
        let record = Record::of(Verb::Run, Noun::Source, id).with("name", &*row.name);
        let row = source::get(tx, &scope, id)?.ok_or(Refusal::NotFound { what: "source" })?;
        Ok(Done::new(shown(&row)?, record).only_done())
    });
    let made = made.await?;
    ctx.wake_ups.nudge(Work::Sync);
    Ok(made)
}

/// Asks for a sync at the next opportunity, within the caller's transaction. Nudge [`Work::Sync`] afterwards.
///
/// # Errors
/// The source is not adopted, or of the database.
pub fn ask_for_sync(tx: &mut Tx, scope: &Scope, id: SourceId, now: Timestamp) -> Result<(), Refusal> {
    match source::ask_for_sync(tx, scope, id, now)? {
        true => Ok(()),
        false => Err(Refusal::WrongState(
            "only a source that is adopted is synced".to_owned(),
        )),
    }
}
