//! Priorities, candidates, phasing and patterns against apt, glibc and libstdc++ themselves.

mod answers;
mod libapt;
mod patterns;
mod phasing;
mod world;

use crate::oracle;
use domain::assess::explain::{Fact, Question, explain};
use domain::assess::overlay::{State, overlay};
use domain::assess::phasing::{InChroot, Machine};
use domain::assess::policy::{Policy, PolicyProblem};
use domain::assess::rules::{AptRules, HostSide};
use domain::assess::verdict::{Verdict, verdict};
use domain::catalog::listing::{Listing, ListingNo};
use domain::host::inventory::InstalledPackage;
use libapt::Answer;
use std::io::Write;
use std::process::Command;
use world::World;

/// What of a world was seen to be equal.
#[derive(Debug, Default)]
struct Seen {
    worlds: usize,
    refused: usize,
    packages: usize,
    versions: usize,
    upgradable: usize,
    held: usize,
    phased: usize,
}

fn apt_version() -> Option<String> {
    let output = Command::new("/usr/bin/apt-get").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split_whitespace().nth(1)?.to_owned())
}

#[test]
fn every_candidate_and_priority_is_the_one_that_apt_has() {
    if !oracle::has_libapt() {
        return;
    }
    let rules = AptRules::of_version(&apt_version().expect("apt says its version"));
    let count = oracle::number("PATCHYARD_WORLDS", 300);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("apt.conf");
    libapt::write_config(&config);
    let worlds: Vec<World> = (0..count).map(World::new).collect();
    let folders: Vec<_> = (0..count)
        .map(|number| folder.path().join(number.to_string()))
        .collect();
    for (world, folder) in worlds.iter().zip(&folders) {
        world.write(folder);
    }
    let folders: Vec<_> = folders.iter().map(|folder| folder.as_path()).collect();
    let mut seen = Seen::default();
    libapt::ask(&folders, &config, |number, answer| {
        compare(&worlds[number], &answer, rules, &mut seen).unwrap_or_else(|difference| {
            panic!("world {number}: {difference}\n{:#?}", worlds[number].config.pins)
        });
    });
    writeln!(std::io::stderr(), "{seen:?}").expect("standard error is open");
    assert!(
        seen.upgradable > count / 2 && seen.phased > 0 && seen.held > 0,
        "worlds too plain: {seen:?}"
    );
}

fn compare(world: &World, answer: &Answer, rules: AptRules, seen: &mut Seen) -> Result<(), String> {
    seen.worlds += 1;
    let files = answer.files.values().filter(|(path, _)| path != "-");
    let order: Vec<usize> = files
        .map(|(path, _)| {
            let name = path.rsplit('/').next().expect("never empty");
            world
                .indexes
                .iter()
                .position(|index| index.file == name)
                .expect("a file of this world")
        })
        .collect();
    let in_order: Vec<usize> = if answer.refusal.is_some() {
        (0..world.indexes.len()).collect()
    } else {
        order
    };
    let listings: Vec<Listing> = in_order
        .iter()
        .map(|index| world.indexes[*index].listing.clone())
        .collect();
    let machine = Machine {
        machine_id: world.machine_id.clone(),
        in_chroot: InChroot::No,
    };
    let policy = Policy::new(&world.config, &listings)
        .on(HostSide { machine, rules })
        .with_any_names(world.any_names());
    let refuses = policy
        .problems()
        .iter()
        .any(|problem| matches!(problem, PolicyProblem::UnknownDefaultRelease(_)));
    if refuses != answer.refusal.is_some() {
        return Err(format!("we refuse: {refuses}, apt: {:?}", answer.refusal));
    }
    if refuses {
        seen.refused += 1;
        return Ok(());
    }
    compare_listings(&policy, answer)?;
    for name in world.names() {
        for architecture in ["amd64", "i386"] {
            compare_package(
                world,
                &policy,
                &listings,
                &in_order,
                (name, architecture),
                answer,
                seen,
            )?;
        }
    }
    Ok(())
}

fn compare_listings(policy: &Policy, answer: &Answer) -> Result<(), String> {
    let mut number = 0;
    for (path, theirs) in answer.files.values() {
        let ours = if path == "-" {
            policy.status().value
        } else {
            number += 1;
            policy.listing(ListingNo(number - 1)).expect("listed").value
        };
        if i32::from(ours) != *theirs {
            return Err(format!("{path}: priority {ours}, apt {theirs}"));
        }
    }
    Ok(())
}

/// Versions with priorities, and the candidate's place.
type Table = (Vec<(String, i32)>, Option<usize>);

fn compare_package(
    world: &World,
    policy: &Policy,
    listings: &[Listing],
    order: &[usize],
    (name, architecture): (&str, &str),
    answer: &Answer,
    seen: &mut Seen,
) -> Result<(), String> {
    let offers = world.offers(name, order);
    let package = world.installed.iter().find(|package| {
        &*package.name == name && policy.filed_architecture(&package.architecture) == architecture
    });
    let question = Question {
        name,
        architecture,
        package,
        offers: &offers,
        listings,
        settings: &world.config.settings,
        simulated: None,
    };
    let explanation = explain(policy, &question);
    let ours = our_table(&explanation.facts);
    let apt = answer.packages.get(&(name.to_owned(), architecture.to_owned()));
    let is_remembered = |apt: &libapt::Package| apt.versions.iter().any(|version| version.is_known_to_dpkg);
    if package.is_none() && apt.is_some_and(is_remembered) {
        // Only its configuration is left: no inventory, but apt weighs the remembered version too.
        return Ok(());
    }
    let theirs = apt.map(their_table).unwrap_or_default();
    if ours != theirs {
        return Err(format!(
            "{name}:{architecture}: {ours:?}, apt {theirs:?}\n{explanation}"
        ));
    }
    seen.packages += 1;
    seen.versions += theirs.0.len();
    let (Some(package), Some(apt)) = (package, apt) else {
        return Ok(());
    };
    compare_verdict(world, policy, package, &offers, (answer, apt), seen)
        .map_err(|why| format!("{why}\n{explanation}"))
}

fn compare_verdict(
    world: &World,
    policy: &Policy,
    package: &InstalledPackage,
    offers: &[domain::catalog::offer::Offer<'_>],
    (answer, apt): (&Answer, &libapt::Package),
    seen: &mut Seen,
) -> Result<(), String> {
    let verdict = verdict(policy, package, offers);
    let candidate = apt.candidate.map(|place| apt.versions[place].text.as_str());
    let Verdict::Missing(missing) = &verdict else {
        return if apt.is_upgradable {
            Err(format!("apt would upgrade {package:?}: {verdict:?}"))
        } else {
            Ok(())
        };
    };
    if !apt.is_upgradable || Some(missing.candidate.version) != candidate {
        return Err(format!("apt would not upgrade {package:?}: {verdict:?}"));
    }
    seen.upgradable += 1;
    let state = overlay(missing, package, &world.config.settings, policy.host(), None);
    match state {
        State::Held => seen.held += 1,
        State::Phased(_) => seen.phased += 1,
        _ => {}
    }
    if (state != State::Missing) == apt.is_upgraded && world.is_plain && answer.no_plan.is_none() {
        return Err(format!(
            "{package:?}: {state:?}, but apt upgrades it: {}\n{answer:#?}",
            apt.is_upgraded
        ));
    }
    Ok(())
}

fn our_table(facts: &[Fact]) -> Table {
    let versions: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Offered {
                version, priority, ..
            }
            | Fact::OnlyInstalled { version, priority } => Some((version.clone(), i32::from(priority.value))),
            _ => None,
        })
        .collect();
    let skipped = facts
        .iter()
        .filter(|fact| matches!(fact, Fact::NotChosen { .. }))
        .count();
    let is_chosen = facts.iter().any(|fact| matches!(fact, Fact::Chosen { .. }));
    let only_installed =
        facts.iter().any(|fact| matches!(fact, Fact::NotListed { .. })) && !versions.is_empty();
    let candidate = if is_chosen {
        Some(skipped)
    } else {
        only_installed.then_some(0).filter(|_| versions[0].1 > 0)
    };
    (versions, candidate)
}

/// Without the versions that are only remembered by configuration files, which are never candidates.
fn their_table(package: &libapt::Package) -> Table {
    let is_real =
        |place: usize| package.installed == Some(place) || !package.versions[place].files.is_empty();
    let real: Vec<usize> = (0..package.versions.len())
        .filter(|place| is_real(*place))
        .collect();
    let versions = real.iter().map(|place| &package.versions[*place]);
    let candidate = package
        .candidate
        .and_then(|chosen| real.iter().position(|place| *place == chosen));
    (
        versions
            .map(|version| (version.text.clone(), version.priority))
            .collect(),
        candidate,
    )
}
