//! The door: one TLS listener for agents and for people and programs. Handlers call `app`, and `agents` for the one
//! agent route; nothing below calls them.

pub mod admin;
pub mod agent;
pub mod auth;
pub mod content;
pub mod cursor;
pub mod gate;
pub mod limits;
pub mod listen;
pub mod openapi;
mod paced;
pub mod page;
mod plain;
pub mod problem;
pub mod public;

use crate::app::password::Cost;
use crate::context::Context;

/// Every route but the one of agents.
pub fn router(context: &Context) -> axum::Router {
    of(context, Cost::Full)
}

/// The same, with passwords that cost as much to hash as is said.
pub fn of(context: &Context, cost: Cost) -> axum::Router {
    admin::router(admin::Api::new(context, cost))
        .merge(public::routes(context))
        .merge(content::routes(context))
        .layer(axum::middleware::map_response(auth::protected))
}
