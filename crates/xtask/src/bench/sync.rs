//! A sync in which nothing is new, of six signed suites on a loopback server, against `apt-get update` of the same.

use super::measure::Figures;
use super::{Bench, Reach, Row, Side, bench_program};
use crate::command;
use anyhow::{Context, Result};
use std::process::Command;

/// The one row, from the bench of the crate that syncs, which runs both sides.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let program = bench_program(bench, "sources", "sync")?;
    let printed = command::output(&mut Command::new(program))?;
    let side = |name: &str, line: &str| -> Result<Side> {
        let figures = Figures::median(&walls(&printed, line))
            .with_context(|| format!("the bench printed no line `{line}`"))?;
        Ok(Side {
            name: name.into(),
            figures,
        })
    };
    Ok(vec![Row {
        what: "nothing-new sync of six suites from loopback".into(),
        ours: side("sources::apt::sync", "nothing new")?,
        peer: Some(side("apt-get update", "apt-get update, nothing new")?),
        reach: vec![Reach::Wall(0.05)],
        remark: String::from(
            "11 runs, one side after the other; ours within one process, apt's with its start",
        ),
    }])
}

/// The wall times of the lines that begin with `name` and a tab.
fn walls(printed: &str, name: &str) -> Vec<Figures> {
    let values = printed.lines().filter_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix('\t')?
            .split('\t')
            .next()?
            .parse()
            .ok()
    });
    values
        .map(|wall| Figures {
            wall,
            cpu: None,
            peak_mib: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_that_very_name_count() {
        let printed =
            "first\t0.9\t6 suites\nnothing new\t0.02\t6 suites\napt-get update, nothing new\t0.4\t6 suites\n";
        let found: Vec<f64> = walls(printed, "nothing new")
            .iter()
            .map(|figures| figures.wall)
            .collect();
        assert_eq!(found, [0.02]);
    }
}
