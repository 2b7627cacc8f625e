//! Syncing from archives that are honest, and from servers that lie: the cases of the threat table by name, and the
//! faults of ordinary life. What every failure must leave as it was is checked after each: the snapshot in force, the
//! other source of the same sync, and that each file of the store is what its name says.

mod access;
mod dates;
mod faults;
mod fetching;
mod lies;
mod rules;
mod world;
