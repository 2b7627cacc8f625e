//! Routes of hosts and of the tokens that they enrol with.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::answer::{Answer, Form, json, list, made, thing};
use super::input::{AsOf, Edit, InPath, InTenant, Nothing, Paging, Post, Query};
use super::route::{Needs, Route};
use crate::app::enrolment_token::{self, EnrolmentTokenRequest, EnrolmentTokenView, NewEnrolmentTokenView};
use crate::app::host::{
    self, About, HostChange, HostChangeView, HostDocumentView, HostHistoryView, HostView, MergeRequest,
    MoveRequest, Wanted,
};
use crate::app::permission::{Noun, Verb};
use crate::app::shape::IdText;
use crate::http::problem::{Code, Problem};

/// Which hosts.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
struct HostQuery {
    /// A part of the name, whatever the case; `web*` for those that begin with `web`.
    name: Option<String>,
    /// The id of their site.
    #[param(value_type = Option<IdText>)]
    site: Option<String>,
    /// One of their tags.
    #[param(pattern = "^[-a-z0-9_.=:]{1,64}$")]
    tag: Option<String>,
    /// `pending`, `active`, `quarantined` or `retired`; without it, all but retired ones.
    #[param(pattern = "^(pending|active|quarantined|retired)$")]
    state: Option<String>,
    /// `unknown`, `updates_missing` or `up_to_date`.
    #[param(pattern = "^(unknown|updates_missing|up_to_date)$")]
    standing: Option<String>,
    /// `monitor`, `download`, `install` or `full`.
    #[param(pattern = "^(monitor|download|install|full)$")]
    mode: Option<String>,
}

/// Which documents.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
struct HistoryQuery {
    /// `facts`, `packages` (usual) or `channels`.
    #[param(pattern = "^(facts|packages|channels)$")]
    about: Option<String>,
}

const HOSTS: &str = "/api/v1/tenants/{tenant}/hosts";
const HOST: &str = "/api/v1/tenants/{tenant}/hosts/{host}";
const TOKENS: &str = "/api/v1/tenants/{tenant}/enrolment-tokens";
const TOKEN: &str = "/api/v1/tenants/{tenant}/enrolment-tokens/{token}";

/// The routes.
pub fn routes() -> Vec<Route> {
    let mut routes = host_routes();
    routes.extend(decision_routes());
    routes.extend(token_routes());
    routes
}

fn host_routes() -> Vec<Route> {
    let read = Needs::sites(Verb::Read, Noun::Host);
    vec![
        Route::get("list-hosts", HOSTS, read, list_hosts)
            .says("The tenant's hosts that you may see, in the order of their names.")
            .query::<HostQuery>()
            .query::<AsOf>()
            .pages::<HostView>("The hosts."),
        Route::get("get-host", HOST, read, get_host)
            .says("One host.")
            .query::<AsOf>()
            .gives::<HostView>("200", "The host."),
        Route::get(
            "get-host-facts",
            "/api/v1/tenants/{tenant}/hosts/{host}/facts",
            read,
            facts,
        )
        .says("What the host says about its system, hardware and network.")
        .query::<AsOf>()
        .gives::<HostDocumentView>("200", "Its facts."),
        Route::get(
            "get-host-packages",
            "/api/v1/tenants/{tenant}/hosts/{host}/packages",
            read,
            packages,
        )
        .says("Which packages the host has.")
        .query::<AsOf>()
        .gives::<HostDocumentView>("200", "Its packages."),
        Route::get(
            "get-host-channels",
            "/api/v1/tenants/{tenant}/hosts/{host}/channels",
            read,
            channels,
        )
        .says("What the host is configured to use.")
        .query::<AsOf>()
        .gives::<HostDocumentView>("200", "Its channel config."),
        Route::get(
            "list-host-history",
            "/api/v1/tenants/{tenant}/hosts/{host}/history",
            read,
            history,
        )
        .says("Which documents the host handed in, the newest first.")
        .query::<HistoryQuery>()
        .pages::<HostHistoryView>("The documents."),
        Route::get(
            "list-host-changes",
            "/api/v1/tenants/{tenant}/hosts/{host}/changes",
            read,
            changes,
        )
        .says("Which packages were changed on the host, and by whom: Patchyard, another tool or a person; the last noted first.")
        .pages::<HostChangeView>("The changes."),
    ]
}

fn decision_routes() -> Vec<Route> {
    let change = Needs::sites(Verb::Change, Noun::Host);
    vec![
        Route::patch("edit-host", HOST, change, edit)
            .says("Renames a host, moves it to another site of its tenant, or tags it.")
            .takes::<HostChange>()
            .gives::<HostView>("200", "The host as it is now."),
        Route::delete(
            "retire-host",
            HOST,
            Needs::sites(Verb::Remove, Noun::Host),
            retire,
        )
        .says("Retires a host: its keys are revoked, its history is kept.")
        .lately()
        .gives_nothing("It is retired."),
        Route::post(
            "approve-host",
            "/api/v1/tenants/{tenant}/hosts/{host}/approve",
            Needs::sites(Verb::Approve, Noun::Host),
            approve,
        )
        .says("Lets a pending or quarantined host in.")
        .lately()
        .gives::<HostView>("200", "The host as it is now."),
        Route::post(
            "re-enrol-host",
            "/api/v1/tenants/{tenant}/hosts/{host}/re-enrol",
            change,
            re_enrol,
        )
        .says("Takes the host's identity away: it has to enrol again, and becomes the same host.")
        .lately()
        .gives::<HostView>("200", "The host."),
        Route::post(
            "merge-host",
            "/api/v1/tenants/{tenant}/hosts/{host}/merge",
            change,
            merge,
        )
        .says("Says that the host is the same machine as a former one, which is retired.")
        .lately()
        .takes::<MergeRequest>()
        .gives::<HostView>("200", "The host as it is now."),
        Route::post(
            "move-host",
            "/api/v1/tenants/{tenant}/hosts/{host}/move",
            Needs::sites(Verb::Remove, Noun::Host),
            move_to,
        )
        .says("Moves the host to another tenant; its history stays with this one.")
        .lately()
        .takes::<MoveRequest>()
        .gives::<HostView>("200", "The host in its new tenant."),
    ]
}

fn token_routes() -> Vec<Route> {
    let read = Needs::sites(Verb::Read, Noun::EnrolmentToken);
    vec![
        Route::get("list-enrolment-tokens", TOKENS, read, list_tokens)
            .says("The tenant's enrolment tokens that you may see, the last made last.")
            .pages::<EnrolmentTokenView>("The tokens, without their secrets."),
        Route::post(
            "create-enrolment-token",
            TOKENS,
            Needs::sites(Verb::Create, Noun::EnrolmentToken),
            create_token,
        )
        .says("Makes an enrolment token; its text is shown this once.")
        .takes::<EnrolmentTokenRequest>()
        .gives::<NewEnrolmentTokenView>("201", "The token and its text."),
        Route::get("get-enrolment-token", TOKEN, read, get_token)
            .says("One enrolment token.")
            .gives::<EnrolmentTokenView>("200", "The token, without its secret."),
        Route::delete(
            "revoke-enrolment-token",
            TOKEN,
            Needs::sites(Verb::Remove, Noun::EnrolmentToken),
            revoke_token,
        )
        .says("Revokes an enrolment token: it admits no further host.")
        .gives_nothing("It is revoked."),
    ]
}

async fn list_hosts(
    State(api): State<Api>,
    at: InTenant,
    Query(query): Query<HostQuery>,
    Query(when): Query<AsOf>,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let wanted = Wanted {
        name: query.name,
        site: query.site,
        tag: query.tag,
        state: query.state,
        standing: query.standing,
        mode: query.mode,
    };
    let filter = host::filter(&at.place, wanted)?;
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

async fn get_host(State(api): State<Api>, at: InTenant, path: InPath, Query(when): Query<AsOf>) -> Answer {
    let host = host::get(&api.ctx, &at.place, path.id("host")?, when.moment()).await?;
    Ok(thing(&host, host.version))
}

async fn facts(State(api): State<Api>, at: InTenant, path: InPath, Query(when): Query<AsOf>) -> Answer {
    document(&api, &at, &path, About::Facts, when).await
}

async fn packages(State(api): State<Api>, at: InTenant, path: InPath, Query(when): Query<AsOf>) -> Answer {
    document(&api, &at, &path, About::Packages, when).await
}

async fn channels(State(api): State<Api>, at: InTenant, path: InPath, Query(when): Query<AsOf>) -> Answer {
    document(&api, &at, &path, About::Channels, when).await
}

async fn document(api: &Api, at: &InTenant, path: &InPath, about: About, when: AsOf) -> Answer {
    let id = path.id("host")?;
    Ok(json(
        StatusCode::OK,
        &host::known(&api.ctx, &at.place, id, about, when.moment()).await?,
    ))
}

async fn history(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(query): Query<HistoryQuery>,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let about = match query.about.as_deref() {
        None | Some("packages") => About::Packages,
        Some("facts") => About::Facts,
        Some("channels") => About::Channels,
        Some(_) => {
            return Err(Problem::new(
                Code::MalformedParameter,
                "`about` is facts, packages or channels.",
            ));
        }
    };
    let (id, before) = (path.id("host")?, paging.moment(&at.cursors)?);
    let part = host::history(&api.ctx, &at.place, id, about, before, paging.limit()?).await?;
    Ok(list(form, &at.cursors, part))
}

async fn changes(
    State(api): State<Api>,
    at: InTenant,
    path: InPath,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let (id, before) = (path.id("host")?, paging.key(&at.cursors)?);
    let part = host::changes(&api.ctx, &at.place, id, before, paging.limit()?).await?;
    Ok(list(form, &at.cursors, part))
}

async fn edit(State(api): State<Api>, at: InTenant, path: InPath, wanted: Edit<HostChange>) -> Answer {
    let id = path.id("host")?;
    let host = host::edit(&api.ctx, &at.caller, &at.place, id, wanted.version, wanted.body).await?;
    Ok(thing(&host, host.version))
}

async fn retire(State(api): State<Api>, at: InTenant, path: InPath, gone: Edit<Nothing>) -> Answer {
    host::retire(&api.ctx, &at.caller, &at.place, path.id("host")?, gone.version).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn approve(State(api): State<Api>, at: InTenant, path: InPath, post: Post<Nothing>) -> Answer {
    Ok(made(
        host::approve(&api.ctx, &at.caller, &at.place, path.id("host")?, post.once).await?,
    ))
}

async fn re_enrol(State(api): State<Api>, at: InTenant, path: InPath, post: Post<Nothing>) -> Answer {
    Ok(made(
        host::re_enrol(&api.ctx, &at.caller, &at.place, path.id("host")?, post.once).await?,
    ))
}

async fn merge(State(api): State<Api>, at: InTenant, path: InPath, post: Post<MergeRequest>) -> Answer {
    let id = path.id("host")?;
    Ok(made(
        host::merge(&api.ctx, &at.caller, &at.place, id, post.once, post.body).await?,
    ))
}

async fn move_to(State(api): State<Api>, at: InTenant, path: InPath, post: Post<MoveRequest>) -> Answer {
    let id = path.id("host")?;
    Ok(made(
        host::move_to(&api.ctx, &at.caller, &at.place, id, post.once, post.body).await?,
    ))
}

async fn list_tokens(
    State(api): State<Api>,
    at: InTenant,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let after: Option<String> = paging.key(&at.cursors)?;
    let after = after.map(|id| id.parse()).transpose();
    let after = after.map_err(|_no_id| Problem::plain(Code::BadCursor))?;
    let part = enrolment_token::list(&api.ctx, &at.place, after, paging.limit()?).await?;
    Ok(list(form, &at.cursors, part))
}

async fn create_token(State(api): State<Api>, at: InTenant, new: Post<EnrolmentTokenRequest>) -> Answer {
    Ok(made(
        enrolment_token::create(&api.ctx, &at.caller, &at.place, new.once, new.body).await?,
    ))
}

async fn get_token(State(api): State<Api>, at: InTenant, path: InPath) -> Answer {
    let token = enrolment_token::get(&api.ctx, &at.place, path.id("token")?).await?;
    Ok(thing(&token, token.version))
}

async fn revoke_token(State(api): State<Api>, at: InTenant, path: InPath, gone: Edit<Nothing>) -> Answer {
    enrolment_token::revoke(&api.ctx, &at.caller, &at.place, path.id("token")?, gone.version).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
