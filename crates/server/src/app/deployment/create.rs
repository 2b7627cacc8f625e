//! Making a change: its approval, and a deployment for each host, with the audit record and the repeatable answer in one
//! transaction. There is no other way to an order.

use super::draft::{Draft, Texts};
use super::of_rollout;
use super::request::{DeployRequest, Wanted};
use super::shapes::ChangeView;
use super::view::show_change;
use crate::Context;
use crate::app::caller::{Caller, Place};
use crate::app::change::{self, Done, Keep, Made, Once, Record};
use crate::app::permission::{Noun, Verb};
use crate::app::refusal::Refusal;
use crate::context::Work;
use crate::rollout;
use domain::id::{ChangeId, DeploymentId};
use jiff::Timestamp;
use store::deployment::{self, NewDeployment};
use store::rollout_change::{self, NewChange};
use store::{Scope, Tx};

/// Makes a change of what was previewed.
///
/// # Errors
/// Where something else would be approved than was seen, nothing is to be installed, or a value may not be.
pub async fn create(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    once: Once,
    request: DeployRequest,
) -> Result<Made, Refusal> {
    let owner = place.scope.owner();
    if let Some(made) = change::answered(ctx, caller, owner, &once).await? {
        return Ok(made);
    }
    let Some(seen) = &request.approval else {
        let why = "name the approval that the preview showed";
        return Err(Refusal::invalid("/approval", why));
    };
    let wanted = request.check(ctx.clock.now())?;
    let draft = Draft::of(ctx, place, &wanted).await?;
    if *seen != draft.digest.to_string() {
        return Err(Refusal::PreviewChanged);
    }
    if !draft.has_work() {
        let why = "nothing is to be installed on any of these hosts; the preview says why";
        return Err(Refusal::WrongState(why.to_owned()));
    }
    make(ctx, caller, place.scope, once, draft, wanted).await
}

/// Makes the change of a draft.
pub(super) async fn make(
    ctx: &Context,
    caller: &Caller,
    scope: Scope,
    once: Once,
    draft: Draft,
    wanted: Wanted,
) -> Result<Made, Refusal> {
    let id = change::draw_id(ctx, ChangeId::new);
    let now = ctx.clock.now();
    let (new, deployments, texts) = rows(ctx, caller, id, &draft, &wanted);
    let record = record_of(id, &draft, &wanted);
    let making = change::make(ctx, caller, scope.owner(), once, Keep::Plain, move |tx| {
        let view = write(tx, &scope, &new, &deployments, &texts, now)?;
        Ok(Done::new(view, record.clone()).version(1))
    });
    let made = making.await?;
    ctx.wake_ups.nudge(Work::Plan);
    Ok(made)
}

fn record_of(id: ChangeId, draft: &Draft, wanted: &Wanted) -> Record {
    let updates = draft.approval.release.updates.iter();
    let updates: Vec<String> = updates
        .map(|update| format!("{} {}", update.source, update.source_version))
        .collect();
    Record::of(Verb::Approve, Noun::Change, id)
        .with("approved", draft.digest.to_string())
        .with("updates", updates)
        .with("hosts", draft.hosts.len())
        .with("closes", wanted.closes.to_string())
}

fn rows(
    ctx: &Context,
    caller: &Caller,
    id: ChangeId,
    draft: &Draft,
    wanted: &Wanted,
) -> (NewChange, Vec<NewDeployment>, Texts) {
    let mut texts = Texts::new();
    let deployments = draft.hosts.iter().map(|(host, found)| {
        let (need, text) = rollout::need_of(found.as_ref().as_ref(), host.inventory);
        texts.extend(text);
        NewDeployment {
            id: change::draw_id(ctx, DeploymentId::new),
            host: host.id,
            need,
        }
    });
    let deployments: Vec<NewDeployment> = deployments.collect();
    let hosts = u32::try_from(draft.hosts.len()).unwrap_or(u32::MAX);
    let new = NewChange {
        id,
        reason: wanted.reason.clone(),
        approval: draft.bytes.clone(),
        approved: draft.digest,
        needed: 0,
        opens: wanted.opens,
        closes: wanted.closes,
        at_once: wanted.at_once.unwrap_or(hosts),
        made_by: caller.user,
    };
    (new, deployments, texts)
}

fn write(
    tx: &mut Tx,
    scope: &Scope,
    new: &NewChange,
    deployments: &[NewDeployment],
    texts: &Texts,
    now: Timestamp,
) -> Result<ChangeView, Refusal> {
    let policy = rollout_change::policy(tx, scope)?;
    let new = NewChange {
        needed: policy.map_or(0, |policy| policy.needed),
        ..new.clone()
    };
    let row = rollout_change::create(tx, scope, &new, now)?;
    for (digest, text) in texts {
        deployment::put_transaction(tx, scope, *digest, text, now)?;
    }
    deployment::create(tx, scope, row.id, deployments)?;
    rollout_change::next_generation(tx, scope)?;
    show_change(tx, scope, row).map_err(of_rollout)
}
