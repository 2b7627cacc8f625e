//! What installing updates would do besides replacing files: which services restart, and whether the host must be
//! rebooted. Seen from files and `/proc` alone, without root; what cannot be seen is said to be unknown.

pub mod processes;
pub mod reboot;

use crate::tree::{ReadError, Tree, join};
use processes::{Processes, without_usr};
use std::collections::BTreeSet;

/// A list of a package's files larger than this is not read.
const LIST_BYTES: u64 = 32 << 20;
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

/// What restarts when `packages` are replaced. `dpkg` is the folder of dpkg's status (`/var/lib/dpkg`) inside `tree`.
///
/// A service restarts if one of the packages ships its unit, or if one of its processes has a file of theirs in use.
/// Only the packages' own `.list` files are read.
pub fn restarts(tree: &Tree, dpkg: &str, packages: &[PackageRef<'_>], view: ProcessView<'_>) -> Restarts {
    let mut services = BTreeSet::new();
    let mut programs = BTreeSet::new();
    let mut blind = Vec::new();
    let enabled = match view {
        ProcessView::Unseen => enabled_services(tree),
        ProcessView::Seen(_) => BTreeSet::new(),
    };
    for package in packages {
        let list = match list_of(tree, dpkg, *package) {
            Ok(list) => list,
            Err(error) => {
                let why = crate::problem::chain(&error);
                blind.push(Blind::Files {
                    package: package.name.to_owned(),
                    why,
                });
                continue;
            }
        };
        let list = crate::words::readable(&list);
        for path in list.split('\n').map(without_usr).filter(|path| may_run(path)) {
            match (unit_of(path), view) {
                (Some(unit), ProcessView::Unseen) if enabled.contains(unit) => {
                    services.insert(shown(unit));
                }
                (Some(unit), ProcessView::Seen(processes)) if processes.runs(unit) => {
                    services.insert(shown(unit));
                }
                (None, ProcessView::Seen(processes)) => {
                    for user in processes.users_of(path) {
                        match &user.service {
                            Some(unit) => services.insert(shown(unit)),
                            None => programs.insert(user.program.clone()),
                        };
                    }
                }
                _ => {}
            }
        }
    }
    if let ProcessView::Seen(processes) = view
        && processes.unreadable() > 0
    {
        blind.push(Blind::Processes(processes.unreadable()));
    }
    Restarts {
        services: services.into_iter().collect(),
        programs: programs.into_iter().collect(),
        blind,
    }
}

/// dpkg's list of a package's files: `name.list`, or `name:architecture.list` for `Multi-Arch: same`.
fn list_of(tree: &Tree, dpkg: &str, package: PackageRef<'_>) -> Result<Vec<u8>, ReadError> {
    let info = join(dpkg, "info");
    let PackageRef { name, architecture } = package;
    let is_plain = |text: &str| !text.contains('/') && !text.is_empty();
    let path = join(&info, &format!("{name}.list"));
    if !is_plain(name) || !is_plain(architecture) {
        return Err(ReadError::NotFound { path });
    }
    match tree.read(&path, LIST_BYTES) {
        Err(error) if error.is_not_found() => {
            tree.read(&join(&info, &format!("{name}:{architecture}.list")), LIST_BYTES)
        }
        result => result,
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
