//! The whole scan against apt: the built command, run on file trees and on this machine, gives apt's answers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chance;
mod generated;
mod inventories;
mod machine;
mod phasing;
mod product;
mod roots;
