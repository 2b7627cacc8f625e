//! The agent's Debian package as `cargo xtask dist` makes it: the one file that every suite of the lab can install.

use super::LabMissing;
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

/// What the package depends on if it was built for the oldest suite too.
const FOR_ALL_SUITES: &str = "libc6 (>= 2.17)";

/// The package, made once in a process.
pub fn agent_package() -> Result<&'static Path, LabMissing> {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    static MAKING: Mutex<()> = Mutex::new(());
    // Tests that start together wait for one making.
    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(made) = MADE.get() {
        return Ok(made);
    }
    let made = make().map_err(|why| LabMissing::Failed {
        what: "the agent's package".to_owned(),
        why,
    })?;
    Ok(MADE.get_or_init(|| made))
}

fn make() -> anyhow::Result<PathBuf> {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = tree.join("target/lab");
    fs::create_dir_all(&out).context("could not make a folder for the package")?;
    let lock = fs::File::create(out.join("lock")).context("could not lock the package's folder")?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["xtask", "dist", "--out"])
        .arg(&out)
        .current_dir(&tree);
    let told = said(&mut command)?;
    // The last line that it prints is the package's path.
    let package = PathBuf::from(told.lines().last().unwrap_or_default());
    let depends = said(
        Command::new("dpkg-deb")
            .arg("--field")
            .arg(&package)
            .arg("Depends"),
    )?;
    if !depends.contains(FOR_ALL_SUITES) {
        bail!("it needs {}: {told}", depends.trim());
    }
    Ok(package)
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command
        .output()
        .with_context(|| format!("could not run {name}"))?;
    if !done.status.success() {
        bail!(
            "{name} failed: {}",
            String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).trim()
        );
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
