//! What installing updates would do besides replacing files: which services restart, and whether the host must be
//! rebooted. Seen from files and `/proc` alone, without root; what cannot be seen is said to be unknown.

mod info;
pub mod processes;
pub mod reboot;

use crate::facts::is_container;
use crate::tree::{Tree, join};
use domain::host::facts::Facts;
use info::Info;
use processes::{Processes, User, without_usr};
use reboot::{RebootNeed, Rule};
use std::collections::BTreeSet;

/// Folders of units that are enabled by links in them (systemd.unit(5)).
const ENABLED: &str = "/etc/systemd/system";

/// A package by its name and architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackageRef<'host> {
    /// Binary package name.
    pub name: &'host str,
    /// Its architecture.
    pub architecture: &'host str,
}

/// Whether running processes were looked at.
#[derive(Clone, Copy, Debug)]
pub enum ProcessView<'host> {
    /// They were not, or the tree is not the running system: services count if they are enabled.
    Unseen,
    /// They were: services count if they run.
    Seen(&'host Processes),
}

/// What replacing packages does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effects {
    /// What restarts.
    pub restarts: Restarts,
    /// Whether the host must be rebooted.
    pub reboot: RebootNeed,
}

/// What restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// systemd services without their suffix, sorted: `nginx`, `ssh`.
    pub services: Vec<String>,
    /// Names of running programs that use the updated files and belong to no service: they keep the old code until
    /// somebody restarts them. Sorted.
    pub programs: Vec<String>,
    /// Why there may be more.
    pub blind: Vec<Blind>,
}

/// Why services may be missing from [`Restarts`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blind {
    /// So many processes belong to others: only root sees what they use.
    Processes(usize),
    /// A package's list of files cannot be read.
    Files {
        /// The package.
        package: String,
        /// Why, in words.
        why: String,
    },
}

/// What of a host decides the effects of any update on it, looked at once.
#[derive(Debug)]
pub struct Surroundings<'host> {
    tree: &'host Tree,
    info: String,
    services: Services<'host>,
    reboot: Rule<'host>,
}

/// Which services would restart if their files were replaced.
#[derive(Debug)]
enum Services<'host> {
    Running(&'host Processes),
    Enabled(BTreeSet<String>),
}

impl<'host> Surroundings<'host> {
    /// Looks at the host in `tree`; `dpkg` is the folder of dpkg's status (`/var/lib/dpkg`) inside it.
    pub fn new(tree: &'host Tree, dpkg: &str, facts: &'host Facts, view: ProcessView<'host>) -> Self {
        Self {
            tree,
            info: join(dpkg, "info"),
            services: match view {
                ProcessView::Seen(processes) => Services::Running(processes),
                ProcessView::Unseen => Services::Enabled(enabled_services(tree)),
            },
            reboot: Rule {
                kernel_release: facts.kernel_release.as_deref(),
                is_container: tree.is_live() && is_container(tree),
            },
        }
    }

    /// What replacing `packages` does. A service restarts if one of them ships its unit, or if one of its processes has a
    /// file of theirs in use. Read are only the packages' own files in dpkg's folder.
    pub fn effects(&self, packages: &[PackageRef<'_>]) -> Effects {
        let mut restarting = Restarting::default();
        let mut asking = reboot::Asking::default();
        for package in packages {
            let info = Info::read(self.tree, &self.info, *package);
            match info.list() {
                Ok(list) => self.services.using(list, &mut restarting),
                Err(error) => restarting.blind.push(Blind::Files {
                    package: package.name.to_owned(),
                    why: crate::problem::chain(error),
                }),
            }
            asking.add(package.name, self.reboot.need(package.name, &info));
        }
        if let Services::Running(processes) = self.services
            && processes.unreadable() > 0
        {
            restarting.blind.push(Blind::Processes(processes.unreadable()));
        }
        Effects {
            restarts: Restarts {
                services: restarting.services.into_iter().collect(),
                programs: restarting.programs.into_iter().collect(),
                blind: restarting.blind,
            },
            reboot: asking.need(),
        }
    }
}

#[derive(Default)]
struct Restarting {
    services: BTreeSet<String>,
    programs: BTreeSet<String>,
    blind: Vec<Blind>,
}

impl Services<'_> {
    /// Adds what has to do with a file of this list.
    fn using(&self, list: &[u8], found: &mut Restarting) {
        let list = crate::words::readable(list);
        for path in list.split('\n').map(without_usr).filter(|path| may_run(path)) {
            match (unit_of(path), self) {
                (Some(unit), Self::Enabled(enabled)) if enabled.contains(unit) => {
                    found.services.insert(shown(unit));
                }
                (Some(unit), Self::Running(processes)) if processes.runs(unit) => {
                    found.services.insert(shown(unit));
                }
                (None, Self::Running(processes)) => {
                    for user in processes.users_of(path) {
                        match user {
                            User::Service(unit) => found.services.insert(shown(unit)),
                            User::Program(name) => found.programs.insert(name.clone()),
                        };
                    }
                }
                _ => {}
            }
        }
    }
}

/// Whether a process could have the file mapped, or systemd have it as a unit: not documentation, headers and other
/// data, which are most of a package's files. Java's archives are among the data that programs map. The path is
/// without its `/usr`.
fn may_run(path: &str) -> bool {
    let is_data = path.starts_with("/share/") && !path.starts_with("/share/java/");
    !is_data && !path.starts_with("/include/") && !path.starts_with("/src/")
}

/// The name of the service whose unit file a path is, without its `/usr`. Templates are none: their instances are found by what they use.
fn unit_of(path: &str) -> Option<&str> {
    let unit = path.strip_prefix("/lib/systemd/system/")?;
    let name = unit.strip_suffix(".service")?;
    (!unit.contains('/') && !name.ends_with('@')).then_some(unit)
}

/// Services that a target or an alias pulls in.
fn enabled_services(tree: &Tree) -> BTreeSet<String> {
    let mut enabled = BTreeSet::new();
    let is_service = |name: &str| name.ends_with(".service");
    for entry in tree.entries(ENABLED).unwrap_or_default() {
        if is_service(&entry.name) {
            enabled.insert(entry.name);
        } else if entry.name.ends_with(".wants") || entry.name.ends_with(".requires") {
            let wanted = tree.entries(&join(ENABLED, &entry.name)).unwrap_or_default();
            enabled.extend(
                wanted
                    .into_iter()
                    .map(|entry| entry.name)
                    .filter(|name| is_service(name)),
            );
        }
    }
    enabled
}

fn shown(unit: &str) -> String {
    crate::problem::printable(unit.strip_suffix(".service").unwrap_or(unit))
}
