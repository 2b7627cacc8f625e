//! What apt itself would do: `apt-get -s upgrade` and `dist-upgrade`, run without root and without changing anything.
//! The running host is simulated with its own configuration. A file tree is not: its apt.conf could name programs to
//! run, so only the settings that change the answer are handed over, as read by Patchyard.

use domain::assess::overlay::{self, KeptBackReason};
use domain::host::channels::{ChannelConfig, PhasedChoice};
use domain::host::inventory::InstalledPackage;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A package as apt-get names it: name and architecture; `all` counts as the native architecture.
pub type Name = (String, String);

/// One simulated run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Installed packages that would be upgraded.
    pub upgraded: BTreeSet<Name>,
    /// Packages that would be newly installed.
    pub new: BTreeSet<Name>,
    /// Packages that would be removed.
    pub removed: BTreeSet<Name>,
}

/// Both runs.
#[derive(Debug)]
pub struct Simulated {
    /// `apt-get -s upgrade`: no new packages, no removals.
    pub upgrade: Run,
    /// `apt-get -s dist-upgrade`: whatever it takes.
    pub dist_upgrade: Run,
}

/// What is simulated.
pub struct World<'a> {
    /// Root of the file tree, `/` for the running host.
    pub root: &'a Path,
    /// Lists to use instead of the root's own.
    pub lists: Option<&'a Path>,
    /// The root's configuration as Patchyard read it.
    pub config: &'a ChannelConfig,
    /// What decides on phased updates.
    pub machine_id: Option<&'a str>,
}

/// Why apt could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// There is no apt-get, or it cannot be started.
    #[error("run apt-get; --simulate needs apt on this machine")]
    NotStarted(#[source] std::io::Error),
    /// A folder for the run cannot be made.
    #[error("make a folder for the simulation")]
    NoFolder(#[source] std::io::Error),
    /// It ran and refused.
    #[error("apt-get -s {command} failed: {words}")]
    Refused {
        /// `upgrade` or `dist-upgrade`.
        command: &'static str,
        /// Its own words.
        words: String,
    },
}

/// Asks apt-get.
pub fn simulate(world: &World<'_>) -> Result<Simulated, SimulateError> {
    let scratch = tempfile::tempdir().map_err(SimulateError::NoFolder)?;
    let options = options(world);
    let config = own_config(world, scratch.path()).map_err(SimulateError::NoFolder)?;
    let native = &world.config.native_architecture;
    let run = |command| -> Result<Run, SimulateError> {
        Ok(parse(&apt_get(command, config.as_deref(), &options)?, native))
    };
    Ok(Simulated {
        upgrade: run("upgrade")?,
        dist_upgrade: run("dist-upgrade")?,
    })
}

fn apt_get(
    command: &'static str,
    config: Option<&Path>,
    options: &[String],
) -> Result<String, SimulateError> {
    let mut apt_get = Command::new("apt-get");
    if let Some(config) = config {
        apt_get.env("APT_CONFIG", config);
    }
    let output = apt_get
        .args([
            "--simulate",
            "--quiet=2",
            "--option=Debug::NoLocking=true",
            "--option=APT::Get::Show-User-Simulation-Note=false",
        ])
        .args(options.iter().map(|option| format!("--option={option}")))
        .arg(command)
        .env("LC_ALL", "C")
        .env_remove("LANGUAGE")
        .stdin(Stdio::null())
        .output()
        .map_err(SimulateError::NotStarted)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let words = words
        .lines()
        .filter(|line| line.starts_with("E:"))
        .collect::<Vec<_>>()
        .join(" ");
    Err(SimulateError::Refused { command, words })
}

/// For a tree: a file that keeps apt from reading this machine's configuration, which it does before it looks at its
/// options.
fn own_config(world: &World<'_>, scratch: &Path) -> std::io::Result<Option<PathBuf>> {
    if world.root == Path::new("/") {
        return Ok(None);
    }
    let nothing = scratch.join("nothing");
    std::fs::create_dir(&nothing)?;
    let nothing = nothing.display();
    let config = scratch.join("apt.conf");
    std::fs::write(
        &config,
        format!("Dir::Etc::main \"{nothing}/none\";\nDir::Etc::parts \"{nothing}\";\n"),
    )?;
    Ok(Some(config))
}

fn options(world: &World<'_>) -> Vec<String> {
    let mut options = vec![
        "Dir::Cache::pkgcache=".to_owned(),
        "Dir::Cache::srcpkgcache=".to_owned(),
    ];
    if let Some(lists) = world.lists {
        options.push(format!("Dir::State::lists={}", lists.display()));
    }
    if world.root == Path::new("/") {
        return options;
    }
    let inside = |path: &str| world.root.join(path).display().to_string();
    options.extend([
        // The tree is judged as a system of its own, not as the chroot from which it is looked at.
        "Dir::Bin::ischroot=/bin/false".to_owned(),
        format!("Dir::Etc::sourcelist={}", inside("etc/apt/sources.list")),
        format!("Dir::Etc::sourceparts={}", inside("etc/apt/sources.list.d")),
        format!("Dir::Etc::preferences={}", inside("etc/apt/preferences")),
        format!("Dir::Etc::preferencesparts={}", inside("etc/apt/preferences.d")),
        format!("Dir::State={}", inside("var/lib/apt")),
        format!("Dir::State::status={}", inside("var/lib/dpkg/status")),
        format!(
            "Dir::State::extended_states={}",
            inside("var/lib/apt/extended_states")
        ),
        format!("APT::Architecture={}", world.config.native_architecture),
    ]);
    if world.lists.is_none() {
        options.push(format!("Dir::State::lists={}", inside("var/lib/apt/lists")));
    }
    options.extend(
        world
            .config
            .architectures()
            .map(|name| format!("APT::Architectures::={name}")),
    );
    let settings = &world.config.settings;
    options.extend(
        settings
            .default_release
            .as_ref()
            .map(|release| format!("APT::Default-Release={release}")),
    );
    options.extend(world.machine_id.map(|id| format!("APT::Machine-ID={id}")));
    match settings.phased {
        PhasedChoice::ByMachineId => {}
        PhasedChoice::Always => options.push("APT::Get::Always-Include-Phased-Updates=true".to_owned()),
        PhasedChoice::Never => options.push("APT::Get::Never-Include-Phased-Updates=true".to_owned()),
    }
    if settings.phase_policy {
        options.push("APT::Get::Phase-Policy=true".to_owned());
    }
    if settings.ignore_hold {
        options.push("APT::Ignore-Hold=true".to_owned());
    }
    options
}

/// Reads `Inst name [old] (new origin [arch])` and `Remv name [old]`; an `Inst` without `[old]` is a new package.
fn parse(text: &str, native: &str) -> Run {
    let mut run = Run::default();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (Some(verb), Some(name)) = (words.next(), words.next()) else {
            continue;
        };
        let rest = words.next().unwrap_or_default();
        let (name, architecture) = name.split_once(':').unwrap_or((name, native));
        let name = (name.to_owned(), architecture.to_owned());
        match verb {
            "Inst" if rest.starts_with('[') => run.upgraded.insert(name),
            "Inst" => run.new.insert(name),
            "Remv" => run.removed.insert(name),
            _ => continue,
        };
    }
    run
}

/// What the two runs say of an installed package that could have another version. Which of the new packages it needs
/// apt does not say, so all that `dist-upgrade` would install besides are named.
pub fn said(simulated: &Simulated, package: &InstalledPackage, native: &str) -> overlay::Simulated {
    let architecture = if &*package.architecture == "all" {
        native
    } else {
        &package.architecture
    };
    let name = (package.name.to_string(), architecture.to_owned());
    let all = &simulated.dist_upgrade;
    let names = |set: &BTreeSet<Name>| set.iter().map(|(name, _)| name.clone()).collect();
    if simulated.upgrade.upgraded.contains(&name) {
        overlay::Simulated::Upgraded
    } else if !all.upgraded.contains(&name) {
        overlay::Simulated::KeptBack(KeptBackReason::Unsatisfied)
    } else if all.removed.is_empty() {
        overlay::Simulated::KeptBack(KeptBackReason::NeedsNewPackages(names(&all.new)))
    } else {
        overlay::Simulated::KeptBack(KeptBackReason::NeedsRemovals(names(&all.removed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_get_output_is_read_as_it_is_printed() {
        let text = "NOTE: This is only a simulation!\n\
            Inst libc6 [2.36-9] (2.36-10 Debian:12.5/stable [amd64]) [libc6:i386 on libc6:amd64]\n\
            Inst libc6:i386 [2.36-9] (2.36-10 Debian:12.5/stable [i386])\n\
            Inst linux-image-6.1.0-20-amd64 (6.1.85-1 Debian-Security:12/stable-security [amd64])\n\
            Remv old-thing [1.0]\nConf libc6 (2.36-10 Debian:12.5/stable [amd64])\n";
        let run = parse(text, "amd64");
        let name = |name: &str, architecture: &str| (name.to_owned(), architecture.to_owned());
        assert_eq!(
            run.upgraded,
            [name("libc6", "amd64"), name("libc6", "i386")].into()
        );
        assert_eq!(run.new, [name("linux-image-6.1.0-20-amd64", "amd64")].into());
        assert_eq!(run.removed, [name("old-thing", "amd64")].into());
    }
}
