//! A change: what is to be done to which hosts until when, as people approve it. An order is good for nothing that its
//! approval does not cover; the host judges that by this rule, and not the server that made the order.

use crate::catalog::update::UpdateId;
use crate::digest::Sha256Digest;
use crate::host::mode::Mode;
use crate::id::TenantId;
use crate::order::{Direction, Order, RebootRule, Removal, Start};
use jiff::Timestamp;

/// What people approve. Its digest is what they sign, and what every order of the change names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Whose hosts.
    pub tenant: TenantId,
    /// The release.
    pub release: Release,
    /// Where its packages come from: the digests of release files as published.
    pub snapshots: Vec<Sha256Digest>,
    /// Which hosts, fixed: hosts that join later are not among them.
    pub scope: Scope,
    /// Nothing begins at this moment or later.
    pub not_after: Timestamp,
    /// Forwards, or back.
    pub direction: Direction,
}

/// A set of updates with the rules of their deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Sorted, each once.
    pub updates: Vec<UpdateId>,
    /// How they are deployed.
    pub rules: Rules,
}

/// How a release is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What it needs of a host's mode.
    pub needs: Mode,
    /// Whether each host needs a go.
    pub start: Start,
    /// When hosts may be restarted.
    pub reboot: RebootRule,
    /// Packages that may go, approved by name; sorted, each once.
    pub removals: Vec<Removal>,
}

/// Which hosts: the root of the Merkle tree over their ids (RFC 9162, section 2.1), and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The root.
    pub root: Sha256Digest,
    /// How many hosts.
    pub hosts: u64,
}

/// Whether the addressee was proved to be in the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InScope {
    /// It was.
    Proved,
    /// It was not.
    NotProved,
}

/// What an order wants that nobody approved.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotCovered {
    /// Another tenant's.
    #[error("it was approved for another tenant")]
    Tenant,
    /// The host is not among those it was approved for.
    #[error("it was not approved for this host")]
    Scope,
    /// A later end.
    #[error("its time ends later than was approved")]
    End,
    /// Another source, or another state of one.
    #[error("it takes packages from a snapshot that was not approved")]
    Snapshot,
    /// A removal.
    #[error("it removes a package whose removal was not approved")]
    Removal,
    /// More of the host.
    #[error("it needs a higher mode than was approved")]
    Mode,
    /// Without a go.
    #[error("it would begin without the server, which was not approved")]
    Offline,
    /// A restart, or one with less notice.
    #[error("it would restart the host otherwise than was approved")]
    Reboot,
    /// Back instead of forwards, or forwards instead of back.
    #[error("it goes the other way than was approved")]
    Direction,
}

impl Approval {
    /// Whether an order stays within what was approved. Its packages are judged by [`Self::has`], one by one, by what
    /// their publisher signed of them.
    ///
    /// # Errors
    /// [`NotCovered`], the first thing that goes beyond.
    pub fn covers(&self, order: &Order, in_scope: InScope) -> Result<(), NotCovered> {
        let rules = &self.release.rules;
        let checks = [
            (order.tenant == self.tenant, NotCovered::Tenant),
            (in_scope == InScope::Proved, NotCovered::Scope),
            (order.window.closes <= self.not_after, NotCovered::End),
            (
                (order.snapshots.iter()).all(|snapshot| self.snapshots.contains(&snapshot.release)),
                NotCovered::Snapshot,
            ),
            (
                (order.removals.iter()).all(|removal| rules.removals.contains(removal)),
                NotCovered::Removal,
            ),
            (order.needs <= rules.needs, NotCovered::Mode),
            (
                order.start == Start::WithGo || rules.start == Start::OfflineOk,
                NotCovered::Offline,
            ),
            (is_no_harder(order.reboot, rules.reboot), NotCovered::Reboot),
            (order.direction == self.direction, NotCovered::Direction),
        ];
        (checks.into_iter())
            .find(|(is_covered, _)| !is_covered)
            .map_or(Ok(()), |(_, why)| Err(why))
    }

    /// Whether a package is of an approved update, by what its publisher signed: its origin and keys, its source and
    /// the build.
    pub fn has(&self, update: &UpdateId) -> bool {
        self.release.updates.binary_search(update).is_ok()
    }
}

/// Whether a rule restarts no more than another, and with no less notice.
fn is_no_harder(rule: RebootRule, approved: RebootRule) -> bool {
    match (rule, approved) {
        (RebootRule::Never, _) => true,
        (RebootRule::IfNeeded { .. }, RebootRule::Never) => false,
        (
            RebootRule::IfNeeded { notice_seconds },
            RebootRule::IfNeeded {
                notice_seconds: approved,
            },
        ) => notice_seconds >= approved,
    }
}
