//! What tests need and the product does not: archives that can be built in a test, a server that lies about them,
//! hosts that never were, and apt itself as the oracle. A dev-dependency only: nothing that ships depends on it.

pub mod apt;
pub mod archive;
pub mod fleet;
pub mod host;
pub mod hostile;
pub mod keys;
pub mod lab;
pub mod postgres;
pub mod server;
pub mod skip;
