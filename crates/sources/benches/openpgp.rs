//! How long it takes to believe this machine's own release files, beside gpgv on the same files and keys. Run with
//! `cargo bench -p sources --bench openpgp`.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use anyhow::{Context, ensure};
use jiff::Timestamp;
use sources::apt::keyring::Keyring;
use sources::apt::openpgp::verify_inrelease;
use sources::apt::release::Release;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
const LISTS: &str = "/var/lib/apt/lists";
const ROUNDS: usize = 21;

fn main() -> anyhow::Result<()> {
    let keys = std::fs::read(KEYRING).with_context(|| format!("cannot read {KEYRING}"))?;
    let now = Timestamp::now();
    println!(
        "keyring parsed: {:.3} ms",
        median(|| Keyring::parse(&keys).map(drop))?
    );
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>9}  file",
        "KiB", "cold ms", "warm ms", "parse ms", "gpgv ms"
    );
    for path in releases()? {
        let file = std::fs::read(&path)?;
        let cold = median(|| {
            let keyring = Keyring::parse(&keys)?;
            verify_inrelease(&file, &keyring, now)?;
            anyhow::Ok(())
        })?;
        let keyring = Keyring::parse(&keys)?;
        let verified = verify_inrelease(&file, &keyring, now)?;
        let warm = median(|| verify_inrelease(&file, &keyring, now).map(drop))?;
        let parse = median(|| Release::parse(&verified).map(drop))?;
        let gpgv = median(|| gpgv(&path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        println!(
            "{:>9} {cold:>9.3} {warm:>9.3} {parse:>9.3} {gpgv:>9.3}  {name}",
            file.len() >> 10
        );
    }
    Ok(())
}

fn releases() -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(LISTS).with_context(|| format!("cannot read {LISTS}"))? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("_InRelease") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn gpgv(path: &Path) -> anyhow::Result<()> {
    let status = Command::new("gpgv")
        .args(["--quiet", "--keyring", KEYRING])
        .arg(path)
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "gpgv refuses {}", path.display());
    Ok(())
}

/// Milliseconds, the median of all rounds.
fn median<E>(mut work: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    let mut times = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work()?;
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROUNDS / 2])
}
