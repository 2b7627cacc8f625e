//! Makes the report out of a finished scan: findings grouped into updates, sources and holes put into words.

use super::Scan;
use super::channels::Asked;
use super::findings::Finding;
use crate::report::*;
use crate::text;
use agent::effects::reboot::{self, RebootNeed};
use agent::effects::{self, PackageRef, ProcessView};
use agent::problem::Effect;
use domain::assess::coverage::{self, Coverage, Hole, HostStanding, SourceNo, SourceReport, Unanswered};
use domain::assess::overlay::{KeptBackReason, Phased, State};
use domain::assess::phasing::Decision;
use domain::catalog::update::{self, UpdateId};
use jiff::Timestamp;
use sources::apt::answer::{Answer, ListingAnswer, NoListing};
use sources::apt::freshness::Freshness;
use std::collections::BTreeMap;

/// The report of a scan.
pub fn report(scan: &Scan<'_>) -> Report {
    let updates = updates(scan);
    let sources: Vec<Source> = scan.channels.asked.iter().map(source).collect();
    let states: Vec<SourceReport> = sources.iter().map(coverage_state).collect();
    let coverage = scan
        .findings
        .coverage(scan.channels, &states)
        .with_doubts(doubts(scan));
    let uncovered = uncovered(&coverage, &sources);
    let counts = counts(scan, &updates, &uncovered);
    let written_at = lists_written_at(scan);
    Report {
        schema: SCHEMA,
        scanned_at: scan.started.at.to_string(),
        root: scan.root.display().to_string(),
        system: system(scan),
        standing: standing(&coverage),
        lists: Lists {
            origin: scan.origin,
            written_at: written_at.map(|at| at.to_string()),
            age_seconds: written_at.map(|at| (scan.started.at.as_second() - at.as_second()).max(0)),
        },
        counts,
        updates,
        coverage: uncovered,
        sources,
        simulation: scan.simulated.as_ref().map(simulation),
        updaters: updaters(scan),
        problems: problems(scan),
        duration_ms: (scan.started.elapsed().as_secs_f64() * 1e6).round() / 1e3,
    }
}

fn system(scan: &Scan<'_>) -> System {
    let (facts, config) = (&scan.host.facts, &scan.host.channel_config);
    System {
        hostname: facts.hostname.clone(),
        os_id: facts.os_id.clone(),
        os_name: facts.os_name.clone(),
        os_version: facts.os_version.clone(),
        os_codename: facts.os_codename.clone(),
        architecture: config.native_architecture.clone(),
        foreign_architectures: config.foreign_architectures.clone(),
        kernel_release: facts.kernel_release.clone(),
        packages_installed: scan.host.inventory.packages.len(),
    }
}

fn updates(scan: &Scan<'_>) -> Vec<Update> {
    let mut grouped: BTreeMap<(update::Classification, UpdateId), Vec<&Finding<'_>>> = BTreeMap::new();
    for finding in &scan.findings.missing {
        let candidate = &finding.missing.candidate;
        let answer = scan.channels.source_of(candidate.listings[0]).1;
        let publisher = update::Publisher {
            origin: answer.release.facts().origin.clone().unwrap_or_default(),
            keys: answer.keys.clone(),
        };
        grouped
            .entry((finding.missing.classification, candidate.update_id(publisher)))
            .or_default()
            .push(finding);
    }
    let mut updates: Vec<Update> = grouped
        .into_iter()
        .map(|((classification, id), findings)| one_update(scan, classification, id, &findings))
        .collect();
    updates.sort_by(|a, b| {
        (a.classification, &a.source, &a.source_version).cmp(&(
            b.classification,
            &b.source,
            &b.source_version,
        ))
    });
    updates
}

fn one_update(
    scan: &Scan<'_>,
    classification: update::Classification,
    id: UpdateId,
    findings: &[&Finding<'_>],
) -> Update {
    let packages: Vec<PackageRef<'_>> = findings
        .iter()
        .map(|finding| PackageRef {
            name: &finding.package.name,
            architecture: &finding.package.architecture,
        })
        .collect();
    let host = scan.host;
    let view = scan.processes.map_or(ProcessView::Unseen, ProcessView::Seen);
    let restarts = effects::restarts(&host.tree, &host.dpkg, &packages, view);
    Update {
        source: id.source,
        source_version: id.source_version,
        build: id.build,
        publisher: Publisher {
            origin: id.publisher.origin,
            keys: id.publisher.keys,
        },
        classification: classification_of(classification),
        packages: findings.iter().map(|finding| package(scan, finding)).collect(),
        restarts: Restarts {
            complete: restarts.blind.is_empty(),
            services: restarts.services,
            programs: restarts.programs,
        },
        reboot: match reboot::reboot(&host.tree, &host.dpkg, &host.facts, &packages) {
            RebootNeed::Yes { .. } => Reboot::Needed,
            RebootNeed::No => Reboot::NotNeeded,
            RebootNeed::Unknown { .. } => Reboot::Unknown,
        },
    }
}

fn classification_of(classification: update::Classification) -> Classification {
    match classification {
        update::Classification::Security => Classification::Security,
        update::Classification::Other => Classification::Other,
    }
}

fn package(scan: &Scan<'_>, finding: &Finding<'_>) -> Package {
    let (installed, candidate) = (finding.package, &finding.missing.candidate);
    let (asked, answer) = scan.channels.source_of(candidate.listings[0]);
    let release = answer.release.facts();
    let (state, reason) = state(&finding.state);
    Package {
        name: installed.name.to_string(),
        architecture: candidate.architecture.to_owned(),
        installed: installed.version.to_string(),
        available: candidate.version.to_owned(),
        source: candidate.source.to_owned(),
        source_version: candidate.source_version.to_owned(),
        suite: release
            .suite
            .clone()
            .unwrap_or_else(|| asked.source.stanzas[0].suite.clone()),
        origin: release.origin.clone().unwrap_or_default(),
        classification: classification_of(finding.missing.classification),
        state,
        reason,
        kept_back: finding.is_kept_back,
        sha256: candidate.sha256.map(|digest| digest.to_string()),
    }
}

fn state(state: &State) -> (PackageState, Option<String>) {
    match state {
        State::Missing => (PackageState::Missing, None),
        State::Held => (
            PackageState::Held,
            Some("on hold by the administrator: apt-mark unhold ends it".to_owned()),
        ),
        State::OnHold(rule) => (
            PackageState::Held,
            Some(format!("kept away by the rule {}", rule.0)),
        ),
        State::Phased(phased) => (PackageState::Phased, Some(phased_reason(phased))),
        State::KeptBack(reason) => (PackageState::KeptBack, Some(kept_back_reason(reason))),
    }
}

fn phased_reason(phased: &Phased) -> String {
    let percent = phased.percent;
    match phased.decision {
        Decision::Excluded { draw } => {
            format!("published to {percent} % of hosts so far; this host's number for it is {draw}")
        }
        _ => format!("published to {percent} % of hosts so far; this host takes only what reaches everyone"),
    }
}

fn kept_back_reason(reason: &KeptBackReason) -> String {
    let named = |names: &[String]| match names {
        [first, second, third, .., _] => format!("{first}, {second}, {third} and {} more", names.len() - 3),
        _ => names.join(", "),
    };
    match reason {
        KeptBackReason::NeedsNewPackages(names) if names.is_empty() => {
            "apt's upgrade leaves it alone, its dist-upgrade does not".to_owned()
        }
        KeptBackReason::NeedsNewPackages(names) => {
            format!("needs new packages; dist-upgrade would install {}", named(names))
        }
        KeptBackReason::NeedsRemovals(names) => {
            format!("needs removals; dist-upgrade would remove {}", named(names))
        }
        KeptBackReason::Unsatisfied => {
            "apt finds no way to upgrade it with what the sources offer".to_owned()
        }
    }
}

fn counts(scan: &Scan<'_>, updates: &[Update], coverage: &[Uncovered]) -> Counts {
    let in_state = |wanted| {
        updates
            .iter()
            .flat_map(|update| &update.packages)
            .filter(|package| package.state == wanted)
            .count()
    };
    let is_open = |update: &&Update| {
        update
            .packages
            .iter()
            .any(|package| matches!(package.state, PackageState::Missing | PackageState::KeptBack))
    };
    let is_security = |update: &&Update| update.classification == Classification::Security;
    Counts {
        updates: updates.iter().filter(is_open).count(),
        packages: in_state(PackageState::Missing) + in_state(PackageState::KeptBack),
        security_updates: updates.iter().filter(is_open).filter(is_security).count(),
        held: in_state(PackageState::Held),
        phased: in_state(PackageState::Phased),
        kept_back: scan.simulated.as_ref().map(|_| in_state(PackageState::KeptBack)),
        not_assessed: coverage.len(),
    }
}

/// The host's standing, by the rule of the domain: a host with a hole never reads as up to date.
fn standing(coverage: &Coverage) -> Standing {
    match coverage.standing() {
        HostStanding::UpToDate => Standing::UpToDate,
        HostStanding::UpdatesMissing { holes: 0, .. } => Standing::UpdatesMissing,
        HostStanding::UpdatesMissing { .. } | HostStanding::Unknown { .. } => Standing::Unknown,
    }
}

/// The holes of single packages in words; those of sources stand with the sources.
fn uncovered(coverage: &Coverage, sources: &[Source]) -> Vec<Uncovered> {
    let named = |number: &SourceNo| {
        let source = &sources[usize::from(number.0)];
        format!("{} {}", source.uri, source.suite)
    };
    let reason = |why: &Unanswered| match why {
        Unanswered::Nowhere if sources.is_empty() => "no source is configured".to_owned(),
        Unanswered::Nowhere => "no configured source lists it".to_owned(),
        Unanswered::NamedBy(source) => format!("from {}, which does not answer now", named(source)),
        Unanswered::PerhapsIn(silent) => match silent.as_slice() {
            [one] => format!("no verified source lists it; {} does not answer", named(one)),
            more => format!(
                "no verified source lists it; {} sources do not answer",
                more.len()
            ),
        },
    };
    let holes = coverage.holes.iter().filter_map(|hole| match hole {
        Hole::Package {
            name,
            architecture,
            version,
            why,
        } => Some(Uncovered {
            name: name.to_string(),
            architecture: architecture.to_string(),
            installed: version.to_string(),
            reason: reason(why),
        }),
        Hole::Host { .. } | Hole::NoSources | Hole::NoPackages | Hole::Source { .. } => None,
    });
    holes.collect()
}

/// What became of a source, as the domain's rule takes it. An index that is missing, or of which stanzas were skipped,
/// makes its silence as doubtful as age does.
fn coverage_state(source: &Source) -> SourceReport {
    let listings = source
        .indexes
        .iter()
        .filter(|index| index.reason.is_none())
        .count();
    let skipped = source.indexes.iter().find(|index| !index.skipped.is_empty());
    let why = source.reason.clone().unwrap_or_default();
    let state = match source.state {
        SourceState::NotAnswering => coverage::SourceState::Refused { why },
        SourceState::Incomplete => coverage::SourceState::ListMissing { why },
        SourceState::Stale => coverage::SourceState::Stale { listings, why },
        SourceState::Verified if skipped.is_some() => coverage::SourceState::Stale {
            listings,
            why: "malformed stanzas were skipped".to_owned(),
        },
        SourceState::Verified => coverage::SourceState::Verified { listings },
    };
    SourceReport {
        name: format!("{} {}", source.uri, source.suite),
        state,
    }
}

fn source(asked: &Asked<'_>) -> Source {
    let first = asked.source.stanzas[0];
    let components = asked
        .source
        .stanzas
        .iter()
        .flat_map(|stanza| stanza.components.iter().cloned());
    let mut source = Source {
        uri: first.uri.clone(),
        suite: first.suite.clone(),
        components: components.collect(),
        configured_in: asked
            .source
            .stanzas
            .iter()
            .map(|stanza| format!("{}:{}", stanza.file, stanza.line))
            .collect(),
        state: SourceState::NotAnswering,
        reason: None,
        origin: None,
        label: None,
        codename: None,
        version: None,
        date: None,
        valid_until: None,
        release_sha256: None,
        signatures: Vec::new(),
        indexes: Vec::new(),
    };
    match &asked.outcome {
        Ok(answer) => fill(&mut source, answer),
        Err(why) => source.reason = Some(text::chain(why)),
    }
    source
}

fn fill(source: &mut Source, answer: &Answer) {
    let facts = answer.release.facts();
    source.origin.clone_from(&facts.origin);
    source.label.clone_from(&facts.label);
    source.codename.clone_from(&facts.codename);
    source.version.clone_from(&facts.version);
    source.date = facts.date.map(|at| at.to_string());
    source.valid_until = facts.valid_until.map(|at| at.to_string());
    source.release_sha256 = Some(answer.release_digest.to_string());
    source.signatures = answer
        .signatures
        .iter()
        .map(|good| Signature {
            certificate: good.certificate.clone(),
            key: good.key.clone(),
            user_id: good.user_id.clone(),
            made: good.made.to_string(),
        })
        .collect();
    source.indexes = answer.listings.iter().map(index).collect();
    let is_missing = |listing: &ListingAnswer| listing.outcome.is_err();
    (source.state, source.reason) = match answer.freshness {
        _ if answer.listings.iter().any(is_missing) => (SourceState::Incomplete, None),
        _ if answer.doubt.is_some() => (SourceState::Stale, answer.doubt.clone()),
        Freshness::Fresh { .. } => (SourceState::Verified, None),
        Freshness::Expired { since } => (
            SourceState::Stale,
            Some(format!(
                "what it published expired on {}: newer updates may exist; --refresh fetches them",
                day(since)
            )),
        ),
        Freshness::FromTheFuture { until } => (
            SourceState::Stale,
            Some(format!(
                "its release file is dated {}, which has not come yet: is this machine's clock right?",
                until
            )),
        ),
    };
}

fn index(listing: &ListingAnswer) -> Index {
    let mut index = Index {
        component: listing.component.clone(),
        architecture: listing.architecture.clone(),
        sha256: None,
        packages: None,
        skipped: Vec::new(),
        reason: None,
    };
    match &listing.outcome {
        Ok(readable) => {
            index.sha256 = Some(readable.digest.to_string());
            index.packages = Some(readable.index.len());
            let skipped = |stanza: sources::apt::index::SkippedStanza| {
                format!("line {}: {} {}", stanza.line, stanza.name, stanza.why)
            };
            index.skipped = readable.index.skipped().map(skipped).collect();
        }
        Err(why) => index.reason = Some(no_listing(why)),
    }
    index
}

fn no_listing(why: &NoListing) -> String {
    text::chain(why)
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// When the lists were last written: by the folders that apt works in, for the host's own.
fn lists_written_at(scan: &Scan<'_>) -> Option<Timestamp> {
    if scan.origin == ListsOrigin::Refreshed {
        return Some(scan.started.at);
    }
    let lists = &scan.host.lists;
    let modified = |path: std::path::PathBuf| path.symlink_metadata().ok()?.modified().ok()?.try_into().ok();
    let times = [lists.clone(), lists.join("partial")].map(modified);
    times.into_iter().flatten().max()
}

fn simulation(simulated: &super::simulate::Simulated) -> Simulation {
    let names = |set: &std::collections::BTreeSet<super::simulate::Name>| {
        set.iter()
            .map(|(name, architecture)| format!("{name}:{architecture}"))
            .collect()
    };
    let transaction = |run: &super::simulate::Run| Transaction {
        upgraded: names(&run.upgraded),
        new: names(&run.new),
        removed: names(&run.removed),
    };
    Simulation {
        upgrade: transaction(&simulated.upgrade),
        dist_upgrade: transaction(&simulated.dist_upgrade),
    }
}

fn updaters(scan: &Scan<'_>) -> Vec<Updater> {
    let updaters = agent::updaters::updaters(scan.host).into_iter();
    updaters
        .map(|updater| Updater {
            name: updater.name,
            installs: updater.installs(),
            what: updater.to_string(),
        })
        .collect()
}

/// What of the host's own files could not be followed: a package, source or pin that was left out may change the answer.
fn doubts(scan: &Scan<'_>) -> Vec<String> {
    let of_host = scan
        .host
        .problems
        .iter()
        .filter(|problem| problem.effect > Effect::Noted);
    let of_policy = scan.findings.policy.problems().iter();
    of_host
        .map(ToString::to_string)
        .chain(of_policy.map(ToString::to_string))
        .collect()
}

fn problems(scan: &Scan<'_>) -> Vec<Problem> {
    let of_host = scan.host.problems.iter().map(|problem| Problem {
        file: Some(problem.file.clone()),
        line: (problem.line > 0).then_some(problem.line),
        what: problem.sentence(),
    });
    let of_policy = scan.findings.policy.problems().iter().map(|problem| Problem {
        file: None,
        line: None,
        what: problem.to_string(),
    });
    of_host.chain(of_policy).collect()
}
