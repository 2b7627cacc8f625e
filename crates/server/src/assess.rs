//! Which host is missing what: a fleet in memory, rebuilt from stored rows, its findings written as bitmaps.

pub mod channels;
pub mod difference;
pub mod documents;
pub mod fleet;
pub mod force;
