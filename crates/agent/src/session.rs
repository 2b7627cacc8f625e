//! The agent's side of the conversation with its server, as a rule: what to do next, given what is remembered, what just
//! happened, and the moment. It opens no file, no connection and no clock; chance is a parameter. The network process carries
//! out what it says, and so does the seeded simulation.
//!
//! A session is unenrolled, enrolling, or enrolled (perhaps waiting for somebody's approval), or stopped because its server
//! said so. Each wake-up begins a round: renew the certificate if it is due, check in, send what the server wants, fetch what
//! the executor wants for an order.

mod answer;
mod ask;
mod errands;
mod memory;
mod moment;
mod refusal;
mod retry;
mod trouble;
pub mod upload;

pub use ask::enrolled_elsewhere;
pub use errands::{Fault, Fetched, Ticket};
pub use memory::{Enrolment, Memory, Named, NonceText, OldIdentity, Phase, Seed, Stop};
pub use moment::{Chance, Look, Moment};
pub use trouble::Trouble;

use crate::executor::asks::Ask;
use crate::executor::spool::{Board, Wish};
use errands::Errands;
use jiff::Timestamp;
use protocol::address::ServerAddress;
use protocol::card::Trust;
use protocol::envelope::Asked;
use protocol::message::Kind;
use protocol::message::check_in::{CarriedSource, Wanted};
use protocol::message::documents::Part;
use protocol::token::EnrolmentToken;
use std::time::Duration;

/// Rounds of documents after one check-in; what is left then waits for the next one.
const DOCUMENT_ROUNDS: u32 = 200;

/// What the agent remembers, and what it is at.
#[derive(Clone, Debug)]
pub struct Session {
    memory: Memory,
    /// What is believed of the server, from the card in the memory.
    trust: Option<Trust>,
    now: Underway,
}

/// What a restart may forget.
#[derive(Clone, Debug, Default)]
struct Underway {
    /// The last sequence number used.
    sequence: u64,
    /// The request that is out.
    request: Option<Request>,
    /// How the host last looked.
    look: Option<Look>,
    /// Failures in a row.
    failures: u32,
    /// Documents still to send in this round.
    wanted: Vec<Wanted>,
    /// Messages of documents sent in this round.
    document_rounds: u32,
    /// Whether this round already tried to renew.
    renewal: Renewal,
    /// Whether the server's clock was already taken over because it refused for it.
    clock: ClockTaken,
    /// What is wrong.
    trouble: Option<Trouble>,
    /// The computer's own clock minus the server's, in seconds, when the server was last heard.
    clock_off_seconds: i64,
    /// When the next round begins, by the agent's time.
    next_round: Option<Timestamp>,
    /// How long the server lets the next check-in be held, in seconds.
    hold_seconds: u32,
    /// Sources whose index files the server asked for.
    carry: Vec<CarriedSource>,
    /// What is underway with orders.
    errands: Errands,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Renewal {
    #[default]
    NotTried,
    Tried,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ClockTaken {
    #[default]
    No,
    Yes,
}

/// A request that waits for its answer.
#[derive(Clone, Debug)]
struct Request {
    asked: Asked,
    envelope: Vec<u8>,
    hold_seconds: u32,
    /// To whom it went.
    to: ServerAddress,
    /// The addresses still to try, the next one last.
    left: Vec<ServerAddress>,
}

/// What happens to a session.
#[derive(Clone, Debug)]
pub enum Event {
    /// A person enrols this host.
    Enrol(EnrolmentToken, Look),
    /// The time that the session asked to be woken at has come, or the process has just started.
    Wake(Look),
    /// During a sleep: what the executor tells of orders has changed.
    Orders(Board),
    /// A server answered.
    Answer(Vec<u8>),
    /// No answer came.
    Failed(Failure),
    /// The documents asked for by [`Effect::Upload`], as far as they fit into one message.
    Ready(Upload),
    /// How [`Effect::Fetch`] ended.
    Fetched(Fetched),
}

/// Why no answer came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong and what to do.
    pub trouble: Trouble,
    /// When the server wants to be asked again, in seconds.
    pub retry_after_seconds: Option<u32>,
}

/// Documents for one message; see [`upload::collect`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upload {
    /// What is sent.
    pub parts: Vec<Part>,
    /// The bytes of the parts, one after the other.
    pub bytes: Vec<u8>,
    /// What was asked for and is neither sent nor left: it is no longer there.
    pub missing: Vec<Wanted>,
    /// What did not fit: asked for again after this message.
    pub left: Vec<Wanted>,
}

/// What the process has to do, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Write [`Session::memory`] to the journal, before anything that follows.
    Save,
    /// Show another certificate, and trust other authorities, from now on.
    Reconnect,
    /// Send an envelope; [`Event::Answer`] or [`Event::Failed`] follows.
    Send {
        /// To whom.
        to: ServerAddress,
        /// What.
        envelope: Vec<u8>,
        /// How long the server may hold its answer, in seconds.
        hold_seconds: u32,
    },
    /// Read these documents; [`Event::Ready`] follows.
    Upload(Vec<Wanted>),
    /// Leave this for the executor, and ring.
    Ask(Ask),
    /// Ring: a file that the executor wants is there.
    Ring,
    /// Fetch a file into the folder of files; [`Event::Fetched`] follows.
    Fetch {
        /// From whom.
        from: ServerAddress,
        /// Which.
        file: Wish,
        /// What lets this host have it.
        ticket: Ticket,
    },
    /// Nothing more to do now; [`Event::Wake`] follows after this time.
    Sleep(Duration),
    /// Nothing more to do until a person enrols this host.
    Rest,
    /// An operator could act on this.
    Say(String),
}

/// The session after an event, and what is to be done.
pub fn next(session: Session, event: Event, moment: &Moment) -> (Session, Vec<Effect>) {
    let mut session = session;
    let mut effects = Vec::new();
    match event {
        Event::Enrol(token, look) => session.enrol(&token, look, moment, &mut effects),
        Event::Wake(look) => session.wake(look, moment, &mut effects),
        Event::Orders(board) => session.orders_changed(board, moment, &mut effects),
        Event::Answer(bytes) => session.answered(&bytes, moment, &mut effects),
        Event::Failed(failure) => session.failed(failure, moment, &mut effects),
        Event::Ready(upload) => session.send_documents(upload, moment, &mut effects),
        Event::Fetched(fetched) => session.fetched(fetched, moment, &mut effects),
    }
    (session, effects)
}

impl Session {
    /// A session that begins or goes on with this memory.
    pub fn new(memory: Memory) -> Self {
        Self {
            trust: memory.trust(),
            now: Underway {
                sequence: memory.sequence,
                ..Underway::default()
            },
            memory,
        }
    }

    /// What must not be forgotten.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What is wrong, if anything is.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.now.trouble.as_ref().or_else(|| self.fetching_trouble())
    }

    /// The computer's own clock minus the server's, in seconds, when the server was last heard.
    pub fn clock_off_seconds(&self) -> i64 {
        self.now.clock_off_seconds
    }

    /// When the next round begins, by the agent's time.
    pub fn next_round(&self) -> Option<Timestamp> {
        self.now.next_round
    }

    /// Sources whose index files the next check-in should name, because only this host reaches them.
    pub fn carry(&self) -> &[CarriedSource] {
        &self.now.carry
    }

    /// What the request that is out asks for.
    pub fn waits_for(&self) -> Option<Kind> {
        self.now.request.as_ref().map(|request| request.asked.kind())
    }
}
