//! Plans for 100,000 hosts in 200 changes of 10,000 hosts each, at every stage that there is: `plans ROUNDS` prints how long one
//! takes, as JSON. Without words (as `cargo bench` does) it does nothing.

#![expect(clippy::print_stdout, reason = "a bench prints")]
#![expect(clippy::disallowed_methods, reason = "a bench measures")]

use domain::assess::fleet::HostNo;
use domain::host::mode::Mode;
use domain::rollout::deployment::{Deployment, Failure, Intent, Observation};
use domain::rollout::plan::{
    Change, Host, Member, Need, Staging, Standing, State, TransactionNo, World, plan,
};
use jiff::{SignedDuration, Timestamp};
use std::hint::black_box;
use std::time::Instant;

const HOSTS: u32 = 100_000;
const CHANGES: u32 = 200;
const MEMBERS: u32 = 10_000;

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let [rounds] = words.as_slice() else { return };
    let rounds: u32 = rounds.parse().unwrap_or(1);
    let now = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1_000);
    let world = world(now);
    for _ in 0..rounds {
        let start = Instant::now();
        let made = black_box(plan(black_box(&world), now));
        let took = start.elapsed().as_secs_f64();
        assert!(
            made.steps.len() > 1_000 && made.waiting.len() > 1_000_000,
            "the world gives little to plan: {} steps, {} wait",
            made.steps.len(),
            made.waiting.len()
        );
        println!("{{\"name\":\"plan\",\"value\":{took},\"unit\":\"s\"}}");
    }
}

fn world(now: Timestamp) -> World {
    let host = |number: u32| Host {
        standing: match number % 50 {
            0 => Standing::NotActive,
            _ => Standing::Active,
        },
        last_seen: Some(now - SignedDuration::from_mins(i64::from(number % 20))),
        mode: Mode::ALL[(number % 4) as usize],
    };
    World {
        generation: 1,
        changes: (0..CHANGES).map(|number| change(number, now)).collect(),
        hosts: (0..HOSTS).map(host).collect(),
        silence: SignedDuration::from_mins(15),
    }
}

fn change(number: u32, now: Timestamp) -> Change {
    // Each begins elsewhere, so that every host is in many of them.
    let member = |at: u32| Member {
        host: HostNo((number * 7_919 + at * 10) % HOSTS),
        deployment: deployment(at + number, now),
        need: match at % 25 {
            0 => Need::Nothing,
            1 => Need::Unknown,
            _ => Need::Packages(TransactionNo(at % 300)),
        },
    };
    Change {
        state: match number % 20 {
            0 => State::Stopped,
            _ => State::Running,
        },
        opens: now - SignedDuration::from_hours(1),
        closes: now + SignedDuration::from_hours(i64::from(number % 40)),
        needs: Mode::Install,
        at_once: 1_000,
        staging: match number % 10 {
            0 => Staging::NotAsked,
            _ => Staging::Done,
        },
        members: (0..MEMBERS).map(member).collect(),
    }
}

fn deployment(number: u32, now: Timestamp) -> Deployment {
    let (intent, observation) = match number % 12 {
        0 => (Intent::Ordered, Observation::None),
        1 => (Intent::Ordered, Observation::Prepared),
        2 => (Intent::Ordered, Observation::Installing),
        3 => (Intent::Ordered, Observation::Succeeded),
        4 => (Intent::Ordered, Observation::Failed(Failure::Script)),
        5 => (Intent::Cancelled, Observation::None),
        _ => (Intent::Planned, Observation::None),
    };
    Deployment {
        intent,
        observation,
        may_begin_until: (number.is_multiple_of(24)).then(|| now + SignedDuration::from_mins(5)),
    }
}
