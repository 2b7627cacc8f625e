//! What people decide about a change that is on its way: stop it, let it go on, take a host out of it, try a host again. From the
//! moment of the decision on no host gets a permission to begin.

use super::of_rollout;
use super::shapes::ChangeView;
use super::view::show_change;
use crate::Context;
use crate::app::caller::{Caller, Place};
use crate::app::change::{self, Done, Keep, Made, Once, Record};
use crate::app::permission::{Noun, Verb};
use crate::app::refusal::{Refusal, changed};
use crate::app::shape::IdText;
use crate::context::Work;
use crate::rollout::words;
use domain::id::{ChangeId, DeploymentId, HostId};
use domain::rollout::deployment::Shown;
use jiff::Timestamp;
use serde::Serialize;
use store::deployment::{self, Deployment, Intent};
use store::order::{self, Order};
use store::rollout_change::{self, ChangeState, RolloutChange};
use store::{Scope, Tx, View};

/// Stops a change: no order of it is made, and those that did not begin are taken back.
///
/// # Errors
/// Not found, or stopped or finished already.
pub async fn stop(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: ChangeId,
    once: Once,
) -> Result<Made, Refusal> {
    let (scope, now) = (place.scope, ctx.clock.now());
    let made = change::make(ctx, caller, scope.owner(), once, Keep::Plain, move |tx| {
        let row = find(tx, &scope, id)?;
        if row.state == ChangeState::Stopped {
            return Err(Refusal::WrongState("this change is stopped already".to_owned()));
        }
        let row = set_state(tx, &scope, &row, ChangeState::Stopped)?;
        let open = open_of(tx, &scope, id)?;
        for order in &open {
            order::withdraw(tx, &scope, order.number, now)?;
        }
        let record = Record::of(Verb::Change, Noun::Change, id)
            .with("state", "stopped")
            .with("orders_taken_back", open.len());
        done(tx, &scope, row, record)
    });
    let made = made.await?;
    let hosts = ctx
        .db
        .read(move |view| deployment::scope_of(view, &scope, id))
        .await?;
    tell(ctx, scope, &hosts).await?;
    Ok(made)
}

/// Lets a stopped change go on.
///
/// # Errors
/// Not found, or not stopped.
pub async fn resume(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: ChangeId,
    once: Once,
) -> Result<Made, Refusal> {
    let scope = place.scope;
    let made = change::make(ctx, caller, scope.owner(), once, Keep::Plain, move |tx| {
        let row = find(tx, &scope, id)?;
        if row.state == ChangeState::Running {
            return Err(Refusal::WrongState("this change is not stopped".to_owned()));
        }
        let row = set_state(tx, &scope, &row, ChangeState::Running)?;
        let record = Record::of(Verb::Change, Noun::Change, id).with("state", "running");
        done(tx, &scope, row, record)
    });
    let made = made.await?;
    ctx.wake_ups.nudge(Work::Plan);
    Ok(made)
}

fn done(tx: &mut Tx, scope: &Scope, row: RolloutChange, record: Record) -> Result<Done<ChangeView>, Refusal> {
    rollout_change::next_generation(tx, scope)?;
    let version = row.version;
    let view = show_change(tx, scope, row).map_err(of_rollout)?;
    Ok(Done::new(view, record).version(version).only_done())
}

fn find(view: &mut View, scope: &Scope, id: ChangeId) -> Result<RolloutChange, Refusal> {
    let row = rollout_change::get(view, scope, id)?;
    row.ok_or(Refusal::NotFound { what: "change" })
}

fn set_state(
    tx: &mut Tx,
    scope: &Scope,
    row: &RolloutChange,
    state: ChangeState,
) -> Result<RolloutChange, Refusal> {
    let after = rollout_change::set_state(tx, scope, row.id, row.version, state)?;
    changed(after, "change")
}

/// The orders of a change of which something may still come.
fn open_of(view: &mut View, scope: &Scope, id: ChangeId) -> Result<Vec<Order>, Refusal> {
    let members = deployment::members(view, scope, id)?;
    let numbers: Vec<u64> = members.iter().filter_map(|member| member.order).collect();
    let mut orders = order::get_many(view, scope, &numbers)?;
    orders.retain(|order| order.ended_at.is_none() && order.withdrawn_at.is_none());
    Ok(orders)
}

/// Lets those hear of it who wait, and plans anew.
async fn tell(ctx: &Context, scope: Scope, hosts: &[HostId]) -> Result<(), Refusal> {
    ctx.open_orders.refresh(ctx, scope, hosts).await?;
    ctx.wake_ups.nudge(Work::Plan);
    Ok(())
}

/// What was decided about a deployment.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DeploymentDecision)]
pub struct DecisionView {
    /// The deployment.
    pub id: IdText,
    /// What it is shown as now.
    pub shown: &'static str,
    /// Counts what was decided about it.
    pub version: i64,
}

/// Takes a host out of its change. What has begun there is finished by the host.
///
/// # Errors
/// Not found, or over already.
pub async fn cancel(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: DeploymentId,
    once: Once,
) -> Result<Made, Refusal> {
    let now = ctx.clock.now();
    decide(ctx, caller, place, id, once, move |tx, scope, row, shown| {
        match shown {
            Shown::Succeeded | Shown::NotInEffect => {
                return Err(Refusal::WrongState(
                    "this deployment is over: back it out instead".to_owned(),
                ));
            }
            Shown::Cancelled | Shown::CancelledUnderway(_) => {
                return Err(Refusal::WrongState(
                    "this deployment is cancelled already".to_owned(),
                ));
            }
            Shown::Planned | Shown::Ordered | Shown::Underway(_) | Shown::Failed(_) => {}
        }
        if let Some(number) = row.order {
            order::withdraw(tx, scope, number, now)?;
        }
        Ok((Intent::Cancelled, row.order, "cancelled"))
    })
    .await
}

/// Tries a host again that failed, or was taken out of its change: with an order of its own.
///
/// # Errors
/// Not found, not failed, or the change's time is over.
pub async fn retry(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: DeploymentId,
    once: Once,
) -> Result<Made, Refusal> {
    let now = ctx.clock.now();
    decide(ctx, caller, place, id, once, move |tx, scope, row, shown| {
        match shown {
            Shown::Failed(_) | Shown::Cancelled => {}
            _ => {
                let why = "only what failed or was cancelled is tried again";
                return Err(Refusal::WrongState(why.to_owned()));
            }
        }
        if let Some(until) = may_begin_until(tx, scope, row)?.filter(|until| now < *until) {
            let why = format!("the host was permitted to begin until {until}: try again then");
            return Err(Refusal::WrongState(why));
        }
        let change = find(tx, scope, row.change)?;
        if change.closes <= now {
            let why = "the change's time is over: approve it again with a later end";
            return Err(Refusal::WrongState(why.to_owned()));
        }
        rollout_change::note_finished(tx, scope, change.id, None)?;
        Ok((Intent::Planned, None, "tried_again"))
    })
    .await
}

/// What is decided about a deployment: its intent, its order in force, and the word of the record.
type Decided = (Intent, Option<u64>, &'static str);

async fn decide<F>(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: DeploymentId,
    once: Once,
    how: F,
) -> Result<Made, Refusal>
where
    F: Fn(&mut Tx, &Scope, &Deployment, Shown) -> Result<Decided, Refusal> + Send + 'static,
{
    let scope = place.scope;
    let made = change::make(ctx, caller, scope.owner(), once, Keep::Plain, move |tx| {
        let row = deployment::get(tx, &scope, id)?;
        let row = row.ok_or(Refusal::NotFound { what: "deployment" })?;
        let before = shown(tx, &scope, &row)?;
        let (intent, order, word) = how(tx, &scope, &row, before)?;
        let after = deployment::decide(tx, &scope, id, row.version, intent, order)?;
        let row = changed(after, "deployment")?;
        rollout_change::next_generation(tx, &scope)?;
        let record = Record::of(Verb::Change, Noun::Change, row.change)
            .with("deployment", id.to_string())
            .with("host", row.host.to_string())
            .with(word, true);
        let view = DecisionView {
            id: IdText::of(id),
            shown: words::shown(shown(tx, &scope, &row)?),
            version: row.version,
        };
        Ok(Done::new(view, record).version(row.version).only_done())
    });
    let made = made.await?;
    let row = ctx.db.read(move |view| deployment::get(view, &scope, id)).await?;
    let hosts: Vec<HostId> = row.iter().map(|row| row.host).collect();
    tell(ctx, scope, &hosts).await?;
    Ok(made)
}

fn shown(view: &mut View, scope: &Scope, row: &Deployment) -> Result<Shown, store::Error> {
    let order = order_of(view, scope, row)?;
    Ok(words::deployment(row.intent, order.as_ref().map(Into::into)).shown())
}

fn order_of(view: &mut View, scope: &Scope, row: &Deployment) -> Result<Option<Order>, store::Error> {
    match row.order {
        Some(number) => Ok(order::get_many(view, scope, &[number])?.pop()),
        None => Ok(None),
    }
}

/// Until when the host may begin by an order that has not ended.
fn may_begin_until(
    view: &mut View,
    scope: &Scope,
    row: &Deployment,
) -> Result<Option<Timestamp>, store::Error> {
    let order = order_of(view, scope, row)?;
    Ok(order
        .filter(|order| order.ended_at.is_none())
        .and_then(|order| order.may_begin_until))
}
