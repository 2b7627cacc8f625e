//! Relations between packages as control files write them (Debian Policy Manual, sections 7.1, 7.5; deb-control(5) for
//! architecture qualifiers), and whether what is there meets one. Finding a way to meet them is the package manager's work.

use crate::version::deb;
use std::cmp::Ordering;
use std::fmt;

/// A name of package and architecture has at most this many bytes; a relation with longer ones is none.
const MAX_WORD_BYTES: usize = 255;
/// Alternatives in one field at most.
const MAX_ALTERNATIVES: usize = 20_000;

/// One way to meet a relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alternative<'a> {
    /// Package, or what a package provides.
    pub name: &'a str,
    /// What stands behind a colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// The versions that will do.
    pub bound: Option<Bound<'a>>,
}

/// A bound on versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound<'a> {
    /// How a version has to stand to the one named.
    pub relation: Relation,
    /// The one named.
    pub version: &'a str,
}

/// How one version stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `<<`
    Earlier,
    /// `<=`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`
    LaterOrEqual,
    /// `>>`
    Later,
}

/// What a package provides besides itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Provision<'a> {
    /// The name.
    pub name: &'a str,
    /// The version, where it has one.
    pub version: Option<&'a str>,
}

/// A package that is there, or will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Present<'a> {
    /// Binary package name.
    pub name: &'a str,
    /// Its architecture, `all` included.
    pub architecture: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Its Multi-Arch field, as [`crate::host::inventory::BuildFingerprint`] keeps it.
    pub multi_arch: u8,
}

/// A text that is no relation field.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a field of relations between packages cannot be read")]
pub struct NotRelations;

/// Multi-Arch: foreign, in numbers.
const FOREIGN: u8 = 2;
/// Multi-Arch: allowed, in numbers.
const ALLOWED: u8 = 3;

/// The groups of a field such as `Depends`: each has to be met, by any one of its alternatives.
///
/// # Errors
/// [`NotRelations`]; nothing is skipped.
pub fn groups(field: &str) -> Result<Vec<Vec<Alternative<'_>>>, NotRelations> {
    let mut count = 0;
    (field.split(',').map(str::trim).filter(|group| !group.is_empty()))
        .map(|group| {
            (group.split('|'))
                .map(|text| {
                    count += 1;
                    match count > MAX_ALTERNATIVES {
                        true => Err(NotRelations),
                        false => alternative(text.trim()),
                    }
                })
                .collect()
        })
        .collect()
}

/// What a `Provides` field names.
///
/// # Errors
/// [`NotRelations`].
pub fn provisions(field: &str) -> Result<Vec<Provision<'_>>, NotRelations> {
    groups(field)?.iter().map(|group| provision(group)).collect()
}

fn provision<'a>(group: &[Alternative<'a>]) -> Result<Provision<'a>, NotRelations> {
    let [Alternative { name, bound, .. }] = *group else {
        return Err(NotRelations);
    };
    let version = match bound {
        None => None,
        Some(Bound {
            relation: Relation::Equal,
            version,
        }) => Some(version),
        Some(_) => return Err(NotRelations),
    };
    Ok(Provision { name, version })
}

fn alternative(text: &str) -> Result<Alternative<'_>, NotRelations> {
    let (word, bound) = match text.split_once('(') {
        None => (text, None),
        Some((word, rest)) => {
            let inside = rest.trim_end().strip_suffix(')').ok_or(NotRelations)?;
            (word.trim_end(), Some(bound(inside.trim())?))
        }
    };
    let (name, qualifier) = match word.split_once(':') {
        None => (word, None),
        Some((name, qualifier)) => (name, Some(qualifier)),
    };
    let is_word = |word: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        (1..=MAX_WORD_BYTES).contains(&word.len()) && word.bytes().all(plain)
    };
    match is_word(name) && qualifier.is_none_or(is_word) {
        true => Ok(Alternative {
            name,
            qualifier,
            bound,
        }),
        false => Err(NotRelations),
    }
}

fn bound(text: &str) -> Result<Bound<'_>, NotRelations> {
    let length = text.bytes().take_while(|byte| b"<=>".contains(byte)).count();
    let (sign, version) = text.split_at(length);
    let relation = match sign {
        "<<" => Relation::Earlier,
        // A single sign is an old form of these (dpkg says so and reads on).
        "<=" | "<" => Relation::EarlierOrEqual,
        "=" => Relation::Equal,
        ">=" | ">" => Relation::LaterOrEqual,
        ">>" => Relation::Later,
        _ => return Err(NotRelations),
    };
    let version = version.trim();
    deb::validate(version).map_err(|_no_version| NotRelations)?;
    Ok(Bound { relation, version })
}

impl fmt::Display for Bound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = match self.relation {
            Relation::Earlier => "<<",
            Relation::EarlierOrEqual => "<=",
            Relation::Equal => "=",
            Relation::LaterOrEqual => ">=",
            Relation::Later => ">>",
        };
        write!(f, "{sign} {}", self.version)
    }
}

impl Bound<'_> {
    /// Whether this version will do.
    pub fn admits(&self, version: &str) -> bool {
        let order = deb::compare(version, self.version);
        match self.relation {
            Relation::Earlier => order == Ordering::Less,
            Relation::EarlierOrEqual => order != Ordering::Greater,
            Relation::Equal => order == Ordering::Equal,
            Relation::LaterOrEqual => order != Ordering::Less,
            Relation::Later => order == Ordering::Greater,
        }
    }
}

impl Alternative<'_> {
    /// Whether a package meets it, for a dependent of this architecture on a host of this native one, by its own name.
    pub fn is_met_by(&self, present: &Present<'_>, dependent: &str, native: &str) -> bool {
        present.name == self.name
            && self.bound.is_none_or(|bound| bound.admits(present.version))
            && self.is_fitting(present, dependent, native)
    }

    /// The same by what the package provides: a bound is met by a versioned provision only.
    pub fn is_met_by_provision(
        &self,
        provision: &Provision<'_>,
        of: &Present<'_>,
        dependent: &str,
        native: &str,
    ) -> bool {
        let is_admitted = match (self.bound, provision.version) {
            (None, _) => true,
            (Some(bound), Some(version)) => bound.admits(version),
            (Some(_), None) => false,
        };
        provision.name == self.name && is_admitted && self.is_fitting(of, dependent, native)
    }

    /// Whether the architecture fits: packages for all architectures count as native ones.
    fn is_fitting(&self, present: &Present<'_>, dependent: &str, native: &str) -> bool {
        let concrete = |architecture| {
            if architecture == "all" {
                native
            } else {
                architecture
            }
        };
        let (has, wants) = (concrete(present.architecture), concrete(dependent));
        match self.qualifier {
            None => has == wants || present.multi_arch == FOREIGN,
            Some("any") => has == wants || present.multi_arch == ALLOWED,
            Some("native") => has == native,
            Some(named) => has == named,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present<'a>(name: &'a str, architecture: &'a str, version: &'a str, multi_arch: u8) -> Present<'a> {
        Present {
            name,
            architecture,
            version,
            multi_arch,
        }
    }

    #[test]
    fn a_field_is_read_as_the_policy_manual_shows_it() {
        // Debian Policy Manual, section 7.1.
        let read = groups("libc6 (>= 2.2.1), exim |\n mail-transport-agent,\n python3:any (>=3.1)")
            .expect("relations");
        let names: Vec<Vec<&str>> = (read.iter())
            .map(|group| group.iter().map(|one| one.name).collect())
            .collect();
        assert_eq!(
            names,
            [
                vec!["libc6"],
                vec!["exim", "mail-transport-agent"],
                vec!["python3"]
            ]
        );
        assert_eq!(read[2][0].qualifier, Some("any"));
        assert_eq!(read[2][0].bound.map(|bound| bound.version), Some("3.1"));
        assert_eq!(groups(" , "), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_relation_is_refused_and_not_passed_over() {
        for wrong in [
            "a b",
            "a (>= 1",
            "a (>= )",
            "a (=> 1)",
            "a (1)",
            "a (>= 1) b",
            "a | | b",
            "a:",
            "a [amd64]",
            "a <!nocheck>",
            "é",
        ] {
            assert_eq!(groups(wrong), Err(NotRelations), "{wrong}");
        }
        for wrong in ["a | b", "a (>= 1)"] {
            assert_eq!(provisions(wrong), Err(NotRelations), "{wrong}");
        }
    }

    #[test]
    fn another_architecture_meets_a_dependency_only_where_multi_arch_says_so() {
        let plain = groups("perl").expect("relations")[0][0];
        let any = groups("perl:any").expect("relations")[0][0];
        for (multi_arch, by_plain, by_any) in [
            (0, false, false),
            (1, false, false),
            (2, true, false),
            (3, false, true),
        ] {
            let foreign = present("perl", "amd64", "5", multi_arch);
            assert_eq!(
                plain.is_met_by(&foreign, "i386", "amd64"),
                by_plain,
                "{multi_arch}"
            );
            assert_eq!(any.is_met_by(&foreign, "i386", "amd64"), by_any, "{multi_arch}");
        }
        let for_all = present("perl", "all", "5", 0);
        assert!(plain.is_met_by(&for_all, "amd64", "amd64"));
        assert!(!plain.is_met_by(&for_all, "i386", "amd64"));
    }

    #[test]
    fn a_bound_is_met_by_a_versioned_provision_only() {
        let wanted = groups("perlapi (>= 5.36)").expect("relations")[0][0];
        let base = present("perl-base", "amd64", "5.36.0-7", 0);
        for (provides, is_met) in [
            ("perlapi", false),
            ("perlapi (= 5.36.0)", true),
            ("perlapi (= 5.32)", false),
        ] {
            let provision = provisions(provides).expect("provisions")[0];
            let met = wanted.is_met_by_provision(&provision, &base, "amd64", "amd64");
            assert_eq!(met, is_met, "{provides}");
        }
    }
}
