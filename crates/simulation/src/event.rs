//! What happens when: a queue in the order of time, and among equals in the order in which things were put into it.

use crate::executor::Doing;
use domain::digest::Sha256Digest;
use domain::id::ChangeId;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// A computer of the simulation, by its place.
pub type Place = usize;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// An agent's sleep is over. Counts only if the process is still the one that went to sleep.
    Wake {
        /// The computer.
        place: Place,
        /// The process that sleeps.
        process: u64,
        /// Which of its sleeps.
        sleep: u64,
    },
    /// What the executor tells of orders has changed, and the agent's process sleeps.
    Told {
        /// The computer.
        place: Place,
        /// The process that sleeps.
        process: u64,
        /// Which of its sleeps.
        sleep: u64,
    },
    /// A file is asked for.
    Fetch {
        /// Whose agent asks.
        from: Place,
        /// The process that asks.
        process: u64,
        /// Which file.
        digest: Sha256Digest,
        /// What lets it have it.
        ticket: String,
    },
    /// A file that was asked for has come, or has not.
    File {
        /// Whose it is.
        to: Place,
        /// The process that asked.
        process: u64,
        /// What was asked for.
        digest: Sha256Digest,
        /// What came.
        bytes: Option<Vec<u8>>,
    },
    /// Something on a computer is done that its executor waits for.
    Done {
        /// The computer.
        place: Place,
        /// The boot in which it was begun.
        boots: u64,
        /// The process that began it.
        process: u64,
        /// What.
        doing: Doing,
    },
    /// Executors see that time has passed.
    Tick,
    /// The server plans.
    Plan,
    /// Somebody stops a change.
    Stop(ChangeId),
    /// A request reaches the server.
    Request {
        /// Whose it is.
        from: Place,
        /// The process that waits for its answer.
        process: u64,
        /// The connection that it came on.
        connection: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// An answer reaches an agent.
    Answer {
        /// Whose it is.
        to: Place,
        /// The process that asked.
        process: u64,
        /// The connection that it comes on.
        connection: u64,
        /// Its bytes.
        bytes: Vec<u8>,
    },
    /// Nobody answered in time.
    TimeOut {
        /// Whose request it was.
        to: Place,
        /// The process that asked.
        process: u64,
        /// The connection that broke.
        connection: u64,
    },
    /// A held check-in is let go.
    HeldEnds(u64),
    /// The server writes what is only in memory.
    Flush,
    /// Something goes wrong, or is done by somebody.
    Mishap,
    /// A server's clock that stepped is set right.
    ServerClockRight,
    /// A cut link is mended.
    LinkBack(Place),
    /// Somebody looks at what waits for a person.
    Administrator,
}

/// Events to come.
#[derive(Debug, Default)]
pub struct Queue {
    events: BTreeMap<(Timestamp, u64), Event>,
    count: u64,
}

impl Queue {
    /// Puts an event at a time.
    pub fn put(&mut self, at: Timestamp, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    /// Puts an event some time after now.
    pub fn after(&mut self, now: Timestamp, span: SignedDuration, event: Event) {
        self.put(now + span, event);
    }

    /// The next event before a time, and when it happens.
    pub fn next_before(&mut self, end: Timestamp) -> Option<(Timestamp, Event)> {
        let first = self.events.first_entry().filter(|first| first.key().0 < end)?;
        let ((at, _), event) = first.remove_entry();
        Some((at, event))
    }
}
