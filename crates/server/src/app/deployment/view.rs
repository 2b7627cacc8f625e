//! How far changes and their deployments are, for people.

use super::of_rollout;
use super::shapes::{
    ChangeUpdateView, ChangeView, DeploymentView, OrderStageView, SignaturesView, TookView, WaitingView,
};
use super::waits::{self, Waits};
use crate::Context;
use crate::agents::stored_bytes;
use crate::app::caller::Place;
use crate::app::refusal::Refusal;
use crate::app::shape::{IdText, Part, When};
use crate::rollout::{self, RolloutError, Transaction, words};
use domain::digest::Sha256Digest;
use domain::id::{ChangeId, DeploymentId};
use domain::order::Direction;
use domain::rollout::deployment::{Failure, Shown};
use std::collections::{BTreeMap, HashMap};
use store::deployment::{self, Alike, Deployment, NeedKind};
use store::order::{self, Order, OrderStage};
use store::rollout_change::{self, ChangeState, RolloutChange};
use store::{Page, Scope, View, document};

/// The tenant's changes, the last made first.
///
/// # Errors
/// Of the database.
pub async fn changes(
    ctx: &Context,
    place: &Place,
    before: Option<ChangeId>,
    limit: u32,
) -> Result<Part<ChangeView, String>, Refusal> {
    let scope = place.scope;
    let read = ctx.db.attempt_read(move |view| {
        let page = rollout_change::page(view, &scope, before, limit)?;
        let next = page.next.map(|id| id.to_string());
        let rows = page.rows.into_iter();
        let items = rows
            .map(|row| show_change(view, &scope, row))
            .collect::<Result<_, _>>()?;
        Ok::<_, RolloutError>(Part { items, next })
    });
    read.await.map_err(of_rollout)
}

/// One change.
///
/// # Errors
/// Not found.
pub async fn change(ctx: &Context, place: &Place, id: ChangeId) -> Result<ChangeView, Refusal> {
    let scope = place.scope;
    let read = ctx.db.attempt_read(move |view| {
        let row = rollout_change::get(view, &scope, id)?;
        row.map(|row| show_change(view, &scope, row)).transpose()
    });
    let found = read.await.map_err(of_rollout)?;
    found.ok_or(Refusal::NotFound { what: "change" })
}

/// A change, shown.
pub(super) fn show_change(
    view: &mut View,
    scope: &Scope,
    row: RolloutChange,
) -> Result<ChangeView, RolloutError> {
    let approval = rollout::approval_of(&row)?;
    let rules = &approval.release.rules;
    let signatures = match row.needed {
        0 => 0,
        _ => rollout_change::signatures(view, scope, row.id)?.len(),
    };
    let signatures = u32::try_from(signatures).unwrap_or(u32::MAX);
    let counts = deployment::counts(view, scope, row.id)?;
    let mut totals = BTreeMap::new();
    for alike in &counts {
        *totals.entry(total_of(shown_alike(alike))).or_insert(0) += alike.count;
    }
    let updates = approval.release.updates.iter();
    Ok(ChangeView {
        id: IdText::of(row.id),
        state: match (row.finished_at, row.state) {
            (Some(_), _) => "ended",
            (None, ChangeState::Stopped) => "stopped",
            (None, ChangeState::Running) if signatures < row.needed => "waiting_for_signatures",
            (None, ChangeState::Running) => "running",
        },
        direction: match approval.direction {
            Direction::Forward => "forward",
            Direction::BackOut => "back_out",
        },
        updates: updates.map(ChangeUpdateView::of).collect(),
        approval: row.approved.to_string(),
        signatures: SignaturesView {
            have: signatures,
            need: row.needed,
        },
        opens: When(row.opens),
        closes: When(row.closes),
        at_once: row.at_once,
        needs: rules.needs.into(),
        start: rules.start.into(),
        reboot: rules.reboot.into(),
        staging: row.staging.as_str(),
        staging_detail: row.staging_detail,
        hosts: approval.scope.hosts,
        totals,
        reason: row.reason,
        created_at: When(row.created_at),
        ended_at: row.finished_at.map(When),
        version: row.version,
    })
}

fn shown_alike(alike: &Alike) -> &'static str {
    let seen = alike.stage.map(|stage| words::Seen {
        stage,
        failure: alike.failure,
        may_begin_until: None,
        withdrawn_at: alike.is_withdrawn.then_some(jiff::Timestamp::UNIX_EPOCH),
    });
    word(words::deployment(alike.intent, seen).shown(), alike.need)
}

/// The word under which a deployment is counted.
fn total_of(word: &'static str) -> &'static str {
    match word {
        "nothing" | "planned" | "ordered" | "succeeded" | "not_in_effect" | "failed" | "cancelled" => word,
        _ => "underway",
    }
}

fn word(shown: Shown, need: NeedKind) -> &'static str {
    match (shown, need) {
        (Shown::Planned, NeedKind::Nothing) => "nothing",
        (shown, _) => words::shown(shown),
    }
}

/// The deployments of a change.
///
/// # Errors
/// Not found.
pub async fn deployments(
    ctx: &Context,
    place: &Place,
    change: ChangeId,
    after: Option<DeploymentId>,
    limit: u32,
) -> Result<Part<DeploymentView, String>, Refusal> {
    let scope = place.scope;
    let read = ctx.db.attempt_read(move |view| {
        let Some(row) = rollout_change::get(view, &scope, change)? else {
            return Ok(None);
        };
        let page = deployment::of_change(view, &scope, change, after, limit)?;
        let next = page.next.map(|id| id.to_string());
        Ok::<_, RolloutError>(Some((Looked::at(view, &scope, page.rows)?, next, row)))
    });
    let found = read.await.map_err(of_rollout)?;
    let (looked, next, row) = found.ok_or(Refusal::NotFound { what: "change" })?;
    let items = looked.shown(ctx, scope, &[row]).await?;
    Ok(Part { items, next })
}

/// Which deployments somebody has to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Those that failed or are not in effect.
    ForPeople,
    /// Those that failed.
    Failed,
    /// Those that are not in effect.
    NotInEffect,
    /// Those that hosts are at.
    Underway,
}

impl Work {
    const fn stages(self) -> &'static [OrderStage] {
        match self {
            Self::ForPeople => &[OrderStage::Failed, OrderStage::NotInEffect],
            Self::Failed => &[OrderStage::Failed],
            Self::NotInEffect => &[OrderStage::NotInEffect],
            Self::Underway => &[
                OrderStage::None,
                OrderStage::Taken,
                OrderStage::Prepared,
                OrderStage::Installing,
                OrderStage::RebootPending,
                OrderStage::Verifying,
            ],
        }
    }
}

/// Deployments that somebody has to look at, the last ordered first.
///
/// # Errors
/// Of the database.
pub async fn work_list(
    ctx: &Context,
    place: &Place,
    work: Work,
    before: Option<u64>,
    limit: u32,
) -> Result<Part<DeploymentView, u64>, Refusal> {
    let scope = place.scope;
    let read = ctx.db.attempt_read(move |view| {
        let page: Page<Deployment, u64> = deployment::work_list(view, &scope, work.stages(), before, limit)?;
        let next = page.next;
        Ok::<_, RolloutError>((Looked::at(view, &scope, page.rows)?, next))
    });
    let (looked, next) = read.await.map_err(of_rollout)?;
    let items = looked.shown(ctx, scope, &[]).await?;
    Ok(Part { items, next })
}

/// One deployment, with the stages of its orders.
///
/// # Errors
/// Not found.
pub async fn deployment(ctx: &Context, place: &Place, id: DeploymentId) -> Result<DeploymentView, Refusal> {
    let scope = place.scope;
    let read = ctx.db.attempt_read(move |view| {
        let Some(row) = deployment::get(view, &scope, id)? else {
            return Ok(None);
        };
        let change = rollout_change::get(view, &scope, row.change)?;
        let mut stages = Vec::new();
        for order in order::of_deployment(view, &scope, id)? {
            let reached = order::stages(view, &scope, order.number)?.into_iter();
            stages.extend(reached.map(|note| OrderStageView {
                order: order.number,
                stage: note.stage.as_str(),
                since: When(note.since),
                received_at: When(note.received_at),
                detail: note.detail,
            }));
        }
        Ok::<_, RolloutError>(Some((Looked::at(view, &scope, vec![row])?, change, stages)))
    });
    let not_found = Refusal::NotFound { what: "deployment" };
    let Some((looked, change, stages)) = read.await.map_err(of_rollout)? else {
        return Err(not_found);
    };
    let changes: Vec<RolloutChange> = change.into_iter().collect();
    let mut shown = looked.shown(ctx, scope, &changes).await?;
    let view = shown.pop().ok_or(not_found)?;
    Ok(DeploymentView { stages, ..view })
}

/// All that the package manager said of a deployment's last order.
///
/// # Errors
/// Not found where nothing is kept.
pub async fn output(ctx: &Context, place: &Place, id: DeploymentId) -> Result<String, Refusal> {
    let scope = place.scope;
    let read = ctx.db.attempt_read(move |view| {
        let orders = order::of_deployment(view, &scope, id)?;
        let digest = orders.iter().rev().find_map(|order| order.report.output);
        let stored = match digest {
            Some(digest) => document::get(view, &scope, digest)?,
            None => None,
        };
        let stored = stored.ok_or(Refusal::NotFound {
            what: "output of this deployment",
        })?;
        Ok::<_, Refusal>(stored_bytes(&stored)?)
    });
    Ok(String::from_utf8_lossy(&read.await?).into_owned())
}

/// Deployments with what belongs to them.
struct Looked {
    rows: Vec<Deployment>,
    orders: HashMap<u64, Order>,
    transactions: HashMap<Sha256Digest, Transaction>,
}

impl Looked {
    fn at(view: &mut View, scope: &Scope, rows: Vec<Deployment>) -> Result<Self, RolloutError> {
        let numbers: Vec<u64> = rows.iter().filter_map(|row| row.order).collect();
        let orders = order::get_many(view, scope, &numbers)?;
        let digests: Vec<Sha256Digest> = rows.iter().filter_map(|row| row.need.transaction).collect();
        let texts = deployment::transactions(view, scope, &digests)?;
        let transactions = texts
            .into_iter()
            .map(|(digest, text)| Ok((digest, Transaction::parse(&text)?)));
        Ok(Self {
            rows,
            orders: orders.into_iter().map(|order| (order.number, order)).collect(),
            transactions: transactions.collect::<Result<_, RolloutError>>()?,
        })
    }

    async fn shown(
        self,
        ctx: &Context,
        scope: Scope,
        changes: &[RolloutChange],
    ) -> Result<Vec<DeploymentView>, Refusal> {
        let is_over = |row: &RolloutChange| row.finished_at.is_some();
        let waits = match !changes.is_empty() && changes.iter().all(is_over) {
            true => Waits::new(),
            false => waits::of_tenant(ctx, scope).await?,
        };
        let shown = self.rows.iter().map(|row| {
            let change = changes.iter().find(|change| change.id == row.change);
            self.show(row, change, &waits)
        });
        Ok(shown.collect())
    }

    fn show(&self, row: &Deployment, change: Option<&RolloutChange>, waits: &Waits) -> DeploymentView {
        let order = row.order.and_then(|number| self.orders.get(&number));
        let transaction = row
            .need
            .transaction
            .and_then(|digest| self.transactions.get(&digest));
        let seen = words::deployment(row.intent, order.map(Into::into)).shown();
        let waiting = waiting_of(row, seen, change, waits);
        let failure = match seen {
            Shown::Failed(failure) => Some(failure),
            _ => None,
        };
        let report = order.map(|order| &order.report);
        let packages = transaction.map(Transaction::packages).unwrap_or_default();
        DeploymentView {
            id: IdText::of(row.id),
            change: IdText::of(row.change),
            host: IdText::of(row.host),
            name: row.host_name.clone(),
            shown: word(seen, row.need.kind),
            waiting: waiting.map(|(code, sentence)| WaitingView { code, sentence }),
            failure: report
                .and_then(|report| report.failure)
                .map(|failure| failure.as_str()),
            next_step: next_step(seen, failure),
            detail: report.map(|report| report.detail.clone()).unwrap_or_default(),
            last_line: report.map(|report| report.last_line.clone()).unwrap_or_default(),
            has_output: report.is_some_and(|report| report.output.is_some()),
            packages: packages.iter().map(Into::into).collect(),
            bytes: transaction.map_or(0, Transaction::bytes),
            without_way_back: transaction.map_or_else(Vec::new, |it| it.without_way_back().to_vec()),
            order_number: row.order,
            ordered_at: order.map(|order| When(order.made_at)),
            updated_at: order.map(|order| When(order.reported_at.unwrap_or(order.made_at))),
            took: report.map(TookView::of).unwrap_or_default(),
            stages: Vec::new(),
            version: row.version,
        }
    }
}

fn next_step(shown: Shown, failure: Option<Failure>) -> Option<&'static str> {
    match (shown, failure) {
        (Shown::NotInEffect, _) => Some("restart what still runs old code, or the host"),
        (_, failure) => failure.map(Failure::next_step),
    }
}

/// Why nothing is done on a host now: what the plan says, in more words where there are any.
fn waiting_of(
    row: &Deployment,
    shown: Shown,
    change: Option<&RolloutChange>,
    waits: &Waits,
) -> Option<(&'static str, String)> {
    if let Some(change) = change
        && change.needed > 0
        && change.finished_at.is_none()
        && shown == Shown::Planned
        && !waits.contains_key(&(row.change, row.host_no))
        && row.need.kind == NeedKind::Install
    {
        let why = format!("{} approvers have to sign the change first", change.needed);
        return Some(("approval_missing", why));
    }
    let (word, sentence) = waits.get(&(row.change, row.host_no))?;
    let staging = change.map_or("", |change| change.staging_detail.as_str());
    let sentence = match *word {
        "unknown" | "needs_also" | "not_built" if !row.need.detail.is_empty() => row.need.detail.clone(),
        "not_staged" if !staging.is_empty() => format!("{sentence}: {staging}"),
        _ => sentence.clone(),
    };
    Some((word, sentence))
}
