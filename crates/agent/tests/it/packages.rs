//! Orders carried out by a real apt and dpkg, each test in a Debian of its own: what is installed is exactly what was ordered, and
//! whatever stands in the way or is cut off is told as it is. dpkg's own log and status are the oracle.

mod booted;
mod cut_off;
mod exact;
mod faults;
mod kills;
mod publisher;
mod real;
pub mod room;
