//! What is read from a host's files, against what apt and dpkg say of the same files, and against hostile files.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod apt_conf;
mod attribution;
mod booted;
mod documents;
mod dpkg_status;
mod effects;
mod host;
mod journal;
mod oracle;
mod orders;
mod packages;
mod preferences;
mod session;
mod sources_list;
mod spool;
mod survey;
mod transport;
mod updaters;
