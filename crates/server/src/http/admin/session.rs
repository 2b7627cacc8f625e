//! Routes of logging in and out, and of what needs no log-in: health and the document of the API.

use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use utoipa::ToSchema;

use super::Api;
use super::answer::{Answer, json};
use super::input::{Allowed, Nothing, Plain, Post};
use super::route::{Needs, Route};
use crate::app::caller::Who;
use crate::app::link::{self, LinkView};
use crate::app::log_in::{self, Gatehouse, LogIn, LoggedIn};
use crate::app::shape::{IdText, When};
use crate::http::auth::session_secret;
use crate::http::problem::{Code, Problem};

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::bare_post(
            "log-in",
            "/api/v1/session",
            Needs::Nothing("it is how credentials are had"),
            log_in,
        )
        .says("Begins a session; its secret goes into `Authorization: Bearer`.")
        .takes::<LogIn>()
        .gives::<LoggedIn>("200", "The session."),
        Route::get("get-caller", "/api/v1/session", Needs::LogIn, me)
            .says("Who you are and what you may do.")
            .gives::<CallerView>("200", "You."),
        Route::bare_post("show-factor", "/api/v1/session/factor", Needs::LogIn, show_factor)
            .says("Shows the second factor again, for what asks for it lately.")
            .takes::<Factor>()
            .gives_nothing("The code was good."),
        Route::bare_post("log-out", "/api/v1/session/end", Needs::LogIn, log_out)
            .says("Ends the session.")
            .gives_nothing("It has ended."),
        Route::post(
            "make-log-in-link",
            "/api/v1/log-in-links",
            Needs::Local,
            make_link,
        )
        .says("Makes a one-time link (30 minutes) for a browser.")
        .gives::<LinkView>("201", "The link."),
        Route::get(
            "get-openapi",
            "/api/v1/openapi.json",
            Needs::Nothing("it is public"),
            openapi,
        )
        .says("This document.")
        .gives_object("200", "An OpenAPI 3.1 document."),
        Route::get(
            "is-live",
            "/health/live",
            Needs::Nothing("it says nothing but that the process answers"),
            live,
        )
        .says("Whether the process answers.")
        .gives::<HealthView>("200", "It does."),
        Route::get(
            "is-ready",
            "/health/ready",
            Needs::Nothing("it says nothing but yes or no"),
            ready,
        )
        .says("Whether the server can work: its database answers.")
        .gives::<HealthView>("200", "It can.")
        .gives::<HealthView>("503", "It cannot."),
    ]
}

/// Six digits.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Factor {
    /// Of the authenticator.
    code: String,
}

/// Whoever asks.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Caller)]
struct CallerView {
    /// `user`, `token` or `local`.
    kind: &'static str,
    /// The name of the user or token.
    name: String,
    /// The person behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<IdText>,
    /// When the second factor was shown last.
    #[serde(skip_serializing_if = "Option::is_none")]
    factor_at: Option<When>,
    /// What may be done where.
    rights: Vec<RightView>,
}

/// A permission and how far it reaches.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Right)]
struct RightView {
    /// `verb:noun`.
    permission: String,
    /// The tenant; missing for the whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<IdText>,
    /// The site.
    #[serde(skip_serializing_if = "Option::is_none")]
    site: Option<IdText>,
}

/// Health in a word.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Health)]
struct HealthView {
    /// Whether all is well.
    ok: bool,
}

/// The address at the other end; without a listener that says, all share one.
pub fn address_of(peer: Option<&ConnectInfo<SocketAddr>>) -> IpAddr {
    peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
        peer.0.ip().to_canonical()
    })
}

fn gate<'a>(api: &'a Api, peer: Option<&axum::Extension<ConnectInfo<SocketAddr>>>) -> Gatehouse<'a> {
    let address = address_of(peer.map(|peer| &peer.0));
    Gatehouse {
        passwords: &api.desk.passwords,
        slow_down: &api.desk.slow_down,
        address,
    }
}

type PeerInfo = Option<axum::Extension<ConnectInfo<SocketAddr>>>;

async fn log_in(State(api): State<Api>, peer: PeerInfo, Plain(wanted): Plain<LogIn>) -> Answer {
    Ok(json(
        StatusCode::OK,
        &log_in::log_in(&api.ctx, gate(&api, peer.as_ref()), wanted).await?,
    ))
}

async fn show_factor(
    State(api): State<Api>,
    peer: PeerInfo,
    headers: HeaderMap,
    Plain(factor): Plain<Factor>,
) -> Answer {
    let secret = session_secret(&headers).ok_or_else(|| {
        Problem::new(
            Code::WrongState,
            "A token has no second factor; its rights were decided when it was made.",
        )
    })?;
    log_in::show_factor(&api.ctx, gate(&api, peer.as_ref()), &secret, &factor.code).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn log_out(State(api): State<Api>, headers: HeaderMap, _: Plain<Nothing>) -> Answer {
    if let Some(secret) = session_secret(&headers) {
        log_in::log_out(&api.ctx, &secret).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn make_link(State(api): State<Api>, _post: Post<Nothing>) -> Answer {
    Ok(json(StatusCode::CREATED, &link::make(&api.ctx)))
}

async fn me(allowed: Allowed) -> Answer {
    let caller = allowed.caller;
    let kind = match caller.who {
        Who::User(_) => "user",
        Who::Token(_) => "token",
        Who::Local => "local",
    };
    let rights = caller.rights.pairs().map(|(permission, reach)| {
        let site = match reach {
            crate::app::permission::Reach::Site(_, site) => Some(IdText::of(site)),
            _ => None,
        };
        RightView {
            permission: permission.to_string(),
            tenant: reach.tenant().map(IdText::of),
            site,
        }
    });
    let rights = rights.collect();
    let view = CallerView {
        kind,
        rights,
        user: caller.user.map(IdText::of),
        factor_at: caller.factor_at.map(When),
        name: caller.name,
    };
    Ok(json(StatusCode::OK, &view))
}

async fn openapi() -> Answer {
    Ok(json(
        StatusCode::OK,
        &crate::http::openapi::document(super::routes()),
    ))
}

async fn live() -> Answer {
    Ok(json(StatusCode::OK, &HealthView { ok: true }))
}

async fn ready(State(api): State<Api>) -> Answer {
    let ok = crate::app::health::is_ready(&api.ctx).await;
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(json(status, &HealthView { ok }))
}
