//! What is adopted, what is not, and what an unchanged source costs.

use super::world::{
    INDEX, INRELEASE, World, adopted, assert_sound, day, failure, now, package_count, stanza,
};
use domain::host::channels::ByHash as ByHashChoice;
use sources::apt::sync::{Note, Outcome, SyncError, current};
use sources::apt::targets::merge;
use std::fs;
use testkit::archive::package::Package;
use testkit::archive::{Archive, ByHash, Format, Signatures};
use testkit::server::{Conditional, Lie};

#[test]
fn a_snapshot_names_what_was_published_by_digest() {
    let world = World::new();
    let snapshot = adopted(world.sync("one"));
    assert_eq!(snapshot.release_digest, world.digest(INRELEASE));
    assert_eq!(snapshot.signatures.len(), 1);
    assert_eq!(snapshot.signatures[0].certificate, world.key.fingerprint());
    let [index] = &snapshot.indexes[..] else {
        panic!("{:?}", snapshot.indexes)
    };
    let published = index.published.clone().unwrap();
    assert_eq!(published.digest, world.digest(INDEX));
    assert_eq!(published.path, "main/binary-amd64/Packages.xz");
    let store = world.store();
    assert!(store.contains(&published.digest) && store.contains(&snapshot.release_digest));
    assert_eq!(package_count(&store, &snapshot), 100);
    assert_eq!(world.current("one").unwrap().indexes, snapshot.indexes);
    assert_sound(&store);
}

#[test]
fn an_unchanged_source_costs_one_conditional_request_and_writes_nothing() {
    let world = World::new();
    let stanzas = [world.stanza("one"), world.stanza("two")];
    let store = world.store();
    world.sync_all(&store, &stanzas, now());
    let state = |folder| {
        let mut files: Vec<_> = fs::read_dir(store.folder().join(folder))
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.sort();
        files
            .iter()
            .map(|path| (path.clone(), fs::metadata(path).unwrap().modified().unwrap()))
            .collect::<Vec<_>>()
    };
    let before = (state("state"), state("files"));
    world.server.forget_requests();
    for outcome in world.sync_all(&store, &stanzas, now()) {
        assert!(
            matches!(outcome.outcome, Outcome::Unchanged { .. }),
            "{:?}",
            outcome.outcome
        );
    }
    let requests = world.server.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert!(
        requests
            .iter()
            .all(|request| request.conditional == Conditional::Yes && request.status == 304)
    );
    assert_eq!(before, (state("state"), state("files")));
}

#[test]
fn without_validators_the_digest_tells_that_nothing_changed() {
    let world = World::new();
    world.server.lie("*", Lie::NoValidators);
    adopted(world.sync("one"));
    world.server.forget_requests();
    assert!(matches!(world.sync("one"), Outcome::Unchanged { .. }));
    assert_eq!(world.server.requests().len(), 1);
}

#[test]
fn what_an_unchanged_source_lost_from_the_store_is_fetched_again() {
    let world = World::new();
    let snapshot = adopted(world.sync("one"));
    let store = world.store();
    let digest = snapshot.indexes[0].published.as_ref().unwrap().digest.to_string();
    fs::remove_file(store.folder().join("files").join(&digest[..2]).join(&digest)).unwrap();
    adopted(world.sync("one"));
    assert!(store.contains(&digest.parse().unwrap()));
}

#[test]
fn release_and_release_gpg_are_verified_where_there_is_no_inrelease() {
    let world = World::new();
    let detached = |seed, date| {
        world
            .archive("det", seed)
            .date(date)
            .signatures(Signatures::Detached)
    };
    world.publish(&detached("first", day(0)));
    let snapshot = adopted(world.sync("det"));
    assert_eq!(snapshot.release_digest, world.digest("dists/det/Release"));
    assert_eq!(
        world.current("det").unwrap().release_digest,
        snapshot.release_digest
    );
    assert!(matches!(world.sync("det"), Outcome::Unchanged { .. }));

    world.publish(&detached("second", day(1)));
    world.server.lie("dists/det/Release.gpg", Lie::Tampered(200));
    assert!(matches!(
        world.sync("det"),
        Outcome::Failed(SyncError::Refused(_))
    ));
    world.server.lie("dists/det/Release.gpg", Lie::NotFound);
    assert!(matches!(
        world.sync("det"),
        Outcome::Failed(SyncError::NotSigned { .. })
    ));
    world.server.be_honest();
    world.server.lie("dists/det/Release", Lie::Tampered(100));
    assert!(matches!(
        world.sync("det"),
        Outcome::Failed(SyncError::Refused(_))
    ));
    assert_eq!(
        world.current("det").unwrap().release_digest,
        snapshot.release_digest
    );
}

#[test]
fn stanzas_of_one_source_are_one_sync() {
    let world = World::new();
    let archive = world.archive("both", "x").date(day(0));
    world.publish(&archive.component("contrib").package(Package::new("extra", "2")));
    let mut contrib = world.stanza("both");
    contrib.components = vec!["contrib".to_owned(), "main".to_owned()];
    let stanzas = [world.stanza("both"), contrib];
    let mut outcomes = world.sync_all(&world.store(), &stanzas, now());
    assert_eq!(outcomes.len(), 1);
    let snapshot = adopted(outcomes.remove(0).outcome);
    let names: Vec<&str> = snapshot
        .indexes
        .iter()
        .map(|index| index.component.as_str())
        .collect();
    assert_eq!(names, ["main", "contrib"]);
    assert_eq!(world.server.count("dists/both/InRelease"), 1);
    // One component less is another choice: nothing is fetched for it, but the snapshot says so.
    let snapshot = adopted(world.sync("both"));
    assert_eq!(snapshot.indexes.len(), 1);
    assert_eq!(world.server.count("dists/both/main/binary-amd64/Packages.xz"), 1);
}

#[test]
fn stanzas_of_one_source_with_different_keys_are_refused_as_apt_does() {
    let world = World::new();
    let mut other = world.stanza("one");
    other.signed_by = domain::host::channels::SignedBy::Inline("key".to_owned());
    let stanzas = [world.stanza("one"), other];
    let outcome = world.sync_all(&world.store(), &stanzas, now()).remove(0).outcome;
    assert!(
        matches!(outcome, Outcome::Failed(SyncError::ConflictingKeys)),
        "{outcome:?}"
    );
}

#[test]
fn indexes_come_by_digest_where_offered_and_by_name_where_the_digest_is_gone() {
    let world = World::new();
    world.publish(&world.archive("hash", "x").date(day(0)).by_hash(ByHash::Only));
    adopted(world.sync("hash"));
    assert_eq!(world.server.count("dists/hash/main/binary-amd64/Packages.xz"), 0);

    world.publish(&world.archive("named", "y").date(day(0)).by_hash(ByHash::Yes));
    let path = "dists/named/main/binary-amd64/Packages.xz";
    let by_hash = format!(
        "dists/named/main/binary-amd64/by-hash/SHA256/{}",
        world.digest(path)
    );
    world.server.lie(&by_hash, Lie::NotFound);
    adopted(world.sync("named"));
    assert_eq!((world.server.count(&by_hash), world.server.count(path)), (1, 1));
}

#[test]
fn the_hosts_by_hash_choice_is_obeyed() {
    let world = World::new();
    let folder = "dists/hash/main/binary-amd64";
    world.publish(&world.archive("hash", "x").date(day(0)).by_hash(ByHash::Yes));
    let mut stanza = world.stanza("hash");
    stanza.by_hash = Some(ByHashChoice::No);
    adopted(world.sync_all(&world.store(), &[stanza], now()).remove(0).outcome);
    assert_eq!(world.server.count(&format!("{folder}/Packages.xz")), 1);
    assert!(
        world
            .server
            .requests()
            .iter()
            .all(|request| !request.path.contains("by-hash"))
    );
}

#[test]
fn every_compression_that_is_listed_will_do_and_the_best_is_taken() {
    let world = World::new();
    for (name, formats, taken) in [
        ("a", vec![Format::Gzip], "Packages.gz"),
        ("b", vec![Format::Gzip, Format::Zstd], "Packages.zst"),
        ("c", vec![Format::Gzip, Format::Zstd, Format::Xz], "Packages.xz"),
        ("d", vec![Format::Plain], "Packages"),
    ] {
        world.publish(&world.archive(name, "x").date(day(0)).formats(&formats));
        let snapshot = adopted(world.sync(name));
        assert_eq!(package_count(&world.store(), &snapshot), 100);
        let path = &snapshot.indexes[0].published.as_ref().unwrap().path;
        assert_eq!(path.rsplit('/').next(), Some(taken));
    }
    // The best is listed and gone: the next is as good.
    world.publish(
        &world
            .archive("e", "other")
            .date(day(0))
            .formats(&[Format::Xz, Format::Gzip]),
    );
    world
        .server
        .lie("dists/e/main/binary-amd64/Packages.xz", Lie::NotFound);
    let snapshot = adopted(world.sync("e"));
    assert!(
        snapshot.indexes[0]
            .published
            .as_ref()
            .unwrap()
            .path
            .ends_with(".gz")
    );
}

#[test]
fn a_flat_repository_and_an_empty_index_are_snapshots_too() {
    let world = World::new();
    let flat = Archive::flat("flat")
        .arch("amd64")
        .date(day(0))
        .package(Package::new("f", "1"))
        .sign(&world.key);
    world.publish(&flat);
    let snapshot = adopted(world.sync(&flat.sources_suite()));
    assert_eq!(package_count(&world.store(), &snapshot), 1);
    let empty = Archive::new("empty").arch("amd64").date(day(0)).sign(&world.key);
    world.publish(&empty);
    let snapshot = adopted(world.sync("empty"));
    assert_eq!(package_count(&world.store(), &snapshot), 0);
    assert_eq!(snapshot.indexes[0].published, None);
    assert_eq!(world.current("empty").unwrap().indexes, snapshot.indexes);
}

#[test]
fn what_is_configured_and_not_listed_is_noted() {
    let world = World::new();
    let mut stanza = world.stanza("one");
    stanza.components.push("mian".to_owned());
    stanza.architectures.push("riscv64".to_owned());
    let outcome = world.sync_all(&world.store(), &[stanza], now()).remove(0);
    adopted(outcome.outcome);
    let paths: Vec<_> = outcome
        .notes
        .iter()
        .filter_map(|note| match note {
            Note::Unlisted(unlisted) => Some((unlisted.target.path.as_str(), format!("{:?}", unlisted.why))),
            _ => None,
        })
        .collect();
    let expected = [
        ("main/binary-riscv64/Packages", "NoSuchArchitecture"),
        ("mian/binary-amd64/Packages", "NoSuchComponent"),
        ("mian/binary-riscv64/Packages", "NoSuchComponent"),
    ];
    assert_eq!(paths, expected.map(|(path, why)| (path, why.to_owned())));
}

#[test]
fn what_the_host_uses_since_the_last_sync_shows_as_a_hole_without_a_network() {
    let world = World::new();
    let archive = world.archive("both", "x").date(day(0));
    world.publish(&archive.component("contrib").package(Package::new("extra", "2")));
    adopted(world.sync("both"));
    let mut changed = world.stanza("both");
    changed.components = vec!["contrib".to_owned(), "mian".to_owned()];
    let stanzas = [changed];
    let snapshot = current(&world.store(), &merge(&stanzas)[0], &world.keyring(), now())
        .unwrap()
        .unwrap();
    assert_eq!(snapshot.indexes, [], "main is not used any more");
    let missing: Vec<_> = snapshot
        .missing
        .iter()
        .map(|target| target.component.as_str())
        .collect();
    let unlisted: Vec<_> = snapshot
        .unlisted
        .iter()
        .map(|unlisted| unlisted.target.component.as_str())
        .collect();
    assert_eq!((missing, unlisted), (vec!["contrib"], vec!["mian"]));
}

#[test]
fn a_mirror_that_serves_another_suite_is_noted() {
    let world = World::new();
    world.publish(
        &world
            .archive("one", "x")
            .date(day(0))
            .suite("stable")
            .codename("other"),
    );
    let outcome = world
        .sync_all(&world.store(), &[world.stanza("one")], now())
        .remove(0);
    assert_eq!(
        outcome.notes,
        [Note::OtherSuite {
            is: "stable".to_owned()
        }]
    );
}

#[test]
fn malformed_stanzas_are_counted_and_the_rest_is_used() {
    let world = World::new();
    world.publish(
        &world
            .archive("one", "x")
            .date(day(0))
            .raw_stanza("amd64", "Package: broken\nNoVersion: 1\n"),
    );
    let outcome = world
        .sync_all(&world.store(), &[world.stanza("one")], now())
        .remove(0);
    let path = "main/binary-amd64/Packages.xz".to_owned();
    assert_eq!(outcome.notes, [Note::Skipped { path, count: 1 }]);
    assert_eq!(package_count(&world.store(), &adopted(outcome.outcome)), 100);
}

#[test]
fn files_of_this_computer_are_sources_and_an_unchanged_one_is_not_read_again() {
    let world = World::new();
    let folder = world.tree.path().display();
    for scheme in ["file:", "copy:", "file://"] {
        let stanzas = [stanza(&format!("{scheme}{folder}/"), "one")];
        adopted(world.sync_all(&world.store(), &stanzas, now()).remove(0).outcome);
        let again = world.sync_all(&world.store(), &stanzas, now()).remove(0).outcome;
        assert!(matches!(again, Outcome::Unchanged { .. }), "{again:?}");
    }
    let list = world.tree.path().join("mirrors");
    let dead = world.tree.path().join("nowhere");
    let text = format!(
        "# mirrors\nfile:{}\tpriority:2\nftp://archive.example/\nfile:{folder}\tpriority:1\n",
        dead.display()
    );
    fs::write(&list, text).unwrap();
    let stanzas = [stanza(&format!("mirror+file:{}/", list.display()), "one")];
    adopted(world.sync_all(&world.store(), &stanzas, now()).remove(0).outcome);
}

#[test]
fn a_source_on_a_disc_is_named_as_not_supported() {
    let world = World::new();
    let stanzas = [stanza("cdrom:[Debian 12]/", "bookworm")];
    let said = failure(world.sync_all(&world.store(), &stanzas, now()).remove(0).outcome);
    assert!(said.contains("cdrom: sources are not supported"), "{said}");
}

#[test]
fn a_damaged_state_file_stops_the_source_and_says_what_to_remove() {
    let world = World::new();
    adopted(world.sync("one"));
    let folder = world.store().folder().join("state");
    let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, "Format: 7\n").unwrap();
    let said = failure(world.sync("one"));
    assert!(said.contains("remove state/apt-"), "{said}");
    let stanzas = [world.stanza("one")];
    assert!(current(&world.store(), &merge(&stanzas)[0], &world.keyring(), now()).is_err());
    fs::remove_file(file).unwrap();
    adopted(world.sync("one"));
}

#[test]
fn an_index_that_unpacks_to_other_bytes_of_the_same_length_is_refused() {
    let world = World::new();
    let archive = world
        .archive("odd", "x")
        .date(day(0))
        .signatures(Signatures::Both);
    let files = archive.files().unwrap();
    let release = String::from_utf8(files["dists/odd/Release"].clone()).unwrap();
    let packages = release
        .lines()
        .find(|line| line.ends_with("binary-amd64/Packages"))
        .unwrap();
    let other = packages
        .trim()
        .replacen(|digit: char| digit.is_ascii_hexdigit(), "f", 8);
    let forged = release.replace(packages.trim(), &other);
    assert_ne!(forged, release);
    world.publish(&archive);
    let inrelease = world.key.sign_inline(forged.as_bytes());
    fs::write(world.tree.path().join("dists/odd/InRelease"), inrelease).unwrap();
    let outcome = world.sync("odd");
    assert!(
        matches!(outcome, Outcome::Failed(SyncError::WrongPackages { .. })),
        "{outcome:?}"
    );
    assert_sound(&world.store());
}
