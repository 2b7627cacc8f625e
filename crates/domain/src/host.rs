//! What a host is, as the host itself says: facts, installed packages, and where its packages come from.

pub mod address;
pub mod channels;
pub mod facts;
pub mod inventory;
