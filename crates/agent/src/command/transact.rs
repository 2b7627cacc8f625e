//! `transact` and `hook`: one transaction in a process of its own, and apt's question before dpkg starts.

use agent::packages::hook;
use agent::run;
use agent::service::Places;
use anyhow::{Context, Result};
use std::process::ExitCode;

/// Carries out the order of this number.
pub(super) fn transact(places: &Places, number: u64) -> Result<ExitCode> {
    run::transact(&places.work().join(number.to_string()))
        .with_context(|| format!("cannot carry out order {number}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Answers apt, which ends unless this succeeds.
pub(super) fn answer(places: &Places, number: u64) -> Result<ExitCode> {
    hook::judge(
        &places.work().join(number.to_string()),
        &mut std::io::stdin().lock(),
    )?;
    Ok(ExitCode::SUCCESS)
}
