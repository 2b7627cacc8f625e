//! `cargo xtask fuzz`: every parser of foreign bytes under libFuzzer, for a time each, two at once. Targets are the files of
//! `fuzz/src/bin/`. They are built by plain cargo with coverage instrumentation, which stable Rust allows, so that nothing needs
//! to be installed but a C++ compiler. What libFuzzer learned stays in `target/fuzz/corpus` for the next run, and what each
//! run cost and found in `target/fuzz/ledger.jsonl`, whose sum is what docs/fuzzing.md shows.

mod ledger;

use crate::bench::Ended;
use crate::tree::Tree;
use crate::{bench, command};
use anyhow::{Context, Result, bail, ensure};
use ledger::{Ledger, Run};
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
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
/// The same in the background: libFuzzer measures wall time, and a target that gets no processor is slow without a fault.
const SLOWEST_STARVED_INPUT_SECONDS: u32 = 120;
const LONGEST_INPUT_BYTES: u32 = 65_536;

/// What to run.
#[derive(clap::Args)]
pub struct Options {
    /// How long each target runs; 0 runs none, for `--note` alone.
    #[arg(long, default_value_t = 60)]
    pub seconds: u32,
    /// Only targets whose name contains this.
    #[arg(long)]
    pub only: Option<String>,
    /// Give way to everything else on this machine.
    #[arg(long)]
    pub background: bool,
    /// Write the sum of all runs so far to docs/fuzzing.md.
    #[arg(long)]
    pub note: bool,
}

/// What one target did.
struct Figures {
    run: Run,
    peak_mib: u64,
    /// The end of what libFuzzer printed, where it found a fault.
    fault: Option<String>,
}

/// Builds the targets, makes the seeds, runs those with the least CPU time first, prints a line for each target; fails if one
/// found a fault.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let ledger = Ledger::of(tree);
    let faulty = if options.seconds > 0 {
        fuzz(tree, options, &ledger)?
    } else {
        Vec::new()
    };
    if options.note {
        let page = ledger::page(&ledger.read()?, &targets(tree));
        fs::write(tree.root().join("docs/fuzzing.md"), page).context("write docs/fuzzing.md")?;
    }
    if !faulty.is_empty() {
        bail!(
            "fuzzing found faults in {}; the inputs are in target/fuzz/faults",
            faulty.join(", ")
        );
    }
    Ok(())
}

/// The targets that found a fault.
fn fuzz(tree: &Tree, options: &Options, ledger: &Ledger) -> Result<Vec<String>> {
    let mut targets = targets(tree);
    targets.retain(|target| {
        options
            .only
            .as_ref()
            .is_none_or(|part| target.contains(part.as_str()))
    });
    ensure!(!targets.is_empty(), "no target of fuzz/src/bin has such a name");
    let so_far = ledger.read()?;
    targets.sort_by(|a, b| ledger::cpu_seconds(&so_far, a).total_cmp(&ledger::cpu_seconds(&so_far, b)));
    println!("building {} fuzz targets", targets.len());
    let binaries = build(tree, &targets)?;
    println!("fuzzing, {} s each", options.seconds);
    let runner = Runner {
        binaries: &binaries,
        folder: tree.root().join("target/fuzz"),
        options,
        ledger,
    };
    runner.run_all(&targets)
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

/// What all runs of one call have in common.
struct Runner<'a> {
    binaries: &'a Path,
    folder: PathBuf,
    options: &'a Options,
    ledger: &'a Ledger,
}

impl Runner<'_> {
    /// Two at once, in the order given; gives those that found a fault.
    fn run_all(&self, targets: &[String]) -> Result<Vec<String>> {
        let waiting = Mutex::new(VecDeque::from(targets.to_vec()));
        let faulty = Mutex::new(Vec::new());
        let worker = || -> Result<()> {
            loop {
                let next = waiting
                    .lock()
                    .expect("a worker does not panic while it takes a target")
                    .pop_front();
                let Some(target) = next else { return Ok(()) };
                let figures = self.run_one(&target)?;
                show(&figures);
                self.ledger.add(&figures.run)?;
                if figures.fault.is_some() {
                    faulty
                        .lock()
                        .expect("a worker does not panic while it notes a fault")
                        .push(target);
                }
            }
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..2).map(|_| scope.spawn(worker)).collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().expect("a worker returns its errors"))
        })?;
        let mut faulty = faulty.into_inner().expect("all workers have ended");
        faulty.sort();
        Ok(faulty)
    }

    fn run_one(&self, target: &str) -> Result<Figures> {
        let (corpus, seeds, faults) = (
            self.folder.join("corpus").join(target),
            self.folder.join("seeds").join(target),
            self.folder.join("faults"),
        );
        if seeds.exists() {
            fs::remove_dir_all(&seeds).with_context(|| format!("empty {}", seeds.display()))?;
        }
        for needed in [&corpus, &seeds, &faults] {
            fs::create_dir_all(needed).with_context(|| format!("create {}", needed.display()))?;
        }
        let binary = self.binaries.join(target);
        let (mut command, slowest) = if self.options.background {
            let mut nice = Command::new("nice");
            nice.args(["-n", "19"]).arg(binary);
            (nice, SLOWEST_STARVED_INPUT_SECONDS)
        } else {
            (Command::new(binary), SLOWEST_INPUT_SECONDS)
        };
        command
            .args([
                format!("-max_total_time={}", self.options.seconds),
                format!("-max_len={LONGEST_INPUT_BYTES}"),
                format!("-rss_limit_mb={MOST_MEMORY_MIB}"),
                format!("-timeout={slowest}"),
                format!("-artifact_prefix={}/{target}-", faults.display()),
                String::from("-print_final_stats=1"),
            ])
            .args([&corpus, &seeds])
            .env("FUZZ_SEEDS", &seeds);
        let ended =
            bench::measure_to_any_end(&command).with_context(|| format!("run the fuzz target {target}"))?;
        Ok(figures(target, &ended))
    }
}

fn figures(target: &str, ended: &Ended) -> Figures {
    let printed = ended.printed.as_str();
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
    let fault = (!ended.is_success).then(|| fault(printed));
    Figures {
        run: Run {
            target: target.into(),
            cpu_seconds: ended.figures.cpu.unwrap_or(0.0),
            wall_seconds: ended.figures.wall,
            runs: statistic("number_of_executed_units"),
            corpus: after("corp:"),
            coverage: after("cov:"),
            faults: u64::from(fault.is_some()),
        },
        peak_mib: statistic("peak_rss_mb"),
        fault,
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
    let Figures { run, peak_mib, fault } = figures;
    let mark = if fault.is_some() { "✗" } else { "✓" };
    println!(
        "{mark} {:<16} {:>12} inputs   {:>6} branches   {:>6} in corpus   {:>6.0} s of CPU   peak {peak_mib} MiB",
        run.target, run.runs, run.coverage, run.corpus, run.cpu_seconds
    );
    if let Some(fault) = fault {
        println!("{fault}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(is_success: bool, printed: &str) -> Ended {
        let figures = bench::Figures {
            wall: 60.5,
            cpu: Some(41.0),
            peak_mib: None,
        };
        Ended {
            figures,
            is_success,
            printed: printed.into(),
        }
    }

    #[test]
    fn figures_are_read_from_what_libfuzzer_prints() {
        let printed = "#2\tINITED cov: 9 ft: 9 corp: 1/1b exec/s: 0 rss: 26Mb\n\
                       #524288\tpulse  cov: 311 ft: 2034 corp: 857/41Kb lim: 4096 exec/s: 58254 rss: 28Mb\n\
                       stat::number_of_executed_units: 606099\nstat::peak_rss_mb:              28\n";
        let found = figures("deb822", &ended(true, printed));
        let expected = Run {
            target: "deb822".into(),
            cpu_seconds: 41.0,
            wall_seconds: 60.5,
            runs: 606_099,
            corpus: 857,
            coverage: 311,
            faults: 0,
        };
        assert_eq!((found.run, found.peak_mib), (expected, 28));
        assert!(found.fault.is_none());
    }

    #[test]
    fn a_fault_keeps_the_words_of_the_panic_and_is_counted() {
        let printed = "thread '<unnamed>' panicked at src/bin/x.rs:7:9:\nassertion failed\nnote: backtrace\n==1== ERROR: libFuzzer: deadly signal\n";
        let found = figures("x", &ended(false, printed));
        assert_eq!(found.run.faults, 1);
        assert!(found.fault.is_some_and(|fault| fault.contains("x.rs:7:9")));
    }
}
