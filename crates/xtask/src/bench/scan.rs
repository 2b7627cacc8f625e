//! The scan of this machine from its own lists, against `apt list --upgradable` on the same lists, both with what they keep
//! between runs and without.

use super::rounds::{Contender, compare};
use super::{Bench, Reach, Row, Side};
use crate::command;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Warm, then cold.
pub fn rows(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let apt_cache = bench.folder.join("apt");
    let own_cache = bench.folder.join("patchyard");
    fs::create_dir_all(&apt_cache).with_context(|| format!("create {}", apt_cache.display()))?;
    let remark = format!("{} updates each", agreed(bench, &own_cache, &apt_cache)?);
    let kept = || Ok(());
    let warm = compare(
        &Contender {
            before: Box::new(kept),
            command: ours(bench, &own_cache),
        },
        &Contender {
            before: Box::new(kept),
            command: apt(&apt_cache),
        },
        bench.repeats,
    )?;
    ensure!(
        apt_cache.join("pkgcache.bin").is_file(),
        "apt did not store its cache, so the comparison is not fair"
    );
    let cold = compare(
        &Contender {
            before: Box::new(|| emptied(&own_cache)),
            command: ours(bench, &own_cache),
        },
        &Contender {
            before: Box::new(|| emptied(&apt_cache)),
            command: apt(&apt_cache),
        },
        bench.repeats,
    )?;
    let row = |what: &str, peer: &str, (ours, theirs), reach: [Reach; 2]| Row {
        what: what.into(),
        ours: Side {
            name: "patchyard scan".into(),
            figures: ours,
        },
        peer: Some(Side {
            name: peer.into(),
            figures: theirs,
        }),
        reach: reach.into(),
        remark: remark.clone(),
    };
    Ok(vec![
        row(
            "scan, index present",
            "apt list --upgradable, cache stored",
            warm,
            [Reach::WallRatio(0.08), Reach::PeakMib(60.0)],
        ),
        row(
            "scan, no index yet",
            "apt list --upgradable, no cache",
            cold,
            [Reach::WallRatio(0.6), Reach::PeakMib(120.0)],
        ),
    ])
}

fn ours(bench: &Bench<'_>, cache: &Path) -> Command {
    let mut command = Command::new(&bench.scanner);
    command.args(["scan", "--json", "--cache-dir"]).arg(cache);
    command
}

/// apt with its caches where this machine's settings cannot have switched them off.
fn apt(cache: &Path) -> Command {
    let mut command = Command::new("apt");
    for (setting, file) in [("pkgcache", "pkgcache.bin"), ("srcpkgcache", "srcpkgcache.bin")] {
        command
            .arg("-o")
            .arg(format!("Dir::Cache::{setting}={}", cache.join(file).display()));
    }
    command.args(["list", "--upgradable"]).env("LC_ALL", "C");
    command
}

fn emptied(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))
}

/// How many packages have an update, if both sides name the same ones: a fast wrong answer is not measured.
fn agreed(bench: &Bench<'_>, own_cache: &Path, apt_cache: &Path) -> Result<usize> {
    let said: serde_json::Value = serde_json::from_str(&command::output(&mut ours(bench, own_cache))?)
        .context("read the scan's JSON")?;
    let updates = said["updates"]
        .as_array()
        .context("the scan's JSON has no updates")?;
    let packages = updates
        .iter()
        .flat_map(|update| update["packages"].as_array().into_iter().flatten());
    let mut own: Vec<String> = packages
        .map(|package| field(package, "name") + " " + &field(package, "available"))
        .collect();
    let listed = command::output(&mut apt(apt_cache))?;
    let mut theirs: Vec<String> = listed.lines().filter_map(upgradable).collect();
    own.sort();
    theirs.sort();
    ensure!(
        own == theirs,
        "the scan and apt disagree: {} packages against {}",
        own.len(),
        theirs.len()
    );
    Ok(own.len())
}

fn field(package: &serde_json::Value, name: &str) -> String {
    package[name].as_str().unwrap_or_default().to_owned()
}

/// `name/suites version architecture [upgradable from: old]`
fn upgradable(line: &str) -> Option<String> {
    let (name, rest) = line.split_once('/')?;
    let version = rest.split_whitespace().nth(1)?;
    Some(format!("{name} {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apts_list_is_read_without_its_heading() {
        let line = "openssl/stable-security,now 3.0.22-1~deb12u2 amd64 [upgradable from: 3.0.19-1~deb12u2]";
        assert_eq!(upgradable(line).as_deref(), Some("openssl 3.0.22-1~deb12u2"));
        assert_eq!(upgradable("Listing..."), None);
    }
}
