//! `cargo xtask`: the project's own chores. Each subcommand is a module; this file only names them.

use clap::{Parser, Subcommand};
use std::process::ExitCode;
use xtask::{bench, dist, fuzz, mutants, suite, tidy, tree};

#[derive(Parser)]
#[command(about = "The project's own chores")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Format, clippy, licences and bans, crate edges, file sizes, words, links, invariants.
    Tidy,
    /// Tidy, then every test; with CI=true also a short fuzzing, and nothing may be skipped.
    Test(suite::Options),
    /// Breaks the product on purpose, once for each row of mutants/*.toml, and demands that the named test turns red.
    Mutants(mutants::Options),
    /// Every parser of foreign bytes under libFuzzer.
    Fuzz(fuzz::Options),
    /// Ours / peer / ratio, written to docs/bench.md.
    Bench(bench::Options),
    /// The slim agent, for systems back to glibc 2.17, and its Debian package.
    Dist(dist::Options),
    /// Runs a command and prints what it cost; `bench` starts itself so.
    #[command(hide = true)]
    Measure { words: Vec<String> },
}

fn main() -> ExitCode {
    let done = tree::Tree::of_this_checkout().and_then(|tree| match Arguments::parse().chore {
        Chore::Tidy => tidy::run(&tree),
        Chore::Test(options) => suite::run(&tree, &options),
        Chore::Mutants(options) => mutants::run(&tree, &options),
        Chore::Fuzz(options) => fuzz::run(&tree, &options),
        Chore::Bench(options) => bench::run(&tree, &options),
        Chore::Dist(options) => dist::run(&tree, &options),
        Chore::Measure { words } => bench::measure_child(&words),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the edge: the chain of causes is printed once"
)]
fn report(error: &anyhow::Error) {
    eprintln!("xtask: {error:#}");
}
