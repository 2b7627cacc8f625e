//! What one installed package is missing: the versions that the listings offer, put together as apt puts them together,
//! and the one that wins by the host's priorities. What else stands in its way on the host (a hold, phasing) is in
//! [`super::overlay`].

mod versions;

use super::policy::{Policy, VersionPriority};
use crate::catalog::listing::ListingNo;
use crate::catalog::offer::Offer;
use crate::catalog::update::{Classification, Publisher, UpdateId};
use crate::digest::Sha256Digest;
use crate::host::inventory::{BuildFingerprint, InstalledPackage};
use crate::version::deb;
pub(super) use versions::Versions;

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
