//! `patchyard-agent`: reads its words, and hands values to the library. Environment, exit code and what a person sees are here.

mod command;

use anyhow::{Context, Result};
use clap::Parser;
use command::Arguments;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Arguments::parse().run() {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the edge: the chain of causes is printed once"
)]
fn complain(error: &anyhow::Error) {
    eprintln!(
        "patchyard-agent: {}",
        agent::shown::harmless(&format!("{error:#}"), 2_000)
    );
}

/// A variable of the environment; one that is not UTF-8 counts as not set.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge: the environment is read here and handed down"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: dates of log lines and screens"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// This very program, even after a newer one took its place on disk.
fn own_program() -> Result<std::path::PathBuf> {
    let link = std::path::Path::new("/proc/self/exe");
    if link.exists() {
        return Ok(link.to_owned());
    }
    std::env::current_exe().context("cannot tell where this program is")
}
