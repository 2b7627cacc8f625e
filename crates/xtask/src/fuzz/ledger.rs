//! The ledger of fuzzing: one line of JSON for each run of a target, kept in `target/fuzz/ledger.jsonl` beside what libFuzzer
//! learned, and the page that adds the lines up. A run that was killed left no line and does not count.

use super::{LONGEST_INPUT_BYTES, MOST_MEMORY_MIB, SLOWEST_INPUT_SECONDS};
use crate::tree::Tree;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

/// What one run of one target did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub target: String,
    /// User and system time of the target's process, as the kernel counted it.
    pub cpu_seconds: f64,
    pub wall_seconds: f64,
    /// Inputs tried.
    pub runs: u64,
    /// Inputs in the corpus that each reach something new.
    pub corpus: u64,
    /// Branches reached.
    pub coverage: u64,
    /// 1 for a run that a fault ended, else 0: libFuzzer stops at the first.
    pub faults: u64,
}

/// The file.
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    pub fn of(tree: &Tree) -> Self {
        Self {
            path: tree.root().join("target/fuzz/ledger.jsonl"),
        }
    }

    /// All runs, oldest first; none where nothing was fuzzed yet. A line that is no run is an error: a sum must not be guessed.
    pub fn read(&self) -> Result<Vec<Run>> {
        let shown = self.path.display();
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("read {shown}")),
        };
        let lines = text.lines().zip(1..);
        lines
            .map(|(line, number)| {
                serde_json::from_str(line).with_context(|| format!("read line {number} of {shown}"))
            })
            .collect()
    }

    /// Adds a line in one write, so that two runs at once do not mix theirs.
    pub fn add(&self, run: &Run) -> Result<()> {
        let line = serde_json::to_string(run).context("put a run into words")? + "\n";
        let file = OpenOptions::new().append(true).create(true).open(&self.path);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .with_context(|| format!("add to {}", self.path.display()))
    }
}

/// CPU time spent on one target.
pub fn cpu_seconds(ledger: &[Run], target: &str) -> f64 {
    let runs = ledger.iter().filter(|run| run.target == target);
    runs.map(|run| run.cpu_seconds).sum()
}

/// docs/fuzzing.md. Times, inputs and faults are sums; corpus and branches are those of the target's last run, which starts
/// with all that was learned before.
pub fn page(ledger: &[Run], targets: &[String]) -> String {
    let mut page = format!(
        "# Fuzzing\n\n\
         Each target is one parser of foreign bytes (`fuzz/src/bin/`) under libFuzzer. A fault is a panic, an overflow, more than \
         {SLOWEST_INPUT_SECONDS} s or more than {MOST_MEMORY_MIB} MiB for an input of at most {} KiB, or a broken promise of the \
         target; each one that was found has a regression test.\n\n\
         - `make fuzz SECONDS=60` runs every target for 60 s, two at once, those with the least CPU time first.\n\
         - `cargo xtask fuzz --only deb822` runs the targets of that name.\n\
         - `cargo xtask fuzz --background --seconds 600` gives way to everything else on the machine.\n\
         - `cargo xtask fuzz --seconds 0 --note` runs nothing and writes this page.\n\n\
         What was learned stays in `target/fuzz/corpus`, an input that shows a fault in `target/fuzz/faults` (give it to the \
         target's program to see the fault again), and a line on each run in `target/fuzz/ledger.jsonl`. This table is the sum \
         of that ledger: CPU time is what the kernel counted for the targets' processes.\n\n\
         | target | CPU time | inputs tried | corpus | branches | faults found |\n|---|---|---|---|---|---|\n",
        LONGEST_INPUT_BYTES / 1024
    );
    for target in targets {
        let runs: Vec<&Run> = ledger.iter().filter(|run| run.target == *target).collect();
        let Some(last) = runs.last() else {
            page.push_str(&format!("| {target} | none yet | | | | |\n"));
            continue;
        };
        page.push_str(&format!(
            "| {target} | {} | {} | {} | {} | {} |\n",
            minutes(cpu_seconds(ledger, target)),
            grouped(runs.iter().map(|run| run.runs).sum()),
            grouped(last.corpus),
            grouped(last.coverage),
            runs.iter().map(|run| run.faults).sum::<u64>()
        ));
    }
    let of_targets = targets.iter().map(|target| cpu_seconds(ledger, target));
    page.push_str(&format!(
        "\nTogether {} of CPU time.\n",
        minutes(of_targets.sum())
    ));
    page
}

/// `1 h 02 min`, or `7.5 min` below an hour.
fn minutes(seconds: f64) -> String {
    if seconds < 3600.0 {
        return format!("{:.1} min", seconds / 60.0);
    }
    let whole = (seconds / 60.0) as u64;
    format!("{} h {:02} min", whole / 60, whole % 60)
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(target: &str, cpu_seconds: f64, runs: u64, coverage: u64, faults: u64) -> Run {
        Run {
            target: target.into(),
            cpu_seconds,
            wall_seconds: 600.0,
            runs,
            corpus: 1234,
            coverage,
            faults,
        }
    }

    #[test]
    fn the_page_is_the_sum_of_what_was_kept() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let ledger = Ledger {
            path: folder.path().join("ledger.jsonl"),
        };
        assert_eq!(ledger.read().expect("no file is no run"), []);
        let kept = [
            run("deb822", 90.0, 1_000_000, 300, 1),
            run("release", 4000.0, 7, 20, 0),
            run("deb822", 60.0, 500_000, 311, 0),
        ];
        for run in &kept {
            ledger.add(run).expect("the folder is writable");
        }
        let read = ledger.read().expect("what was written is read");
        assert_eq!(read, kept);
        let targets = ["deb822", "new", "release"].map(String::from);
        let page = page(&read, &targets);
        let rows: Vec<&str> = page
            .lines()
            .filter(|line| line.starts_with("| "))
            .skip(1)
            .collect();
        assert_eq!(
            rows,
            [
                "| deb822 | 2.5 min | 1,500,000 | 1,234 | 311 | 1 |",
                "| new | none yet | | | | |",
                "| release | 1 h 06 min | 7 | 1,234 | 20 | 0 |",
            ]
        );
        assert!(page.ends_with("Together 1 h 09 min of CPU time.\n"), "{page}");
    }

    #[test]
    fn a_ledger_with_a_torn_line_is_not_added_up() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("ledger.jsonl");
        fs::write(&path, "{\"target\":\"deb8").expect("the folder is writable");
        let error = Ledger { path }.read().expect_err("half a line");
        assert!(format!("{error:#}").contains("line 1"), "{error:#}");
    }
}
