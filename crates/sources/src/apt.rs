//! Sources in apt's repository format: signed releases and package indexes of Debian and its relatives.

pub mod answer;
pub mod channels;
pub mod clearsign;
pub mod decompress;
pub mod details;
pub mod fetch;
pub mod freshness;
pub mod index;
pub mod keyring;
pub mod lists;
pub mod openpgp;
pub mod release;
pub mod snapshot;
pub mod sync;
pub mod targets;

/// Longest release file or detached signature, in bytes: 1 MiB.
pub const MAX_RELEASE_BYTES: u64 = clearsign::MAX_INRELEASE_BYTES as u64;
