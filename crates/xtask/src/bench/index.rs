//! Parsing and indexing the machine's largest package list, unpacked, against the CPU time that apt needs to build its cache
//! from the same file.

use super::measure::{Figures, measure};
use super::{Bench, Reach, Row, Side, bench_program};
use crate::command;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LISTS: &str = "/var/lib/apt/lists";

/// The one row.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let unpacked = bench.folder.join("Packages");
    let bytes = unpacked_list()?;
    fs::write(&unpacked, &bytes).context("write the unpacked list")?;
    let program = bench_program(bench, "sources", "index")?;
    let phase = |name: &str| {
        let mut command = Command::new(&program);
        command.args(["--phase", name]).args([&unpacked, &bench.folder]);
        command
    };
    let world = AptWorld::with(&bench.folder.join("gencaches"), &unpacked)?;
    let (mut own, mut apts) = (Vec::new(), Vec::new());
    for _ in 0..bench.repeats {
        world.forget()?;
        apts.push(measure(&world.gencaches())?);
        let printed = command::output(&mut phase("build"))?;
        let figures = printed
            .trim()
            .strip_prefix("build\t")
            .context("the bench of sources printed no line `build`")?;
        own.push(Figures::parse(figures)?);
    }
    let ours = Figures::median(&own).context("no run was measured")?;
    let theirs = Figures::median(&apts).context("no run was measured")?;
    let packages = bytes.lines().filter(|line| line.starts_with("Package:")).count();
    Ok(vec![Row {
        what: "parse and index one Packages file, unpacked".into(),
        ours: Side {
            name: "IndexBuilder".into(),
            figures: ours,
        },
        peer: Some(Side {
            name: "apt-cache gencaches".into(),
            figures: theirs,
        }),
        reach: vec![Reach::CpuRatio(0.2), Reach::PeakMib(100.0)],
        remark: format!("{packages} packages, {} MB", bytes.len() / 1_000_000),
    }])
}

/// The text of the machine's largest package list.
pub fn unpacked_list() -> Result<String> {
    command::output(
        Command::new("/usr/lib/apt/apt-helper")
            .arg("cat-file")
            .arg(largest_list()?),
    )
}

fn largest_list() -> Result<PathBuf> {
    let entries = fs::read_dir(LISTS).with_context(|| format!("read {LISTS}"))?;
    let lists = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("_Packages"));
    let largest = lists.max_by_key(|entry| entry.metadata().map_or(0, |facts| facts.len()));
    largest
        .map(|entry| entry.path())
        .context("this machine has no package lists: run apt-get update")
}

/// A world in which apt knows this one list and no installed package.
struct AptWorld {
    folder: PathBuf,
}

impl AptWorld {
    fn with(folder: &Path, list: &Path) -> Result<Self> {
        let archive = folder.join("archive");
        for part in ["archive", "lists/partial", "cache"] {
            fs::create_dir_all(folder.join(part)).with_context(|| format!("create {part}"))?;
        }
        fs::copy(list, archive.join("Packages")).context("copy the list")?;
        fs::write(folder.join("status"), "").context("write an empty status")?;
        let source = format!("deb [trusted=yes] file:{} ./\n", archive.display());
        fs::write(folder.join("sources.list"), source).context("write the source list")?;
        let world = Self {
            folder: folder.to_owned(),
        };
        command::output(world.tool("apt-get").args(["update", "-qq"]))?;
        Ok(world)
    }

    fn tool(&self, program: &str) -> Command {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let mut command = Command::new(program);
        let settings = [
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", "/dev/null".into()),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache::pkgcache", at("cache/pkgcache.bin")),
            ("Dir::Cache::srcpkgcache", at("cache/srcpkgcache.bin")),
            ("APT::Update::Post-Invoke-Success::", "true".into()),
        ];
        for (name, value) in settings {
            command.arg("-o").arg(format!("{name}={value}"));
        }
        command.env("LC_ALL", "C");
        command
    }

    fn gencaches(&self) -> Command {
        let mut command = self.tool("apt-cache");
        command.arg("gencaches");
        command
    }

    fn forget(&self) -> Result<()> {
        for file in fs::read_dir(self.folder.join("cache")).context("read apt's cache folder")? {
            fs::remove_file(file.context("read apt's cache folder")?.path()).context("remove apt's cache")?;
        }
        Ok(())
    }
}
