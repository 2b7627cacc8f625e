//! Hosts: finding them and looking at one, now (here) or at a moment of the past (`then`), what was changed on one
//! (`changes`), and what people decide about them (`decide`). What agents do is in `agents`.

mod changes;
mod decide;
mod then;

pub use changes::{HostChangeView, changes};
pub use decide::{HostChange, MergeRequest, MoveRequest, approve, edit, merge, move_to, re_enrol, retire};

use domain::id::{HostId, SiteId};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use store::document::{self, DocumentKind};
use store::host::{self, Host, HostFilter, HostMode, HostNames, HostStanding, HostState};
use store::{ByName, Scope, View, host_document, liveness};
use utoipa::ToSchema;

use super::caller::Place;
use super::refusal::Refusal;
use super::shape::{IdText, Listed, Part, When};
use crate::Context;
use crate::agents::stored_bytes;

/// A host, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Host)]
pub struct HostView {
    /// Its id.
    pub id: IdText,
    /// Its name; not unique.
    pub name: String,
    /// Its site.
    pub site: IdText,
    /// `pending`, `active`, `quarantined` or `retired`.
    pub state: &'static str,
    /// `unknown`, `updates_missing` or `up_to_date`.
    pub standing: &'static str,
    /// Updates that it misses.
    pub missing: u32,
    /// How many of them are security updates.
    pub missing_security: u32,
    /// What the host itself permits at most: `monitor`, `download`, `install` or `full`.
    pub mode: &'static str,
    /// The version of its agent.
    pub agent_version: String,
    /// Its tags, in order.
    pub tags: Vec<String>,
    /// When it was heard of last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<When>,
    /// When it was enrolled.
    pub enrolled_at: When,
    /// When it was retired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<When>,
    /// The host that it is a copy of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<IdText>,
    /// Whether it came from another tenant.
    pub was_moved: bool,
    /// Counts what was decided about it; the ETag is made of it.
    pub version: i64,
}

impl Listed for HostView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "site",
        "state",
        "standing",
        "missing",
        "missing_security",
        "mode",
        "agent_version",
        "tags",
        "seen_at",
        "enrolled_at",
        "retired_at",
    ];
}

impl HostView {
    fn of(host: Host, tags: Vec<String>, seen_at: Option<Timestamp>) -> Self {
        Self {
            id: IdText::of(host.id),
            name: host.name,
            site: IdText::of(host.site),
            state: host.state.as_str(),
            standing: host.standing.as_str(),
            missing: host.missing,
            missing_security: host.missing_security,
            mode: host.mode.as_str(),
            agent_version: host.agent_version,
            tags,
            seen_at: seen_at.map(When),
            enrolled_at: When(host.enrolled_at),
            retired_at: host.retired_at.map(When),
            copy_of: host.copy_of.map(IdText::of),
            was_moved: host.moved_from.is_some(),
            version: host.version,
        }
    }
}

/// What the caller asks hosts for, still as texts.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// In the name, whatever the case; with `*` at its end, at the beginning of it.
    pub name: Option<String>,
    /// At this site.
    pub site: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// In this state.
    pub state: Option<String>,
    /// Standing so.
    pub standing: Option<String>,
    /// With this mode.
    pub mode: Option<String>,
}

/// Understands the filters; none is passed over.
///
/// # Errors
/// Names the one that cannot be.
pub fn filter(place: &Place, wanted: Wanted) -> Result<HostFilter, Refusal> {
    let name = wanted.name.map(|name| match name.strip_suffix('*') {
        Some(beginning) => HostNames::Beginning(beginning.to_owned()),
        None => HostNames::Containing(name),
    });
    let site: Option<SiteId> = match wanted.site {
        Some(site) => Some(
            site.parse()
                .map_err(|_no_id| Refusal::invalid("site", "a site is named by its id"))?,
        ),
        None => None,
    };
    Ok(HostFilter {
        name,
        site: place.narrow(site)?,
        tag: wanted.tag.map(|tag| super::text::tag("tag", &tag)).transpose()?,
        state: word(
            "state",
            wanted.state,
            HostState::parse,
            HostState::ALL,
            HostState::as_str,
        )?,
        standing: word(
            "standing",
            wanted.standing,
            HostStanding::parse,
            HostStanding::ALL,
            HostStanding::as_str,
        )?,
        mode: word(
            "mode",
            wanted.mode,
            HostMode::parse,
            HostMode::ALL,
            HostMode::as_str,
        )?,
        numbers: None,
        there_at: None,
    })
}

fn word<W: Copy>(
    name: &'static str,
    text: Option<String>,
    parse: fn(&str) -> Option<W>,
    all: &[W],
    show: fn(W) -> &'static str,
) -> Result<Option<W>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let refuse = || {
        let words: Vec<_> = all.iter().map(|word| show(*word)).collect();
        Refusal::invalid(name, format!("it is one of {}", words.join(", ")))
    };
    parse(&text).map(Some).ok_or_else(refuse)
}

/// The hosts that the filter lets through, in the order of names, as they stand or stood at a moment. Names, sites, tags and
/// modes are those of today: what they were is not kept.
///
/// # Errors
/// A filter that is not kept for the past, or of the database.
pub async fn list(
    ctx: &Context,
    scope: Scope,
    filter: HostFilter,
    as_of: Option<Timestamp>,
    after: Option<(String, HostId)>,
    limit: u32,
) -> Result<Part<HostView, (String, String)>, Refusal> {
    if as_of.is_some() && (filter.state.is_some() || filter.standing.is_some()) {
        return Err(Refusal::invalid(
            "as_of",
            "which hosts were in a state or stood so is not kept for the past: ask for all of that moment",
        ));
    }
    let filter = HostFilter {
        there_at: as_of,
        ..filter
    };
    let after = after.map(|(name, id)| ByName { name, id });
    let part = ctx.db.read(move |view| {
        let page = host::page(view, &scope, &filter, after.as_ref(), limit)?;
        let next = page.next.map(|key| (key.name, key.id.to_string()));
        Ok(Part {
            items: shown(view, &scope, page.rows, as_of)?,
            next,
        })
    });
    Ok(part.await?)
}

/// Hosts as they stand, or stood at a moment.
fn shown(
    view: &mut View,
    scope: &Scope,
    hosts: Vec<Host>,
    as_of: Option<Timestamp>,
) -> Result<Vec<HostView>, store::Error> {
    match as_of {
        None => show(view, scope, hosts),
        Some(at) => then::show(view, scope, hosts, at),
    }
}

/// Hosts with their tags and when they were heard of.
fn show(view: &mut View, scope: &Scope, hosts: Vec<Host>) -> Result<Vec<HostView>, store::Error> {
    let ids: Vec<HostId> = hosts.iter().map(|host| host.id).collect();
    let mut tags = std::collections::HashMap::<HostId, Vec<String>>::new();
    for (host, tag) in host::tags(view, scope, &ids)? {
        tags.entry(host).or_default().push(tag);
    }
    let seen: std::collections::HashMap<_, _> = liveness::of_hosts(view, scope, &ids)?
        .into_iter()
        .map(|sign| (sign.host, sign.seen_at))
        .collect();
    let shown = hosts.into_iter().map(|host| {
        let (tags, seen_at) = (
            tags.remove(&host.id).unwrap_or_default(),
            seen.get(&host.id).copied(),
        );
        HostView::of(host, tags, seen_at)
    });
    Ok(shown.collect())
}

fn find(view: &mut View, place: &Place, id: HostId) -> Result<Host, Refusal> {
    let host = host::get(view, &place.scope, id)?.ok_or(Refusal::NotFound { what: "host" })?;
    place.reaches(host.site, "host")?;
    Ok(host)
}

/// One host, as it stands or stood at a moment.
///
/// # Errors
/// Not found, or not there at that moment.
pub async fn get(
    ctx: &Context,
    place: &Place,
    id: HostId,
    as_of: Option<Timestamp>,
) -> Result<HostView, Refusal> {
    let place = place.clone();
    let one = ctx.db.attempt_read(move |view| {
        let host = find(view, &place, id)?;
        let was_there = as_of.is_none_or(|at| host.enrolled_at <= at);
        let hosts = if was_there { vec![host] } else { Vec::new() };
        let one = shown(view, &place.scope, hosts, as_of)?.pop();
        one.ok_or(Refusal::NotFound { what: "host" })
    });
    one.await
}

/// A document of a host, as it was known at a moment.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HostDocumentView {
    /// SHA-256 of the document, in hexadecimal digits.
    pub digest: String,
    /// When the host saw it so, by its own clock.
    pub observed_at: When,
    /// When the server learned it.
    pub received_at: When,
    /// What the host said. Every text in it is the host's, unverified.
    #[schema(value_type = Object)]
    pub document: Value,
}

/// What is known of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// System, hardware, network, services.
    Facts,
    /// Packages.
    Packages,
    /// What it is configured to use.
    Channels,
}

impl About {
    const fn kind(self) -> DocumentKind {
        match self {
            Self::Facts => DocumentKind::Facts,
            Self::Packages => DocumentKind::Inventory,
            Self::Channels => DocumentKind::ChannelConfig,
        }
    }
}

/// What the host had said until then; now, when nobody says when.
///
/// # Errors
/// Not found where nothing was known.
pub async fn known(
    ctx: &Context,
    place: &Place,
    id: HostId,
    about: About,
    as_of: Option<Timestamp>,
) -> Result<HostDocumentView, Refusal> {
    let place = place.clone();
    let at = as_of.unwrap_or_else(|| ctx.clock.now());
    let read = ctx.db.attempt_read(move |view| {
        find(view, &place, id)?;
        let noted = host_document::as_of(view, &place.scope, id, about.kind(), at)?;
        let noted = noted.ok_or(Refusal::NotFound {
            what: "document of this host at that time",
        })?;
        let stored = document::get(view, &place.scope, noted.digest)?;
        let stored = stored.ok_or(Refusal::Fault("a document that a host refers to is not there"))?;
        let document = serde_json::from_slice(&stored_bytes(&stored)?)
            .map_err(|_damaged| Refusal::Fault("a kept document cannot be read"))?;
        Ok::<_, Refusal>(HostDocumentView {
            digest: noted.digest.to_string(),
            observed_at: When(noted.observed_at),
            received_at: When(noted.received_at),
            document,
        })
    });
    read.await
}

/// A document in a host's history.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HostHistoryView {
    /// `facts`, `inventory` or `channel_config`.
    pub kind: &'static str,
    /// SHA-256 of the document.
    pub digest: String,
    /// When the host saw it so, by its own clock.
    pub observed_at: When,
    /// When the server learned it; a question `as_of` this time is answered by it.
    pub received_at: When,
}

impl Listed for HostHistoryView {
    const COLUMNS: &'static [&'static str] = &["kind", "digest", "observed_at", "received_at"];
}

/// Which documents a host handed in, the newest first.
///
/// # Errors
/// Not found.
pub async fn history(
    ctx: &Context,
    place: &Place,
    id: HostId,
    about: About,
    before: Option<Timestamp>,
    limit: u32,
) -> Result<Part<HostHistoryView, i64>, Refusal> {
    let place = place.clone();
    let read = ctx.db.attempt_read(move |view| {
        find(view, &place, id)?;
        let wanted = limit.saturating_add(1);
        let mut rows = host_document::history(view, &place.scope, id, about.kind(), before, wanted)?;
        let has_more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows
            .last()
            .map(|row| row.received_at.as_microsecond())
            .filter(|_| has_more);
        let items = rows.into_iter().map(|row| HostHistoryView {
            kind: row.kind.as_str(),
            digest: row.digest.to_string(),
            observed_at: When(row.observed_at),
            received_at: When(row.received_at),
        });
        Ok::<_, Refusal>(Part {
            items: items.collect(),
            next,
        })
    });
    read.await
}
