//! The door: one TLS listener for agents and for people and programs. Handlers call `app`, and `agents` for the one
//! agent route; nothing below calls them.

pub mod admin;
pub mod auth;
pub mod problem;
