//! What each event does to the orders, and what comes of time alone.

use super::report::sentence;
use super::{
    Asked, Bound, Done, Effect, Event, Found, MAX_CUTS, MAX_ENDED, MAX_OPEN, Moment, Open, Orders, Phase,
    Refusal, Restarted, Seen, Trouble,
};
use domain::host::mode::Mode;
use domain::identity::time::BootClock;
use domain::order::{Go, LONGEST_LEASE_SECONDS, RebootRule, Start};
use domain::rollout::deployment::Failure;
use jiff::{SignedDuration, Timestamp};
use protocol::message::orders::Stage;

/// A question for a go that was not answered is drawn anew after this time, in microseconds: a go counts from the asking.
const ASK_ANEW_MICROS: u64 = 120_000_000;
/// How long after its notice a restart of the host is waited for, in microseconds.
const REBOOT_PATIENCE_MICROS: u64 = 1_800_000_000;
/// How far the computer's own date may be behind the latest time that the server signed, in seconds.
const DATE_TOLERANCE_SECONDS: i64 = 120;

impl Orders {
    /// What an event means for the orders.
    pub(super) fn happen(&mut self, event: Event, moment: &Moment, effects: &mut Vec<Effect>) {
        match event {
            Event::Took(accepted) => self.took(Open::new(accepted, moment.estimate), moment, effects),
            Event::Refused(refusal) => self.refuse(&refusal, moment.estimate),
            Event::Fetched { number, bytes } => self.fetched(number, bytes, moment),
            Event::NotFetched { number, trouble } if self.is_in(number, Phase::Fetching) => {
                self.fail(number, trouble, moment, effects);
            }
            Event::Compared { number, found } => self.compared(number, found, moment, effects),
            Event::Go(go) => self.go(&go, moment, effects),
            Event::Withdrawn(digest) => {
                let number = self.open.iter().find(|open| open.accepted.digest == digest);
                if let Some(number) = number.map(Open::number) {
                    self.withdraw(number, moment);
                }
            }
            Event::Heard(digest) => {
                if let Some(number) = self.forget(digest) {
                    effects.push(Effect::Forget { number });
                }
            }
            Event::Tick => {}
            event => self.follow(event, moment, effects),
        }
    }

    /// The same, of what comes about from the beginning of a transaction on.
    fn follow(&mut self, event: Event, moment: &Moment, effects: &mut Vec<Effect>) {
        match event {
            Event::Said { number, line } => {
                if let Some(open) = self.in_phase(number, |phase| phase == Phase::Installing) {
                    open.last_line = sentence(&line);
                }
            }
            Event::Done {
                number,
                end,
                output,
                millis,
            } => {
                if let Some(open) = self.in_phase(number, |phase| phase == Phase::Installing) {
                    open.output = output;
                    open.took.install_millis = open.took.install_millis.saturating_add(millis);
                    match end {
                        Ok(()) => self.installed(number, moment, effects),
                        Err(trouble) => self.fail(number, trouble, moment, effects),
                    }
                }
            }
            Event::NotBegun { number, trouble } if self.is_in(number, Phase::Installing) => {
                let is_cut_off = self.find(number).is_some_and(|open| open.cuts > 0);
                // What was cut off and cannot be taken up now, so soon after a start of the host perhaps, is lost as before.
                if !is_cut_off {
                    self.fail(number, trouble, moment, effects);
                }
            }
            Event::Late { number, why, done } => {
                if let Some(open) = self.in_phase(number, |phase| phase == Phase::Installing) {
                    open.phase = Phase::Fetching;
                    open.since = moment.estimate;
                    open.done = done;
                    open.detail = sentence(&why);
                }
            }
            Event::Lost { number } => self.lost(number, moment, effects),
            Event::Settled { number } => {
                if let Some(open) = self.find(number)
                    && let Phase::Settling(restarted) = open.phase
                {
                    open.phase = Phase::Verifying(restarted);
                }
            }
            Event::Seen { number, seen } => self.seen(number, seen, moment, effects),
            _ => {}
        }
    }

    fn find(&mut self, number: u64) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.number() == number)
    }

    fn is_in(&self, number: u64, phase: Phase) -> bool {
        let mut open = self.open.iter();
        open.any(|open| open.number() == number && open.phase == phase)
    }

    fn in_phase(&mut self, number: u64, is_it: impl Fn(Phase) -> bool) -> Option<&mut Open> {
        self.find(number).filter(|open| is_it(open.phase))
    }

    fn took(&mut self, open: Open, moment: &Moment, effects: &mut Vec<Effect>) {
        let order = &open.accepted.order;
        if self.knows(open.accepted.digest) || self.ended.len() >= MAX_ENDED {
            return;
        }
        let why = if order.number <= self.highest {
            Some(format!(
                "the order has number {}, and number {} was already seen here",
                order.number, self.highest
            ))
        } else if self.open.len() >= MAX_OPEN {
            Some(format!("{MAX_OPEN} orders are open here already"))
        } else {
            None
        };
        if let Some(why) = why {
            let refusal = Refusal {
                order: open.accepted.digest,
                number: order.number,
                why,
            };
            return self.refuse(&refusal, moment.estimate);
        }
        self.highest = order.number;
        self.epoch = self.epoch.max(order.epoch);
        effects.push(Effect::Say(format!(
            "Took order {} of the change {}: {} packages, {} removals.",
            order.number,
            order.change,
            order.packages.len(),
            order.removals.len()
        )));
        self.open.push(open);
    }

    fn fetched(&mut self, number: u64, bytes: u64, moment: &Moment) {
        let Some(open) = self.in_phase(number, |phase| phase == Phase::Fetching) else {
            return;
        };
        open.phase = Phase::Preparing;
        open.took.fetched_bytes = open.took.fetched_bytes.saturating_add(bytes);
        if open.took.fetch_millis == 0 {
            let passed = moment.estimate.duration_since(open.since).as_millis();
            open.took.fetch_millis = u64::try_from(passed).unwrap_or_default();
        }
    }

    fn compared(
        &mut self,
        number: u64,
        found: Result<Found, Trouble>,
        moment: &Moment,
        effects: &mut Vec<Effect>,
    ) {
        let Some(open) = self.in_phase(number, |phase| phase == Phase::Preparing) else {
            return;
        };
        open.since = moment.estimate;
        match found {
            Ok(Found::Exact) => open.phase = Phase::Prepared(None),
            // A transaction that was cut off had come that far.
            Ok(Found::InPlace) if open.done == Done::Something => self.installed(number, moment, effects),
            // Somebody else did it: what is left is to look.
            Ok(Found::InPlace) => open.phase = Phase::Verifying(Restarted::NotYet),
            Err(trouble) => self.fail(number, trouble, moment, effects),
        }
    }

    fn go(&mut self, go: &Go, moment: &Moment, effects: &mut Vec<Effect>) {
        self.heard_at = self.heard_at.max(Some(go.issued_at));
        let is_at_work = self.is_at_work();
        let Some(open) = (self.open.iter_mut()).find(|open| open.accepted.digest == go.order) else {
            return;
        };
        let order = &open.accepted.order;
        let (Phase::Prepared(Some(asked)), Start::WithGo, false) = (open.phase, order.start, is_at_work)
        else {
            return;
        };
        // It was signed after it was asked for: it cannot be later now than its time and what has passed since.
        let latest = later(go.issued_at, asked.at, moment.clock);
        let allowed = go.allows(open.accepted.digest, moment.clock.boot, asked.nonce, latest);
        let why = if let Err(why) = allowed {
            Some(why.to_string())
        } else if go.issued_at < order.window.opens {
            Some("its window has not opened yet".to_owned())
        } else if latest >= order.window.closes {
            Some("its window has closed".to_owned())
        } else {
            above_ceiling(order.needs, moment.mode)
        };
        if let Some(why) = why {
            open.detail = sentence(&why);
            open.phase = Phase::Prepared(None);
            return;
        }
        let bound = Bound {
            time: latest,
            at: moment.clock,
        };
        let lease = u64::from(go.lease_seconds.min(LONGEST_LEASE_SECONDS)) * 1_000_000;
        let lease_ends = asked.at.micros.saturating_add(lease);
        let closes = clock_at(order.window.closes, latest, moment.clock);
        let number = open.number();
        let until_micros = lease_ends.min(closes);
        self.begin(number, Some(bound), until_micros, moment, effects);
    }

    /// The one place where a transaction begins.
    fn begin(
        &mut self,
        number: u64,
        bound: Option<Bound>,
        until_micros: u64,
        moment: &Moment,
        effects: &mut Vec<Effect>,
    ) {
        for other in &mut self.open {
            // Whatever was compared before this is out of date after it.
            if matches!(other.phase, Phase::Preparing | Phase::Prepared(_)) {
                other.phase = Phase::Fetching;
            }
        }
        let Some(open) = self.find(number) else {
            return;
        };
        open.phase = Phase::Installing;
        open.since = moment.estimate;
        open.done = Done::Something;
        open.bound = bound;
        open.detail.clear();
        effects.push(Effect::Say(format!("Begins order {number}.")));
        effects.push(Effect::Start { number, until_micros });
    }

    fn withdraw(&mut self, number: u64, moment: &Moment) {
        let Some(open) = self.find(number).filter(|open| !open.is_at_work()) else {
            return;
        };
        if open.done == Done::Nothing {
            return self.end(number, Stage::Withdrawn, None, moment.estimate);
        }
        let trouble = Trouble {
            kind: Failure::Interrupted,
            detail: "it was cut off, and taken back before it was gone on with".to_owned(),
        };
        self.end(number, Stage::Failed, Some(trouble), moment.estimate);
    }

    fn installed(&mut self, number: u64, moment: &Moment, effects: &mut Vec<Effect>) {
        let Some(open) = self.find(number) else {
            return;
        };
        open.since = moment.estimate;
        let may_restart = open.accepted.order.needs >= Mode::Full && moment.mode >= Mode::Full;
        if may_restart {
            open.phase = Phase::Settling(Restarted::NotYet);
            effects.push(Effect::Restart { number });
        } else {
            open.phase = Phase::Verifying(Restarted::NotYet);
        }
    }

    fn fail(&mut self, number: u64, trouble: Trouble, moment: &Moment, effects: &mut Vec<Effect>) {
        effects.push(Effect::Say(format!(
            "Order {number} failed: {}.",
            sentence(&trouble.detail)
        )));
        self.end(number, Stage::Failed, Some(trouble), moment.estimate);
    }

    fn lost(&mut self, number: u64, moment: &Moment, effects: &mut Vec<Effect>) {
        let Some(open) = self.in_phase(number, |phase| phase == Phase::Installing) else {
            return;
        };
        open.cuts = open.cuts.saturating_add(1);
        if open.cuts > MAX_CUTS {
            let detail = format!("it was cut off more than {MAX_CUTS} times");
            let kind = Failure::Interrupted;
            return self.fail(number, Trouble { kind, detail }, moment, effects);
        }
        effects.push(Effect::Say(format!(
            "The transaction of order {number} was cut off; what it left unfinished is repaired."
        )));
        effects.push(Effect::Start {
            number,
            until_micros: 0,
        });
    }

    fn seen(&mut self, number: u64, seen: Seen, moment: &Moment, effects: &mut Vec<Effect>) {
        let Some(open) = self.find(number) else {
            return;
        };
        let Phase::Verifying(restarted) = open.phase else {
            return;
        };
        if let Some(detail) = seen.missing {
            let kind = Failure::NotSeen;
            return self.fail(number, Trouble { kind, detail }, moment, effects);
        }
        let is_rebooting =
            seen.reboot.is_some() && restarted == Restarted::NotYet && may_reboot(open, moment);
        if is_rebooting {
            open.phase = Phase::Rebooting {
                boot: moment.clock.boot,
                micros: moment.clock.micros,
            };
            open.since = moment.estimate;
            open.detail = sentence(&seen.reboot.unwrap_or_default());
            effects.push(Effect::Say(format!("Order {number} restarts the host.")));
            return effects.push(Effect::Reboot { number });
        }
        let rest: Vec<String> = [seen.reboot, seen.old].into_iter().flatten().collect();
        if rest.is_empty() {
            effects.push(Effect::Say(format!("Order {number} is in effect.")));
            return self.end(number, Stage::Succeeded, None, moment.estimate);
        }
        let trouble = Trouble {
            kind: Failure::NotSeen,
            detail: rest.join("; "),
        };
        self.end(number, Stage::NotInEffect, Some(trouble), moment.estimate);
    }

    /// What comes of time alone: ends, restarts that came or did not, questions, and beginnings without a go.
    pub(super) fn go_on(&mut self, moment: &Moment, effects: &mut Vec<Effect>) {
        let numbers: Vec<u64> = self.open.iter().map(Open::number).collect();
        for number in numbers {
            let is_at_work = self.is_at_work();
            let Some(open) = self.find(number) else {
                continue;
            };
            match open.phase {
                Phase::Rebooting { boot, micros } => await_reboot(open, boot, micros, moment),
                Phase::Fetching | Phase::Preparing | Phase::Prepared(_)
                    if moment.estimate >= open.accepted.order.window.closes =>
                {
                    let trouble = expired(open);
                    self.fail(number, trouble, moment, effects);
                }
                Phase::Prepared(asked) => match open.accepted.order.start {
                    _ if is_at_work => open.phase = Phase::Prepared(None),
                    Start::WithGo => open.phase = Phase::Prepared(ask(open, asked, moment)),
                    Start::OfflineOk => self.begin_offline(number, moment, effects),
                },
                _ => {}
            }
        }
    }

    fn begin_offline(&mut self, number: u64, moment: &Moment, effects: &mut Vec<Effect>) {
        let heard_at = self.heard_at;
        let Some(open) = self.find(number) else {
            return;
        };
        let tolerance = SignedDuration::from_secs(DATE_TOLERANCE_SECONDS);
        let is_date_behind = heard_at.is_some_and(|heard| heard.duration_since(moment.wall) > tolerance);
        let order = &open.accepted.order;
        let closes = clock_at(order.window.closes, moment.wall, moment.clock);
        let why = if is_date_behind {
            Some("this host's date is behind the server's".to_owned())
        } else if moment.wall < order.window.opens {
            return;
        } else if moment.wall >= order.window.closes {
            Some("its window has closed by this host's date".to_owned())
        } else {
            above_ceiling(order.needs, moment.mode)
        };
        match why {
            Some(why) => open.detail = sentence(&why),
            None => self.begin(number, None, closes, moment, effects),
        }
    }
}

/// A restart of the host that was asked for has come, is waited for, or did not come.
fn await_reboot(open: &mut Open, boot: domain::identity::BootId, micros: u64, moment: &Moment) {
    let notice = match open.accepted.order.reboot {
        RebootRule::IfNeeded { notice_seconds } => u64::from(notice_seconds) * 1_000_000,
        RebootRule::Never => 0,
    };
    let limit = notice.saturating_add(REBOOT_PATIENCE_MICROS);
    let has_restarted = moment.clock.boot != boot || moment.up_since_micros > micros;
    if has_restarted || moment.clock.micros.saturating_sub(micros) > limit {
        open.phase = Phase::Verifying(Restarted::Once);
        open.since = moment.estimate;
        open.detail.clear();
    }
}

/// The question for a go, once the window may be open: another one after a while, and after a restart.
fn ask(open: &mut Open, asked: Option<Asked>, moment: &Moment) -> Option<Asked> {
    let order = &open.accepted.order;
    if let Some(why) = above_ceiling(order.needs, moment.mode) {
        open.detail = sentence(&why);
        return None;
    }
    if moment.estimate < order.window.opens {
        return None;
    }
    let is_fresh = |asked: &Asked| {
        asked.at.boot == moment.clock.boot
            && moment.clock.micros.saturating_sub(asked.at.micros) < ASK_ANEW_MICROS
    };
    let fresh = asked.filter(is_fresh);
    if fresh.is_none() {
        open.detail.clear();
    }
    fresh.or(Some(Asked {
        nonce: moment.chance,
        at: moment.clock,
    }))
}

/// A time that cannot have been passed, from one that could not at another stand of the same boot's clock.
fn later(time: Timestamp, then: BootClock, now: BootClock) -> Timestamp {
    let passed = i64::try_from(now.micros.saturating_sub(then.micros)).unwrap_or(i64::MAX);
    let passed = SignedDuration::from_micros(passed);
    time.checked_add(passed).unwrap_or(Timestamp::MAX)
}

/// Where the boot clock stands at a time that is still to come.
fn clock_at(time: Timestamp, now: Timestamp, clock: BootClock) -> u64 {
    let left = time.duration_since(now).as_micros();
    clock
        .micros
        .saturating_add(u64::try_from(left).unwrap_or_default())
}

/// Whether an order may restart the host now: its rule, the ceiling, its own transaction, and its window.
fn may_reboot(open: &Open, moment: &Moment) -> bool {
    let order = &open.accepted.order;
    let now = match open.bound {
        Some(bound) if bound.at.boot == moment.clock.boot => later(bound.time, bound.at, moment.clock),
        _ => moment.wall.max(moment.estimate),
    };
    matches!(order.reboot, RebootRule::IfNeeded { .. })
        && open.done == Done::Something
        && order.needs >= Mode::Full
        && moment.mode >= Mode::Full
        && now < order.window.closes
}

fn above_ceiling(needs: Mode, mode: Mode) -> Option<String> {
    (needs > mode).then(|| {
        format!("it needs mode {needs}, and this host is in mode {mode}; `sudo patchyard-agent mode {needs}` raises it")
    })
}

fn expired(open: &Open) -> Trouble {
    if open.done == Done::Something {
        return Trouble {
            kind: Failure::Interrupted,
            detail: "it was cut off, and its time ended before it was gone on with".to_owned(),
        };
    }
    Trouble {
        kind: Failure::Expired,
        detail: "its time ended before it began".to_owned(),
    }
}
