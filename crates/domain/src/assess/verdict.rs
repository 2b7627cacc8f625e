//! What one installed package is missing: the versions that the listings offer, put together as apt puts them together,
//! and the one that wins by the host's priorities. What else stands in its way on the host (a hold, phasing) is in
//! [`super::overlay`].

use super::policy::{
    AnyName, DOWNGRADE, PinsOfPackage, Policy, Security, Standing, VersionFacts, VersionPriority,
};
use super::rules::SameBuild;
use crate::catalog::listing::ListingNo;
use crate::catalog::offer::Offer;
use crate::catalog::update::{Classification, Publisher, UpdateId};
use crate::digest::Sha256Digest;
use crate::host::inventory::{BuildFingerprint, InstalledPackage};
use crate::version::deb;
use std::cmp::Ordering;

/// What is to be said of one installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'index> {
    /// The installed version is the one that apt would choose.
    Current,
    /// Another version is to be installed: apt calls the package upgradable.
    Missing(Missing<'index>),
    /// The installed version is above everything that is offered.
    Ahead {
        /// The newest version that is offered.
        newest: &'index str,
        /// The older version that a priority of 1000 or more asks for.
        downgrade: Option<Candidate<'index>>,
    },
    /// Verified sources list the package, but the host's pins let it take none of their versions.
    NoCandidate {
        /// What keeps it from a candidate.
        why: NoCandidate<'index>,
    },
    /// No verified source lists the package: nobody can say whether it is up to date.
    Unknown,
}

/// Why there is nothing that the host would take, although sources list the package and none lists what is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCandidate<'index> {
    /// The newest version that is offered.
    pub newest: &'index str,
    /// The priority that is too low for it.
    pub priority: VersionPriority,
}

/// An update that the host is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing<'index> {
    /// What apt would install.
    pub candidate: Candidate<'index>,
    /// What kind of update it is.
    pub classification: Classification,
    /// The candidate's priority.
    pub priority: VersionPriority,
    /// What apt asks of the suites before it lets phasing hold an update back.
    pub security_suites: SecuritySuites,
    /// How the installed version is listed, if it is and is itself still being phased in.
    pub installed: Option<PhasedInstalled<'index>>,
}

/// An installed version that is still being phased in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhasedInstalled<'index> {
    /// `Phased-Update-Percentage`, 0 to 99.
    pub phased_percent: u8,
    /// Source package.
    pub source: &'index str,
    /// Source version.
    pub source_version: &'index str,
}

/// Where, from the candidate down to what is installed, a suite named `-security` stands: apt never holds such an
/// update back for phasing. apt 2.6 looks below the candidate only, apt 3.0 at the candidate too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SecuritySuites {
    /// The candidate itself is listed in one.
    pub of_candidate: InSuite,
    /// A version between the candidate and the installed one is.
    pub below_candidate: InSuite,
    /// A version below the installed one is.
    pub below_installed: InSuite,
}

/// Whether something is listed in the suites in question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InSuite {
    /// It is.
    Listed,
    /// It is not.
    #[default]
    Unlisted,
}

/// A version that apt would install. Its texts are borrowed from the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate<'index> {
    /// Architecture, `all` included.
    pub architecture: &'index str,
    /// Version.
    pub version: &'index str,
    /// Source package.
    pub source: &'index str,
    /// Source version.
    pub source_version: &'index str,
    /// Every listing that offers this very build, in apt's order.
    pub listings: Vec<ListingNo>,
    /// Digest of the package file, from the first listing that gives one.
    pub sha256: Option<Sha256Digest>,
    /// Whether all listings of this version agree about the digest; where they do not, one of them is a rebuild or
    /// worse, and nothing is approved before someone has looked.
    pub digests: Digests,
    /// `Phased-Update-Percentage`, 0 to 100.
    pub phased_percent: u8,
    /// What tells it from another build of the version.
    pub fingerprint: BuildFingerprint,
}

/// Whether all listings of a version name one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digests {
    /// One digest, or none.
    Agree,
    /// Two listings give two digests.
    Differ,
}

impl Candidate<'_> {
    /// The update that the candidate belongs to.
    pub fn update_id(&self, publisher: Publisher) -> UpdateId {
        UpdateId {
            publisher,
            source: self.source.to_owned(),
            source_version: self.source_version.to_owned(),
            build: deb::split_rebuild(self.version).1.to_owned(),
        }
    }
}

/// What an installed package is missing, equal to apt's answer.
///
/// `offers` are those of the package's name, in the order of their listings, and within a listing in the order of the
/// index; offers of other architectures are passed over. A package of architecture `all` and its native namesake are
/// one to apt, and so they are here: offers of both are wanted for either.
pub fn verdict<'index>(
    policy: &Policy,
    package: &InstalledPackage,
    offers: &[Offer<'index>],
) -> Verdict<'index> {
    let versions = Versions::of_installed(policy, package, offers);
    let (true, Some(installed)) = (versions.has_offers(), versions.installed_position()) else {
        return Verdict::Unknown;
    };
    let pins = versions.pins(policy);
    let chosen = versions.candidate(policy, &pins);
    let missing = chosen
        .filter(|(position, _)| *position < installed)
        .and_then(|(position, priority)| versions.missing(policy, position, installed, priority));
    match missing {
        Some(missing) => Verdict::Missing(missing),
        None => versions.settled(policy, &pins, chosen.map(|(position, _)| position), installed),
    }
}

/// The versions of one package, newest first, as apt lists them: offers of one build of one version are one, rebuilt
/// namesakes follow in the order of the listings, and an installed version that nobody lists comes last of its equals.
pub(super) struct Versions<'a, 'index> {
    name: &'a str,
    architecture: &'a str,
    pub(super) list: Vec<Version<'a>>,
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
pub(super) struct Version<'a> {
    id: u32,
    pub(super) text: &'a str,
    source: &'a str,
    source_version: &'a str,
    kind: Kind,
    fingerprint: BuildFingerprint,
    sha256: Option<Sha256Digest>,
    phased_percent: u8,
    pub(super) standing: Standing,
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
    pub(super) fn of_installed(
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
    pub(super) fn of_offers(
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
            match deb::compare(new.text, known.text) {
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

    pub(super) fn has_offers(&self) -> bool {
        !self.offers.is_empty()
    }

    /// The offers of one version, in the order of the listings.
    pub(super) fn offers_of(&self, version: &Version<'_>) -> impl Iterator<Item = &Offer<'index>> + Clone {
        let id = version.id;
        self.offers
            .iter()
            .zip(&self.owners)
            .filter(move |(_, owner)| **owner == id)
            .map(|(offer, _)| offer)
    }

    pub(super) fn pins<'policy>(&self, policy: &'policy Policy) -> PinsOfPackage<'policy> {
        policy.pins_of(
            self.name,
            self.architecture,
            self.any_name,
            self.list.iter().map(|version| version.source),
        )
    }

    pub(super) fn installed_position(&self) -> Option<usize> {
        self.list
            .iter()
            .position(|version| version.standing == Standing::Installed)
    }

    pub(super) fn priority(
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
    pub(super) fn candidate(
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
    pub(super) fn as_candidate(&self, version: &Version<'_>) -> Option<Candidate<'index>> {
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
    fn missing(
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
    fn settled(
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
