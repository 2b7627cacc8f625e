//! The plan: what is done next for each change and host of a tenant, complete and in order, so that whoever carries it out
//! has nothing left to choose. It is a function of what is known; planning again after its steps gives no steps.
//!
//! In this form a change has one ring and one window. Precedence is the order of the changes: an earlier one gets a host
//! first. No host is given two orders at once, and no change more hosts at once than it may have.

use super::deployment::{Deployment, Intent, Observation};
use super::waiting::Waiting;
use crate::assess::fleet::HostNo;
use crate::host::mode::Mode;
use jiff::{SignedDuration, Timestamp};

/// A change's place in [`World::changes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeNo(pub u32);

/// A set of packages with their versions, which many hosts share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionNo(pub u32);

/// All that a tenant's plan depends on, besides the time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Counts decisions of the tenant. A plan is saved only while this is current.
    pub generation: u64,
    /// Approved changes that are not closed, the most urgent first.
    pub changes: Vec<Change>,
    /// The tenant's hosts, by their number.
    pub hosts: Vec<Host>,
    /// How long nothing may have been heard of a host that is given an order.
    pub silence: SignedDuration,
}

/// An approved change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whether a person stopped it.
    pub state: State,
    /// When its orders may be made.
    pub opens: Timestamp,
    /// When none are made any more, and none begin.
    pub closes: Timestamp,
    /// What a host has to allow for it.
    pub needs: Mode,
    /// Hosts at once.
    pub at_once: u32,
    /// Whether its files are in the store.
    pub staging: Staging,
    /// Its scope, each host once, in the order in which they are taken.
    pub members: Vec<Member>,
}

/// Whether a change goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Running,
    /// A person stopped it.
    Stopped,
}

/// How far the files of a change are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staging {
    /// Nobody has asked for them.
    NotAsked,
    /// They are being fetched, verified and scanned.
    Asked,
    /// All are there.
    Done,
}

/// A host in a change's scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub host: HostNo,
    /// How far it has come.
    pub deployment: Deployment,
    /// What it would take there.
    pub need: Need,
}

/// What a change would take on a host, by its newest inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it is all there.
    Nothing,
    /// This.
    Packages(TransactionNo),
    /// Not known: no verified source answers for it.
    Unknown,
    /// An update besides that was not approved.
    NeedsAlso,
    /// Something that is not published for its architecture.
    NotBuilt,
}

/// What a plan depends on of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Host {
    /// Whether orders may be made for it at all.
    pub standing: Standing,
    /// When it was last heard, if ever.
    pub last_seen: Option<Timestamp>,
    /// What it allows.
    pub mode: Mode,
}

/// Whether a host takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Active,
    /// Waiting for approval, quarantined, retired.
    NotActive,
}

/// What is to be done. Each is complete: who carries it out looks nothing up and chooses nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Fetch a change's files.
    Stage {
        /// Of this change.
        change: ChangeNo,
    },
    /// Take an order back that has not begun.
    Withdraw {
        /// Of this change.
        change: ChangeNo,
        /// From this host.
        host: HostNo,
    },
    /// Make an order.
    Order {
        /// Of this change.
        change: ChangeNo,
        /// For this host.
        host: HostNo,
        /// Of exactly these packages.
        packages: TransactionNo,
    },
}

/// A host of a change, and why nothing is done there now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Waits {
    /// Of this change.
    pub change: ChangeNo,
    /// This host.
    pub host: HostNo,
    /// Why.
    pub why: Waiting,
}

/// What is done next, and why the rest is not. It is never changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Of the world that it was made for.
    pub generation: u64,
    /// To be done, in this order.
    pub steps: Vec<Step>,
    /// Each host of a change's scope that the change is not done with and that has no order step.
    pub waiting: Vec<Waits>,
}

/// Plans.
pub fn plan(world: &World, now: Timestamp) -> Plan {
    let mut planner = Planner {
        world,
        now,
        at_work: vec![NOBODY; world.hosts.len()],
        plan: Plan {
            generation: world.generation,
            ..Plan::default()
        },
    };
    planner.take_back();
    for (number, change) in world.changes.iter().enumerate() {
        planner.go_on(ChangeNo(index(number)), change);
    }
    planner.plan
}

/// No change.
const NOBODY: ChangeNo = ChangeNo(u32::MAX);

/// Changes and hosts are counted in 32 bits.
fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

struct Planner<'a> {
    world: &'a World,
    now: Timestamp,
    /// By host: the change whose order it has.
    at_work: Vec<ChangeNo>,
    plan: Plan,
}

impl Planner<'_> {
    /// Orders that should not begin any more and can still be taken back are; the other open ones keep their hosts.
    fn take_back(&mut self) {
        for (number, change) in self.world.changes.iter().enumerate() {
            let number = ChangeNo(index(number));
            for member in &change.members {
                if !member.deployment.is_open(self.now) {
                    continue;
                }
                if self.may_stay(change, member) {
                    self.at_work[member.host.0 as usize] = number;
                } else if member.deployment.intent == Intent::Ordered {
                    self.plan.steps.push(Step::Withdraw {
                        change: number,
                        host: member.host,
                    });
                }
            }
        }
    }

    /// Whether an open order stays: what has begun, or may begin without us, always does.
    fn may_stay(&self, change: &Change, member: &Member) -> bool {
        member.deployment.is_committed(self.now)
            || (member.deployment.intent == Intent::Ordered
                && self.stands_in_the_way(change, self.host(member)).is_none())
    }

    fn host(&self, member: &Member) -> &Host {
        &self.world.hosts[member.host.0 as usize]
    }

    fn go_on(&mut self, number: ChangeNo, change: &Change) {
        let is_at_it = |member: &&Member| self.at_work[member.host.0 as usize] == number;
        let mut free = change
            .at_once
            .saturating_sub(index(change.members.iter().filter(is_at_it).count()));
        let mut lacks_files = false;
        for member in &change.members {
            let decision = self.decide(number, change, member, free);
            if decision == Decision::Waits(Waiting::NotStaged) {
                lacks_files = true;
            }
            match decision {
                Decision::Done => {}
                Decision::Waits(why) => self.plan.waiting.push(Waits {
                    change: number,
                    host: member.host,
                    why,
                }),
                Decision::Order(packages) => {
                    free -= 1;
                    self.at_work[member.host.0 as usize] = number;
                    self.plan.steps.push(Step::Order {
                        change: number,
                        host: member.host,
                        packages,
                    });
                }
            }
        }
        if lacks_files && change.staging == Staging::NotAsked {
            self.plan.steps.push(Step::Stage { change: number });
        }
    }

    fn decide(&self, number: ChangeNo, change: &Change, member: &Member, free: u32) -> Decision {
        let deployment = member.deployment;
        let at_work = self.at_work[member.host.0 as usize];
        if at_work == number {
            return Decision::Waits(Waiting::Underway);
        }
        if deployment.intent == Intent::Cancelled {
            return Decision::Done;
        }
        match deployment.observation {
            Observation::Succeeded | Observation::NotInEffect => return Decision::Done,
            Observation::Failed(failure) => return Decision::Waits(Waiting::Failed(failure)),
            _ => {}
        }
        let packages = match member.need {
            Need::Nothing => return Decision::Done,
            Need::Packages(packages) => packages,
            Need::Unknown => return Decision::Waits(Waiting::Unknown),
            Need::NeedsAlso => return Decision::Waits(Waiting::NeedsAlso),
            Need::NotBuilt => return Decision::Waits(Waiting::NotBuilt),
        };
        if let Some(why) = self.stands_in_the_way(change, self.host(member)) {
            return Decision::Waits(why);
        }
        if change.staging != Staging::Done {
            return Decision::Waits(Waiting::NotStaged);
        }
        if at_work != NOBODY {
            return Decision::Waits(Waiting::AnotherChange { change: at_work });
        }
        if free == 0 {
            return Decision::Waits(Waiting::Paced);
        }
        Decision::Order(packages)
    }

    /// What forbids an order, for a new one and for one that is out alike.
    fn stands_in_the_way(&self, change: &Change, host: &Host) -> Option<Waiting> {
        if change.state == State::Stopped {
            return Some(Waiting::Stopped);
        }
        if self.now >= change.closes {
            return Some(Waiting::Over {
                closed: change.closes,
            });
        }
        if self.now < change.opens {
            return Some(Waiting::NotOpen { opens: change.opens });
        }
        if host.standing == Standing::NotActive {
            return Some(Waiting::NotActive);
        }
        if host.mode < change.needs {
            return Some(Waiting::BelowCeiling {
                mode: host.mode,
                needs: change.needs,
            });
        }
        let is_heard = |seen: Timestamp| self.now.duration_since(seen) < self.world.silence;
        if !host.last_seen.is_some_and(is_heard) {
            return Some(Waiting::Offline {
                last_seen: host.last_seen,
            });
        }
        None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Done,
    Waits(Waiting),
    Order(TransactionNo),
}

/// The world when all steps of a plan are done and nothing else has happened: what planning again goes by.
#[must_use]
pub fn modelled(mut world: World, plan: &Plan) -> World {
    let at = |number: u32| usize::try_from(number).expect("a place in a list fits");
    for step in &plan.steps {
        match *step {
            Step::Stage { change } => world.changes[at(change.0)].staging = Staging::Asked,
            Step::Withdraw { change, host } => {
                set_intent(&mut world.changes[at(change.0)], host, Intent::Planned);
            }
            Step::Order { change, host, .. } => {
                set_intent(&mut world.changes[at(change.0)], host, Intent::Ordered);
            }
        }
    }
    world
}

fn set_intent(change: &mut Change, host: HostNo, intent: Intent) {
    let mut members = change.members.iter_mut();
    let member = members.find(|member| member.host == host);
    if let Some(member) = member {
        member.deployment = Deployment {
            intent,
            observation: Observation::None,
            may_begin_until: None,
        };
    }
}
