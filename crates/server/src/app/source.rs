//! Sources and their snapshots, shown. What people decide about them is in `decide`, adding one by hand in `add`, what opens a
//! private one in `access`; syncing is in `catalog`.

mod access;
mod add;
mod decide;

pub use access::{AccessRequest, close, open};
pub use add::{SourceRequest, add};
pub use decide::{
    FetchedBy, SourceChange, WantedState, adopt_for_everybody, ask_for_sync, edit, set_state, sync,
};

use super::refusal::Refusal;
use super::shape::{IdText, Listed, Part, When};
use crate::Context;
use crate::catalog::row::{self, AddressesJson, IdentityJson, PlaceJson, ReleaseJson, ScheduleJson};
use domain::host::address::without_login;
use domain::id::SourceId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::snapshot::{self, Snapshot};
use store::source::{self, Source, SourceKind, SourceState};
use store::{Owner, Scope};
use utoipa::ToSchema;

/// A source, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Source)]
pub struct SourceView {
    /// Its id.
    pub id: IdText,
    /// Its name.
    pub name: String,
    /// Whether every tenant uses it.
    pub is_shared: bool,
    /// `proposed`, `adopted`, `paused` or `declined`.
    pub state: &'static str,
    /// Who fetches it: the `server`, or `agents` of hosts that alone reach it.
    pub fetched_by: &'static str,
    /// `Origin` of its releases.
    pub origin: String,
    /// `Label` of its releases.
    pub label: String,
    /// `Codename` of its releases, or `Suite`.
    pub codename: String,
    /// Fingerprints of the keys that may sign it.
    pub keys: Vec<String>,
    /// Where it is fetched from: address and suite.
    pub addresses: Vec<String>,
    /// Components that are fetched.
    pub components: Vec<String>,
    /// Architectures that are fetched.
    pub architectures: Vec<String>,
    /// Seconds from one sync to the next.
    pub every_seconds: u32,
    /// Whether something is kept that opens it; what it is, is never shown.
    pub has_credentials: bool,
    /// When it was tried last.
    pub last_sync_at: Option<When>,
    /// When that last went well.
    pub last_success_at: Option<When>,
    /// When it is tried next.
    pub next_sync_at: Option<When>,
    /// What came of the last try.
    pub last_outcome: OutcomeView,
    /// Counts what was decided about it.
    pub version: i64,
}

/// What came of a sync.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = SyncOutcome)]
pub struct OutcomeView {
    /// `adopted`, `unchanged`, `late`, `older` or `failed`; empty before the first.
    #[serde(default)]
    pub what: String,
    /// In words, where there is something to say.
    pub detail: Option<String>,
    /// Failures in a row.
    #[serde(default)]
    pub failures: u32,
    /// Where it was fetched from.
    pub from: Option<String>,
    /// What is worth a word although it stopped nothing.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl Listed for SourceView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "is_shared",
        "state",
        "fetched_by",
        "origin",
        "label",
        "codename",
        "addresses",
        "components",
        "architectures",
        "last_sync_at",
        "last_success_at",
        "next_sync_at",
    ];
}

/// The state that a parameter names.
///
/// # Errors
/// Another word.
pub fn state(word: Option<&str>) -> Result<Option<SourceState>, Refusal> {
    let parse = |word| SourceState::parse(word).ok_or(word);
    word.map(parse)
        .transpose()
        .map_err(|_other| Refusal::invalid("state", "it is proposed, adopted, paused or declined"))
}

/// A part of the sources that a tenant sees, in this state or any: everybody's first, then its own, each in the order of ids.
///
/// # Errors
/// Of the database.
pub async fn list(
    ctx: &Context,
    scope: Scope,
    state: Option<SourceState>,
    after: Option<(bool, IdText)>,
    limit: u32,
) -> Result<Part<SourceView, (bool, IdText)>, Refusal> {
    let rows = ctx.db.read(move |view| source::all(view, &scope, state)).await?;
    let key = |row: &Source| (row.owner != Owner::Shared, IdText::of(row.id));
    let mut rest = rows
        .iter()
        .filter(|row| after.as_ref().is_none_or(|after| key(row) > *after));
    let page: Vec<&Source> = rest.by_ref().take(limit as usize).collect();
    let last = page.last().map(|row| key(row));
    Ok(Part {
        next: last.filter(|_| rest.next().is_some()),
        items: page.into_iter().map(shown).collect::<Result<_, _>>()?,
    })
}

/// One of them.
///
/// # Errors
/// Not found, or of the database.
pub async fn get(ctx: &Context, scope: Scope, id: SourceId) -> Result<SourceView, Refusal> {
    let row = ctx.db.read(move |view| source::get(view, &scope, id)).await?;
    shown(&row.ok_or(Refusal::NotFound { what: "source" })?)
}

fn bad_row(_: row::BadRow) -> Refusal {
    Refusal::Fault("a source's row cannot be read")
}

/// A row, shown.
///
/// # Errors
/// A row that cannot be read.
fn shown(row: &Source) -> Result<SourceView, Refusal> {
    let identity: IdentityJson = row::parse("the identity", &row.identity).map_err(bad_row)?;
    let addresses: AddressesJson = row::parse("the addresses", &row.addresses).map_err(bad_row)?;
    let schedule: ScheduleJson = row::parse("the schedule", &row.schedule).map_err(bad_row)?;
    let address = |place: &PlaceJson| format!("{} {}", without_login(&place.uri), place.suite);
    Ok(SourceView {
        id: IdText::of(row.id),
        name: row.name.clone(),
        is_shared: row.owner == Owner::Shared,
        state: row.state.as_str(),
        fetched_by: match row.kind {
            SourceKind::Carried => "agents",
            SourceKind::Apt | SourceKind::Rpm => "server",
        },
        origin: identity.origin,
        label: identity.label,
        codename: identity.codename,
        keys: identity.keys,
        addresses: addresses.places.iter().map(address).collect(),
        components: row::parse("the components", &row.components).map_err(bad_row)?,
        architectures: row::parse("the architectures", &row.architectures).map_err(bad_row)?,
        every_seconds: schedule.every_seconds,
        has_credentials: row.credentials_sealed.is_some(),
        last_sync_at: row.last_sync_at.map(When),
        last_success_at: row.last_success_at.map(When),
        next_sync_at: row.next_sync_at.map(When),
        last_outcome: serde_json::from_str(&row.last_outcome).unwrap_or_default(),
        version: row.version,
    })
}

/// A snapshot, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Snapshot)]
pub struct SnapshotView {
    /// Its id.
    pub id: IdText,
    /// SHA-256 of the release file as signed.
    pub digest: String,
    /// What the release says of itself.
    pub release: ReleaseView,
    /// When it was published.
    pub published_at: When,
    /// Until when its publisher vouches for it.
    pub valid_until: Option<When>,
    /// When it came into force here.
    pub adopted_at: When,
    /// When another took its place.
    pub superseded_at: Option<When>,
}

/// What a release says of itself.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Release)]
pub struct ReleaseView {
    /// `Origin`.
    pub origin: Option<String>,
    /// `Label`.
    pub label: Option<String>,
    /// `Suite`.
    pub suite: Option<String>,
    /// `Codename`.
    pub codename: Option<String>,
    /// `Version`.
    pub version: Option<String>,
    /// Fingerprints of the certificates that signed it.
    pub signed_by: Vec<String>,
}

impl From<ReleaseJson> for ReleaseView {
    fn from(release: ReleaseJson) -> Self {
        Self {
            origin: release.origin,
            label: release.label,
            suite: release.suite,
            codename: release.codename,
            version: release.version,
            signed_by: release.signed_by,
        }
    }
}

impl Listed for SnapshotView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "digest",
        "published_at",
        "valid_until",
        "adopted_at",
        "superseded_at",
    ];
}

impl SnapshotView {
    fn of(row: Snapshot) -> Result<Self, Refusal> {
        let release: ReleaseJson = row::parse("the release", &row.release).map_err(bad_row)?;
        Ok(Self {
            id: IdText::of(row.id),
            digest: row.digest.to_string(),
            release: release.into(),
            published_at: When(row.published_at),
            valid_until: row.valid_until.map(When),
            adopted_at: When(row.adopted_at),
            superseded_at: row.superseded_at.map(When),
        })
    }
}

/// A part of the snapshots of a source, the last adopted first; those before this moment, in microseconds.
///
/// # Errors
/// No such source, or of the database.
pub async fn snapshots(
    ctx: &Context,
    scope: Scope,
    id: SourceId,
    before: Option<Timestamp>,
    limit: u32,
) -> Result<Part<SnapshotView, i64>, Refusal> {
    let read = ctx.db.attempt_read(move |view| {
        source::get(view, &scope, id)?.ok_or(Refusal::NotFound { what: "source" })?;
        let mut rows = snapshot::of_source(view, &scope, id, before, limit.saturating_add(1))?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let last = rows.last().map(|row| row.adopted_at.as_microsecond());
        Ok::<_, Refusal>(Part {
            next: last.filter(|_| has_more),
            items: rows.into_iter().map(SnapshotView::of).collect::<Result<_, _>>()?,
        })
    });
    read.await
}
