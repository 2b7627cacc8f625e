//! Orders in a run: people deploy and stop, the server plans, agents fetch what they were offered, and computers do what their
//! executors say, each as long as it takes.

use super::{Weather, World};
use crate::computer::{At, Link};
use crate::event::{Event, Place};
use crate::executor::{Deed, Doing, Step, script_failed};
use crate::site::orders::Member;
use agent::executor::asks::Ask;
use agent::executor::spool::Wish;
use agent::order::Job;
use agent::session::{self, Fault, Fetched, Ticket, Trouble};
use anyhow::Result;
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::ChangeId;
use domain::order::RebootRule;
use jiff::SignedDuration;
use protocol::sha256;
use rand::Rng;
use store::host::HostState;

/// The ends of orders are compared after so many runs of the planner.
const PLANS_TO_A_LOOK: u64 = 8;
/// Asks that are kept to be left once more.
const OVERHEARD: usize = 32;

impl World {
    /// The agent's process sleeps, unless the executor has said something meanwhile.
    pub(super) fn fall_asleep(&mut self, place: Place, span: SignedDuration) {
        let computer = &mut self.computers[place];
        computer.sleep += 1;
        let (process, sleep) = (computer.process, computer.sleep);
        let has_news = computer.at == At::WorkWithNews;
        computer.at = At::Sleep;
        let wake = Event::Wake {
            place,
            process,
            sleep,
        };
        self.queue.after(self.now, span, wake);
        if has_news {
            let told = Event::Told {
                place,
                process,
                sleep,
            };
            self.queue.put(self.now, told);
        }
    }

    /// Something is left for the executor; in bad weather by somebody who has taken the agent's process over, too.
    pub(super) fn ask(&mut self, place: Place, ask: &Ask) -> Result<()> {
        self.asks.push(ask.clone());
        if self.asks.len() > OVERHEARD {
            self.asks.remove(0);
        }
        if self.weather == Weather::Bad && self.chance.gen_ratio(1, 10) {
            let other = self.asks[self.chance.gen_range(0..self.asks.len())].clone();
            self.hand_over(place, &other)?;
        }
        if self.weather == Weather::Bad && self.chance.gen_ratio(1, 30) {
            // It is lost in a crash of the executor.
            return Ok(());
        }
        self.hand_over(place, ask)
    }

    fn hand_over(&mut self, place: Place, ask: &Ask) -> Result<()> {
        let step = self.computers[place].ask(ask, self.now, &mut self.chance);
        self.after(place, step)
    }

    /// The executors' own looking at the clock.
    pub(super) fn tick(&mut self) -> Result<()> {
        for place in 0..self.computers.len() {
            let step = self.computers[place].tick(self.now, &mut self.chance);
            self.after(place, step)?;
        }
        self.queue
            .after(self.now, SignedDuration::from_secs(20), Event::Tick);
        Ok(())
    }

    fn after(&mut self, place: Place, step: Step) -> Result<()> {
        for deed in step.deeds {
            let computer = &self.computers[place];
            let (name, mode) = (computer.name.clone(), computer.executor.mode);
            match &deed {
                Deed::Began { accepted } => {
                    self.count("order begun", &format!("{} by {name}", accepted.order.number));
                }
                Deed::Restarts { number } => {
                    self.count("host restarts", &format!("{name} by order {number}"))
                }
                Deed::Permitted { .. } | Deed::Beside { .. } => {}
            }
            self.promises.check_deed(&name, mode, &deed, self.now)?;
        }
        let bad = self.weather == Weather::Bad;
        for doing in step.doings {
            let longest = match doing {
                Doing::Job { job: Job::Fetch, .. } => 500,
                Doing::Job { job: Job::Watch, .. } => 3_000,
                Doing::Job { .. } | Doing::Settle { .. } => 6_000,
                Doing::UnitBegins { .. } if bad && self.chance.gen_ratio(1, 4) => 1_500_000,
                Doing::UnitBegins { .. } => 1_000,
                Doing::UnitEnds { .. } if bad && self.chance.gen_ratio(1, 8) => 900_000,
                Doing::UnitEnds { .. } | Doing::Reboot => 60_000,
            };
            let span = SignedDuration::from_millis(self.chance.gen_range(10..longest));
            let computer = &self.computers[place];
            let event = Event::Done {
                place,
                boots: computer.boots,
                process: computer.process,
                doing,
            };
            self.queue.after(self.now, span, event);
        }
        if step.is_told_anew {
            self.tell_news(place);
        }
        Ok(())
    }

    /// The executor says that what it tells has changed.
    fn tell_news(&mut self, place: Place) {
        let computer = &mut self.computers[place];
        let (process, sleep) = (computer.process, computer.sleep);
        match computer.at {
            At::Sleep => {
                let told = Event::Told {
                    place,
                    process,
                    sleep,
                };
                self.queue.put(self.now, told);
            }
            At::Work | At::WorkWithNews => computer.at = At::WorkWithNews,
        }
    }

    /// Something that an executor waits for is done, if whatever does it is still there.
    pub(super) async fn done(&mut self, place: Place, boots: u64, process: u64, doing: &Doing) -> Result<()> {
        let computer = &self.computers[place];
        let is_there = match doing {
            Doing::Job { .. } | Doing::Settle { .. } => computer.process == process,
            Doing::UnitBegins { .. } | Doing::UnitEnds { .. } | Doing::Reboot => computer.boots == boots,
        };
        if !is_there {
            return Ok(());
        }
        if matches!(doing, Doing::Reboot) {
            let name = self.computers[place].name.clone();
            self.count("host restarted by order", &name);
            self.computers[place].start(self.now, &mut self.chance);
            return self.wake(place).await;
        }
        let end = match self.weather == Weather::Bad && self.chance.gen_ratio(1, 10) {
            true => Err(script_failed()),
            false => Ok(()),
        };
        let step = self.computers[place].done(doing, end, self.now, &mut self.chance);
        self.after(place, step)
    }

    /// The network process asks for a file.
    pub(super) fn fetch(&mut self, place: Place, file: Wish, ticket: &Ticket) {
        let fetch = Event::Fetch {
            from: place,
            process: self.computers[place].process,
            digest: file.digest,
            ticket: ticket.0.clone(),
        };
        let delay = self.delay();
        self.queue.after(self.now, delay, fetch);
    }

    /// A file is asked of the server. It comes, or another one, or nothing.
    pub(super) async fn serve(&mut self, from: Place, process: u64, digest: Sha256Digest, ticket: &str) {
        let is_cut = self.computers[from].link == Link::Cut;
        let mut bytes = match is_cut || self.is_lost() {
            true => None,
            false => self.site.content(ticket, digest).await,
        };
        let is_altered = self.weather == Weather::Bad && self.chance.gen_ratio(1, 10);
        if let Some(first) = bytes
            .as_mut()
            .and_then(|bytes| bytes.first_mut())
            .filter(|_| is_altered)
        {
            *first ^= 1;
        }
        let event = Event::File {
            to: from,
            process,
            digest,
            bytes,
        };
        let delay = self.delay();
        self.queue.after(self.now, delay, event);
    }

    pub(super) fn file_came(
        &mut self,
        place: Place,
        digest: Sha256Digest,
        bytes: Option<Vec<u8>>,
    ) -> Result<()> {
        let fetched = match bytes.filter(|bytes| sha256(bytes) == digest) {
            Some(bytes) => {
                self.computers[place].executor.files.insert(digest, bytes);
                Fetched::Whole
            }
            None => Fetched::Failed {
                trouble: Trouble::new("The file did not come.", "wait."),
                fault: Fault::Way,
            },
        };
        self.step(place, session::Event::Fetched(fetched))
    }

    /// The server plans, as it does again and again.
    pub(super) async fn plan(&mut self) -> Result<()> {
        self.site.plan().await?;
        self.plans += 1;
        if self.plans.is_multiple_of(PLANS_TO_A_LOOK) {
            let results = self.site.results().await?;
            self.promises.check_results(&results)?;
        }
        self.queue
            .after(self.now, SignedDuration::from_secs(20), Event::Plan);
        Ok(())
    }

    /// Somebody approves a change for some hosts.
    pub(super) async fn deploy(&mut self) -> Result<()> {
        let mut scope: Vec<Member> = Vec::new();
        for computer in &self.computers {
            let Some(host) = computer.journal.host() else {
                continue;
            };
            let is_known = self
                .site
                .host(host)
                .await?
                .is_some_and(|host| host.state == HostState::Active);
            let is_new = scope.iter().all(|(other, ..)| *other != host);
            if is_known && is_new {
                let inventory = computer.digest(protocol::document::DocumentKind::Inventory);
                scope.push((host, inventory, computer.upgrades(&mut self.chance)));
            }
        }
        // By a clock that is a year ahead nothing opens before that.
        if scope.is_empty() || self.server_is_off() != SignedDuration::ZERO {
            return Ok(());
        }
        let needs = match self.chance.gen_ratio(1, 2) {
            true => Mode::Full,
            false => Mode::Install,
        };
        let reboot = match needs == Mode::Full && self.chance.gen_ratio(2, 3) {
            true => RebootRule::IfNeeded { notice_seconds: 60 },
            false => RebootRule::Never,
        };
        let minutes = SignedDuration::from_mins(self.chance.gen_range(5..120));
        let id = self.chance.r#gen();
        let change = self.site.deploy(id, &scope, (needs, reboot), minutes).await?;
        if self.chance.gen_ratio(1, 2) {
            let span = SignedDuration::from_secs(self.chance.gen_range(5..200));
            self.queue.after(self.now, span, Event::Stop(change));
        }
        self.count("deployed", &format!("to {} hosts", scope.len()));
        Ok(())
    }

    /// Somebody stops a change: from now on only what was permitted before begins.
    pub(super) async fn stop_change(&mut self, change: ChangeId) -> Result<()> {
        if self.site.stop(change).await? {
            self.promises.stopped(change, self.now);
            self.count("change stopped", &change.to_string());
        }
        Ok(())
    }

    /// Somebody at a computer allows more or less.
    pub(super) fn change_mode(&mut self, place: Place) {
        let mode = Mode::ALL[self.chance.gen_range(0..Mode::ALL.len())];
        self.count("mode set", &format!("{mode} on {}", self.computers[place].name));
        self.computers[place].executor.mode = mode;
    }
}
