//! What whole-system tests run on: real package lists, freshly built Debian roots, and hosts booted from them. What is
//! dear to make is kept in a cache outside the checkout (`$XDG_CACHE_HOME/patchyard-tests`). Addresses come from this
//! machine's own configured sources; none is written here.

pub mod booted;
pub mod calendar;
mod ground;
pub mod network;
mod package;
pub mod proxy;

pub use ground::{Island, Lab};
pub use package::agent_package;

use crate::apt::Apt;
use crate::host::HostTree;
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

/// Roots and lists older than this are made again.
const FRESH: Duration = Duration::from_secs(7 * 24 * 3600);
/// The keys of Debian's archives, from the package debian-archive-keyring.
pub const DEBIAN_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Installed into a root beside the packages that `--variant=apt` brings.
const INCLUDED: &str = "systemd-sysv,dbus,udev,openssh-server,openssl,curl,nginx,python3,perl,git";

/// What the lab lacks here.
#[derive(Debug, thiserror::Error)]
pub enum LabMissing {
    /// Building and entering roots is for root.
    #[error("building and entering Debian roots needs root")]
    NotRoot,
    /// A program is not installed.
    #[error("{package} is not installed")]
    Tool {
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// This machine fetches no Debian packages itself.
    #[error("this machine's apt has no Debian {what} source")]
    NoSource {
        /// `release` or `security`.
        what: &'static str,
    },
    /// It was tried, and did not work: no network, for example.
    #[error("could not make {what}")]
    Failed {
        /// What was to be made.
        what: String,
        /// Why not.
        #[source]
        why: anyhow::Error,
    },
}

/// Addresses of Debian's archives as this machine is configured to use them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Release and -updates suites.
    pub release: String,
    /// -security suites.
    pub security: String,
}

/// How a root or tree is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suites {
    /// The release suite.
    Release,
    /// Release, -updates and -security.
    WithUpdates,
    /// The same, but foreign architectures from the release suite alone: mirrors were seen whose foreign indexes of
    /// the other suites were not those that the Release file names.
    ForeignInReleaseOnly,
}

/// The folder that keeps what is dear to make.
pub fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(".cache");
    base.unwrap_or_else(home).join("patchyard-tests")
}

/// The addresses that this machine's apt uses for Debian.
pub fn addresses() -> Result<Addresses, LabMissing> {
    let format = [
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE)",
        "Created-By: Packages",
    ];
    let done = Command::new("apt-get").args(format).env("LC_ALL", "C").output();
    let done = done.map_err(|_| LabMissing::Tool { package: "apt" })?;
    let text = String::from_utf8_lossy(&done.stdout);
    let find = |what: &'static str, holds: &dyn Fn(&str) -> bool| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(uri, suite)| uri.contains("debian") && holds(suite));
        found
            .map(|(uri, _)| uri.to_owned())
            .ok_or(LabMissing::NoSource { what })
    };
    Ok(Addresses {
        release: find("release", &|suite| !suite.contains(['-', '/']))?,
        security: find("security", &|suite| suite.ends_with("-security"))?,
    })
}

/// Sources of a Debian suite at those addresses, in the deb822 form.
pub fn stanzas(addresses: &Addresses, suite: &str, suites: Suites) -> String {
    let Addresses { release, security } = addresses;
    let common = format!("Components: main\nSigned-By: {DEBIAN_KEYS}\n");
    let stanza = |uri: &str, suite: &str, more: &str| {
        format!("Types: deb\nURIs: {uri}\nSuites: {suite}\n{more}{common}\n")
    };
    match suites {
        Suites::Release => stanza(release, suite, ""),
        Suites::WithUpdates => {
            stanza(release, &format!("{suite} {suite}-updates"), "")
                + &stanza(security, &format!("{suite}-security"), "")
        }
        Suites::ForeignInReleaseOnly => {
            let native = "Architectures: amd64\n";
            let updates = stanza(release, &format!("{suite}-updates"), native);
            stanza(release, suite, "") + &updates + &stanza(security, &format!("{suite}-security"), native)
        }
    }
}

/// An amd64 host tree without packages, with those foreign architectures, Debian's keys, the sources of that suite
/// (release, -updates, -security) and this machine's settings for archive access.
pub fn debian_tree(suite: &str, foreign: &[&str]) -> Result<HostTree, LabMissing> {
    let keys = fs::read(DEBIAN_KEYS).map_err(|_| LabMissing::Tool {
        package: "debian-archive-keyring",
    })?;
    let version = match suite {
        "bullseye" => "11",
        "bookworm" => "12",
        _ => "13",
    };
    let suites = if foreign.is_empty() {
        Suites::WithUpdates
    } else {
        Suites::ForeignInReleaseOnly
    };
    let tree = foreign
        .iter()
        .fold(HostTree::new(), |tree, name| tree.foreign(name));
    Ok(tree
        .os("debian", version, suite)
        .key(DEBIAN_KEYS, &keys)
        .apt_conf("90machine", &machine_settings())
        .stanza("debian", &stanzas(&addresses()?, suite, suites)))
}

/// The folder of real package lists of a suite, its -updates and its -security, as apt fetches them for amd64 (and
/// the foreign architectures named): a file tree by [`debian_tree`] whose `var/lib/apt/lists` is filled.
pub fn lists(suite: &str, foreign: &[&str]) -> Result<PathBuf, LabMissing> {
    let name = [&[suite], foreign].concat().join("-");
    let tree = debian_tree(suite, foreign)?;
    made_once(
        &cache().join("lists").join(&name),
        &format!("the package lists of {name}"),
        |path| {
            tree.write_to(path)?;
            Apt::over(path)?.update()
        },
    )
}

/// A freshly built Debian root of the release suite, with -updates and -security configured and fetched afterwards by
/// its own apt. Shared by tests: never change it, use a [`copy`].
pub fn root(suite: &str) -> Result<PathBuf, LabMissing> {
    if !rustix::process::geteuid().is_root() {
        return Err(LabMissing::NotRoot);
    }
    if Command::new("mmdebstrap").arg("--version").output().is_err() {
        return Err(LabMissing::Tool {
            package: "mmdebstrap",
        });
    }
    let addresses = addresses()?;
    made_once(
        &cache().join("roots").join(suite),
        &format!("a root of {suite}"),
        |path| build_root(suite, &addresses, path),
    )
}

/// A copy of a root that a test may change, in a new folder of the cache that ends with it.
pub fn copy(root: &Path) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("copy-")
        .tempdir_in(cache())
        .context("could not make a folder")?;
    let done = Command::new("cp")
        .args(["-a", "--reflink=auto", "-T"])
        .arg(root)
        .arg(folder.path())
        .output();
    let done = done.context("could not run cp")?;
    if !done.status.success() {
        bail!(
            "could not copy {}: {}",
            root.display(),
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(folder)
}

/// Makes `path` once in a while: in a folder beside it that is renamed when complete. Concurrent tests wait.
fn made_once(
    path: &Path,
    what: &str,
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> Result<PathBuf, LabMissing> {
    let failed = |why: anyhow::Error| LabMissing::Failed {
        what: what.to_owned(),
        why,
    };
    let folder = path
        .parent()
        .expect("what is cached stands in a folder of the cache");
    fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
    let lock = fs::File::create(path.with_extension("lock")).map_err(|error| failed(error.into()))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|error| failed(error.into()))?;
    if is_fresh(path) {
        return Ok(path.to_owned());
    }
    let unfinished = path.with_extension("unfinished");
    for old in [&unfinished, &path.to_owned()] {
        if old.exists() {
            fs::remove_dir_all(old).map_err(|error| failed(error.into()))?;
        }
    }
    make(&unfinished).map_err(failed)?;
    // Its time is what freshness is counted from; tar and mkdir may have set another.
    let stamp = fs::write(unfinished.join(".made"), "").and_then(|()| fs::rename(&unfinished, path));
    stamp.map_err(|error| failed(error.into()))?;
    Ok(path.to_owned())
}

fn is_fresh(path: &Path) -> bool {
    let made = fs::metadata(path.join(".made")).and_then(|facts| facts.modified());
    // A stamp from the future is as good as old: the clock was changed.
    made.is_ok_and(|made| {
        SystemTime::now()
            .duration_since(made)
            .is_ok_and(|age| age < FRESH)
    })
}

fn build_root(suite: &str, addresses: &Addresses, path: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--quiet", "--mode=root", "--variant=apt"])
        .arg(format!("--include={INCLUDED}"));
    command.arg(format!("--keyring={DEBIAN_KEYS}"));
    for line in machine_settings().lines() {
        command.arg(format!("--aptopt={line}"));
    }
    command.arg(suite).arg(path);
    command.arg(format!(
        "deb [signed-by={DEBIAN_KEYS}] {} {suite} main",
        addresses.release
    ));
    let done = command.output().context("could not run mmdebstrap")?;
    if !done.status.success() {
        bail!(
            "mmdebstrap failed: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    fs::write(path.join("etc/apt/sources.list"), "").context("could not empty sources.list")?;
    let keyring = path.join(DEBIAN_KEYS.trim_start_matches('/'));
    if !keyring.exists() {
        fs::copy(DEBIAN_KEYS, &keyring).context("could not copy Debian's keys")?;
    }
    let sources = path.join("etc/apt/sources.list.d/debian.sources");
    fs::write(sources, stanzas(addresses, suite, Suites::WithUpdates)).context("could not write sources")?;
    fs::copy("/etc/resolv.conf", path.join("etc/resolv.conf")).context("could not copy resolv.conf")?;
    fs::write(path.join("etc/machine-id"), "0f1e2d3c4b5a69788796a5b4c3d2e1f0\n")
        .context("could not write machine-id")?;
    fs::write(path.join("etc/hostname"), format!("{suite}1\n")).context("could not write hostname")?;
    Apt::inside(path).update()
}

/// This machine's apt settings that decide whether an archive can be used at all: proxies, and clock checks where its
/// administrator switched them off.
fn machine_settings() -> String {
    let names = [
        "Acquire::Check-Valid-Until",
        "Acquire::Check-Date",
        "Acquire::http::Proxy",
        "Acquire::https::Proxy",
    ];
    let mut settings = String::new();
    for name in names {
        let done = Command::new("apt-config").args(["shell", "VALUE", name]).output();
        let text = done
            .map(|done| String::from_utf8_lossy(&done.stdout).into_owned())
            .unwrap_or_default();
        if let Some(value) = text
            .trim()
            .strip_prefix("VALUE='")
            .and_then(|rest| rest.strip_suffix('\''))
        {
            settings.push_str(&format!("{name} \"{value}\";\n"));
        }
    }
    settings
}
