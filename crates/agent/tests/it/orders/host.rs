//! A host whose executor is the real machine, with a package manager, clocks, power cuts and a server that the test holds in
//! its hand. What happens is held against what the server really permitted, by its own clock, not by the machine's words.

use super::{Issuer, NOW};
use agent::order::journal::OrdersJournal;
use agent::order::{Accepted, Done, Effect, Event, Found, Job, Moment, Orders, Phase, Seen, Trouble, next};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::identity::BootId;
use domain::identity::time::BootClock;
use domain::order::{Go, Start};
use domain::rollout::deployment::Failure;
use jiff::{SignedDuration, Timestamp};
use protocol::message::orders::{OrderReport, Stage};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A transaction at work.
#[derive(Debug)]
struct Transaction {
    number: u64,
    until_micros: u64,
}

pub struct Host<'a> {
    issuer: &'a Issuer,
    journal: OrdersJournal,
    pub orders: Orders,
    saved: Orders,
    random: StdRng,
    /// The true time, which is the server's.
    pub now: Timestamp,
    boot: u8,
    booted_at: Timestamp,
    /// The computer's own date minus the true one, in seconds.
    pub off_seconds: i64,
    pub mode: Mode,
    transaction: Option<Transaction>,
    outcomes: BTreeMap<u64, Result<(), Trouble>>,
    late: Option<(u64, Done)>,
    /// dpkg was begun for these.
    pub begun: BTreeMap<u64, u32>,
    pub installed: BTreeMap<u64, bool>,
    pub reboots: BTreeMap<u64, u32>,
    pub ends: BTreeMap<Sha256Digest, OrderReport>,
    /// What the server signed.
    goes: Vec<Go>,
    /// From when on the server signs nothing more.
    pub stopped_at: Option<Timestamp>,
    pub given: Vec<Arc<Accepted>>,
    kept: Vec<Sha256Digest>,
    /// The host may be killed or cut off at any point.
    pub is_safe: bool,
}

impl<'a> Host<'a> {
    pub fn new(issuer: &'a Issuer, seed: u64) -> Self {
        Self {
            issuer,
            journal: OrdersJournal::open(&issuer.places).unwrap(),
            orders: Orders::default(),
            saved: Orders::default(),
            random: StdRng::seed_from_u64(seed),
            now: NOW,
            boot: 1,
            booted_at: NOW - SignedDuration::from_secs(100),
            off_seconds: 0,
            mode: Mode::Full,
            transaction: None,
            outcomes: BTreeMap::new(),
            late: None,
            begun: BTreeMap::new(),
            installed: BTreeMap::new(),
            reboots: BTreeMap::new(),
            ends: BTreeMap::new(),
            goes: Vec::new(),
            stopped_at: None,
            given: Vec::new(),
            kept: Vec::new(),
            is_safe: false,
        }
    }

    pub fn chance(&mut self, of_hundred: u32) -> bool {
        self.random.gen_range(0..100) < of_hundred
    }

    pub fn pick(&mut self, below: usize) -> usize {
        self.random.gen_range(0..below)
    }

    fn clock(&self) -> BootClock {
        let micros = self.now.duration_since(self.booted_at).as_micros();
        BootClock {
            boot: BootId([self.boot; 16]),
            micros: u64::try_from(micros).unwrap(),
        }
    }

    fn moment(&mut self) -> Moment {
        Moment {
            clock: self.clock(),
            up_since_micros: 0,
            wall: self.now + SignedDuration::from_secs(self.off_seconds),
            estimate: self.now,
            mode: self.mode,
            chance: self.random.r#gen(),
        }
    }

    pub fn happen(&mut self, event: Event) {
        let moment = self.moment();
        let (after, effects) = next(&self.orders, event, &moment);
        let is_saved = effects.first() == Some(&Effect::Save);
        let is_deed = |effect: &Effect| {
            matches!(
                effect,
                Effect::Start { .. } | Effect::Restart { .. } | Effect::Reboot { .. }
            )
        };
        assert!(
            is_saved || !effects.iter().any(is_deed),
            "{effects:?} before the journal"
        );
        self.orders = after;
        self.look_over();
        for effect in effects {
            // Killed between two effects.
            if !self.is_safe && self.chance(3) {
                return self.restart_executor();
            }
            self.carry_out(effect);
        }
        self.look_over();
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Save => self.saved = self.orders.clone(),
            Effect::Start { number, until_micros } => self.start(number, until_micros),
            Effect::Restart { number } => {
                if self.is_safe || self.chance(80) {
                    self.happen(Event::Settled { number });
                } else {
                    self.restart_executor();
                }
            }
            Effect::Reboot { number } => {
                *self.reboots.entry(number).or_default() += 1;
                assert_eq!(self.mode, Mode::Full, "a restart above the ceiling");
                if self.is_safe || self.chance(80) {
                    self.power_cut();
                }
            }
            Effect::Forget { .. } | Effect::Say(_) => {}
        }
    }

    /// The one place where the package manager begins: what permits it is looked up in what the server signed.
    fn start(&mut self, number: u64, until_micros: u64) {
        assert!(self.transaction.is_none(), "two transactions at once");
        self.outcomes.remove(&number);
        self.late = None;
        if until_micros > 0 {
            self.check_permission(number, until_micros);
        }
        if !self.is_safe && self.chance(5) {
            let trouble = Trouble {
                kind: Failure::PackageManager,
                detail: "no unit".to_owned(),
            };
            return self.happen(Event::NotBegun { number, trouble });
        }
        self.transaction = Some(Transaction { number, until_micros });
    }

    fn check_permission(&self, number: u64, until_micros: u64) {
        let given = self.given.iter().find(|own| own.order.number == number).unwrap();
        let order = &given.order;
        assert!(order.needs <= self.mode, "above the ceiling");
        let until = self.booted_at + SignedDuration::from_micros(i64::try_from(until_micros).unwrap());
        let wall_ends = order.window.closes - SignedDuration::from_secs(self.off_seconds);
        if order.start == Start::OfflineOk {
            let wall = self.now + SignedDuration::from_secs(self.off_seconds);
            assert!(
                order.window.opens <= wall && until <= wall_ends,
                "outside its window"
            );
            return;
        }
        assert!(
            order.window.opens <= self.now && until <= order.window.closes,
            "outside its window"
        );
        let permits = |go: &&Go| {
            let lease = SignedDuration::from_secs(i64::from(go.lease_seconds));
            go.order == given.digest
                && go.boot == BootId([self.boot; 16])
                && self.now < go.issued_at + lease
                && until <= go.issued_at + lease
        };
        assert!(
            self.goes.iter().any(|go| permits(&go)),
            "no permission for order {number} now"
        );
        if let Some(stopped_at) = self.stopped_at {
            let longest = self
                .goes
                .iter()
                .map(|go| go.lease_seconds)
                .max()
                .unwrap_or_default();
            assert!(
                until <= stopped_at + SignedDuration::from_secs(i64::from(longest)),
                "later than stop and lease"
            );
        }
    }

    /// The package manager goes on.
    pub fn work(&mut self) {
        let Some(Transaction { number, until_micros }) = self.transaction else {
            return;
        };
        let is_begun = self.begun.contains_key(&number);
        let may_begin = self.clock().micros < until_micros;
        if !may_begin {
            // What was cut off is repaired; it may have come to its end.
            self.transaction = None;
            if is_begun && self.chance(30) {
                self.installed.insert(number, true);
                self.outcomes.insert(number, Ok(()));
            } else {
                let done = if is_begun { Done::Something } else { Done::Nothing };
                self.late = Some((number, done));
            }
            return;
        }
        if !self.is_safe && self.chance(20) {
            return;
        }
        *self.begun.entry(number).or_default() += 1;
        if !self.is_safe && self.chance(30) {
            // Killed in the middle.
            self.transaction = None;
            return;
        }
        self.transaction = None;
        let end = if !self.is_safe && self.chance(10) {
            let detail = "a script failed".to_owned();
            let kind = Failure::Script;
            Err(Trouble { kind, detail })
        } else {
            self.installed.insert(number, true);
            Ok(())
        };
        self.outcomes.insert(number, end);
    }

    /// What the executor does for each open order.
    pub fn jobs(&mut self) {
        let jobs: Vec<(u64, Job)> = (self.orders.open().iter())
            .filter_map(|open| Some((open.number(), self.orders.job(open)?)))
            .collect();
        for (number, job) in jobs {
            if self.orders.open().iter().all(|open| open.number() != number) {
                continue;
            }
            match job {
                Job::Fetch if self.is_safe || self.chance(70) => {
                    self.happen(Event::Fetched { number, bytes: 9 });
                }
                Job::Fetch => {}
                Job::Compare => {
                    let is_there = self.installed.contains_key(&number);
                    let found = if is_there { Found::InPlace } else { Found::Exact };
                    self.happen(Event::Compared {
                        number,
                        found: Ok(found),
                    });
                }
                Job::Watch => self.watch(number),
                Job::Read => {
                    let is_there = self.installed.contains_key(&number);
                    let has_restarted = self.reboots.contains_key(&number);
                    let seen = Seen {
                        missing: (!is_there).then(|| "it is not there".to_owned()),
                        old: None,
                        reboot: (!has_restarted && number % 2 == 0).then(|| "a kernel".to_owned()),
                    };
                    self.happen(Event::Seen { number, seen });
                }
            }
        }
    }

    fn watch(&mut self, number: u64) {
        if let Some(end) = self.outcomes.get(&number).cloned() {
            let (output, millis) = (None, 5);
            return self.happen(Event::Done {
                number,
                end,
                output,
                millis,
            });
        }
        match (self.late.take(), &self.transaction) {
            (Some((late, done)), _) if late == number => {
                let why = "dpkg was busy".to_owned();
                self.happen(Event::Late { number, why, done });
            }
            (_, Some(at_work)) if at_work.number == number => {
                let line = "Unpacking".to_owned();
                self.happen(Event::Said { number, line });
            }
            _ => self.happen(Event::Lost { number }),
        }
    }

    /// The server signs what is asked for, and the answer comes when it comes.
    pub fn ask_server(&mut self) -> Vec<Go> {
        if self.stopped_at.is_some() {
            return Vec::new();
        }
        let asked = self.orders.reports();
        let goes: Vec<Go> = (asked.iter())
            .filter_map(|report| {
                let asks = report.asks?;
                Some(Go {
                    order: report.order,
                    boot: BootId(asks.boot),
                    nonce: asks.nonce,
                    issued_at: self.now,
                    lease_seconds: 600,
                })
            })
            .collect();
        self.goes.extend(goes.iter().copied());
        goes
    }

    /// Any go that was ever signed.
    pub fn old_go(&mut self) -> Option<Go> {
        let count = self.goes.len();
        (count > 0).then(|| self.goes[self.random.gen_range(0..count)])
    }

    pub fn give(&mut self, accepted: &Arc<Accepted>) {
        if !self.kept.contains(&accepted.digest) {
            let bundle = self.issuer.bundle(&accepted.order).to_bytes();
            self.journal.keep(accepted, &bundle).unwrap();
            self.kept.push(accepted.digest);
        }
        self.happen(Event::Took(Arc::clone(accepted)));
    }

    pub fn restart_executor(&mut self) {
        self.journal.write(self.issuer.host, &self.saved).unwrap();
        self.orders = self.journal.read(self.issuer.host).unwrap();
        self.look_over();
    }

    /// Everything stops, and the host starts again.
    pub fn power_cut(&mut self) {
        self.transaction = None;
        self.boot += 1;
        self.now += SignedDuration::from_secs(20);
        self.booted_at = self.now - SignedDuration::from_secs(5);
        self.restart_executor();
        self.happen(Event::Tick);
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        self.happen(Event::Tick);
    }

    /// What must hold at every moment.
    fn look_over(&mut self) {
        let is_at_work =
            |phase: Phase| !matches!(phase, Phase::Fetching | Phase::Preparing | Phase::Prepared(_));
        let at_work = self.orders.open().iter().filter(|open| is_at_work(open.phase()));
        assert!(at_work.count() <= 1, "two orders at once: {:?}", self.orders);
        for report in self
            .orders
            .reports()
            .iter()
            .filter(|report| report.stage.is_end())
        {
            // What was not saved was told nobody: the executor tells after its journal.
            if self.saved != self.orders {
                continue;
            }
            let known = self.ends.entry(report.order).or_insert_with(|| report.clone());
            assert_eq!(known, report, "another end");
            let is_there = self.installed.contains_key(&report.number);
            match report.stage {
                Stage::Succeeded | Stage::NotInEffect => assert!(is_there, "{report:?}"),
                Stage::Withdrawn => assert!(!self.begun.contains_key(&report.number), "{report:?}"),
                _ => {}
            }
        }
    }
}
