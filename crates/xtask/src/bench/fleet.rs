//! Findings of whole fleets from interned inventories. There is no peer: no tool of today answers this without asking each host.

use super::measure::Figures;
use super::{Bench, Reach, Row, Side, bench_program};
use crate::command;
use anyhow::{Context, Result};
use std::process::Command;

/// Ten thousand hosts on one core, checked host by host, and a million on two.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let program = bench_program(bench, "testkit", "fleet")?;
    let small: Result<Vec<Measured>> = (0..bench.repeats.min(5))
        .map(|_| measured(&program, ["10000", "1", "each"]))
        .collect();
    let small = small?;
    let figures: Vec<Figures> = small.iter().map(|run| run.figures).collect();
    let large = measured(&program, ["1000000", "2", "none"])?;
    let row = |what: &str, figures, reach, remark| Row {
        what: what.into(),
        ours: Side {
            name: "domain::assess::fleet".into(),
            figures,
        },
        peer: None,
        reach,
        remark,
    };
    let found = small
        .into_iter()
        .next()
        .map(|run| run.found)
        .context("no run was measured")?;
    Ok(vec![
        row(
            "verdicts of 10,000 hosts × 900 packages, one core",
            Figures::median(&figures).context("no run was measured")?,
            vec![Reach::Wall(0.1)],
            format!("equal to host by host; {} runs; {found}", figures.len()),
        ),
        row(
            "verdicts of 1,000,000 hosts × 900 packages, two cores",
            large.figures,
            vec![Reach::Wall(10.0), Reach::PeakMib(6.0 * 1024.0)],
            format!("one run; {}", large.found),
        ),
    ])
}

struct Measured {
    figures: Figures,
    found: String,
}

fn measured(program: &str, words: [&str; 3]) -> Result<Measured> {
    let printed = command::output(Command::new(program).args(words))?;
    read(&printed).with_context(|| format!("read what the bench of fleets printed: {printed}"))
}

/// The first line: `10000 hosts x 900, 1 threads: 0.0212 s, 0.0210 s CPU, 81234 KiB peak; what was found`
fn read(printed: &str) -> Option<Measured> {
    let (_, rest) = printed.lines().next()?.split_once(": ")?;
    let (figures, found) = rest.split_once("; ")?;
    let mut numbers = figures
        .split(", ")
        .map(|figure| figure.split(' ').next()?.parse::<f64>().ok());
    let mut next = || numbers.next().flatten();
    let figures = Figures {
        wall: next()?,
        cpu: Some(next()?),
        peak_mib: Some(next()? / 1024.0),
    };
    Some(Measured {
        figures,
        found: found.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_fleet_are_read() {
        let printed = "10000 hosts x 900, 1 threads: 0.0250 s, 0.0500 s CPU, 2048 KiB peak; 7 findings, 0 unknown\n  equal\n";
        let run = read(printed).expect("the line is well formed");
        assert_eq!(
            run.figures,
            Figures {
                wall: 0.025,
                cpu: Some(0.05),
                peak_mib: Some(2.0)
            }
        );
        assert_eq!(run.found, "7 findings, 0 unknown");
        assert!(read("10000 hosts").is_none());
    }
}
