//! What the server keeps, in SQLite or PostgreSQL: the only SQL of Patchyard. Rules live in the domain; what is done with
//! them lives in the server.
//!
//! [`Db`] is the door. Each noun has a module with its row types and the functions that read and change them; every one
//! that concerns a tenant takes a [`Scope`], every one that concerns the whole server a [`Whole`].

mod change;
mod db;
mod error;
mod migrations;
mod page;
mod schema;
mod scope;
mod value;

pub mod acquisition;
pub mod agent_chain;
pub mod agent_key;
pub mod audit;
pub mod backup_log;
pub mod channel_match;
pub mod content_grant;
pub mod copy;
pub mod coverage;
pub mod deployment;
pub mod document;
pub mod enrolment_token;
pub mod epoch;
pub mod export;
pub mod finding;
pub mod given_name;
pub mod host;
pub mod host_change;
pub mod host_document;
pub mod idempotency_key;
pub mod inventory_package;
pub mod lease;
pub mod liveness;
pub mod order;
pub mod package;
pub mod role;
pub mod rollout_change;
pub mod server_setting;
pub mod session;
pub mod shape;
pub mod site;
pub mod snapshot;
pub mod source;
pub mod tenant;
pub mod token;
pub mod update;
pub mod user;

pub use change::Change;
pub use db::{Db, NotAUrl, Tuning, Tx, Url, View};
pub use error::Error;
pub use migrations::{Migrations, NEWEST, OpenError, Schema, Step};
pub use page::{ByName, Page};
pub use scope::{Owner, Scope, Whole};
