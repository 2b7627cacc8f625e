//! One program run once: wall time, CPU time and peak memory, as the kernel counts them for the process and its children. The
//! program is started by a small process of its own, whose children then are that program alone.

use crate::command;
use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::process::{Command, Stdio};
use std::time::Instant;

/// What one run cost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Wall time in seconds.
    pub wall: f64,
    /// User and system time in seconds; absent where it was not counted.
    pub cpu: Option<f64>,
    /// Peak of resident memory in MiB; absent where it was not counted.
    pub peak_mib: Option<f64>,
}

impl Figures {
    /// Each figure's median over several runs; nothing for no run.
    pub fn median(runs: &[Self]) -> Option<Self> {
        let all = |figure: fn(&Self) -> Option<f64>| runs.iter().map(figure).collect::<Option<Vec<f64>>>();
        Some(Self {
            wall: all(|run| Some(run.wall)).and_then(middle)?,
            cpu: all(|run| run.cpu).and_then(middle),
            peak_mib: all(|run| run.peak_mib).and_then(middle),
        })
    }

    /// Reads wall seconds, CPU seconds and peak KiB, separated by tabs, as `measure_child` and the project's benches print them.
    pub fn parse(text: &str) -> Result<Self> {
        let mut fields = text.split('\t').map(|field| field.trim().parse::<f64>());
        let mut next = || {
            fields
                .next()
                .and_then(Result::ok)
                .with_context(|| format!("read figures from {text:?}"))
        };
        Ok(Self {
            wall: next()?,
            cpu: Some(next()?),
            peak_mib: Some(next()? / 1024.0),
        })
    }
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// A program that came to an end, good or bad.
pub struct Ended {
    /// What it cost.
    pub figures: Figures,
    /// Whether it ended with status 0.
    pub is_success: bool,
    /// What it printed on standard error.
    pub printed: String,
}

/// Runs a command once, its output thrown away, and gives what it cost. It must succeed.
pub fn measure(command: &Command) -> Result<Figures> {
    let name = command::shown(command);
    let ended = measure_to_any_end(command)?;
    ensure!(
        ended.is_success,
        "`{name}` failed: {}",
        command::last_lines(&ended.printed, 10)
    );
    Ok(ended.figures)
}

/// Runs a command once, and gives what it cost and printed even if it fails. It must start.
pub fn measure_to_any_end(command: &Command) -> Result<Ended> {
    let name = command::shown(command);
    let mut measured = Command::new(THIS_PROGRAM);
    measured
        .args(["measure", "--"])
        .arg(command.get_program())
        .args(command.get_args());
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => measured.env(variable, value),
            None => measured.env_remove(variable),
        };
    }
    let output = measured
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("start `{name}`"))?;
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success(),
        "measure `{name}`: {}",
        command::last_lines(&printed, 10)
    );
    let line = String::from_utf8_lossy(&output.stdout);
    let (figures, end) = line
        .trim_end()
        .rsplit_once('\t')
        .with_context(|| format!("measure `{name}`: {line:?}"))?;
    Ok(Ended {
        figures: Figures::parse(figures)?,
        is_success: end == SUCCEEDED,
        printed,
    })
}

/// Itself, even after its file was replaced by a newer build.
const THIS_PROGRAM: &str = "/proc/self/exe";
const SUCCEEDED: &str = "succeeded";
const FAILED: &str = "failed";

/// The small process: runs the words as a command, passes its standard error on, and prints what it cost and how it ended.
pub fn measure_child(words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context("nothing to measure")?;
    let started = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("start {program}"))?;
    let wall = started.elapsed().as_secs_f64();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("ask the kernel what it cost")?;
    let cpu = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let end = if status.success() { SUCCEEDED } else { FAILED };
    println!("{wall:.6}\t{:.6}\t{}\t{end}", cpu as f64 / 1e6, usage.max_rss());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_ignores_the_odd_one_out() {
        let run = |wall| Figures {
            wall,
            ..Figures::default()
        };
        let median = |runs: &[Figures]| Figures::median(runs).map(|figures| figures.wall);
        assert_eq!(median(&[run(0.3), run(90.0), run(0.1)]), Some(0.3));
        assert_eq!(median(&[run(1.0), run(2.0)]), Some(1.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn figures_are_read_back() {
        let figures =
            Figures::parse("0.5\t0.25\t2048\t63,440 packages").expect("four fields, three of them figures");
        assert_eq!(
            figures,
            Figures {
                wall: 0.5,
                cpu: Some(0.25),
                peak_mib: Some(2.0)
            }
        );
        Figures::parse("0.5\t0.25").expect_err("a figure is missing");
    }
}
