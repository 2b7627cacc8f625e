//! The order of versions against libapt: ten million generated pairs for agreement, and ten million comparisons of real
//! neighbours in a package list for speed, libapt through Python's binding.

use super::measure::Figures;
use super::rounds::{Contender, compare};
use super::{Bench, Row, Side, bench_program, index};
use crate::command;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

const PAIRS: usize = 10_000_000;
/// The test that generates pairs and asks libapt about each.
const TEST: &str = "version::generated_versions_are_ordered_as_libapt_orders_them";
/// Debian's own Python, the one that has the binding.
const PYTHON: &str = "/usr/bin/python3";

const PEER: &str = "
import sys, apt_pkg
apt_pkg.init_system()
pairs = [line.rstrip('\\n').split('\\t') for line in open(sys.argv[1])]
compare = apt_pkg.version_compare
counts = [0, 0, 0]
for _ in range(int(sys.argv[2])):
    for a, b in pairs:
        r = compare(a, b)
        counts[0 if r < 0 else 2 if r > 0 else 1] += 1
print(*counts)
";

/// The row.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    all_generated_pairs_agree(bench)?;
    let list = index::unpacked_list()?;
    let versions: BTreeSet<&str> = list
        .lines()
        .filter_map(|line| line.strip_prefix("Version: "))
        .collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let pairs: Vec<String> = versions
        .windows(2)
        .map(|pair| format!("{}\t{}\n", pair[0], pair[1]))
        .collect();
    ensure!(!pairs.is_empty(), "the package list has no versions to compare");
    let file = bench.folder.join("pairs");
    fs::write(&file, pairs.concat()).context("write the pairs")?;
    let rounds = PAIRS.div_ceil(pairs.len()).to_string();
    let program = bench_program(bench, "domain", "versions")?;
    let command = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).arg(&file).arg(&rounds);
        command
    };
    let ours = || command(&program, &[]);
    let theirs = || command(PYTHON, &["-c", PEER]);
    let (own, libapt) = (command::output(&mut ours())?, command::output(&mut theirs())?);
    ensure!(
        own == libapt,
        "less, equal, greater: {} from us, {} from libapt",
        own.trim(),
        libapt.trim()
    );
    let contender = |command| Contender {
        before: Box::new(|| Ok(())),
        command,
    };
    let repeats = bench.repeats.min(5);
    let (own, libapt) = compare(&contender(ours()), &contender(theirs()), repeats)?;
    let per_second = |figures: Figures| PAIRS as f64 / figures.wall / 1e6;
    Ok(vec![Row {
        what: "compare 10 million pairs of versions".into(),
        remark: format!(
            "{PAIRS} of {PAIRS} generated pairs agree; real neighbours, {repeats} runs: {:.1} against {:.1} million pairs per second",
            per_second(own),
            per_second(libapt)
        ),
        ours: Side {
            name: "domain::version".into(),
            figures: own,
        },
        peer: Some(Side {
            name: "libapt by python3-apt".into(),
            figures: libapt,
        }),
        reach: Vec::new(),
    }])
}

/// Fails with the first pair on which we differ.
fn all_generated_pairs_agree(bench: &Bench<'_>) -> Result<()> {
    let printed = command::output(
        Command::new("cargo")
            .args([
                "test",
                "--quiet",
                "--release",
                "--locked",
                "-p",
                "domain",
                "--test",
                "it",
                "--",
                "--exact",
                TEST,
            ])
            .env("PATCHYARD_VERSION_PAIRS", PAIRS.to_string())
            // A test that may skip nothing: without libapt it must not pass.
            .env("CI", "true")
            .current_dir(bench.tree.root()),
    )?;
    ensure!(printed.contains("1 passed"), "the test {TEST} did not run");
    Ok(())
}
