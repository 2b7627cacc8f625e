//! The routes of people and programs, grouped by noun: a table of contents. What a route does stands in its handler, what
//! a handler does stands in `app`.

pub mod answer;
pub mod authority;
pub mod catalog;
pub mod hosts;
pub mod input;
pub mod operations;
pub mod people;
pub mod records;
pub mod rollouts;
pub mod route;
pub mod session;
pub mod tenants;

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

use self::route::Route;
use super::auth::{Door, guard};
use super::cursor::CursorKey;
use super::limits::{Budgets, CALLER_RATE, STRANGER_RATE, Turns};
use super::problem::{Code, Problem};
use crate::Context;
use crate::app::caller::Who;
use crate::app::password::{Cost, Passwords};
use crate::app::slow_down::SlowDown;

/// Requests at work at the same time, and waiting for each tenant.
const AT_WORK: usize = 64;
const WAITING: usize = 64;

/// What all routes share.
#[derive(Clone, Debug)]
pub struct Api {
    /// What the whole server shares.
    pub ctx: Context,
    /// What the people's side of it needs besides.
    pub desk: Arc<Desk>,
}

impl Api {
    /// The people's side of a server.
    pub fn new(ctx: &Context, cost: Cost) -> Self {
        Self {
            ctx: ctx.clone(),
            desk: Arc::new(Desk::new(ctx, cost)),
        }
    }
}

/// What the people's side keeps in memory: nothing that may not be lost.
#[derive(Debug)]
pub struct Desk {
    /// The room where passwords are hashed.
    pub passwords: Passwords,
    /// Who failed to log in of late.
    pub slow_down: SlowDown,
    /// What tokens and people may still ask.
    pub callers: Budgets<Who>,
    /// What addresses without credentials may still ask.
    pub strangers: Budgets<IpAddr>,
    /// Turns between tenants.
    pub turns: Turns,
    /// The secret of cursors.
    pub cursors: CursorKey,
    /// The secret under which a request is known again.
    pub requests: ring::hmac::Key,
}

impl Desk {
    /// An empty desk of a server.
    pub fn new(ctx: &Context, cost: Cost) -> Self {
        Self {
            passwords: Passwords::new(cost),
            slow_down: SlowDown::default(),
            callers: Budgets::new(CALLER_RATE),
            strangers: Budgets::new(STRANGER_RATE),
            turns: Turns::new(AT_WORK, WAITING),
            cursors: CursorKey::of(ctx.authority.sealer().mac_key("cursors of lists")),
            requests: ctx.authority.sealer().mac_key("requests that come again"),
        }
    }
}

/// Every route there is.
pub fn routes() -> Vec<Route> {
    [
        session::routes(),
        tenants::routes(),
        hosts::routes(),
        catalog::routes(),
        rollouts::routes(),
        people::routes(),
        records::routes(),
        operations::routes(),
        authority::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The router of people and programs.
///
/// # Panics
/// At the start, when a route states no permission that is there, or two routes collide: no such server runs.
pub fn router(api: Api) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let door = Door {
            api: api.clone(),
            needs: route.needs,
            freshness: route.freshness,
            query_names: route.query_names().into(),
        };
        router = router.route(route.path, route.handler.layer(from_fn_with_state(door, guard)));
    }
    router
        .merge(super::page::router())
        .fallback(async || Problem::plain(Code::NotFound))
        .method_not_allowed_fallback(async || Problem::plain(Code::NoSuchMethod))
        .with_state(api)
}
