//! Changes on their way to hosts, from the preview to the proof: the server whole, with hosts that speak the protocol as agents
//! do, verify what they are given, and install nothing.

mod approvers;
mod catch_up;
mod decisions;
mod restarts;
pub mod rows;
mod thread;
pub mod yard;
