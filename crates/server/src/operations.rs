//! What keeps a server running for years: what it counts, what it writes down, backups and their restoring, what takes
//! room, what is wrong and what to do about it.

pub mod backup;
pub mod bundle;
pub mod copy;
pub mod doctor;
pub mod logs;
pub mod metrics;
pub mod retention;
mod steady;
pub mod storage;
pub mod sweep;
pub mod upgrade;
