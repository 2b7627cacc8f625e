//! What stands between a missing update and this very host: a hold, phasing, or what apt's own simulation kept back.
//! The verdict is the same for all hosts of one channel configuration; this is per host.

use super::phasing::Decision;
use super::rules::{HostSide, KeptBy, PhasingRule, SecurityException};
use super::verdict::{Candidate, InSuite, Missing, PhasedInstalled};
use crate::host::channels::Settings;
use crate::host::inventory::{InstalledPackage, Selection};

/// What an update's way to a host is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing stands in the way that is known.
    Missing,
    /// The administrator put the package on hold.
    Held,
    /// It has not reached this host yet.
    Phased(Phased),
    /// apt's simulation on the host did not install it.
    KeptBack(KeptBackReason),
    /// A rule of Patchyard keeps the host away from it.
    OnHold(HoldRule),
}

impl State {
    /// The word for it in output: `missing`, `held`, `phased`, `kept_back`, `on_hold`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Held => "held",
            Self::Phased(_) => "phased",
            Self::KeptBack(_) => "kept_back",
            Self::OnHold(_) => "on_hold",
        }
    }
}

/// The name of a rule that keeps hosts away from an update.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HoldRule(pub String);

/// How far an update is phased in, and what that means for the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phased {
    /// `Phased-Update-Percentage`, 0 to 99.
    pub percent: u8,
    /// What the host's settings and its draw say.
    pub decision: Decision,
    /// Whose phasing it is.
    pub of: PhaseOf,
}

/// Whose phasing holds an update back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseOf {
    /// The candidate's.
    Candidate,
    /// The installed version's ([`KeptBy::InstalledToo`]).
    Installed,
}

/// Why apt's simulation kept an update back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptBackReason {
    /// It needs packages that are not installed; `dist-upgrade` would install them.
    NeedsNewPackages(Vec<String>),
    /// It needs packages removed; `dist-upgrade` would remove them.
    NeedsRemovals(Vec<String>),
    /// Even `dist-upgrade` does not install it.
    Unsatisfied,
}

/// What the host's own simulation said of the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simulated {
    /// `apt-get -s upgrade` installs the candidate.
    Upgraded,
    /// It does not.
    KeptBack(KeptBackReason),
}

/// The state of a missing update on a host. A hold comes before phasing, phasing before what a simulation said, as each
/// explains the next.
pub fn overlay(
    missing: &Missing<'_>,
    package: &InstalledPackage,
    settings: &Settings,
    host: &HostSide,
    simulated: Option<&Simulated>,
) -> State {
    if is_held(package, settings) {
        return State::Held;
    }
    if let Some(phased) = phasing_of(missing, settings, host)
        && phased.decision.is_excluded()
    {
        return State::Phased(phased);
    }
    match simulated {
        Some(Simulated::KeptBack(reason)) => State::KeptBack(reason.clone()),
        Some(Simulated::Upgraded) | None => State::Missing,
    }
}

/// Whether the administrator holds the package and apt obeys.
pub fn is_held(package: &InstalledPackage, settings: &Settings) -> bool {
    package.selection == Selection::Hold && !settings.ignore_hold
}

/// How phasing has a say: not at 100 percent, not for a security update, and not where it already lowered the priority.
/// Where several have one, the one that keeps the host out.
pub fn phasing_of(missing: &Missing<'_>, settings: &Settings, host: &HostSide) -> Option<Phased> {
    if host.rules.phasing != PhasingRule::ByKeeping || settings.phase_policy {
        return None;
    }
    let of_installed = match host.rules.kept_by {
        KeptBy::InstalledToo => phasing_of_installed(missing, settings, host),
        KeptBy::Candidate => None,
    };
    let is_out = |phased: &Phased| phased.decision.is_excluded();
    of_installed
        .filter(is_out)
        .or_else(|| phasing_of_candidate(missing, settings, host))
}

fn phasing_of_candidate(missing: &Missing<'_>, settings: &Settings, host: &HostSide) -> Option<Phased> {
    let Candidate {
        phased_percent: percent,
        source,
        source_version,
        ..
    } = missing.candidate;
    if percent >= 100 || is_excepted(missing, host.rules.security_exception) {
        return None;
    }
    let decision = host
        .machine
        .decide(settings.phased, percent, source, source_version);
    Some(Phased {
        percent,
        decision,
        of: PhaseOf::Candidate,
    })
}

fn phasing_of_installed(missing: &Missing<'_>, settings: &Settings, host: &HostSide) -> Option<Phased> {
    let PhasedInstalled {
        phased_percent: percent,
        source,
        source_version,
    } = missing.installed?;
    if missing.security_suites.below_installed == InSuite::Listed {
        return None;
    }
    let decision = host
        .machine
        .decide(settings.phased, percent, source, source_version);
    Some(Phased {
        percent,
        decision,
        of: PhaseOf::Installed,
    })
}

/// Whether apt takes it for a security update, which phasing never holds back.
pub(super) fn is_excepted(missing: &Missing<'_>, exception: SecurityException) -> bool {
    let suites = missing.security_suites;
    suites.below_candidate == InSuite::Listed
        || (exception == SecurityException::WithCandidate && suites.of_candidate == InSuite::Listed)
}
