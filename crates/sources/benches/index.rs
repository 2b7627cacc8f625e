//! How long unpacking, indexing, opening and looking up take, each in a process of its own so that its peak memory is
//! its own: `cargo bench -p sources --bench index [-- PACKAGES-FILE]`. Without a file it takes the largest of this
//! machine's lists. One line each: what, wall seconds, CPU seconds, peak memory in KiB, and what was done.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, and measures real time"
)]

use anyhow::{Context, Result};
use content::mapped::Mapped;
use content::store::Store;
use domain::catalog::listing::ListingNo;
use domain::digest::Sha256Digest;
use sources::apt::decompress::{Compression, OutputLimits, reader};
use sources::apt::index::{Index, IndexBuilder};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const LISTS: &str = "/var/lib/apt/lists";
const ROUNDS: usize = 7;

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if arguments.first().is_some_and(|word| word == "--phase") {
        let [_, phase, file, folder] = arguments.as_slice() else {
            anyhow::bail!("--phase NAME FILE FOLDER")
        };
        return measure(phase, Path::new(file), Path::new(folder));
    }
    let file = match arguments.pop() {
        Some(file) => PathBuf::from(file),
        None => largest_list()?,
    };
    println!("{}", file.display());
    let folder = tempfile::tempdir()?;
    for phase in ["prepare", "unpack", "read", "build", "open", "look up"] {
        for _ in 0..ROUNDS {
            let status = Command::new(std::env::current_exe()?)
                .args(["--phase", phase])
                .args([file.as_path(), folder.path()])
                .status()?;
            anyhow::ensure!(status.success(), "{phase} failed");
            if phase == "prepare" {
                break;
            }
        }
    }
    Ok(())
}

fn largest_list() -> Result<PathBuf> {
    let mut lists: Vec<(u64, PathBuf)> = fs::read_dir(LISTS)?
        .filter_map(|entry| Some((entry.as_ref().ok()?.metadata().ok()?.len(), entry.ok()?.path())))
        .filter(|(_, path)| path.to_string_lossy().contains("_Packages"))
        .collect();
    lists.sort();
    lists
        .pop()
        .map(|(_, path)| path)
        .context("no package list on this machine")
}

fn measure(phase: &str, file: &Path, folder: &Path) -> Result<()> {
    let unpacked = folder.join("Packages");
    let begun = Instant::now();
    let cpu = cpu_seconds()?;
    let done = match phase {
        "prepare" => prepare(file, &unpacked, folder)?,
        "unpack" => unpack(file, &mut io::sink())?,
        "read" => read_only(&unpacked)?,
        "build" => build(&unpacked)?.len().to_string(),
        "open" => Index::open(mapped(folder)?)?.len().to_string(),
        "look up" => look_up(folder)?,
        other => anyhow::bail!("no phase {other}"),
    };
    let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    println!("{phase}\t{wall:.4}\t{cpu:.4}\t{}\t{done}", peak_kib()?);
    Ok(())
}

const DIGEST: Sha256Digest = Sha256Digest([7; 32]);

fn mapped(folder: &Path) -> Result<Mapped> {
    Store::open(folder)?
        .map_derived("index", &DIGEST)?
        .context("the index was prepared")
}

fn prepare(file: &Path, unpacked: &Path, folder: &Path) -> Result<String> {
    let said = unpack(file, &mut File::create(unpacked)?)?;
    Store::open(folder)?.insert_derived("index", &DIGEST, &build(unpacked)?)?;
    Ok(said)
}

fn unpack(file: &Path, output: &mut dyn io::Write) -> Result<String> {
    let kind = Compression::from_name(&file.to_string_lossy());
    let mut input = reader(kind, File::open(file)?, OutputLimits::INDEX)?;
    let mut piece = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        let read = input.read(&mut piece)?;
        if read == 0 {
            return Ok(format!("{kind:?}, {total} bytes"));
        }
        output.write_all(&piece[..read])?;
        total += read;
    }
}

fn read_only(unpacked: &Path) -> Result<String> {
    let mut input = File::open(unpacked)?;
    let mut piece = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        match input.read(&mut piece)? {
            0 => return Ok(format!("{total} bytes")),
            read => total += read,
        }
    }
}

fn build(unpacked: &Path) -> Result<Vec<u8>> {
    let mut input = File::open(unpacked)?;
    let mut piece = vec![0; 1 << 18];
    let mut builder = IndexBuilder::new();
    loop {
        match input.read(&mut piece)? {
            0 => return Ok(builder.finish(DIGEST)?.bytes),
            read => builder.push(&piece[..read])?,
        }
    }
}

/// Looks up every installed package of this machine, and as many names that do not exist.
fn look_up(folder: &Path) -> Result<String> {
    let status = fs::read_to_string("/var/lib/dpkg/status")?;
    let names: Vec<&str> = status
        .lines()
        .filter_map(|line| line.strip_prefix("Package: "))
        .collect();
    let absent: Vec<String> = names.iter().map(|name| format!("{name}-absent")).collect();
    let index = Index::open(mapped(folder)?)?;
    let begun = Instant::now();
    let sum = |name: &str| {
        index
            .offers(name, ListingNo(0))
            .map(|offer| offer.version.len() + offer.source.len())
            .sum::<usize>()
    };
    let found: usize = names.iter().map(|name| sum(name)).sum();
    let first = begun.elapsed();
    let absent_found: usize = absent.iter().map(|name| sum(name)).sum();
    Ok(format!(
        "{} names {first:?} ({found}), {} absent names {:?} ({absent_found})",
        names.len(),
        absent.len(),
        begun.elapsed() - first
    ))
}

fn cpu_seconds() -> Result<f64> {
    let schedstat = fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds: f64 = schedstat
        .split(' ')
        .next()
        .context("an empty schedstat")?
        .parse()?;
    Ok(nanoseconds / 1e9)
}

fn peak_kib() -> Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").to_owned())
}
