//! The store, from outside: what gets in, what does not, and what a full disk, a kill or a power cut leaves behind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod faults;
mod store;
mod sweep;
