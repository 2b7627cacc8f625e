//! One host looked at closely, as a scan of it would: what it misses, what stands in the way there, what nobody can say,
//! and why. Computed when somebody asks, from the host's documents.

use super::channels::Channels;
use domain::assess::coverage::{Coverage, Hole, Unanswered};
use domain::assess::explain::{Question, explain};
use domain::assess::findings::{Findings, Subject};
use domain::assess::overlay::{KeptBackReason, Phased, State};
use domain::assess::phasing::Decision;
use domain::catalog::update::{Classification, UpdateId};
use domain::digest::Sha256Digest;
use domain::host::inventory::InstalledPackage;

/// One package of a host that could have another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFinding {
    /// Name.
    pub name: String,
    /// Architecture of what would be installed.
    pub architecture: String,
    /// Installed version.
    pub installed: String,
    /// The version that apt would install.
    pub available: String,
    /// The update that it belongs to.
    pub update: UpdateId,
    /// What kind of update it is for this host.
    pub classification: Classification,
    /// What stands in the way on this host.
    pub state: State,
    /// Digest of the package file.
    pub sha256: Option<Sha256Digest>,
}

/// What is known of a host.
#[derive(Clone, Debug)]
pub struct HostFindings {
    /// What it misses, in the order of its inventory.
    pub missing: Vec<PackageFinding>,
    /// What is answered for and what not.
    pub coverage: Coverage,
}

/// Looks at a host. `doubts` is what of its own files could not be followed.
pub fn look(channels: &Channels, subject: &Subject<'_>, doubts: &[String]) -> HostFindings {
    let findings = judged(channels, subject);
    let missing = findings.missing.iter().map(|finding| {
        let candidate = &finding.missing.candidate;
        PackageFinding {
            name: finding.package.name.to_string(),
            architecture: candidate.architecture.to_owned(),
            installed: finding.package.version.to_string(),
            available: candidate.version.to_owned(),
            update: channels.update_of(&finding.missing),
            classification: finding.missing.classification,
            state: finding.state.clone(),
            sha256: candidate.sha256,
        }
    });
    let of_policy = findings.policy.problems().iter().map(ToString::to_string);
    HostFindings {
        missing: missing.collect(),
        coverage: findings
            .coverage(&channels.reports(), |_| None)
            .answered_elsewhere(super::is_own_agent)
            .with_doubts(doubts.iter().cloned().chain(of_policy)),
    }
}

/// Why a package of the host is, or is not, missing an update: sentences in the order in which they lead to the answer.
/// `None` if neither the host nor any of its sources knows the name.
pub fn explain_package(
    channels: &Channels,
    subject: &Subject<'_>,
    name: &str,
    architecture: Option<&str>,
) -> Option<Vec<String>> {
    let is_it = |package: &&InstalledPackage| {
        *package.name == *name && architecture.is_none_or(|asked| *package.architecture == *asked)
    };
    let package = subject.inventory.packages.iter().find(is_it);
    let mut offers = Vec::new();
    channels.listings.offers(name, &mut offers);
    if package.is_none() && offers.is_empty() {
        return None;
    }
    let architecture = package
        .map(|package| &*package.architecture)
        .or(architecture)
        .unwrap_or(&subject.config.native_architecture);
    let policy = channels.policy(subject.side().rules).on(subject.side());
    let question = Question {
        name,
        architecture,
        package,
        offers: &offers,
        listings: channels.listings.all(),
        settings: &subject.config.settings,
        simulated: None,
    };
    let facts = explain(&policy, &question).facts;
    Some(facts.iter().map(ToString::to_string).collect())
}

fn judged<'a>(channels: &'a Channels, subject: &Subject<'a>) -> Findings<'a> {
    Findings::of(
        subject,
        channels.listings.all(),
        |name, into| channels.listings.offers(name, into),
        |_| None,
    )
}

/// A hole in words; `sources` are the host's by their names.
pub fn hole_in_words(hole: &Hole, sources: &[String]) -> String {
    let named = |place: usize| sources.get(place).map_or("a source", String::as_str);
    match hole {
        Hole::Host { why } => why.clone(),
        Hole::NoSources => "the host names no package sources at all".to_owned(),
        Hole::NoPackages => "the host reports no installed package".to_owned(),
        Hole::Source { source, why } => format!("{}: {why}", named(usize::from(source.0))),
        Hole::Package {
            name,
            architecture,
            version,
            why,
        } => {
            let why = match why {
                Unanswered::NamedBy(source) => {
                    format!("from {}, which does not answer now", named(usize::from(source.0)))
                }
                Unanswered::PerhapsIn(silent) => match silent.as_slice() {
                    [one] => format!(
                        "no verified source lists it; {} does not answer",
                        named(usize::from(one.0))
                    ),
                    more => format!(
                        "no verified source lists it; {} sources do not answer",
                        more.len()
                    ),
                },
                Unanswered::Nowhere if sources.is_empty() => "no source is configured".to_owned(),
                Unanswered::Nowhere => "no configured source lists it".to_owned(),
                Unanswered::OnlyOlder { newest } => {
                    format!("newer than anything that is listed ({newest}); its own source is not configured")
                }
            };
            format!("{name}:{architecture} {version}: {why}")
        }
    }
}

/// What stands in the way, in words; `None` where nothing does.
pub fn state_in_words(state: &State) -> Option<String> {
    match state {
        State::Missing => None,
        State::Held => Some("on hold by the host's administrator: apt-mark unhold ends it".to_owned()),
        State::OnHold(rule) => Some(format!("kept away by the rule {}", rule.0)),
        State::Phased(Phased {
            percent, decision, ..
        }) => Some(match decision {
            Decision::Excluded { draw } => {
                format!("published to {percent} % of hosts so far; this host's number for it is {draw}")
            }
            _ => format!(
                "published to {percent} % of hosts so far; this host takes only what reaches everyone"
            ),
        }),
        State::KeptBack(KeptBackReason::NeedsNewPackages(_)) => Some("needs new packages".to_owned()),
        State::KeptBack(KeptBackReason::NeedsRemovals(_)) => Some("needs removals".to_owned()),
        State::KeptBack(KeptBackReason::Unsatisfied) => {
            Some("apt finds no way to upgrade it with what the sources offer".to_owned())
        }
    }
}
