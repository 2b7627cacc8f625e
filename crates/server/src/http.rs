//! The door: one TLS listener for agents and for people and programs. Handlers call `app`, and `agents` for the one
//! agent route; nothing below calls them.

pub mod admin;
pub mod agent;
pub mod auth;
pub mod gate;
pub mod listen;
pub mod problem;

use crate::context::Context;

/// Every route but the one of agents.
pub fn router(_context: &Context) -> axum::Router {
    axum::Router::new()
}
