//! Sources: what is proposed, what is adopted, and what people decide. Syncing is in `catalog`; routes and audit records are
//! the caller's: the functions that change take the transaction that the record is written in.

use super::refusal::{Refusal, changed};
use super::shape::{IdText, When};
use crate::Context;
use crate::catalog::propose::edit_of;
use crate::catalog::row::{self, AddressesJson, IdentityJson, PlaceJson, ScheduleJson};
use crate::catalog::{CREDENTIALS, wish};
use content::Expected;
use domain::host::address::without_login;
use domain::id::{HostId, SourceId};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sources::apt::keyring::Keyring;
use std::collections::BTreeSet;
use store::source::{self, NewSource, Source, SourceEdit, SourceKind, SourceState};
use store::{Owner, Scope, Tx, View, Whole, snapshot};
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
    /// Whether it is fetched with a login.
    pub has_credentials: bool,
    /// When it was tried last.
    pub last_sync_at: Option<When>,
    /// When that last went well.
    pub last_success_at: Option<When>,
    /// When it is tried next.
    pub next_sync_at: Option<When>,
    /// What came of the last try.
    #[schema(value_type = Object)]
    pub last_outcome: Value,
    /// Counts what was decided about it.
    pub version: i64,
}

/// The sources that a tenant sees, in this state or any.
///
/// # Errors
/// Of the database.
pub async fn list(
    context: &Context,
    scope: Scope,
    state: Option<SourceState>,
) -> Result<Vec<SourceView>, Refusal> {
    let rows = context
        .db
        .read(move |view| source::all(view, &scope, state))
        .await?;
    rows.iter().map(shown).collect()
}

/// One of them.
///
/// # Errors
/// Not found, or of the database.
pub async fn get(context: &Context, scope: Scope, id: SourceId) -> Result<SourceView, Refusal> {
    let row = context.db.read(move |view| source::get(view, &scope, id)).await?;
    shown(&row.ok_or(Refusal::NotFound { what: "source" })?)
}

fn bad_row(_: row::BadRow) -> Refusal {
    Refusal::Fault("a source's row cannot be read")
}

/// A row, shown.
///
/// # Errors
/// A row that cannot be read.
pub fn shown(row: &Source) -> Result<SourceView, Refusal> {
    let identity: IdentityJson = row::parse("the identity", &row.identity).map_err(bad_row)?;
    let addresses: AddressesJson = row::parse("the addresses", &row.addresses).map_err(bad_row)?;
    let schedule: ScheduleJson = row::parse("the schedule", &row.schedule).map_err(bad_row)?;
    let address = |place: &PlaceJson| format!("{} {}", without_login(&place.uri), place.suite);
    Ok(SourceView {
        id: IdText::of(row.id),
        name: row.name.clone(),
        is_shared: row.owner == Owner::Shared,
        state: row.state.as_str(),
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

/// Adopts a source for the tenant, or rests, declines or takes it up again; an adopted one is synced at the next
/// opportunity. Nudge [`crate::context::Work::Sync`] afterwards.
///
/// # Errors
/// Not found, changed meanwhile, or of the database.
pub fn set_state(
    tx: &mut Tx,
    scope: &Scope,
    id: SourceId,
    version: i64,
    state: SourceState,
    now: Timestamp,
) -> Result<Source, Refusal> {
    let row = source::get(tx, scope, id)?.ok_or(Refusal::NotFound { what: "source" })?;
    if row.owner == Owner::Shared {
        return Err(Refusal::WrongState(
            "the source is everybody's: the infrastructure's administrators decide about it".to_owned(),
        ));
    }
    let edit = decided(&row, state, now);
    changed(source::edit(tx, scope, id, version, &edit)?, "source")
}

/// The same for a source that is everybody's.
///
/// # Errors
/// As there.
pub fn set_state_shared(
    tx: &mut Tx,
    whole: &Whole,
    id: SourceId,
    version: i64,
    state: SourceState,
    now: Timestamp,
) -> Result<Source, Refusal> {
    let row = source::find(tx, whole, id)?.ok_or(Refusal::NotFound { what: "source" })?;
    let edit = decided(&row, state, now);
    changed(source::edit_shared(tx, whole, id, version, &edit)?, "source")
}

fn decided(row: &Source, state: SourceState, now: Timestamp) -> SourceEdit {
    SourceEdit {
        state,
        next_sync_at: (state == SourceState::Adopted).then_some(now),
        ..edit_of(row)
    }
}

/// Adopts for everybody what a tenant's hosts proposed: one sync serves all tenants. The tenant's own proposal is declined,
/// as the shared source answers in its place. `id` is for the new row.
///
/// # Errors
/// Not found, changed meanwhile, or of the database.
pub fn adopt_for_everybody(
    tx: &mut Tx,
    (whole, scope): (&Whole, &Scope),
    proposed: SourceId,
    version: i64,
    id: SourceId,
    now: Timestamp,
) -> Result<Source, Refusal> {
    let row = source::get(tx, scope, proposed)?.ok_or(Refusal::NotFound { what: "source" })?;
    if row.owner == Owner::Shared {
        return set_state_shared(tx, whole, proposed, version, SourceState::Adopted, now);
    }
    let declined = source::edit(
        tx,
        scope,
        proposed,
        version,
        &decided(&row, SourceState::Declined, now),
    )?;
    changed(declined, "source")?;
    let new = NewSource {
        id,
        kind: row.kind,
        identity: row.identity.clone(),
        identity_digest: row.identity_digest,
        edit: decided(&row, SourceState::Adopted, now),
    };
    source::create_shared(tx, whole, &new, now)?;
    let there = source::by_identity(tx, whole, Owner::Shared, row.identity_digest)?;
    there.ok_or(Refusal::Fault("the source that was just adopted is not there"))
}

/// Asks for a sync at the next opportunity. Nudge [`crate::context::Work::Sync`] afterwards.
///
/// # Errors
/// Not found where there is no such adopted source.
pub fn ask_for_sync(tx: &mut Tx, scope: &Scope, id: SourceId, now: Timestamp) -> Result<(), Refusal> {
    match source::ask_for_sync(tx, scope, id, now)? {
        true => Ok(()),
        false => Err(Refusal::NotFound {
            what: "adopted source",
        }),
    }
}

/// Sets or removes the login of a tenant's own source: `user:password`, sealed before it is stored.
///
/// # Errors
/// A login without a colon, not found, changed meanwhile, or of the database.
pub fn set_credentials(
    context: &Context,
    tx: &mut Tx,
    scope: &Scope,
    id: SourceId,
    version: i64,
    login: Option<&str>,
) -> Result<Source, Refusal> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"@/?#".contains(&byte);
    if login.is_some_and(|login| !login.contains(':') || !login.bytes().all(plain)) {
        return Err(Refusal::invalid(
            "/login",
            "a login is user:password; other characters than letters, digits and marks are written as %XX",
        ));
    }
    let row = source::get(tx, scope, id)?.ok_or(Refusal::NotFound { what: "source" })?;
    let seal = |login: &str| {
        context
            .authority
            .sealer()
            .seal(CREDENTIALS, login.as_bytes(), &*context.chance)
    };
    let edit = SourceEdit {
        credentials_sealed: login.map(seal),
        ..edit_of(&row)
    };
    changed(source::edit(tx, scope, id, version, &edit)?, "source")
}

/// A source that a person adds by hand.
#[derive(Clone, Debug)]
pub struct ByHand {
    /// The archive, with a slash at its end.
    pub uri: String,
    /// The suite.
    pub suite: String,
    /// The components.
    pub components: BTreeSet<String>,
    /// The architectures.
    pub architectures: BTreeSet<String>,
    /// A key file, binary or armoured.
    pub key_file: Vec<u8>,
    /// What its releases call themselves.
    pub identity: domain::catalog::source::SourceIdentity,
    /// Whether the network reaches it, or only hosts do.
    pub kind: SourceKind,
}

/// Makes the row of a source that is added by hand; its key file is content afterwards.
///
/// # Errors
/// A key file that is none, an address that is not http or https.
pub fn by_hand(
    context: &Context,
    id: SourceId,
    wanted: &ByHand,
    now: Timestamp,
) -> Result<NewSource, Refusal> {
    let is_web = wanted.uri.starts_with("http://") || wanted.uri.starts_with("https://");
    if !is_web && wanted.kind != SourceKind::Carried {
        return Err(Refusal::invalid(
            "/uri",
            "an address begins with http:// or https://",
        ));
    }
    if without_login(&wanted.uri) != wanted.uri {
        return Err(Refusal::invalid(
            "/uri",
            "a login is given apart, not in the address",
        ));
    }
    let keyring = Keyring::parse(&wanted.key_file)
        .map_err(|error| Refusal::invalid("/key_file", crate::reconcile::chain(&error)))?;
    let limit = Expected::AtMost {
        size_bytes: wanted.key_file.len() as u64,
    };
    let (digest, _) = context
        .content
        .insert(&*wanted.key_file, limit)
        .map_err(|_| Refusal::Fault("the key file could not be kept"))?;
    let keys: BTreeSet<String> = keyring.fingerprints().into_iter().collect();
    let identity = IdentityJson::new(&wanted.identity, &keys);
    let text = row::json(&identity);
    Ok(NewSource {
        id,
        kind: wanted.kind,
        identity_digest: content::sha256(text.as_bytes()),
        identity: text,
        edit: SourceEdit {
            state: SourceState::Adopted,
            name: identity.name(),
            addresses: row::json(&AddressesJson {
                places: vec![PlaceJson {
                    uri: wanted.uri.clone(),
                    suite: wanted.suite.clone(),
                }],
                key_files: BTreeSet::from([digest.to_string()]),
            }),
            components: row::json(&wanted.components),
            architectures: row::json(&wanted.architectures),
            schedule: row::json(&ScheduleJson::default()),
            credentials_sealed: None,
            next_sync_at: Some(now),
        },
    })
}

/// The proposed sources that one host uses: for adopting everything that the server's own machine has.
///
/// # Errors
/// Of the database.
pub async fn proposed_by(context: &Context, scope: Scope, host: HostId) -> Result<Vec<Source>, Refusal> {
    let kept = context.fleets.of(scope.tenant()).await;
    let channels = kept
        .number(host)
        .and_then(|number| kept.fleet.channels_of(number));
    let wishes = channels
        .map(|channels| wish::wishes(channels))
        .unwrap_or_default();
    drop(kept);
    let proposed = context
        .db
        .read(move |view| source::all(view, &scope, Some(SourceState::Proposed)))
        .await?;
    let is_meant = |row: &Source| {
        let identity: Result<IdentityJson, _> = row::parse("the identity", &row.identity);
        identity.is_ok_and(|identity| {
            let known = identity.known(row.id);
            wishes
                .iter()
                .any(|wish| wish.identity == known.identity && !wish.keys.is_disjoint(&known.keys))
        })
    };
    Ok(proposed.into_iter().filter(is_meant).collect())
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
    #[schema(value_type = Object)]
    pub release: Value,
    /// When it was published.
    pub published_at: When,
    /// Until when its publisher vouches for it.
    pub valid_until: Option<When>,
    /// When it came into force here.
    pub adopted_at: When,
    /// When another took its place.
    pub superseded_at: Option<When>,
}

/// The snapshots of a source, the last adopted first.
///
/// # Errors
/// Of the database.
pub fn snapshots(
    view: &mut View,
    scope: &Scope,
    id: SourceId,
    before: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<SnapshotView>, Refusal> {
    let rows = snapshot::of_source(view, scope, id, before, limit)?;
    Ok(rows
        .into_iter()
        .map(|row| SnapshotView {
            id: IdText::of(row.id),
            digest: row.digest.to_string(),
            release: serde_json::from_str(&row.release).unwrap_or_default(),
            published_at: When(row.published_at),
            valid_until: row.valid_until.map(When),
            adopted_at: When(row.adopted_at),
            superseded_at: row.superseded_at.map(When),
        })
        .collect())
}
