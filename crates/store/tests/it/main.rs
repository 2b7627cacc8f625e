//! What the store promises, on both engines. PostgreSQL is started by the tests themselves; where it is not installed,
//! its half is skipped aloud.

mod audit;
mod catalog;
mod clocks;
mod concurrency;
mod copies;
mod engines;
mod faults;
mod findings;
mod hosts;
mod packages;
mod people;
mod rollout;
mod schema;
mod tenants;
mod walls;
