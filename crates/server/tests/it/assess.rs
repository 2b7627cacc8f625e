//! Fleets in memory, without a database: archives are synced, hosts told, and what comes out is compared.

mod world;

pub use world::installed;

use domain::assess::at_risk::{Name, Range, Warning};
use domain::assess::coverage::SourceState;
use domain::assess::fleet::HostNo;
use domain::catalog::source::Match;
use jiff::SignedDuration;
use proptest::prelude::*;
use server::assess::channels::UNREACHED;
use server::assess::fleet::Fleet;
use server::catalog::derive;
use server::catalog::wish::wishes;
use std::collections::BTreeSet;
use testkit::archive::package::Package;
use testkit::keys::SigningKey;
use world::{Published, World, found};

const HELLO: &str = "hello";

#[test]
fn thirty_mirrors_of_one_archive_are_one_source() {
    let world = World::new();
    let published = world.publish("stable", &world.key, &[Package::new(HELLO, "1.0-2")]);
    let mut fleet = world.fleet(&[&published]);
    for mirror in 0..30_u32 {
        let uri = format!("http://mirror{mirror}.example/world/");
        let config = world.config(&[(&uri, &published)]);
        world.tell(&mut fleet, HostNo(mirror), &config, &[installed(HELLO, "1.0-1")]);
    }
    let channels: Vec<_> = (0..30)
        .filter_map(|host| fleet.channels_of(HostNo(host)))
        .collect();
    let wishes: Vec<_> = channels.iter().flat_map(|channels| wishes(channels)).collect();
    let meant: BTreeSet<_> = wishes
        .iter()
        .map(|wish| match wish.matched {
            Match::Source(id) => id,
            _ => panic!("{wish:?}"),
        })
        .collect();
    assert_eq!(meant.len(), 1);
    let places: BTreeSet<_> = wishes.iter().map(|wish| &wish.place).collect();
    assert_eq!(places.len(), 30);
    let (missing, unknown) = found(&fleet);
    assert_eq!(missing["hello 1.0-2"], (0..30).collect());
    assert!(unknown.is_empty());
}

#[test]
fn a_source_that_nobody_adopted_makes_its_hosts_unknown_and_is_proposed() {
    let world = World::new();
    let known = world.publish("stable", &world.key, &[Package::new(HELLO, "1.0-1")]);
    let other = world.publish("extra", &world.key, &[Package::new("extra", "1")]);
    let mut fleet = world.fleet(&[&known]);
    let both = world.config(&[("http://a.example/", &known), ("http://a.example/", &other)]);
    world.tell(&mut fleet, HostNo(0), &both, &[installed(HELLO, "1.0-1")]);
    assert_eq!(found(&fleet).1, BTreeSet::from([0]));
    let channels = fleet.channels_of(HostNo(0)).expect("it holds");
    let wishes = wishes(channels);
    assert_eq!(wishes[1].matched, Match::New);
    assert_eq!(wishes[1].components, BTreeSet::from(["main".to_owned()]));
    assert_eq!(wishes[1].keys, BTreeSet::from([world.key.fingerprint()]));
    assert!(
        matches!(&channels.sources[1].report.state, SourceState::Refused { why } if why.contains("adopted"))
    );
    // Adopted, the hole closes.
    fleet.set_in_force(world.in_force(&[&known, &other]), &world.content, world.now);
    assert_eq!(found(&fleet).1, BTreeSet::new());
}

#[test]
fn a_source_of_the_same_name_with_other_keys_answers_for_nobody_who_trusts_only_those() {
    let world = World::new();
    let published = world.publish("stable", &world.key, &[Package::new(HELLO, "1.0-2")]);
    let mut fleet = world.fleet(&[&published]);
    let stranger = SigningKey::ed25519("Stranger <stranger@archive.example>");
    let config = world.config_with_key(&[("http://a.example/", &published)], &stranger);
    world.tell(&mut fleet, HostNo(0), &config, &[installed(HELLO, "1.0-1")]);
    let (missing, unknown) = found(&fleet);
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(unknown, BTreeSet::from([0]));
    let channels = fleet.channels_of(HostNo(0)).expect("it holds");
    assert!(matches!(channels.sources[0].matched, Match::OtherKeys(_)));
}

#[test]
fn a_source_that_could_not_be_reached_for_long_makes_its_hosts_unknown_by_time_alone() {
    let world = World::new();
    let published = world.publish("stable", &world.key, &[Package::new(HELLO, "1.0-2")]);
    let mut fleet = world.fleet(&[&published]);
    let config = world.config(&[("http://a.example/", &published)]);
    world.tell(&mut fleet, HostNo(0), &config, &[installed(HELLO, "1.0-1")]);
    assert!(found(&fleet).1.is_empty());
    let just_before = world.now + UNREACHED - SignedDuration::from_secs(1);
    fleet.pass_time(&world.content, just_before);
    assert!(found(&fleet).1.is_empty());
    fleet.pass_time(&world.content, world.now + UNREACHED);
    let (missing, unknown) = found(&fleet);
    assert_eq!(unknown, BTreeSet::from([0]));
    assert_eq!(
        missing["hello 1.0-2"],
        BTreeSet::from([0]),
        "what is known to be missing stays"
    );
}

#[test]
fn a_package_that_nobody_lists_or_only_older_makes_its_host_unknown() {
    let world = World::new();
    let published = world.publish("stable", &world.key, &[Package::new(HELLO, "1.0-2")]);
    let mut fleet = world.fleet(&[&published]);
    let config = world.config(&[("http://a.example/", &published)]);
    world.tell(&mut fleet, HostNo(0), &config, &[installed(HELLO, "1.0-2")]);
    world.tell(&mut fleet, HostNo(1), &config, &[installed(HELLO, "1.0-3")]);
    world.tell(
        &mut fleet,
        HostNo(2),
        &config,
        &[installed(HELLO, "1.0-2"), installed("own", "1")],
    );
    world.tell(&mut fleet, HostNo(3), &config, &[]);
    assert_eq!(found(&fleet).1, BTreeSet::from([1, 2, 3]));
}

#[test]
fn the_servers_own_agent_makes_no_host_unknown_and_another_version_of_it_does() {
    let world = World::new();
    let published = world.publish("stable", &world.key, &[Package::new(HELLO, "1.0-2")]);
    let mut fleet = world.fleet(&[&published]);
    let config = world.config(&[("http://a.example/", &published)]);
    let versions = [env!("CARGO_PKG_VERSION"), "0.0.1", "99"];
    for (number, version) in (0..).zip(versions) {
        let packages = [installed(HELLO, "1.0-2"), installed("patchyard-agent", version)];
        world.tell(&mut fleet, HostNo(number), &config, &packages);
    }
    assert_eq!(found(&fleet).1, BTreeSet::from([1, 2]));
}

#[test]
fn a_host_that_told_nothing_is_unknown_and_a_host_that_is_gone_is_nothing() {
    let world = World::new();
    let published = world.publish("stable", &world.key, &[Package::new(HELLO, "1.0-2")]);
    let mut fleet = world.fleet(&[&published]);
    let config = world.config(&[("http://a.example/", &published)]);
    world.tell(&mut fleet, HostNo(0), &config, &[installed(HELLO, "1.0-1")]);
    world.tell_nothing(&mut fleet, HostNo(1));
    assert_eq!(found(&fleet).1, BTreeSet::from([1]));
    fleet.remove(HostNo(0));
    fleet.remove(HostNo(1));
    let (missing, unknown) = found(&fleet);
    assert!(missing.is_empty() && unknown.is_empty());
}

#[test]
fn an_update_that_left_its_source_is_seen_to_be_gone() {
    let world = World::new();
    let first = [
        Package::new(HELLO, "1.0-2"),
        Package::new("libhello", "1.0-2").source("hello"),
        Package::new("gone", "2"),
    ];
    let first = world.publish("stable", &world.key, &first);
    let second = [
        Package::new(HELLO, "1.0-3"),
        Package::new("libhello", "1.0-2+b1").source("hello (1.0-2)"),
    ];
    let second = world.publish("stable", &world.key, &second);
    let words = |listed: &BTreeSet<derive::Listed>| -> BTreeSet<String> {
        let word = |one: &derive::Listed| format!("{} {} {}", one.source, one.source_version, one.build);
        listed.iter().map(word).collect()
    };
    let set = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<BTreeSet<_>>()
    };
    let all = derive::difference(&world.content, &[], &first.kept.indexes).expect("it holds");
    assert_eq!(words(&all.come), set(&["hello 1.0-2 ", "gone 2 "]));
    let difference =
        derive::difference(&world.content, &first.kept.indexes, &second.kept.indexes).expect("it holds");
    assert_eq!(words(&difference.come), set(&["hello 1.0-3 ", "hello 1.0-2 +b1"]));
    assert_eq!(words(&difference.gone), set(&["hello 1.0-2 ", "gone 2 "]));
    let nothing =
        derive::difference(&world.content, &second.kept.indexes, &second.kept.indexes).expect("it holds");
    assert_eq!(nothing, derive::Difference::default());
}

#[test]
fn who_is_at_risk_is_known_by_source_and_fixed_version_before_any_update_is_out() {
    let world = World::new();
    let published = world.publish("stable", &world.key, &[Package::new(HELLO, "1.0-2")]);
    let mut fleet = world.fleet(&[&published]);
    let config = world.config(&[("http://a.example/", &published)]);
    for (host, version) in ["1.0-1", "1.0-2", "1.0-3", "2.0-1"].iter().enumerate() {
        world.tell(
            &mut fleet,
            HostNo(host as u32),
            &config,
            &[installed(HELLO, version)],
        );
    }
    let warning = |from: Option<&str>, fixed: &str, codename: Option<&str>| Warning {
        ranges: vec![Range {
            name: Name::Source(HELLO.to_owned()),
            from: from.map(str::to_owned),
            fixed: Some(fixed.to_owned()),
            codename: codename.map(str::to_owned),
        }],
    };
    let releases = |host: HostNo| (host.0 != 1).then(|| if host.0 == 0 { "old" } else { "new" }.into());
    let at_risk = |warning: Warning| fleet.at_risk(&warning, releases).iter().collect::<Vec<_>>();
    assert_eq!(at_risk(warning(None, "1.0-3", None)), [0, 1]);
    assert_eq!(at_risk(warning(Some("1.0-2"), "2.0-1", None)), [1, 2]);
    assert_eq!(
        at_risk(warning(None, "9", Some("old"))),
        [0, 1],
        "a host that says no release may be of any"
    );
}

/// Versions of two packages, installed or published; 0 is none.
type Versions = [u8; 2];

#[derive(Clone, Debug)]
enum Event {
    Tell(u32, bool, Versions),
    Silence(u32),
    Remove(u32),
    Sync(bool, usize),
    Late,
}

fn event() -> impl Strategy<Value = Event> {
    let host = || prop_oneof![0..6_u32, 65_534..65_538_u32];
    prop_oneof![
        6 => (host(), any::<bool>(), [0..4_u8, 0..4_u8]).prop_map(|(host, both, has)| Event::Tell(host, both, has)),
        1 => host().prop_map(Event::Silence),
        1 => host().prop_map(Event::Remove),
        4 => (any::<bool>(), 0..3_usize).prop_map(|(security, which)| Event::Sync(security, which)),
        1 => Just(Event::Late),
    ]
}

/// What is published at a time: three snapshots each of two sources.
fn snapshots(world: &World) -> [Vec<Published>; 2] {
    let of = |suite: &str, versions: [Versions; 3]| {
        let publish = |versions: Versions| {
            let packages: Vec<Package> = ["one", "two"]
                .iter()
                .zip(versions)
                .filter(|(_, version)| *version > 0)
                .map(|(name, version)| Package::new(name, &format!("1.{version}")).source("both"))
                .collect();
            world.publish(suite, &world.key, &packages)
        };
        versions.map(publish).into()
    };
    [
        of("stable", [[1, 1], [1, 2], [2, 0]]),
        of("stable-security", [[2, 0], [0, 3], [3, 3]]),
    ]
}

#[test]
fn a_fleet_kept_current_with_real_sources_is_one_rebuilt_from_its_rows() {
    let world = World::new();
    let snapshots = snapshots(&world);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let run = runner.run(&prop::collection::vec(event(), 1..40), |events| {
        let mut now = world.now;
        let mut current = [0, 0];
        let mut fleet = Fleet::default();
        let chosen = |current: [usize; 2]| [&snapshots[0][current[0]], &snapshots[1][current[1]]];
        fleet.set_in_force(world.in_force(&chosen(current)), &world.content, now);
        let mut told = std::collections::BTreeMap::new();
        for event in events {
            match event {
                Event::Tell(host, both, has) => drop(told.insert(host, Some((both, has)))),
                Event::Silence(host) => drop(told.insert(host, None)),
                Event::Remove(host) => {
                    told.remove(&host);
                    fleet.remove(HostNo(host));
                    continue;
                }
                Event::Sync(security, which) => {
                    current[usize::from(security)] = which;
                    fleet.set_in_force(world.in_force(&chosen(current)), &world.content, now);
                    continue;
                }
                Event::Late => {
                    now += UNREACHED;
                    fleet.pass_time(&world.content, now);
                    continue;
                }
            }
            let (host, what) = match event {
                Event::Tell(host, ..) | Event::Silence(host) => (host, told[&host]),
                _ => continue,
            };
            tell(&world, &snapshots, &mut fleet, host, what, now);
        }
        let mut anew = Fleet::default();
        anew.set_in_force(world.in_force(&chosen(current)), &world.content, now);
        for (host, what) in &told {
            tell(&world, &snapshots, &mut anew, *host, *what, now);
        }
        prop_assert_eq!(found(&fleet), found(&anew));
        Ok(())
    });
    run.expect("the property holds");
}

fn tell(
    world: &World,
    snapshots: &[Vec<Published>; 2],
    fleet: &mut Fleet,
    host: u32,
    what: Option<(bool, Versions)>,
    now: jiff::Timestamp,
) {
    let Some((both, has)) = what else {
        return world.tell_nothing(fleet, HostNo(host));
    };
    let uri = "http://a.example/";
    let config = match both {
        true => world.config(&[(uri, &snapshots[0][0]), (uri, &snapshots[1][0])]),
        false => world.config(&[(uri, &snapshots[0][0])]),
    };
    let packages: Vec<_> = ["one", "two"]
        .iter()
        .zip(has)
        .filter(|(_, version)| *version > 0)
        .map(|(name, version)| installed(name, &format!("1.{version}")))
        .collect();
    world.tell_at(fleet, HostNo(host), &config, &packages, now);
}
