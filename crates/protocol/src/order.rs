//! Orders and goes as they are signed, kept as files and named by digest, and what people approved of them. What they mean, and
//! whether a host follows them, is in `domain::order` and `domain::change`.

mod approval;
mod bundle;

pub use approval::{ApprovalDocument, Approved, Signature};
pub use bundle::Bundle;

use crate::statement::{Statement, StatementKind};
use crate::wire;
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, DeploymentId, HostId, TenantId};
use domain::identity::BootId;
use domain::order::{self, Direction, RebootRule, Start, Window};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What one host is told to prepare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderDocument {
    /// Counted for each host from 1.
    pub number: u64,
    /// The server's life between two restores.
    pub epoch: u64,
    /// Whose host it is for.
    #[serde(with = "wire::text")]
    pub tenant: TenantId,
    /// The host that it is for.
    #[serde(with = "wire::text")]
    pub host: HostId,
    /// The change that it is part of.
    #[serde(with = "wire::text")]
    pub change: ChangeId,
    /// The release on this host.
    #[serde(with = "wire::text")]
    pub deployment: DeploymentId,
    /// The digest of the approval.
    #[serde(with = "wire::text")]
    pub approved: Sha256Digest,
    /// Forwards, or back.
    pub direction: WireDirection,
    /// Where the packages come from.
    pub snapshots: Vec<WireSnapshot>,
    /// What will be installed, by name and architecture.
    pub packages: Vec<WirePackage>,
    /// What will be removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removals: Vec<WireRemoval>,
    /// Not earlier.
    #[serde(with = "wire::micros")]
    pub opens: Timestamp,
    /// Not at this moment or later.
    #[serde(with = "wire::micros")]
    pub closes: Timestamp,
    /// What it needs of the host's mode.
    #[serde(with = "wire::text")]
    pub needs: Mode,
    /// Whether a go is needed.
    pub start: WireStart,
    /// When the host may be restarted.
    pub reboot: WireReboot,
}

/// One snapshot of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireSnapshot {
    /// The address in the host's own stanza.
    pub address: Box<str>,
    /// The suite in it.
    pub suite: Box<str>,
    /// The release file as published.
    #[serde(with = "wire::text")]
    pub release: Sha256Digest,
    /// Its `Release.gpg`, where it is not signed in itself.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "wire::text_option")]
    pub signature: Option<Sha256Digest>,
    /// The index files that are needed.
    pub indexes: Vec<WireIndex>,
}

/// An index file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireIndex {
    /// Its path below the folder of the release file.
    pub path: Box<str>,
    /// SHA-256 of the file as published.
    #[serde(with = "wire::text")]
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// One package of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WirePackage {
    /// Binary package name.
    pub name: Box<str>,
    /// Its architecture, `all` included.
    pub architecture: Box<str>,
    /// The version to install.
    pub version: Box<str>,
    /// The version that it replaces; absent for a new package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Box<str>>,
    /// SHA-256 of the package file.
    #[serde(with = "wire::text")]
    pub sha256: Sha256Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// One package that may go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireRemoval {
    /// Binary package name.
    pub name: Box<str>,
    /// Its architecture.
    pub architecture: Box<str>,
}

/// Which way an order goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireDirection {
    /// To what was approved.
    Forward,
    /// To what was there before.
    BackOut,
}

/// What an order needs to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireStart {
    /// A go of this boot.
    WithGo,
    /// Nothing more.
    OfflineOk,
}

/// When the host may be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule", deny_unknown_fields)]
pub enum WireReboot {
    /// Never.
    Never {},
    /// Once, if needed.
    IfNeeded {
        /// Notice to whoever is logged in, in seconds.
        notice_seconds: u32,
    },
}

/// The permission to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoDocument {
    /// The order's digest, of the whole statement.
    #[serde(with = "wire::text")]
    pub order: Sha256Digest,
    /// The boot in which it was asked for.
    #[serde(with = "wire::array")]
    pub boot: [u8; 16],
    /// What the host drew for this asking.
    #[serde(with = "wire::array")]
    pub nonce: [u8; 16],
    /// When the server signed it.
    #[serde(with = "wire::micros")]
    pub issued_at: Timestamp,
    /// How long it is good for, in seconds.
    pub lease_seconds: u32,
}

impl Statement for OrderDocument {
    const KIND: StatementKind = StatementKind::Order;
}

impl Statement for GoDocument {
    const KIND: StatementKind = StatementKind::Go;
}

impl OrderDocument {
    /// The shape of an order.
    pub fn of(order: &order::Order) -> Self {
        Self {
            number: order.number,
            epoch: order.epoch,
            tenant: order.tenant,
            host: order.host,
            change: order.change,
            deployment: order.deployment,
            approved: order.approved,
            direction: order.direction.into(),
            snapshots: order.snapshots.iter().map(WireSnapshot::of).collect(),
            packages: order.packages.iter().map(WirePackage::of).collect(),
            removals: order.removals.iter().map(WireRemoval::of).collect(),
            opens: order.window.opens,
            closes: order.window.closes,
            needs: order.needs,
            start: order.start.into(),
            reboot: order.reboot.into(),
        }
    }

    /// The order of a shape.
    pub fn into_order(self) -> order::Order {
        order::Order {
            number: self.number,
            epoch: self.epoch,
            tenant: self.tenant,
            host: self.host,
            change: self.change,
            deployment: self.deployment,
            approved: self.approved,
            direction: self.direction.into(),
            snapshots: (self.snapshots.into_iter())
                .map(WireSnapshot::into_snapshot)
                .collect(),
            packages: (self.packages.into_iter())
                .map(WirePackage::into_package)
                .collect(),
            removals: (self.removals.into_iter())
                .map(WireRemoval::into_removal)
                .collect(),
            window: Window {
                opens: self.opens,
                closes: self.closes,
            },
            needs: self.needs,
            start: self.start.into(),
            reboot: self.reboot.into(),
        }
    }
}

impl WireSnapshot {
    /// The shape of a snapshot.
    pub fn of(snapshot: &order::OrderedSnapshot) -> Self {
        let index = |index: &order::OrderedIndex| WireIndex {
            path: index.path.clone(),
            sha256: index.sha256,
            size_bytes: index.size_bytes,
        };
        Self {
            address: snapshot.address.clone(),
            suite: snapshot.suite.clone(),
            release: snapshot.release,
            signature: snapshot.signature,
            indexes: snapshot.indexes.iter().map(index).collect(),
        }
    }

    /// The snapshot of a shape.
    pub fn into_snapshot(self) -> order::OrderedSnapshot {
        let index = |index: WireIndex| order::OrderedIndex {
            path: index.path,
            sha256: index.sha256,
            size_bytes: index.size_bytes,
        };
        order::OrderedSnapshot {
            address: self.address,
            suite: self.suite,
            release: self.release,
            signature: self.signature,
            indexes: self.indexes.into_iter().map(index).collect(),
        }
    }
}

impl WirePackage {
    /// The shape of a package.
    pub fn of(package: &order::OrderedPackage) -> Self {
        Self {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            version: package.version.clone(),
            from: package.from.clone(),
            sha256: package.sha256,
            size_bytes: package.size_bytes,
        }
    }

    /// The package of a shape.
    pub fn into_package(self) -> order::OrderedPackage {
        order::OrderedPackage {
            name: self.name,
            architecture: self.architecture,
            version: self.version,
            from: self.from,
            sha256: self.sha256,
            size_bytes: self.size_bytes,
        }
    }
}

impl WireRemoval {
    /// The shape of a removal.
    pub fn of(removal: &order::Removal) -> Self {
        Self {
            name: removal.name.clone(),
            architecture: removal.architecture.clone(),
        }
    }

    /// The removal of a shape.
    pub fn into_removal(self) -> order::Removal {
        order::Removal {
            name: self.name,
            architecture: self.architecture,
        }
    }
}

/// Conversions between two enums whose variants have the same names.
macro_rules! same_words {
    ($wire:ident = $domain:ident { $($variant:ident),* }) => {
        impl From<$domain> for $wire {
            fn from(value: $domain) -> Self {
                match value { $($domain::$variant => Self::$variant),* }
            }
        }

        impl From<$wire> for $domain {
            fn from(value: $wire) -> Self {
                match value { $($wire::$variant => Self::$variant),* }
            }
        }
    };
}

same_words!(WireDirection = Direction { Forward, BackOut });
same_words!(WireStart = Start { WithGo, OfflineOk });

impl From<RebootRule> for WireReboot {
    fn from(rule: RebootRule) -> Self {
        match rule {
            RebootRule::Never => Self::Never {},
            RebootRule::IfNeeded { notice_seconds } => Self::IfNeeded { notice_seconds },
        }
    }
}

impl From<WireReboot> for RebootRule {
    fn from(rule: WireReboot) -> Self {
        match rule {
            WireReboot::Never {} => Self::Never,
            WireReboot::IfNeeded { notice_seconds } => Self::IfNeeded { notice_seconds },
        }
    }
}

impl GoDocument {
    /// The shape of a go.
    pub fn of(go: &order::Go) -> Self {
        Self {
            order: go.order,
            boot: go.boot.0,
            nonce: go.nonce,
            issued_at: go.issued_at,
            lease_seconds: go.lease_seconds,
        }
    }

    /// The go of a shape.
    pub fn into_go(self) -> order::Go {
        order::Go {
            order: self.order,
            boot: BootId(self.boot),
            nonce: self.nonce,
            issued_at: self.issued_at,
            lease_seconds: self.lease_seconds,
        }
    }
}
