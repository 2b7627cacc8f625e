//! What is told of orders: to the server, and to whoever looks on the host.

use super::{Accepted, Done, MAX_HEARD, Open, Orders, Phase, Refusal, Trouble};
use crate::shown::harmless;
use domain::digest::Sha256Digest;
use domain::order::Start;
use jiff::Timestamp;
use protocol::message::orders::{FailureKind, GoAsked, OrderReport, Stage, Took};
use std::sync::Arc;

/// The longest detail, in characters: within `limits::ORDER_DETAIL_BYTES`, whatever they are.
const DETAIL_CHARS: usize = 250;

/// A sentence as it is reported.
pub(super) fn sentence(text: &str) -> String {
    let shown = harmless(text, DETAIL_CHARS);
    // Escapes of what would steer a terminal are longer than what they stand for.
    harmless(&shown, DETAIL_CHARS)
}

impl Orders {
    /// How far each order is: the ends that the server has not heard, then those that are open.
    pub fn reports(&self) -> Vec<OrderReport> {
        let open = self.open.iter().map(Open::report);
        self.ended.iter().cloned().chain(open).collect()
    }

    /// Whether something is going on that people watch, besides waiting to begin without having asked.
    pub fn is_active(&self) -> bool {
        let is_waiting = |open: &Open| open.phase == Phase::Prepared(None);
        self.open.iter().any(|open| !is_waiting(open))
    }

    /// Ends an open order. `detail` says why, or what is left to do.
    pub(super) fn end(&mut self, number: u64, stage: Stage, trouble: Option<Trouble>, now: Timestamp) {
        let Some(at) = self.open.iter().position(|open| open.number() == number) else {
            return;
        };
        let open = self.open.remove(at);
        let report = open.report();
        self.ended.push(OrderReport {
            stage,
            since: now,
            failure: (trouble.as_ref())
                .filter(|_| stage == Stage::Failed)
                .map(|trouble| trouble.kind.into()),
            detail: trouble.map_or_else(String::new, |trouble| sentence(&trouble.detail)),
            asks: None,
            ..report
        });
    }

    /// Reports an order that is not taken, once.
    pub(super) fn refuse(&mut self, refusal: &Refusal, now: Timestamp) {
        if self.knows(refusal.order) || self.ended.len() >= super::MAX_ENDED {
            return;
        }
        self.ended.push(OrderReport {
            order: refusal.order,
            number: refusal.number,
            stage: Stage::Failed,
            since: now,
            failure: Some(FailureKind::Refused),
            detail: sentence(&refusal.why),
            last_line: String::new(),
            output: None,
            asks: None,
            took: Took::default(),
        });
    }

    /// Says nothing more of an order whose end the server has; gives its number if files of it may be here.
    pub(super) fn forget(&mut self, digest: Sha256Digest) -> Option<u64> {
        let at = self.ended.iter().position(|end| end.order == digest)?;
        let end = self.ended.remove(at);
        self.heard.push_back(digest);
        if self.heard.len() > MAX_HEARD {
            self.heard.pop_front();
        }
        (end.failure != Some(FailureKind::Refused)).then_some(end.number)
    }
}

impl Open {
    /// An order that was just taken.
    pub(super) fn new(accepted: Arc<Accepted>, now: Timestamp) -> Self {
        Self {
            accepted,
            phase: Phase::Fetching,
            since: now,
            done: Done::Nothing,
            cuts: 0,
            bound: None,
            took: Took::default(),
            output: None,
            detail: String::new(),
            last_line: String::new(),
        }
    }

    fn stage(&self) -> Stage {
        match self.phase {
            Phase::Fetching | Phase::Preparing => Stage::Taken,
            Phase::Prepared(_) => Stage::Prepared,
            Phase::Installing => Stage::Installing,
            Phase::Settling(_) | Phase::Verifying(_) => Stage::Verifying,
            Phase::Rebooting { .. } => Stage::RebootPending,
        }
    }

    /// How far it is.
    pub fn report(&self) -> OrderReport {
        let asked = match self.phase {
            Phase::Prepared(asked) if self.accepted.order.start == Start::WithGo => asked,
            _ => None,
        };
        OrderReport {
            order: self.accepted.digest,
            number: self.number(),
            stage: self.stage(),
            since: self.since,
            failure: None,
            detail: self.detail.clone(),
            last_line: self.last_line.clone(),
            output: self.output,
            asks: asked.map(|asked| GoAsked {
                boot: asked.at.boot.0,
                nonce: asked.nonce,
            }),
            took: self.took,
        }
    }
}
