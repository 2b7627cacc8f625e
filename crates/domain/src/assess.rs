//! What is a host missing, and why: priorities, verdicts, overlays, explanations, and the same for a whole fleet.
//!
//! [`policy`] says how much a host wants each listing and version, [`verdict`] what that means for one installed
//! package, [`overlay`] what stands in the way on this host, [`coverage`] which packages nobody answers for,
//! [`explain`] why, and [`relation`] what else a package needs.

mod architecture;
pub mod at_risk;
pub mod coverage;
pub mod explain;
pub mod expression;
pub mod findings;
pub mod fleet;
pub mod glob;
mod matcher;
pub mod overlay;
mod pattern;
pub mod phasing;
pub mod policy;
pub mod relation;
pub mod rules;
pub mod verdict;
