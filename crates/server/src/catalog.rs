//! Sources, snapshots and updates: what vendors publish, kept. Due sources are synced by a leased reconciler; what a new
//! snapshot lists otherwise than the one before becomes rows once.

pub mod access;
pub mod acquire;
pub mod ahead;
pub mod carry;
pub mod derive;
pub mod fetching;
pub mod propose;
pub mod resolve;
pub mod row;
pub mod space;
mod sync;
pub mod wish;

pub use sync::{CatalogError, derive_new, sync_due, sync_with};
