//! What a host is, as the host itself says: facts, installed packages, and where its packages come from.

pub mod address;
pub mod change;
pub mod channels;
pub mod facts;
pub mod hardware;
pub mod inventory;
pub mod kernel;
pub mod measures;
pub mod mode;
pub mod network;
pub mod updater;
