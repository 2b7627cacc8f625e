//! What a host's report of an order is kept as. Success is believed only where an inventory that was made afterwards shows it.

use crate::agents::refusal::Refusal;
use crate::agents::registry::AgentHost;
use crate::context::Context;
use crate::rollout::{self, RolloutError, words};
use domain::digest::Sha256Digest;
use domain::rollout::deployment::{Failure, Observation};
use jiff::{SignedDuration, Timestamp};
use protocol::document::DocumentKind;
use protocol::message::check_in::CheckIn;
use protocol::message::orders::{OrderReport, Stage};
use store::order::{Order, OrderStage, Report};

/// For how long the end of an order waits for what the package manager said.
const OUTPUT_AWAITED: SignedDuration = SignedDuration::from_mins(10);

/// A report as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    report: Report,
    end: End,
}

/// Whether anything more is expected of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It is not over, or not all of its end is here.
    Awaited,
    /// All is here: the host need say no more.
    Heard,
}

impl Kept {
    pub(super) fn report(&self) -> &Report {
        &self.report
    }

    pub(super) fn is_heard(&self) -> bool {
        self.end == End::Heard
    }

    /// Since when the order is over, as it is kept now.
    pub(super) fn ended_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.is_heard().then_some(now)
    }

    /// Whether it is not what is kept of the order already.
    pub(super) fn is_new(&self, order: &Order) -> bool {
        self.is_heard() || self.report != order.report
    }
}

/// What a report is kept as; none for one of a later version's stage.
///
/// # Errors
/// Of the database.
pub(super) async fn judge(
    context: &Context,
    host: &AgentHost,
    message: &CheckIn,
    (report, order): (&OrderReport, &Order),
    has_output: bool,
) -> Result<Option<Kept>, Refusal> {
    if report.stage == Stage::Unrecognised {
        return Ok(None);
    }
    let (mut stage, mut failure) = match report.observation() {
        Some(observation) => words::stage(observation),
        None => (OrderStage::Withdrawn, None),
    };
    let mut detail = report.detail.clone();
    let mut is_over = report.stage.is_end();
    if matches!(stage, OrderStage::Succeeded | OrderStage::NotInEffect) {
        match proof(context, host, message, (report, order)).await? {
            Proof::Shown => {}
            Proof::Awaited => (stage, is_over) = (OrderStage::Verifying, false),
            Proof::NotShown => {
                (stage, failure) = words::stage(Observation::Failed(Failure::NotSeen));
                detail = "The host says that it is installed, and its inventory afterwards does not show it."
                    .to_owned();
            }
        }
    }
    let now = context.clock.now();
    // Whoever said so long ago and could not hand it over will not.
    let has_waited = order
        .reported_at
        .is_some_and(|at| now.duration_since(at) > OUTPUT_AWAITED);
    let is_all_here = has_output || (has_waited && order.report.stage == stage);
    Ok(Some(Kept {
        report: Report {
            stage,
            failure,
            since: Some(report.since),
            detail,
            last_line: report.last_line.clone(),
            output: report.output,
            fetch_millis: report.took.fetch_millis,
            install_millis: report.took.install_millis,
            fetched_bytes: report.took.fetched_bytes,
        },
        end: match is_over && is_all_here {
            true => End::Heard,
            false => End::Awaited,
        },
    }))
}

/// What a host's inventory says of the success that the host reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    /// It shows all that was ordered, and is younger than the order: before, the host had something else.
    Shown,
    /// It was made after the end, and does not show it.
    NotShown,
    /// It is older, or not here yet.
    Awaited,
}

async fn proof(
    context: &Context,
    host: &AgentHost,
    message: &CheckIn,
    (report, order): (&OrderReport, &Order),
) -> Result<Proof, Refusal> {
    let mut named = message.documents.iter();
    let inventory = named.find(|name| name.kind == DocumentKind::Inventory);
    let is_here = |digest| host.current(DocumentKind::Inventory) == Some(digest);
    let Some(inventory) = inventory.filter(|name| is_here(name.digest)) else {
        return Ok(Proof::Awaited);
    };
    if inventory.observed_at < order.made_at {
        return Ok(Proof::Awaited);
    }
    Ok(match is_shown(context, host, order, inventory.digest).await? {
        true => Proof::Shown,
        false if inventory.observed_at >= report.since => Proof::NotShown,
        false => Proof::Awaited,
    })
}

async fn is_shown(
    context: &Context,
    host: &AgentHost,
    order: &Order,
    inventory: Sha256Digest,
) -> Result<bool, Refusal> {
    let (scope, deployment) = (host.scope(), order.deployment);
    let read = context
        .db
        .attempt_read(move |view| rollout::is_in_place(view, &scope, deployment, inventory));
    match read.await {
        Ok(is_shown) => Ok(is_shown),
        Err(RolloutError::Store(error)) => Err(error.into()),
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "An order cannot be compared with an inventory."
            );
            Ok(false)
        }
    }
}
