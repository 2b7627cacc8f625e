//! How changes and deployments look to whoever asks.

use super::preview::PackageChangeView;
use super::request::{NeedsWord, Reboot, StartWord};
use crate::app::shape::{IdText, Listed, When};
use domain::catalog::update::UpdateId;
use serde::Serialize;
use std::collections::BTreeMap;
use store::order::Report;
use utoipa::ToSchema;

/// A change, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Change)]
pub struct ChangeView {
    /// Its id.
    pub id: IdText,
    /// Why, in the words of who made it.
    pub reason: String,
    /// `waiting_for_signatures`, `running`, `stopped` or `ended`.
    pub state: &'static str,
    /// `forward` or `back_out`.
    pub direction: &'static str,
    /// Its updates.
    pub updates: Vec<ChangeUpdateView>,
    /// What was approved, as a digest.
    pub approval: String,
    /// Approvers' own signatures.
    pub signatures: SignaturesView,
    /// Nothing begins before.
    pub opens: When,
    /// Nothing begins at this moment or later.
    pub closes: When,
    /// Hosts at once.
    pub at_once: u32,
    /// What it needs of a host's mode.
    pub needs: NeedsWord,
    /// Whether each host needs a go.
    pub start: StartWord,
    /// When hosts may be restarted.
    pub reboot: Reboot,
    /// `not_asked`, `asked` or `done`: how far its files are.
    pub staging: &'static str,
    /// What of them could not be had.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub staging_detail: String,
    /// How many hosts it has.
    pub hosts: u64,
    /// How many of them are how far: `nothing`, `planned`, `ordered`, `underway`, `succeeded`, `not_in_effect`, `failed` and
    /// `cancelled`.
    pub totals: BTreeMap<&'static str, u64>,
    /// When it was made.
    pub created_at: When,
    /// Since when nothing is left to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<When>,
    /// Counts what was decided about it.
    pub version: i64,
}

impl Listed for ChangeView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "state",
        "direction",
        "updates",
        "hosts",
        "totals",
        "opens",
        "closes",
        "reason",
        "created_at",
        "ended_at",
    ];
}

/// An update of a change.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ChangeUpdate)]
pub struct ChangeUpdateView {
    /// Its publisher's `Origin`.
    pub origin: String,
    /// Source package.
    pub source: String,
    /// Source version.
    pub source_version: String,
    /// The binary-rebuild suffix, or empty.
    pub build: String,
}

/// How many approvers have signed a change.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = ChangeSignatures)]
pub struct SignaturesView {
    /// Have signed.
    pub have: u32,
    /// Have to sign.
    pub need: u32,
}

/// A change on one host, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Deployment)]
pub struct DeploymentView {
    /// Its id.
    pub id: IdText,
    /// The change that it is part of.
    pub change: IdText,
    /// The host.
    pub host: IdText,
    /// The host's name.
    pub name: String,
    /// `nothing`, `planned`, `ordered`, `taken`, `prepared`, `installing`, `reboot_pending`, `verifying`, `succeeded`,
    /// `not_in_effect`, `failed`, `cancelled` or `cancelled_underway`.
    pub shown: &'static str,
    /// Why nothing is done there now.
    pub waiting: Option<WaitingView>,
    /// Why it failed, as a word.
    pub failure: Option<&'static str>,
    /// What to do next.
    pub next_step: Option<&'static str>,
    /// In the host's own words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What its package manager said last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_line: String,
    /// Whether all that its package manager said is kept.
    pub has_output: bool,
    /// What is installed.
    pub packages: Vec<PackageChangeView>,
    /// Bytes that the host fetches.
    pub bytes: u64,
    /// Packages whose former version cannot be had again.
    pub without_way_back: Vec<String>,
    /// The number of its order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_number: Option<u64>,
    /// When that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<When>,
    /// When something of it was decided or the host said something last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<When>,
    /// How long the parts took.
    pub took: TookView,
    /// The stages that its orders reached, the first one first; only of one deployment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<OrderStageView>,
    /// Counts what was decided about it.
    pub version: i64,
}

impl Listed for DeploymentView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "change",
        "host",
        "name",
        "shown",
        "waiting",
        "failure",
        "next_step",
        "detail",
        "bytes",
        "took",
        "ordered_at",
        "updated_at",
    ];
}

/// Why nothing is done on a host now.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Waiting)]
pub struct WaitingView {
    /// As a word.
    pub code: &'static str,
    /// In a sentence.
    pub sentence: String,
}

/// Durations and sizes of a deployment.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
#[schema(as = Took)]
pub struct TookView {
    /// Fetching, in milliseconds.
    pub fetch_millis: u64,
    /// The package manager, in milliseconds.
    pub install_millis: u64,
    /// Bytes that were fetched.
    pub fetched_bytes: u64,
}

/// A stage that an order reached.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = OrderStage)]
pub struct OrderStageView {
    /// The order's number.
    pub order: u64,
    /// Which.
    pub stage: &'static str,
    /// Since when, by the host's clock.
    pub since: When,
    /// When the server heard of it.
    pub received_at: When,
    /// In the host's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

impl ChangeUpdateView {
    pub(super) fn of(update: &UpdateId) -> Self {
        Self {
            origin: update.publisher.origin.clone(),
            source: update.source.clone(),
            source_version: update.source_version.clone(),
            build: update.build.clone(),
        }
    }
}

impl TookView {
    pub(super) fn of(report: &Report) -> Self {
        Self {
            fetch_millis: report.fetch_millis,
            install_millis: report.install_millis,
            fetched_bytes: report.fetched_bytes,
        }
    }
}
