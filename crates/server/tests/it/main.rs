//! The server as its callers meet it: agents over envelopes and sockets, people and programs over HTTP.

mod api;
mod assess;
mod catalog;
mod carry;
mod check_in;
mod documents;
mod enrolment;
mod renewal;
mod socket;
mod world;
