//! Sources, snapshots and updates: what vendors publish, kept.

pub mod derive;
pub mod fetching;
pub mod wish;
