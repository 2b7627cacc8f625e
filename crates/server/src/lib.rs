//! The Patchyard server: agents enrol and check in, sources are synced, hosts are assessed, people and programs ask.
//! SQL is in `store`, wire shapes of agents are in `protocol`, rules are in `domain`.
//!
//! `start` opens the data directory and runs everything; `context` is what all rooms share; `agents` and `app` are what
//! callers can do, without sockets; `rollout` carries approved changes to hosts; `http` is the door; `reconcile` is the work
//! that nobody asks for.

pub mod agents;
pub mod app;
pub mod assess;
pub mod authority;
pub mod catalog;
pub mod clock;
pub mod context;
pub mod http;
pub mod local;
pub mod operations;
pub mod private_file;
pub mod reconcile;
pub mod rollout;
pub mod settings;
pub mod start;

pub use context::Context;
pub use settings::Settings;
pub use start::{Running, Server};
