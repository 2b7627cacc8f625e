//! Why a host in scope is not acted on now. "Not yet" is data: each host that a change is not done with has a step or one of these.

use super::deployment::Failure;
use super::plan::ChangeNo;
use crate::host::mode::Mode;
use jiff::Timestamp;

/// Why a host waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Waiting {
    /// A person stopped the change.
    Stopped,
    /// The change may not begin before this time.
    NotOpen {
        /// When it opens.
        opens: Timestamp,
    },
    /// The change's time is over; it has to be approved again.
    Over {
        /// When it closed.
        closed: Timestamp,
    },
    /// The host is to be approved, is retired, or is a copy: no order is made for it.
    NotActive,
    /// Nothing was heard of the host for too long.
    Offline {
        /// When it was last heard, if ever.
        last_seen: Option<Timestamp>,
    },
    /// The host allows less than the change needs.
    BelowCeiling {
        /// What the host allows.
        mode: Mode,
        /// What it would have to allow.
        needs: Mode,
    },
    /// Packages are being fetched, verified or scanned.
    NotStaged,
    /// What the host has is not known well enough: no verified source answers for it.
    Unknown,
    /// Some package needs another update, which was not approved.
    NeedsAlso,
    /// The update is not published for the host's architecture yet.
    NotBuilt,
    /// Another change is at work on this host.
    AnotherChange {
        /// Which.
        change: ChangeNo,
    },
    /// As many hosts as are allowed at once are at work.
    Paced,
    /// It was ordered, and the host is at it, or will be when it hears.
    Underway,
    /// It failed; a person decides whether it is tried again.
    Failed(Failure),
}
