//! What a host does with its orders: [`next`] takes the orders, an event and the moment, and gives the orders after it and what is
//! to be done. No file, clock or process is touched here. Nothing begins without what the order demands, never two at once, and
//! what is done is saved before it is done. Whether an order is believed at all is in [`verify`].

pub mod journal;
mod report;
mod steps;
pub mod verify;

use domain::change::Approval;
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::identity::BootId;
use domain::identity::time::BootClock;
use domain::order::{Go, Order};
use domain::rollout::deployment::Failure;
use jiff::Timestamp;
use protocol::message::orders::{OrderReport, Took};
use std::collections::VecDeque;
use std::sync::Arc;

/// Orders that are open at once at most; a server gives one.
pub const MAX_OPEN: usize = 8;
/// Ends that are kept at most while the server has not heard them; then no order is taken.
pub const MAX_ENDED: usize = 40;
/// Digests of orders that are done with, so that one that comes again is known.
const MAX_HEARD: usize = 64;
/// How often a transaction may be cut off and looked after again.
pub const MAX_CUTS: u8 = 10;

/// An order that was believed, with what was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The order.
    pub order: Order,
    /// What people approved of it.
    pub approval: Approval,
    /// The digest of its statement: its name.
    pub digest: Sha256Digest,
}

/// An order that is not taken, as it is reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The digest of its statement; of the bundle where that cannot be read.
    pub order: Sha256Digest,
    /// Its number; 0 where that cannot be read.
    pub number: u64,
    /// Why, as a sentence.
    pub why: String,
}

/// All orders of this host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Orders {
    /// The highest number that was seen, carried out or not.
    highest: u64,
    /// The highest epoch of an order that was taken.
    epoch: u64,
    /// The latest time that the server signed, in a go.
    heard_at: Option<Timestamp>,
    /// By number.
    open: Vec<Open>,
    /// The end of each that the server has not heard yet, the oldest first.
    ended: Vec<OrderReport>,
    /// Those that it has heard, the oldest first.
    heard: VecDeque<Sha256Digest>,
}

/// An order that has not ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    accepted: Arc<Accepted>,
    phase: Phase,
    /// Since when, by the best estimate of then.
    since: Timestamp,
    /// Whether anything of it may have been done here.
    done: Done,
    /// How often its transaction was cut off.
    cuts: u8,
    /// Where the clock stands at most.
    bound: Option<Bound>,
    took: Took,
    output: Option<Sha256Digest>,
    detail: String,
    last_line: String,
}

/// How far an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its files are being fetched.
    Fetching,
    /// They are here; what apt would do is being compared.
    Preparing,
    /// It may begin when its time and its go have come.
    Prepared(Option<Asked>),
    /// The package manager is at work, or was just about to be.
    Installing,
    /// Services are being restarted.
    Settling(Restarted),
    /// The host is being read.
    Verifying(Restarted),
    /// The host is about to restart.
    Rebooting {
        /// In this boot that was asked for.
        boot: BootId,
        /// Where its clock stood then, in microseconds.
        micros: u64,
    },
}

/// Whether an order has restarted the host: it does so once at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restarted {
    /// It has not.
    NotYet,
    /// It has, or had its turn.
    Once,
}

/// Whether anything of an order was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// The host is as it was.
    Nothing,
    /// It may be another.
    Something,
}

/// A question for a go that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What was drawn for it.
    pub nonce: [u8; 16],
    /// When.
    pub at: BootClock,
}

/// A time that cannot have been passed when the boot clock stood there: a go is signed after it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bound {
    time: Timestamp,
    at: BootClock,
}

/// Clocks, the local ceiling, and chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The clock since the boot.
    pub clock: BootClock,
    /// Where that clock stood when the host's first process began, in microseconds; 0 where that cannot be told. A container that
    /// starts again may keep the id of its machine's boot.
    pub up_since_micros: u64,
    /// The computer's own date.
    pub wall: Timestamp,
    /// The server's time as the network process knows it: good for what is shown and for giving up, and for nothing that begins.
    pub estimate: Timestamp,
    /// What this host allows now.
    pub mode: Mode,
    /// Chance that was never used before.
    pub chance: [u8; 16],
}

/// What comes about.
#[derive(Clone, Debug)]
pub enum Event {
    /// An order was believed, and its file is kept.
    Took(Arc<Accepted>),
    /// One was not.
    Refused(Refusal),
    /// All files of an order are here.
    Fetched {
        /// Its number.
        number: u64,
        /// Bytes that came for it.
        bytes: u64,
    },
    /// Files of an order cannot be taken over.
    NotFetched {
        /// Of this number.
        number: u64,
        /// Why.
        trouble: Trouble,
    },
    /// What apt would do was compared.
    Compared {
        /// Of this number.
        number: u64,
        /// What came out.
        found: Result<Found, Trouble>,
    },
    /// A go whose signature holds.
    Go(Go),
    /// The server takes an order back.
    Withdrawn(Sha256Digest),
    /// The server has kept the end of an order.
    Heard(Sha256Digest),
    /// The package manager said something.
    Said {
        /// About this number.
        number: u64,
        /// Its last line.
        line: String,
    },
    /// The transaction has ended.
    Done {
        /// Of this number.
        number: u64,
        /// How.
        end: Result<(), Trouble>,
        /// All that was said, as a document.
        output: Option<Sha256Digest>,
        /// How long it took, in milliseconds.
        millis: u64,
    },
    /// The transaction could not be begun.
    NotBegun {
        /// Of this number.
        number: u64,
        /// Why.
        trouble: Trouble,
    },
    /// The time of its permission was over before it could begin, or go on: it needs another one.
    Late {
        /// Of this number.
        number: u64,
        /// What it waited for.
        why: String,
        /// Whether anything was done.
        done: Done,
    },
    /// It does not run, and left no word: it was cut off.
    Lost {
        /// Of this number.
        number: u64,
    },
    /// Services were restarted as the order's rule says.
    Settled {
        /// Of this number.
        number: u64,
    },
    /// The host was read after the transaction.
    Seen {
        /// Of this number.
        number: u64,
        /// What it shows.
        seen: Seen,
    },
    /// Time has passed, or the process has just started.
    Tick,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Exactly the order would be done.
    Exact,
    /// All of it is done already.
    InPlace,
}

/// Why an order fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The kind.
    pub kind: Failure,
    /// In a sentence.
    pub detail: String,
}

/// What the host shows after a transaction; each is a sentence, absent where there is nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What was ordered and is not so.
    pub missing: Option<String>,
    /// What still runs old code.
    pub old: Option<String>,
    /// Why the host has to restart.
    pub reboot: Option<String>,
}

/// What is to be done once, in this order; nothing of it if what stands before it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep the orders as they are now, so that a power cut brings them back.
    Save,
    /// Begin the transaction; or take one up that was cut off.
    Start {
        /// Of this number.
        number: u64,
        /// Where this boot's clock stands, in microseconds, when nothing may begin any more. At 0, what was cut off is only
        /// repaired.
        until_micros: u64,
    },
    /// Restart the services that run old code; [`Event::Settled`] follows.
    Restart {
        /// As the order of this number says.
        number: u64,
    },
    /// Restart the host.
    Reboot {
        /// As the order of this number says.
        number: u64,
    },
    /// Remove the files of an order.
    Forget {
        /// Of this number.
        number: u64,
    },
    /// An operator could act on this.
    Say(String),
}

/// What an order needs done now, for as long as it is in its phase; it may be begun again at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Take over its files; [`Event::Fetched`] when all are there.
    Fetch,
    /// Build the private world and simulate; [`Event::Compared`].
    Compare,
    /// Look after the transaction; [`Event::Said`], [`Event::Done`] or [`Event::Lost`].
    Watch,
    /// Read the host; [`Event::Seen`].
    Read,
}

/// The orders after an event, and what is to be done.
pub fn next(orders: &Orders, event: Event, moment: &Moment) -> (Orders, Vec<Effect>) {
    let mut after = orders.clone();
    let mut effects = Vec::new();
    after.happen(event, moment, &mut effects);
    after.go_on(moment, &mut effects);
    if !after.is_kept_as(orders) {
        effects.insert(0, Effect::Save);
    }
    (after, effects)
}

impl Orders {
    /// The highest number that was seen.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// The highest epoch of an order that was taken.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Those that have not ended, by number.
    pub fn open(&self) -> &[Open] {
        &self.open
    }

    /// Whether an order is known by its digest: open, ended or done with.
    pub fn knows(&self, digest: Sha256Digest) -> bool {
        self.open.iter().any(|open| open.accepted.digest == digest)
            || self.ended.iter().any(|end| end.order == digest)
            || self.heard.contains(&digest)
    }

    /// What is to be done for an order now.
    pub fn job(&self, open: &Open) -> Option<Job> {
        match open.phase {
            Phase::Fetching => Some(Job::Fetch),
            // dpkg's state is read by a comparison: not while somebody changes it.
            Phase::Preparing => (!self.is_at_work()).then_some(Job::Compare),
            Phase::Installing => Some(Job::Watch),
            Phase::Verifying(_) => Some(Job::Read),
            Phase::Prepared(_) | Phase::Settling(_) | Phase::Rebooting { .. } => None,
        }
    }

    /// Whether an order has begun and not ended.
    fn is_at_work(&self) -> bool {
        self.open.iter().any(Open::is_at_work)
    }

    /// Whether nothing that a power cut must not take differs.
    fn is_kept_as(&self, before: &Self) -> bool {
        self.as_kept() == before.as_kept()
    }

    /// What the journal brings back after the process was killed.
    #[must_use]
    pub fn as_kept(&self) -> Self {
        let mut orders = self.clone();
        for open in &mut orders.open {
            open.last_line.clear();
            open.phase = open.phase.as_kept();
        }
        orders
    }
}

impl Phase {
    /// What is found again after the process was killed: a comparison may be out of date then, and a question is asked anew.
    fn as_kept(self) -> Self {
        match self {
            Self::Preparing | Self::Prepared(_) => Self::Fetching,
            Self::Settling(restarted) => Self::Verifying(restarted),
            kept => kept,
        }
    }
}

impl Open {
    /// The order with what was approved.
    pub fn accepted(&self) -> &Arc<Accepted> {
        &self.accepted
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.accepted.order.number
    }

    /// How far it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether its transaction has begun and it has not ended.
    fn is_at_work(&self) -> bool {
        matches!(
            self.phase,
            Phase::Installing | Phase::Settling(_) | Phase::Verifying(_) | Phase::Rebooting { .. }
        )
    }
}
