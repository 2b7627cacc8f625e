//! The sync reconciler: due sources fetched, snapshots brought into force, updates and listings derived.

use super::access::{self, OpenError};
use super::fetching::{FetchFailure, Fetched, News, Place, Wanted, fetch};
use super::row::{self, AddressesJson, BadRow, IdentityJson, ScheduleJson};
use super::space::{DiskOf, Space};
use super::{carry, derive};
use crate::clock::{draw, draw_below};
use crate::context::{Context, Work};
use crate::operations::metrics::Metric;
use crate::reconcile::{Outcome, chain};
use crate::start::millis;
use domain::digest::Sha256Digest;
use domain::id::{SnapshotId, UpdateKey};
use failpoint::{Point, reach};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use sources::apt::answer::NoListing;
use sources::apt::keyring::Keyring;
use sources::apt::snapshot::Snapshot;
use std::collections::BTreeSet;
use store::content_grant::{self, ContentGrant, GrantReason};
use store::lease::{self, Fence};
use store::snapshot::{self as snapshots, Adopted};
use store::source::{self, Source, SourceKind, SyncNote, Went};
use store::update::{self, Listing, UpdateClass, UpdateIdentity};
use store::{Owner, Scope, Tx, Whole};

/// Sources that are synced in one run.
const IN_ONE_RUN: u32 = 64;
/// The first try after a failure, in seconds; each further one waits twice as long, up to the schedule.
const RETRY_SECONDS: i64 = 300;
/// Rows that one transaction writes.
const ROWS_A_TIME: usize = 500;

/// Why a source was not looked at, or its snapshot not kept.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The database.
    #[error("keep what was synced in the database")]
    Store(#[from] store::Error),
    /// A row of it.
    #[error(transparent)]
    BadRow(#[from] BadRow),
    /// Its credentials do not open.
    #[error(transparent)]
    Credentials(#[from] OpenError),
    /// Its keys are gone.
    #[error("a key file of the source is gone from the content store; let it be proposed and adopted again")]
    NoKeys,
    /// Its keys cannot be used.
    #[error("read a key file of the source")]
    BadKeys(#[from] sources::apt::keyring::KeyringError),
    /// The content store.
    #[error("read the content store")]
    Content(#[from] content::StoreError),
    /// An index that cannot be read.
    #[error("read an index of the snapshot")]
    Index(#[from] NoListing),
}

/// What came of a sync, as the source's row keeps it.
#[derive(Clone, Debug, Serialize)]
struct OutcomeJson {
    /// `adopted`, `unchanged`, `late`, `older` or `failed`.
    what: &'static str,
    /// In words, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// Failures in a row.
    #[serde(skip_serializing_if = "is_zero")]
    failures: u32,
    /// Where it was fetched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// What is worth a word although it stopped nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A run of the reconciler: what is due is synced, what is new is derived.
pub async fn sync_due(context: &Context, fence: &Fence) -> Outcome {
    let disk = DiskOf(context.content.folder().to_owned());
    sync_with(context, fence, &disk).await
}

/// The same on a disk of the caller's.
pub async fn sync_with(context: &Context, fence: &Fence, disk: &dyn Space) -> Outcome {
    let room = disk.room()?;
    if !room.allows_syncs() {
        let standing = context.board.all().remove("sync").unwrap_or_default();
        if standing.failures == 0 {
            // What is old anyway may make room before its day has come.
            context.wake_ups.nudge(Work::Retain);
            context.wake_ups.nudge(Work::SweepContent);
        }
        let free = room.free_bytes >> 20;
        return Err(format!("syncs rest: only {free} MiB are free on the disk of the content store").into());
    }
    let now = context.clock.now();
    let due = context
        .db
        .read(move |view| source::due(view, &Whole::server(), now, IN_ONE_RUN))
        .await?;
    let (count, mut new) = (due.len(), 0);
    for source in due {
        new += usize::from(sync_one(context, fence, source).await?);
    }
    let derived = derive_new(context, fence).await?;
    if count > 0 {
        context.wake_ups.nudge(Work::Assess);
    }
    Ok(format!(
        "{count} sources synced, {new} new snapshots, {derived} updates noted"
    ))
}

/// Syncs one source. Whether there is a new snapshot. What is wrong with a source is a value on it, not an error here.
async fn sync_one(context: &Context, fence: &Fence, source: Source) -> Result<bool, CatalogError> {
    let now = context.clock.now();
    let fetched = match wanted(context, &source).await {
        Ok(wanted) => {
            let content = context.content.clone();
            let fetching = tokio::task::spawn_blocking(move || fetch(&content, &wanted, now));
            fetching.await.expect("a fetch does not panic")
        }
        Err(CatalogError::Store(error)) => return Err(error.into()),
        Err(error) => {
            let note = failed(&source, &error, None, context, now);
            note_sync(context, fence, &source, note).await?;
            return Ok(false);
        }
    };
    let Fetched {
        place,
        outcome,
        notes,
    } = fetched;
    let from = place
        .as_ref()
        .map(|place| format!("{} {}", place.uri, place.suite));
    let notes: Vec<String> = notes.iter().map(|note| format!("{note:?}")).collect();
    match outcome {
        Err(error) => {
            let error: &FetchFailure = &error;
            let note = failed(&source, error, from, context, now);
            note_sync(context, fence, &source, note).await?;
            Ok(false)
        }
        Ok(news) => adopt(context, fence, &source, news, from, notes, now).await,
    }
}

async fn adopt(
    context: &Context,
    fence: &Fence,
    source: &Source,
    news: News,
    from: Option<String>,
    notes: Vec<String>,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let (snapshot, late_since) = match news {
        News::InTime(snapshot) => (snapshot, None),
        News::Late { since, snapshot } => (snapshot, Some(since)),
    };
    let id = SnapshotId::new(millis(now), draw(&*context.chance));
    let row = row::new_snapshot(id, &snapshot);
    let grants = grants(source.owner, id, &snapshot);
    let schedule: ScheduleJson = row::parse("the schedule", &source.schedule)?;
    let next = next_sync(context, schedule, now);
    let (fence, source_id) = (fence.clone(), source.id);
    reach(Point::SnapshotFetched);
    let adopted = context
        .db
        .write(move |tx| {
            let whole = Whole::server();
            lease::hold(tx, &whole, &fence, now)?;
            let adopted = match late_since {
                // What is past its date replaces nothing; where there is nothing, it is better than silence and stays marked.
                Some(_) if has_one(tx, &whole, source_id)? => None,
                _ => Some(snapshots::adopt(tx, &whole, source_id, &row, now)?),
            };
            if adopted == Some(Adopted::Now) {
                content_grant::give(tx, &whole, &grants, now)?;
            }
            let (what, went) = match adopted {
                Some(Adopted::Now) => ("adopted", Went::Well),
                Some(Adopted::Already) => ("unchanged", Went::Well),
                Some(Adopted::Older | Adopted::NoSource) => ("older", Went::Wrong),
                None => ("late", Went::Wrong),
            };
            let detail = match (adopted, late_since) {
                (_, Some(since)) => Some(format!("what is published expired on {since}")),
                (Some(Adopted::Older), _) => {
                    Some("an older release is offered than the one in force: the mirror lags behind, or somebody turns back time".to_owned())
                }
                _ => None,
            };
            let outcome = OutcomeJson {
                what,
                detail,
                failures: 0,
                from: from.clone(),
                notes: notes.clone(),
            };
            let note = SyncNote {
                at: now,
                went,
                outcome: row::json(&outcome),
                next_sync_at: Some(next),
            };
            source::note_sync(tx, &whole, source_id, &note)?;
            Ok(adopted)
        })
        .await?;
    reach(Point::SnapshotAdopted);
    context.metrics.count(match adopted {
        Some(Adopted::Now | Adopted::Already) => Metric::Syncs,
        Some(Adopted::Older | Adopted::NoSource) | None => Metric::SyncFailures,
    });
    Ok(adopted == Some(Adopted::Now))
}

fn has_one(tx: &mut Tx, whole: &Whole, id: domain::id::SourceId) -> Result<bool, store::Error> {
    let in_force = snapshots::in_force(tx, whole)?;
    Ok(in_force.iter().any(|snapshot| snapshot.source == id))
}

async fn note_sync(
    context: &Context,
    fence: &Fence,
    source: &Source,
    note: SyncNote,
) -> Result<(), store::Error> {
    let (fence, id, now) = (fence.clone(), source.id, note.at);
    let noted = context.db.write(move |tx| {
        lease::hold(tx, &Whole::server(), &fence, now)?;
        source::note_sync(tx, &Whole::server(), id, &note)
    });
    noted.await.map(drop)
}

fn failed(
    source: &Source,
    error: &(dyn std::error::Error + 'static),
    from: Option<String>,
    context: &Context,
    now: Timestamp,
) -> SyncNote {
    context.metrics.count(Metric::SyncFailures);
    let before: serde_json::Value = serde_json::from_str(&source.last_outcome).unwrap_or_default();
    let failures = before["failures"].as_u64().unwrap_or(0).saturating_add(1);
    let schedule: ScheduleJson = row::parse("the schedule", &source.schedule).unwrap_or_default();
    let doubled = RETRY_SECONDS.saturating_mul(1_i64 << failures.min(12));
    let wait = doubled.min(i64::from(schedule.every_seconds)).max(RETRY_SECONDS);
    let jitter = draw_below(&*context.chance, wait.unsigned_abs() / 10 + 1);
    let outcome = OutcomeJson {
        what: "failed",
        detail: Some(chain(error)),
        failures: u32::try_from(failures).unwrap_or(u32::MAX),
        from,
        notes: Vec::new(),
    };
    tracing::warn!(source = %source.id, "The source {} could not be synced: {}.", source.name, chain(error));
    SyncNote {
        at: now,
        went: Went::Wrong,
        outcome: row::json(&outcome),
        next_sync_at: Some(now + SignedDuration::from_secs(wait - i64::try_from(jitter).unwrap_or(0))),
    }
}

/// The next sync after one that went well, a little earlier or later by chance.
fn next_sync(context: &Context, schedule: ScheduleJson, now: Timestamp) -> Timestamp {
    let every = i64::from(schedule.every_seconds.max(60));
    let jitter = draw_below(&*context.chance, every.unsigned_abs() / 5 + 1);
    now + SignedDuration::from_secs(every - every / 10 + i64::try_from(jitter).unwrap_or(0))
}

/// What to fetch of a source.
pub(super) async fn wanted(context: &Context, source: &Source) -> Result<Wanted, CatalogError> {
    let addresses: AddressesJson = row::parse("the addresses", &source.addresses)?;
    let places: Vec<Place> = addresses.places.into_iter().map(Place::from).collect();
    let access = match &source.credentials_sealed {
        None => None,
        Some(sealed) => Some(access::open(context, sealed)?),
    };
    Ok(Wanted {
        keyring: keyring(context, &addresses.key_files)?,
        components: row::parse("the components", &source.components)?,
        architectures: row::parse("the architectures", &source.architectures)?,
        carried: match source.kind {
            SourceKind::Carried => Some(carry::files_of(context, &places).await?),
            SourceKind::Apt | SourceKind::Rpm => None,
        },
        places,
        access,
    })
}

/// The keys of a source, out of the content store.
pub(super) fn keyring(context: &Context, key_files: &BTreeSet<String>) -> Result<Keyring, CatalogError> {
    let mut keyring: Option<Keyring> = None;
    for digest in key_files {
        let digest = Sha256Digest::parse(digest.as_bytes()).map_err(|_| CatalogError::NoKeys)?;
        let bytes = context.content.map(&digest)?.ok_or(CatalogError::NoKeys)?;
        let parsed = Keyring::parse(&bytes)?;
        keyring = Some(match keyring {
            Some(keyring) => keyring.merge(parsed),
            None => parsed,
        });
    }
    keyring.ok_or(CatalogError::NoKeys)
}

/// What a snapshot keeps from being swept.
fn grants(owner: Owner, id: SnapshotId, snapshot: &Snapshot) -> Vec<ContentGrant> {
    let grant = |digest, size_bytes| ContentGrant {
        owner,
        digest,
        reason: GrantReason::Snapshot,
        reference: id.0,
        size_bytes,
    };
    let own = [Some(snapshot.release_digest), snapshot.signature_digest];
    let own = own.into_iter().flatten().map(|digest| grant(digest, 0));
    let indexes = snapshot.indexes.iter().flat_map(|index| {
        let published = index.published.as_ref();
        let packed = published.map(|published| grant(published.digest, published.size_bytes));
        // The compiled form stands beside the digest of the unpacked file.
        [Some(grant(index.digest, 0)), packed].into_iter().flatten()
    });
    own.chain(indexes).collect()
}

/// Derives updates and listings from the snapshots that none were derived from yet. How many updates that touched.
pub async fn derive_new(context: &Context, fence: &Fence) -> Result<usize, CatalogError> {
    let mut noted = 0;
    loop {
        let next = context
            .db
            .read(|view| snapshots::to_derive(view, &Whole::server(), 1))
            .await?;
        let Some(snapshot) = next.into_iter().next() else {
            return Ok(noted);
        };
        noted += derive_one(context, fence, snapshot).await?;
    }
}

/// A scope that sees the sources of this owner.
fn scope_of(owner: Owner) -> Scope {
    match owner {
        Owner::Tenant(tenant) => Scope::of_tenant(tenant),
        // No tenant has this id; what is everybody's is seen from it too.
        Owner::Shared => Scope::of_tenant(domain::id::TenantId([0; 16])),
    }
}

async fn derive_one(
    context: &Context,
    fence: &Fence,
    snapshot: snapshots::Snapshot,
) -> Result<usize, CatalogError> {
    let (owner, source_id, before) = (snapshot.owner, snapshot.source, snapshot.adopted_at);
    let (previous, source) = context
        .db
        .read(move |view| {
            let scope = scope_of(owner);
            let previous = snapshots::of_source(view, &scope, source_id, Some(before), 1)?;
            let source = source::find(view, &Whole::server(), source_id)?;
            Ok::<_, store::Error>((previous.into_iter().next(), source))
        })
        .await?;
    let Some(source) = source else { return Ok(0) };
    let identity: IdentityJson = row::parse("the identity", &source.identity)?;
    let old = previous
        .as_ref()
        .map(row::indexes)
        .transpose()?
        .unwrap_or_default();
    let new = row::indexes(&snapshot)?;
    let content = context.content.clone();
    let comparing = tokio::task::spawn_blocking(move || derive::difference(&content, &old, &new));
    let difference = comparing.await.expect("comparing does not panic")?;
    let release: row::ReleaseJson = row::parse("the release", &snapshot.release)?;
    let deriving = Deriving {
        snapshot: &snapshot,
        identity: &identity,
        class: class(&release),
        suite: release.suite.or(release.codename).unwrap_or_default(),
    };
    for gone in in_parts(difference.gone) {
        deriving.write(context, fence, gone, Direction::Gone).await?;
    }
    let mut count = 0;
    for come in in_parts(difference.come) {
        count += come.len();
        deriving.write(context, fence, come, Direction::Come).await?;
    }
    let (fence, now) = (fence.clone(), context.clock.now());
    context
        .db
        .write(move |tx| {
            lease::hold(tx, &Whole::server(), &fence, now)?;
            snapshots::note_derived(tx, &Whole::server(), &snapshot, now)
        })
        .await?;
    Ok(count)
}

fn in_parts(all: BTreeSet<derive::Listed>) -> Vec<Vec<derive::Listed>> {
    let all: Vec<_> = all.into_iter().collect();
    all.chunks(ROWS_A_TIME).map(<[_]>::to_vec).collect()
}

fn class(release: &row::ReleaseJson) -> UpdateClass {
    let listing = domain::catalog::listing::Listing {
        release: std::sync::Arc::new(domain::catalog::release::ReleaseFacts {
            suite: release.suite.clone(),
            codename: release.codename.clone(),
            label: release.label.clone(),
            ..Default::default()
        }),
        site: String::new(),
        component: String::new(),
        architecture: String::new(),
    };
    match listing.is_security() {
        true => UpdateClass::Security,
        false => UpdateClass::Other,
    }
}

/// Which way rows go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Come,
    Gone,
}

struct Deriving<'a> {
    snapshot: &'a snapshots::Snapshot,
    identity: &'a IdentityJson,
    class: UpdateClass,
    suite: String,
}

impl Deriving<'_> {
    async fn write(
        &self,
        context: &Context,
        fence: &Fence,
        listed: Vec<derive::Listed>,
        direction: Direction,
    ) -> Result<(), store::Error> {
        let now = context.clock.now();
        let signing_keys = row::json(&self.identity.keys);
        let updates: Vec<(UpdateKey, UpdateIdentity, UpdateClass)> = listed
            .iter()
            .map(|one| {
                let identity = UpdateIdentity {
                    origin: self.identity.origin.clone(),
                    signing_keys: signing_keys.clone(),
                    source: one.source.clone(),
                    source_version: one.source_version.clone(),
                    build: one.build.clone(),
                };
                (
                    UpdateKey::new(millis(now), draw(&*context.chance)),
                    identity,
                    self.class,
                )
            })
            .collect();
        let listings: Vec<Listing> = listed
            .iter()
            .map(|one| Listing {
                source_owner: self.snapshot.owner,
                source: self.snapshot.source,
                component: one.component.clone(),
                architecture: one.architecture.clone(),
                suite: self.suite.clone(),
                first_snapshot: self.snapshot.id,
                listed_at: self.snapshot.adopted_at,
                delisted_at: None,
            })
            .collect();
        let (fence, owner, source) = (fence.clone(), self.snapshot.owner, self.snapshot.source);
        context
            .db
            .write(move |tx| {
                let whole = Whole::server();
                lease::hold(tx, &whole, &fence, now)?;
                let keys = update::note(tx, &whole, owner, &updates, now)?;
                let rows: Vec<_> = keys.into_iter().zip(listings.iter().cloned()).collect();
                match direction {
                    Direction::Come => update::list(tx, &whole, owner, &rows),
                    Direction::Gone => update::delist(tx, &whole, source, &rows, now).map(drop),
                }
            })
            .await
    }
}
