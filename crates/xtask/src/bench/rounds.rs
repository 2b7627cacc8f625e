//! Two sides measured turn by turn, so that what else the machine does falls on both.

use super::measure::{Figures, measure};
use anyhow::{Context, Result};
use std::process::Command;

/// One side of a comparison.
pub struct Contender<'a> {
    /// Brings the world to the state that a run starts from; not measured.
    pub before: Box<dyn Fn() -> Result<()> + 'a>,
    /// The command to measure.
    pub command: Command,
}

/// Medians of `repeats` runs of each, after one run of each that does not count.
pub fn compare(ours: &Contender<'_>, peer: &Contender<'_>, repeats: usize) -> Result<(Figures, Figures)> {
    let mut runs = (Vec::new(), Vec::new());
    for round in 0..=repeats {
        for (side, runs) in [(peer, &mut runs.1), (ours, &mut runs.0)] {
            (side.before)()?;
            let figures = measure(&side.command)?;
            if round > 0 {
                runs.push(figures);
            }
        }
    }
    let median = |runs: &[Figures]| Figures::median(runs).context("no run was measured");
    Ok((median(&runs.0)?, median(&runs.1)?))
}
