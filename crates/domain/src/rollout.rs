//! How approved change reaches hosts: what a deployment is at, why a host waits, and the plan of what is done next.

pub mod deployment;
pub mod plan;
pub mod waiting;
