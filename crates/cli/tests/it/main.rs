//! The whole scan against apt: the built command, run on file trees and on this machine, gives apt's answers.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says why"
)]

mod attacks;
mod chance;
mod commands;
mod fleet;
mod generated;
mod holes;
mod inventories;
mod machine;
mod output;
mod phasing;
mod product;
mod roots;
mod server_findings;
mod world;
