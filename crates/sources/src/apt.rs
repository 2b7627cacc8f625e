//! Sources in apt's repository format: signed releases and package indexes of Debian and its relatives.

pub mod decompress;
pub mod index;
