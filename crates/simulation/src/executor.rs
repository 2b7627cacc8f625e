//! The root's side of a simulated computer: the real judgement of bundles and goes and the real machine of orders, over a package
//! manager that is made up. It takes its time, is cut off in the middle by power cuts, and outlives the agent.

use agent::executor::asks::Ask;
use agent::executor::spool::Board;
use agent::order::verify::{self, Judge};
use agent::order::{Accepted, Done, Effect, Event, Found, Job, Moment, Orders, Refusal, Seen, Trouble, next};
use agent::session::Memory;
use agent::trust::{Approvers, Server};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::HostId;
use domain::identity::BootId;
use domain::order::{OrderedPackage, RebootRule};
use domain::rollout::deployment::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What root has on a computer, and what runs there for it.
#[derive(Clone, Debug)]
pub struct Executor {
    /// What the host allows.
    pub mode: Mode,
    /// Files that the network process fetched.
    pub files: BTreeMap<Sha256Digest, Vec<u8>>,
    /// Whom it believes; nobody until root enrols the host.
    server: Option<(Sha256Digest, Server)>,
    /// Whose its orders are.
    identity: Option<HostId>,
    /// What a restart of the process brings back.
    kept: Orders,
    orders: Orders,
    /// What is being done for an order; a restart of the process forgets it.
    jobs: Vec<(u64, Job)>,
    /// What was told last.
    told: Board,
    /// The transaction at work, in a unit of its own.
    unit: Option<Unit>,
    /// What transactions left when they ended.
    left: BTreeMap<u64, Left>,
    /// Orders of which the package manager has begun something.
    begun: BTreeSet<u64>,
    /// How many transactions there were.
    units: u64,
    /// The boot in which packages were installed that count only after a restart.
    stale: Option<BootId>,
}

/// A transaction at work, or one that waits for another program to let go of the package manager.
#[derive(Clone, Debug)]
struct Unit {
    accepted: Arc<Accepted>,
    count: u64,
    until_micros: u64,
}

/// What a transaction left.
#[derive(Clone, Debug)]
enum Left {
    Ended(Result<(), Trouble>),
    Late(Done),
}

/// What is to happen on the computer, after a while.
#[derive(Clone, Debug)]
pub enum Doing {
    /// A job is done.
    Job {
        /// For this order.
        number: u64,
        /// Which.
        job: Job,
    },
    /// Services are restarted.
    Settle {
        /// By this order.
        number: u64,
    },
    /// The package manager is free.
    UnitBegins {
        /// The transaction, counted on this computer.
        count: u64,
    },
    /// The package manager ends.
    UnitEnds {
        /// The transaction, counted on this computer.
        count: u64,
    },
    /// The computer restarts.
    Reboot,
}

/// What an order has just done to the computer, for whoever watches.
#[derive(Clone, Debug)]
pub enum Deed {
    /// It begins to install.
    Began {
        /// The order.
        accepted: Arc<Accepted>,
    },
    /// It is let begin, as soon as the package manager is free.
    Permitted {
        /// The order.
        accepted: Arc<Accepted>,
    },
    /// It is started while another one is at work.
    Beside {
        /// The order's number.
        number: u64,
    },
    /// It restarts the computer.
    Restarts {
        /// The order's number.
        number: u64,
    },
}

/// What came of a step.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// To happen later.
    pub doings: Vec<Doing>,
    /// Done now.
    pub deeds: Vec<Deed>,
    /// Whether what is told of orders has changed.
    pub is_told_anew: bool,
}

/// What is installed on a computer.
pub trait Packages {
    /// The version of a package.
    fn version(&self, name: &str) -> Option<&str>;
    /// Installs packages in these versions.
    fn install(&mut self, packages: &[OrderedPackage]);
}

impl Executor {
    /// Of a computer that nobody has enrolled.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            files: BTreeMap::new(),
            server: None,
            identity: None,
            kept: Orders::default(),
            orders: Orders::default(),
            jobs: Vec::new(),
            told: Board::default(),
            unit: None,
            left: BTreeMap::new(),
            begun: BTreeSet::new(),
            units: 0,
            stale: None,
        }
    }

    /// What it tells of orders.
    pub fn board(&self) -> &Board {
        &self.told
    }

    /// Root enrols the host with a token of this authority.
    pub fn enrol(&mut self, authority: Sha256Digest) {
        self.server = Some((authority, Server::named(authority)));
    }

    /// Takes over what the network process found out, if it is not known yet who this host is. Orders of another identity are
    /// over; those of this one go on.
    pub fn follow(&mut self, memory: &Memory) {
        let Some((authority, server)) = self.server.take() else {
            return;
        };
        let server = match server.host() {
            None => server.enrolled(memory),
            Some(_) => server,
        };
        let host = server.host();
        self.server = Some((authority, server));
        if host.is_some() && self.identity != host {
            self.identity = host;
            self.kept = Orders::default();
            self.orders = Orders::default();
            self.jobs.clear();
            self.unit = None;
        }
    }

    fn host(&self) -> Option<HostId> {
        self.server.as_ref().and_then(|(_, server)| server.host())
    }

    /// Whether it is the host that the network process takes it for: a copy is not, until root says so.
    pub fn is(&self, memory: &Memory) -> bool {
        self.host() == memory.host()
    }

    /// Whether it has nothing more to do or to say.
    pub fn is_at_rest(&self) -> bool {
        self.orders.open().is_empty() && self.orders.reports().is_empty()
    }

    /// What it has to do or to say, for whoever asks why it is not at rest.
    pub fn says(&self) -> String {
        format!("{:?}", self.orders.reports())
    }

    /// The process was killed and starts again; the transaction goes on.
    pub fn restart(&mut self) {
        self.orders = self.kept.clone();
        self.jobs.clear();
    }

    /// The computer was switched off in the middle of whatever it did.
    pub fn power_cut(&mut self, packages: &mut dyn Packages, part: usize) {
        if let Some(unit) = self.unit.take()
            && self.begun.contains(&unit.accepted.order.number)
        {
            let ordered = &unit.accepted.order.packages;
            packages.install(&ordered[..part.min(ordered.len())]);
        }
        self.restart();
    }

    /// Something is asked of it. What it takes from that is judged here.
    pub fn asked(&mut self, ask: &Ask, moment: &Moment) -> Step {
        let Some((authority, server)) = &self.server else {
            return Step::default();
        };
        let Some(host) = server.host() else {
            return Step::default();
        };
        let event = match ask {
            Ask::Collect {} => None,
            Ask::Card { card } => {
                let carried = Memory {
                    card: Some(card.clone()),
                    ..Memory::default()
                };
                let vouched = Server::named(*authority).enrolled(&carried);
                if vouched.epoch() >= server.epoch() {
                    self.server = Some((*authority, vouched.confirmed(host)));
                }
                None
            }
            Ask::Order { bundle } => Some(match self.judge(*bundle, (server, host), moment) {
                Ok(accepted) => Event::Took(Arc::new(accepted)),
                Err(refusal) => Event::Refused(refusal),
            }),
            Ask::Go { statement } => {
                let go = verify::go(&statement.0, server, moment.estimate).ok();
                go.map(Event::Go)
            }
            Ask::Withdraw { order } => Some(Event::Withdrawn(*order)),
            Ask::Heard { order } => Some(Event::Heard(*order)),
        };
        match event {
            Some(event) => self.step(event, moment),
            None => Step::default(),
        }
    }

    fn judge(
        &self,
        bundle: Sha256Digest,
        (server, host): (&Server, HostId),
        moment: &Moment,
    ) -> Result<Accepted, Refusal> {
        let bytes = self.files.get(&bundle).map_or(&[][..], Vec::as_slice);
        let judge = Judge {
            server,
            host,
            approvers: &Approvers::default(),
            highest_number: self.orders.highest(),
            epoch: self.orders.epoch(),
            mode: moment.mode,
            now: moment.estimate,
        };
        judge.order(bytes)
    }

    /// Something has come about: what follows.
    pub fn step(&mut self, event: Event, moment: &Moment) -> Step {
        let (orders, effects) = next(&self.orders, event, moment);
        self.orders = orders;
        let mut step = Step::default();
        for effect in effects {
            self.carry_out(effect, &mut step);
        }
        self.go_on_with_jobs(&mut step);
        let told = Board {
            highest: self.orders.highest(),
            reports: self.orders.reports(),
            is_active: self.orders.is_active(),
            ..Board::default()
        };
        step.is_told_anew = told != self.told;
        self.told = told;
        step
    }

    fn carry_out(&mut self, effect: Effect, step: &mut Step) {
        match effect {
            Effect::Save => self.kept = self.orders.as_kept(),
            Effect::Start { number, until_micros } => {
                let open = self.orders.open().iter().find(|open| open.number() == number);
                let accepted = Arc::clone(open.expect("what is begun is open").accepted());
                step.deeds
                    .extend(self.unit.is_some().then_some(Deed::Beside { number }));
                if until_micros > 0 {
                    step.deeds.push(Deed::Permitted {
                        accepted: Arc::clone(&accepted),
                    });
                }
                self.left.remove(&number);
                self.units += 1;
                let count = self.units;
                self.unit = Some(Unit {
                    accepted,
                    count,
                    until_micros,
                });
                step.doings.push(Doing::UnitBegins { count });
            }
            Effect::Restart { number } => step.doings.push(Doing::Settle { number }),
            Effect::Reboot { number } => {
                step.deeds.push(Deed::Restarts { number });
                step.doings.push(Doing::Reboot);
            }
            Effect::Forget { .. } | Effect::Say(_) => {}
        }
    }

    /// Begins what an order needs now and nobody is at.
    fn go_on_with_jobs(&mut self, step: &mut Step) {
        let wanted: Vec<(u64, Job)> = (self.orders.open().iter())
            .filter_map(|open| Some((open.number(), self.orders.job(open)?)))
            .collect();
        self.jobs.retain(|job| wanted.contains(job));
        for (number, job) in wanted {
            if !self.jobs.contains(&(number, job)) {
                self.jobs.push((number, job));
                step.doings.push(Doing::Job { number, job });
            }
        }
    }

    /// A job of this process is done; nothing if the order has no more use for it.
    pub fn job_done(&mut self, number: u64, job: Job, moment: &Moment, packages: &dyn Packages) -> Step {
        let Some(at) = self.jobs.iter().position(|other| *other == (number, job)) else {
            return Step::default();
        };
        self.jobs.remove(at);
        let open = self.orders.open().iter().find(|open| open.number() == number);
        let Some(accepted) = open.map(|open| Arc::clone(open.accepted())) else {
            return Step::default();
        };
        let event = match job {
            Job::Fetch => Event::Fetched { number, bytes: 0 },
            Job::Compare => Event::Compared {
                number,
                found: compare(&accepted.order.packages, packages),
            },
            Job::Watch => self.watch(number),
            Job::Read => Event::Seen {
                number,
                seen: self.read(&accepted, moment, packages),
            },
        };
        self.step(event, moment)
    }

    fn watch(&self, number: u64) -> Event {
        let is_at_work = (self.unit.as_ref()).is_some_and(|unit| unit.accepted.order.number == number);
        match self.left.get(&number) {
            Some(Left::Ended(end)) => Event::Done {
                number,
                end: end.clone(),
                output: None,
                millis: 1_000,
            },
            Some(Left::Late(done)) => Event::Late {
                number,
                why: "another program held the lock".to_owned(),
                done: *done,
            },
            None if is_at_work => Event::Said {
                number,
                line: "Unpacking ...".to_owned(),
            },
            None => Event::Lost { number },
        }
    }

    fn read(&self, accepted: &Accepted, moment: &Moment, packages: &dyn Packages) -> Seen {
        let mut ordered = accepted.order.packages.iter();
        let missing = ordered.find(|package| packages.version(&package.name) != Some(&*package.version));
        Seen {
            missing: missing.map(|package| format!("{} is not installed as ordered", package.name)),
            old: None,
            reboot: (self.stale == Some(moment.clock.boot)).then(|| "another kernel waits".to_owned()),
        }
    }

    /// The package manager is free for a transaction: it begins, if it may now; what was cut off is mended in any case. Nothing if
    /// that transaction was cut off.
    pub fn unit_begins(&mut self, count: u64, moment: &Moment) -> Step {
        let mut step = Step::default();
        let Some(unit) = self.unit.take_if(|unit| unit.count == count) else {
            return step;
        };
        let number = unit.accepted.order.number;
        if moment.clock.micros >= unit.until_micros {
            let done = match self.begun.contains(&number) {
                true => Done::Something,
                false => Done::Nothing,
            };
            self.left.insert(number, Left::Late(done));
            return step;
        }
        self.begun.insert(number);
        step.deeds.push(Deed::Began {
            accepted: Arc::clone(&unit.accepted),
        });
        step.doings.push(Doing::UnitEnds { count });
        self.unit = Some(unit);
        step
    }

    /// The package manager of a transaction has ended: well, or not. Nothing if that transaction was cut off.
    pub fn unit_ends(
        &mut self,
        count: u64,
        end: Result<(), Trouble>,
        boot: BootId,
        packages: &mut dyn Packages,
    ) {
        let Some(unit) = self.unit.take_if(|unit| unit.count == count) else {
            return;
        };
        let order = &unit.accepted.order;
        if end.is_ok() {
            packages.install(&order.packages);
            if matches!(order.reboot, RebootRule::IfNeeded { .. }) {
                self.stale = Some(boot);
            }
        }
        self.left.insert(order.number, Left::Ended(end));
    }
}

/// What apt would do: exactly the order, or nothing that is left, or something else.
fn compare(ordered: &[OrderedPackage], packages: &dyn Packages) -> Result<Found, Trouble> {
    let mut is_in_place = true;
    for package in ordered {
        let installed = packages.version(&package.name);
        if installed == Some(&*package.version) {
            continue;
        }
        is_in_place = false;
        if installed != package.from.as_deref() {
            return Err(Trouble {
                kind: Failure::HostChanged,
                detail: format!("{} is at {installed:?} here", package.name),
            });
        }
    }
    Ok(if is_in_place { Found::InPlace } else { Found::Exact })
}

/// A package manager that failed.
pub fn script_failed() -> Trouble {
    Trouble {
        kind: Failure::Script,
        detail: "a script failed".to_owned(),
    }
}
