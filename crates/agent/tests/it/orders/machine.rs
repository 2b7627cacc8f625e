//! What a host does with its orders, whatever happens in whichever order: held against what a server really permitted.

use super::host::Host;
use super::{Issuer, NOW};
use agent::order::{
    Accepted, Effect, Event, Found, Job, MAX_CUTS, Moment, Orders, Phase, Seen, Trouble, next,
};
use domain::host::mode::Mode;
use domain::identity::BootId;
use domain::identity::time::BootClock;
use domain::order::{Go, Order, RebootRule, Start};
use domain::rollout::deployment::Failure;
use jiff::SignedDuration;
use protocol::message::orders::{FailureKind, Stage};
use std::sync::Arc;

/// Seeds of the scenarios.
const SEEDS: u64 = 200;
/// Steps of each before its host is left in peace.
const STEPS: usize = 80;

/// Orders that a server would not give together: the host has to cope with them.
fn orders(issuer: &Issuer, host: &mut Host<'_>) -> Vec<Arc<Accepted>> {
    let make = |number: u64| {
        let opens = NOW + SignedDuration::from_secs(i64::try_from(host.pick(3)).unwrap() * 400);
        let mut order = issuer.order(number);
        order.window.opens = opens;
        order.window.closes = opens + SignedDuration::from_secs(4_000);
        if host.chance(50) {
            order.needs = Mode::Full;
            order.reboot = RebootRule::IfNeeded { notice_seconds: 60 };
        }
        if host.chance(30) {
            order.start = Start::OfflineOk;
        }
        Arc::new(issuer.accepted(&order))
    };
    (1..=3).map(make).collect()
}

fn step(host: &mut Host<'_>, orders: &[Arc<Accepted>], way: &mut Vec<Go>) {
    match host.pick(16) {
        0..=2 => {
            let at = host.pick(orders.len());
            if !host.given.contains(&orders[at]) {
                host.given.push(Arc::clone(&orders[at]));
            }
            host.give(&orders[at]);
        }
        3..=5 => host.jobs(),
        6 => host.work(),
        7 => way.extend(host.ask_server()),
        8 if !way.is_empty() => {
            // In any order, twice, late or never.
            let at = host.pick(way.len());
            host.happen(Event::Go(way[at]));
            if host.chance(70) {
                way.swap_remove(at);
            }
        }
        9 => {
            if let Some(go) = host.old_go() {
                host.happen(Event::Go(go));
            }
        }
        10 => {
            let seconds = [1, 30, 130, 590, 601][host.pick(5)];
            host.pass(seconds);
        }
        11 => host.restart_executor(),
        12 if host.chance(30) => host.power_cut(),
        13 => host.mode = [Mode::Monitor, Mode::Install, Mode::Full, Mode::Full][host.pick(4)],
        14 if host.chance(20) => {
            let at = host.pick(orders.len());
            host.happen(Event::Withdrawn(orders[at].digest));
        }
        15 if host.chance(5) => host.stopped_at = host.stopped_at.or(Some(host.now)),
        _ => host.pass(1),
    }
}

/// Nothing more goes wrong: every order comes to its end.
fn in_peace(host: &mut Host<'_>) {
    host.is_safe = true;
    host.mode = Mode::Full;
    // What the server has heard nothing of, it offers again.
    for given in host.given.clone() {
        host.give(&given);
    }
    for _ in 0..100 {
        if host.orders.open().is_empty() {
            return;
        }
        host.jobs();
        host.work();
        for go in host.ask_server() {
            host.happen(Event::Go(go));
        }
        host.pass(60);
    }
}

#[test]
fn whatever_happens_nothing_begins_unpermitted_or_twice_and_every_order_has_one_end() {
    let issuer = Issuer::new();
    let (mut begun, mut rebooted, mut ended) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut host = Host::new(&issuer, seed);
        let orders = orders(&issuer, &mut host);
        let mut way = Vec::new();
        for _ in 0..STEPS {
            step(&mut host, &orders, &mut way);
        }
        in_peace(&mut host);
        assert_eq!(host.orders.open().len(), 0, "seed {seed}: {:?}", host.orders);
        for (number, count) in &host.reboots {
            assert!(
                *count <= 1,
                "seed {seed}: order {number} restarted the host {count} times"
            );
        }
        for given in host.given.clone() {
            // Saying it again, heard or not, changes nothing.
            let ends = host.ends.clone();
            host.happen(Event::Heard(given.digest));
            host.give(&given);
            assert_eq!((host.orders.open().len(), &host.ends), (0, &ends), "seed {seed}");
        }
        begun += host.begun.len();
        rebooted += host.reboots.len();
        ended += host
            .ends
            .values()
            .filter(|end| end.stage == Stage::Succeeded)
            .count();
    }
    // The scenarios are worth something only if much of it comes about.
    assert!(
        begun > 150 && rebooted > 15 && ended > 150,
        "{begun} {rebooted} {ended}"
    );
}

fn moment(seconds: i64) -> Moment {
    Moment {
        clock: BootClock {
            boot: BootId([1; 16]),
            micros: u64::try_from(1_000 + seconds).unwrap() * 1_000_000,
        },
        up_since_micros: 0,
        wall: NOW + SignedDuration::from_secs(seconds),
        estimate: NOW + SignedDuration::from_secs(seconds),
        mode: Mode::Full,
        chance: [u8::try_from(seconds.rem_euclid(251)).unwrap(); 16],
    }
}

/// An order that waits for its go, asked for at once.
fn prepared(issuer: &Issuer, order: &Order) -> (Orders, Arc<Accepted>) {
    let accepted = Arc::new(issuer.accepted(order));
    let number = order.number;
    let events = [
        Event::Took(Arc::clone(&accepted)),
        Event::Fetched { number, bytes: 1 },
        Event::Compared {
            number,
            found: Ok(Found::Exact),
        },
    ];
    let orders = (events.into_iter()).fold(Orders::default(), |orders, event| {
        next(&orders, event, &moment(0)).0
    });
    (orders, accepted)
}

fn answer(orders: &Orders, seconds: i64) -> Go {
    let report = &orders.reports()[0];
    let asks = report.asks.expect("it asks");
    Go {
        order: report.order,
        boot: BootId(asks.boot),
        nonce: asks.nonce,
        issued_at: NOW + SignedDuration::from_secs(seconds),
        lease_seconds: 600,
    }
}

fn begins(orders: &Orders, go: Go, moment: &Moment) -> bool {
    let (_, effects) = next(orders, Event::Go(go), moment);
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Start { .. }))
}

#[test]
fn a_go_begins_its_order_in_its_boot_within_its_lease_and_nothing_else() {
    let issuer = Issuer::new();
    let (orders, _) = prepared(&issuer, &issuer.order(1));
    let go = answer(&orders, 10);
    assert!(begins(&orders, go, &moment(20)));
    // The lease counts from the asking: what is left of it is known for certain.
    assert!(begins(&orders, go, &moment(119)));
    let other_order = Go {
        order: protocol::sha256(b"another"),
        ..go
    };
    let other_nonce = Go {
        nonce: [250; 16],
        ..go
    };
    let other_boot = Go {
        boot: BootId([2; 16]),
        ..go
    };
    for other in [other_order, other_nonce, other_boot] {
        assert!(!begins(&orders, other, &moment(20)), "{other:?}");
    }
    let restarted = Moment {
        clock: BootClock {
            boot: BootId([2; 16]),
            micros: 1_020_000_000,
        },
        ..moment(20)
    };
    assert!(!begins(&orders, go, &restarted), "after a restart");
    let lowered = Moment {
        mode: Mode::Download,
        ..moment(20)
    };
    assert!(
        !begins(&orders, go, &lowered),
        "the ceiling was lowered meanwhile"
    );
    let short = Go {
        lease_seconds: 20,
        ..go
    };
    assert!(begins(&orders, short, &moment(19)));
    assert!(!begins(&orders, short, &moment(20)), "its lease is over");
}

/// The clock of the host may say anything: only the server's signed time and the boot clock count.
#[test]
fn a_wrong_date_neither_begins_an_order_nor_stops_one_that_has_its_go() {
    let issuer = Issuer::new();
    let mut order = issuer.order(1);
    order.window.closes = NOW + SignedDuration::from_secs(100);
    let (orders, _) = prepared(&issuer, &order);
    let go = answer(&orders, 10);
    for years in [-30, 30] {
        let wrong = Moment {
            wall: NOW + SignedDuration::from_hours(24 * 365 * years),
            ..moment(20)
        };
        assert!(begins(&orders, go, &wrong), "{years}");
    }
    let late = answer(&orders, 95);
    assert!(begins(&orders, late, &moment(4)));
    assert!(
        !begins(&orders, late, &moment(5)),
        "it may be later than its window"
    );
    let early = answer(&orders, -1);
    assert!(!begins(&orders, early, &moment(20)), "its window was not open");
}

#[test]
fn two_orders_of_one_host_never_begin_at_once() {
    let issuer = Issuer::new();
    let (orders, _) = prepared(&issuer, &issuer.order(1));
    let second = Arc::new(issuer.accepted(&issuer.order(2)));
    let events = [
        Event::Took(second),
        Event::Fetched { number: 2, bytes: 1 },
        Event::Compared {
            number: 2,
            found: Ok(Found::Exact),
        },
    ];
    let orders = (events.into_iter()).fold(orders, |orders, event| next(&orders, event, &moment(1)).0);
    let reports = orders.reports();
    let goes = reports.iter().map(|report| {
        let asks = report.asks.expect("both ask");
        Go {
            order: report.order,
            boot: BootId(asks.boot),
            nonce: asks.nonce,
            issued_at: NOW + SignedDuration::from_secs(2),
            lease_seconds: 600,
        }
    });
    let goes: Vec<Go> = goes.collect();
    let (begun, effects) = next(&orders, Event::Go(goes[0]), &moment(3));
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Start { number: 1, .. }))
    );
    assert!(!begins(&begun, goes[1], &moment(3)));
    // What was compared before the first one is compared again after it.
    assert_eq!(begun.open()[1].phase(), Phase::Fetching);
    assert_eq!(begun.reports()[1].asks, None);
}

#[test]
fn a_restart_of_the_host_is_asked_for_once_and_never_without_its_rule() {
    let issuer = Issuer::new();
    let mut order = issuer.order(1);
    order.needs = Mode::Full;
    order.reboot = RebootRule::IfNeeded { notice_seconds: 60 };
    let (orders, _) = prepared(&issuer, &order);
    let (orders, _) = next(&orders, Event::Go(answer(&orders, 10)), &moment(11));
    let done = Event::Done {
        number: 1,
        end: Ok(()),
        output: None,
        millis: 9,
    };
    let (orders, effects) = next(&orders, done, &moment(12));
    assert_eq!(effects, [Effect::Save, Effect::Restart { number: 1 }]);
    let (orders, _) = next(&orders, Event::Settled { number: 1 }, &moment(13));
    let seen = |orders: &Orders, moment: &Moment| {
        let seen = Seen {
            reboot: Some("the host has to restart for linux".to_owned()),
            ..Seen::default()
        };
        next(orders, Event::Seen { number: 1, seen }, moment)
    };
    let reboots = |effects: &[Effect]| effects.contains(&Effect::Reboot { number: 1 });
    let lowered = Moment {
        mode: Mode::Install,
        ..moment(14)
    };
    let (ended, effects) = seen(&orders, &lowered);
    assert_eq!(
        (ended.reports()[0].stage, reboots(&effects)),
        (Stage::NotInEffect, false)
    );
    let late = moment(86_400);
    assert!(!reboots(&seen(&orders, &late).1), "its window is over");
    let (rebooting, effects) = seen(&orders, &moment(14));
    assert!(reboots(&effects));
    let report = rebooting.reports()[0].clone();
    assert_eq!(
        (report.stage, report.detail.as_str()),
        (Stage::RebootPending, "the host has to restart for linux")
    );
    let restarted = Moment {
        clock: BootClock {
            boot: BootId([2; 16]),
            micros: 9,
        },
        ..moment(100)
    };
    let (back, _) = next(&rebooting, Event::Tick, &restarted);
    assert_eq!(back.job(&back.open()[0]), Some(Job::Read));
    let (ended, effects) = seen(&back, &restarted);
    assert_eq!(
        (ended.reports()[0].stage, reboots(&effects)),
        (Stage::NotInEffect, false)
    );
    // A container that starts again may keep the id of its machine's boot.
    let anew = Moment {
        up_since_micros: moment(15).clock.micros,
        ..moment(20)
    };
    let (back, _) = next(&rebooting, Event::Tick, &anew);
    assert_eq!(back.job(&back.open()[0]), Some(Job::Read));
    let before = Moment {
        up_since_micros: moment(13).clock.micros,
        ..moment(20)
    };
    let (waits, _) = next(&rebooting, Event::Tick, &before);
    assert!(matches!(waits.open()[0].phase(), Phase::Rebooting { .. }));
    // One that does not come is not waited for without end.
    let (waits, _) = next(&rebooting, Event::Tick, &moment(1_000));
    assert!(matches!(waits.open()[0].phase(), Phase::Rebooting { .. }));
    let (given_up, _) = next(&rebooting, Event::Tick, &moment(2_000));
    assert_eq!(given_up.job(&given_up.open()[0]), Some(Job::Read));
}

#[test]
fn what_may_begin_is_told_until_when() {
    let issuer = Issuer::new();
    let mut order = issuer.order(1);
    order.window.closes = NOW + SignedDuration::from_secs(500);
    let (orders, _) = prepared(&issuer, &order);
    let until = |go: Go| {
        let (_, effects) = next(&orders, Event::Go(go), &moment(20));
        effects.iter().find_map(|effect| match effect {
            Effect::Start { until_micros, .. } => Some(*until_micros / 1_000_000),
            _ => None,
        })
    };
    // Asked for at 1000 s of the boot clock; the go is of the tenth second, and it is the twentieth.
    let go = answer(&orders, 10);
    assert_eq!(
        until(Go {
            lease_seconds: 60,
            ..go
        }),
        Some(1_060)
    );
    // 470 s of the window are left at most, for it cannot be later than NOW + 30 s.
    assert_eq!(until(go), Some(1_490));
}

#[test]
fn an_order_out_of_the_servers_reach_begins_in_its_window_by_a_date_that_is_not_behind() {
    let issuer = Issuer::new();
    let mut order = issuer.order(1);
    order.start = Start::OfflineOk;
    order.window.opens = NOW + SignedDuration::from_secs(50);
    let (orders, _) = prepared(&issuer, &order);
    let starts = |orders: &Orders, moment: &Moment| {
        let (_, effects) = next(orders, Event::Tick, moment);
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Start { .. }))
    };
    assert!(!starts(&orders, &moment(49)));
    assert!(starts(&orders, &moment(50)));
    assert_eq!(orders.reports()[0].asks, None);
    // The server was heard to be further on: the date was set back.
    let go = Go {
        order: protocol::sha256(b"another"),
        boot: BootId([1; 16]),
        nonce: [0; 16],
        issued_at: NOW + SignedDuration::from_secs(1_000),
        lease_seconds: 600,
    };
    let (heard, _) = next(&orders, Event::Go(go), &moment(1));
    assert!(!starts(&heard, &moment(60)));
    let low = Moment {
        mode: Mode::Download,
        ..moment(60)
    };
    assert!(!starts(&orders, &low));
}

#[test]
fn a_question_is_drawn_anew_after_two_minutes_and_after_a_restart() {
    let issuer = Issuer::new();
    let (orders, _) = prepared(&issuer, &issuer.order(1));
    let asked = |orders: &Orders| orders.reports()[0].asks.unwrap().nonce;
    let (later, _) = next(&orders, Event::Tick, &moment(119));
    assert_eq!(asked(&later), asked(&orders));
    let (later, _) = next(&orders, Event::Tick, &moment(120));
    assert_ne!(asked(&later), asked(&orders));
    let go = answer(&orders, 10);
    assert!(!begins(&later, go, &moment(121)), "it answers an older question");
}

#[test]
fn what_was_taken_back_before_it_began_never_begins_and_later_it_finishes() {
    let issuer = Issuer::new();
    let (orders, accepted) = prepared(&issuer, &issuer.order(1));
    let go = answer(&orders, 10);
    let (withdrawn, _) = next(&orders, Event::Withdrawn(accepted.digest), &moment(11));
    assert_eq!(withdrawn.reports()[0].stage, Stage::Withdrawn);
    assert!(!begins(&withdrawn, go, &moment(12)));
    let (begun, _) = next(&orders, Event::Go(go), &moment(11));
    let (still, _) = next(&begun, Event::Withdrawn(accepted.digest), &moment(12));
    assert_eq!(still.open()[0].phase(), Phase::Installing);
}

#[test]
fn a_transaction_that_is_cut_off_again_and_again_ends_and_is_told() {
    let issuer = Issuer::new();
    let (orders, _) = prepared(&issuer, &issuer.order(1));
    let (mut orders, _) = next(&orders, Event::Go(answer(&orders, 10)), &moment(11));
    for _ in 0..MAX_CUTS {
        let (after, effects) = next(&orders, Event::Lost { number: 1 }, &moment(12));
        // It is repaired, and not gone on with: that needs another permission.
        let repair = Effect::Start {
            number: 1,
            until_micros: 0,
        };
        assert_eq!((&effects[0], effects.contains(&repair)), (&Effect::Save, true));
        // That it cannot be taken up at once, soon after a start of the host perhaps, is no end.
        let not_now = Event::NotBegun {
            number: 1,
            trouble: Trouble {
                kind: Failure::PackageManager,
                detail: "no unit".to_owned(),
            },
        };
        orders = next(&after, not_now, &moment(12)).0;
    }
    let (orders, effects) = next(&orders, Event::Lost { number: 1 }, &moment(12));
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Start { .. }))
    );
    let report = &orders.reports()[0];
    assert_eq!(
        (report.stage, report.failure),
        (Stage::Failed, Some(FailureKind::Interrupted))
    );
}

#[test]
fn success_is_what_the_host_shows_and_old_code_is_told() {
    let issuer = Issuer::new();
    let (orders, _) = prepared(&issuer, &issuer.order(1));
    let (orders, _) = next(&orders, Event::Go(answer(&orders, 10)), &moment(11));
    let done = Event::Done {
        number: 1,
        end: Ok(()),
        output: None,
        millis: 9,
    };
    let (orders, effects) = next(&orders, done, &moment(12));
    // An order that may not restart services does not.
    assert!(!effects.contains(&Effect::Restart { number: 1 }));
    assert_eq!(orders.job(&orders.open()[0]), Some(Job::Read));
    let end = |seen: Seen| {
        let (orders, effects) = next(&orders, Event::Seen { number: 1, seen }, &moment(13));
        assert!(
            !effects.contains(&Effect::Reboot { number: 1 }),
            "its rule says never"
        );
        let report = orders.reports()[0].clone();
        (report.stage, report.failure, report.detail)
    };
    let none = Seen::default();
    assert_eq!(end(none.clone()), (Stage::Succeeded, None, String::new()));
    let old = Seen {
        old: Some("nginx.service runs replaced files".to_owned()),
        reboot: Some("the host has to restart for linux".to_owned()),
        ..none.clone()
    };
    let told = "the host has to restart for linux; nginx.service runs replaced files".to_owned();
    assert_eq!(end(old), (Stage::NotInEffect, None, told));
    let missing = Seen {
        missing: Some("openssl 3.0.17-1 is not installed".to_owned()),
        ..none
    };
    let (stage, failure, _) = end(missing);
    assert_eq!((stage, failure), (Stage::Failed, Some(FailureKind::NotSeen)));
}

#[test]
fn an_order_that_nobody_permits_ends_when_its_window_does() {
    let issuer = Issuer::new();
    let (orders, _) = prepared(&issuer, &issuer.order(1));
    let (orders, _) = next(&orders, Event::Tick, &moment(86_400));
    let report = &orders.reports()[0];
    assert_eq!(
        (report.stage, report.failure),
        (Stage::Failed, Some(FailureKind::Expired))
    );
}
