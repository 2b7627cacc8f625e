//! The domain's rules against oracles that nobody here wrote, and against whole files.

mod assess;
mod deb822;
mod fleet;
mod identity;
mod ledger;
mod oracle;
mod order;
mod relation;
mod rollout;
mod transaction;
mod version;
