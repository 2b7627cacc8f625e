//! What differs between the versions of apt: the host's own apt decides, so its rules are the ones to follow. The
//! boundaries are from apt's changelog, with what was carried back to the 2.4 series of Ubuntu 22.04.

use super::phasing::Machine;
use crate::version::deb;

/// What the host brings to an assessment besides its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostSide {
    /// What decides about phasing.
    pub machine: Machine,
    /// Which apt decides.
    pub rules: AptRules,
}

/// The rules of a version of apt. The default is the newest known (3.0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AptRules {
    /// When two offers of one version are one build.
    pub same_build: SameBuild,
    /// How phasing works.
    pub phasing: PhasingRule,
    /// Whose phasing keeps an update back.
    pub kept_by: KeptBy,
    /// What phasing never holds back.
    pub security_exception: SecurityException,
    /// Whether `Pin: source-version` is understood.
    pub source_version_pins: SourceVersionPins,
}

/// When two offers of one version are one build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameBuild {
    /// Relations, Multi-Arch and size agree (before apt 2.7.3).
    BySize,
    /// So do those, and the SHA-256 where both have one.
    #[default]
    ByDigest,
}

/// How phased updates are withheld.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhasingRule {
    /// Not at all (before apt 2.1.16).
    Ignored,
    /// Their priority is 1, whatever a pin says (until apt 2.5.1, and 2.4.6 in its series).
    ByPriority,
    /// They are candidates and kept back; with `APT::Get::Phase-Policy` their priority is 1 at most instead.
    #[default]
    ByKeeping,
}

/// Whose phasing keeps an update back, where phasing works by keeping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeptBy {
    /// The candidate's.
    #[default]
    Candidate,
    /// That of the installed version too, if it is listed as still being phased in: a slip of apt before 2.7.2 (and
    /// 2.4.10 in its series).
    InstalledToo,
}

/// Which versions apt looks at when it asks whether a phased update is a security update: those in suites whose name
/// ends in `-security`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SecurityException {
    /// Only those between the installed version and the candidate (before apt 2.7.11).
    BelowCandidate,
    /// The candidate too.
    #[default]
    WithCandidate,
}

/// Whether `Pin: source-version` is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceVersionPins {
    /// apt warns and passes over the record.
    Ignored,
    /// apt 2.9.9 and later.
    #[default]
    Followed,
}

impl AptRules {
    /// The rules of the apt package of this version, as the host has it installed.
    pub fn of_version(version: &str) -> Self {
        let is_from = |first: &str| deb::compare(version, first).is_ge();
        let is_in = |first: &str, end: &str| is_from(first) && !is_from(end);
        let phasing = if !is_from("2.1.16") {
            PhasingRule::Ignored
        } else if is_from("2.5.1") || is_in("2.4.6", "2.5~") {
            PhasingRule::ByKeeping
        } else {
            PhasingRule::ByPriority
        };
        Self {
            same_build: if is_from("2.7.3") || is_in("2.4.10", "2.5~") {
                SameBuild::ByDigest
            } else {
                SameBuild::BySize
            },
            phasing,
            kept_by: if is_from("2.7.2") || is_in("2.4.10", "2.5~") {
                KeptBy::Candidate
            } else {
                KeptBy::InstalledToo
            },
            security_exception: if is_from("2.7.11") || is_in("2.4.12", "2.5~") {
                SecurityException::WithCandidate
            } else {
                SecurityException::BelowCandidate
            },
            source_version_pins: if is_from("2.9.9") {
                SourceVersionPins::Followed
            } else {
                SourceVersionPins::Ignored
            },
        }
    }
}
