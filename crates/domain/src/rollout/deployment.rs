//! One release on one host: what is wanted of it, and what is seen of it. The two never share a field, and what people are
//! shown is a function of both.

use jiff::Timestamp;
use std::fmt;

/// What is wanted. Only decisions change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intent {
    /// To be done when nothing stands in the way; also again, after an order was withdrawn.
    #[default]
    Planned,
    /// An order was made for the host.
    Ordered,
    /// Not to be done any more, by a person's decision; what has begun on the host is finished by it.
    Cancelled,
}

/// What the host reports, or nothing so far. Only results change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Observation {
    /// Nothing was heard.
    #[default]
    None,
    /// The order was taken, and its packages are being fetched.
    Taken,
    /// Everything is on the host, simulated and compared; it waits for its time or its go.
    Prepared,
    /// The package manager is at work.
    Installing,
    /// Installed; the host has to restart for it.
    RebootPending,
    /// A fresh inventory is awaited.
    Verifying,
    /// A fresh inventory shows it, and nothing old runs any more.
    Succeeded,
    /// A fresh inventory shows it, and something old still runs.
    NotInEffect,
    /// It ended otherwise.
    Failed(Failure),
}

/// Why a deployment failed, as a kind that rules and people can go by; the package manager's own words are kept beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// The host did not take the order.
    Refused,
    /// Files could not be fetched, or were not the ones that were ordered.
    Content,
    /// A release file is not the one that was approved.
    Snapshot,
    /// The host is not any more as it was when the order was made.
    HostChanged,
    /// The package manager would have done something else than was ordered.
    Differs,
    /// Another program held the package manager's lock until the window closed.
    Busy,
    /// No room.
    DiskFull,
    /// A package's own script failed.
    Script,
    /// The package manager failed otherwise.
    PackageManager,
    /// It was cut off by a power cut or a crash, and could not be repaired.
    Interrupted,
    /// Its time ended before it began.
    Expired,
    /// A fresh inventory does not show it.
    NotSeen,
}

impl Failure {
    /// What to do next, in one sentence.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::Refused => "read the host's own reason; its mode may have to be raised there",
            Self::Content => "look at the source's last sync, then retry",
            Self::Snapshot => "approve the release again with the snapshot that is in force",
            Self::HostChanged | Self::Differs => "look at what is missing now, and approve that",
            Self::Busy => "see which program holds the lock, then retry",
            Self::DiskFull => "make room on the host, then retry",
            Self::Script | Self::PackageManager | Self::Interrupted => {
                "read the package manager's words, mend the host, then retry"
            }
            Self::Expired => "approve it again with a later end",
            Self::NotSeen => "ask the host for a new inventory, then look at its history",
        }
    }
}

/// A deployment as far as it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Deployment {
    /// What is wanted.
    pub intent: Intent,
    /// What is seen of the last order.
    pub observation: Observation,
    /// The end of the last permission to begin that was given: until then the host may begin, whatever is wanted now.
    pub may_begin_until: Option<Timestamp>,
}

/// What people are shown of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// Nothing has begun.
    Planned,
    /// Ordered, and the host has not said anything yet.
    Ordered,
    /// The host is at it.
    Underway(Observation),
    /// Cancelled before the host began.
    Cancelled,
    /// Cancelled too late: the host had begun, and finishes.
    CancelledUnderway(Observation),
    /// In effect.
    Succeeded,
    /// Installed, and something old still runs.
    NotInEffect,
    /// Failed.
    Failed(Failure),
}

impl Deployment {
    /// What people are shown.
    pub fn shown(self) -> Shown {
        match (self.intent, self.observation) {
            (_, Observation::Succeeded) => Shown::Succeeded,
            (_, Observation::NotInEffect) => Shown::NotInEffect,
            (Intent::Cancelled, Observation::None | Observation::Taken | Observation::Prepared) => {
                Shown::Cancelled
            }
            (_, Observation::Failed(failure)) => Shown::Failed(failure),
            (Intent::Cancelled, underway) => Shown::CancelledUnderway(underway),
            (Intent::Planned, Observation::None) => Shown::Planned,
            (Intent::Ordered, Observation::None) => Shown::Ordered,
            (_, underway) => Shown::Underway(underway),
        }
    }

    /// Whether the host may be changed by it without anything new being decided.
    pub fn is_open(self, now: Timestamp) -> bool {
        let is_permitted = self.may_begin_until.is_some_and(|until| now < until);
        !self.has_ended() && (self.intent == Intent::Ordered || is_permitted || self.is_underway())
    }

    /// Whether it began, or still may although nobody decides anything: it cannot be taken back.
    pub fn is_committed(self, now: Timestamp) -> bool {
        let is_permitted = self.may_begin_until.is_some_and(|until| now < until);
        !self.has_ended() && (is_permitted || self.is_underway())
    }

    /// Whether the package manager may be at work, or the host about to restart.
    pub fn is_underway(self) -> bool {
        matches!(
            self.observation,
            Observation::Installing | Observation::RebootPending | Observation::Verifying
        )
    }

    /// Whether the host reported an end.
    pub fn has_ended(self) -> bool {
        matches!(
            self.observation,
            Observation::Succeeded | Observation::NotInEffect | Observation::Failed(_)
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "the host refused the order",
            Self::Content => "its packages could not be had as ordered",
            Self::Snapshot => "the source is not at the approved snapshot",
            Self::HostChanged => "the host has changed since the order was made",
            Self::Differs => "the package manager would have done something else",
            Self::Busy => "another program kept the package manager busy",
            Self::DiskFull => "the host has no room for it",
            Self::Script => "a package's own script failed",
            Self::PackageManager => "the package manager failed",
            Self::Interrupted => "it was interrupted and could not be repaired",
            Self::Expired => "its time ended before it began",
            Self::NotSeen => "the inventory afterwards does not show it",
        })
    }
}
