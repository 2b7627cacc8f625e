//! How much a host wants each listing and each version: apt's priorities (apt_preferences(5)), from the defaults, the
//! default release, general pins and pins of packages. Which version wins by them is in [`super::verdict`].

mod pins;

use super::expression::ExpressionError;
use super::matcher::Matcher;
use super::pattern::Pattern;
use super::rules::{AptRules, HostSide, PhasingRule, SourceVersionPins};
use crate::catalog::listing::{Listing, ListingNo};
use crate::catalog::release::Automatic;
use crate::host::channels::{ChannelConfig, PhasedChoice, Pin, PinPriority};
pub(super) use pins::{AnyName, PinsOfPackage, Standing, VersionFacts};
use pins::{NamePattern, NamedAs, PackagePin};
use std::collections::BTreeSet;

/// A priority as apt counts it: −32767 to 32767, and [`NEVER`]. Below zero a version is never a candidate; from 1000
/// on it may be a downgrade.
pub type Priority = i16;

/// The priority of `Pin-Priority: never`.
pub const NEVER: Priority = i16::MIN;

/// The priority from which a downgrade is wanted.
pub const DOWNGRADE: Priority = 1000;

/// The priority of the default release.
const DEFAULT_RELEASE: Priority = 990;

/// The number of a pin in the host's preferences, in apt's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinNo(pub u32);

/// Why a listing has its priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListingReason {
    /// 500: nothing says otherwise.
    Usual,
    /// 1: its release says `NotAutomatic`.
    NotAutomatic,
    /// 100: its release says `NotAutomatic` and `ButAutomaticUpgrades`.
    UpgradesOnly,
    /// 100: it is no listing but dpkg's status.
    Status,
    /// 990: `APT::Default-Release` names it.
    DefaultRelease,
    /// A pin for all packages.
    Pin(PinNo),
}

/// The priority of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListingPriority {
    /// The priority.
    pub value: Priority,
    /// Where it comes from.
    pub reason: ListingReason,
}

/// Why a version has its priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionReason {
    /// A pin for this package.
    Pin(PinNo),
    /// The best of the listings that offer it.
    Listing(ListingNo),
    /// It is installed and no listing is worth more.
    Installed,
    /// It is being phased in and has not reached this host, whose apt or `APT::Get::Phase-Policy` lowers it to 1.
    Phasing,
}

/// The priority of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionPriority {
    /// The priority.
    pub value: Priority,
    /// Where it comes from.
    pub reason: VersionReason,
}

/// A line of the host's configuration that cannot be followed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyProblem {
    /// apt refuses to work at all then; here no release is preferred.
    #[error(
        "APT::Default-Release {0:?} is no suite, codename or version of any source: apt itself stops at this"
    )]
    UnknownDefaultRelease(String),
    /// The pin matches nothing.
    #[error("{}:{}: {why}", pin.file, pin.line)]
    Expression {
        /// The pin.
        pin: Box<Pin>,
        /// What is wrong.
        why: ExpressionError,
    },
    /// apt refuses the whole file.
    #[error("{}:{}: `Pin-Priority: never` is for `Package: *` only: apt itself stops at this", pin.file, pin.line)]
    NeverForPackages {
        /// The pin.
        pin: Box<Pin>,
    },
    /// A version cannot be pinned for all packages.
    #[error("{}:{}: `Pin: version` says nothing for `Package: *`; the record is ignored", pin.file, pin.line)]
    VersionForAll {
        /// The pin.
        pin: Box<Pin>,
    },
}

/// All priorities of a host. Built once per channel configuration and set of listings.
#[derive(Clone, Debug)]
pub struct Policy {
    native: String,
    listings: Vec<ListingFacts>,
    status: ListingPriority,
    pins: Vec<Pin>,
    package_pins: Vec<PackagePin>,
    idle: Vec<PinNo>,
    problems: Vec<PolicyProblem>,
    any_names: BTreeSet<String>,
    host: HostSide,
    phased: PhasedChoice,
    phase_policy: bool,
}

#[derive(Clone, Debug)]
struct ListingFacts {
    priority: ListingPriority,
    security: Security,
}

/// Whether a listing is of a security suite, and by apt's narrower rule for phasing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// [`Listing::is_security`], and its Suite ends in `-security`, which is all that apt looks at.
    AptToo,
    /// [`Listing::is_security`] only.
    ByLabelOrCodename,
    /// No security listing.
    No,
}

impl Policy {
    /// Works out the priorities of `listings`, which stand in apt's order of index files.
    pub fn new(config: &ChannelConfig, listings: &[Listing]) -> Self {
        let mut policy = Self {
            native: config.native_architecture.clone(),
            listings: listings.iter().map(ListingFacts::of).collect(),
            status: ListingPriority {
                value: 100,
                reason: ListingReason::Status,
            },
            pins: config.pins.clone(),
            package_pins: Vec::new(),
            idle: Vec::new(),
            problems: Vec::new(),
            any_names: BTreeSet::new(),
            host: HostSide::default(),
            phased: config.settings.phased,
            phase_policy: config.settings.phase_policy,
        };
        let mut general = Vec::new();
        if let Some(text) = config
            .settings
            .default_release
            .as_deref()
            .filter(|text| !text.is_empty())
        {
            general.extend(policy.default_release(text, listings));
        }
        for (number, pin) in (0..).map(PinNo).zip(&config.pins) {
            policy.add_pin(number, pin, listings, &mut general);
        }
        policy.apply_general(&general, listings);
        policy
    }

    /// The same policy on a certain host: as its apt follows it. Without this the newest apt's rules hold, and phasing
    /// lowers no priority as no machine-id is known.
    pub fn on(mut self, host: HostSide) -> Self {
        self.host = host;
        self
    }

    /// The same policy, knowing for which names apt's cache holds a package `NAME:any`, because a version of them, of
    /// any architecture, is `Multi-Arch: allowed` or a package depends on them so. On a host with several architectures
    /// a pin by pattern reaches such names in all of them. Without this only the offers at hand are looked at.
    pub fn with_any_names(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.any_names.extend(names);
        self
    }

    /// The host it was made for.
    pub fn host(&self) -> &HostSide {
        &self.host
    }

    /// The priority of a listing; nothing for a number that is none of its listings.
    pub fn listing(&self, number: ListingNo) -> Option<ListingPriority> {
        self.listings
            .get(usize::from(number.0))
            .map(|listing| listing.priority)
    }

    /// The priority of dpkg's status, which is 100 unless a pin says otherwise.
    pub fn status(&self) -> ListingPriority {
        self.status
    }

    /// A pin by its number.
    pub fn pin(&self, number: PinNo) -> Option<&Pin> {
        self.pins.get(usize::try_from(number.0).ok()?)
    }

    /// The pins that match no listing and not dpkg's status either, whatever the package: kept to explain why nothing
    /// came of them.
    pub fn idle_pins(&self) -> impl Iterator<Item = &Pin> {
        self.idle.iter().filter_map(|number| self.pin(*number))
    }

    /// Lines that cannot be followed.
    pub fn problems(&self) -> &[PolicyProblem] {
        &self.problems
    }

    /// The architecture under which apt files a package: `all` belongs to the native one.
    pub fn filed_architecture<'a>(&'a self, architecture: &'a str) -> &'a str {
        if architecture == "all" {
            &self.native
        } else {
            architecture
        }
    }

    fn understands(&self, matcher: &Matcher) -> bool {
        !matches!(matcher, Matcher::SourceVersion(_))
            || self.host.rules.source_version_pins == SourceVersionPins::Followed
    }

    pub(super) fn rules(&self) -> AptRules {
        self.host.rules
    }

    pub(super) fn security(&self, number: ListingNo) -> Security {
        self.listings
            .get(usize::from(number.0))
            .map_or(Security::No, |listing| listing.security)
    }

    /// The pins that are for a package, or for one of the sources that its versions come from.
    pub(super) fn pins_of<'a>(
        &self,
        name: &str,
        architecture: &str,
        any: AnyName,
        sources: impl Iterator<Item = &'a str> + Clone,
    ) -> PinsOfPackage<'_> {
        let architecture = self.filed_architecture(architecture);
        let any = if any == AnyName::Exists {
            any
        } else {
            self.any_name(name)
        };
        let named = |pin: &PackagePin| {
            if pin
                .names
                .iter()
                .any(|named| named.is_for_package(name, architecture, any))
            {
                return Some(NamedAs::Package);
            }
            let is_source = |source| {
                pin.names
                    .iter()
                    .any(|named| named.is_for_source(source, architecture, self))
            };
            sources.clone().any(is_source).then_some(NamedAs::Source)
        };
        let pins = self.package_pins.iter();
        PinsOfPackage {
            pins: pins.filter_map(|pin| Some((pin, named(pin)?))).collect(),
        }
    }

    fn any_name(&self, name: &str) -> AnyName {
        if self.any_names.contains(name) {
            AnyName::Exists
        } else {
            AnyName::Absent
        }
    }

    /// The priority of a version (`pkgPolicy::GetPriority`).
    pub(super) fn version<I>(
        &self,
        pins: &PinsOfPackage<'_>,
        architecture: &str,
        facts: &VersionFacts<'_, I>,
    ) -> VersionPriority
    where
        I: Iterator<Item = ListingNo> + Clone,
    {
        let priority = self.unphased_version(pins, architecture, facts);
        let is_lowered = match self.host.rules.phasing {
            PhasingRule::Ignored => false,
            PhasingRule::ByPriority => self.is_phased_out(facts),
            PhasingRule::ByKeeping => self.phase_policy && priority.value > 1 && self.is_phased_out(facts),
        };
        if is_lowered {
            VersionPriority {
                value: 1,
                reason: VersionReason::Phasing,
            }
        } else {
            priority
        }
    }

    fn unphased_version<I>(
        &self,
        pins: &PinsOfPackage<'_>,
        architecture: &str,
        facts: &VersionFacts<'_, I>,
    ) -> VersionPriority
    where
        I: Iterator<Item = ListingNo> + Clone,
    {
        let mut best: Option<VersionPriority> = None;
        let mut offer = |priority: Priority, reason: VersionReason| {
            if best.is_none_or(|best| priority > best.value) {
                best = Some(VersionPriority {
                    value: priority,
                    reason,
                });
            }
        };
        for listing in facts.listings.clone() {
            let priority = self.listing(listing).map_or(NEVER, |priority| priority.value);
            offer(priority, VersionReason::Listing(listing));
        }
        if facts.standing == Standing::Installed {
            offer(self.status.value, VersionReason::Installed);
        }
        let best = best.unwrap_or(VersionPriority {
            value: NEVER,
            reason: VersionReason::Installed,
        });
        match pins.first_for(self, architecture, facts) {
            Some(pin) if pin.priority == NEVER || best.value != NEVER => VersionPriority {
                value: pin.priority,
                reason: VersionReason::Pin(pin.number),
            },
            _ => best,
        }
    }

    fn is_phased_out<I>(&self, facts: &VersionFacts<'_, I>) -> bool {
        let (percent, source) = (facts.phased_percent, facts.source);
        let decision = self
            .host
            .machine
            .decide(self.phased, percent, source, facts.source_version);
        decision.is_excluded()
    }

    fn default_release(&mut self, text: &str, listings: &[Listing]) -> Option<GeneralPin> {
        let mut problems = Vec::new();
        let pattern = Pattern::new(text, &mut problems);
        let is_known = pattern.matches("now")
            || text.as_bytes().get(1) == Some(&b'=') && text.len() > 2
            || listings.iter().any(|listing| {
                let release = &*listing.release;
                [&release.suite, &release.codename, &release.version]
                    .into_iter()
                    .any(|field| pattern.matches_field(field.as_deref().filter(|field| !field.is_empty())))
            });
        if !is_known {
            self.problems
                .push(PolicyProblem::UnknownDefaultRelease(text.to_owned()));
            return None;
        }
        let matcher = Matcher::release(text, &mut problems);
        Some(GeneralPin {
            reason: ListingReason::DefaultRelease,
            matcher,
            priority: DEFAULT_RELEASE,
        })
    }

    fn add_pin(&mut self, number: PinNo, pin: &Pin, listings: &[Listing], general: &mut Vec<GeneralPin>) {
        let mut problems = Vec::new();
        let matcher = Matcher::new(&pin.matcher, &mut problems);
        let priority = match pin.priority {
            PinPriority::Never => NEVER,
            PinPriority::Value(value) => value.max(NEVER + 1),
        };
        let is_for_versions = matcher.is_for_versions();
        let by_listing: Vec<bool> = listings
            .iter()
            .map(|listing| matcher.matches_listing(listing))
            .collect();
        let status = matcher.matches_status();
        if !is_for_versions && !status && !by_listing.contains(&true) {
            self.idle.push(number);
        }
        if pin.packages.len() == 1 && pin.packages[0] == "*" {
            if is_for_versions {
                self.idle.push(number);
                self.problems.push(PolicyProblem::VersionForAll {
                    pin: Box::new(pin.clone()),
                });
            } else {
                general.push(GeneralPin {
                    reason: ListingReason::Pin(number),
                    matcher,
                    priority,
                });
            }
        } else {
            if pin.priority == PinPriority::Never {
                self.problems.push(PolicyProblem::NeverForPackages {
                    pin: Box::new(pin.clone()),
                });
            }
            let names = pin.packages.iter();
            let names = names
                .map(|word| NamePattern::new(word, &self.native, &mut problems))
                .collect();
            let listings = by_listing;
            self.package_pins.push(PackagePin {
                number,
                names,
                matcher,
                listings,
                status,
                priority,
            });
        }
        let expressions = problems.into_iter();
        self.problems
            .extend(expressions.map(|why| PolicyProblem::Expression {
                pin: Box::new(pin.clone()),
                why,
            }));
    }

    /// The first general pin that matches a listing fixes its priority, but `never` has the last word.
    fn apply_general(&mut self, general: &[GeneralPin], listings: &[Listing]) {
        let decide = |start: ListingPriority, matches: &dyn Fn(&Matcher) -> bool| {
            let mut matching = general.iter().filter(|pin| matches(&pin.matcher)).peekable();
            let first = matching.peek().copied();
            let pin = matching.find(|pin| pin.priority == NEVER).or(first);
            pin.map_or(start, |pin| ListingPriority {
                value: pin.priority,
                reason: pin.reason,
            })
        };
        for (facts, listing) in self.listings.iter_mut().zip(listings) {
            facts.priority = decide(facts.priority, &|matcher| matcher.matches_listing(listing));
        }
        self.status = decide(self.status, &|matcher| matcher.matches_status());
    }
}

struct GeneralPin {
    reason: ListingReason,
    matcher: Matcher,
    priority: Priority,
}

impl ListingFacts {
    fn of(listing: &Listing) -> Self {
        let (value, reason) = match listing.release.automatic {
            Automatic::Yes => (500, ListingReason::Usual),
            Automatic::UpgradesOnly => (100, ListingReason::UpgradesOnly),
            Automatic::No => (1, ListingReason::NotAutomatic),
        };
        let suite = listing.release.suite.as_deref().unwrap_or_default();
        let security = match (listing.is_security(), suite.ends_with("-security")) {
            (_, true) => Security::AptToo,
            (true, false) => Security::ByLabelOrCodename,
            (false, false) => Security::No,
        };
        Self {
            priority: ListingPriority { value, reason },
            security,
        }
    }
}
