//! The pins that name packages: which packages and versions they are for (`pkgPolicy::CreatePin`).

use super::{PinNo, Policy, Priority};
use crate::assess::architecture::ArchitecturePattern;
use crate::assess::expression::ExpressionError;
use crate::assess::matcher::Matcher;
use crate::assess::pattern::Pattern;
use crate::catalog::listing::ListingNo;

/// A name in the `Package` field of a pin.
#[derive(Clone, Debug)]
pub(super) struct NamePattern {
    origin: NameOf,
    name: Name,
    architecture: ArchitecturePattern,
    qualified: Qualified,
}

/// Whether a name says for which architecture it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Qualified {
    ByArchitecture,
    /// The native one is meant.
    No,
}

/// Whether apt's cache holds a package `NAME:any`: it does where a version of the name is `Multi-Arch: allowed` or another
/// package depends on the name so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::assess) enum AnyName {
    Exists,
    Absent,
}

/// Whose name it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameOf {
    Package,
    /// `src:` before it.
    Source,
}

#[derive(Clone, Debug)]
enum Name {
    Exact(String),
    Pattern(Pattern),
}

impl NamePattern {
    /// The rules of `pkgPolicy::CreatePin`: the part after the last colon is an architecture, the native one without.
    pub(super) fn new(word: &str, native: &str, problems: &mut Vec<ExpressionError>) -> Self {
        let (origin, name) = match word.strip_prefix("src:") {
            Some(rest) => (NameOf::Source, rest),
            None => (NameOf::Package, word),
        };
        let (name, architecture) = name.rsplit_once(':').unwrap_or((name, ""));
        let (architecture, qualified) = match architecture {
            "" => (native, Qualified::No),
            named => (named, Qualified::ByArchitecture),
        };
        let is_pattern = (name.starts_with('/') && name.ends_with('/')) || name.contains(['*', '[', '?']);
        let name = if is_pattern {
            Name::Pattern(Pattern::new(name, problems))
        } else {
            Name::Exact(name.to_owned())
        };
        Self {
            origin,
            name,
            architecture: ArchitecturePattern::new(architecture),
            qualified,
        }
    }

    /// A pattern without an architecture that also matches `NAME:any`, where apt holds such a package, pins the name
    /// for every architecture: a side effect of how apt expands patterns.
    fn covers(&self, name: &str, architecture: &str, any: impl FnOnce() -> AnyName) -> bool {
        match &self.name {
            Name::Exact(exact) => exact == name && self.architecture.matches(architecture),
            Name::Pattern(pattern) => {
                (pattern.matches(name) && self.architecture.matches(architecture))
                    || (self.qualified == Qualified::No
                        && any() == AnyName::Exists
                        && pattern.matches(&format!("{name}:any")))
            }
        }
    }
}

/// A pin for packages, compiled against the listings.
#[derive(Clone, Debug)]
pub(super) struct PackagePin {
    pub(super) number: PinNo,
    pub(super) names: Vec<NamePattern>,
    pub(super) matcher: Matcher,
    /// By listing.
    pub(super) listings: Vec<bool>,
    pub(super) status: bool,
    pub(super) priority: Priority,
}

/// What decides about a version's priority.
#[derive(Clone, Copy, Debug)]
pub(in crate::assess) struct VersionFacts<'a, I> {
    pub(in crate::assess) version: &'a str,
    pub(in crate::assess) source: &'a str,
    pub(in crate::assess) source_version: &'a str,
    pub(in crate::assess) phased_percent: u8,
    /// Where it is offered, in order.
    pub(in crate::assess) listings: I,
    pub(in crate::assess) standing: Standing,
}

/// Whether a version is the one on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::assess) enum Standing {
    Installed,
    Offered,
}

/// The pins that name one package, found once and used for all its versions.
pub(in crate::assess) struct PinsOfPackage<'policy> {
    pub(super) pins: Vec<(&'policy PackagePin, NamedAs)>,
}

pub(super) enum NamedAs {
    Package,
    /// Only versions from the named sources.
    Source,
}

impl NamePattern {
    pub(super) fn is_for_source(&self, source: &str, architecture: &str, policy: &Policy) -> bool {
        self.origin == NameOf::Source && self.covers(source, architecture, || policy.any_name(source))
    }

    pub(super) fn is_for_package(&self, name: &str, architecture: &str, any: AnyName) -> bool {
        self.origin == NameOf::Package && self.covers(name, architecture, || any)
    }
}

impl PinsOfPackage<'_> {
    /// The first pin that matches the version, in the order of the preferences.
    pub(super) fn first_for<I>(
        &self,
        policy: &Policy,
        architecture: &str,
        facts: &VersionFacts<'_, I>,
    ) -> Option<&PackagePin>
    where
        I: Iterator<Item = ListingNo> + Clone,
    {
        let architecture = policy.filed_architecture(architecture);
        let found = self.pins.iter().find(|(pin, named)| {
            let is_named = match named {
                NamedAs::Package => true,
                NamedAs::Source => pin
                    .names
                    .iter()
                    .any(|name| name.is_for_source(facts.source, architecture, policy)),
            };
            let in_listing = |no: ListingNo| pin.listings.get(usize::from(no.0)) == Some(&true);
            is_named
                && policy.understands(&pin.matcher)
                && (pin.matcher.matches_version(facts.version, facts.source_version)
                    || (facts.standing == Standing::Installed && pin.status)
                    || facts.listings.clone().any(in_listing))
        });
        found.map(|(pin, _)| *pin)
    }
}
