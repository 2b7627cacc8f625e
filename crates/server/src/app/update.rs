//! Updates: what vendors released, where it is listed, and how many hosts miss it, now or as it was known at some moment.

use super::refusal::Refusal;
use super::shape::{IdText, Listed, Part, When};
use crate::Context;
use domain::id::UpdateKey;
use jiff::Timestamp;
use roaring::RoaringBitmap;
use serde::Serialize;
use std::collections::BTreeMap;
use store::update::{self, ByFirstSeen, Update, UpdateFilter};
use store::{Scope, View, finding};
use utoipa::ToSchema;

/// An update, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Update)]
pub struct UpdateView {
    /// Its id.
    pub id: IdText,
    /// Source package.
    pub source: String,
    /// Source version.
    pub source_version: String,
    /// The binary-rebuild suffix, or empty.
    pub build: String,
    /// Its publisher's `Origin`.
    pub origin: String,
    /// `security` or `other`.
    pub classification: &'static str,
    /// `listed`, `withdrawn` or `quarantined`.
    pub state: &'static str,
    /// When it was seen here first.
    pub first_seen_at: When,
    /// When it left its last source.
    pub withdrawn_at: Option<When>,
    /// Hosts that miss it.
    pub hosts: u64,
}

impl Listed for UpdateView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "source",
        "source_version",
        "build",
        "origin",
        "classification",
        "state",
        "first_seen_at",
        "withdrawn_at",
        "hosts",
    ];
}

/// A part of the updates that the filter lets through, the newest first, with the hosts that miss each at this moment, as
/// known then, or now.
///
/// # Errors
/// Of the database.
pub async fn page(
    context: &Context,
    scope: Scope,
    filter: UpdateFilter,
    as_of: Option<Timestamp>,
    before: Option<ByFirstSeen>,
    limit: u32,
) -> Result<Part<UpdateView, ByFirstSeen>, Refusal> {
    let part = context
        .db
        .read(move |view| {
            let counts = counts(view, &scope, as_of)?;
            let page = update::page(view, &scope, &filter, before, limit)?;
            Ok(Part::of(page, |row| shown(&row, &counts), |key| key))
        })
        .await?;
    Ok(part)
}

/// One update.
///
/// # Errors
/// Not found, or of the database.
pub async fn get(
    context: &Context,
    scope: Scope,
    id: UpdateKey,
    as_of: Option<Timestamp>,
) -> Result<UpdateView, Refusal> {
    let found = context
        .db
        .read(move |view| {
            let counts = counts(view, &scope, as_of)?;
            Ok(update::get(view, &scope, id)?.map(|row| shown(&row, &counts)))
        })
        .await?;
    found.ok_or(Refusal::NotFound { what: "update" })
}

fn counts(
    view: &mut View,
    scope: &Scope,
    as_of: Option<Timestamp>,
) -> Result<BTreeMap<UpdateKey, u64>, store::Error> {
    match finding::generation(view, scope, as_of)? {
        Some(generation) => finding::counts(view, scope, generation.number),
        None => Ok(BTreeMap::new()),
    }
}

fn shown(row: &Update, counts: &BTreeMap<UpdateKey, u64>) -> UpdateView {
    UpdateView {
        id: IdText::of(row.id),
        source: row.identity.source.clone(),
        source_version: row.identity.source_version.clone(),
        build: row.identity.build.clone(),
        origin: row.identity.origin.clone(),
        classification: row.class.as_str(),
        state: row.state.as_str(),
        first_seen_at: When(row.first_seen_at),
        withdrawn_at: row.withdrawn_at.map(When),
        hosts: counts.get(&row.id).copied().unwrap_or(0),
    }
}

/// The numbers of the hosts that missed an update at this moment, as known then, or that miss it now.
///
/// # Errors
/// Of the database.
pub fn hosts(
    view: &mut View,
    scope: &Scope,
    id: UpdateKey,
    as_of: Option<Timestamp>,
) -> Result<RoaringBitmap, store::Error> {
    match finding::generation(view, scope, as_of)? {
        Some(generation) => finding::hosts(view, scope, id, generation.number),
        None => Ok(RoaringBitmap::new()),
    }
}
