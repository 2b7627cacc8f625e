//! How the background work went: the last run of each kind, for `doctor` and the metrics. In memory; a restarted server
//! runs everything soon.

use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is known of each kind of work by its name.
#[derive(Debug, Default)]
pub struct Board(Mutex<BTreeMap<&'static str, Standing>>);

/// What is known of one kind of work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The last run here.
    pub last: Option<Run>,
    /// When a run last ended well here.
    pub last_good: Option<Timestamp>,
    /// Runs that failed since then.
    pub failures: u32,
    /// When another node was last seen to be at it.
    pub elsewhere: Option<Timestamp>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub took: SignedDuration,
    /// What it did, or why it failed.
    pub outcome: Result<String, String>,
}

impl Board {
    /// Everything, by name.
    pub fn all(&self) -> BTreeMap<&'static str, Standing> {
        self.standings().clone()
    }

    pub(super) fn done(&self, name: &'static str, began: Timestamp, ended: Timestamp, what: String) {
        let mut standings = self.standings();
        let standing = standings.entry(name).or_default();
        standing.last = Some(Run {
            began,
            took: ended.duration_since(began),
            outcome: Ok(what),
        });
        standing.last_good = Some(ended);
        standing.failures = 0;
    }

    pub(super) fn failed(
        &self,
        name: &'static str,
        began: Timestamp,
        ended: Timestamp,
        error: &(dyn Error + 'static),
    ) {
        let mut standings = self.standings();
        let standing = standings.entry(name).or_default();
        standing.last = Some(Run {
            began,
            took: ended.duration_since(began),
            outcome: Err(chain(error)),
        });
        standing.failures = standing.failures.saturating_add(1);
    }

    pub(super) fn elsewhere(&self, name: &'static str, now: Timestamp) {
        self.standings().entry(name).or_default().elsewhere = Some(now);
    }

    fn standings(&self) -> MutexGuard<'_, BTreeMap<&'static str, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error with its causes, on one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
