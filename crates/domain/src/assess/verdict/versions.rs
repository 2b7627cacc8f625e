//! The versions of one package as apt sees them: which offers are one build, in which order the versions stand, and
//! which of them wins.

use super::{Candidate, Digests, InSuite, Missing, NoCandidate, PhasedInstalled, SecuritySuites, Verdict};
use crate::assess::policy::{
    AnyName, DOWNGRADE, PinsOfPackage, Policy, Security, Standing, VersionFacts, VersionPriority,
};
use crate::assess::rules::SameBuild;
use crate::catalog::offer::Offer;
use crate::catalog::update::Classification;
use crate::digest::Sha256Digest;
use crate::host::inventory::{BuildFingerprint, InstalledPackage};
use crate::version::deb;
use std::cmp::Ordering;

/// The versions of one package, newest first, as apt lists them: offers of one build of one version are one, rebuilt
/// namesakes follow in the order of the listings, and an installed version that nobody lists comes last of its equals.
pub(in crate::assess) struct Versions<'a, 'index> {
    name: &'a str,
    architecture: &'a str,
    pub(in crate::assess) list: Vec<Version<'a>>,
    offers: Vec<Offer<'index>>,
    /// For each offer the version it belongs to, by [`Version::id`].
    owners: Vec<u32>,
    same_build: SameBuild,
    any_name: AnyName,
}

/// `Multi-Arch: allowed` in a fingerprint.
const ALLOWED: u8 = 3;

/// One version, offered, installed or both.
#[derive(Clone, Copy, Debug)]
pub(in crate::assess) struct Version<'a> {
    id: u32,
    pub(in crate::assess) text: &'a str,
    source: &'a str,
    source_version: &'a str,
    kind: Kind,
    fingerprint: BuildFingerprint,
    sha256: Option<Sha256Digest>,
    phased_percent: u8,
    pub(in crate::assess) standing: Standing,
}

/// What apt's comparison of builds looks at besides the fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Architecture `all`.
    All,
    /// A real architecture.
    One,
}

impl Kind {
    fn of(architecture: &str) -> Self {
        if architecture == "all" {
            Self::All
        } else {
            Self::One
        }
    }
}

impl<'a, 'index: 'a> Versions<'a, 'index> {
    pub(in crate::assess) fn of_installed(
        policy: &Policy,
        package: &'a InstalledPackage,
        offers: &[Offer<'index>],
    ) -> Self {
        let mut versions = Self::of_offers(policy, &package.name, &package.architecture, offers);
        if package.fingerprint.multi_arch == ALLOWED {
            versions.any_name = AnyName::Exists;
        }
        versions.add(Version {
            id: u32::MAX,
            text: &package.version,
            source: &package.source,
            source_version: &package.source_version,
            kind: Kind::of(&package.architecture),
            fingerprint: package.fingerprint,
            sha256: None,
            phased_percent: 100,
            standing: Standing::Installed,
        });
        versions
    }

    /// The versions of a package that is not installed.
    pub(in crate::assess) fn of_offers(
        policy: &Policy,
        name: &'a str,
        architecture: &'a str,
        offers: &[Offer<'index>],
    ) -> Self {
        let filed = policy.filed_architecture(architecture);
        let is_allowed = offers.iter().any(|offer| offer.fingerprint.multi_arch == ALLOWED);
        let is_wanted = |offer: &&Offer<'_>| policy.filed_architecture(offer.architecture) == filed;
        let mut offers: Vec<_> = offers.iter().filter(is_wanted).copied().collect();
        if !offers.is_sorted_by_key(|offer| offer.listing) {
            offers.sort_by_key(|offer| offer.listing);
        }
        let (list, owners) = (
            Vec::with_capacity(offers.len() + 1),
            Vec::with_capacity(offers.len()),
        );
        let same_build = policy.rules().same_build;
        let mut versions = Self {
            name,
            architecture,
            list,
            offers,
            owners,
            same_build,
            any_name: if is_allowed {
                AnyName::Exists
            } else {
                AnyName::Absent
            },
        };
        for number in 0..versions.offers.len() {
            let offer = versions.offers[number];
            let owner = versions.add(Version {
                id: number as u32,
                text: offer.version,
                source: offer.source,
                source_version: offer.source_version,
                kind: Kind::of(offer.architecture),
                fingerprint: offer.fingerprint,
                sha256: offer.sha256,
                phased_percent: offer.phased_percent,
                standing: Standing::Offered,
            });
            versions.owners.push(owner);
        }
        versions
    }

    /// Puts a version in its place, or into the one that is the same build (`pkgCacheGenerator::MergeListVersion`).
    fn add(&mut self, mut new: Version<'a>) -> u32 {
        if new.kind == Kind::All && new.fingerprint.multi_arch == 1 {
            // apt takes no such package for co-installable.
            new.fingerprint.multi_arch = 0;
        }
        let mut place = self.list.len();
        for (position, known) in self.list.iter_mut().enumerate() {
            let order = match new.text == known.text {
                true => Ordering::Equal,
                false => deb::compare(new.text, known.text),
            };
            match order {
                Ordering::Greater => {
                    place = position;
                    break;
                }
                Ordering::Equal if known.is_same_build(&new, self.same_build) => {
                    known.merge(&new);
                    return known.id;
                }
                Ordering::Equal | Ordering::Less => {}
            }
        }
        self.list.insert(place, new);
        new.id
    }

    pub(in crate::assess) fn has_offers(&self) -> bool {
        !self.offers.is_empty()
    }

    /// The offers of one version, in the order of the listings.
    pub(in crate::assess) fn offers_of(
        &self,
        version: &Version<'_>,
    ) -> impl Iterator<Item = &Offer<'index>> + Clone {
        let id = version.id;
        self.offers
            .iter()
            .zip(&self.owners)
            .filter(move |(_, owner)| **owner == id)
            .map(|(offer, _)| offer)
    }

    pub(in crate::assess) fn pins<'policy>(&self, policy: &'policy Policy) -> PinsOfPackage<'policy> {
        policy.pins_of(
            self.name,
            self.architecture,
            self.any_name,
            self.list.iter().map(|version| version.source),
        )
    }

    pub(in crate::assess) fn installed_position(&self) -> Option<usize> {
        self.list
            .iter()
            .position(|version| version.standing == Standing::Installed)
    }

    pub(in crate::assess) fn priority(
        &self,
        policy: &Policy,
        pins: &PinsOfPackage<'_>,
        version: &Version<'_>,
    ) -> VersionPriority {
        let facts = VersionFacts {
            version: version.text,
            source: version.source,
            source_version: version.source_version,
            phased_percent: version.phased_percent,
            listings: self.offers_of(version).map(|offer| offer.listing),
            standing: version.standing,
        };
        policy.version(pins, self.architecture, &facts)
    }

    /// The version that apt would have on the host (`pkgPolicy::GetCandidateVer`): the first of the highest priority,
    /// where one below what is installed counts from a priority of 1000 only.
    pub(in crate::assess) fn candidate(
        &self,
        policy: &Policy,
        pins: &PinsOfPackage<'_>,
    ) -> Option<(usize, VersionPriority)> {
        let installed = self.installed_position();
        let mut best: Option<(usize, VersionPriority)> = None;
        for (position, version) in self.list.iter().enumerate() {
            let priority = self.priority(policy, pins, version);
            if priority.value <= best.map_or(0, |(_, best)| best.value) {
                continue;
            }
            let is_older = installed.is_some_and(|installed| {
                position > installed && deb::compare(version.text, self.list[installed].text).is_lt()
            });
            if !is_older || priority.value >= DOWNGRADE {
                best = Some((position, priority));
            }
        }
        best
    }

    /// An offered version as a candidate; nothing for one that is only installed.
    pub(in crate::assess) fn as_candidate(&self, version: &Version<'_>) -> Option<Candidate<'index>> {
        let offers = self.offers_of(version);
        let first = offers.clone().next()?;
        let listings = offers.clone().map(|offer| offer.listing).collect();
        let sha256 = offers.into_iter().find_map(|offer| offer.sha256);
        let is_namesake = |offer: &&Offer<'_>| {
            offer.version == first.version
                && offer.architecture == first.architecture
                && offer.sha256.is_some()
        };
        let differs = self
            .offers
            .iter()
            .filter(is_namesake)
            .any(|offer| offer.sha256 != sha256);
        Some(Candidate {
            architecture: first.architecture,
            version: first.version,
            source: first.source,
            source_version: first.source_version,
            listings,
            sha256,
            digests: if differs { Digests::Differ } else { Digests::Agree },
            phased_percent: version.phased_percent,
            fingerprint: version.fingerprint,
        })
    }

    /// The verdict on a package whose candidate stands before what is installed.
    pub(super) fn missing(
        &self,
        policy: &Policy,
        chosen: usize,
        installed: usize,
        priority: VersionPriority,
    ) -> Option<Missing<'index>> {
        let candidate = self.as_candidate(&self.list[chosen])?;
        let mut classification = Classification::Other;
        let mut security_suites = SecuritySuites::default();
        for (position, version) in self.list.iter().enumerate().skip(chosen) {
            for offer in self.offers_of(version) {
                let security = policy.security(offer.listing);
                if security != Security::No && position < installed {
                    classification = Classification::Security;
                }
                if security == Security::AptToo {
                    security_suites.note(position.cmp(&chosen), position.cmp(&installed));
                }
            }
        }
        Some(Missing {
            candidate,
            classification,
            priority,
            security_suites,
            installed: self.phased_installed(&self.list[installed]),
        })
    }

    fn phased_installed(&self, version: &Version<'_>) -> Option<PhasedInstalled<'index>> {
        let offer = self
            .offers_of(version)
            .next()
            .filter(|_| version.phased_percent < 100)?;
        Some(PhasedInstalled {
            phased_percent: version.phased_percent,
            source: offer.source,
            source_version: offer.source_version,
        })
    }

    /// The verdict on a package that apt would not upgrade.
    pub(super) fn settled(
        &self,
        policy: &Policy,
        pins: &PinsOfPackage<'_>,
        chosen: Option<usize>,
        installed: usize,
    ) -> Verdict<'index> {
        let offered = |version: &Version<'_>| self.offers_of(version).next().map(|offer| offer.version);
        let newest = self
            .list
            .iter()
            .enumerate()
            .find_map(|(at, version)| Some((at, offered(version)?)));
        let Some((newest_position, newest)) = newest else {
            return Verdict::Unknown;
        };
        if let Some(chosen) = chosen.filter(|chosen| *chosen > installed) {
            return Verdict::Ahead {
                newest,
                downgrade: self.as_candidate(&self.list[chosen]),
            };
        }
        let is_listed = offered(&self.list[installed]).is_some();
        if is_listed && chosen.is_some() {
            Verdict::Current
        } else if newest_position > installed {
            Verdict::Ahead {
                newest,
                downgrade: None,
            }
        } else {
            let priority = self.priority(policy, pins, &self.list[newest_position]);
            Verdict::NoCandidate {
                why: NoCandidate { newest, priority },
            }
        }
    }
}

impl Version<'_> {
    fn is_same_build(&self, other: &Self, rule: SameBuild) -> bool {
        let is_same_file = match (rule, self.sha256, other.sha256) {
            (SameBuild::ByDigest, Some(one), Some(other)) => one == other,
            (SameBuild::ByDigest | SameBuild::BySize, ..) => true,
        };
        self.kind == other.kind && self.fingerprint.is_same_build(other.fingerprint) && is_same_file
    }

    /// The first stanza gives a version its facts; a size that it lacks and a phasing below 100 come from later ones.
    fn merge(&mut self, later: &Self) {
        if self.fingerprint.size_bytes == 0 {
            self.fingerprint.size_bytes = later.fingerprint.size_bytes;
        }
        if later.phased_percent < 100 {
            self.phased_percent = later.phased_percent;
        }
        if later.standing == Standing::Installed {
            self.standing = Standing::Installed;
        }
    }
}

impl SecuritySuites {
    /// A listing of a `-security` suite was seen, for a version at this place.
    fn note(&mut self, to_candidate: Ordering, to_installed: Ordering) {
        match (to_candidate, to_installed) {
            (Ordering::Equal, _) => self.of_candidate = InSuite::Listed,
            (_, Ordering::Less) => self.below_candidate = InSuite::Listed,
            (_, Ordering::Greater) => self.below_installed = InSuite::Listed,
            (_, Ordering::Equal) => {}
        }
    }
}
