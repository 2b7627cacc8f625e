//! `cargo xtask fuzz`: every parser of foreign bytes under libFuzzer, for a time each, two at once. Targets are the files of
//! `fuzz/src/bin/`. They are built by plain cargo with coverage instrumentation, which stable Rust allows, so that nothing needs
//! to be installed but a C++ compiler. What libFuzzer learned stays in `target/fuzz/corpus` for the next run.

use crate::command;
use crate::tree::Tree;
use anyhow::{Context, Result, bail, ensure};
use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

/// What rustc and LLVM add so that libFuzzer sees which branches and comparisons an input reaches.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Cllvm-args=-simplifycfg-branch-fold-threshold=0";
/// A parser that needs more for an input of at most [`LONGEST_INPUT_BYTES`] is not bounded.
const MOST_MEMORY_MIB: u32 = 1024;
/// A parser that needs longer for one input has a loop that depends too much on what it reads.
const SLOWEST_INPUT_SECONDS: u32 = 10;
const LONGEST_INPUT_BYTES: u32 = 65_536;

/// What to run.
#[derive(clap::Args)]
pub struct Options {
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    pub seconds: u32,
    /// Only targets whose name contains this.
    #[arg(long)]
    pub only: Option<String>,
    /// Write the figures to docs/fuzzing.md.
    #[arg(long)]
    pub note: bool,
}

/// What one target did.
struct Figures {
    target: String,
    /// Inputs tried.
    runs: u64,
    /// Inputs in the corpus that each reach something new.
    corpus: u64,
    /// Branches reached.
    coverage: u64,
    peak_mib: u64,
    /// The end of what libFuzzer printed, where it found a fault.
    fault: Option<String>,
}

/// Builds the targets, makes the seeds, runs, prints a line for each target; fails if one found a fault.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let mut targets = targets(tree);
    targets.retain(|target| {
        options
            .only
            .as_ref()
            .is_none_or(|part| target.contains(part.as_str()))
    });
    ensure!(!targets.is_empty(), "no target of fuzz/src/bin has such a name");
    println!("building {} fuzz targets", targets.len());
    let binaries = build(tree, &targets)?;
    println!("fuzzing, {} s each", options.seconds);
    let figures = run_all(tree, &binaries, &targets, options.seconds)?;
    if options.note {
        note(tree, &figures, options.seconds)?;
    }
    let faults: Vec<&str> = figures
        .iter()
        .filter(|one| one.fault.is_some())
        .map(|one| one.target.as_str())
        .collect();
    if !faults.is_empty() {
        bail!(
            "fuzzing found faults in {}; the inputs are in target/fuzz/faults",
            faults.join(", ")
        );
    }
    Ok(())
}

fn targets(tree: &Tree) -> Vec<String> {
    let names = tree
        .paths()
        .iter()
        .filter_map(|path| path.strip_prefix("fuzz/src/bin/")?.strip_suffix(".rs"));
    names.map(String::from).collect()
}

/// The folder of the built targets. A target triple is given even though it is the host's own: without it, build scripts
/// would be instrumented too, and would not link.
fn build(tree: &Tree, targets: &[String]) -> Result<PathBuf> {
    let version = command::output(Command::new("rustc").arg("-vV"))?;
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not say its host")?;
    let folder = tree.root().join("target/fuzz");
    // The versions that the product links, and no others; what only fuzzing needs is added to the copy.
    fs::copy(
        tree.root().join("Cargo.lock"),
        tree.root().join("fuzz/Cargo.lock"),
    )
    .context("copy Cargo.lock to fuzz/")?;
    let mut cargo = Command::new("cargo");
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--target",
        host,
    ]);
    for target in targets {
        cargo.args(["--bin", target]);
    }
    command::run(
        cargo
            .env("RUSTFLAGS", INSTRUMENTATION)
            .env("CARGO_TARGET_DIR", &folder)
            .current_dir(tree.root()),
    )?;
    Ok(folder.join(host).join("release"))
}

fn run_all(
    tree: &Tree,
    binaries: &std::path::Path,
    targets: &[String],
    seconds: u32,
) -> Result<Vec<Figures>> {
    let waiting = Mutex::new(VecDeque::from(targets.to_vec()));
    let done = Mutex::new(Vec::new());
    let worker = || -> Result<()> {
        loop {
            let next = waiting
                .lock()
                .expect("a worker does not panic while it takes a target")
                .pop_front();
            let Some(target) = next else { return Ok(()) };
            let figures = run_one(tree, binaries, &target, seconds)?;
            show(&figures);
            done.lock()
                .expect("a worker does not panic while it notes figures")
                .push(figures);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a worker returns its errors"))
    })?;
    let mut figures = done.into_inner().expect("all workers have ended");
    figures.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(figures)
}

fn run_one(tree: &Tree, binaries: &std::path::Path, target: &str, seconds: u32) -> Result<Figures> {
    let folder = tree.root().join("target/fuzz");
    let (corpus, seeds, faults) = (
        folder.join("corpus").join(target),
        folder.join("seeds").join(target),
        folder.join("faults"),
    );
    if seeds.exists() {
        fs::remove_dir_all(&seeds).with_context(|| format!("empty {}", seeds.display()))?;
    }
    for needed in [&corpus, &seeds, &faults] {
        fs::create_dir_all(needed).with_context(|| format!("create {}", needed.display()))?;
    }
    let output = Command::new(binaries.join(target))
        .args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={LONGEST_INPUT_BYTES}"),
            format!("-rss_limit_mb={MOST_MEMORY_MIB}"),
            format!("-timeout={SLOWEST_INPUT_SECONDS}"),
            format!("-artifact_prefix={}/{target}-", faults.display()),
            String::from("-print_final_stats=1"),
        ])
        .args([&corpus, &seeds])
        .env("FUZZ_SEEDS", &seeds)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .with_context(|| format!("start the fuzz target {target}"))?;
    Ok(figures(
        target,
        output.status.success(),
        &String::from_utf8_lossy(&output.stderr),
    ))
}

fn figures(target: &str, is_success: bool, printed: &str) -> Figures {
    let statistic = |name: &str| {
        let line = printed
            .lines()
            .find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    let status = printed
        .lines()
        .rev()
        .find(|line| line.starts_with('#') && line.contains(" cov: "))
        .unwrap_or("");
    let after = |word: &str| {
        let mut words = status
            .split([' ', '/'])
            .skip_while(|other| *other != word)
            .skip(1);
        words
            .find(|word| !word.is_empty())
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    };
    Figures {
        target: target.into(),
        runs: statistic("number_of_executed_units"),
        corpus: after("corp:"),
        coverage: after("cov:"),
        peak_mib: statistic("peak_rss_mb"),
        fault: (!is_success).then(|| fault(printed)),
    }
}

/// The panic's own words if there is one, and the end of what libFuzzer says.
fn fault(printed: &str) -> String {
    let panic: Vec<&str> = printed
        .lines()
        .skip_while(|line| !line.contains("panicked at"))
        .take(3)
        .collect();
    format!("{}\n{}", panic.join("\n"), command::last_lines(printed, 12))
}

fn show(figures: &Figures) {
    let Figures {
        target,
        runs,
        corpus,
        coverage,
        peak_mib,
        fault,
    } = figures;
    let mark = if fault.is_some() { "✗" } else { "✓" };
    println!(
        "{mark} {target:<16} {runs:>12} inputs   {coverage:>6} branches   {corpus:>6} in corpus   peak {peak_mib} MiB"
    );
    if let Some(fault) = fault {
        println!("{fault}");
    }
}

fn note(tree: &Tree, figures: &[Figures], seconds: u32) -> Result<()> {
    let date = command::output(Command::new("date").args(["-u", "+%F"]))?;
    let commit = command::output(
        Command::new("git")
            .args(["rev-parse", "--short", "HEAD"])
            .current_dir(tree.root()),
    )?;
    let mut page = format!(
        "# Fuzzing\n\nWritten by `cargo xtask fuzz --seconds {seconds} --note` on {} at {}. Each target is one parser of foreign bytes \
         (`fuzz/src/bin/`), run for {seconds} s on one core. A fault is a panic, an overflow, more than {SLOWEST_INPUT_SECONDS} s or more than \
         {MOST_MEMORY_MIB} MiB for an input of at most 64 KiB, or a broken promise of the target.\n\n\
         | target | inputs | branches | corpus | peak MiB | faults |\n|---|---|---|---|---|---|\n",
        date.trim(),
        commit.trim()
    );
    for one in figures {
        let fault = if one.fault.is_some() { "found" } else { "none" };
        let Figures {
            target,
            runs,
            corpus,
            coverage,
            peak_mib,
            ..
        } = one;
        page.push_str(&format!(
            "| {target} | {runs} | {coverage} | {corpus} | {peak_mib} | {fault} |\n"
        ));
    }
    fs::write(tree.root().join("docs/fuzzing.md"), page).context("write docs/fuzzing.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_libfuzzer_prints() {
        let printed = "#2\tINITED cov: 9 ft: 9 corp: 1/1b exec/s: 0 rss: 26Mb\n\
                       #524288\tpulse  cov: 311 ft: 2034 corp: 857/41Kb lim: 4096 exec/s: 58254 rss: 28Mb\n\
                       stat::number_of_executed_units: 606099\nstat::peak_rss_mb:              28\n";
        let found = figures("deb822", true, printed);
        assert_eq!(
            (found.runs, found.coverage, found.corpus, found.peak_mib),
            (606_099, 311, 857, 28)
        );
        assert!(found.fault.is_none());
    }

    #[test]
    fn a_fault_keeps_the_words_of_the_panic() {
        let printed = "thread '<unnamed>' panicked at src/bin/x.rs:7:9:\nassertion failed\nnote: backtrace\n==1== ERROR: libFuzzer: deadly signal\n";
        assert!(
            figures("x", false, printed)
                .fault
                .is_some_and(|fault| fault.contains("x.rs:7:9"))
        );
    }
}
