//! `cargo xtask dist`: the slim agent as a binary that runs on systems back to glibc 2.17, and as a Debian package. The same
//! commit gives the same package: times are the commit's, owners are root, paths of this machine stand nowhere in it.

mod package;
mod symbols;

use crate::command;
use crate::tree::Tree;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The oldest C library that the binary shall run with.
const GLIBC: &str = "2.17";
/// The target of the build.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The largest agent on disk, in bytes.
const LARGEST_BYTES: u64 = 8 << 20;
/// What builds for an older C library than the machine's, from PyPI.
const TOOLS: [&str; 2] = ["ziglang", "cargo-zigbuild"];

/// What to make.
#[derive(clap::Args)]
pub struct Options {
    /// Build with this machine's own compiler and C library.
    #[arg(long)]
    plain: bool,
    /// Where to put what was made; target/dist if not said.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Builds the agent and packs it.
pub fn run(tree: &Tree, options: &Options) -> Result<()> {
    let out = options
        .out
        .clone()
        .unwrap_or_else(|| tree.root().join("target/dist"));
    fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
    let tools = if options.plain { None } else { tools(tree) };
    let built = build(tree, tools.as_deref())?;
    let binary = out.join("patchyard-agent");
    fs::copy(&built, &binary).with_context(|| format!("copy {}", built.display()))?;
    let size = fs::metadata(&binary).context("measure the agent")?.len();
    ensure!(
        size <= LARGEST_BYTES,
        "the agent has {size} bytes, more than {LARGEST_BYTES}"
    );
    let newest = symbols::newest_glibc(&binary)?;
    println!("{}: {size} bytes, needs glibc {newest}", binary.display());
    if tools.is_some() {
        ensure!(
            symbols::version(&newest) <= symbols::version(GLIBC),
            "the agent needs glibc {newest}, newer than {GLIBC}"
        );
    }
    let package = package::build(tree, &binary, &newest, &out)?;
    println!("{}", package.display());
    Ok(())
}

/// The folder with the tools that build for an older C library; made once. Without them it says what is missing.
fn tools(tree: &Tree) -> Option<PathBuf> {
    let folder = tree.root().join("target/tools/zig");
    let programs = folder.join("bin");
    let is_there = || programs.join("cargo-zigbuild").is_file();
    if !is_there() {
        let python = || Command::new("python3");
        let made = command::run(python().args(["-m", "venv"]).arg(&folder)).and_then(|()| {
            let mut install = Command::new(programs.join("python"));
            command::run(install.args(["-m", "pip", "install", "--quiet"]).args(TOOLS))
        });
        if let Err(error) = made {
            println!("cannot install {} from PyPI: {error:#}", TOOLS.join(" and "));
        }
    }
    if !is_there() {
        println!("building with this machine's own C library: the agent will not run on older systems");
        return None;
    }
    Some(programs)
}

fn build(tree: &Tree, tools: Option<&Path>) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    let target = match tools {
        Some(tools) => {
            cargo.arg("zigbuild").env("PATH", with_first(tools)?);
            format!("{TARGET}.{GLIBC}")
        }
        None => {
            cargo.arg("build");
            TARGET.to_owned()
        }
    };
    cargo
        .args(["--quiet", "--locked", "--profile", "dist", "-p", "agent"])
        .args(["--bin", "patchyard-agent", "--target", &target])
        .env("CARGO_ENCODED_RUSTFLAGS", nameless_paths(tree)?.join("\u{1f}"))
        .current_dir(tree.root());
    command::run(&mut cargo)?;
    Ok(tree
        .root()
        .join("target")
        .join(TARGET)
        .join("dist/patchyard-agent"))
}

/// `PATH` with this folder before all.
fn with_first(folder: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).context("put the tools into PATH")
}

/// Flags by which no path of this machine gets into the binary.
fn nameless_paths(tree: &Tree) -> Result<Vec<String>> {
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    Ok(vec![
        format!("--remap-path-prefix={home}=cargo"),
        format!("--remap-path-prefix={}=patchyard", tree.root().display()),
    ])
}
