//! Plans of generated worlds, held against what must be true of any plan, said once more in another way.

use domain::assess::fleet::HostNo;
use domain::host::mode::Mode;
use domain::rollout::deployment::{Deployment, Failure, Intent, Observation};
use domain::rollout::plan::{
    Change, ChangeNo, Host, Member, Need, Plan, Staging, Standing, State, Step, TransactionNo, World,
    modelled, plan,
};
use domain::rollout::waiting::Waiting;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// All times of the worlds are near it.
const NOW: i64 = 1_800_000_000;

fn at(offset_seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW + offset_seconds).expect("a time in this century")
}

fn times() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        Just(-700),
        Just(-60),
        Just(-1),
        Just(0),
        Just(1),
        Just(60),
        Just(900)
    ]
    .prop_map(at)
}

fn observations() -> impl Strategy<Value = Observation> {
    prop_oneof![
        6 => Just(Observation::None),
        2 => Just(Observation::Prepared),
        1 => Just(Observation::Installing),
        1 => Just(Observation::RebootPending),
        1 => Just(Observation::Succeeded),
        1 => Just(Observation::NotInEffect),
        1 => Just(Observation::Failed(Failure::Busy)),
    ]
}

fn deployments() -> impl Strategy<Value = Deployment> {
    let intents =
        prop_oneof![4 => Just(Intent::Planned), 3 => Just(Intent::Ordered), 1 => Just(Intent::Cancelled)];
    (intents, observations(), prop::option::weighted(0.2, times())).prop_map(
        |(intent, observation, may_begin_until)| Deployment {
            intent,
            observation,
            may_begin_until,
        },
    )
}

fn needs() -> impl Strategy<Value = Need> {
    prop_oneof![
        8 => (0..3u32).prop_map(|number| Need::Packages(TransactionNo(number))),
        2 => Just(Need::Nothing),
        1 => Just(Need::Unknown),
        1 => Just(Need::NeedsAlso),
        1 => Just(Need::NotBuilt),
    ]
}

fn hosts() -> impl Strategy<Value = Host> {
    (
        prop_oneof![5 => Just(Standing::Active), 1 => Just(Standing::NotActive)],
        prop::option::weighted(0.9, times()),
        prop_oneof![
            Just(Mode::Monitor),
            Just(Mode::Install),
            Just(Mode::Full),
            Just(Mode::Full)
        ],
    )
        .prop_map(|(standing, last_seen, mode)| Host {
            standing,
            last_seen,
            mode,
        })
}

fn changes(hosts: usize) -> impl Strategy<Value = Change> {
    let members = prop::collection::vec(prop::option::weighted(0.7, (deployments(), needs())), hosts);
    (
        prop_oneof![5 => Just(State::Running), 1 => Just(State::Stopped)],
        times(),
        times(),
        prop_oneof![Just(Mode::Install), Just(Mode::Full)],
        0..5u32,
        prop_oneof![1 => Just(Staging::NotAsked), 1 => Just(Staging::Asked), 4 => Just(Staging::Done)],
        members,
    )
        .prop_map(
            |(state, opens, closes, needs, at_once, staging, members)| Change {
                state,
                opens,
                closes,
                needs,
                at_once,
                staging,
                members: (0..)
                    .zip(members)
                    .filter_map(|(host, member)| {
                        member.map(|(deployment, need)| Member {
                            host: HostNo(host),
                            deployment,
                            need,
                        })
                    })
                    .collect(),
            },
        )
}

/// Worlds as plans make them: a host has at most one open order.
fn worlds() -> impl Strategy<Value = World> {
    (1..8usize)
        .prop_flat_map(|count| {
            (
                prop::collection::vec(changes(count), 0..5),
                prop::collection::vec(hosts(), count),
            )
        })
        .prop_map(|(mut changes, hosts)| {
            let mut open = BTreeSet::new();
            for member in changes.iter_mut().flat_map(|change| &mut change.members) {
                if member.deployment.is_open(at(0)) && !open.insert(member.host) {
                    member.deployment = Deployment::default();
                }
            }
            World {
                generation: 7,
                changes,
                hosts,
                silence: SignedDuration::from_secs(600),
            }
        })
}

/// A plan beside its world, by change and host.
struct Checked<'a> {
    world: &'a World,
    ordered: BTreeMap<(u32, HostNo), TransactionNo>,
    withdrawn: BTreeSet<(u32, HostNo)>,
    staged: BTreeSet<u32>,
    waiting: BTreeMap<(u32, HostNo), Waiting>,
}

impl<'a> Checked<'a> {
    fn new(world: &'a World, plan: &Plan) -> Self {
        let mut checked = Self {
            world,
            ordered: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
            staged: BTreeSet::new(),
            waiting: BTreeMap::new(),
        };
        for step in &plan.steps {
            let is_new = match *step {
                Step::Stage { change } => checked.staged.insert(change.0),
                Step::Withdraw { change, host } => checked.withdrawn.insert((change.0, host)),
                Step::Order {
                    change,
                    host,
                    packages,
                } => checked.ordered.insert((change.0, host), packages).is_none(),
            };
            assert!(is_new, "twice: {step:?}");
        }
        for waits in &plan.waiting {
            let before = checked.waiting.insert((waits.change.0, waits.host), waits.why);
            assert_eq!(before, None, "twice: {waits:?}");
        }
        checked
    }

    fn members(&self) -> impl Iterator<Item = (u32, &'a Change, &'a Member)> + use<'a> {
        (0..)
            .zip(&self.world.changes)
            .flat_map(|(number, change)| (change.members.iter()).map(move |member| (number, change, member)))
    }

    fn host(&self, host: HostNo) -> &Host {
        &self.world.hosts[host.0 as usize]
    }

    /// Whether an order may be made or stay out, said as a list of what is demanded.
    fn is_allowed(&self, change: &Change, host: HostNo) -> bool {
        let host = self.host(host);
        let heard = host.last_seen.map(|seen| at(0).as_second() - seen.as_second());
        [
            change.state == State::Running,
            (change.opens..change.closes).contains(&at(0)),
            host.standing == Standing::Active,
            host.mode >= change.needs,
            heard.is_some_and(|ago| ago < 600),
        ]
        .into_iter()
        .all(|is_so| is_so)
    }

    /// Whether the order stays out after the plan.
    fn is_out(&self, change: u32, member: &Member) -> bool {
        let key = (change, member.host);
        let kept = member.deployment.is_open(at(0)) && !self.withdrawn.contains(&key);
        kept || self.ordered.contains_key(&key)
    }
}

/// Whether a change has nothing more to do with a host.
fn is_done(member: &Member) -> bool {
    let seen = member.deployment.observation;
    let is_there = member.need == Need::Nothing && !matches!(seen, Observation::Failed(_));
    let has_ended_well = matches!(seen, Observation::Succeeded | Observation::NotInEffect);
    let is_cancelled = member.deployment.intent == Intent::Cancelled;
    !member.deployment.is_open(at(0)) && (is_there || has_ended_well || is_cancelled)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_host_in_scope_is_done_with_or_has_an_order_or_a_reason(world in worlds()) {
        let checked = Checked::new(&world, &plan(&world, at(0)));
        for (number, _, member) in checked.members() {
            let key = (number, member.host);
            let has_order = checked.ordered.contains_key(&key);
            let waits = checked.waiting.contains_key(&key);
            let is_taken_back = checked.withdrawn.contains(&key);
            let done = is_done(member) || (is_taken_back && member.need == Need::Nothing);
            prop_assert_eq!(usize::from(has_order) + usize::from(waits) + usize::from(done), 1, "{:?}", member);
        }
    }

    #[test]
    fn no_order_is_made_that_anything_forbids(world in worlds()) {
        let checked = Checked::new(&world, &plan(&world, at(0)));
        for (number, change, member) in checked.members() {
            let Some(&packages) = checked.ordered.get(&(number, member.host)) else { continue };
            prop_assert!(checked.is_allowed(change, member.host));
            prop_assert_eq!(change.staging, Staging::Done);
            prop_assert_eq!(member.need, Need::Packages(packages));
            prop_assert_ne!(member.deployment.intent, Intent::Cancelled);
            prop_assert!(!member.deployment.has_ended());
            prop_assert!(!member.deployment.is_committed(at(0)));
        }
    }

    #[test]
    fn an_order_is_taken_back_exactly_if_it_is_forbidden_and_cannot_begin(world in worlds()) {
        let checked = Checked::new(&world, &plan(&world, at(0)));
        for (number, change, member) in checked.members() {
            let deployment = member.deployment;
            let waits_to_begin = deployment.intent == Intent::Ordered
                && matches!(deployment.observation, Observation::None | Observation::Taken | Observation::Prepared)
                && deployment.may_begin_until.is_none_or(|until| until <= at(0));
            let expected = waits_to_begin && !checked.is_allowed(change, member.host);
            prop_assert_eq!(checked.withdrawn.contains(&(number, member.host)), expected, "{:?}", member);
        }
    }

    #[test]
    fn no_host_has_two_orders_and_no_change_more_than_it_may(world in worlds()) {
        let checked = Checked::new(&world, &plan(&world, at(0)));
        let mut by_host: BTreeMap<HostNo, Vec<u32>> = BTreeMap::new();
        let mut by_change: BTreeMap<u32, usize> = BTreeMap::new();
        for (number, _, member) in checked.members() {
            if checked.is_out(number, member) {
                by_host.entry(member.host).or_default().push(number);
                *by_change.entry(number).or_default() += 1;
            }
        }
        prop_assert!(by_host.values().all(|changes| changes.len() == 1), "{:?}", by_host);
        for (number, change) in (0..).zip(&world.changes) {
            let made = checked.ordered.keys().filter(|(of, _)| *of == number).count();
            let out = by_change.get(&number).copied().unwrap_or_default();
            prop_assert!(made == 0 || out <= change.at_once as usize);
        }
    }

    #[test]
    fn nobody_waits_for_what_is_free(world in worlds()) {
        let checked = Checked::new(&world, &plan(&world, at(0)));
        for (number, change, member) in checked.members() {
            match checked.waiting.get(&(number, member.host)) {
                Some(Waiting::Paced) => {
                    let out = change.members.iter().filter(|other| checked.is_out(number, other)).count();
                    prop_assert!(out >= change.at_once as usize);
                }
                Some(&Waiting::AnotherChange { change: ChangeNo(other) }) => {
                    let holder = world.changes[other as usize].members.iter().find(|held| held.host == member.host);
                    let holder = holder.expect("the other change has the host");
                    prop_assert!(checked.is_out(other, holder));
                    prop_assert!(other < number || holder.deployment.is_open(at(0)), "precedence");
                }
                Some(Waiting::NotStaged) => {
                    let is_asked = change.staging == Staging::Asked || checked.staged.contains(&number);
                    prop_assert!(is_asked);
                }
                Some(Waiting::Underway) => prop_assert!(checked.is_out(number, member)),
                _ => {}
            }
        }
    }

    #[test]
    fn after_its_steps_a_plan_has_none(world in worlds()) {
        let first = plan(&world, at(0));
        let next = plan(&modelled(world, &first), at(0));
        prop_assert_eq!(next.steps, vec![]);
    }
}
