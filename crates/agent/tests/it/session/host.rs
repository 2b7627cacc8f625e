//! A host whose agent is the real session, with clocks, chance, documents and a network that the test holds in its hand.

use super::server::Server;
use agent::executor::asks::Ask;
use agent::executor::spool::{Board, Wish};
use agent::session::upload::{Shelf, collect};
use agent::session::{
    Chance, Effect, Event, Failure, Fetched, Look, Memory, Moment, Session, Ticket, Trouble, next,
};
use domain::digest::Sha256Digest;
use domain::identity::BootId;
use domain::identity::time::BootClock;
use jiff::{SignedDuration, Timestamp};
use protocol::address::ServerAddress;
use protocol::document::DocumentKind;
use protocol::message::check_in::DocumentName;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What the network does with one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Clear,
    /// The request does not arrive.
    Cut,
    /// The request arrives, the answer does not.
    AnswerLost,
}

pub struct Host {
    pub session: Session,
    /// What the journal holds: all that a restart brings back.
    pub journal: Memory,
    pub boot: u8,
    pub boot_seconds: u64,
    /// The computer's own date minus the true one, in seconds.
    pub off_seconds: i64,
    pub shelf: Shelved,
    pub said: Vec<String>,
    pub sent_to: Vec<ServerAddress>,
    pub reconnects: u32,
    /// What the executor tells of orders.
    pub board: Board,
    /// What the executor was asked for.
    pub asked: Vec<Ask>,
    /// How often it was rung that files are there.
    pub rings: u32,
    /// Which files were fetched, from whom, and by which ticket.
    pub fetches: Vec<(ServerAddress, Wish, Ticket)>,
    /// How fetches end, the next one first, and how long each takes, in seconds; the rest is whole at once.
    pub fetching: VecDeque<(Fetched, u64)>,
    draws: u64,
    seed: u8,
}

#[derive(Default)]
pub struct Shelved(
    pub BTreeMap<Sha256Digest, Vec<u8>>,
    pub Vec<(DocumentKind, Sha256Digest)>,
);

impl Shelf for Shelved {
    fn read(&self, _: DocumentKind, digest: Sha256Digest, _: u64, _: usize) -> Option<(Vec<u8>, u64)> {
        let bytes = self.0.get(&digest)?;
        Some((bytes.clone(), bytes.len() as u64))
    }
}

impl Shelved {
    /// The host has this document now.
    pub fn set(&mut self, kind: DocumentKind, bytes: Vec<u8>) {
        let digest = protocol::sha256(&bytes);
        self.1.retain(|(other, _)| *other != kind);
        self.1.push((kind, digest));
        self.0.insert(digest, bytes);
    }
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Sleep(Duration),
    Rest,
}

impl Host {
    pub fn new(seed: u8) -> Self {
        Self {
            session: Session::new(Memory::default()),
            journal: Memory::default(),
            boot: seed,
            boot_seconds: 100,
            off_seconds: 0,
            shelf: Shelved::default(),
            said: Vec::new(),
            sent_to: Vec::new(),
            reconnects: 0,
            board: Board::default(),
            asked: Vec::new(),
            rings: 0,
            fetches: Vec::new(),
            fetching: VecDeque::new(),
            draws: 0,
            seed,
        }
    }

    /// A copy of the disk, started as another computer.
    pub fn copied(&self, seed: u8) -> Self {
        let mut copy = Self::new(seed);
        copy.journal = self.journal.clone();
        copy.session = Session::new(self.journal.clone());
        copy
    }

    /// The process ends and starts again.
    pub fn restart(&mut self) {
        self.session = Session::new(self.journal.clone());
    }

    pub fn pass(&mut self, server: &mut Server, seconds: u64) {
        self.boot_seconds += seconds;
        server.now += SignedDuration::from_secs(i64::try_from(seconds).expect("not that long"));
    }

    pub fn moment(&mut self, server: &Server) -> Moment {
        self.draws += 1;
        let mut chance = [self.seed; 32];
        chance[..8].copy_from_slice(&self.draws.to_be_bytes());
        Moment {
            boot_clock: BootClock {
                boot: BootId([self.boot; 16]),
                micros: self.boot_seconds * 1_000_000,
            },
            wall_clock: server.now + SignedDuration::from_secs(self.off_seconds),
            chance: Chance(chance),
        }
    }

    pub fn look(&self) -> Look {
        let observed_at = Timestamp::UNIX_EPOCH;
        let documents = self.shelf.1.iter().map(|&(kind, digest)| DocumentName {
            kind,
            digest,
            observed_at,
        });
        Look {
            hostname: format!("host-{}", self.seed),
            agent_version: "0.1.0".to_owned(),
            hardware: Some([self.seed; 16]),
            documents: documents.collect(),
            orders: self.board.clone(),
            ..Look::default()
        }
    }

    pub fn enrol(&mut self, server: &mut Server) -> End {
        let event = Event::Enrol(server.token(), self.look());
        self.happen(event, server, &[])
    }

    pub fn wake(&mut self, server: &mut Server) -> End {
        self.wake_over(server, &[])
    }

    /// A round over a network that does this with each exchange in turn, and is clear afterwards.
    pub fn wake_over(&mut self, server: &mut Server, ways: &[Way]) -> End {
        let event = Event::Wake(self.look());
        self.happen(event, server, ways)
    }

    pub fn happen(&mut self, event: Event, server: &mut Server, ways: &[Way]) -> End {
        let mut ways = ways.iter().copied();
        let mut events = VecDeque::from([event]);
        let mut end = None;
        while let Some(event) = events.pop_front() {
            let moment = self.moment(server);
            let (session, effects) = next(self.session.clone(), event, &moment);
            self.session = session;
            for effect in effects {
                assert_eq!(end, None, "nothing follows a pause");
                match effect {
                    Effect::Save => self.journal = self.session.memory().clone(),
                    Effect::Reconnect => self.reconnects += 1,
                    Effect::Say(sentence) => self.said.push(sentence),
                    Effect::Send { to, envelope, .. } => {
                        self.is_remembered();
                        self.sent_to.push(to);
                        events.push_back(exchange(server, &envelope, ways.next().unwrap_or(Way::Clear)));
                    }
                    Effect::Upload(wanted) => events.push_back(Event::Ready(collect(wanted, &self.shelf))),
                    Effect::Ask(ask) => self.asked.push(ask),
                    Effect::Ring => self.rings += 1,
                    Effect::Fetch { from, file, ticket } => {
                        self.fetches.push((from, file, ticket));
                        let (fetched, seconds) = self.fetching.pop_front().unwrap_or((Fetched::Whole, 0));
                        self.pass(server, seconds);
                        events.push_back(Event::Fetched(fetched));
                    }
                    Effect::Sleep(delay) => end = Some(End::Sleep(delay)),
                    Effect::Rest => end = Some(End::Rest),
                }
            }
        }
        end.expect("every round ends in a pause")
    }

    /// Whatever decides who this host is stands in the journal before a message leaves.
    fn is_remembered(&self) {
        let memory = self.session.memory();
        assert_eq!(self.journal.key, memory.key);
        assert_eq!(self.journal.phase, memory.phase);
        assert_eq!(self.journal.next_check_in, memory.next_check_in);
        assert_eq!(self.journal.pins, memory.pins);
    }

    pub fn trouble(&self) -> String {
        self.session
            .trouble()
            .map(ToString::to_string)
            .unwrap_or_default()
    }
}

fn exchange(server: &mut Server, envelope: &[u8], way: Way) -> Event {
    let lost = || {
        Event::Failed(Failure {
            trouble: Trouble::new("The link is cut.", "mend it."),
            retry_after_seconds: None,
        })
    };
    match way {
        Way::Cut => lost(),
        Way::AnswerLost => {
            server.answer(envelope);
            lost()
        }
        Way::Clear => Event::Answer(server.answer(envelope)),
    }
}

/// The same over a server that refuses every request in this way.
pub fn happen_with_refusals(
    host: &mut Host,
    event: Event,
    server: &mut Server,
    refusal: (protocol::message::refused::RefusalKind, Option<u32>),
) -> End {
    server.refuse_always = Some(refusal);
    let end = host.happen(event, server, &[]);
    server.refuse_always = None;
    end
}
