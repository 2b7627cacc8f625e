//! The permission to begin: given only while the order is in force, its change runs and is open, and its host is let in; and
//! noted durably before it is signed, so that the server always knows until when the host may begin.

use crate::agents::refusal::Refusal;
use crate::agents::registry::{AgentHost, mode_of};
use crate::context::Context;
use crate::rollout::{RolloutError, approval_of, retracted, words};
use domain::change::Approval;
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::HostId;
use domain::identity::BootId;
use domain::order::{Go, LEASE_SECONDS};
use failpoint::{Point, reach};
use jiff::{SignedDuration, Timestamp};
use protocol::message::check_in;
use protocol::message::orders::{GoAsked, GoBytes};
use protocol::order::GoDocument;
use protocol::statement::seal;
use store::deployment::{self, Intent};
use store::host::HostState;
use store::order::{self, Order};
use store::rollout_change::{self, ChangeState};
use store::{Scope, Tx, View, host};

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
struct Asking {
    scope: Scope,
    host: HostId,
    order: Sha256Digest,
    mode: Mode,
    now: Timestamp,
}

/// The go that was asked for, if it is due.
///
/// # Errors
/// Of the database.
pub(super) async fn answer(
    context: &Context,
    host: &AgentHost,
    order: &Order,
    asked: GoAsked,
    mode: check_in::Mode,
) -> Result<Option<GoBytes>, Refusal> {
    let asking = Asking {
        scope: host.scope(),
        host: host.id(),
        order: order.digest,
        mode: words::mode(mode_of(mode)),
        now: context.clock.now(),
    };
    match permit(context, asking).await {
        Ok(lease) => Ok(lease.map(|lease| sign(context, asking, asked, lease))),
        Err(RolloutError::Store(error)) => Err(error.into()),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "A host may not begin: its order cannot be read."
            );
            Ok(None)
        }
    }
}

fn sign(context: &Context, asking: Asking, asked: GoAsked, lease_seconds: u32) -> GoBytes {
    let go = Go {
        order: asking.order,
        boot: BootId(asked.boot),
        nonce: asked.nonce,
        issued_at: asking.now,
        lease_seconds,
    };
    GoBytes(seal(&GoDocument::of(&go), context.authority.orders_key()))
}

/// Whether the host may begin, and for how many seconds; it is durable then.
async fn permit(context: &Context, asking: Asking) -> Result<Option<u32>, RolloutError> {
    let looking = context.db.attempt_read(move |view| {
        Ok::<_, RolloutError>(may_begin(view, &asking)?.map(|(_, approval)| approval))
    });
    let Some(approval) = looking.await? else {
        return Ok(None);
    };
    if retracted(context, asking.scope, &approval).await?.is_some() {
        return Ok(None);
    }
    let permitting = context.db.attempt(move |tx| permit_in(tx, &asking));
    let lease = permitting.await?;
    reach(Point::GoPermitted);
    if lease.is_some() {
        let open = &context.open_orders;
        open.refresh(context, asking.scope, &[asking.host]).await?;
    }
    Ok(lease)
}

/// The same in the transaction that notes it: whoever stops the change before it ends stops it in time.
fn permit_in(tx: &mut Tx, asking: &Asking) -> Result<Option<u32>, RolloutError> {
    // Holds the generation before it looks: a decision beside this one comes before it or after it.
    let generation = rollout_change::generation(tx, &asking.scope)?;
    if !rollout_change::hold_generation(tx, &asking.scope, generation)? {
        return Ok(None);
    }
    let Some((order, approval)) = may_begin(tx, asking)? else {
        return Ok(None);
    };
    let left = approval.not_after.duration_since(asking.now).as_secs();
    let lease = u32::try_from(left).unwrap_or(0).min(LEASE_SECONDS);
    let until = asking.now + SignedDuration::from_secs(i64::from(lease));
    let is_permitted = lease > 0 && order::permit(tx, &asking.scope, order, until)?;
    Ok(is_permitted.then_some(lease))
}

/// The number of the order and its approval, if the host may begin by what is decided now.
fn may_begin(view: &mut View, asking: &Asking) -> Result<Option<(u64, Approval)>, RolloutError> {
    let (scope, now) = (&asking.scope, asking.now);
    let Some(order) = order::by_digest(view, scope, asking.order)? else {
        return Ok(None);
    };
    let Some(deployment) = deployment::get(view, scope, order.deployment)? else {
        return Ok(None);
    };
    let is_in_force = order.host == asking.host
        && order.withdrawn_at.is_none()
        && order.ended_at.is_none()
        && deployment.intent == Intent::Ordered
        && deployment.order == Some(order.number);
    let change = rollout_change::get(view, scope, deployment.change)?;
    let Some(change) = change.filter(|_| is_in_force) else {
        return Ok(None);
    };
    let is_open = change.state == ChangeState::Running && change.opens <= now && now < change.closes;
    let is_let_in = host::get(view, scope, asking.host)?.is_some_and(|host| host.state == HostState::Active);
    let approval = approval_of(&change)?;
    let is_below_ceiling = approval.release.rules.needs <= asking.mode;
    Ok((is_open && is_let_in && is_below_ceiling).then_some((order.number, approval)))
}
