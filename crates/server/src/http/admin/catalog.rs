//! Routes of what vendors publish and what hosts miss of it: sources, snapshots, updates, findings, coverage, and who is
//! at risk.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use domain::id::UpdateKey;
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Api;
use super::answer::{Answer, Form, json, list, made, thing};
use super::input::{Allowed, AsOf, Edit, InPath, InTenant, Nothing, Paging, Plain, Post, Query};
use super::route::{Needs, Route};
use crate::app::at_risk;
use crate::app::coverage::{self, GapView, HostCoverageView};
use crate::app::finding::{self, AtRisk, CoverageView, HostFindingsView};
use crate::app::host::{self, HostView};
use crate::app::permission::{Noun, Verb};
use crate::app::shape::IdText;
use crate::app::source::{self, AccessRequest, SnapshotView, SourceChange, SourceRequest, SourceView};
use crate::app::update::{self, UpdateView};

/// Which sources.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
struct SourceQuery {
    /// `proposed`, `adopted`, `paused` or `declined`.
    #[param(pattern = "^(proposed|adopted|paused|declined)$")]
    state: Option<String>,
}

/// Which updates.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
struct UpdateQuery {
    /// The name of the source package.
    package: Option<String>,
    /// `security` or `other`.
    #[param(pattern = "^(security|other)$")]
    classification: Option<String>,
    /// `listed`, `withdrawn` or `quarantined`.
    #[param(pattern = "^(listed|withdrawn|quarantined)$")]
    state: Option<String>,
    /// The id of a source that lists it.
    #[param(value_type = Option<IdText>)]
    source: Option<String>,
    /// `true` for those only that some host misses.
    missed: Option<bool>,
}

/// Which hosts miss it.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
struct MissingQuery {
    /// The id of their site.
    #[param(value_type = Option<IdText>)]
    site: Option<String>,
}

/// About which package.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
struct ExplainQuery {
    /// `name` or `name:architecture`.
    package: String,
}

/// Why, in sentences.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Explanation {
    /// In the order in which they lead to the answer.
    sentences: Vec<String>,
}

const SOURCES: &str = "/api/v1/tenants/{tenant}/sources";
const SOURCE: &str = "/api/v1/tenants/{tenant}/sources/{source}";
const ACCESS: &str = "/api/v1/tenants/{tenant}/sources/{source}/access";
const UPDATES: &str = "/api/v1/tenants/{tenant}/updates";

/// The routes.
pub fn routes() -> Vec<Route> {
    let mut routes = source_routes();
    routes.extend(access_routes());
    routes.extend(update_routes());
    routes.extend(finding_routes());
    routes.extend(coverage_routes());
    routes
}

fn source_routes() -> Vec<Route> {
    let read = Needs::tenant(Verb::Read, Noun::Source);
    vec![
        Route::get("list-sources", SOURCES, read, list_sources)
            .says("The sources that the tenant uses or its hosts proposed; everybody's and its own.")
            .query::<SourceQuery>()
            .pages::<SourceView>("The sources."),
        Route::post(
            "create-source",
            SOURCES,
            Needs::tenant(Verb::Create, Noun::Source),
            add_source,
        )
        .says("Adds an apt repository by hand. Its release file is fetched and verified first; it is adopted at once.")
        .lately()
        .takes::<SourceRequest>()
        .gives::<SourceView>("201", "The source."),
        Route::get("get-source", SOURCE, read, get_source)
            .says("One source.")
            .gives::<SourceView>("200", "The source."),
        Route::patch(
            "edit-source",
            SOURCE,
            Needs::tenant(Verb::Approve, Noun::Source),
            edit_source,
        )
        .says("Adopts, pauses or declines a source of the tenant's own, or says who fetches it and how often.")
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
        .pages::<SnapshotView>("The snapshots."),
    ]
}

fn access_routes() -> Vec<Route> {
    let change = Needs::tenant(Verb::Change, Noun::Source);
    vec![
        Route::patch("open-source", ACCESS, change, open_source)
            .says("Sets what opens a private source of the tenant's own, in place of what was set before. It is never shown again.")
            .lately()
            .takes::<AccessRequest>()
            .gives::<SourceView>("200", "The source as it is now."),
        Route::delete("close-source", ACCESS, change, close_source)
            .says("Removes what opens a private source of the tenant's own.")
            .lately()
            .gives_nothing("It is removed."),
    ]
}

fn update_routes() -> Vec<Route> {
    let updates = Needs::tenant(Verb::Read, Noun::Update);
    vec![
        Route::get("list-updates", UPDATES, updates, list_updates)
            .says("What vendors released for the tenant's hosts, the newest first, with how many miss it.")
            .query::<UpdateQuery>()
            .query::<AsOf>()
            .pages::<UpdateView>("The updates."),
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
        .query::<AsOf>()
        .pages::<HostView>("The hosts."),
    ]
}

fn finding_routes() -> Vec<Route> {
    let read = Needs::sites(Verb::Read, Noun::Finding);
    vec![
        Route::get(
            "get-host-findings",
            "/api/v1/tenants/{tenant}/hosts/{host}/findings",
            read,
            host_findings,
        )
        .says("What one host misses, and of what nobody can speak.")
        .query::<AsOf>()
        .gives::<HostFindingsView>("200", "Its findings."),
        Route::get(
            "explain-finding",
            "/api/v1/tenants/{tenant}/hosts/{host}/explain",
            read,
            explain,
        )
        .says("Why a package of a host is, or is not, missing an update.")
        .query::<ExplainQuery>()
        .query::<AsOf>()
        .gives::<Explanation>("200", "The reasons."),
        Route::bare_post(
            "list-hosts-at-risk",
            "/api/v1/tenants/{tenant}/at-risk",
            read,
            hosts_at_risk,
        )
        .says("The hosts that have a package in a range of versions. A question: nothing is changed or kept.")
        .takes::<AtRisk>()
        .query::<AsOf>()
        .pages::<HostView>("The hosts."),
    ]
}

fn coverage_routes() -> Vec<Route> {
    let read = Needs::tenant(Verb::Read, Noun::Coverage);
    vec![
        Route::get(
            "get-coverage",
            "/api/v1/tenants/{tenant}/coverage",
            read,
            coverage,
        )
        .says("How the tenant's hosts stand; a host of which something is not known is unknown.")
        .query::<AsOf>()
        .gives::<CoverageView>("200", "The numbers."),
        Route::get(
            "list-coverage-gaps",
            "/api/v1/tenants/{tenant}/coverage/gaps",
            read,
            gaps,
        )
        .says("What no verified source answers for on the tenant's hosts now, why, and what helps; what concerns most hosts first.")
        .pages::<GapView>("The gaps."),
        Route::get(
            "get-host-coverage",
            "/api/v1/tenants/{tenant}/hosts/{host}/coverage",
            Needs::sites(Verb::Read, Noun::Coverage),
            host_coverage,
        )
        .says("Which source each stanza of a host means, whether it answers, and which packages nobody answers for.")
        .query::<AsOf>()
        .gives::<HostCoverageView>("200", "Its coverage."),
    ]
}

async fn list_sources(
    State(api): State<Api>,
    at: InTenant,
    Query(query): Query<SourceQuery>,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let (state, after) = (source::state(query.state.as_deref())?, paging.key(&at.cursors)?);
    let part = source::list(&api.ctx, at.place.scope, state, after, paging.limit()?).await?;
    Ok(list(form, &at.cursors, part))
}

async fn add_source(State(api): State<Api>, at: InTenant, new: Post<SourceRequest>) -> Answer {
    Ok(made(
        source::add(&api.ctx, &at.caller, at.place.scope, new.once, new.body).await?,
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
    let source = source::edit(&api.ctx, &at.caller, scope, id, wanted.version, wanted.body).await?;
    Ok(thing(&source, source.version))
}

async fn open_source(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    wanted: Edit<AccessRequest>,
) -> Answer {
    let (scope, id) = (at.place.scope, path.id("source")?);
    let source = source::open(&api.ctx, &at.caller, scope, id, wanted.version, wanted.body).await?;
    Ok(thing(&source, source.version))
}

async fn close_source(State(api): State<Api>, at: InTenant, path: InPath, gone: Edit<Nothing>) -> Answer {
    let (scope, id) = (at.place.scope, path.id("source")?);
    source::close(&api.ctx, &at.caller, scope, id, gone.version).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn adopt_for_everybody(
    State(api): State<Api>,
    allowed: Allowed,
    path: InPath,
    post: Post<Nothing>,
) -> Answer {
    let (tenant, id) = (path.id("tenant")?, path.id("source")?);
    Ok(made(
        source::adopt_for_everybody(&api.ctx, &allowed.caller, tenant, id, post.once).await?,
    ))
}

async fn sync(State(api): State<Api>, at: InTenant, path: InPath, post: Post<Nothing>) -> Answer {
    let (scope, id) = (at.place.scope, path.id("source")?);
    Ok(made(
        source::sync(&api.ctx, &at.caller, scope, id, post.once).await?,
    ))
}

async fn list_snapshots(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let (id, before) = (path.id("source")?, paging.moment(&at.cursors)?);
    let part = source::snapshots(&api.ctx, at.place.scope, id, before, paging.limit()?).await?;
    Ok(list(form, &at.cursors, part))
}

async fn list_updates(
    State(api): State<Api>,
    at: InTenant,
    Query(query): Query<UpdateQuery>,
    Query(when): Query<AsOf>,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let filter = update::filter(update::Wanted {
        package: query.package,
        classification: query.classification,
        state: query.state,
        source: query.source,
        missed: query.missed,
    })?;
    let part = update::page(
        &api.ctx,
        at.place.scope,
        filter,
        when.moment(),
        paging.key(&at.cursors)?,
        paging.limit()?,
    )
    .await?;
    Ok(list(form, &at.cursors, part))
}

async fn get_update(State(api): State<Api>, at: InTenant, path: InPath, Query(when): Query<AsOf>) -> Answer {
    let id = path.id("update")?;
    Ok(json(
        StatusCode::OK,
        &update::get(&api.ctx, at.place.scope, id, when.moment()).await?,
    ))
}

async fn update_hosts(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(query): Query<MissingQuery>,
    Query(when): Query<AsOf>,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let id = path.id::<UpdateKey>("update")?;
    let numbers = update::hosts(&api.ctx, at.place.scope, id, when.moment()).await?;
    numbered(&api, &at, numbers, query.site, when, paging, form).await
}

/// Those of these hosts that the caller may see.
async fn numbered(
    api: &Api,
    at: &InTenant,
    numbers: RoaringBitmap,
    site: Option<String>,
    when: AsOf,
    paging: Paging,
    form: Form,
) -> Answer {
    let mut filter = host::filter(
        &at.place,
        host::Wanted {
            site,
            ..host::Wanted::default()
        },
    )?;
    filter.numbers = Some(numbers);
    let after = at.cursors.name_and_id(paging.cursor.as_deref())?;
    let part = host::list(
        &api.ctx,
        at.place.scope,
        filter,
        when.moment(),
        after,
        paging.limit()?,
    )
    .await?;
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
    host::get(&api.ctx, &at.place, id, None).await?;
    Ok(json(
        StatusCode::OK,
        &finding::of_host(&api.ctx, at.place.scope, id, when.moment()).await?,
    ))
}

async fn explain(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(query): Query<ExplainQuery>,
    Query(when): Query<AsOf>,
) -> Answer {
    let id = path.id("host")?;
    host::get(&api.ctx, &at.place, id, None).await?;
    let sentences = finding::explain(&api.ctx, at.place.scope, id, &query.package, when.moment()).await?;
    Ok(json(StatusCode::OK, &Explanation { sentences }))
}

async fn hosts_at_risk(
    State(api): State<Api>,
    mut at: InTenant,
    Query(when): Query<AsOf>,
    Query(paging): Query<Paging>,
    form: Form,
    Plain(asked): Plain<AtRisk>,
) -> Answer {
    let warning = asked.warning()?;
    at.cursors = at.cursors.of_question(&asked);
    let numbers = at_risk::hosts(&api.ctx, at.place.scope, warning, when.moment()).await?;
    numbered(&api, &at, numbers, None, when, paging, form).await
}

async fn coverage(State(api): State<Api>, at: InTenant, Query(when): Query<AsOf>) -> Answer {
    let numbers = coverage::summary(&api.ctx, at.place.scope, when.moment()).await?;
    Ok(json(StatusCode::OK, &numbers))
}

async fn gaps(State(api): State<Api>, at: InTenant, Query(paging): Query<Paging>, form: Form) -> Answer {
    let after = paging.key(&at.cursors)?;
    let part = coverage::gaps(&api.ctx, at.place.scope, after, paging.limit()?).await?;
    Ok(list(form, &at.cursors, part))
}

async fn host_coverage(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(when): Query<AsOf>,
) -> Answer {
    let id = path.id("host")?;
    host::get(&api.ctx, &at.place, id, None).await?;
    Ok(json(
        StatusCode::OK,
        &coverage::of_host(&api.ctx, at.place.scope, id, when.moment()).await?,
    ))
}
