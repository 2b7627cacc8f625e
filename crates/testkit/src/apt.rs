//! apt as the oracle: this machine's apt in a private world over a host's file tree, or a chroot's own apt. What it
//! prints is read in [`output`]; that nobody here wrote apt is the point.

pub mod output;

pub use output::{Pending, Simulated};

use anyhow::{Context, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// apt over one file tree.
#[derive(Debug)]
pub struct Apt {
    root: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// This machine's programs, with a folder for their caches and a copy of the tree's settings.
    World {
        folder: tempfile::TempDir,
        cache: PathBuf,
    },
    /// The tree's own programs, by chroot(1).
    Chroot,
}

/// What to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// `apt-get -s upgrade`: nothing new, nothing removed.
    Plain,
    /// `apt-get -s dist-upgrade`.
    Dist,
}

impl Apt {
    /// This machine's apt over the tree at `root`, as if that were the system: its sources, preferences, apt.conf,
    /// status, lists, architectures and machine-id. Keys named by path are those inside the tree.
    pub fn over(root: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("could not make a folder for apt's private world")?;
        let cache = folder.path().join("cache");
        Self::in_folder(root, folder, cache)
    }

    /// The same with apt's caches in a folder that may be shared by trees with the same lists.
    pub fn over_with_cache(root: &Path, cache: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("could not make a folder for apt's private world")?;
        Self::in_folder(root, folder, cache.to_owned())
    }

    /// The tree's own apt, run by chroot(1); needs root.
    pub fn inside(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            place: Place::Chroot,
        }
    }

    /// The version of this machine's apt, as its package has it. A host's own apt decides, and rules differ between
    /// versions: a tree that is compared with this machine's apt has this version of the package `apt` installed.
    pub fn version() -> anyhow::Result<String> {
        let done = Command::new("dpkg-query")
            .args(["--show", "--showformat=${Version}", "apt"])
            .output();
        let done = done.context("could not run dpkg-query")?;
        let version =
            String::from_utf8(done.stdout).context("dpkg-query printed something that is not UTF-8")?;
        if version.is_empty() {
            bail!("this machine has no package apt");
        }
        Ok(version)
    }

    fn in_folder(root: &Path, folder: tempfile::TempDir, cache: PathBuf) -> anyhow::Result<Self> {
        let root = root
            .canonicalize()
            .with_context(|| format!("there is no tree at {}", root.display()))?;
        std::fs::create_dir_all(cache.join("archives/partial"))
            .context("could not make apt's cache folder")?;
        let etc = folder.path().join("etc/apt");
        copy_settings(&root.join("etc/apt"), &etc, &root)?;
        std::fs::write(
            folder.path().join("apt.conf"),
            configuration(&root, &etc, &cache)?,
        )
        .context("could not write apt's settings")?;
        Ok(Self {
            root,
            place: Place::World { folder, cache },
        })
    }

    /// Fetches the tree's package lists as its sources say.
    pub fn update(&self) -> anyhow::Result<()> {
        self.run("apt-get", &["update", "-q", "-o", "APT::Update::Error-Mode=any"])
            .map(drop)
    }

    /// What `apt list --upgradable` says.
    pub fn upgradable(&self) -> anyhow::Result<BTreeSet<Pending>> {
        let format = format!("APT::Cmd::format={}", output::LIST_FORMAT);
        let text = self.run(
            "apt",
            &[
                "list",
                "--upgradable",
                "-o",
                "APT::Cmd::use-format=true",
                "-o",
                &format,
            ],
        )?;
        output::parse_list(&text)
    }

    /// Installed packages that no list names in any version (apt's `?obsolete`): name and architecture.
    pub fn obsolete(&self) -> anyhow::Result<BTreeSet<(String, String)>> {
        let format = format!("APT::Cmd::format={}", output::LIST_FORMAT);
        let text = self.run(
            "apt",
            &[
                "list",
                "?obsolete",
                "-o",
                "APT::Cmd::use-format=true",
                "-o",
                &format,
            ],
        )?;
        Ok(output::parse_list(&text)?
            .into_iter()
            .map(|package| (package.name, package.architecture))
            .collect())
    }

    /// What an upgrade would do, without doing it.
    pub fn simulate(&self, upgrade: Upgrade) -> anyhow::Result<Simulated> {
        let command = match upgrade {
            Upgrade::Plain => "upgrade",
            Upgrade::Dist => "dist-upgrade",
        };
        output::parse_simulation(&self.run("apt-get", &["-q", "-s", command])?)
    }

    /// Standard output of one of apt's programs, in the C locale; what it said, if it failed.
    pub fn run(&self, program: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = match &self.place {
            Place::World { folder, .. } => {
                let mut command = Command::new(program);
                command.env("APT_CONFIG", folder.path().join("apt.conf"));
                command
            }
            Place::Chroot => {
                let mut command = Command::new("chroot");
                command
                    .arg(&self.root)
                    .arg(program)
                    .env_remove("APT_CONFIG")
                    .env_remove("TMPDIR");
                command
            }
        };
        let done = command
            .args(arguments)
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .with_context(|| format!("could not run {program}"))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            bail!(
                "{program} {} failed ({}): {}",
                arguments.join(" "),
                done.status,
                said.trim()
            );
        }
        String::from_utf8(done.stdout)
            .with_context(|| format!("{program} printed something that is not UTF-8"))
    }

    /// Where its caches are; nothing for a chroot, which has its own.
    pub fn cache(&self) -> Option<&Path> {
        match &self.place {
            Place::World { cache, .. } => Some(cache),
            Place::Chroot => None,
        }
    }

    /// The settings file of its private world (environment variable `APT_CONFIG`); nothing for a chroot.
    pub fn settings_file(&self) -> Option<PathBuf> {
        match &self.place {
            Place::World { folder, .. } => Some(folder.path().join("apt.conf")),
            Place::Chroot => None,
        }
    }
}

/// apt.conf(5) of a private world, which is the system that its tree stands for and no chroot. `Dir::Etc` is a copy because key paths in sources have to point into the tree.
fn configuration(root: &Path, etc: &Path, cache: &Path) -> anyhow::Result<String> {
    let (root, etc, cache) = (root.display(), etc.display(), cache.display());
    let mut text = format!(
        "Dir \"{root}/\";\nDir::Etc \"{etc}/\";\nDir::Etc::machine-id \"{root}/etc/machine-id\";\nDir::State \
         \"{root}/var/lib/apt/\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\nDir::Cache \"{cache}/\";\n\
         Dir::Log \"{cache}/log/\";\nDir::Bin::ischroot \"/bin/false\";\nDir::Bin::dpkg \"/usr/bin/dpkg\";\nDir::Bin::Methods \"/usr/lib/apt/methods/\";\n\
         APT::Sandbox::User \"\";\nAcquire::Languages \"none\";\nAPT::Get::List-Cleanup \"false\";\nDebug::NoLocking \"true\";\n"
    );
    let architectures = std::fs::read_to_string(Path::new(&root.to_string()).join("var/lib/dpkg/arch"));
    let architectures = architectures.unwrap_or_else(|_| "amd64\n".to_owned());
    let native = architectures
        .split_whitespace()
        .next()
        .context("the tree's var/lib/dpkg/arch is empty")?;
    text.push_str(&format!(
        "APT::Architecture \"{native}\";\n#clear APT::Architectures;\nAPT::Architectures {{ "
    ));
    for name in architectures.split_whitespace() {
        text.push_str(&format!("\"{name}\"; "));
    }
    text.push_str("};\n");
    Ok(text)
}

/// Copies /etc/apt, with absolute key paths of sources pointing into the tree.
fn copy_settings(from: &Path, to: &Path, root: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
    let Ok(entries) = std::fs::read_dir(from) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry.with_context(|| format!("could not list {}", from.display()))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_settings(&path, &target, root)?;
            continue;
        }
        let bytes = std::fs::read(&path).with_context(|| format!("could not read {}", path.display()))?;
        let is_source = path
            .extension()
            .is_some_and(|extension| extension == "sources" || extension == "list");
        let bytes = match String::from_utf8(bytes) {
            Ok(text) if is_source => with_keys_inside(&text, root).into_bytes(),
            Ok(text) => text.into_bytes(),
            Err(error) => error.into_bytes(),
        };
        std::fs::write(&target, bytes).with_context(|| format!("could not write {}", target.display()))?;
    }
    Ok(())
}

fn with_keys_inside(text: &str, root: &Path) -> String {
    let root = root.display();
    let mut changed = String::new();
    for line in text.lines() {
        let line = line.replace("signed-by=/", &format!("signed-by={root}/"));
        let is_key = line
            .get(..10)
            .is_some_and(|start| start.eq_ignore_ascii_case("signed-by:"));
        let line = if is_key {
            line.replacen(" /", &format!(" {root}/"), 1)
        } else {
            line
        };
        changed.push_str(&line);
        changed.push('\n');
    }
    changed
}
