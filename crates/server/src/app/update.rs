//! Updates: what vendors released, where it is listed, and how many hosts miss it, now or as it was known at some moment.

use super::refusal::Refusal;
use super::shape::{IdText, Listed, Part, When};
use crate::Context;
use domain::id::UpdateKey;
use jiff::Timestamp;
use roaring::RoaringBitmap;
use serde::Serialize;
use std::collections::BTreeMap;
use store::update::{self, Missed, Then, Update, UpdateClass, UpdateFilter, UpdateState};
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

/// What the caller asks updates for, still as texts.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of this source package.
    pub package: Option<String>,
    /// Of this kind.
    pub classification: Option<String>,
    /// In this state.
    pub state: Option<String>,
    /// Listed by this source.
    pub source: Option<String>,
    /// Whether only those are wanted that some host misses.
    pub missed: Option<bool>,
}

/// Understands the filters; none is passed over.
///
/// # Errors
/// Names the one that cannot be.
pub fn filter(wanted: Wanted) -> Result<UpdateFilter, Refusal> {
    let class = |word: String| UpdateClass::parse(&word).ok_or("it is security or other");
    let state = |word: String| UpdateState::parse(&word).ok_or("it is listed, withdrawn or quarantined");
    let source = |text: String| {
        text.parse()
            .map_err(|_no_id| "a source is named by its id, a UUID")
    };
    Ok(UpdateFilter {
        package: wanted.package,
        class: parsed("classification", wanted.classification, class)?,
        state: parsed("state", wanted.state, state)?,
        source: parsed("source", wanted.source, source)?,
        missed: match wanted.missed {
            Some(true) => Missed::BySome,
            Some(false) | None => Missed::OrNot,
        },
        then: None,
    })
}

fn parsed<W>(
    name: &'static str,
    text: Option<String>,
    parse: impl Fn(String) -> Result<W, &'static str>,
) -> Result<Option<W>, Refusal> {
    let word = text.map(parse).transpose();
    word.map_err(|why| Refusal::invalid(name, why))
}

/// A part of the updates that the filter lets through, the newest first, with the hosts that miss each; all of it as known at
/// a moment, or now. The key is an update's id.
///
/// # Errors
/// A key that is none, or of the database.
pub async fn page(
    ctx: &Context,
    scope: Scope,
    filter: UpdateFilter,
    as_of: Option<Timestamp>,
    before: Option<IdText>,
    limit: u32,
) -> Result<Part<UpdateView, IdText>, Refusal> {
    let before = before.map(key).transpose()?;
    let part = ctx.db.read(move |view| {
        let generation = finding::generation(view, &scope, as_of)?.map(|generation| generation.number);
        let filter = UpdateFilter {
            then: as_of.map(|at| Then {
                at,
                generation: generation.unwrap_or(0),
            }),
            ..filter.clone()
        };
        let page = update::page(view, &scope, &filter, before, limit)?;
        let ids: Vec<UpdateKey> = page.rows.iter().map(|row| row.id).collect();
        let counts = counts(view, &scope, &ids, generation)?;
        Ok(Part::of(page, |row| shown(&row, &counts, as_of), IdText::of))
    });
    Ok(part.await?)
}

fn key(id: IdText) -> Result<UpdateKey, Refusal> {
    let no_id = |_| Refusal::invalid("cursor", "it is none of this list");
    id.0.parse().map_err(no_id)
}

/// One update.
///
/// # Errors
/// Not found, or not known yet at that moment; or of the database.
pub async fn get(
    ctx: &Context,
    scope: Scope,
    id: UpdateKey,
    as_of: Option<Timestamp>,
) -> Result<UpdateView, Refusal> {
    let found = ctx.db.read(move |view| {
        let generation = finding::generation(view, &scope, as_of)?;
        let counts = counts(
            view,
            &scope,
            &[id],
            generation.map(|generation| generation.number),
        )?;
        let row = update::get(view, &scope, id)?;
        let row = row.filter(|row| as_of.is_none_or(|at| row.first_seen_at <= at));
        Ok::<_, store::Error>(row.map(|row| shown(&row, &counts, as_of)))
    });
    found.await?.ok_or(Refusal::NotFound { what: "update" })
}

fn counts(
    view: &mut View,
    scope: &Scope,
    updates: &[UpdateKey],
    generation: Option<u64>,
) -> Result<BTreeMap<UpdateKey, u64>, store::Error> {
    match generation {
        Some(generation) => finding::counts(view, scope, updates, generation),
        None => Ok(BTreeMap::new()),
    }
}

fn shown(row: &Update, counts: &BTreeMap<UpdateKey, u64>, as_of: Option<Timestamp>) -> UpdateView {
    let withdrawn_at = row.withdrawn_at.filter(|gone| as_of.is_none_or(|at| *gone <= at));
    let was_there_still = withdrawn_at.is_none() && row.state == UpdateState::Withdrawn;
    UpdateView {
        id: IdText::of(row.id),
        source: row.identity.source.clone(),
        source_version: row.identity.source_version.clone(),
        build: row.identity.build.clone(),
        origin: row.identity.origin.clone(),
        classification: row.class.as_str(),
        state: match was_there_still {
            true => UpdateState::Listed.as_str(),
            false => row.state.as_str(),
        },
        first_seen_at: When(row.first_seen_at),
        withdrawn_at: withdrawn_at.map(When),
        hosts: counts.get(&row.id).copied().unwrap_or(0),
    }
}

/// The numbers of the hosts that missed an update at this moment, as known then, or that miss it now.
///
/// # Errors
/// No such update, or of the database.
pub async fn hosts(
    ctx: &Context,
    scope: Scope,
    id: UpdateKey,
    as_of: Option<Timestamp>,
) -> Result<RoaringBitmap, Refusal> {
    let read = ctx.db.attempt_read(move |view| {
        let row = update::get(view, &scope, id)?;
        row.filter(|row| as_of.is_none_or(|at| row.first_seen_at <= at))
            .ok_or(Refusal::NotFound { what: "update" })?;
        match finding::generation(view, &scope, as_of)? {
            Some(generation) => Ok(finding::hosts(view, &scope, id, generation.number)?),
            None => Ok(RoaringBitmap::new()),
        }
    });
    read.await
}
