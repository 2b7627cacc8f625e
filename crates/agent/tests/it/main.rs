//! The crate from outside: what it reads from a host's files against what apt and dpkg say of the same files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod live;
