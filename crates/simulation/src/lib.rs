//! The whole conversation between a server and its agents, led by a seed: the real server on a real database, the real
//! sessions of agents, and a network, clocks, disks and people that do what they do in bad weeks. One thread, one manual
//! clock; the same seed gives the same run. Beside it, [`load`]: many agents that speak over real connections.

pub mod computer;
pub mod event;
pub mod executor;
pub mod load;
pub mod promise;
pub mod run;
pub mod site;

pub use run::{Copying, Report, simulate};
