//! The server as its callers meet it: agents over envelopes and sockets, people and programs over HTTP.

mod api;
mod assess;
mod attack;
mod audit;
mod assess_turns;
mod backup;
mod bundle;
mod carry;
mod catalog;
mod check_in;
mod documents;
mod enrolment;
mod faults;
mod fixture;
mod on_postgres;
mod public;
mod renewal;
mod schemathesis;
mod socket;
mod storage;
mod upgrade;
mod tamper;
mod world;
