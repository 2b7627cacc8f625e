//! What people and programs can do, one file a noun; called by the HTTP handlers and by the command line.

pub mod password;
pub mod permission;

pub mod secret;

pub mod slow_down;

pub mod totp;
