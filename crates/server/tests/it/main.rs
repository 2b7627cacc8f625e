//! The server as its callers meet it: agents over envelopes and sockets, people and programs over HTTP.

mod api;
mod assess;
mod attack;
mod audit;
mod assess_turns;
mod backup;
mod carry;
mod catalog;
mod check_in;
mod documents;
mod enrolment;
mod faults;
mod on_postgres;
mod public;
mod renewal;
mod socket;
mod tamper;
mod world;
