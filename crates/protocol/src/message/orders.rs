//! What check-ins say of orders. An order itself comes as a file by its digest, fetched with a ticket like the packages that
//! it names; a check-in names it, says how far the host is with it, and brings the go.

use crate::limits::{self, OverLimit};
use crate::wire;
use domain::digest::Sha256Digest;
use domain::rollout::deployment::{Failure, Observation};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An order that waits for the host, as a [`crate::order::Bundle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedOrder {
    /// SHA-256 of the bundle's bytes.
    #[serde(with = "wire::text")]
    pub bundle: Sha256Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// The order's number.
    pub number: u64,
}

/// A go as it was signed: the bytes of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GoBytes(#[serde(with = "wire::bytes")] pub Vec<u8>);

/// How far a host is with an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderReport {
    /// SHA-256 of the order's statement; of the bundle for one whose order could not be read.
    #[serde(with = "wire::text")]
    pub order: Sha256Digest,
    /// The order's number; 0 where it could not be read.
    pub number: u64,
    /// Where it is.
    pub stage: Stage,
    /// Since when, by the host's time.
    #[serde(with = "wire::micros")]
    pub since: Timestamp,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureKind>,
    /// In a sentence: why it failed, what it waits for, what still runs old code.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What the package manager said last, one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last_line: String,
    /// All that the package manager said, as a document; once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "wire::text_option")]
    pub output: Option<Sha256Digest>,
    /// A go is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<GoAsked>,
    /// How long the parts took, once known.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub took: Took,
}

/// A host asks to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoAsked {
    /// In this boot.
    #[serde(with = "wire::array")]
    pub boot: [u8; 16],
    /// What it drew.
    #[serde(with = "wire::array")]
    pub nonce: [u8; 16],
}

/// Durations and sizes, for the estimate of the next time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// Fetching, in milliseconds.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub fetch_millis: u64,
    /// The package manager, in milliseconds.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub install_millis: u64,
    /// Bytes fetched.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub fetched_bytes: u64,
}

/// Where an order is on its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Taken; its files are being fetched.
    Taken,
    /// All is there and compared; it waits for its time or its go.
    Prepared,
    /// The package manager is at work.
    Installing,
    /// Installed; the host has to restart.
    RebootPending,
    /// Installed; the host is being read again.
    Verifying,
    /// Installed, and nothing old runs.
    Succeeded,
    /// Installed, and something old runs.
    NotInEffect,
    /// It ended otherwise.
    Failed,
    /// Taken back before it began.
    Withdrawn,
    /// Something of a later version.
    #[serde(other)]
    Unrecognised,
}

/// Why an order failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The host did not take it.
    Refused,
    /// Files could not be had as ordered.
    Content,
    /// A release file is not the approved one.
    Snapshot,
    /// The host is not any more as it was.
    HostChanged,
    /// The package manager would have done something else.
    Differs,
    /// The package manager was busy until the end.
    Busy,
    /// No room.
    DiskFull,
    /// A package's script failed.
    Script,
    /// The package manager failed otherwise.
    PackageManager,
    /// Cut off, and not repaired.
    Interrupted,
    /// Its time ended first.
    Expired,
    /// A fresh inventory does not show it.
    NotSeen,
    /// A reason of a later version.
    #[serde(other)]
    Unrecognised,
}

impl Stage {
    /// Whether nothing more will come of the order.
    pub fn is_end(self) -> bool {
        matches!(
            self,
            Self::Succeeded | Self::NotInEffect | Self::Failed | Self::Withdrawn
        )
    }
}

impl OrderReport {
    /// What it says, as the domain has it; `None` for an order that was taken back, or a stage of a later version.
    pub fn observation(&self) -> Option<Observation> {
        Some(match self.stage {
            Stage::Taken => Observation::Taken,
            Stage::Prepared => Observation::Prepared,
            Stage::Installing => Observation::Installing,
            Stage::RebootPending => Observation::RebootPending,
            Stage::Verifying => Observation::Verifying,
            Stage::Succeeded => Observation::Succeeded,
            Stage::NotInEffect => Observation::NotInEffect,
            Stage::Failed => Observation::Failed(self.failure.map_or(Failure::PackageManager, Failure::from)),
            Stage::Withdrawn | Stage::Unrecognised => return None,
        })
    }

    /// Whether its texts are within their limits.
    ///
    /// # Errors
    /// [`OverLimit`].
    pub(super) fn within_limits(&self) -> Result<(), OverLimit> {
        limits::within("bytes of a detail", self.detail.len(), limits::ORDER_DETAIL_BYTES)?;
        limits::within(
            "bytes of a line",
            self.last_line.len(),
            limits::ORDER_DETAIL_BYTES,
        )
    }
}

impl From<FailureKind> for Failure {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Refused => Self::Refused,
            FailureKind::Content => Self::Content,
            FailureKind::Snapshot => Self::Snapshot,
            FailureKind::HostChanged => Self::HostChanged,
            FailureKind::Differs => Self::Differs,
            FailureKind::Busy => Self::Busy,
            FailureKind::DiskFull => Self::DiskFull,
            FailureKind::Script => Self::Script,
            FailureKind::PackageManager | FailureKind::Unrecognised => Self::PackageManager,
            FailureKind::Interrupted => Self::Interrupted,
            FailureKind::Expired => Self::Expired,
            FailureKind::NotSeen => Self::NotSeen,
        }
    }
}

impl From<Failure> for FailureKind {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused => Self::Refused,
            Failure::Content => Self::Content,
            Failure::Snapshot => Self::Snapshot,
            Failure::HostChanged => Self::HostChanged,
            Failure::Differs => Self::Differs,
            Failure::Busy => Self::Busy,
            Failure::DiskFull => Self::DiskFull,
            Failure::Script => Self::Script,
            Failure::PackageManager => Self::PackageManager,
            Failure::Interrupted => Self::Interrupted,
            Failure::Expired => Self::Expired,
            Failure::NotSeen => Self::NotSeen,
        }
    }
}
