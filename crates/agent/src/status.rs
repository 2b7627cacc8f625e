//! How things stand, for the person in front of the host: where it is enrolled, when it was last heard, what it allows, what is
//! wrong and what to do. The network process leaves it in a file that everybody may read; there is no secret in it.

mod screen;

pub use screen::screen;

use crate::executor::spool::Board;
use crate::mode::Mode;
use crate::service::{Places, read_bounded};
use crate::session::{Memory, Phase, Session, Stop, Trouble};
use crate::transport::failure::span;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// The file's name.
const NAME: &str = "status.json";
/// The longest status, in bytes.
const LONGEST: u64 = 64 << 10;
/// The longest board, in bytes.
const LONGEST_ORDERS: u64 = 4 << 20;
/// From this difference on a wrong clock is told, in seconds.
const CLOCK_TROUBLE_SECONDS: i64 = 300;

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The agent's version.
    pub agent_version: String,
    /// One word: `unenrolled`, `enrolling`, `enrolled`, `pending`, `quarantined`, `retired`, `unknown`, `version`, `expired`.
    pub state: String,
    /// The host's id.
    pub host: Option<String>,
    /// The site's name.
    pub site: Option<String>,
    /// The server that answered last, or the first to try.
    pub server: Option<String>,
    /// When the last check-in was answered, in microseconds since 1970 UTC, by the server's time.
    pub last_check_in: Option<i64>,
    /// When the next one is due, likewise.
    pub next_check_in: Option<i64>,
    /// Until when the certificate counts, likewise.
    pub certificate_until: Option<i64>,
    /// The local ceiling.
    pub mode: String,
    /// What is wrong, the worst first.
    pub troubles: Vec<Trouble>,
    /// When this was written, by the host's own date, in microseconds since 1970 UTC.
    pub written_at: i64,
}

/// How a session stands.
pub fn of(session: &Session, mode: Mode, now: Timestamp) -> Standing {
    let memory = session.memory();
    let mut troubles: Vec<Trouble> = session.trouble().cloned().into_iter().collect();
    let off = session.clock_off_seconds();
    if off.abs() >= CLOCK_TROUBLE_SECONDS && memory.host().is_some() {
        let side = if off < 0 { "behind" } else { "ahead of" };
        troubles.push(Trouble::new(
            format!("This host's clock is {} {side} the server's.", span(SignedDuration::from_secs(off))),
            "set it, for example with `timedatectl set-ntp true`; the agent itself goes by the server's time.",
        ));
    }
    let (host, site, certificate_until) = match &memory.phase {
        Phase::Enrolled {
            host,
            site,
            not_after,
            ..
        } => (Some(host.to_string()), Some(site.clone()), Some(*not_after)),
        _ => (None, None, None),
    };
    let server = memory.good_address.as_ref().or(memory.addresses.first());
    Standing {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        state: state(memory).to_owned(),
        host,
        site,
        server: server.map(ToString::to_string),
        last_check_in: memory.last_check_in,
        next_check_in: session.next_round().map(Timestamp::as_microsecond),
        certificate_until,
        mode: mode.word().to_owned(),
        troubles,
        written_at: now.as_microsecond(),
    }
}

fn state(memory: &Memory) -> &'static str {
    match &memory.phase {
        Phase::Unenrolled => "unenrolled",
        Phase::Enrolling(_) => "enrolling",
        Phase::Enrolled { stop, .. } => match stop {
            None => "enrolled",
            Some(Stop::Pending) => "pending",
            Some(Stop::Quarantined) => "quarantined",
            Some(Stop::Retired) => "retired",
            Some(Stop::Unknown) => "unknown",
            Some(Stop::Version) => "version",
            Some(Stop::Expired) => "expired",
        },
    }
}

/// A status that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The operating system says no.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It is no status.
    #[error("{} is no status that this version understands", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
    },
}

/// Leaves the status for everybody to read.
pub(crate) fn leave(places: &Places, standing: &Standing) -> std::io::Result<()> {
    let folder = places.public();
    std::fs::create_dir_all(&folder)?;
    let next = folder.join("status.next");
    let mut file = File::create(&next)?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))?;
    file.write_all(&serde_json::to_vec(standing)?)?;
    std::fs::rename(next, folder.join(NAME))
}

/// The status that was left last; nothing if the agent never ran.
pub fn read(places: &Places) -> Result<Option<Standing>, StatusError> {
    let path = places.public().join(NAME);
    match read_bounded(&path, LONGEST) {
        Ok(Some(bytes)) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|_| StatusError::Malformed { path }),
        Ok(None) => Err(StatusError::Malformed { path }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(StatusError::Io { path, cause }),
    }
}

/// How far orders are, as the executor left it; none if it never had any.
///
/// # Errors
/// [`StatusError`].
pub fn orders(places: &Places) -> Result<Board, StatusError> {
    let path = places.doing();
    match read_bounded(&path, LONGEST_ORDERS) {
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|_| StatusError::Malformed { path }),
        Ok(None) => Err(StatusError::Malformed { path }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Board::default()),
        Err(cause) => Err(StatusError::Io { path, cause }),
    }
}

/// Whether the service runs: whoever runs it holds a lock. Everybody may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// It runs.
    Runs,
    /// It does not.
    Stopped,
}

/// Takes the lock that says that the service runs; nothing if another process has it.
pub fn take_service_lock(places: &Places) -> std::io::Result<Option<File>> {
    std::fs::create_dir_all(&places.state)?;
    let file = File::options().create(true).append(true).open(places.running())?;
    rustix::fs::fchmod(&file, rustix::fs::Mode::from_raw_mode(0o644))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether the service runs now.
pub fn service(places: &Places) -> Service {
    let Ok(file) = File::open(places.running()) else {
        return Service::Stopped;
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => Service::Runs,
        _ => Service::Stopped,
    }
}
