//! Checks that another tool makes: rustfmt, clippy, cargo-deny.

use super::Outcome;
use crate::command;
use crate::tree::Tree;
use anyhow::{Context, Result};
use std::process::Command;

/// rustfmt would change nothing.
pub fn format(tree: &Tree) -> Result<Outcome> {
    let mut files = Vec::new();
    for words in [["--all"].as_slice(), &["--manifest-path", "fuzz/Cargo.toml"]] {
        let output = Command::new("cargo")
            .arg("fmt")
            .args(words)
            .args(["--", "--check", "-l"])
            .current_dir(tree.root())
            .output()
            .context("start cargo fmt")?;
        files.extend(String::from_utf8_lossy(&output.stdout).lines().map(String::from));
        if !output.status.success() && files.is_empty() {
            files.push(command::last_lines(&String::from_utf8_lossy(&output.stderr), 20));
        }
    }
    Ok(Outcome::of(files, "rustfmt"))
}

/// clippy says nothing about any target.
pub fn clippy(tree: &Tree) -> Result<Outcome> {
    let status = Command::new("cargo")
        .args([
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--locked",
            "--",
            "-D",
            "warnings",
        ])
        .current_dir(tree.root())
        .status()
        .context("start cargo clippy")?;
    let broken = if status.success() {
        Vec::new()
    } else {
        vec![String::from(
            "cargo clippy --workspace --all-targets -- -D warnings",
        )]
    };
    Ok(Outcome::of(broken, "all targets, warnings are errors"))
}

/// cargo-deny agrees, where it is installed. Advisories are left to it alone, and to a run by hand: they need a download.
pub fn cargo_deny(tree: &Tree) -> Result<Outcome> {
    if !command::is_installed("cargo", &["deny", "--version"]) {
        let why = "it is not installed; the check above holds deny.toml, advisories stay unchecked";
        return Ok(Outcome::Skipped(why.into()));
    }
    let status = Command::new("cargo")
        .args([
            "deny",
            "--log-level",
            "error",
            "check",
            "licenses",
            "bans",
            "sources",
        ])
        .current_dir(tree.root())
        .status()
        .context("start cargo deny")?;
    let broken = if status.success() {
        Vec::new()
    } else {
        vec![String::from("cargo deny check licenses bans sources")]
    };
    Ok(Outcome::of(broken, "licences, bans, sources"))
}
