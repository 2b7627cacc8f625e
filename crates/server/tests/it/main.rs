//! The server as its callers meet it: agents over envelopes and sockets, people and programs over HTTP.

mod api;
mod assess;
mod backup;
mod carry;
mod catalog;
mod check_in;
mod documents;
mod enrolment;
mod public;
mod renewal;
mod socket;
mod world;
