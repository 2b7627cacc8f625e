//! An order: what one host is told to prepare, exactly, and until when. It is permission to prepare; a [`Go`] is permission to
//! start. Both are judged on the host by these rules, whoever carried them; who signed them is judged before.

pub mod acceptance;
pub mod transaction;

use crate::digest::Sha256Digest;
use crate::host::mode::Mode;
use crate::id::{ChangeId, DeploymentId, HostId, TenantId};
use crate::identity::BootId;
use jiff::{SignedDuration, Timestamp};
use transaction::PackageName;

/// The longest that a go is good for, in seconds, whatever it says itself.
pub const LONGEST_LEASE_SECONDS: u32 = 3_600;
/// The lease of a go where nobody wants another, in seconds.
pub const LEASE_SECONDS: u32 = 600;

/// What one host is told to prepare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Counted for each host from 1; a later order has a higher number, also after a restore of the server.
    pub number: u64,
    /// The server's life between two restores.
    pub epoch: u64,
    /// Whose host it is for.
    pub tenant: TenantId,
    /// The host that it is for.
    pub host: HostId,
    /// The change that it is part of.
    pub change: ChangeId,
    /// The release on this host.
    pub deployment: DeploymentId,
    /// The digest of its approval ([`crate::change::Approval`]).
    pub approved: Sha256Digest,
    /// Forwards, or back.
    pub direction: Direction,
    /// The snapshots that the packages come from.
    pub snapshots: Vec<OrderedSnapshot>,
    /// What will be installed, by name and architecture, each once.
    pub packages: Vec<OrderedPackage>,
    /// What will be removed, approved by name.
    pub removals: Vec<Removal>,
    /// When it may be carried out.
    pub window: Window,
    /// What it needs of the host's mode.
    pub needs: Mode,
    /// Whether a go is needed.
    pub start: Start,
    /// What happens to running programs afterwards.
    pub reboot: RebootRule,
}

/// Whether an order brings something new or takes it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To what was approved.
    Forward,
    /// To what was there before.
    BackOut,
}

/// One snapshot of an order, as files that the host verifies itself: the release file by the keys that its own configuration
/// names for that stanza, the indexes by the release file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedSnapshot {
    /// The address in the host's own stanza.
    pub address: Box<str>,
    /// The suite in it; a path that ends with a slash for a flat repository.
    pub suite: Box<str>,
    /// The release file as published: what was approved.
    pub release: Sha256Digest,
    /// Its `Release.gpg`, where it is not signed in itself.
    pub signature: Option<Sha256Digest>,
    /// The index files that are needed, by path.
    pub indexes: Vec<OrderedIndex>,
}

/// An index file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedIndex {
    /// Its path below the folder of the release file, as published.
    pub path: Box<str>,
    /// SHA-256 of the file as published.
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// One package of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedPackage {
    /// Binary package name.
    pub name: Box<str>,
    /// Its architecture, `all` included.
    pub architecture: Box<str>,
    /// The version to install.
    pub version: Box<str>,
    /// The version that it replaces; absent for a new package.
    pub from: Option<Box<str>>,
    /// SHA-256 of the package file, as its vendor signed it.
    pub sha256: Sha256Digest,
    /// Size of that file in bytes.
    pub size_bytes: u64,
}

impl OrderedPackage {
    /// Its name in its architecture.
    pub fn package(&self) -> PackageName {
        PackageName::new(&self.name, &self.architecture)
    }
}

/// One package that an order removes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Binary package name.
    pub name: Box<str>,
    /// Its architecture.
    pub architecture: Box<str>,
}

/// The time in which an order may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Not earlier.
    pub opens: Timestamp,
    /// Not at this moment or later.
    pub closes: Timestamp,
}

/// What an order needs to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A [`Go`] of this boot.
    WithGo,
    /// Nothing more: it was approved to begin out of the server's reach.
    OfflineOk,
}

/// When the host may be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebootRule {
    /// Never by this order; what needs it stays installed and not in effect.
    Never,
    /// Once, if the packages need it, within the window and after this notice to whoever is logged in.
    IfNeeded {
        /// Notice before the restart, in seconds.
        notice_seconds: u32,
    },
}

/// The short-lived permission to begin one order, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Go {
    /// The order's digest.
    pub order: Sha256Digest,
    /// The boot in which it was asked for.
    pub boot: BootId,
    /// What the host drew for this asking.
    pub nonce: [u8; 16],
    /// When the server signed it.
    pub issued_at: Timestamp,
    /// How long it is good for, in seconds.
    pub lease_seconds: u32,
}

/// Why a go starts nothing.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoGo {
    /// For another order.
    #[error("the permission to start is for another order")]
    OtherOrder,
    /// From before a restart.
    #[error("the permission to start was asked for before the host restarted")]
    OtherBoot,
    /// Not the answer to what was asked last.
    #[error("the permission to start does not answer the question that is open")]
    OtherNonce,
    /// Its lease has run out.
    #[error("the permission to start ended {seconds_ago} s ago")]
    Ended {
        /// How long ago, in seconds.
        seconds_ago: i64,
    },
    /// Signed later than now.
    #[error("the permission to start is from {seconds} s in the future")]
    Future {
        /// How far, in seconds.
        seconds: i64,
    },
}

impl Go {
    /// Whether it starts this order in this boot now: nothing starts later than the end of the lease, which begins when
    /// the server signs and not when the host hears.
    ///
    /// # Errors
    /// [`NoGo`].
    pub fn allows(
        &self,
        order: Sha256Digest,
        boot: BootId,
        nonce: [u8; 16],
        now: Timestamp,
    ) -> Result<(), NoGo> {
        if self.order != order {
            return Err(NoGo::OtherOrder);
        }
        if self.boot != boot {
            return Err(NoGo::OtherBoot);
        }
        if self.nonce != nonce {
            return Err(NoGo::OtherNonce);
        }
        let age = now.duration_since(self.issued_at);
        if age < SignedDuration::ZERO {
            return Err(NoGo::Future {
                seconds: -age.as_secs(),
            });
        }
        let lease = SignedDuration::from_secs(self.lease_seconds.min(LONGEST_LEASE_SECONDS).into());
        if age >= lease {
            return Err(NoGo::Ended {
                seconds_ago: (age - lease).as_secs(),
            });
        }
        Ok(())
    }
}
