//! The server as its callers meet it: agents over envelopes and sockets, people and programs over HTTP.

mod api;
mod assess;
mod assess_turns;
mod attack;
mod audit;
mod backup;
mod bundle;
mod carry;
mod catalog;
mod check_in;
mod deploying;
mod documents;
mod enrolment;
mod faults;
mod fixture;
mod on_postgres;
mod public;
mod renewal;
mod rollout;
mod schemathesis;
mod socket;
mod storage;
mod tamper;
mod upgrade;
mod world;
