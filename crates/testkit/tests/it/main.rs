//! The test tools tested against the programs they stand in for: apt, dpkg-deb, gpgv.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod archive;
mod lab;
mod lab_hosts;
mod server;
