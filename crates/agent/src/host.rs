//! Reads a whole host: facts, installed packages, sources, pins, settings and keys, all from one file tree.

use crate::apt_conf::AptConf;
use crate::apt_conf::read::ConfOptions;
use crate::keys::{HostKeys, SingleKeyring};
use crate::preferences::SourceVersionPins;
use crate::problem::Problem;
use crate::sources_list::Architectures;
use crate::tree::{OpenTreeError, Tree};
use crate::{apt_conf, dpkg_status, facts, preferences, sources_list};
use domain::assess::phasing::InChroot;
use domain::host::channels::{ChannelConfig, PhasedChoice, Settings};
use domain::host::facts::Facts;
use domain::host::inventory::Inventory;
use domain::version::deb;
use std::cmp::Ordering;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a host says about itself.
#[derive(Debug)]
pub struct Host {
    /// Who it is.
    pub facts: Facts,
    /// What is installed.
    pub inventory: Inventory,
    /// Where its packages come from.
    pub channel_config: ChannelConfig,
    /// The folder of apt's package lists (`Dir::State::lists`), as seen from outside the tree, links resolved
    /// inside it. It need not exist.
    pub lists: PathBuf,
    /// The folder of dpkg's status (`/var/lib/dpkg`), as seen from inside the tree.
    pub dpkg: String,
    /// The keys with which it trusts its sources.
    pub keys: HostKeys,
    /// All of its apt settings, for those that matter only when something is fetched (proxies, time limits).
    pub apt_conf: AptConf,
    /// The tree that it was read from.
    pub tree: Arc<Tree>,
    /// Whether apt on it would see itself in a chroot, where phasing does not count. A file tree is judged as the
    /// system that it is an image of.
    pub in_chroot: InChroot,
    /// What is wrong with its files.
    pub problems: Vec<Problem>,
}

/// How a host is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// apt's own environment and command line.
    pub conf: ConfOptions,
    /// Whether apt would take this for a reproducible build (`SOURCE_DATE_EPOCH`), in which phasing does not count.
    pub reproducible: Reproducible,
}

/// Whether `SOURCE_DATE_EPOCH` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reproducible {
    /// It is not.
    #[default]
    No,
    /// It is.
    Yes,
}

impl ReadOptions {
    /// What apt would find in an environment; `variable` looks a name up. Right for the running system; for
    /// another tree the default is, since the environment is not that host's.
    pub fn for_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let apt_config = variable("APT_CONFIG").filter(|path| !path.is_empty());
        let is_reproducible = variable("SOURCE_DATE_EPOCH").is_some();
        Self {
            conf: ConfOptions {
                apt_config,
                overrides: Vec::new(),
            },
            reproducible: if is_reproducible {
                Reproducible::Yes
            } else {
                Reproducible::No
            },
        }
    }
}

/// A host of which nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Its tree cannot be opened.
    #[error(transparent)]
    Tree(#[from] OpenTreeError),
    /// Its installed packages cannot be read.
    #[error(transparent)]
    Status(#[from] dpkg_status::StatusError),
    /// Nothing says what architecture it has.
    #[error(
        "cannot tell this host's architecture: neither APT::Architecture, nor an installed apt or dpkg, nor dpkg's \
         list of architectures says it; set it with APT::Architecture in the tree's apt.conf"
    )]
    NoArchitecture,
}

/// How long release files count, in seconds; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ValidTimes {
    /// `Acquire::Min-ValidTime`.
    pub min_seconds: i64,
    /// `Acquire::Max-ValidTime`.
    pub max_seconds: i64,
    /// `Acquire::Max-FutureTime`: how far ahead of the clock a release may be dated. apt's default is 10.
    pub max_future_seconds: i64,
}

/// Reads the host whose file tree has its root at `root`.
///
/// # Errors
/// Only what makes any answer impossible; all else is a [`Problem`] in [`Host::problems`].
pub fn read(root: &Path, options: ReadOptions) -> Result<Host, HostError> {
    let tree = Arc::new(Tree::open(root)?);
    let (apt_conf, mut problems) = apt_conf::read::read(&tree, &options.conf);
    let status = status_path(&apt_conf);
    let (inventory, more) = dpkg_status::read(&tree, &status)?;
    problems.extend(more);
    let architectures = architectures(&tree, &apt_conf, &status, &inventory)?;
    let (stanzas, more) = sources_list::read(&tree, &apt_conf, &architectures);
    problems.extend(more);
    let (pins, more) = preferences::read(&tree, &apt_conf, source_version_pins(&inventory));
    problems.extend(more);
    let (keys, more) = HostKeys::read(Arc::clone(&tree), &apt_conf, single_keyring(&inventory));
    problems.extend(more);
    let foreign = architectures
        .configured
        .iter()
        .filter(|name| **name != architectures.native);
    let channel_config = ChannelConfig {
        foreign_architectures: foreign.cloned().collect(),
        native_architecture: architectures.native,
        stanzas,
        pins,
        settings: settings(&apt_conf, options.reproducible),
    };
    Ok(Host {
        facts: facts::read(&tree, &apt_conf),
        inventory,
        channel_config,
        dpkg: status
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .to_owned(),
        lists: tree.outside(&apt_conf.folder("Dir::State::lists")),
        keys,
        apt_conf,
        in_chroot: in_chroot(&tree),
        tree,
        problems,
    })
}

impl Host {
    /// How long release files of a source with this Label count on this host (apt.conf(5), `Acquire`).
    pub fn valid_times(&self, label: Option<&str>) -> ValidTimes {
        let seconds = |setting: &str, default: i64| {
            let general = self.apt_conf.number(setting).unwrap_or(default);
            let own = label.filter(|label| !label.is_empty());
            own.and_then(|label| self.apt_conf.number(&format!("{setting}::{label}")))
                .unwrap_or(general)
        };
        ValidTimes {
            min_seconds: seconds("Acquire::Min-ValidTime", 0),
            max_seconds: seconds("Acquire::Max-ValidTime", 0),
            max_future_seconds: seconds("Acquire::Max-FutureTime", 10),
        }
    }
}

/// As ischroot(1) decides it: the first process has another root than this one. Only root may look; what cannot be
/// seen is taken for a system of its own, as an upgrade by root would find it.
fn in_chroot(tree: &Tree) -> InChroot {
    let root = |path| std::fs::metadata(path).map(|facts| (facts.dev(), facts.ino()));
    match (tree.is_live(), root("/proc/1/root"), root("/")) {
        (true, Ok(first), Ok(own)) if first != own => InChroot::Yes,
        _ => InChroot::No,
    }
}

/// `Dir::State::status`; where it is not set, `status` in a folder `dpkg` beside apt's state.
fn status_path(conf: &AptConf) -> String {
    if conf.text("Dir::State::status").is_some() {
        return conf.file("Dir::State::status");
    }
    let state = conf
        .text("Dir::State")
        .unwrap_or("var/lib/apt")
        .trim_end_matches('/');
    let folder = match state.strip_suffix("/apt").filter(|above| !above.is_empty()) {
        Some(above) => format!("{above}/dpkg"),
        None => "var/lib/dpkg".to_owned(),
    };
    let mut own = AptConf::default();
    let dir = conf.text("Dir").unwrap_or("/");
    for (name, value) in [
        ("Dir", dir),
        ("Dir::State", &folder),
        ("Dir::State::status", "status"),
    ] {
        own.set(name, value)
            .expect("three settings are neither too many nor too deep");
    }
    own.file("Dir::State::status")
}

/// apt's `getArchitectures`: the native one (which is apt's own), then what dpkg lists.
fn architectures(
    tree: &Tree,
    conf: &AptConf,
    status: &str,
    inventory: &Inventory,
) -> Result<Architectures, HostError> {
    let installed = |name: &str| {
        let packages = &inventory.packages;
        let package = packages
            .iter()
            .find(|package| &*package.name == name && &*package.architecture != "all");
        package.map(|package| package.architecture.to_string())
    };
    let native = conf.text("APT::Architecture").map(str::to_owned);
    let native = native
        .or_else(|| installed("apt"))
        .or_else(|| installed("dpkg"))
        .or_else(|| dpkg_status::first_architecture(tree, status))
        .or_else(|| only_architecture(inventory))
        .ok_or(HostError::NoArchitecture)?;
    let barbarian = conf.list("APT::BarbarianArchitectures");
    let mut configured = conf.list("APT::Architectures");
    if configured.is_empty() {
        configured = dpkg_status::foreign_architectures(tree, status, &native);
    }
    if !configured.contains(&native) {
        configured.insert(0, native.clone());
    }
    let mut seen = Vec::new();
    for name in configured {
        if !name.is_empty() && !barbarian.contains(&name) && !seen.contains(&name) {
            seen.push(name);
        }
    }
    Ok(Architectures {
        native,
        configured: seen,
        barbarian,
    })
}

/// The architecture of all packages that have one.
fn only_architecture(inventory: &Inventory) -> Option<String> {
    let mut architectures = inventory.packages.iter().map(|package| &*package.architecture);
    let first = architectures.find(|name| *name != "all")?;
    architectures
        .all(|name| name == first || name == "all")
        .then(|| first.to_owned())
}

/// How the host's apt compares with `version`; absent where none is installed.
fn apt_compared(inventory: &Inventory, version: &str) -> Option<Ordering> {
    let apt = inventory.packages.iter().find(|package| &*package.name == "apt");
    apt.map(|apt| deb::compare(&apt.version, version))
}

/// apt reads the keyring `trusted.gpg` by itself before its development series 2.9 only; a host without apt gets
/// the newer, stricter rule.
fn single_keyring(inventory: &Inventory) -> SingleKeyring {
    match apt_compared(inventory, "2.9") {
        Some(Ordering::Less) => SingleKeyring::Used,
        _ => SingleKeyring::Ignored,
    }
}

fn source_version_pins(inventory: &Inventory) -> SourceVersionPins {
    match apt_compared(inventory, "2.9.9") {
        Some(Ordering::Less) => SourceVersionPins::Unknown,
        _ => SourceVersionPins::Known,
    }
}

fn settings(conf: &AptConf, reproducible: Reproducible) -> Settings {
    let update_manager = |name: &str| {
        conf.truth(
            &format!("APT::Get::{name}"),
            conf.truth(&format!("Update-Manager::{name}"), false),
        )
    };
    let phased = if update_manager("Always-Include-Phased-Updates") {
        PhasedChoice::Always
    } else if update_manager("Never-Include-Phased-Updates") {
        PhasedChoice::Never
    } else if reproducible == Reproducible::Yes {
        PhasedChoice::Always
    } else {
        PhasedChoice::ByMachineId
    };
    Settings {
        default_release: conf.text("APT::Default-Release").map(str::to_owned),
        phased,
        phase_policy: conf.truth("APT::Get::Phase-Policy", false),
        ignore_hold: conf.truth("APT::Ignore-Hold", false),
        check_valid_until: conf.truth("Acquire::Check-Valid-Until", true),
        check_date: conf.truth("Acquire::Check-Date", true),
        max_valid_seconds: conf.number("Acquire::Max-ValidTime").unwrap_or(0),
        min_valid_seconds: conf.number("Acquire::Min-ValidTime").unwrap_or(0),
    }
}
