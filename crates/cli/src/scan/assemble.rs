//! Makes the report out of a finished scan. Findings grouped into updates are in `updates`, sources and holes put into
//! words in `holes`.

mod holes;
mod updates;

use super::Scan;
use crate::report::*;
use agent::problem::Effect;
use domain::assess::coverage::{Coverage, HostStanding, SourceReport};
use jiff::Timestamp;

/// The report of a scan.
pub fn report(scan: &Scan<'_>) -> Report {
    let updates = updates::of(scan);
    let written_at = lists_written_at(scan);
    let age_seconds = written_at.map(|at| (scan.started.at.as_second() - at.as_second()).max(0));
    let mut sources: Vec<Source> = scan.channels.asked.iter().map(holes::source).collect();
    holes::doubt_old_lists(&mut sources, age_seconds);
    let states: Vec<SourceReport> = sources.iter().map(holes::source_report).collect();
    let coverage = scan
        .findings
        .coverage(&states, |name| scan.channels.likely_home(name))
        .with_doubts(doubts(scan));
    let uncovered = holes::uncovered(&coverage, &sources);
    let counts = counts(scan, &updates, &uncovered);
    Report {
        schema: SCHEMA,
        scanned_at: scan.started.at.to_string(),
        root: scan.root.display().to_string(),
        system: system(scan),
        standing: standing(&coverage),
        lists: Lists {
            origin: scan.origin,
            written_at: written_at.map(|at| at.to_string()),
            age_seconds,
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
        effect: match problem.effect {
            Effect::Noted => ProblemEffect::Noted,
            Effect::Doubted | Effect::Skipped | Effect::AptRefuses => ProblemEffect::NotAssessed,
        },
    });
    let weakened = scan.host.channel_config.stanzas.iter().filter(|stanza| stanza.weakened).map(|stanza| Problem {
        file: Some(stanza.file.clone()),
        line: Some(stanza.line),
        what: "an option here tells apt to accept what is not signed well (allow-insecure, allow-weak ...); Patchyard \
               does not obey it"
            .to_owned(),
        effect: ProblemEffect::Noted,
    });
    let of_policy = scan.findings.policy.problems().iter().map(|problem| Problem {
        file: None,
        line: None,
        what: problem.to_string(),
        effect: ProblemEffect::NotAssessed,
    });
    of_host.chain(weakened).chain(of_policy).collect()
}
