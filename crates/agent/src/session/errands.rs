//! Orders, as far as the process without rights has to do with them: it says what the executor reports, fetches the files that
//! are wanted, and passes on what the server says. It judges nothing of an order; that is the executor's, which believes
//! nothing of what comes through here before its signature.

use super::retry::{backoff, round_delay};
use super::{Effect, Moment, Phase, Session, Trouble};
use crate::executor::asks::Ask;
use crate::executor::spool::{Board, Wish};
use domain::digest::Sha256Digest;
use protocol::address::ServerAddress;
use protocol::limits;
use protocol::message::check_in::CheckedIn;
use protocol::message::orders::{OfferedOrder, OrderReport, Took};
use protocol::sha256;
use std::time::Duration;

/// How long a host that is at an order waits between two check-ins at least, and half as much more at most: a stop is heard
/// within 5 s.
const WHILE_ACTIVE: Duration = Duration::from_secs(3);
/// A round that fetches ends after this time, so that the server is heard; the next one goes on.
const FETCHING: Duration = Duration::from_secs(20);
/// A bundle that the executor was given and has said nothing of is given again after this time.
const SAY_AGAIN: Duration = Duration::from_secs(30);

/// What lets this host fetch files. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket(pub String);

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// How fetching a file ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// It is here.
    Whole,
    /// A part of it is here, and there was no time for more.
    Part,
    /// It did not come.
    Failed {
        /// What is wrong and what to do.
        trouble: Trouble,
        /// Where the fault is.
        fault: Fault,
    },
}

/// Where the fault is if a file did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// On the way to this server, or in it: another address may do.
    Way,
    /// The ticket does not count any more.
    Ticket,
    /// On this host.
    Here,
}

/// What is underway with orders; a restart may forget it.
#[derive(Clone, Debug, Default)]
pub(super) struct Errands {
    board: Board,
    ticket: Option<Ticket>,
    /// Bundles that wait to be fetched.
    offered: Vec<Wish>,
    /// Bundles that the executor was given, and when by the boot clock, in microseconds.
    handed: Vec<(Sha256Digest, u64)>,
    fetch: Option<Fetch>,
    /// Fetches that failed in a row.
    failures: u32,
    trouble: Option<Trouble>,
    /// When the round began, by the boot clock, in microseconds.
    round_began: u64,
    /// What the server was told last, as far as it cannot wait.
    told: Vec<OrderReport>,
    /// The card that the executor was given.
    card: Option<Sha256Digest>,
}

/// A file that is being fetched.
#[derive(Clone, Debug)]
struct Fetch {
    file: Wish,
    what: What,
    ticket: Ticket,
    /// The addresses still to try, the next one last.
    left: Vec<ServerAddress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// An order with its evidence.
    Bundle,
    /// What the executor wants.
    Wanted,
}

/// What comes next of fetching.
enum Next {
    Fetch(Wish, What, Ticket),
    /// A round, so that the server is heard in between.
    Round,
    Nothing,
}

impl Errands {
    /// Bundles that are here for the executor to take, or on their way.
    fn bundles(&self) -> impl Iterator<Item = Sha256Digest> {
        let handed = self.handed.iter().map(|(bundle, _)| *bundle);
        handed.chain(self.offered.iter().map(|file| file.digest))
    }

    fn is_active(&self) -> bool {
        let has_errand = self.ticket.is_some() && !self.offered.is_empty();
        has_errand || !self.handed.is_empty() || self.board.is_active
    }

    fn has_to_fetch(&self) -> bool {
        !self.offered.is_empty() || !self.board.wants.is_empty()
    }

    fn forget_what_was_handed_long_ago(&mut self, now: u64) {
        self.handed
            .retain(|(_, at)| Duration::from_micros(now.saturating_sub(*at)) < SAY_AGAIN);
    }

    fn next(&self, now: u64) -> Next {
        let offered = self.offered.first().map(|file| (*file, What::Bundle));
        let wanted = || self.board.wants.first().map(|file| (*file, What::Wanted));
        let (Some(ticket), Some((file, what))) = (&self.ticket, offered.or_else(wanted)) else {
            return Next::Nothing;
        };
        if Duration::from_micros(now.saturating_sub(self.round_began)) >= FETCHING {
            return Next::Round;
        }
        Next::Fetch(file, what, ticket.clone())
    }
}

/// What of reports cannot wait for the next check-in: all but the package manager's last line and the durations.
fn gist(reports: &[OrderReport]) -> Vec<OrderReport> {
    let gist = reports.iter().map(|report| OrderReport {
        last_line: String::new(),
        took: Took::default(),
        ..report.clone()
    });
    gist.collect()
}

impl Session {
    /// Bundles that lie ready for the executor, or will: not to be tidied away.
    pub fn bundles(&self) -> Vec<Sha256Digest> {
        self.now.errands.bundles().collect()
    }

    /// Whether an order is being carried out or fetched.
    pub fn is_at_an_order(&self) -> bool {
        self.now.errands.is_active()
    }

    /// A round begins with this look.
    pub(super) fn begin_errands(&mut self, board: Board, moment: &Moment, effects: &mut Vec<Effect>) {
        let errands = &mut self.now.errands;
        errands.fetch = None;
        errands.board = board;
        errands.round_began = moment.boot_clock.micros;
        errands.forget_what_was_handed_long_ago(moment.boot_clock.micros);
        if errands.board.wants.is_empty() && errands.offered.is_empty() {
            errands.trouble = None;
            errands.failures = 0;
        }
        self.hand_over_card(effects);
    }

    /// What a check-in says of orders: the reports, and the highest number.
    pub(super) fn orders_to_tell(&self) -> (Vec<OrderReport>, u64) {
        let board = &self.now.errands.board;
        (board.reports.clone(), board.highest)
    }

    /// What is wrong with fetching.
    pub(super) fn fetching_trouble(&self) -> Option<&Trouble> {
        self.now.errands.trouble.as_ref()
    }

    /// The executor judges cards by itself, and learns of each.
    pub(super) fn hand_over_card(&mut self, effects: &mut Vec<Effect>) {
        let (Some(card), Phase::Enrolled { .. }) = (&self.memory.card, &self.memory.phase) else {
            return;
        };
        let digest = sha256(&card.0);
        if self.now.errands.card.replace(digest) != Some(digest) {
            effects.push(Effect::Ask(Ask::Card { card: card.clone() }));
        }
    }

    /// What the server answered of orders.
    pub(super) fn hear_of_orders(&mut self, answer: &mut CheckedIn, effects: &mut Vec<Effect>) {
        for order in std::mem::take(&mut answer.withdrawn) {
            effects.push(Effect::Ask(Ask::Withdraw { order }));
        }
        for statement in std::mem::take(&mut answer.goes) {
            effects.push(Effect::Ask(Ask::Go { statement }));
        }
        for order in std::mem::take(&mut answer.heard) {
            effects.push(Effect::Ask(Ask::Heard { order }));
        }
        let errands = &mut self.now.errands;
        errands.told = gist(&errands.board.reports);
        if let Some(ticket) = answer.ticket.take() {
            errands.ticket = Some(Ticket(ticket));
        }
        let is_new = |bundle| !errands.handed.iter().any(|(handed, _)| *handed == bundle);
        let offered = std::mem::take(&mut answer.orders).into_iter();
        let (fits, too_large): (Vec<_>, Vec<_>) = offered
            .filter(|order| is_new(order.bundle))
            .partition(|order| order.size_bytes <= limits::BUNDLE_BYTES as u64);
        let file = |order: OfferedOrder| Wish {
            digest: order.bundle,
            size_bytes: order.size_bytes,
        };
        errands.offered = fits.into_iter().map(file).collect();
        if !too_large.is_empty() {
            effects.push(Effect::Say(
                "The server offers an order that is larger than any; it is not fetched.".to_owned(),
            ));
        }
    }

    /// Between two rounds: the executor has something new to say.
    pub(super) fn orders_changed(&mut self, board: Board, moment: &Moment, effects: &mut Vec<Effect>) {
        let left = match self.now.next_round {
            Some(next) => next.duration_since(self.time(moment)),
            None => jiff::SignedDuration::ZERO,
        };
        let left = Duration::try_from(left).unwrap_or_default();
        let errands = &mut self.now.errands;
        // That a report is gone is no news: the server has said so itself.
        let is_news = (gist(&board.reports).iter()).any(|report| !errands.told.contains(report));
        errands.board = board;
        let can_fetch = errands.ticket.is_some() && errands.failures == 0;
        let is_served = matches!(self.memory.phase, Phase::Enrolled { stop: None, .. });
        let is_now = is_news || (can_fetch && !errands.board.wants.is_empty());
        let delay = match is_now && is_served && self.now.failures == 0 {
            true => Duration::ZERO,
            false => left,
        };
        self.sleep(delay, moment, effects);
    }

    /// What the server had to say was heard: fetches what is wanted, one file after the other, then sleeps.
    pub(super) fn end_round(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        let is_served = matches!(self.memory.phase, Phase::Enrolled { stop: None, .. });
        let next = match is_served {
            true => self.now.errands.next(moment.boot_clock.micros),
            false => Next::Nothing,
        };
        match next {
            Next::Fetch(file, what, ticket) => {
                let mut left = self.memory.addresses_to_try();
                left.reverse();
                self.now.errands.fetch = Some(Fetch {
                    file,
                    what,
                    ticket,
                    left,
                });
                self.fetch_from_next_address(moment, effects);
            }
            Next::Round => self.sleep(Duration::ZERO, moment, effects),
            Next::Nothing => self.sleep_until_round(moment, effects),
        }
    }

    fn fetch_from_next_address(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        let errands = &mut self.now.errands;
        let next = errands.fetch.as_mut().and_then(|fetch| {
            Some(Effect::Fetch {
                from: fetch.left.pop()?,
                file: fetch.file,
                ticket: fetch.ticket.clone(),
            })
        });
        match next {
            Some(effect) => effects.push(effect),
            None => {
                errands.fetch = None;
                self.sleep_until_round(moment, effects);
            }
        }
    }

    fn sleep_until_round(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        let errands = &self.now.errands;
        let said = self.memory.check_in_seconds;
        let delay = if errands.failures > 0 && errands.has_to_fetch() {
            backoff(errands.failures, said, moment)
        } else if errands.is_active() {
            moment.chance.later(WHILE_ACTIVE)
        } else {
            round_delay(said, self.now.hold_seconds, moment)
        };
        self.sleep(delay, moment, effects);
    }

    /// How fetching a file ended.
    pub(super) fn fetched(&mut self, fetched: Fetched, moment: &Moment, effects: &mut Vec<Effect>) {
        let Some(fetch) = self.now.errands.fetch.take() else {
            return;
        };
        match fetched {
            Fetched::Whole => self.file_is_here(&fetch, moment, effects),
            Fetched::Part => {}
            Fetched::Failed {
                fault: Fault::Way, ..
            } if !fetch.left.is_empty() => {
                self.now.errands.fetch = Some(fetch);
                return self.fetch_from_next_address(moment, effects);
            }
            Fetched::Failed { trouble, fault } => {
                self.not_fetched(trouble, fault, effects);
                return self.sleep_until_round(moment, effects);
            }
        }
        self.end_round(moment, effects);
    }

    fn file_is_here(&mut self, fetch: &Fetch, moment: &Moment, effects: &mut Vec<Effect>) {
        let errands = &mut self.now.errands;
        let digest = fetch.file.digest;
        errands.failures = 0;
        errands.trouble = None;
        errands.board.wants.retain(|file| file.digest != digest);
        errands.offered.retain(|file| file.digest != digest);
        match fetch.what {
            What::Bundle => {
                errands.handed.push((digest, moment.boot_clock.micros));
                effects.push(Effect::Ask(Ask::Order { bundle: digest }));
            }
            What::Wanted => effects.push(Effect::Ring),
        }
    }

    fn not_fetched(&mut self, trouble: Trouble, fault: Fault, effects: &mut Vec<Effect>) {
        let errands = &mut self.now.errands;
        errands.failures = errands.failures.saturating_add(1);
        if fault == Fault::Ticket {
            errands.ticket = None;
        }
        if errands.trouble.as_ref() != Some(&trouble) {
            effects.push(Effect::Say(trouble.to_string()));
        }
        errands.trouble = Some(trouble);
    }
}
