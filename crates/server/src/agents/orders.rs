//! Orders in check-ins: what waits for the host, what it says of it, and the permission to begin. A host without an open order
//! that says nothing of any costs no query.

mod go;
mod report;

use super::content_ticket as ticket;
use super::refusal::Refusal;
use super::registry::AgentHost;
use crate::context::{Context, Work};
use domain::digest::Sha256Digest;
use failpoint::{Point, reach};
use protocol::document::DocumentKind;
use protocol::message::check_in::{CheckIn, CheckedIn, Wanted};
use protocol::message::orders::{GoBytes, OfferedOrder, OrderReport};
use report::Kept;
use std::collections::HashSet;
use store::host::HostState;
use store::order::{self, Order};
use store::{Error, document};

/// What a check-in is answered about orders.
#[derive(Debug, Default)]
pub(super) struct Answers {
    orders: Vec<OfferedOrder>,
    goes: Vec<GoBytes>,
    withdrawn: Vec<Sha256Digest>,
    heard: Vec<Sha256Digest>,
    ticket: Option<String>,
    outputs: Vec<Sha256Digest>,
}

impl Answers {
    /// Whether there is nothing that the host should hear at once.
    pub(super) fn is_quiet(&self) -> bool {
        self.orders.is_empty()
            && self.goes.is_empty()
            && self.withdrawn.is_empty()
            && self.heard.is_empty()
            && self.outputs.is_empty()
    }

    /// Puts it into the answer.
    pub(super) fn put_into(self, answer: &mut CheckedIn) {
        let output = |digest| Wanted {
            kind: DocumentKind::Output,
            digest,
            base: None,
            offset: 0,
        };
        answer.wanted.extend(self.outputs.into_iter().map(output));
        answer.wanted.truncate(protocol::limits::DOCUMENTS_PER_MESSAGE);
        answer.orders = self.orders;
        answer.goes = self.goes;
        answer.withdrawn = self.withdrawn;
        answer.heard = self.heard;
        answer.ticket = self.ticket;
    }
}

/// Hears what a check-in says of orders, keeps it, and answers.
///
/// # Errors
/// Of the database; then nothing is said to have been heard.
pub(super) async fn exchange(
    context: &Context,
    host: &AgentHost,
    message: &CheckIn,
) -> Result<Answers, Refusal> {
    let open = context.open_orders.of(context, host.scope(), host.id()).await?;
    if open.is_empty() && message.orders.is_empty() {
        return Ok(Answers::default());
    }
    let mut answers = Answers::default();
    let outputs = outputs_here(context, host, &message.orders).await?;
    let mut kept: Vec<(u64, Kept)> = Vec::new();
    for report in &message.orders {
        let Some(order) = open.iter().find(|order| is_about(report, order)) else {
            unknown(context, host, report, &mut answers).await?;
            continue;
        };
        let has_output = report.output.is_none_or(|output| outputs.contains(&output));
        let Some(said) = report::judge(context, host, message, (report, order), has_output).await? else {
            continue;
        };
        if said.is_heard() {
            answers.heard.push(report.order);
        } else if order.withdrawn_at.is_some() {
            answers.withdrawn.push(report.order);
        } else if let Some(asked) = report.asks {
            answers
                .goes
                .extend(go::answer(context, host, order, asked, message.mode).await?);
        }
        if !has_output {
            answers.outputs.extend(report.output);
        }
        if said.is_new(order) {
            kept.push((order.number, said));
        }
    }
    host.set_outputs(answers.outputs.clone());
    keep(context, host, kept).await?;
    offer(context, host, &open, &Reported::of(message), &mut answers);
    Ok(answers)
}

/// What a check-in said of orders, as far as a later answer to it needs that.
#[derive(Debug)]
pub(super) struct Reported {
    orders: Vec<Sha256Digest>,
    highest: u64,
}

impl Reported {
    pub(super) fn of(message: &CheckIn) -> Self {
        Self {
            orders: message.orders.iter().map(|report| report.order).collect(),
            highest: message.highest_order,
        }
    }

    fn has(&self, order: &Order) -> bool {
        self.orders.contains(&order.digest) || self.orders.contains(&order.bundle)
    }
}

/// What came to be while a check-in was held.
///
/// # Errors
/// Of the database.
pub(super) async fn news(
    context: &Context,
    host: &AgentHost,
    reported: &Reported,
) -> Result<Answers, Refusal> {
    let open = context.open_orders.of(context, host.scope(), host.id()).await?;
    let mut answers = Answers::default();
    let taken_back = open
        .iter()
        .filter(|order| order.withdrawn_at.is_some() && reported.has(order));
    answers.withdrawn = taken_back.map(|order| order.digest).collect();
    offer(context, host, &open, reported, &mut answers);
    Ok(answers)
}

/// Offers what waits for the host and it does not know, and lets it fetch the files of what is in force.
fn offer(context: &Context, host: &AgentHost, open: &[Order], reported: &Reported, answers: &mut Answers) {
    if host.state() != HostState::Active {
        return;
    }
    let mut in_force = open.iter().filter(|order| order.withdrawn_at.is_none());
    for order in in_force.clone() {
        if !reported.has(order) && order.number > reported.highest {
            answers.orders.push(OfferedOrder {
                bundle: order.bundle,
                size_bytes: order.bundle_bytes,
                number: order.number,
            });
        }
    }
    answers.orders.truncate(protocol::limits::ORDERS);
    answers.ticket = in_force.next_back().map(|order| {
        ticket::issue(
            context,
            host.id(),
            host.tenant(),
            order.deployment,
            context.clock.now(),
        )
    });
}

fn is_about(report: &OrderReport, order: &Order) -> bool {
    report.order == order.digest || report.order == order.bundle
}

/// Which of the outputs that reports name the tenant has.
async fn outputs_here(
    context: &Context,
    host: &AgentHost,
    reports: &[OrderReport],
) -> Result<HashSet<Sha256Digest>, Error> {
    let named: Vec<Sha256Digest> = reports.iter().filter_map(|report| report.output).collect();
    if named.is_empty() {
        return Ok(HashSet::new());
    }
    let scope = host.scope();
    let known = context
        .db
        .read(move |view| document::known(view, &scope, &named))
        .await?;
    Ok(known.into_iter().collect())
}

/// A report about an order that is not open: one whose end is kept is heard; one that this server does not know, because it was
/// restored from before it, is taken back.
async fn unknown(
    context: &Context,
    host: &AgentHost,
    report: &OrderReport,
    answers: &mut Answers,
) -> Result<(), Error> {
    let (scope, digest) = (host.scope(), report.order);
    let found = context
        .db
        .read(move |view| order::by_digest(view, &scope, digest))
        .await?;
    match found {
        // Made since the note was read: the next check-in finds it.
        Some(order) if order.ended_at.is_none() => {
            let open = &context.open_orders;
            open.refresh(context, scope, &[host.id()]).await?;
        }
        _ if report.stage.is_end() => answers.heard.push(digest),
        Some(order) if order.withdrawn_at.is_none() => {}
        Some(_) | None => answers.withdrawn.push(digest),
    }
    Ok(())
}

/// Keeps what was said; returns when it is durable.
async fn keep(context: &Context, host: &AgentHost, kept: Vec<(u64, Kept)>) -> Result<(), Refusal> {
    if kept.is_empty() {
        return Ok(());
    }
    let (scope, now) = (host.scope(), context.clock.now());
    let noting = context.db.write(move |tx| {
        for (number, said) in &kept {
            order::note(tx, &scope, *number, said.report(), said.ended_at(now), now)?;
        }
        Ok(())
    });
    noting.await?;
    reach(Point::ReportsKept);
    let open = &context.open_orders;
    open.refresh(context, scope, &[host.id()]).await?;
    context.wake_ups.nudge(Work::Plan);
    Ok(())
}
