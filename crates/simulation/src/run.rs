//! One run: a few computers, up to an hour of bad weather, then a calm in which everything must come right by itself or by
//! what a person would do. What was promised is checked all along.

mod mishap;
mod network;
mod orders;
mod person;

use crate::computer::{At, Computer, Link};
use crate::event::{Event, Place, Queue};
use crate::promise::{Broken, Promises};
use crate::site::{Site, Template};
use agent::executor::asks::Ask;
use agent::session::{self, Effect};
use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use server::agents::HeldCheckIn;
use server::clock::Clock as _;
use std::collections::{BTreeMap, VecDeque};

/// When all runs begin, in seconds since 1970 UTC.
pub const START_SECONDS: i64 = 1_790_000_000;
/// How long the weather is bad, in minutes.
const BAD_MINUTES: std::ops::Range<i64> = 20..60;
/// How long things may take to come right, in hours.
const CALM_HOURS: i64 = 30;

/// Lines that are kept of what happened.
const STORY_LINES: usize = 400;

/// What a run was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Things that happened.
    pub events: u64,
    /// Requests that reached the server.
    pub requests: u64,
    /// What went wrong or was done, and how often.
    pub mishaps: BTreeMap<&'static str, u64>,
    /// A digest over everything that happened: the same for the same seed.
    pub trace: u64,
    /// How long it took to come right after the weather was good again, in simulated seconds.
    pub calm_seconds: i64,
}

/// Runs a seed.
///
/// # Errors
/// [`Broken`], in the chain of the error, if a promise was broken; others if the simulation itself fails.
pub async fn simulate(template: &Template, seed: u64, copying: Copying) -> Result<Report> {
    tell(template, seed, copying).await.0
}

/// Runs a seed, and gives what happened last, a line each.
pub async fn tell(template: &Template, seed: u64, copying: Copying) -> (Result<Report>, Vec<String>) {
    let mut world = match World::new(template, seed).await {
        Ok(world) => world,
        Err(error) => return (Err(error), Vec::new()),
    };
    world.copying = copying;
    let ended = world.run().await;
    let report = std::mem::take(&mut world.report);
    (ended.map(|()| report), world.story.into())
}

/// Whether somebody copies disks of enrolled hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copying {
    /// Now and then.
    Happens,
    /// Never.
    Never,
}

/// What the weather is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weather {
    /// Things get lost, late and doubled, and break.
    Bad,
    /// Things work.
    Good,
}

struct World {
    site: Site,
    computers: Vec<Computer>,
    queue: Queue,
    now: Timestamp,
    chance: StdRng,
    promises: Promises,
    weather: Weather,
    /// Parts of a thousand that get lost, each way.
    loss: u32,
    connections: u64,
    held: BTreeMap<u64, (HeldCheckIn, Place, u64, u64)>,
    /// Answers of late, to be delivered where they do not belong.
    overheard: Vec<Vec<u8>>,
    backups: Vec<(u64, Promises)>,
    may_restore: bool,
    copying: Copying,
    /// Asks of late, to be left where they do not belong.
    asks: Vec<Ask>,
    /// Runs of the planner.
    plans: u64,
    story: VecDeque<String>,
    report: Report,
}

impl World {
    async fn new(template: &Template, seed: u64) -> Result<Self> {
        let mut chance = StdRng::seed_from_u64(seed);
        let now = Timestamp::from_second(START_SECONDS).context("a time")?;
        let hold_seconds = if chance.gen_ratio(1, 3) { 30 } else { 0 };
        let site = Site::new(template, seed, hold_seconds, now).await?;
        let mut world = Self {
            site,
            computers: Vec::new(),
            queue: Queue::default(),
            now,
            promises: Promises::default(),
            weather: Weather::Bad,
            loss: chance.gen_range(0..150),
            connections: 0,
            held: BTreeMap::new(),
            overheard: Vec::new(),
            backups: Vec::new(),
            may_restore: chance.gen_ratio(1, 2),
            copying: Copying::Happens,
            asks: Vec::new(),
            plans: 0,
            story: VecDeque::new(),
            report: Report::default(),
            chance,
        };
        for number in 0..world.chance.gen_range(2..5) {
            let hardware = world.chance.gen_ratio(3, 4).then(|| world.chance.r#gen());
            let name = format!("host-{number}");
            let computer = Computer::new(name, hardware, now, &mut world.chance);
            world.computers.push(computer);
            world.enrol(number).await?;
        }
        world
            .queue
            .after(now, SignedDuration::from_secs(10), Event::Flush);
        world
            .queue
            .after(now, SignedDuration::from_mins(2), Event::Mishap);
        world
            .queue
            .after(now, SignedDuration::from_mins(5), Event::Administrator);
        world.queue.after(now, SignedDuration::from_secs(7), Event::Plan);
        world.queue.after(now, SignedDuration::from_secs(9), Event::Tick);
        Ok(world)
    }

    async fn run(&mut self) -> Result<()> {
        self.bad_weather().await?;
        self.calm().await
    }

    async fn bad_weather(&mut self) -> Result<()> {
        let end = self.now + SignedDuration::from_mins(self.chance.gen_range(BAD_MINUTES));
        self.until(end).await
    }

    /// Heals everything, and waits until every host has told the server everything.
    async fn calm(&mut self) -> Result<()> {
        self.weather = Weather::Good;
        self.loss = 0;
        self.site.clock.step_to(self.now);
        self.computers
            .iter_mut()
            .for_each(|computer| computer.link = Link::Up);
        let began = self.now;
        let end = began + SignedDuration::from_hours(CALM_HOURS);
        while self.now < end {
            self.until(self.now + SignedDuration::from_mins(10)).await?;
            if self
                .promises
                .unsettled(&self.site, &self.computers, began)
                .await?
                .is_none()
            {
                self.promises.check_results(&self.site.results().await?)?;
                self.promises.check_kept(&self.site).await?;
                self.promises
                    .check_identities(&self.site, &self.computers)
                    .await?;
                self.report.calm_seconds = self.now.duration_since(began).as_secs();
                return Ok(());
            }
        }
        match self
            .promises
            .unsettled(&self.site, &self.computers, began)
            .await?
        {
            Some(broken) => Err(broken.into()),
            None => Ok(()),
        }
    }

    /// Lets everything happen that happens before a time.
    async fn until(&mut self, end: Timestamp) -> Result<()> {
        while let Some((at, event)) = self.queue.next_before(end) {
            self.pass(at);
            self.note(&event);
            self.happen(event).await?;
        }
        self.pass(end);
        Ok(())
    }

    fn pass(&mut self, to: Timestamp) {
        let span = to.duration_since(self.now);
        if span.is_positive() {
            self.site.clock.advance(span);
            self.now = to;
        }
    }

    async fn happen(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Wake {
                place,
                process,
                sleep,
            } => {
                let computer = &self.computers[place];
                if (computer.process, computer.sleep, computer.at) == (process, sleep, At::Sleep) {
                    self.wake(place).await?;
                }
            }
            Event::Told {
                place,
                process,
                sleep,
            } => {
                let computer = &self.computers[place];
                if (computer.process, computer.sleep, computer.at) == (process, sleep, At::Sleep) {
                    let board = computer.executor.board().clone();
                    self.step(place, session::Event::Orders(board))?;
                }
            }
            Event::Fetch {
                from,
                process,
                digest,
                ticket,
            } => self.serve(from, process, digest, &ticket).await,
            Event::File {
                to,
                process,
                digest,
                bytes,
            } => {
                if self.computers[to].process == process {
                    self.file_came(to, digest, bytes)?;
                }
            }
            Event::Done {
                place,
                boots,
                process,
                doing,
            } => self.done(place, boots, process, &doing).await?,
            Event::Tick => self.tick()?,
            Event::Plan => self.plan().await?,
            Event::Stop(change) => self.stop_change(change).await?,
            Event::Request {
                from,
                process,
                connection,
                bytes,
            } => self.request(from, process, connection, &bytes).await?,
            Event::Answer {
                to,
                process,
                connection,
                bytes,
            } => self.answer(to, process, connection, bytes)?,
            Event::TimeOut {
                to,
                process,
                connection,
            } => self.time_out(to, process, connection)?,
            Event::HeldEnds(number) => self.held_ends(number).await?,
            Event::Flush => {
                self.site.flush().await?;
                self.queue
                    .after(self.now, SignedDuration::from_secs(10), Event::Flush);
            }
            Event::Mishap => self.mishap().await?,
            Event::ServerClockRight => self.site.clock.step_to(self.now),
            Event::LinkBack(place) => self.computers[place].link = Link::Up,
            Event::Administrator => self.administrator().await?,
        }
        Ok(())
    }

    async fn wake(&mut self, place: Place) -> Result<()> {
        let look = self.computers[place].look(self.now);
        self.step(place, session::Event::Wake(look))
    }

    /// Hands an event to an agent and does what it wants done.
    fn step(&mut self, place: Place, event: session::Event) -> Result<()> {
        if self.computers[place].at == At::Sleep {
            self.computers[place].at = At::Work;
        }
        let effects = self.computers[place].step(event, self.now, &mut self.chance);
        self.carry_out(place, effects)
    }

    fn carry_out(&mut self, place: Place, effects: Vec<Effect>) -> Result<()> {
        self.promises.check_time(&mut self.computers[place], self.now)?;
        self.promises.check_original(&self.computers[place])?;
        let computer = &mut self.computers[place];
        computer.executor.follow(&computer.journal);
        for effect in effects {
            match effect {
                Effect::Send {
                    envelope,
                    hold_seconds,
                    ..
                } => self.send(place, envelope, hold_seconds)?,
                Effect::Upload(wanted) => {
                    let effects = self.computers[place].upload(wanted, self.now, &mut self.chance);
                    self.carry_out(place, effects)?;
                }
                Effect::Sleep(span) => {
                    self.fall_asleep(place, SignedDuration::try_from(span).context("a sleep")?)
                }
                Effect::Ask(ask) => self.ask(place, &ask)?,
                Effect::Fetch { file, ticket, .. } => self.fetch(place, file, &ticket),
                Effect::Say(sentence) => {
                    let line = format!("{} says: {sentence}", self.computers[place].name);
                    self.line(line);
                }
                Effect::Save | Effect::Reconnect | Effect::Rest | Effect::Ring => {}
            }
        }
        Ok(())
    }

    /// Adds an event to the trace.
    fn note(&mut self, event: &Event) {
        self.report.events += 1;
        let (kind, place) = match event {
            Event::Wake { place, .. } => (1, *place),
            Event::Request { from, .. } => (2, *from),
            Event::Answer { to, .. } => (3, *to),
            Event::TimeOut { to, .. } => (4, *to),
            Event::HeldEnds(number) => (5 + number * 32, 0),
            Event::Flush => (6, 0),
            Event::Mishap => (7, 0),
            Event::ServerClockRight => (8, 0),
            Event::LinkBack(place) => (9, *place),
            Event::Administrator => (10, 0),
            Event::Told { place, .. } => (11, *place),
            Event::File { to, .. } => (12, *to),
            Event::Done { place, .. } => (13, *place),
            Event::Fetch { from, .. } => (16, *from),
            Event::Tick => (14, 0),
            Event::Plan => (15, 0),
            Event::Stop(_) => (17, 0),
        };
        for number in [self.now.as_microsecond().cast_unsigned(), kind, place as u64] {
            self.report.trace = (self.report.trace ^ number)
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(23);
        }
    }

    /// Adds a line to the story.
    fn line(&mut self, line: String) {
        if self.story.len() == STORY_LINES {
            self.story.pop_front();
        }
        let seconds = self.now.as_second() - START_SECONDS;
        self.story.push_back(format!("{seconds:>6} s  {line}"));
    }

    fn count(&mut self, what: &'static str, of: &str) {
        self.line(format!("{what} {of}"));
        *self.report.mishaps.entry(what).or_default() += 1;
    }

    /// How far the server's clock is from true time.
    fn server_is_off(&self) -> SignedDuration {
        self.site.clock.now().duration_since(self.now)
    }

    fn broken<T>(&self, broken: Broken) -> Result<T> {
        Err(broken.into())
    }
}
