//! What the desk asks of the package manager: each of these is one question or one deed, on the order's own folder.

use super::{Executor, files};
use crate::order::journal::order_folder;
use crate::order::{Accepted, Found, Trouble};
use crate::packages::{self, World, WorldPlaces};
use crate::service::Places;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How a transaction is.
pub(super) enum Look {
    /// At work.
    Runs {
        /// What was said last.
        last_line: String,
    },
    /// It ended.
    Ended {
        /// How.
        end: Result<(), Trouble>,
        /// In milliseconds.
        millis: u64,
    },
    /// Its permission ended before it could begin, or go on.
    Late {
        /// What it waited for.
        why: String,
        /// Whether anything was done.
        done: crate::order::Done,
    },
    /// It does not run, and left no word.
    Lost,
}

/// The file that stands in an order's folder from when apt was begun.
const BEGUN: &str = "begun";

/// How often a comparison is tried by an executor that has just begun.
const TRIES: u32 = 4;
/// Between two of them.
const PAUSE: Duration = Duration::from_secs(2);

/// Whether another executor may have died in the middle of a comparison just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alone {
    /// Its apt may still be at work in the same folder: what fails is tried again when that has ended.
    Perhaps,
    /// That was too long ago.
    Surely,
}

/// Builds the private world of an order, and compares what apt would do with it.
pub(super) fn compare(places: &Places, accepted: &Accepted, alone: Alone) -> Result<Found, Trouble> {
    let mut left = TRIES;
    loop {
        left -= 1;
        match compare_once(places, accepted) {
            Err(_) if alone == Alone::Perhaps && left > 0 => thread::park_timeout(PAUSE),
            found => return found,
        }
    }
}

fn compare_once(places: &Places, accepted: &Accepted) -> Result<Found, Trouble> {
    let store = files::store(places);
    let own = WorldPlaces {
        folder: order_folder(places, accepted.order.number),
    };
    let file = |digest: &domain::digest::Sha256Digest| store.join(digest.to_string());
    let world = World::build(&own, &accepted.order, &file).map_err(of_packages)?;
    let simulated = world
        .simulate(&accepted.order, &accepted.approval)
        .map_err(of_packages)?;
    Ok(match simulated.steps {
        0 => Found::InPlace,
        _ => Found::Exact,
    })
}

/// Begins the transaction of an order, in a process that outlives this one; or takes one up that was cut off.
pub(super) fn start(executor: &Starter, accepted: &Accepted, until_micros: u64) -> Result<(), Trouble> {
    let number = accepted.order.number;
    let start = packages::Start {
        number,
        folder: &order_folder(&executor.places, number),
        order: &accepted.order,
        program: &executor.program,
        words: &executor.words,
        latest_boot_micros: until_micros,
    };
    packages::start(&start).map(drop).map_err(of_packages)
}

/// What a transaction is started with, for a thread.
#[derive(Clone, Debug)]
pub(super) struct Starter {
    places: Places,
    program: std::path::PathBuf,
    words: Vec<std::ffi::OsString>,
}

impl Starter {
    /// Of an executor.
    pub(super) fn of(executor: &Executor) -> Self {
        Self {
            places: executor.places.clone(),
            program: executor.program.clone(),
            words: executor.arguments.clone(),
        }
    }
}

/// Looks after the transaction of an order's folder.
pub(super) fn look(folder: &Path) -> Look {
    // In this order: the outcome is written before the process ends.
    let is_running = packages::is_running(folder);
    let Some(outcome) = packages::outcome(folder) else {
        if is_running {
            let last_line = packages::last_line(folder);
            return Look::Runs { last_line };
        }
        return Look::Lost;
    };
    let failed = |kind, detail: &str| {
        Err(Trouble {
            kind,
            detail: with_notes(detail, &outcome),
        })
    };
    let end = match &outcome.end {
        packages::End::Installed {} => Ok(()),
        packages::End::NotBegun { kind, detail } => failed((*kind).into(), detail),
        packages::End::Failed { kind, detail } => failed((*kind).into(), detail),
        packages::End::Late { detail } => {
            let done = match folder.join(BEGUN).exists() {
                true => crate::order::Done::Something,
                false => crate::order::Done::Nothing,
            };
            let why = detail.clone();
            return Look::Late { why, done };
        }
    };
    Look::Ended {
        end,
        millis: outcome.install_millis,
    }
}

/// All that the package manager said.
pub(super) fn output(folder: &Path) -> String {
    packages::output(folder)
}

/// A sentence with what is left, and what else is to be told.
fn with_notes(detail: &str, outcome: &packages::Outcome) -> String {
    let left = outcome.left.iter().take(3).map(|left| {
        let version = left.version.as_deref().unwrap_or("not installed");
        let half = if left.is_whole || left.version.is_none() {
            ""
        } else {
            ", not whole"
        };
        format!("{} is {version}{half}", left.package)
    });
    let all = [detail.to_owned()]
        .into_iter()
        .chain(left)
        .chain(outcome.notes.iter().cloned());
    all.collect::<Vec<_>>().join("; ")
}

/// Restarts the services that run old code. What could not be restarted is seen by the reading that follows.
pub(super) fn restart(accepted: &Accepted) -> Result<(), Trouble> {
    packages::effect::restart(&accepted.order)
        .map(drop)
        .map_err(of_packages)
}

/// Restarts the host, with the order's notice.
pub(super) fn reboot(accepted: &Accepted) -> Result<(), Trouble> {
    packages::effect::reboot(&accepted.order)
        .map(drop)
        .map_err(of_packages)
}

fn of_packages(trouble: packages::Trouble) -> Trouble {
    Trouble {
        kind: trouble.kind,
        detail: trouble.detail,
    }
}
