//! Planning: one plan for 100,000 hosts that stand in 200 changes of 10,000 hosts each.

use super::promise::{self, Promise};
use super::{Bench, Reach, Row, bench_program};
use crate::command;
use anyhow::Result;
use std::process::Command;

const PLAN: Promise = Promise {
    figure: "plan",
    what: "plan 200 changes of 10,000 hosts each for 100,000 hosts, one core",
    reach: Some(Reach::Wall(1.0)),
};

/// The row.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let program = bench_program(bench, "domain", "plans")?;
    let printed = command::output(Command::new(program).arg(bench.repeats.to_string()))?;
    let figures = promise::figures(&printed)?;
    Ok(vec![promise::row("domain::rollout::plan", &PLAN, &figures)?])
}
