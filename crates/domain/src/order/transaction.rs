//! The last word before dpkg starts: what apt says it is about to do, held against what was ordered. One package more, less or
//! other, another direction or another file, and nothing begins.
//!
//! What apt says is protocol 3 of `DPkg::Pre-Install-Pkgs` (apt.conf(5); apt-pkg/deb/dpkgpm.cc, `SendPkgsInfo`): `VERSION 3`, its
//! configuration, an empty line, then one line for each step of dpkg.

use super::{OrderedPackage, Removal};
use crate::digest::Sha256Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Lines that are read at most; a transaction of more is refused.
pub const MAX_ITEMS: usize = 50_000;

/// One step of dpkg, as apt announces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Binary package name.
    pub name: &'a str,
    /// What is there before; absent for a new package.
    pub before: Option<Build<'a>>,
    /// What is there after; absent for a removal.
    pub after: Option<Build<'a>>,
    /// What dpkg does.
    pub act: Act<'a>,
}

/// A version in an architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build<'a> {
    /// The version.
    pub version: &'a str,
    /// The architecture, `all` included.
    pub architecture: &'a str,
}

impl fmt::Display for Build<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.version, self.architecture)
    }
}

/// What dpkg does with a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act<'a> {
    /// Unpacks this file.
    Unpack(&'a str),
    /// Configures what is unpacked.
    Configure,
    /// Removes or purges it.
    Remove,
}

/// What apt said is not what apt says.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unreadable {
    /// The first line is another.
    #[error("apt did not announce its transaction by version 3 of the protocol")]
    NotVersion3,
    /// No empty line ends the configuration.
    #[error("apt's announcement ends within its configuration")]
    NoItems,
    /// A line of the transaction.
    #[error("line {line} of apt's announcement cannot be read")]
    Line {
        /// Counted from 1 over the whole announcement.
        line: usize,
    },
    /// More than [`MAX_ITEMS`].
    #[error("apt announces more than {MAX_ITEMS} steps")]
    TooLong,
}

/// Reads an announcement.
///
/// # Errors
/// [`Unreadable`] for whatever is not exactly in the form; nothing is skipped.
pub fn parse(text: &str) -> Result<Vec<Item<'_>>, Unreadable> {
    let mut lines = text.lines().enumerate();
    if lines.next().map(|(_, line)| line) != Some("VERSION 3") {
        return Err(Unreadable::NotVersion3);
    }
    lines
        .find(|(_, line)| line.is_empty())
        .ok_or(Unreadable::NoItems)?;
    let mut items = Vec::new();
    for (at, line) in lines {
        if items.len() == MAX_ITEMS {
            return Err(Unreadable::TooLong);
        }
        items.push(item(line).ok_or(Unreadable::Line { line: at + 1 })?);
    }
    Ok(items)
}

/// `name version architecture multi-arch direction version architecture multi-arch act`; `- - none` for no version.
fn item(line: &str) -> Option<Item<'_>> {
    let mut fields = line.splitn(9, ' ');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let before = build(&mut fields)?;
    let direction = fields.next()?;
    let after = build(&mut fields)?;
    let act = match fields.next()? {
        "**CONFIGURE**" => Act::Configure,
        "**REMOVE**" => Act::Remove,
        file if file.starts_with('/') => Act::Unpack(file),
        _ => return None,
    };
    let is_sound = matches!(direction, "<" | "=" | ">")
        && after.is_none() == (act == Act::Remove)
        && (before.is_some() || after.is_some());
    is_sound.then_some(Item {
        name,
        before,
        after,
        act,
    })
}

/// The outer absence is a line that cannot be read, the inner one no version.
fn build<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Option<Build<'a>>> {
    let (version, architecture, multi_arch) = (fields.next()?, fields.next()?, fields.next()?);
    if !matches!(multi_arch, "none" | "same" | "foreign" | "allowed") {
        return None;
    }
    match (version, architecture) {
        ("-", "-") => Some(None),
        ("" | "-", _) | (_, "" | "-") => None,
        _ => Some(Some(Build {
            version,
            architecture,
        })),
    }
}

/// What an announcement is held against.
#[derive(Clone, Copy, Debug)]
pub struct Allowed<'a> {
    /// What was ordered.
    pub packages: &'a [OrderedPackage],
    /// What may go, and has to.
    pub removals: &'a [Removal],
    /// What of both is already so on the host: such a package needs no line, and has to have none.
    pub in_place: &'a BTreeSet<PackageName>,
}

/// A package of an architecture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName {
    /// Binary package name.
    pub name: Box<str>,
    /// Its architecture, `all` included.
    pub architecture: Box<str>,
}

impl PackageName {
    /// This name of this architecture.
    pub fn new(name: &str, architecture: &str) -> Self {
        Self {
            name: name.into(),
            architecture: architecture.into(),
        }
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.architecture)
    }
}

/// How what apt is about to do differs from what was ordered. Nothing has happened yet.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Difference {
    /// One package more.
    #[error("{package} {version} would be installed, which was not ordered")]
    NotOrdered {
        /// The package.
        package: PackageName,
        /// The version that apt chose.
        version: Box<str>,
    },
    /// The right package in another version.
    #[error("{package} would become {found}, and {ordered} was ordered")]
    OtherVersion {
        /// The package.
        package: PackageName,
        /// What apt chose.
        found: Box<str>,
        /// What was ordered.
        ordered: Box<str>,
    },
    /// What it replaces is not what it was approved to replace.
    #[error("{package} is {} on this host, and the order replaces {}", or_absent(found.as_deref()), or_absent(ordered.as_deref()))]
    OtherBefore {
        /// The package.
        package: PackageName,
        /// What is there, its architecture in brackets.
        found: Option<Box<str>>,
        /// What the order was made for.
        ordered: Option<Box<str>>,
    },
    /// Another file under the same version.
    #[error("the file of {package} {version} is not the one that was ordered")]
    OtherFile {
        /// The package.
        package: PackageName,
        /// Its version.
        version: Box<str>,
        /// The file's digest.
        found: Sha256Digest,
    },
    /// One package less.
    #[error("{package} {version} was ordered and would not be installed")]
    Missing {
        /// The package.
        package: PackageName,
        /// The version that was ordered.
        version: Box<str>,
    },
    /// A removal that nobody approved.
    #[error("{package} would be removed, which was not approved")]
    Removed {
        /// The package.
        package: PackageName,
    },
    /// An approved removal that would not happen.
    #[error("{package} was to be removed and would stay")]
    NotRemoved {
        /// The package.
        package: PackageName,
    },
    /// Two lines that say the same, or something already done that would be done again.
    #[error("{package} stands twice in the transaction, or was already done")]
    Twice {
        /// The package.
        package: PackageName,
    },
}

fn or_absent(version: Option<&str>) -> &str {
    version.unwrap_or("not installed")
}

/// Why a transaction may not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection<E> {
    /// It is another one than was ordered.
    Differs(Difference),
    /// A file could not be read.
    File(E),
}

/// Whether exactly the order would be carried out. `digest_of` hashes the file that dpkg is going to open.
///
/// # Errors
/// [`Objection`], the first one found in the order of apt's lines; what is missing from them is found last.
pub fn judge<E>(
    items: &[Item<'_>],
    allowed: Allowed<'_>,
    mut digest_of: impl FnMut(&str) -> Result<Sha256Digest, E>,
) -> Result<(), Objection<E>> {
    let mut ledger = Ledger::of(allowed);
    for item in items {
        match item.act {
            Act::Unpack(file) => {
                let ordered = ledger.unpack(item).map_err(Objection::Differs)?;
                let found = digest_of(file).map_err(Objection::File)?;
                if found != ordered.sha256 {
                    return Err(Objection::Differs(Difference::OtherFile {
                        package: ordered.package(),
                        version: ordered.version.clone(),
                        found,
                    }));
                }
            }
            Act::Configure => ledger.configure(item).map_err(Objection::Differs)?,
            Act::Remove => ledger.remove(item).map_err(Objection::Differs)?,
        }
    }
    ledger.close().map_err(Objection::Differs)
}

/// What is still to come of an order.
struct Ledger<'a> {
    allowed: Allowed<'a>,
    ordered: BTreeMap<(&'a str, &'a str), &'a OrderedPackage>,
    unpacked: BTreeSet<(&'a str, &'a str)>,
    configured: BTreeSet<(&'a str, &'a str)>,
    removed: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Ledger<'a> {
    fn of(allowed: Allowed<'a>) -> Self {
        Self {
            allowed,
            ordered: (allowed.packages.iter())
                .map(|package| ((&*package.name, &*package.architecture), package))
                .collect(),
            unpacked: BTreeSet::new(),
            configured: BTreeSet::new(),
            removed: BTreeSet::new(),
        }
    }

    /// The ordered package that a line is about, in its ordered version and not yet in place.
    fn ordered(&self, item: &Item<'_>) -> Result<&'a OrderedPackage, Difference> {
        let after = item.after.expect("only a removal has no version after");
        let package = PackageName::new(item.name, after.architecture);
        let Some(&ordered) = self.ordered.get(&(item.name, after.architecture)) else {
            return Err(Difference::NotOrdered {
                package,
                version: after.version.into(),
            });
        };
        if &*ordered.version != after.version {
            return Err(Difference::OtherVersion {
                package,
                found: after.version.into(),
                ordered: ordered.version.clone(),
            });
        }
        if self.allowed.in_place.contains(&package) {
            return Err(Difference::Twice { package });
        }
        Ok(ordered)
    }

    fn unpack(&mut self, item: &Item<'_>) -> Result<&'a OrderedPackage, Difference> {
        let ordered = self.ordered(item)?;
        let found = item.before.map(|before| before.version);
        // A package may go over to `all` or come from it; from any other architecture it is another package.
        let is_same_package = item.before.is_none_or(|before| {
            let architectures = [before.architecture, &ordered.architecture];
            architectures[0] == architectures[1] || architectures.contains(&"all")
        });
        if found != ordered.from.as_deref() || !is_same_package {
            return Err(Difference::OtherBefore {
                package: ordered.package(),
                found: item.before.map(|before| before.to_string().into()),
                ordered: ordered.from.clone(),
            });
        }
        once(&mut self.unpacked, (&ordered.name, &ordered.architecture))?;
        Ok(ordered)
    }

    /// Of what this run unpacks, or of what an earlier one left unpacked.
    fn configure(&mut self, item: &Item<'_>) -> Result<(), Difference> {
        let ordered = self.ordered(item)?;
        once(&mut self.configured, (&ordered.name, &ordered.architecture))
    }

    fn remove(&mut self, item: &Item<'_>) -> Result<(), Difference> {
        let package = match item.before {
            Some(before) => PackageName::new(item.name, before.architecture),
            None => PackageName::new(item.name, ""),
        };
        let approved = (self.allowed.removals.iter())
            .find(|removal| removal.name == package.name && removal.architecture == package.architecture);
        match approved {
            Some(removal) if !self.allowed.in_place.contains(&package) => {
                once(&mut self.removed, (&removal.name, &removal.architecture))
            }
            _ => Err(Difference::Removed { package }),
        }
    }

    fn close(self) -> Result<(), Difference> {
        let is_in_place = |name: &str, architecture: &str| {
            let package = PackageName::new(name, architecture);
            self.allowed.in_place.contains(&package)
        };
        for (&key, ordered) in &self.ordered {
            let is_done = self.unpacked.contains(&key) || self.configured.contains(&key);
            if !is_done && !is_in_place(key.0, key.1) {
                return Err(Difference::Missing {
                    package: ordered.package(),
                    version: ordered.version.clone(),
                });
            }
        }
        for removal in self.allowed.removals {
            let key: (&str, &str) = (&removal.name, &removal.architecture);
            if !self.removed.contains(&key) && !is_in_place(key.0, key.1) {
                return Err(Difference::NotRemoved {
                    package: PackageName::new(key.0, key.1),
                });
            }
        }
        Ok(())
    }
}

fn once<'a>(seen: &mut BTreeSet<(&'a str, &'a str)>, key: (&'a str, &'a str)) -> Result<(), Difference> {
    if seen.insert(key) {
        return Ok(());
    }
    Err(Difference::Twice {
        package: PackageName::new(key.0, key.1),
    })
}
