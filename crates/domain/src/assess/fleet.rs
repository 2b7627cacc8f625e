//! The findings of a whole fleet at once. A verdict depends on a host's channels and one of its packages, and hosts
//! have most of both in common: packages are numbered once ([`Interner`]), an inventory is a set of those numbers
//! ([`PackageSet`]), kept once however many hosts have it ([`Fleet`]), and each distinct pair of channels and package
//! is judged once ([`VerdictTable`]). What comes out are bitmaps of hosts, one for each update, by chunk of 65,536
//! hosts ([`ChunkFindings`]). [`Ledger`] keeps the same current, change by change. How one package is judged is not known
//! here.

mod chunk;
mod holders;
mod hosts;
mod intern;
mod ledger;
mod missed;
mod packages;
mod table;
mod verdicts;

pub use chunk::{ChunkFindings, assess_chunk};
pub use hosts::{CHUNK_HOSTS, ChannelsNo, ChunkNo, Fleet, HostNo, HostState, InventoryNo};
pub use intern::{Full, Interner, PackageKey};
pub use ledger::{Changes, Ledger, Reading, Told, chunks_of, of_chunk};
pub use missed::Counts;
pub use packages::{PackageId, PackageSet};
pub use table::{PackageVerdict, UpdateNo, VerdictTable};
