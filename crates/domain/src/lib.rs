//! The rules of Patchyard, and the words they are said in. Values in, values out: nothing here reads a clock,
//! draws a random number, opens a file or talks to a network. Every rule that depends on time takes `now`.
//!
//! Bottom up: digests and versions; what a host is ([`host`]); what vendors publish ([`catalog`]);
//! what the one says about the other ([`assess`]).

pub mod assess;
pub mod catalog;
pub mod change;
pub mod deb822;
pub mod digest;
pub mod host;
pub mod id;
pub mod identity;
pub mod order;
pub mod rollout;
pub mod text;
pub mod version;
