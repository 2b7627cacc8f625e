//! `cargo xtask bench`: what the project promises about speed and memory, measured against the tools that people use today, in
//! one run on one machine, interleaved, as medians. The table goes to the terminal and to docs/bench.md; the README quotes it.

mod agent;
mod assess;
mod fleet;
mod index;
mod load;
mod measure;
mod plan;
mod promise;
mod report;
mod rounds;
mod scan;
mod serving;
mod store;
mod sync;
mod versions;

use crate::command;
use crate::tree::Tree;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

pub use measure::{Ended, Figures, measure_child, measure_to_any_end};
pub use report::{Reach, Row, Side};

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Only rows whose name contains this; docs/bench.md is not written then.
    #[arg(long)]
    only: Option<String>,
    /// Repeats of each side of a row; the median counts.
    #[arg(long, default_value_t = 15)]
    repeats: usize,
}

/// What every row needs to know.
pub struct Bench<'a> {
    /// The checkout.
    pub tree: &'a Tree,
    /// The release build of the scanner.
    pub scanner: PathBuf,
    /// A folder of this run's own.
    pub folder: PathBuf,
    /// Repeats of each side.
    pub repeats: usize,
}

/// One row or several, under the name that `--only` selects by.
type Measurement = (&'static str, fn(&Bench<'_>) -> Result<Vec<Row>>);

const MEASUREMENTS: [Measurement; 11] = [
    ("scan", scan::rows),
    ("index", index::rows),
    ("fleet", fleet::rows),
    ("sync", sync::rows),
    ("versions", versions::rows),
    ("load", load::rows),
    ("assess", assess::rows),
    ("plan", plan::rows),
    ("serving", serving::rows),
    ("store", store::rows),
    ("agent", agent::rows),
];

/// Measures, prints the table, and writes it to docs/bench.md unless only some rows were asked for. A reach that was missed
/// is said in the table and is no failure of this command: it depends on the machine. A measurement that fails takes no other
/// with it; the page says that it is missing.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    ensure!(options.repeats > 0, "a median needs at least one repeat");
    let bench = prepare(tree, options.repeats)?;
    let (mut rows, mut missing) = (Vec::new(), Vec::new());
    for (name, measure) in MEASUREMENTS {
        if options
            .only
            .as_ref()
            .is_none_or(|part| name.contains(part.as_str()))
        {
            println!("measuring {name} ...");
            match measure(&bench) {
                Ok(measured) => rows.extend(measured),
                Err(error) => {
                    println!("not measured: {name}: {error:#}");
                    missing.push(name);
                }
            }
        }
    }
    let mut page = report::page(tree, &rows, options.repeats)?;
    if !missing.is_empty() {
        page.push_str(&format!("\nNot measured this time: {}.\n", missing.join(", ")));
    }
    println!("\n{page}");
    if options.only.is_none() {
        fs::write(tree.root().join("docs/bench.md"), page).context("write docs/bench.md")?;
    }
    ensure!(missing.is_empty(), "not measured: {}", missing.join(", "));
    Ok(())
}

fn prepare(tree: &Tree, repeats: usize) -> Result<Bench<'_>> {
    println!("building the release");
    command::run(
        Command::new("cargo")
            .args([
                "build",
                "--quiet",
                "--release",
                "--locked",
                "-p",
                "cli",
                "--bin",
                "patchyard",
            ])
            .current_dir(tree.root()),
    )?;
    let folder = tree.root().join("target/bench");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    // Processes are found by the paths of their programs, which have no links in them.
    let folder = (folder.canonicalize()).with_context(|| format!("find {}", folder.display()))?;
    Ok(Bench {
        tree,
        scanner: tree.root().join("target/release/patchyard"),
        folder,
        repeats,
    })
}

/// Builds a bench of a crate as a release, and gives the path of its program.
fn bench_program(bench: &Bench<'_>, package: &str, name: &str) -> Result<String> {
    let printed = command::output(
        Command::new("cargo")
            .args([
                "bench",
                "--quiet",
                "--no-run",
                "--locked",
                "--message-format=json",
                "-p",
                package,
                "--bench",
                name,
            ])
            .current_dir(bench.tree.root()),
    )?;
    let messages = printed
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(String::from));
    executables
        .next_back()
        .with_context(|| format!("cargo built no bench {name} of {package}"))
}
