//! A computer with an agent: a disk that outlives a crash, a boot with its clock, a date that somebody may set, and packages
//! that somebody changes.

use crate::executor::{Doing, Executor, Packages, Step};
use agent::executor::asks::Ask;
use agent::order;
use agent::session::upload::{Shelf, collect};
use agent::session::{
    Chance, Effect, Event, Failure, Look, Memory, Moment, Phase, Session, Stop, Trouble, next,
};
use domain::digest::Sha256Digest;
use domain::host::channels::{ChannelConfig, Stanza};
use domain::host::facts::{Facts, HostFacts, Known, PackageDatabase};
use domain::host::hardware::{Hardware, Virtualisation};
use domain::host::mode;
use domain::identity::BootId;
use domain::identity::time::{AgentTime, BootClock};
use domain::order::OrderedPackage;
use jiff::{SignedDuration, Timestamp};
use protocol::document::channels::{ChannelConfigDocument, StanzaEvidence};
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::{InventoryDocument, Package};
use protocol::document::{Document as _, DocumentKind};
use protocol::envelope::Asked;
use protocol::message::check_in::{DocumentName, Measures, Wanted};
use protocol::sha256;
use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use std::collections::BTreeMap;

/// A computer.
#[derive(Debug)]
pub struct Computer {
    /// Its name, no other's.
    pub name: String,
    /// What is on its disk of the agent: the journal. A crash keeps it, another image replaces it.
    pub journal: Memory,
    /// The agent's process; none while the computer is off.
    pub session: Option<Session>,
    /// Counts processes, so that what was meant for a dead one is known.
    pub process: u64,
    /// The connection on which the process waits for an answer.
    pub waits_on: Option<u64>,
    /// Whether the network reaches it.
    pub link: Link,
    /// What tells its hardware from others', where anything does.
    pub hardware: Option<[u8; 16]>,
    /// What it has, by kind.
    pub documents: BTreeMap<DocumentKind, Vec<u8>>,
    /// What it still has of earlier inventories, for deltas.
    pub shelf: BTreeMap<Sha256Digest, Vec<u8>>,
    /// The request that its agent waits to be answered.
    pub asked: Option<Asked>,
    /// The time that whoever relies on time here goes by, as it would be journalled.
    pub time: Option<AgentTime>,
    /// The latest time that anything relied upon.
    pub relied: Option<Timestamp>,
    /// What root has on it.
    pub executor: Executor,
    /// The last sleep of the agent's process, counted: only its end wakes it.
    pub sleep: u64,
    /// Whether the agent's process sleeps, and whether there is something to wake it for.
    pub at: At,
    /// Counts boots.
    pub boots: u64,
    boot: BootId,
    booted_at: Timestamp,
    date_off: SignedDuration,
    machine: [u8; 16],
    inventory: InventoryDocument,
}

/// What the agent's process is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// It waits for an answer, a file, or a person.
    Work,
    /// The same, and the executor has said something meanwhile.
    WorkWithNews,
    /// It sleeps.
    Sleep,
}

/// Whether the network reaches a computer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It does.
    Up,
    /// Somebody pulled the cable.
    Cut,
}

impl Computer {
    /// A new computer that is on, with an agent that nobody has enrolled.
    pub fn new(name: String, hardware: Option<[u8; 16]>, now: Timestamp, chance: &mut StdRng) -> Self {
        let mut computer = Self {
            journal: Memory::default(),
            session: None,
            process: 0,
            waits_on: None,
            link: Link::Up,
            hardware,
            documents: BTreeMap::new(),
            shelf: BTreeMap::new(),
            asked: None,
            time: None,
            relied: None,
            executor: Executor::new(mode::Mode::ALL[chance.gen_range(0..mode::Mode::ALL.len())]),
            sleep: 0,
            at: At::Work,
            boots: 0,
            boot: BootId([0; 16]),
            booted_at: now,
            date_off: SignedDuration::ZERO,
            machine: chance.r#gen(),
            inventory: InventoryDocument::default(),
            name,
        };
        computer.install(chance);
        computer.start(now, chance);
        computer
    }

    /// A computer that somebody made by copying this one's disk.
    pub fn copied(
        &self,
        name: String,
        hardware: Option<[u8; 16]>,
        now: Timestamp,
        chance: &mut StdRng,
    ) -> Self {
        let mut copy = Self::new(name, hardware, now, chance);
        copy.journal = self.journal.clone();
        copy.machine = self.machine;
        copy.time = self.time;
        copy.relied = self.relied;
        copy.executor = self.executor.clone();
        copy.start(now, chance);
        copy
    }

    /// Starts the computer: another boot, a new process with what the disk has.
    pub fn start(&mut self, now: Timestamp, chance: &mut StdRng) {
        self.boot = BootId(chance.r#gen());
        self.booted_at = now;
        self.boots += 1;
        let part = chance.gen_range(0..4);
        self.executor.power_cut(&mut Installed(&mut self.inventory), part);
        self.describe();
        self.start_process();
    }

    /// Starts the agent's process: what was only in memory is gone.
    pub fn start_process(&mut self) {
        self.process += 1;
        self.waits_on = None;
        self.at = At::Work;
        self.executor.restart();
        self.session = Some(Session::new(self.journal.clone()));
    }

    /// Installs the computer anew, by an image without an agent's identity.
    pub fn reimage(&mut self, now: Timestamp, chance: &mut StdRng) {
        self.journal = Memory::default();
        self.time = None;
        self.relied = None;
        self.executor = Executor::new(self.executor.mode);
        self.start(now, chance);
    }

    /// Sets the date wrong, or right.
    pub fn step_date(&mut self, off: SignedDuration) {
        self.date_off = off;
    }

    /// Somebody installs, upgrades or removes packages.
    pub fn install(&mut self, chance: &mut StdRng) {
        let packages = &mut self.inventory.packages;
        for _ in 0..chance.gen_range(1..4) {
            if packages.len() > 3 && chance.gen_ratio(1, 3) {
                packages.remove(chance.gen_range(1..packages.len()));
                continue;
            }
            let number: u16 = chance.gen_range(0..400);
            packages.push(package(
                &format!("package-{number}"),
                &chance.gen_range(1..50).to_string(),
            ));
        }
        // No two computers have the same inventory: each has a package named after it.
        packages.push(package(&format!("only-{}", self.name), "1"));
        packages.sort_by(|one, other| (&one.name, &other.version).cmp(&(&other.name, &one.version)));
        packages.dedup_by(|later, earlier| later.name == earlier.name);
        self.describe();
    }

    fn describe(&mut self) {
        let key_file = format!("keys of {}", self.name).into_bytes();
        let evidence = StanzaEvidence {
            keys: vec![sha256(&key_file)],
            release: None,
        };
        let config = ChannelConfig {
            native_architecture: "amd64".to_owned(),
            stanzas: vec![Stanza::new(
                "http://deb.example/debian/",
                "bookworm",
                &["main"],
                &["amd64"],
            )],
            ..ChannelConfig::default()
        };
        let facts = HostFacts {
            system: Facts {
                hostname: Some(self.name.clone()),
                ..Facts::default()
            },
            packages: PackageDatabase::Dpkg,
            hardware: Hardware::default(),
            virtualisation: Virtualisation::Physical,
            kernels: Default::default(),
            restart: Known::unknown("simulated"),
            interfaces: Known::unknown("simulated"),
            neighbours: Known::unknown("simulated"),
            listening: Known::unknown("simulated"),
            updaters: Vec::new(),
            history: Default::default(),
        };
        let described = [
            (DocumentKind::Inventory, self.inventory.to_bytes()),
            (
                DocumentKind::ChannelConfig,
                ChannelConfigDocument::of(&config, &[evidence]).to_bytes(),
            ),
            (DocumentKind::Facts, FactsDocument::from(&facts).to_bytes()),
            (DocumentKind::KeyFile, key_file),
        ];
        for (kind, bytes) in described {
            self.shelf.insert(sha256(&bytes), bytes.clone());
            self.documents.insert(kind, bytes);
        }
    }

    /// The digest of what it has of a kind.
    pub fn digest(&self, kind: DocumentKind) -> Option<Sha256Digest> {
        self.documents.get(&kind).map(|bytes| sha256(bytes))
    }

    /// Where its boot clock stands.
    pub fn boot_clock(&self, now: Timestamp) -> BootClock {
        let micros = now.duration_since(self.booted_at).as_micros();
        BootClock {
            boot: self.boot,
            micros: u64::try_from(micros).unwrap_or(0),
        }
    }

    /// How it looks to its agent.
    pub fn look(&self, now: Timestamp) -> Look {
        let date = now + self.date_off;
        let clock = self.boot_clock(now);
        let kinds = [
            DocumentKind::Inventory,
            DocumentKind::ChannelConfig,
            DocumentKind::Facts,
        ];
        let named = kinds.into_iter().filter_map(|kind| {
            Some(DocumentName {
                kind,
                digest: self.digest(kind)?,
                observed_at: self.journal.estimate(clock, date),
            })
        });
        Look {
            hostname: self.name.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: Some(self.machine),
            hardware: self.hardware,
            mode: self.executor.mode.into(),
            documents: named.collect(),
            measures: Measures {
                boot_clock_micros: i64::try_from(clock.micros).unwrap_or(i64::MAX),
                clock_micros: date.as_microsecond(),
                ..Measures::default()
            },
            troubles: Vec::new(),
            carried: Vec::new(),
            orders: self.executor.board().clone(),
        }
    }

    /// Hands an event to the agent's process; saves what it wants saved.
    pub fn step(&mut self, event: Event, now: Timestamp, chance: &mut StdRng) -> Vec<Effect> {
        let Some(session) = self.session.take() else {
            return Vec::new();
        };
        let mut bytes = [0; 32];
        chance.fill_bytes(&mut bytes);
        let moment = Moment {
            boot_clock: self.boot_clock(now),
            wall_clock: now + self.date_off,
            chance: Chance(bytes),
        };
        let (session, effects) = next(session, event, &moment);
        if effects.iter().any(|effect| matches!(effect, Effect::Save)) {
            self.journal = session.memory().clone();
        }
        self.session = Some(session);
        effects
    }

    /// The moment, for the executor.
    fn executors_moment(&self, now: Timestamp, chance: &mut StdRng) -> order::Moment {
        let (clock, wall) = (self.boot_clock(now), now + self.date_off);
        order::Moment {
            clock,
            up_since_micros: 0,
            wall,
            estimate: self.journal.estimate(clock, wall),
            mode: self.executor.mode,
            chance: chance.r#gen(),
        }
    }

    /// Something is asked of the executor.
    pub fn ask(&mut self, ask: &Ask, now: Timestamp, chance: &mut StdRng) -> Step {
        let moment = self.executors_moment(now, chance);
        self.executor.asked(ask, &moment)
    }

    /// Time has passed for the executor, or it has just started.
    pub fn tick(&mut self, now: Timestamp, chance: &mut StdRng) -> Step {
        let moment = self.executors_moment(now, chance);
        self.executor.step(order::Event::Tick, &moment)
    }

    /// Something that the executor waits for is done.
    pub fn done(
        &mut self,
        doing: &Doing,
        end: Result<(), order::Trouble>,
        now: Timestamp,
        chance: &mut StdRng,
    ) -> Step {
        let moment = self.executors_moment(now, chance);
        match *doing {
            Doing::Job { number, job } => {
                let packages = Installed(&mut self.inventory);
                self.executor.job_done(number, job, &moment, &packages)
            }
            Doing::Settle { number } => self.executor.step(order::Event::Settled { number }, &moment),
            Doing::UnitBegins { count } => self.executor.unit_begins(count, &moment),
            Doing::UnitEnds { count } => {
                let mut packages = Installed(&mut self.inventory);
                self.executor
                    .unit_ends(count, end, moment.clock.boot, &mut packages);
                self.describe();
                Step::default()
            }
            Doing::Reboot => Step::default(),
        }
    }

    /// The next version of some of its packages, as they would be ordered.
    pub fn upgrades(&self, chance: &mut StdRng) -> Vec<OrderedPackage> {
        let mut ordered: Vec<OrderedPackage> = Vec::new();
        for _ in 0..chance.gen_range(1..4) {
            let at = chance.gen_range(0..self.inventory.packages.len());
            let package = &self.inventory.packages[at];
            let next = package.version.parse::<u32>().unwrap_or(0) + 1;
            ordered.push(OrderedPackage {
                name: package.name.clone(),
                architecture: package.architecture.clone(),
                version: next.to_string().into(),
                from: Some(package.version.clone()),
                sha256: sha256(package.name.as_bytes()),
                size_bytes: 1,
            });
        }
        ordered.sort_by(|one, other| one.name.cmp(&other.name));
        ordered.dedup_by(|later, earlier| later.name == earlier.name);
        ordered
    }

    /// Reads documents for the agent's process.
    pub fn upload(&mut self, wanted: Vec<Wanted>, now: Timestamp, chance: &mut StdRng) -> Vec<Effect> {
        let upload = collect(wanted, &OnDisk(&self.shelf));
        self.step(Event::Ready(upload), now, chance)
    }

    /// No answer came.
    pub fn failed(&mut self, now: Timestamp, chance: &mut StdRng) -> Vec<Effect> {
        let trouble = Trouble::new("No answer came.", "wait.");
        let failure = Failure {
            trouble,
            retry_after_seconds: None,
        };
        self.step(Event::Failed(failure), now, chance)
    }

    /// What its agent goes by: what no foreign answer may change.
    pub fn believed(&self) -> Memory {
        let known = self.session.as_ref().map_or(&self.journal, Session::memory);
        Memory {
            // These move on with every request, whatever is answered.
            sequence: 0,
            next_check_in: None,
            good_address: None,
            ..known.clone()
        }
    }

    /// The last time that its agent took over from the server.
    pub fn heard(&self) -> Option<Timestamp> {
        let time = serde_json::to_value(self.session.as_ref()?.memory().time?).ok()?;
        Timestamp::from_microsecond(time.get("heard")?.as_i64()?).ok()
    }

    /// Whether the server has nothing against it, as far as it knows.
    pub fn is_served(&self) -> bool {
        matches!(self.journal.phase, Phase::Enrolled { stop: None, .. })
    }

    /// What its agent says is wrong.
    pub fn trouble(&self) -> Option<String> {
        let trouble = self.session.as_ref()?.trouble();
        trouble.map(ToString::to_string)
    }

    /// Whether its agent waits for a person with a token.
    pub fn wants_token(&self) -> bool {
        match &self.journal.phase {
            Phase::Unenrolled => true,
            Phase::Enrolling(_) => false,
            Phase::Enrolled { stop, .. } => matches!(stop, Some(Stop::Unknown | Stop::Retired)),
        }
    }
}

fn package(name: &str, version: &str) -> Package {
    Package {
        name: name.into(),
        architecture: "amd64".into(),
        version: version.into(),
        source: None,
        source_version: None,
        selection: Default::default(),
        state: Default::default(),
        reinstall: false,
        relations: 0,
        multi_arch: 0,
        size_bytes: 0,
    }
}

struct Installed<'a>(&'a mut InventoryDocument);

impl Packages for Installed<'_> {
    fn version(&self, name: &str) -> Option<&str> {
        let mut packages = self.0.packages.iter();
        packages
            .find(|package| *package.name == *name)
            .map(|package| &*package.version)
    }

    fn install(&mut self, packages: &[OrderedPackage]) {
        for ordered in packages {
            let mut installed = self.0.packages.iter_mut();
            if let Some(package) = installed.find(|package| package.name == ordered.name) {
                package.version = ordered.version.clone();
            }
        }
    }
}

struct OnDisk<'a>(&'a BTreeMap<Sha256Digest, Vec<u8>>);

impl Shelf for OnDisk<'_> {
    fn read(
        &self,
        _kind: DocumentKind,
        digest: Sha256Digest,
        offset: u64,
        limit: usize,
    ) -> Option<(Vec<u8>, u64)> {
        let bytes = self.0.get(&digest)?;
        let start = usize::try_from(offset).ok()?.min(bytes.len());
        let end = start.saturating_add(limit).min(bytes.len());
        Some((bytes[start..end].to_vec(), bytes.len() as u64))
    }
}
