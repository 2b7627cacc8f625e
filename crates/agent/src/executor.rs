//! The process that may do what only root may: it starts the network process under another user, reads the host when that is
//! due and hands the documents over as files, and carries out orders. It never touches the network, and what the other process
//! asks of it is judged here, not there.

pub mod asks;
mod desk;
pub mod files;
mod search;
mod seen;
pub mod spool;
mod transaction;
pub mod watch;

use crate::service::log::Log;
use crate::service::{Account, Places};
use asks::{Ask, AskRefused};
use desk::{Desk, Found, Wanted};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use watch::Stamp;

/// Even if nothing seems changed, the host is read anew after this time: services and sockets leave no trace in files.
const FULL_READING: Duration = Duration::from_secs(3_600);
/// The host is never read more often than this, whatever the network process asks for.
const LEAST_GAP: Duration = Duration::from_secs(10);
/// A reading that takes longer is stopped.
const READING_LIMIT: Duration = Duration::from_secs(120);
/// Before a network process that ended is started again; doubled each time it ends soon, up to [`LONGEST_RESTART`].
const FIRST_RESTART: Duration = Duration::from_secs(1);
/// The longest such wait.
const LONGEST_RESTART: Duration = Duration::from_secs(300);
/// The longest line on the bell that is read, in bytes.
const LONGEST_RING: u64 = 256;
/// The word that rings for the executor to look into its asks, and for the files that it wants.
pub const RING: &str = "asks";
/// The word by which the executor answers [`Ask::Collect`]: the outbox is as new as it gets.
pub const DONE: &str = "done";
/// The word by which the executor says, at any time, that what it tells of orders has changed ([`spool::Board`]).
pub const CHANGED: &str = "orders";

/// How the executor runs.
#[derive(Debug)]
pub struct Executor {
    /// Where everything is.
    pub places: Places,
    /// The program to start for the network and for readings: this one.
    pub program: std::path::PathBuf,
    /// Arguments that both get.
    pub arguments: Vec<std::ffi::OsString>,
    /// The user of the network process; absent: the caller's own.
    pub account: Option<Account>,
    /// Where sentences go.
    pub log: Log,
    /// The time for them.
    pub clock: fn() -> jiff::Timestamp,
}

/// What ends the executor.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// A folder of its own cannot be made.
    #[error("cannot make the agent's folders below {}", path.display())]
    Folders {
        /// The folder.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// This very program cannot be started again.
    #[error("cannot start {} as the network process", program.display())]
    Start {
        /// The program.
        program: std::path::PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

#[derive(Debug)]
enum Event {
    Ring {
        network: u64,
    },
    NetworkEnded {
        network: u64,
    },
    ReadingEnded {
        reading: u64,
    },
    /// A thread has found something out about an order.
    Found {
        number: u64,
        found: Found,
    },
    /// What is told of orders has changed.
    Told,
}

/// When and of what the host was read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastReading {
    /// When it began, on the monotonic clock.
    pub at: Instant,
    /// How the watched files looked.
    pub stamp: Stamp,
}

/// Whether the host is to be read now.
pub fn is_due(last: Option<LastReading>, now: Instant, stamp: Stamp) -> bool {
    last.is_none_or(|last| {
        let age = now.saturating_duration_since(last.at);
        age >= FULL_READING || (stamp != last.stamp && age >= LEAST_GAP)
    })
}

struct Network {
    child: Child,
    answers: ChildStdin,
    number: u64,
    started: Instant,
}

struct Reading {
    child: Child,
    number: u64,
    begun: LastReading,
}

struct Work<'a> {
    executor: &'a Executor,
    sender: Sender<Event>,
    count: u64,
    network: Option<Network>,
    restart: Duration,
    restart_at: Instant,
    reading: Option<Reading>,
    last: Option<LastReading>,
    /// Whether the network process waits for a reading.
    is_asked: bool,
    desk: Desk<'a>,
}

/// Runs until it cannot go on.
///
/// # Errors
/// [`ExecutorError`]; faults of single readings and ends of the network process are logged and tried again.
pub fn run(executor: &Executor) -> Result<std::convert::Infallible, ExecutorError> {
    spool::make_folders(&executor.places, executor.account)
        .map_err(|(path, cause)| ExecutorError::Folders { path, cause })?;
    let (sender, events) = channel();
    let desk = Desk::open(executor, sender.clone());
    let mut work = Work {
        executor,
        sender,
        is_asked: false,
        desk,
        count: 0,
        network: None,
        restart: FIRST_RESTART,
        restart_at: now(),
        reading: None,
        last: None,
    };
    work.start_reading();
    // What an earlier network process left without ringing. Nobody waits for a reading of it.
    work.look_into_asks();
    work.is_asked = false;
    work.start_network()?;
    loop {
        work.step(&events)?;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: waits and limits of processes are real time"
)]
fn now() -> Instant {
    Instant::now()
}

impl Work<'_> {
    fn step(&mut self, events: &Receiver<Event>) -> Result<(), ExecutorError> {
        let wait = self.next_deadline().saturating_duration_since(now());
        match events.recv_timeout(wait) {
            Ok(Event::Ring { network }) if self.is_current(network) => self.look_into_asks(),
            Ok(Event::NetworkEnded { network }) if self.is_current(network) => self.network_ended(),
            Ok(Event::ReadingEnded { reading }) => self.reading_ended(reading),
            Ok(Event::Ring { .. } | Event::NetworkEnded { .. }) => {}
            Ok(Event::Found { number, found }) => self.desk.found(number, found),
            Ok(Event::Told) => self.tell(CHANGED),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        self.stop_a_long_reading();
        if self.desk.go_on(now()) == Wanted::Reading && self.reading.is_none() {
            self.start_reading();
        }
        if self.network.is_none() && now() >= self.restart_at {
            self.start_network()?;
        }
        Ok(())
    }

    fn next_deadline(&self) -> Instant {
        let reading = self
            .reading
            .as_ref()
            .map(|reading| reading.begun.at + READING_LIMIT);
        let restart = self.network.is_none().then_some(self.restart_at);
        let idle = now() + FULL_READING;
        [reading, restart, self.desk.next_look()]
            .into_iter()
            .flatten()
            .fold(idle, Instant::min)
    }

    fn is_current(&self, number: u64) -> bool {
        self.network
            .as_ref()
            .is_some_and(|network| network.number == number)
    }

    fn number(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn say(&self, sentence: &str) {
        self.executor.log.say((self.executor.clock)(), sentence);
    }

    fn command(&self, word: &str) -> Command {
        let mut command = Command::new(&self.executor.program);
        command
            .arg0("patchyard-agent")
            .arg(word)
            .args(&self.executor.arguments);
        command
    }

    fn start_network(&mut self) -> Result<(), ExecutorError> {
        let mut command = self.command("network");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        if let Some(account) = self.executor.account {
            // Supplementary groups are dropped by the standard library when a user is set and root asks.
            command.gid(account.gid).uid(account.uid).current_dir("/");
        }
        let mut child = command.spawn().map_err(|cause| ExecutorError::Start {
            program: self.executor.program.clone(),
            cause,
        })?;
        let number = self.number();
        let answers = child.stdin.take().expect("it was asked for");
        let rings = child.stdout.take().expect("it was asked for");
        let sender = self.sender.clone();
        thread::spawn(move || listen(rings, number, &sender));
        self.network = Some(Network {
            child,
            answers,
            number,
            started: now(),
        });
        Ok(())
    }

    fn network_ended(&mut self) {
        let Some(mut network) = self.network.take() else {
            return;
        };
        let status = network
            .child
            .wait()
            .map_or_else(|error| error.to_string(), |status| status.to_string());
        if now().saturating_duration_since(network.started) > LONGEST_RESTART {
            self.restart = FIRST_RESTART;
        }
        let seconds = self.restart.as_secs();
        self.say(&format!(
            "The network process ended ({status}); it is started again in {seconds} s."
        ));
        self.restart_at = now() + self.restart;
        self.restart = (self.restart * 2).min(LONGEST_RESTART);
    }

    fn look_into_asks(&mut self) {
        let account = self.executor.account;
        let mut is_asked = false;
        self.desk.rung();
        for ask in asks::take(&self.executor.places.asks(), account) {
            match ask {
                Ok(Ask::Collect {}) => is_asked = true,
                Ok(ask) => self.desk.ask(ask),
                Err(AskRefused { name, why }) => {
                    self.say(&format!("Refused the ask {name}: {why}."));
                }
            }
        }
        if !is_asked {
            return;
        }
        self.is_asked = true;
        let stamp = watch::stamp(std::path::Path::new("/"));
        if self.reading.is_none() && is_due(self.last, now(), stamp) {
            self.start_reading();
        }
        if self.reading.is_none() {
            self.answer();
        }
    }

    /// Tells the network process that the outbox is as new as it gets, if it asked.
    fn answer(&mut self) {
        if std::mem::take(&mut self.is_asked) {
            self.tell(DONE);
        }
    }

    /// Says a word to the network process.
    fn tell(&mut self, word: &str) {
        if let Some(network) = &mut self.network {
            // If it has just ended, its end is the next event.
            let _ = writeln!(network.answers, "{word}").and_then(|()| network.answers.flush());
        }
    }

    fn start_reading(&mut self) {
        let begun = LastReading {
            at: now(),
            stamp: watch::stamp(std::path::Path::new("/")),
        };
        self.last = Some(begun);
        let mut command = self.command("collect");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return self.say(&format!("Cannot start a reading of the host: {error}.")),
        };
        let number = self.number();
        let end = child.stdout.take().expect("it was asked for");
        let sender = self.sender.clone();
        thread::spawn(move || {
            // It prints nothing: this waits for its end.
            let _ = std::io::copy(&mut BufReader::new(end), &mut std::io::sink());
            let _ = sender.send(Event::ReadingEnded { reading: number });
        });
        self.reading = Some(Reading { child, number, begun });
    }

    fn reading_ended(&mut self, number: u64) {
        let Some(mut reading) = self.reading.take_if(|reading| reading.number == number) else {
            return;
        };
        let outcome = match reading.child.wait() {
            Ok(status) if status.success() => {
                self.last = Some(reading.begun);
                Ok(())
            }
            Ok(status) => Err(status.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = &outcome {
            self.say(&format!(
                "Reading the host failed ({why}); the documents stay as they were."
            ));
        }
        self.desk.read(reading.begun.at, outcome);
        self.answer();
    }

    fn stop_a_long_reading(&mut self) {
        let is_late = |reading: &mut Reading| now() >= reading.begun.at + READING_LIMIT;
        if let Some(mut reading) = self.reading.take_if(is_late) {
            // It may have ended this moment; either way it is waited for.
            let _ = reading.child.kill();
            let _ = reading.child.wait();
            let limit = READING_LIMIT.as_secs();
            self.say(&format!(
                "Reading the host took more than {limit} s and was stopped; the documents stay as they were."
            ));
            let why = format!("that took more than {limit} s");
            self.desk.read(reading.begun.at, Err(why));
            self.answer();
        }
    }
}

/// Passes on each ring of the bell, and the end. What is rung does not matter, and an endless line is one ring.
fn listen(rings: impl Read, network: u64, sender: &Sender<Event>) {
    let mut rings = BufReader::new(rings);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = rings.by_ref().take(LONGEST_RING).read_until(b'\n', &mut line);
        let event = match read {
            Ok(0) | Err(_) => Event::NetworkEnded { network },
            Ok(_) => Event::Ring { network },
        };
        let is_end = matches!(event, Event::NetworkEnded { .. });
        if sender.send(event).is_err() || is_end {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(last: Instant, seconds: u64) -> Instant {
        last + Duration::from_secs(seconds)
    }

    #[test]
    fn the_host_is_read_when_it_changed_or_an_hour_passed_and_never_twice_in_ten_seconds() {
        let at = now();
        let (old, new) = (Stamp([1; 32]), Stamp([2; 32]));
        let last = Some(LastReading { at, stamp: old });
        assert!(is_due(None, at, old));
        assert!(!is_due(last, seconds(at, 3_599), old));
        assert!(is_due(last, seconds(at, 3_600), old));
        assert!(!is_due(last, seconds(at, 9), new));
        assert!(is_due(last, seconds(at, 10), new));
    }
}
