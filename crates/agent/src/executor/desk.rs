//! Orders at work: what the network process asks and what comes of jobs goes through [`crate::order::next`], and what it says is
//! done here, in its order, after the journal. Nothing here decides. What takes long runs on threads, which end in an event;
//! what was underway when this process ended is taken up again from the journal.

mod intake;
mod tell;

use super::files;
use super::search::Search;
use super::seen;
use super::spool::{self, Board, Outbox, Wish};
use super::transaction::{self, Alone, Look, Starter};
use super::{Event, Executor};
use crate::kept::KeptError;
use crate::network::boot_clock;
use crate::order::journal::{self, OrdersJournal};
use crate::order::{self, Accepted, Effect, Job, Moment, Open, Orders, Phase};
use crate::session::Memory;
use crate::trust::Server;
use domain::id::HostId;
use domain::rollout::deployment::Failure;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

/// A comparison of an executor that died has ended after this time.
const OTHERS_END: Duration = Duration::from_secs(60);
/// Before a transaction that was cut off, and could not be taken up, is taken up again.
const TAKE_UP_AGAIN: Duration = Duration::from_secs(10);
/// How often the host is read for one order before that counts as not seen.
const READINGS: u8 = 3;
/// What proc(5) counts in: USER_HZ of the kernel's interface, whatever the kernel itself runs at.
const TICKS_PER_SECOND: u64 = 100;
/// How often a transaction is looked after.
const LOOK_AFTER: Duration = Duration::from_millis(250);
/// How often open orders are looked at besides.
const LOOK_AT: Duration = Duration::from_secs(5);

/// The executor's orders.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    executor: &'a Executor,
    sender: Sender<Event>,
    began: Instant,
    /// Absent until root enrolled this host.
    at: Option<At>,
    /// Numbers of orders for which a thread is at work.
    threads: BTreeSet<u64>,
    /// What each order still needs of files.
    missing: BTreeMap<u64, Vec<Wish>>,
    /// Searches for files that were in vain, by order.
    in_vain: BTreeMap<u64, Search>,
    /// What the network process was told last.
    told: Option<Board>,
    /// When orders are looked at next.
    look_at: Option<Instant>,
    /// When the host has to have been read after, by order, and how often that failed.
    readings: BTreeMap<u64, (Instant, u8)>,
    /// What is wrong with the files by which orders are judged.
    trouble: Option<String>,
}

/// The journal of one identity's orders, and what it says.
#[derive(Debug)]
struct At {
    host: HostId,
    journal: OrdersJournal,
    orders: Orders,
}

/// What a thread found.
#[derive(Debug)]
pub(super) enum Found {
    /// How far an order's files are.
    Files(Result<files::TakenOver, files::NotTakenOver>),
    /// What comes about.
    Event(order::Event),
    /// Nothing that is news.
    Nothing,
    /// A fault of this program.
    Fault,
}

/// What the executor does next for the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Nothing.
    Nothing,
    /// Read the host.
    Reading,
}

impl<'a> Desk<'a> {
    /// The desk of an executor, with the orders that its journal has.
    pub(super) fn open(executor: &'a Executor, sender: Sender<Event>) -> Self {
        let mut desk = Self {
            executor,
            sender,
            began: super::now(),
            at: None,
            threads: BTreeSet::new(),
            missing: BTreeMap::new(),
            in_vain: BTreeMap::new(),
            told: None,
            look_at: None,
            readings: BTreeMap::new(),
            trouble: None,
        };
        desk.happen(order::Event::Tick);
        desk
    }

    /// The server that may give orders, and the journal of this host's; nothing if there is none. What is wrong is logged.
    fn ready(&mut self) -> Option<Server> {
        let server = match self.server() {
            Ok(server) => server?,
            Err(error) => return self.complain("Cannot tell whom orders are believed from", &error),
        };
        let host = server.host()?;
        if self.at.as_ref().is_some_and(|at| at.host == host) {
            self.trouble = None;
            return Some(server);
        }
        let opened =
            OrdersJournal::open(&self.executor.places).and_then(|journal| Ok((journal.read(host)?, journal)));
        match opened {
            Ok((orders, journal)) => {
                self.at = Some(At {
                    host,
                    journal,
                    orders,
                });
                self.trouble = None;
                Some(server)
            }
            Err(error) => self.complain("No order is followed before this is mended", &error),
        }
    }

    /// What root keeps of the server; who this host is to it is kept as soon as the server has said so, once.
    fn server(&self) -> Result<Option<Server>, KeptError> {
        let Some(server) = Server::read(&self.executor.places)? else {
            return Ok(None);
        };
        if server.host().is_some() {
            return Ok(Some(server));
        }
        let Ok(Some(memory)) = crate::journal::look(&self.executor.places.identity()) else {
            return Ok(Some(server));
        };
        let server = server.enrolled(&memory);
        if server.host().is_some() {
            server.write(&self.executor.places)?;
        }
        Ok(Some(server))
    }

    fn complain<T>(&mut self, what: &str, error: &KeptError) -> Option<T> {
        let sentence = format!("{what}: {}.", crate::problem::chain(error));
        if self.trouble.as_ref() != Some(&sentence) {
            self.say(&sentence);
        }
        self.trouble = Some(sentence);
        None
    }

    fn memory(&self) -> Option<Memory> {
        let memory = crate::journal::look(&self.executor.places.identity());
        memory.ok().flatten()
    }

    fn say(&self, sentence: &str) {
        let sentence = crate::shown::harmless(sentence, 600);
        self.executor.log.say((self.executor.clock)(), &sentence);
    }

    /// The network process has rung: files may have come.
    pub(super) fn rung(&mut self) {
        self.in_vain.clear();
    }

    fn moment(&self) -> Moment {
        let (clock, wall) = (boot_clock(), (self.executor.clock)());
        let estimate = self.memory().map_or(wall, |memory| memory.estimate(clock, wall));
        let mut chance = [0; 16];
        SystemRandom::new()
            .fill(&mut chance)
            .expect("Linux has chance to give since version 3.17");
        Moment {
            clock,
            up_since_micros: up_since_micros().unwrap_or_default(),
            wall,
            estimate,
            mode: crate::mode::read(&self.executor.places),
            chance,
        }
    }

    /// Carries an event through. If the journal cannot be written, it has not happened, and comes again.
    pub(super) fn happen(&mut self, event: order::Event) {
        if self.ready().is_none() {
            return;
        }
        let moment = self.moment();
        let Some(at) = &mut self.at else { return };
        let (after, effects) = order::next(&at.orders, event, &moment);
        let mut effects = effects.into_iter().peekable();
        if effects.next_if_eq(&Effect::Save).is_some()
            && let Err(error) = at.journal.write(at.host, &after)
        {
            let _: Option<()> = self.complain("The journal of orders cannot be written", &error);
            return;
        }
        at.orders = after;
        for effect in effects {
            self.carry_out(effect);
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Save => {}
            Effect::Say(sentence) => self.say(&sentence),
            Effect::Start { number, until_micros } => {
                let Some(open) = self.open_order(number) else {
                    return;
                };
                let accepted = Arc::clone(open.accepted());
                let starter = Starter::of(self.executor);
                self.on_thread(number, move |_| {
                    match transaction::start(&starter, &accepted, until_micros) {
                        Ok(()) => Found::Nothing,
                        Err(trouble) => {
                            if until_micros == 0 {
                                thread::park_timeout(TAKE_UP_AGAIN);
                            }
                            Found::Event(order::Event::NotBegun { number, trouble })
                        }
                    }
                });
            }
            Effect::Restart { number } => {
                let Some(open) = self.open_order(number) else {
                    return;
                };
                let accepted = Arc::clone(open.accepted());
                let (log, clock) = (self.executor.log.clone(), self.executor.clock);
                self.on_thread(number, move |_| {
                    if let Err(trouble) = transaction::restart(&accepted) {
                        let sentence = format!("Services are not restarted: {}.", trouble.detail);
                        log.say(clock(), &crate::shown::harmless(&sentence, 600));
                    }
                    Found::Event(order::Event::Settled { number })
                });
            }
            Effect::Reboot { number } => {
                let Some(open) = self.open_order(number) else {
                    return;
                };
                let accepted = Arc::clone(open.accepted());
                if let Err(trouble) = transaction::reboot(&accepted) {
                    self.say(&format!("The host cannot be restarted: {}.", trouble.detail));
                }
            }
            Effect::Forget { number } => self.forget(number),
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(at) = &self.at else { return };
        if at.orders.open().iter().any(|open| open.number() == number) {
            return;
        }
        self.missing.remove(&number);
        self.in_vain.remove(&number);
        if let Err(error) = at.journal.forget(number) {
            let _: Option<()> = self.complain("The files of an order stay", &error);
        }
        let open = self.at.iter().flat_map(|at| at.orders.open());
        let kept: Vec<Wish> = open
            .flat_map(|open| files::needed(&open.accepted().order))
            .collect();
        // What stays is swept the next time.
        let _ = files::sweep(&self.executor.places, &kept);
    }

    fn open_order(&self, number: u64) -> Option<&Open> {
        let mut open = self.at.iter().flat_map(|at| at.orders.open());
        open.find(|open| open.number() == number)
    }

    fn on_thread(
        &mut self,
        number: u64,
        job: impl FnOnce(&crate::service::Places) -> Found + Send + 'static,
    ) {
        let (sender, places) = (self.sender.clone(), self.executor.places.clone());
        self.threads.insert(number);
        thread::spawn(move || {
            let found = catch_unwind(AssertUnwindSafe(|| job(&places))).unwrap_or(Found::Fault);
            // If nobody listens any more, the next process begins the job again.
            let _ = sender.send(Event::Found { number, found });
        });
    }

    /// What a thread found.
    pub(super) fn found(&mut self, number: u64, found: Found) {
        self.threads.remove(&number);
        match found {
            Found::Event(event) => self.happen(event),
            Found::Nothing => {}
            Found::Fault => self.fault(number),
            Found::Files(Ok(taken)) if taken.missing.is_empty() => {
                self.missing.remove(&number);
                let bytes = taken.bytes;
                self.happen(order::Event::Fetched { number, bytes });
            }
            Found::Files(Ok(taken)) => {
                self.missing.insert(number, taken.missing);
                let before = self.in_vain.remove(&number);
                self.in_vain.insert(number, Search::in_vain(before, super::now()));
            }
            Found::Files(Err(error)) => {
                let trouble = order::Trouble {
                    kind: error.kind(),
                    detail: crate::problem::chain(&error),
                };
                self.happen(order::Event::NotFetched { number, trouble });
            }
        }
    }

    /// A thread ended by a fault of this program: whatever it was to find out has failed.
    fn fault(&mut self, number: u64) {
        let trouble = order::Trouble {
            kind: Failure::PackageManager,
            detail: "the agent itself failed; its log says where".to_owned(),
        };
        let found = Err(trouble.clone());
        self.happen(order::Event::NotFetched { number, trouble });
        self.happen(order::Event::Compared { number, found });
        self.happen(order::Event::Settled { number });
    }

    /// When the desk has to be looked at again; nothing while no order is open.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks at every open order, begins what each needs, and tells how far they are. Called after each event.
    pub(super) fn go_on(&mut self, now: Instant) -> Wanted {
        if self.look_at.is_some_and(|at| now >= at) {
            self.happen(order::Event::Tick);
        }
        let jobs: Vec<(u64, Job, Arc<Accepted>)> = (self.at.iter())
            .flat_map(|at| at.orders.open().iter().map(move |open| (at, open)))
            .filter_map(|(at, open)| {
                let job = at.orders.job(open)?;
                Some((open.number(), job, Arc::clone(open.accepted())))
            })
            .collect();
        let mut wanted = Wanted::Nothing;
        for (number, job, accepted) in jobs {
            if self.threads.contains(&number) {
                continue;
            }
            match job {
                Job::Fetch
                    if self
                        .in_vain
                        .get(&number)
                        .is_some_and(|search| now < search.next()) => {}
                Job::Fetch => {
                    let needed = files::needed(&accepted.order);
                    self.on_thread(number, move |places| {
                        Found::Files(files::take_over(places, &needed))
                    });
                }
                Job::Compare => {
                    let alone = match now.saturating_duration_since(self.began) < OTHERS_END {
                        true => Alone::Perhaps,
                        false => Alone::Surely,
                    };
                    self.on_thread(number, move |places| {
                        let found = transaction::compare(places, &accepted, alone);
                        Found::Event(order::Event::Compared { number, found })
                    });
                }
                Job::Watch => self.watch(number),
                Job::Read => {
                    self.readings.entry(number).or_insert((now, 0));
                    wanted = Wanted::Reading;
                }
            }
        }
        self.publish();
        self.look_at = self.soonest(now);
        wanted
    }

    /// The next look: what was set before stays, however much happens in between.
    fn soonest(&self, now: Instant) -> Option<Instant> {
        let open = self.at.iter().flat_map(|at| at.orders.open());
        let waits = open.map(|open| match open.phase() {
            Phase::Installing => LOOK_AFTER,
            _ => LOOK_AT,
        });
        let next = now + waits.min()?;
        Some(
            self.look_at
                .filter(|at| *at > now)
                .map_or(next, |at| at.min(next)),
        )
    }

    fn watch(&mut self, number: u64) {
        let folder = journal::order_folder(&self.executor.places, number);
        match transaction::look(&folder) {
            Look::Runs { last_line } => self.happen(order::Event::Said {
                number,
                line: last_line,
            }),
            Look::Late { why, done } => self.happen(order::Event::Late { number, why, done }),
            Look::Lost => self.happen(order::Event::Lost { number }),
            Look::Ended { end, millis } => {
                let group = self.executor.account.map(|account| account.gid);
                let said = transaction::output(&folder);
                let output = spool::publish_output(&self.executor.places, said.as_bytes(), group).ok();
                self.happen(order::Event::Done {
                    number,
                    end,
                    output,
                    millis,
                });
            }
        }
    }

    /// The host was read, from `begun` on: what it shows of orders that wait for that.
    pub(super) fn read(&mut self, begun: Instant, outcome: Result<(), String>) {
        let due: Vec<(u64, u8)> = (self.readings.iter())
            .filter(|(_, (asked, _))| *asked <= begun)
            .map(|(number, (_, failed))| (*number, *failed))
            .collect();
        for (number, failed) in due {
            if outcome.is_err() && failed + 1 < READINGS {
                self.readings.insert(number, (super::now(), failed + 1));
                continue;
            }
            self.readings.remove(&number);
            let Some(open) = self.open_order(number) else {
                continue;
            };
            let accepted = Arc::clone(open.accepted());
            let seen = match &outcome {
                Ok(()) => seen::seen(Outbox::open(&self.executor.places), &accepted.order),
                Err(why) => order::Seen {
                    missing: Some(format!("the host could not be read afterwards: {why}")),
                    ..order::Seen::default()
                },
            };
            self.happen(order::Event::Seen { number, seen });
        }
    }
}

/// Where the boot clock stood when the first process began (proc_pid_stat(5), field 22, in ticks), in microseconds.
fn up_since_micros() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/1/stat").ok()?;
    // The second field is a name in brackets, which may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let ticks: u64 = rest.split_whitespace().nth(19)?.parse().ok()?;
    ticks.checked_mul(1_000_000 / TICKS_PER_SECOND)
}
