//! Servers that lie. Each lie meets a source of which a snapshot is in force and a newer one is published.

use super::world::{INDEX, INRELEASE, World, adopted, assert_sound, day, failure, now, package_count};
use sources::apt::sync::{Outcome, SyncError};
use std::path::PathBuf;
use testkit::archive::Archive;
use testkit::server::Lie;

/// A lie, told about a file, and what the refusal has to say.
struct Case {
    threat: &'static str,
    path: &'static str,
    lie: Lie,
    says: &'static str,
}

fn case(threat: &'static str, path: &'static str, lie: Lie, says: &'static str) -> Case {
    Case {
        threat,
        path,
        lie,
        says,
    }
}

fn slow() -> Lie {
    Lie::Slow {
        bytes_per_second: 4 * 1024,
    }
}

/// The threats of the design's table that a server can try, against each of the two files.
fn cases(older: PathBuf) -> Vec<Case> {
    let bomb = Lie::Bomb {
        unpacked_bytes: 4 << 20,
    };
    let elsewhere = Lie::Redirect("ftp://archive.example/x".to_owned());
    vec![
        case("tampered release", INRELEASE, Lie::Tampered(300), "refused"),
        case("truncated release", INRELEASE, Lie::Truncated(400), "refused"),
        case(
            "release without end",
            INRELEASE,
            Lie::Endless,
            "longer than 1048576 bytes",
        ),
        case(
            "slow retrieval of the release",
            INRELEASE,
            Lie::Slow {
                bytes_per_second: 100,
            },
            "bytes a second",
        ),
        case(
            "release that never comes",
            INRELEASE,
            Lie::Hangs,
            "does not answer within",
        ),
        case(
            "rollback",
            INRELEASE,
            Lie::Stale(older.clone()),
            "an older one is never taken",
        ),
        case(
            "release cut by its length",
            INRELEASE,
            Lie::WrongLength(200),
            "refused",
        ),
        case(
            "release longer than it is",
            INRELEASE,
            Lie::WrongLength(900_000),
            "fetch http",
        ),
        case(
            "redirect loop of the release",
            INRELEASE,
            Lie::RedirectLoop,
            "redirected more than 5 times",
        ),
        case(
            "CVE-2019-3462 in the release",
            INRELEASE,
            Lie::InjectedHeader,
            "has neither InRelease nor Release",
        ),
        case(
            "release gone",
            INRELEASE,
            Lie::NotFound,
            "has neither InRelease nor Release",
        ),
        case("broken server", INRELEASE, Lie::Http500, "status 500"),
        case(
            "redirect to another scheme",
            INRELEASE,
            elsewhere.clone(),
            "no usable address",
        ),
        case(
            "tampered index",
            INDEX,
            Lie::Tampered(300),
            "is not the one expected",
        ),
        case(
            "truncated index",
            INDEX,
            Lie::Truncated(300),
            "bytes long and not",
        ),
        case("index without end", INDEX, Lie::Endless, "longer than the"),
        case(
            "slow retrieval of the index",
            INDEX,
            slow(),
            "less than 10240 bytes a second",
        ),
        case(
            "index that never comes",
            INDEX,
            Lie::Hangs,
            "does not answer within",
        ),
        case("mix and match", INDEX, Lie::Stale(older), "not"),
        case(
            "decompression bomb in the index's place",
            INDEX,
            bomb,
            "bytes long and not",
        ),
        case(
            "index of another length",
            INDEX,
            Lie::WrongLength(17),
            "17 bytes long and not",
        ),
        case(
            "redirect loop of the index",
            INDEX,
            Lie::RedirectLoop,
            "redirected more than 5 times",
        ),
        case(
            "CVE-2019-3462 in the index",
            INDEX,
            Lie::InjectedHeader,
            "the archive does not have it",
        ),
        case("index gone", INDEX, Lie::NotFound, "the archive does not have it"),
        case("broken server for the index", INDEX, Lie::Http500, "status 500"),
        case(
            "index sent to another scheme",
            INDEX,
            elsewhere,
            "no usable address",
        ),
    ]
}

#[test]
fn no_lie_replaces_the_snapshot_in_force_or_stops_another_source() {
    let older = tempfile::tempdir().unwrap();
    World::new()
        .archive("one", "older")
        .date(day(-1))
        .write_to(older.path())
        .unwrap();
    side_by_side(
        cases(older.path().to_owned()),
        |Case {
             threat,
             path,
             lie,
             says,
         }| {
            let world = World::new();
            let first = adopted(world.sync("one"));
            world.publish_second();
            world.server.lie(path, lie);
            let stanzas = [world.stanza("one"), world.stanza("two")];
            let mut outcomes = world.sync_all(&world.store(), &stanzas, now());
            adopted(outcomes.remove(1).outcome);
            let said = failure(outcomes.remove(0).outcome);
            assert!(said.contains(says), "{threat}: {said}");
            let current = world.current("one").unwrap();
            assert_eq!(current.release_digest, first.release_digest, "{threat}");
            assert_eq!(current.indexes, first.indexes, "{threat}");
            assert_sound(&world.store());

            world.server.be_honest();
            let second = adopted(world.sync("one"));
            assert_eq!(
                second.release_digest,
                world.digest(INRELEASE),
                "{threat}: an honest server is believed again"
            );
            assert_eq!(package_count(&world.store(), &second), 100, "{threat}");
        },
    );
}

/// Most cases wait more than they work.
fn side_by_side(mut cases: Vec<Case>, check: impl Fn(Case) + Sync) {
    while !cases.is_empty() {
        let rest = cases.split_off(cases.len().min(6));
        std::thread::scope(|scope| {
            for case in std::mem::replace(&mut cases, rest) {
                scope.spawn(|| check(case));
            }
        });
    }
}

#[test]
fn the_threats_hold_for_a_source_that_was_never_synced_too() {
    let older = tempfile::tempdir().unwrap();
    let mut cases = cases(older.path().to_owned());
    cases.retain(|case| !matches!(case.lie, Lie::Stale(_)));
    side_by_side(
        cases,
        |Case {
             threat, path, lie, ..
         }| {
            let world = World::new();
            world.server.lie(path, lie);
            assert!(matches!(world.sync("one"), Outcome::Failed(_)), "{threat}");
            assert!(world.current("one").is_none(), "{threat}");
            assert_sound(&world.store());
        },
    );
}

#[test]
fn cve_2013_1051_an_inrelease_that_is_there_and_bad_never_leads_to_release_gpg() {
    let world = World::new();
    let both = |archive: Archive| archive.signatures(testkit::archive::Signatures::Both);
    world.publish(&both(world.archive("one", "first").date(day(0))));
    for lie in [
        Lie::Tampered(300),
        Lie::Truncated(0),
        Lie::Truncated(300),
        Lie::Endless,
        Lie::Http500,
    ] {
        world.server.lie(INRELEASE, lie.clone());
        assert!(matches!(world.sync("one"), Outcome::Failed(_)), "{lie:?}");
    }
    assert_eq!(world.server.count("dists/one/Release"), 0);
    assert_eq!(world.server.count("dists/one/Release.gpg"), 0);
}

#[test]
fn a_signed_index_that_is_a_bomb_is_not_unpacked() {
    let world = World::new();
    let long = "a".repeat(100_000);
    let stanza = |n| format!("Package: bomb{n}\nVersion: 1\nArchitecture: amd64\nDescription: {long}\n");
    let archive = (0..100).fold(world.archive("one", "bomb").date(day(1)), |archive, n| {
        archive.raw_stanza("amd64", &stanza(n))
    });
    world.publish(&archive);
    let said = failure(world.sync("one"));
    assert!(said.contains("unpacks to more than 100 times its size"), "{said}");
    assert_sound(&world.store());
}

#[test]
fn another_key_a_changed_key_and_trusted_no_are_refused_whatever_the_archive_says() {
    let mut world = World::new();
    adopted(world.sync("one"));
    world.key = testkit::keys::SigningKey::ed25519("Somebody else <else@archive.example>");
    // The same release file again, but the host's keys changed: what was believed is verified anew.
    assert!(matches!(
        world.sync("one"),
        Outcome::Failed(SyncError::Refused(_))
    ));

    let mut stanza = world.stanza("one");
    stanza.trust = domain::host::channels::Trust::Never;
    world.server.forget_requests();
    let outcome = world.sync_all(&world.store(), &[stanza], now()).remove(0).outcome;
    assert!(matches!(outcome, Outcome::Failed(SyncError::DistrustedByHost)));
    assert_eq!(
        world.server.requests(),
        [],
        "what is never trusted is not even asked for"
    );
}

#[test]
fn trusted_yes_does_not_replace_a_signature() {
    let world = World::new();
    let unsigned = Archive::new("bare").arch("amd64").date(day(0));
    world.publish(&unsigned);
    let mut stanza = world.stanza("bare");
    stanza.trust = domain::host::channels::Trust::Always;
    let outcome = world.sync_all(&world.store(), &[stanza], now()).remove(0).outcome;
    assert!(
        matches!(outcome, Outcome::Failed(SyncError::NotSigned { .. })),
        "{outcome:?}"
    );
}
