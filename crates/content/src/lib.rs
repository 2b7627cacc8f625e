//! Files by their digest: verified on the way in, immutable, memory-mapped on the way out. What a file means is not
//! known here; nothing here talks to a network.

pub mod disk;
pub mod hash;
pub mod mapped;
pub mod store;

pub use hash::{Hasher, HashingReader, sha256};
pub use mapped::Mapped;
pub use store::{Expected, Gone, InsertError, Kind, Store, StoreError, Sweep, Swept, Usage};
