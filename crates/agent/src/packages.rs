//! apt on this host: exactly what was ordered, or nothing. A private [`World`] is built from files whose digests were verified, apt
//! itself verifies their signatures in it and simulates; what it would do is held against the order, and once more by the
//! [`hook`] that apt asks before dpkg starts. Nothing here reaches the network. How a transaction is started, survives and
//! ends is in [`crate::run`]; whether one may begin is decided by the executor.

pub mod busy;
pub mod effect;
mod failure;
pub mod hook;
mod marks;
mod publisher;
mod repair;
mod settings;
mod simulation;
mod stanza;
pub(crate) mod tool;
mod world;

pub use crate::run::{Begun, End, Left, Outcome, Start, is_running, last_line, outcome, output, start};
pub use simulation::Simulated;
pub use world::{World, WorldPlaces};

pub(crate) use failure::{classify, sentence};
pub(crate) use marks::Marks;
pub(crate) use repair::repair;
pub(crate) use simulation::install_words;

use crate::dpkg_status;
use crate::tree::Tree;
use domain::host::inventory::{InstalledPackage, Inventory, PackageState, ReinstallRequired};
use domain::order::Order;
use domain::order::transaction::{Allowed, PackageName};
use domain::rollout::deployment::Failure;
use std::collections::BTreeSet;
use std::path::Path;

/// What dpkg knows of packages.
const STATUS: &str = "/var/lib/dpkg/status";

/// Why an order cannot be carried out: a kind for rules, and a sentence for people. Text of apt, dpkg and packages' scripts may
/// be in it, without anything that steers a terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Trouble {
    /// The kind.
    pub kind: Failure,
    /// The sentence, of at most [`DETAIL_CHARS`] characters.
    pub detail: String,
}

/// The longest sentence of a [`Trouble`], in characters: within what a report may say in bytes, whatever they are.
pub const DETAIL_CHARS: usize = 255;

impl Trouble {
    /// This kind, with this sentence; what in it could steer a terminal is made harmless.
    pub fn new(kind: Failure, detail: &str) -> Self {
        Self {
            kind,
            detail: crate::shown::harmless(detail, DETAIL_CHARS - 1),
        }
    }

    /// The host's own files cannot be read or written: `attempt` says which, such as "make the folder X".
    pub(crate) fn io(attempt: &str, error: &std::io::Error) -> Self {
        let is_full = matches!(
            error.kind(),
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
        );
        let kind = if is_full {
            Failure::DiskFull
        } else {
            Failure::PackageManager
        };
        Self::new(kind, &format!("cannot {attempt}: {error}"))
    }
}

/// What dpkg has.
#[derive(Debug)]
pub(crate) struct Installed(Inventory);

impl Installed {
    /// Reads dpkg's status of the running system.
    pub(crate) fn read() -> Result<Self, Trouble> {
        let unreadable = |error: &dyn std::error::Error| {
            let why = crate::problem::chain(error);
            Trouble::new(
                Failure::PackageManager,
                &format!("cannot read what is installed: {why}"),
            )
        };
        let tree = Tree::open(Path::new("/")).map_err(|error| unreadable(&error))?;
        let (inventory, _) = dpkg_status::read(&tree, STATUS).map_err(|error| unreadable(&error))?;
        Ok(Self(inventory))
    }

    /// What dpkg has of a package, and whether it is whole.
    pub(crate) fn state(&self, name: &str, architecture: &str) -> Option<(&str, Whole)> {
        let packages = &self.0.packages;
        let key = |package: &InstalledPackage| (package.name.clone(), package.architecture.clone());
        let found = packages.binary_search_by_key(&(name.into(), architecture.into()), key);
        let package = &packages[found.ok()?];
        let is_whole =
            package.state == PackageState::Installed && package.reinstall_required == ReinstallRequired::No;
        Some((&package.version, if is_whole { Whole::Yes } else { Whole::No }))
    }

    /// dpkg's own architecture: that of the package that brings it.
    pub(crate) fn native_architecture(&self) -> String {
        let dpkg = self.0.packages.iter().find(|package| &*package.name == "dpkg");
        dpkg.map_or_else(String::new, |dpkg| dpkg.architecture.to_string())
    }

    /// The architecture of an installed package in this version; none if there are two, or there is none.
    pub(crate) fn architecture_of(&self, name: &str, version: &str) -> Option<&str> {
        let start = self.0.packages.partition_point(|package| *package.name < *name);
        let namesakes = self.0.packages[start..].iter();
        let mut found = namesakes
            .take_while(|package| *package.name == *name)
            .filter(|package| *package.version == *version);
        let one = found.next()?;
        found.next().is_none().then_some(&*one.architecture)
    }

    /// All that dpkg left in between, as `name:architecture (state)`.
    pub(crate) fn halves(&self) -> Vec<String> {
        let halves = self.0.packages.iter().filter_map(|package| {
            let word = match package.state {
                PackageState::Installed if package.reinstall_required == ReinstallRequired::No => {
                    return None;
                }
                PackageState::Installed => "to be installed again",
                PackageState::HalfInstalled => "half installed",
                PackageState::Unpacked => "unpacked, not configured",
                PackageState::HalfConfigured => "half configured",
                PackageState::TriggersAwaited | PackageState::TriggersPending => "waits for triggers",
            };
            Some(format!("{}:{} ({word})", package.name, package.architecture))
        });
        halves.collect()
    }

    /// What of an order is already so: such a package needs no line of apt's, and may have none.
    pub(crate) fn in_place(&self, order: &Order) -> BTreeSet<PackageName> {
        let is_there = |name: &str, architecture: &str, version: &str| {
            self.state(name, architecture) == Some((version, Whole::Yes))
        };
        let there = (order.packages.iter())
            .filter(|package| is_there(&package.name, &package.architecture, &package.version))
            .map(domain::order::OrderedPackage::package);
        let gone = (order.removals.iter())
            .filter(|removal| self.state(&removal.name, &removal.architecture).is_none())
            .map(|removal| PackageName::new(&removal.name, &removal.architecture));
        there.chain(gone).collect()
    }
}

/// Whether a package is unpacked and configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    /// It is.
    Yes,
    /// Something in between.
    No,
}

/// What a transaction of this order is held against.
pub(crate) fn allowed<'a>(order: &'a Order, in_place: &'a BTreeSet<PackageName>) -> Allowed<'a> {
    Allowed {
        packages: &order.packages,
        removals: &order.removals,
        in_place,
    }
}
