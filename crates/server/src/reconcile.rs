//! Periodic leased work: takes no input, is idempotent, runs by itself and when nudged.

mod board;

pub use board::{Board, Run, Standing, chain};
