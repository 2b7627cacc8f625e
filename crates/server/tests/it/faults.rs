//! What goes wrong beneath a server: it is killed between any two steps, its database fails over, is gone, locked, full or
//! damaged, its files go or change, its clock steps. Nothing acknowledged is lost, and nothing wrong is shown.

mod beneath;
mod clock;
mod failover;
mod files;
mod kill;
pub mod story;
