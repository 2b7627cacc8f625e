//! Findings grouped into updates, with what installing them would do, and what stands in the way put into words.

use crate::report::*;
use crate::scan::Scan;
use crate::scan::findings::Finding;
use crate::scan::side_by_side::side_by_side;
use agent::effects::reboot::RebootNeed;
use agent::effects::{Effects, PackageRef, ProcessView, Surroundings};
use domain::assess::overlay::{KeptBackReason, Phased, State};
use domain::assess::phasing::Decision;
use domain::catalog::update::{self, UpdateId};
use std::collections::BTreeMap;

/// All updates, security first, then by source package.
pub fn of(scan: &Scan<'_>) -> Vec<Update> {
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
    let grouped: Vec<_> = grouped.into_iter().collect();
    let host = scan.host;
    let view = scan.processes.map_or(ProcessView::Unseen, ProcessView::Seen);
    let surroundings = Surroundings::new(&host.tree, &host.dpkg, &host.facts, view);
    let mut updates: Vec<Update> = side_by_side(&grouped, |((classification, id), findings)| {
        one_update(scan, &surroundings, *classification, id.clone(), findings)
    });
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
    surroundings: &Surroundings<'_>,
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
    let Effects { restarts, reboot } = surroundings.effects(&packages);
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
        reboot: match reboot {
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
