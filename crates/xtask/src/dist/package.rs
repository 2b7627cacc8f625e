//! The agent's Debian package: a staged tree with the commit's time on every file, packed by dpkg-deb(1).

use crate::command;
use crate::tree::Tree;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Files of the package, from the repository's root: where from, where to, permissions.
const FILES: [(&str, &str, u32); 4] = [
    (
        "packaging/agent/patchyard-agent.service",
        "usr/lib/systemd/system/patchyard-agent.service",
        0o644,
    ),
    (
        "packaging/agent/sysusers.conf",
        "usr/lib/sysusers.d/patchyard-agent.conf",
        0o644,
    ),
    (
        "packaging/agent/agent.toml",
        "etc/patchyard-agent/agent.toml",
        0o644,
    ),
    ("LICENSE", "usr/share/doc/patchyard-agent/copyright", 0o644),
];
/// The package's own files and their permissions.
const CONTROL: [(&str, u32); 4] = [
    ("conffiles", 0o644),
    ("postinst", 0o755),
    ("prerm", 0o755),
    ("postrm", 0o755),
];

/// Packs the binary, which needs this version of glibc, into a folder; gives the package's path.
pub(super) fn build(tree: &Tree, binary: &Path, glibc: &str, out: &Path) -> Result<PathBuf> {
    let stage = out.join("stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).context("empty the stage")?;
    }
    place(binary, &stage.join("usr/bin/patchyard-agent"), 0o755)?;
    for (from, to, mode) in FILES {
        place(&tree.root().join(from), &stage.join(to), mode)?;
    }
    let own = tree.root().join("packaging/agent/deb");
    for (name, mode) in CONTROL {
        place(&own.join(name), &stage.join("DEBIAN").join(name), mode)?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let text = fs::read_to_string(own.join("control")).context("read the control file")?;
    let text = text
        .replace("@VERSION@", version)
        .replace("@ARCHITECTURE@", "amd64")
        .replace("@INSTALLED_KIB@", &size_kib(&stage)?.to_string())
        .replace("@DEPENDS@", &format!("libc6 (>= {glibc})"));
    let control = stage.join("DEBIAN/control");
    fs::write(&control, text).context("write the control file")?;
    fs::set_permissions(&control, fs::Permissions::from_mode(0o644)).context("write the control file")?;
    let epoch = commit_time(tree)?;
    date(&stage, SystemTime::UNIX_EPOCH + Duration::from_secs(epoch))?;
    let package = out.join(format!("patchyard-agent_{version}_amd64.deb"));
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "-Zxz", "--build"])
        .arg(&stage)
        .arg(&package);
    // What it prints says only what is said here already.
    command::output(pack.env("SOURCE_DATE_EPOCH", epoch.to_string()))?;
    Ok(package)
}

fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let folder = to.parent().context("every file stands in a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    fs::copy(from, to).with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).with_context(|| format!("set {}", to.display()))
}

fn size_kib(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for path in below(folder)? {
        bytes += fs::metadata(&path)
            .with_context(|| format!("measure {}", path.display()))?
            .len();
    }
    Ok(bytes.div_ceil(1024))
}

/// Sets the time of a folder and everything below it, and the permissions of folders.
fn date(folder: &Path, time: SystemTime) -> Result<()> {
    for path in below(folder)?.into_iter().chain([folder.to_owned()]) {
        let set = || -> std::io::Result<()> {
            if path.is_dir() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
            fs::File::open(&path)?.set_modified(time)
        };
        set().with_context(|| format!("date {}", path.display()))?;
    }
    Ok(())
}

/// Everything below a folder, the deepest first.
fn below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry
            .with_context(|| format!("read {}", folder.display()))?
            .path();
        if path.is_dir() {
            found.extend(below(&path)?);
        }
        found.push(path);
    }
    Ok(found)
}

/// When the commit was made, in seconds since 1970.
fn commit_time(tree: &Tree) -> Result<u64> {
    let mut git = Command::new("git");
    let printed = command::output(git.args(["log", "-1", "--format=%ct"]).current_dir(tree.root()))?;
    printed.trim().parse().context("read the time of the commit")
}
