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
mod scope;
mod value;

pub mod agent_chain;
pub mod agent_key;
pub mod document;
pub mod epoch;
pub mod host;
pub mod host_document;
pub mod lease;
pub mod liveness;
pub mod server_setting;
pub mod site;
pub mod tenant;

pub use change::Change;
pub use db::{Db, NotAUrl, Tuning, Tx, Url, View};
pub use error::Error;
pub use migrations::{NEWEST, OpenError, Schema};
pub use page::{ByName, Page};
pub use scope::{Owner, Scope, Whole};
