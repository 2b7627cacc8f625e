//! Routes of what vendors publish and what hosts miss of it: sources, snapshots, updates, findings, coverage, and who is
//! at risk.

use axum::extract::State;
use axum::http::StatusCode;
use domain::id::UpdateKey;
use jiff::Timestamp;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use store::source::SourceState;
use store::update::{ByFirstSeen, Missed, UpdateClass, UpdateFilter, UpdateState};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, Form, Page, json, list, made, thing};
use super::hosts::AsOf;
use super::input::{Allowed, Edit, InPath, InTenant, Limit, Nothing, Plain, Post, Query};
use super::route::{Needs, Route};
use super::tenants::Paging;
use crate::app::finding::{self, AtRisk, CoverageView, HostFindingsView};
use crate::app::host::{self, HostView, Wanted};
use crate::app::permission::{Noun, Verb};
use crate::app::shape::{Part, When};
use crate::app::source::{self, SnapshotView, SourceView};
use crate::app::source_decision::{self, SourceChange};
use crate::app::update::{self, UpdateView};
use crate::http::problem::{Code, Problem};

/// Which sources.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct SourceQuery {
    /// `proposed`, `adopted`, `paused` or `declined`.
    state: Option<String>,
}

/// Which updates.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct UpdateQuery {
    /// The name of the source package.
    package: Option<String>,
    /// `security` or `other`.
    classification: Option<String>,
    /// `listed`, `withdrawn` or `quarantined`.
    state: Option<String>,
    /// The id of a source that lists it now.
    source: Option<String>,
    /// `true` for those only that some host misses now.
    missed: Option<bool>,
    /// Counts of hosts as known at this time (RFC 3339); now, without it.
    #[param(value_type = Option<When>)]
    as_of: Option<When>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items of the page: 1 to 1,000, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Which hosts miss it.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct MissingQuery {
    /// As known at this time (RFC 3339); now, without it.
    #[param(value_type = Option<When>)]
    as_of: Option<When>,
    /// The id of their site.
    site: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items of the page: 1 to 1,000, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// About which package.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct ExplainQuery {
    /// `name` or `name:architecture`.
    package: String,
    /// As known at this time (RFC 3339); now, without it.
    #[param(value_type = Option<When>)]
    as_of: Option<When>,
}

/// Why, in sentences.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Explanation {
    /// In the order in which they lead to the answer.
    sentences: Vec<String>,
}

const SOURCES: &str = "/api/v1/tenants/{tenant}/sources";
const SOURCE: &str = "/api/v1/tenants/{tenant}/sources/{source}";
const UPDATES: &str = "/api/v1/tenants/{tenant}/updates";

/// The routes.
pub fn routes() -> Vec<Route> {
    let mut routes = source_routes();
    routes.extend(finding_routes());
    routes
}

fn source_routes() -> Vec<Route> {
    let read = Needs::tenant(Verb::Read, Noun::Source);
    vec![
        Route::get("list-sources", SOURCES, read, list_sources)
            .says("The sources that the tenant uses or its hosts proposed; everybody's and its own.")
            .query::<SourceQuery>()
            .gives::<Vec<SourceView>>("200", "The sources."),
        Route::get("get-source", SOURCE, read, get_source)
            .says("One source.")
            .gives::<SourceView>("200", "The source."),
        Route::patch(
            "edit-source",
            SOURCE,
            Needs::tenant(Verb::Approve, Noun::Source),
            edit_source,
        )
        .says("Adopts, pauses or declines a source of the tenant's own.")
        .lately()
        .takes::<SourceChange>()
        .gives::<SourceView>("200", "The source as it is now."),
        Route::post(
            "adopt-source-for-everybody",
            "/api/v1/tenants/{tenant}/sources/{source}/adopt-for-everybody",
            Needs::server(Verb::Approve, Noun::Source),
            adopt_for_everybody,
        )
        .says("Adopts for every tenant what the hosts of one proposed: one sync then serves all.")
        .lately()
        .gives::<SourceView>("200", "The source that all use."),
        Route::post(
            "sync-source",
            "/api/v1/tenants/{tenant}/sources/{source}/sync",
            Needs::tenant(Verb::Run, Noun::Source),
            sync,
        )
        .says("Has the source synced at the next opportunity.")
        .gives::<SourceView>("200", "The source."),
        Route::get(
            "list-snapshots",
            "/api/v1/tenants/{tenant}/sources/{source}/snapshots",
            Needs::tenant(Verb::Read, Noun::Snapshot),
            list_snapshots,
        )
        .says("What the source published at each sync, the last adopted first.")
        .query::<Paging>()
        .lists::<SnapshotView>("The snapshots."),
    ]
}

fn finding_routes() -> Vec<Route> {
    let updates = Needs::tenant(Verb::Read, Noun::Update);
    vec![
        Route::get("list-updates", UPDATES, updates, list_updates)
            .says("What vendors released for the tenant's hosts, the newest first, with how many miss it.")
            .query::<UpdateQuery>()
            .lists::<UpdateView>("The updates."),
        Route::get(
            "get-update",
            "/api/v1/tenants/{tenant}/updates/{update}",
            updates,
            get_update,
        )
        .says("One update.")
        .query::<AsOf>()
        .gives::<UpdateView>("200", "The update."),
        Route::get(
            "list-update-hosts",
            "/api/v1/tenants/{tenant}/updates/{update}/hosts",
            Needs::sites(Verb::Read, Noun::Finding),
            update_hosts,
        )
        .says("The hosts that miss an update.")
        .query::<MissingQuery>()
        .lists::<HostView>("The hosts."),
        Route::get(
            "get-host-findings",
            "/api/v1/tenants/{tenant}/hosts/{host}/findings",
            Needs::sites(Verb::Read, Noun::Finding),
            host_findings,
        )
        .says("What one host misses, and of what nobody can speak.")
        .query::<AsOf>()
        .gives::<HostFindingsView>("200", "Its findings."),
        Route::get(
            "explain-finding",
            "/api/v1/tenants/{tenant}/hosts/{host}/explain",
            Needs::sites(Verb::Read, Noun::Finding),
            explain,
        )
        .says("Why a package of a host is, or is not, missing an update.")
        .query::<ExplainQuery>()
        .gives::<Explanation>("200", "The reasons."),
        Route::get(
            "get-coverage",
            "/api/v1/tenants/{tenant}/coverage",
            Needs::tenant(Verb::Read, Noun::Coverage),
            coverage,
        )
        .says("How the tenant's hosts stand; a host of which something is not known is unknown.")
        .query::<AsOf>()
        .gives::<CoverageView>("200", "The numbers."),
        Route::bare_post(
            "list-hosts-at-risk",
            "/api/v1/tenants/{tenant}/at-risk",
            Needs::sites(Verb::Read, Noun::Finding),
            at_risk,
        )
        .says("The hosts that have a package in a range of versions. A question: nothing is changed or kept.")
        .query::<Paging>()
        .takes::<AtRisk>()
        .lists::<HostView>("The hosts."),
    ]
}

/// One of a few words, or a refusal that names the parameter.
fn word<W>(name: &str, text: Option<String>, parse: fn(&str) -> Option<W>) -> Result<Option<W>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let refuse = || {
        Problem::new(
            Code::MalformedParameter,
            format!("`{name}` has another value than its words."),
        )
    };
    parse(&text).map(Some).ok_or_else(refuse)
}

async fn list_sources(State(api): State<Api>, at: InTenant, Query(query): Query<SourceQuery>) -> Answer {
    let state = word("state", query.state, SourceState::parse)?;
    Ok(json(
        StatusCode::OK,
        &source::list(&api.ctx, at.place.scope, state).await?,
    ))
}

async fn get_source(State(api): State<Api>, at: InTenant, path: InPath) -> Answer {
    let source = source::get(&api.ctx, at.place.scope, path.id("source")?).await?;
    Ok(thing(&source, source.version))
}

async fn edit_source(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    wanted: Edit<SourceChange>,
) -> Answer {
    let (scope, id) = (at.place.scope, path.id("source")?);
    let source = source_decision::edit(&api.ctx, &at.caller, scope, id, wanted.version, wanted.body).await?;
    Ok(thing(&source, source.version))
}

async fn adopt_for_everybody(
    State(api): State<Api>,
    allowed: Allowed,
    path: InPath,
    post: Post<Nothing>,
) -> Answer {
    let (tenant, id) = (path.id("tenant")?, path.id("source")?);
    Ok(made(
        source_decision::adopt_for_everybody(&api.ctx, &allowed.caller, tenant, id, post.once).await?,
    ))
}

async fn sync(State(api): State<Api>, at: InTenant, path: InPath, post: Post<Nothing>) -> Answer {
    let (scope, id) = (at.place.scope, path.id("source")?);
    Ok(made(
        source_decision::sync(&api.ctx, &at.caller, scope, id, post.once).await?,
    ))
}

async fn list_snapshots(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(paging): Query<Paging>,
) -> Answer {
    let (scope, id, limit) = (at.place.scope, path.id("source")?, Limit::of(paging.limit)?);
    let before = paging
        .cursor
        .as_deref()
        .map(|cursor| at.cursors.read::<i64>(cursor))
        .transpose()?;
    let before = before
        .map(Timestamp::from_microsecond)
        .transpose()
        .map_err(|_range| Problem::plain(Code::BadCursor))?;
    let read = api
        .ctx
        .db
        .attempt_read(move |view| source::snapshots(view, &scope, id, before, limit + 1));
    let mut items: Vec<SnapshotView> = read.await?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let last = items
        .last()
        .map(|snapshot| at.cursors.after(&snapshot.adopted_at.0.as_microsecond()));
    Ok(json(
        StatusCode::OK,
        &Page {
            items,
            next: last.filter(|_| has_more),
        },
    ))
}

async fn list_updates(
    State(api): State<Api>,
    at: InTenant,
    Query(query): Query<UpdateQuery>,
    form: Form,
) -> Answer {
    let source = query.source.map(|id| id.parse()).transpose();
    let filter = UpdateFilter {
        package: query.package,
        class: word("classification", query.classification, UpdateClass::parse)?,
        state: word("state", query.state, UpdateState::parse)?,
        source: source
            .map_err(|_no_id| Problem::new(Code::MalformedParameter, "`source` is an id, a UUID."))?,
        missed: if query.missed == Some(true) {
            Missed::BySome
        } else {
            Missed::OrNot
        },
    };
    let before = match query.cursor.as_deref() {
        None => None,
        Some(cursor) => {
            let (at_micros, id) = at.cursors.read::<(i64, String)>(cursor)?;
            let first_seen_at =
                Timestamp::from_microsecond(at_micros).map_err(|_range| Problem::plain(Code::BadCursor))?;
            let id = id.parse().map_err(|_no_id| Problem::plain(Code::BadCursor))?;
            Some(ByFirstSeen { first_seen_at, id })
        }
    };
    let as_of = query.as_of.map(|when| when.0);
    let limit = Limit::of(query.limit)?;
    let part = update::page(&api.ctx, at.place.scope, filter, as_of, before, limit).await?;
    let next = part
        .next
        .map(|key| (key.first_seen_at.as_microsecond(), key.id.to_string()));
    Ok(list(
        form,
        &at.cursors,
        Part {
            items: part.items,
            next,
        },
    ))
}

async fn get_update(State(api): State<Api>, at: InTenant, path: InPath, Query(when): Query<AsOf>) -> Answer {
    let as_of = when.as_of.map(|when| when.0);
    Ok(json(
        StatusCode::OK,
        &update::get(&api.ctx, at.place.scope, path.id("update")?, as_of).await?,
    ))
}

async fn update_hosts(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(query): Query<MissingQuery>,
    form: Form,
) -> Answer {
    let (scope, id) = (at.place.scope, path.id::<UpdateKey>("update")?);
    let as_of = query.as_of.map(|when| when.0);
    update::get(&api.ctx, scope, id, as_of).await?;
    let numbers = api
        .ctx
        .db
        .read(move |view| update::hosts(view, &scope, id, as_of))
        .await?;
    let paging = Paging {
        cursor: query.cursor,
        limit: query.limit,
    };
    numbered(&api, &at, numbers, query.site, paging, form).await
}

/// Those of these hosts that the caller may see.
async fn numbered(
    api: &Api,
    at: &InTenant,
    numbers: RoaringBitmap,
    site: Option<String>,
    paging: Paging,
    form: Form,
) -> Answer {
    let mut filter = host::filter(
        &at.place,
        Wanted {
            site,
            ..Wanted::default()
        },
    )?;
    filter.numbers = Some(numbers);
    let after = at.cursors.name_and_id(paging.cursor.as_deref())?;
    let part = host::list(&api.ctx, at.place.scope, filter, after, Limit::of(paging.limit)?).await?;
    Ok(list(form, &at.cursors, part))
}

async fn host_findings(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(when): Query<AsOf>,
) -> Answer {
    let id = path.id("host")?;
    // Whether the caller may see this host is decided first.
    host::get(&api.ctx, &at.place, id).await?;
    let as_of = when.as_of.map(|when| when.0);
    Ok(json(
        StatusCode::OK,
        &finding::of_host(&api.ctx, at.place.scope, id, as_of).await?,
    ))
}

async fn explain(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(query): Query<ExplainQuery>,
) -> Answer {
    let id = path.id("host")?;
    host::get(&api.ctx, &at.place, id).await?;
    let as_of = query.as_of.map(|when| when.0);
    let sentences = finding::explain(&api.ctx, at.place.scope, id, &query.package, as_of).await?;
    Ok(json(StatusCode::OK, &Explanation { sentences }))
}

async fn coverage(State(api): State<Api>, at: InTenant, Query(when): Query<AsOf>) -> Answer {
    let (scope, as_of) = (at.place.scope, when.as_of.map(|when| when.0));
    let read = api
        .ctx
        .db
        .read(move |view| finding::coverage(view, &scope, as_of));
    Ok(json(StatusCode::OK, &read.await?))
}

async fn at_risk(
    State(api): State<Api>,
    at: InTenant,
    Query(paging): Query<Paging>,
    form: Form,
    Plain(asked): Plain<AtRisk>,
) -> Answer {
    let warning = asked.warning()?;
    let numbers = finding::at_risk(&api.ctx, at.place.scope, &warning).await?;
    numbered(&api, &at, numbers, None, paging, form).await
}
