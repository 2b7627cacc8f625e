//! Sources in apt's repository format: signed releases and package indexes of Debian and its relatives.

pub mod clearsign;
pub mod decompress;
pub mod fetch;
pub mod freshness;
pub mod index;
pub mod keyring;
pub mod openpgp;
pub mod release;
pub mod snapshot;
pub mod sync;
pub mod targets;
