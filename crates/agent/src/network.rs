//! The process that talks to the server, under a user that may do nothing else: it carries out what the session says, with the
//! journal, one connection, and the outbox that the executor fills. It reads nothing of the host that every user may not.

mod bell;
mod edge;
mod fetch;
mod files;
mod look;

pub use bell::Bell;
pub use edge::boot_clock;

use crate::documents::carry::Carried;
use crate::executor::asks;
use crate::executor::spool::Outbox;
use crate::journal::{self, Journal, JournalError};
use crate::service::Places;
use crate::service::log::Log;
use crate::session::{self, Effect, Event, Failure, Phase, Session, Trouble, upload};
use crate::status::{self, Standing};
use crate::transport::{ClientIdentity, Pins, ProxySettings, Transport, TransportSettings};
use bell::Woken;
use files::Partial;
use protocol::address::ServerAddress;
use protocol::token::EnrolmentToken;
use std::collections::VecDeque;
use std::time::Duration;

/// How often an agent that nobody enrolled looks whether somebody did.
const LOOK_FOR_ENROLMENT: Duration = Duration::from_secs(5);

/// How the network process runs.
#[derive(Debug)]
pub struct Network {
    /// Where everything is.
    pub places: Places,
    /// The way out.
    pub proxies: ProxySettings,
    /// Where sentences go.
    pub log: Log,
    /// The way to ask the executor; absent if there is none.
    pub bell: Option<Bell>,
}

/// What ends the network process.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The executor is gone.
    #[error("the executor ended")]
    ExecutorEnded,
    /// Enrolling did not succeed.
    #[error("{}", trouble.sentence)]
    NotEnrolled {
        /// What is wrong and what to do.
        trouble: Trouble,
    },
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Sleep(Duration),
    Rest,
}

/// Runs until the journal cannot be used or the executor ends.
///
/// # Errors
/// [`NetworkError`]; faults of the way to the server are logged and tried again.
pub fn run(network: &mut Network) -> Result<std::convert::Infallible, NetworkError> {
    loop {
        let mut round = Round::open(network)?;
        round.begin(network)?;
        let mut pause = round.wake(network)?;
        while let Pause::Sleep(delay) = pause {
            pause = match network.wait(delay)? {
                Woken::Time => round.wake(network)?,
                Woken::Changed => round.look_at_orders(network)?,
            };
        }
        // The journal is free now, so that somebody can enrol this host.
        drop(round);
        let before = journal::look(&network.places.identity())?;
        while matches!(&before, Some(memory) if memory.phase == Phase::Unenrolled) || before.is_none() {
            network.wait(LOOK_FOR_ENROLMENT)?;
            let now = journal::look(&network.places.identity())?;
            if now.is_some_and(|memory| memory.phase != Phase::Unenrolled) {
                break;
            }
        }
    }
}

/// One round: checks in, sends what is wanted, and gives how things stand.
///
/// # Errors
/// [`NetworkError`] only for this side; what is wrong with the server stands in the answer.
pub fn once(network: &mut Network) -> Result<Standing, NetworkError> {
    let mut round = Round::open(network)?;
    round.begin(network)?;
    round.wake(network)?;
    Ok(round.standing(network))
}

/// Enrols this host, and checks in for the first time.
///
/// # Errors
/// [`NetworkError::NotEnrolled`] with what is wrong and what to do.
pub fn enrol(network: &mut Network, token: EnrolmentToken) -> Result<Standing, NetworkError> {
    let mut round = Round::open(network)?;
    let look = look::now(&network.places, round.session.memory());
    round.happen(Event::Enrol(token, look), network)?;
    let standing = round.standing(network);
    match (&round.session.memory().phase, round.session.trouble()) {
        (Phase::Enrolled { .. }, None) => Ok(standing),
        (Phase::Enrolled { stop, .. }, Some(_)) if stop.is_some() => Ok(standing),
        (_, Some(trouble)) => Err(NetworkError::NotEnrolled {
            trouble: trouble.clone(),
        }),
        _ => Ok(standing),
    }
}

impl Network {
    /// Waits for this long, or until the executor says something of orders.
    fn wait(&mut self, delay: Duration) -> Result<Woken, NetworkError> {
        match &mut self.bell {
            Some(bell) => bell.wait(delay).map_err(|_| NetworkError::ExecutorEnded),
            None => {
                edge::sleep(delay);
                Ok(Woken::Time)
            }
        }
    }

    fn ring(&mut self) -> Result<(), NetworkError> {
        match &mut self.bell {
            Some(bell) => bell.ring().map_err(|_| NetworkError::ExecutorEnded),
            None => Ok(()),
        }
    }

    /// Leaves something for the executor; the server says it again if that cannot be done.
    fn ask(&mut self, ask: &asks::Ask) -> Result<(), NetworkError> {
        if let Err(error) = asks::leave(&self.places.asks(), ask) {
            let sentence = format!("Cannot leave {} for the executor: {error}.", ask.name());
            self.log.say(edge::wall_clock(), &sentence);
        }
        self.ring()
    }
}

/// A session at work, with what it holds open.
struct Round {
    journal: Journal,
    session: Session,
    transport: Option<Transport>,
    rung: Option<std::time::Instant>,
    /// Index files that the server asked this host to carry.
    carried: Vec<Carried>,
    /// The file of which a part came last.
    partial: Option<Partial>,
}

impl Round {
    fn open(network: &Network) -> Result<Self, NetworkError> {
        let journal = Journal::open(&network.places.identity())?;
        let memory = journal.read()?.unwrap_or_default();
        Ok(Self {
            journal,
            session: Session::new(memory),
            transport: None,
            rung: None,
            carried: Vec::new(),
            partial: None,
        })
    }

    fn begin(&mut self, network: &Network) -> Result<(), NetworkError> {
        self.publish(network);
        Ok(())
    }

    fn wake(&mut self, network: &mut Network) -> Result<Pause, NetworkError> {
        let is_enrolled = self.session.memory().host().is_some();
        let pace = u64::from(self.session.memory().check_in_seconds);
        let is_due = edge::is_past(self.rung, Duration::from_secs(pace.min(LEAST_BETWEEN_RINGS)));
        // While an order is carried out the executor reads the host by itself, and nothing here waits for that.
        if is_enrolled && is_due && !self.session.is_at_an_order() {
            if let Some(bell) = &mut network.bell {
                bell.collect(&network.places)
                    .map_err(|_| NetworkError::ExecutorEnded)?;
            }
            self.rung = Some(edge::now());
        }
        self.carried = look::carried(self.session.carry());
        let mut look = look::now(&network.places, self.session.memory());
        look.carried = self.carried.iter().map(|carried| carried.file.clone()).collect();
        if !look.orders.is_active {
            let wanted = look.orders.wants.iter().map(|wish| wish.digest);
            let keep: Vec<_> = wanted.chain(self.session.bundles()).collect();
            self.partial = None;
            files::tidy(&network.places, &keep);
        }
        self.happen(Event::Wake(look), network)
    }

    fn look_at_orders(&mut self, network: &mut Network) -> Result<Pause, NetworkError> {
        match look::orders(&network.places) {
            Ok(board) => self.happen(Event::Orders(board), network),
            // The look of a whole round says what is wrong.
            Err(_) => self.wake(network),
        }
    }

    /// Carries out everything that follows from an event, until the session pauses.
    fn happen(&mut self, event: Event, network: &mut Network) -> Result<Pause, NetworkError> {
        let mut events = VecDeque::from([event]);
        let mut pause = Pause::Rest;
        while let Some(event) = events.pop_front() {
            let session = std::mem::replace(&mut self.session, Session::new(Default::default()));
            let (session, effects) = session::next(session, event, &edge::moment());
            self.session = session;
            for effect in effects {
                match effect {
                    Effect::Save => self.journal.write(self.session.memory())?,
                    Effect::Reconnect => self.transport = None,
                    Effect::Say(sentence) => network.log.say(edge::wall_clock(), &sentence),
                    Effect::Send {
                        to,
                        envelope,
                        hold_seconds,
                    } => events.push_back(self.exchange(network, &to, &envelope, hold_seconds)),
                    Effect::Upload(wanted) => {
                        let shelf = look::Shelves::open(&network.places, &self.carried);
                        events.push_back(Event::Ready(upload::collect(wanted, &shelf)));
                    }
                    Effect::Ask(ask) => network.ask(&ask)?,
                    Effect::Ring => network.ring()?,
                    Effect::Fetch { from, file, ticket } => {
                        let fetched = self.fetch(network, &from, file, &ticket);
                        events.push_back(Event::Fetched(fetched));
                    }
                    Effect::Sleep(delay) => pause = Pause::Sleep(delay),
                    Effect::Rest => pause = Pause::Rest,
                }
            }
            self.publish(network);
        }
        Ok(pause)
    }

    fn exchange(
        &mut self,
        network: &Network,
        to: &ServerAddress,
        envelope: &[u8],
        hold_seconds: u32,
    ) -> Event {
        let moment = edge::moment();
        let memory = self.session.memory();
        let now = memory.estimate(moment.boot_clock, moment.wall_clock);
        let has_heard = memory.has_heard();
        let hold = Duration::from_secs(u64::from(hold_seconds));
        let transport = match self.transport(network) {
            Ok(transport) => transport,
            Err(trouble) => return failed(trouble, None),
        };
        let exchange = |now| transport.exchange(&to.to_string(), envelope, now, hold);
        let answered = exchange(now).or_else(|error| match error.certificate_begins() {
            // What the pinned authority certified for later proves that it is later: this host slept, or the server's clock
            // was behind when it was last heard. Only the date of a host that never heard a server may be wrong by itself.
            Some(begins) if has_heard => exchange(begins),
            _ => Err(error),
        });
        match answered {
            Ok(answer) => Event::Answer(answer),
            Err(error) => {
                let later = error.retry_after_seconds();
                failed(trouble_of(&error, error.next_step()), later)
            }
        }
    }

    fn transport(&mut self, network: &Network) -> Result<&Transport, Trouble> {
        if self.transport.is_none() {
            let memory = self.session.memory();
            let settings = TransportSettings {
                proxy: network.proxies.clone(),
                ..TransportSettings::default()
            };
            let moment = edge::moment();
            let now = memory
                .estimate(moment.boot_clock, moment.wall_clock)
                .as_microsecond();
            let identity = client_identity(memory, now);
            let made = Transport::new(settings, &Pins(memory.pins.clone()), identity.as_ref());
            self.transport = Some(made.map_err(|error| {
                Trouble::new(
                    format!("{error}."),
                    "mend agent.toml or the environment of the agent.",
                )
            })?);
        }
        Ok(self.transport.as_ref().expect("it was just made"))
    }

    fn standing(&self, network: &Network) -> Standing {
        status::of(
            &self.session,
            crate::mode::read(&network.places),
            edge::wall_clock(),
        )
    }

    /// Leaves what `status` shows; that it cannot is no reason to stop.
    fn publish(&self, network: &Network) {
        if let Err(error) = status::leave(&network.places, &self.standing(network)) {
            let sentence = format!("Cannot leave the status for `patchyard-agent status`: {error}.");
            network.log.say(edge::wall_clock(), &sentence);
        }
    }
}

/// The executor is asked at most this often, in seconds, or once in the server's own pace: held check-ins follow each other
/// faster than hosts change.
const LEAST_BETWEEN_RINGS: u64 = 240;

fn failed(trouble: Trouble, retry_after_seconds: Option<u32>) -> Event {
    Event::Failed(Failure {
        trouble,
        retry_after_seconds,
    })
}

fn trouble_of(error: &dyn std::error::Error, next_step: String) -> Trouble {
    let sentence = crate::problem::chain(error);
    let mut letters = sentence.chars();
    let first: String = letters
        .next()
        .map(|first| first.to_uppercase().collect())
        .unwrap_or_default();
    Trouble::new(format!("{first}{}.", letters.as_str()), format!("{next_step}."))
}

/// The certificate for TLS while it counts; an ended one is left out, since renewing needs none.
fn client_identity(memory: &session::Memory, now: i64) -> Option<ClientIdentity> {
    let Phase::Enrolled {
        certificates,
        not_before,
        not_after,
        ..
    } = &memory.phase
    else {
        return None;
    };
    let counts = (*not_before..=*not_after).contains(&now) && !certificates.is_empty();
    counts.then(|| ClientIdentity {
        chain: certificates
            .iter()
            .map(|certificate| certificate.0.clone())
            .collect(),
        key_pkcs8: memory
            .signing_key()
            .map(|key| key.to_pkcs8().to_vec())
            .unwrap_or_default(),
    })
}

/// Whether the outbox has anything in it yet.
pub fn has_documents(places: &Places) -> bool {
    Outbox::open(places).is_ok_and(|outbox| !outbox.list.documents.is_empty())
}
