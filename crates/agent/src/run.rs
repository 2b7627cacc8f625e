//! One transaction of apt, from start to outcome, in a process of its own: a transient systemd unit outside the agent's, or a
//! session of its own without systemd, so that an agent that is stopped, killed or replaced by the very update takes nothing
//! with it. What happens stands in the order's folder, written before it happens; whoever comes back reads it there.

pub(crate) mod job;
mod output;
mod running;
mod transact;

pub use output::{last_line, output};
pub use transact::transact;

use crate::kept::{Form, KeptError, PrivateFolder};
use crate::packages::Trouble;
use crate::packages::tool::Tool;
use domain::order::Order;
use domain::rollout::deployment::Failure;
use job::Job;
use protocol::message::orders::FailureKind;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The unit of an order, without its number.
const UNIT: &str = "patchyard-order-";
/// How long a transaction may take to come to life.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at whether it did.
const PAUSE: Duration = Duration::from_millis(10);
/// The outcome, in the order's folder.
const OUTCOME: &str = "outcome";
const FORM: Form = Form {
    word: "outcome",
    version: 1,
    longest: 16 << 20,
};

/// What a transaction is started with.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// The order's number.
    pub number: u64,
    /// The order's own folder, which only root may enter, with its world.
    pub folder: &'a Path,
    /// The order.
    pub order: &'a Order,
    /// The agent's own program; `/proc/self/exe` is followed.
    pub program: &'a Path,
    /// The words before `transact N` and `hook N`, such as `--state DIR`.
    pub words: &'a [OsString],
    /// By the boot clock, in microseconds: dpkg is not started at this moment or later. The end of the window or of the go's
    /// lease, whichever is sooner. What was cut off is repaired even then, and not carried on.
    pub latest_boot_micros: u64,
}

/// How a start went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It was started now.
    Now,
    /// It was at work already.
    Already,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// How.
    pub end: End,
    /// What is there of each package of the order that is not as ordered.
    pub left: Vec<Left>,
    /// What else is to be told: what was repaired, which hook of the host failed.
    pub notes: Vec<String>,
    /// How long it took, in milliseconds, without waiting for others.
    pub install_millis: u64,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "end", deny_unknown_fields)]
pub enum End {
    /// dpkg has everything as ordered, configured.
    Installed {},
    /// The time of its permission was over before it could begin, or go on after it was cut off: with another one it may be
    /// started again.
    Late {
        /// What it waited for, in a sentence.
        detail: String,
    },
    /// Nothing of it was begun, and nothing of it will be.
    NotBegun {
        /// Why.
        kind: FailureKind,
        /// In a sentence.
        detail: String,
    },
    /// It was begun, and is not as ordered; [`Outcome::left`] says what is there.
    Failed {
        /// Why.
        kind: FailureKind,
        /// In a sentence.
        detail: String,
    },
}

/// A package that is not as ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Left {
    /// `name:architecture`.
    pub package: String,
    /// The version that dpkg has; none if it has none.
    pub version: Option<String>,
    /// Whether it is unpacked and configured.
    pub is_whole: bool,
}

/// Starts the transaction of an order, or carries on with one that was cut off. Returns when it has come to life.
///
/// # Errors
/// [`Failure::PackageManager`]: it could not be started; nothing was begun.
pub fn start(start: &Start<'_>) -> Result<Begun, Trouble> {
    if is_running(start.folder) {
        return Ok(Begun::Already);
    }
    let program = followed(start.program);
    let words = start.words.iter().map(|word| word.to_string_lossy().into_owned());
    let own = PrivateFolder::open(start.folder).map_err(|error| kept(&error))?;
    own.remove(OUTCOME).map_err(|error| kept(&error))?;
    let job = Job {
        order: start.order.clone(),
        program: program.clone(),
        words: words.collect(),
        latest_boot_micros: start.latest_boot_micros,
    };
    job.write(&own)?;
    let number = start.number.to_string();
    let own_words = (start.words.iter().cloned()).chain(["transact".into(), number.clone().into()]);
    let is_systemd = Path::new("/run/systemd/system").is_dir();
    let own_words = std::iter::once(program.into_os_string()).chain(own_words);
    if is_systemd {
        let words = unit_words(&number).into_iter().chain(own_words);
        Tool::SystemdRun.tell(words, Failure::PackageManager)?;
    } else {
        let words = std::iter::once(OsString::from("--fork")).chain(own_words);
        Tool::Setsid.detach(words)?;
    }
    wait_until_alive(start.folder)
}

/// The words of systemd-run(1). The unit's other processes outlive its first: dpkg is not to be killed for a lack of us.
fn unit_words(number: &str) -> Vec<OsString> {
    let words = [
        format!("--unit={UNIT}{number}"),
        format!("--description=Patchyard order {number}"),
        "--collect".to_owned(),
        "--quiet".to_owned(),
        "--service-type=exec".to_owned(),
        "--property=KillMode=process".to_owned(),
        "--property=OOMScoreAdjust=-900".to_owned(),
        "--".to_owned(),
    ];
    words.map(OsString::from).to_vec()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: another process comes to life, and tells nobody"
)]
fn wait_until_alive(folder: &Path) -> Result<Begun, Trouble> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < PATIENCE {
        if is_running(folder) || outcome(folder).is_some() {
            return Ok(Begun::Now);
        }
        std::thread::sleep(PAUSE);
    }
    let detail = "the transaction was started and did not come to life";
    Err(Trouble::new(Failure::PackageManager, detail))
}

/// Whether the transaction of this folder is at work.
pub fn is_running(folder: &Path) -> bool {
    running::is_taken(folder)
}

/// How the transaction of this folder ended; `None` while it has not, or was cut off.
pub fn outcome(folder: &Path) -> Option<Outcome> {
    let own = PrivateFolder::look(folder).ok().flatten()?;
    let body = own.read(OUTCOME, FORM).ok().flatten()?;
    serde_json::from_slice(&body).ok()
}

/// A program by its own path: a link of `/proc` means another program in another process, and a replaced program's end says so.
fn followed(program: &Path) -> PathBuf {
    let path = std::fs::read_link(program).unwrap_or_else(|_| program.to_owned());
    match path.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
        Some(path) => PathBuf::from(path),
        None => path,
    }
}

pub(crate) fn kept(error: &KeptError) -> Trouble {
    let is_full =
        matches!(error, KeptError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::StorageFull);
    let kind = if is_full {
        Failure::DiskFull
    } else {
        Failure::PackageManager
    };
    Trouble::new(kind, &crate::problem::chain(error))
}
