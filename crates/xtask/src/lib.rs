//! The chores behind `cargo xtask`, as a library so that they can be tested. They look at the checkout and run the usual
//! tools; no other crate may depend on this one.

#![expect(
    clippy::print_stdout,
    reason = "a chore's whole output is for the person who started it"
)]

pub mod bench;
pub mod command;
pub mod dist;
pub mod fuzz;
pub mod metadata;
pub mod mutants;
pub mod suite;
pub mod tidy;
pub mod tree;
