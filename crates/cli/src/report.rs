//! The result of a scan in the shape that `--json` prints (schema `patchyard.scan/1`, described in docs/scan-json.md).
//! The output for people is made from the same values. Fields are only ever added within one schema number.

use serde::Serialize;

/// The name and version of the schema.
pub const SCHEMA: &str = "patchyard.scan/1";

/// Everything a scan found.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// When the scan was made, RFC 3339, UTC.
    pub scanned_at: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// The root that was assessed.
    pub root: String,
    /// The host.
    pub system: System,
    /// What may be said of the host as a whole.
    pub standing: Standing,
    /// Where the package lists came from, and how old they are.
    pub lists: Lists,
    /// The figures of the first lines.
    pub counts: Counts,
    /// Updates this host is missing: security first, then by source package.
    pub updates: Vec<Update>,
    /// Installed packages that were not assessed, and why.
    pub coverage: Vec<Uncovered>,
    /// Every configured source, and what came of it.
    pub sources: Vec<Source>,
    /// What apt's own simulation said; null where it was not asked for.
    pub simulation: Option<Simulation>,
    /// Who else updates this host.
    pub updaters: Vec<Updater>,
    /// What was found wrong on the way and did not stop the scan.
    pub problems: Vec<Problem>,
}

/// What may be said of the host as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Everything was assessed and nothing is missing.
    UpToDate,
    /// Everything was assessed and something is missing, be it held or phased.
    UpdatesMissing,
    /// Something was not assessed; updates may be missing besides those named.
    Unknown,
}

/// The host.
#[derive(Debug, Serialize)]
pub struct System {
    /// Host name, where known.
    pub hostname: Option<String>,
    /// os-release `ID`.
    pub os_id: String,
    /// os-release `PRETTY_NAME`.
    pub os_name: String,
    /// Version, with Debian's point release.
    pub os_version: String,
    /// os-release `VERSION_CODENAME`.
    pub os_codename: Option<String>,
    /// dpkg's architecture.
    pub architecture: String,
    /// dpkg's foreign architectures.
    pub foreign_architectures: Vec<String>,
    /// Running kernel; null for file trees and containers.
    pub kernel_release: Option<String>,
    /// Number of installed packages.
    pub packages_installed: usize,
}

/// Where the package lists came from.
#[derive(Debug, Serialize)]
pub struct Lists {
    /// `host` for the host's own lists, `refreshed` for lists that this scan fetched.
    pub origin: ListsOrigin,
    /// When they were last written, RFC 3339; null where there are none.
    pub written_at: Option<String>,
    /// Their age in seconds at the time of the scan.
    pub age_seconds: Option<i64>,
}

/// Whose lists were used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListsOrigin {
    /// The host's own, as its apt fetched them.
    Host,
    /// Fetched by this scan.
    Refreshed,
}

/// The figures of the first lines. Held and phased packages are counted apart from missing ones.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Updates of which at least one package is missing.
    pub updates: usize,
    /// Packages missing in them.
    pub packages: usize,
    /// Security updates among `updates`.
    pub security_updates: usize,
    /// Packages that have an update and are on hold.
    pub held: usize,
    /// Packages whose update has not been phased in for this host.
    pub phased: usize,
    /// Packages that apt would keep back; null where not simulated.
    pub kept_back: Option<usize>,
    /// Installed packages that were not assessed.
    pub not_assessed: usize,
}

/// One update: a source package's version, with the packages of it that this host has.
#[derive(Debug, Serialize)]
pub struct Update {
    /// Source package.
    pub source: String,
    /// Its version.
    pub source_version: String,
    /// Binary-rebuild suffix such as `+b1`, or empty.
    pub build: String,
    /// Origin and signing keys of the source that publishes it.
    pub publisher: Publisher,
    /// `security` or `other`.
    pub classification: Classification,
    /// The packages.
    pub packages: Vec<Package>,
    /// What restarts, or runs the old code until it is restarted.
    pub restarts: Restarts,
    /// Whether it takes a reboot to be in effect.
    pub reboot: Reboot,
}

/// What restarts with an update.
#[derive(Debug, Serialize)]
pub struct Restarts {
    /// Services.
    pub services: Vec<String>,
    /// Running programs that belong to no service: they keep the old code until somebody restarts them.
    pub programs: Vec<String>,
    /// Whether all of them could be seen; only root sees what other users' processes use.
    pub complete: bool,
}

/// Who publishes an update.
#[derive(Debug, Serialize)]
pub struct Publisher {
    /// The release file's `Origin`.
    pub origin: String,
    /// Fingerprints of the certificates that may sign for it.
    pub keys: Vec<String>,
}

/// What kind of update it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Classification {
    /// From a security suite.
    Security,
    /// Any other.
    Other,
}

/// Whether an update takes a reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reboot {
    /// It does.
    Needed,
    /// It does not.
    NotNeeded,
    /// It cannot be seen from here.
    Unknown,
}

/// One package of an update.
#[derive(Debug, Serialize)]
pub struct Package {
    /// Binary package.
    pub name: String,
    /// Architecture of the available package, `all` included.
    pub architecture: String,
    /// Installed version.
    pub installed: String,
    /// Available version.
    pub available: String,
    /// Source package.
    pub source: String,
    /// Source version.
    pub source_version: String,
    /// Suite that lists it: the first by apt's order.
    pub suite: String,
    /// `Origin` of that suite.
    pub origin: String,
    /// Classification of this package's update.
    pub classification: Classification,
    /// Why it is not installed yet.
    pub state: PackageState,
    /// What stands behind the state, in a sentence; null for plain `missing`.
    pub reason: Option<String>,
    /// Whether apt would keep it back; null where not simulated.
    pub kept_back: Option<bool>,
    /// SHA-256 of the package file as the index has it.
    pub sha256: Option<String>,
}

/// Why a package of an update is not installed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PackageState {
    /// It could be installed now.
    Missing,
    /// The administrator holds it.
    Held,
    /// The vendor has not phased it in for this host yet.
    Phased,
    /// apt would keep it back.
    KeptBack,
}

/// An installed package that was not assessed.
#[derive(Debug, Serialize)]
pub struct Uncovered {
    /// Binary package.
    pub name: String,
    /// Architecture.
    pub architecture: String,
    /// Installed version.
    pub installed: String,
    /// Why, in a sentence.
    pub reason: String,
}

/// One configured source.
#[derive(Debug, Serialize)]
pub struct Source {
    /// Address.
    pub uri: String,
    /// Suite.
    pub suite: String,
    /// Components asked for.
    pub components: Vec<String>,
    /// The files and lines that configure it, such as `/etc/apt/sources.list:3`.
    pub configured_in: Vec<String>,
    /// What came of it.
    pub state: SourceState,
    /// Why it is not `verified`, in a sentence; null otherwise.
    pub reason: Option<String>,
    /// `Origin`.
    pub origin: Option<String>,
    /// `Label`.
    pub label: Option<String>,
    /// `Codename`.
    pub codename: Option<String>,
    /// `Version`.
    pub version: Option<String>,
    /// `Date`, RFC 3339.
    pub date: Option<String>,
    /// `Valid-Until`, RFC 3339.
    pub valid_until: Option<String>,
    /// SHA-256 of the release file as published.
    pub release_sha256: Option<String>,
    /// Who signed it.
    pub signatures: Vec<Signature>,
    /// Its package indexes.
    pub indexes: Vec<Index>,
}

/// What came of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Signature good, all its indexes read.
    Verified,
    /// As verified, but published too long ago: newer updates may exist.
    Stale,
    /// Signature good, some index missing or unreadable.
    Incomplete,
    /// Nothing in it may be believed or read.
    NotAnswering,
}

/// One good signature.
#[derive(Debug, Serialize)]
pub struct Signature {
    /// Fingerprint of the certificate.
    pub certificate: String,
    /// Fingerprint of the key that signed.
    pub key: String,
    /// The certificate's first user id.
    pub user_id: Option<String>,
    /// When it was made, RFC 3339.
    pub made: String,
}

/// One package index.
#[derive(Debug, Serialize)]
pub struct Index {
    /// Component; empty for flat repositories.
    pub component: String,
    /// Architecture.
    pub architecture: String,
    /// SHA-256 of the uncompressed index.
    pub sha256: Option<String>,
    /// Packages in it.
    pub packages: Option<usize>,
    /// Malformed stanzas that were skipped.
    pub skipped: Vec<String>,
    /// Why it was not used; null otherwise.
    pub reason: Option<String>,
}

/// What apt's own simulation said.
#[derive(Debug, Serialize)]
pub struct Simulation {
    /// `apt-get -s upgrade`.
    pub upgrade: Transaction,
    /// `apt-get -s dist-upgrade`.
    pub dist_upgrade: Transaction,
}

/// One simulated transaction.
#[derive(Debug, Default, Serialize)]
pub struct Transaction {
    /// Packages it would upgrade, as `name:architecture`.
    pub upgraded: Vec<String>,
    /// Packages it would newly install.
    pub new: Vec<String>,
    /// Packages it would remove.
    pub removed: Vec<String>,
}

/// Somebody else who updates this host.
#[derive(Debug, Serialize)]
pub struct Updater {
    /// Its name.
    pub name: &'static str,
    /// Whether it installs packages by itself.
    pub installs: bool,
    /// What it does and when, for people.
    pub what: String,
}

/// Something wrong that did not stop the scan.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// The file, where one is at fault.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// What is wrong and what to do.
    pub what: String,
    /// What follows from it.
    pub effect: ProblemEffect,
}

/// What follows from a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemEffect {
    /// Worth knowing.
    Noted,
    /// Something was left out, so that the answer may be another: the standing is unknown.
    NotAssessed,
}
