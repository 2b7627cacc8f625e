//! Everything that a host says about itself besides its packages and sources, gathered: what stays the same until
//! somebody changes something (facts), and what changes by itself (measures). Read from files, `/proc` and the kernel's
//! own tables; nothing is run, nothing is asked of a service, and each part that cannot be seen says so.

mod hardware;
mod kernels;
mod measures;
mod netlink;
mod network;
mod proc;
mod sockets;
mod updaters;
mod virtualisation;

use crate::apt_conf::AptConf;
use crate::effects::reboot;
use crate::host::Host;
use crate::tree::Tree;
use crate::{attribution, facts};
use domain::host::facts::{HostFacts, Known, PackageDatabase, PendingRestart, RebootReason};
use domain::host::inventory::Inventory;
use domain::host::kernel::{self, Kernels};
use domain::host::network::{Neighbours, neighbours_are_due};
use domain::host::updater::UpdaterEffect;
pub use measures::measures;
pub use virtualisation::virtualisation;

/// Why most of a file tree's facts are unknown.
const NOT_RUNNING: &str = "this is a file tree, not a running system";

/// What is handed to a look at a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The time, in microseconds since 1970, UTC.
    pub now_micros: i64,
    /// What was last seen of neighbours; repeated while it is young, so that facts do not change by themselves.
    pub neighbours: Option<Neighbours>,
}

/// All facts of a host with dpkg.
pub fn facts(host: &Host, look: &Look) -> HostFacts {
    let dpkg = Packages {
        database: PackageDatabase::Dpkg,
        inventory: &host.inventory,
        host: Some(host),
    };
    gather(&host.tree, host.facts.clone(), &dpkg, look)
}

/// All facts of a system whose packages cannot be read (an rpm system, a broken dpkg): `why` is the reason.
pub fn facts_without_packages(tree: &Tree, why: &str, look: &Look) -> HostFacts {
    let none = Inventory::default();
    let packages = Packages {
        database: database(tree, why),
        inventory: &none,
        host: None,
    };
    gather(tree, facts::read(tree, &AptConf::default()), &packages, look)
}

/// What is known of a host's packages.
struct Packages<'host> {
    database: PackageDatabase,
    inventory: &'host Inventory,
    host: Option<&'host Host>,
}

fn gather(
    tree: &Tree,
    system: domain::host::facts::Facts,
    packages: &Packages<'_>,
    look: &Look,
) -> HostFacts {
    let virtualisation = virtualisation(tree);
    let kernels = kernels::read(tree, &virtualisation, packages.inventory);
    let sockets = sockets::read(tree);
    let running = proc::read(tree, &sockets);
    let links = network::Links::read(tree);
    let mut updaters = packages.host.map(updaters::own).unwrap_or_default();
    let tools = updaters::tool_packages(packages.inventory);
    let history = attribution::read(tree, &tools);
    updaters.extend(updaters::configuring(&tools, &history));
    updaters.extend(updaters::dnf_automatic(tree));
    updaters.sort();
    HostFacts {
        packages: packages.database.clone(),
        hardware: hardware::read(tree, &virtualisation),
        restart: restart(tree, &running, &kernels),
        interfaces: links.interfaces(),
        neighbours: neighbours(&links, look),
        listening: sockets.map_known(|sockets| sockets::owned(sockets, &running)),
        system,
        virtualisation,
        kernels,
        updaters,
        history,
    }
}

/// What still runs replaced files, and why the host would have to be rebooted: the part of [`facts`] that is looked at after an
/// installation, by itself.
pub fn pending_restart(tree: &Tree, inventory: &Inventory) -> Known<PendingRestart> {
    let kernels = kernels::read(tree, &virtualisation(tree), inventory);
    let nobody = Known::unknown("sockets were not asked for");
    restart(tree, &proc::read(tree, &nobody), &kernels)
}

fn restart(tree: &Tree, running: &Known<proc::Running>, kernels: &Kernels) -> Known<PendingRestart> {
    let running = match running {
        Known::Known(running) => running,
        Known::Unknown { why } => return Known::unknown(why),
    };
    let mut reasons: Vec<RebootReason> = match reboot::pending(tree) {
        Some(packages) if packages.is_empty() => vec![RebootReason::Asked],
        Some(packages) => packages.into_iter().map(RebootReason::Package).collect(),
        None => Vec::new(),
    };
    let next = kernels
        .running
        .as_ref()
        .and_then(|running| Some((running, kernel::successor(running, &kernels.installed)?)));
    reasons.extend(next.map(|(running, next)| RebootReason::Kernel {
        running: running.release.clone(),
        installed: format!("{} {}", next.release, next.version),
    }));
    reasons.sort();
    Known::Known(PendingRestart {
        services: running.stale_services.iter().cloned().collect(),
        programs: running.stale_programs.iter().cloned().collect(),
        sight: running.sight,
        reboot: reasons,
    })
}

fn neighbours(links: &network::Links, look: &Look) -> Known<Neighbours> {
    match &look.neighbours {
        Some(seen) if !neighbours_are_due(seen.seen_at_micros, look.now_micros) => Known::Known(seen.clone()),
        _ => links.neighbours(look.now_micros),
    }
}

/// Whose database the packages are in, where it is not dpkg's.
fn database(tree: &Tree, why: &str) -> PackageDatabase {
    let folders = ["/var/lib/rpm", "/usr/lib/sysimage/rpm"];
    let is_rpm = folders
        .iter()
        .any(|path| matches!(tree.kind(path), Ok(Some(crate::tree::Kind::Folder))));
    if is_rpm && !matches!(tree.kind("/var/lib/dpkg/status"), Ok(Some(_))) {
        return PackageDatabase::Rpm {
            why: "packages of rpm systems are not read yet: their database has a format of its own"
                .to_owned(),
        };
    }
    PackageDatabase::Unknown { why: why.to_owned() }
}

/// Whether an updater was switched on that installs by itself.
fn effect(updater: &crate::updaters::Updater) -> UpdaterEffect {
    match updater.installs() {
        true => UpdaterEffect::Installs,
        false => UpdaterEffect::InstallsNothing,
    }
}

/// A part of the running system that can be looked at, made into another.
trait MapKnown<T> {
    fn map_known<U>(self, map: impl FnOnce(T) -> U) -> Known<U>;
}

impl<T> MapKnown<T> for Known<T> {
    fn map_known<U>(self, map: impl FnOnce(T) -> U) -> Known<U> {
        match self {
            Known::Known(value) => Known::Known(map(value)),
            Known::Unknown { why } => Known::Unknown { why },
        }
    }
}
