//! `cargo xtask test`: tidy, then every test of the workspace, with one closing line that counts them. A test that could not
//! run says `skipped: <why>` on standard error and passes; those lines are repeated here, and with CI=true they are a failure.

mod output;

use crate::tree::Tree;
use crate::{command, fuzz, tidy};
use anyhow::{Context, Result, ensure};
use output::{Reader, Show};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

/// How long each fuzz target runs as a part of the tests. Long runs are made by hand, see docs/fuzzing.md.
const FUZZ_SECONDS: u32 = 10;

/// What to run.
#[derive(clap::Args)]
pub struct Options {
    /// Leave tidy out.
    #[arg(long)]
    no_tidy: bool,
    /// Words for `cargo test`, such as `-p domain`; without them the whole workspace.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    cargo: Vec<String>,
}

/// Runs tidy and the tests.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    if !options.no_tidy {
        tidy::run(tree)?;
    }
    say_what_is_missing();
    let started = Instant::now();
    let counts = run_tests(tree, &options.cargo)?;
    println!(
        "the tests took {:.0} s; {} are ignored",
        started.elapsed().as_secs_f64(),
        counts.ignored
    );
    println!(
        "{} passed, {} failed, {} skipped",
        counts.passed.saturating_sub(counts.skipped.len()),
        counts.failed.len(),
        counts.skipped.len()
    );
    ensure!(counts.failed.is_empty(), "failed: {}", counts.failed.join(", "));
    let left_out = counts.skipped.len() + counts.ignored;
    ensure!(
        !is_ci || left_out == 0,
        "CI=true, and {left_out} tests did not run"
    );
    if is_ci {
        let options = fuzz::Options {
            seconds: FUZZ_SECONDS,
            only: None,
            background: false,
            note: false,
        };
        fuzz::run(tree, &options)?;
    }
    Ok(())
}

/// What the tests will miss here, said before they say it one by one.
fn say_what_is_missing() {
    let is_root = command::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !is_root {
        println!("not root: tests that build or enter whole Debian roots will be skipped");
    }
    if std::env::var_os("PATCHYARD_SHARED").is_none() {
        println!("PATCHYARD_SHARED is not set: tests on real data from beside the checkout will be skipped");
    }
}

/// What came of the tests.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    ignored: usize,
    failed: Vec<String>,
    /// Why, once for each test that said so.
    skipped: Vec<String>,
}

fn run_tests(tree: &Tree, words: &[String]) -> Result<Counts> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "--locked", "--no-fail-fast"])
        .current_dir(tree.root());
    if words.is_empty() {
        cargo.arg("--workspace");
    }
    cargo
        .args(words.iter().take_while(|word| *word != "--"))
        .args(["--", "--show-output"]);
    cargo.args(words.iter().skip_while(|word| *word != "--").skip(1));
    let name = command::shown(&cargo);
    let mut child = cargo
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{name}`"))?;
    let stdout = child.stdout.take().context("read what the tests print")?;
    let stderr = child.stderr.take().context("read what the tests print")?;
    let mut reader = Reader::default();
    let skipped = thread::scope(|scope| -> Result<Vec<String>> {
        let beside = scope.spawn(|| skips_among(stderr));
        each_line(stdout, |line| {
            if reader.read(line) == Show::Yes {
                println!("{line}");
            }
        })?;
        beside.join().expect("reading lines does not panic")
    })?;
    let status = child.wait().with_context(|| format!("wait for `{name}`"))?;
    let mut counts = reader.counts;
    counts.skipped.extend(skipped);
    ensure!(
        status.success() || !counts.failed.is_empty(),
        "`{name}` ended with {status}"
    );
    Ok(counts)
}

/// Passes standard error on, and gives the reasons of the tests that wrote past the harness that they are skipped.
fn skips_among(stderr: impl Read) -> Result<Vec<String>> {
    let mut skipped = Vec::new();
    each_line(stderr, |line| {
        println!("{line}");
        skipped.extend(line.strip_prefix(output::SKIPPED).map(String::from));
    })?;
    Ok(skipped)
}

fn each_line(stream: impl Read, mut take: impl FnMut(&str)) -> Result<()> {
    for line in BufReader::new(stream).split(b'\n') {
        let line = line.context("read what the tests print")?;
        take(&String::from_utf8_lossy(&line));
    }
    Ok(())
}
