//! Unknown is never clean: whatever a source does wrong, the host is not called up to date, the reason is said, and
//! `--fail-on` counts it.

use crate::world::{KEY_FILE, World, scan_at};
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::archive::Archive;
use testkit::archive::package::Package;
use testkit::host::Installed;
use testkit::keys::{CREATED, Design, SigningKey};
use testkit::server::Lie;

const MAIN: &str = "dists/stable/main/binary-amd64/Packages";

/// What became of the main archive.
fn main_state(world: &World, options: &[&str]) -> String {
    let json = world.json(options);
    let sources = json["sources"].as_array().unwrap();
    let main = sources.iter().find(|source| source["suite"] == "stable").unwrap();
    main["state"].as_str().unwrap().to_owned()
}

/// The host of this world is unknown, for this reason, in every form of output and by exit code.
fn assert_hole(world: &World, options: &[&str], reason: &str) {
    let json = world.json(options);
    assert_eq!(json["standing"], "unknown", "{json:#}");
    let people = world.scan(options);
    assert_eq!(people.code, 0, "{}", people.stderr);
    assert!(people.stdout.contains("NOT ASSESSED"), "{}", people.stdout);
    assert!(
        people.stdout.contains(reason),
        "no {reason:?} in {}",
        people.stdout
    );
    assert!(!people.stdout.contains("up to date"), "{}", people.stdout);
    assert_eq!(world.scan(&[options, &["--fail-on", "unknown"]].concat()).code, 4);
}

#[test]
fn a_whole_world_is_assessed_from_the_hosts_own_lists_and_from_fresh_ones() {
    let world = World::new();
    world.fetch_as_apt();
    for options in [&[][..], &["--refresh"]] {
        let json = world.json(options);
        assert_eq!(json["standing"], "updates_missing", "{json:#}");
        assert_eq!(json["counts"]["updates"], 2);
        assert_eq!(json["counts"]["security_updates"], 1);
        assert_eq!(json["updates"][0]["source"], "hello");
        assert_eq!(json["updates"][0]["classification"], "security");
        assert_eq!(json["updates"][0]["packages"][0]["available"], "1.0-1+deb1u1");
        assert_eq!(json["updates"][0]["packages"][0]["suite"], "stable-security");
        assert_eq!(json["coverage"], serde_json::json!([]));
    }
}

#[test]
fn a_tampered_list_is_not_believed() {
    let world = World::new();
    world.fetch_as_apt();
    assert_eq!(world.json(&[])["standing"], "updates_missing");
    let list = world.list(MAIN);
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, text.replace("2.0-2", "2.0-9")).unwrap();
    assert_hole(&world, &[], "does not match the signed release file");
    let json = world.json(&[]);
    assert!(!json.to_string().contains("2.0-9"), "{json:#}");
}

#[test]
fn a_tampered_release_file_is_not_believed() {
    let world = World::new();
    world.fetch_as_apt();
    let release = world.list("dists/stable/InRelease");
    let text = std::fs::read_to_string(&release).unwrap();
    std::fs::write(&release, text.replace("Origin: World", "Origin: Evil!")).unwrap();
    assert_hole(&world, &[], "stable:");
    assert_eq!(main_state(&world, &[]), "not_answering");
}

#[test]
fn a_missing_list_is_a_hole() {
    let world = World::new();
    world.fetch_as_apt();
    std::fs::remove_file(world.list("dists/stable-security/main/binary-amd64/Packages")).unwrap();
    assert_hole(&world, &[], "its package list is missing");
    std::fs::remove_file(world.list("dists/stable-security/InRelease")).unwrap();
    assert_hole(&world, &[], "its lists are missing");
}

#[test]
fn a_foreign_or_expired_key_vouches_for_nothing() {
    let foreign = SigningKey::ed25519("Somebody else <else@archive.example>");
    let world = World::with(|main, _| main, |tree| tree.key(KEY_FILE, &foreign.certificate()));
    world.fetch_as_apt();
    assert_hole(&world, &[], "no verified source lists it");

    let design = Design {
        expires_after: Some(86_400 * 365),
        ..Design::honest()
    };
    let expired = SigningKey::design("Tools <tools@archive.example>", &design);
    let certificate = expired.certificate();
    let world = World::with(
        |main, _| main.sign(&expired),
        move |tree| tree.key(KEY_FILE, &certificate),
    );
    world.fetch_as_apt();
    let day = jiff::Timestamp::from_second(i64::from(CREATED) + 86_400 * 365).unwrap();
    assert_hole(&world, &[], &day.strftime("%Y-%m-%d").to_string());
}

#[test]
fn an_unsigned_source_is_not_assessed_even_if_the_host_trusts_it() {
    let world = World::with(
        |_, _| {
            Archive::new("stable")
                .arch("amd64")
                .package(Package::new("plain", "2.0-2"))
        },
        |tree| tree,
    );
    let stanza = world.host().join("etc/apt/sources.list.d/stable.sources");
    let text = std::fs::read_to_string(&stanza).unwrap();
    std::fs::write(&stanza, text.trim_end().to_owned() + "\nTrusted: yes\n").unwrap();
    assert_hole(&world, &["--refresh"], "not signed");
}

#[test]
fn an_expired_snapshot_gives_findings_marked_stale() {
    let past = jiff::Timestamp::from_second(1_717_200_000).unwrap();
    let world = World::with(|main, _| main.valid_until(past), |tree| tree);
    world.fetch_as_apt();
    assert_hole(&world, &[], "expired on 2024-06-01");
    assert_eq!(main_state(&world, &[]), "stale");
    assert_eq!(world.json(&[])["counts"]["updates"], 2);
}

#[test]
fn a_release_from_the_future_asks_about_the_clock() {
    let future = jiff::Timestamp::from_second(4_000_000_000).unwrap();
    let world = World::with(|main, _| main.date(future), |tree| tree);
    world.fetch_as_apt();
    assert_hole(&world, &[], "clock");
}

#[test]
fn a_package_that_nobody_lists_is_named() {
    let local = Package::new("local-tool", "0.1");
    let world = World::with(|main, _| main, |tree| tree.package(&local, Installed::Yes));
    world.fetch_as_apt();
    assert_hole(&world, &[], "no configured source lists it (local-tool)");
}

#[test]
fn a_source_that_is_down_answers_by_what_was_fetched_before_and_says_so() {
    let world = World::new();
    assert_eq!(world.json(&["--refresh"])["standing"], "updates_missing");
    world.server.lie("dists/stable-security/InRelease", Lie::Http500);
    assert_hole(&world, &["--refresh"], "what was fetched before is used");
    let json = world.json(&["--refresh"]);
    assert_eq!(json["counts"]["security_updates"], 1, "{json:#}");
    assert_eq!(
        main_state(&world, &["--refresh"]),
        "verified",
        "one failure stops no other"
    );
}

#[test]
fn a_malformed_stanza_is_named_and_the_rest_used() {
    let world = World::with(
        |main, _| {
            main.raw_stanza(
                "amd64",
                "Package: broken\nVersion: not a version\nArchitecture: amd64\n",
            )
        },
        |tree| tree,
    );
    world.fetch_as_apt();
    assert_hole(&world, &[], "broken");
    assert_eq!(world.json(&[])["counts"]["updates"], 2);
}

#[test]
fn a_root_without_sources_keys_or_status_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (root, cache) = (folder.path().join("root"), folder.path().join("cache"));
    std::fs::create_dir_all(&root).unwrap();
    let ran = scan_at(&root, &cache, &[]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("/var/lib/dpkg/status does not exist"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stdout, "");
    let ran = scan_at(&folder.path().join("nowhere"), &cache, &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("nowhere"), "{}", ran.stderr);

    let world = World::with(|main, _| main, |tree| tree);
    std::fs::remove_dir_all(world.host().join("etc/apt/sources.list.d")).unwrap();
    assert_hole(&world, &[], "no source is configured");

    let world = World::new();
    world.fetch_as_apt();
    std::fs::remove_file(world.host().join(KEY_FILE.trim_start_matches('/'))).unwrap();
    assert_hole(&world, &[], "Signed-By");
}

#[test]
fn an_image_cannot_lead_the_scan_out_of_itself() {
    let world = World::new();
    world.fetch_as_apt();
    let release = world.list("dists/stable/InRelease");
    let outside = world.served().join("outside");
    std::fs::rename(&release, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &release).unwrap();
    assert_hole(&world, &[], "its lists are missing");
}

#[test]
fn packages_of_a_source_that_stopped_answering_are_named_with_it() {
    let world = World::new();
    for options in [&[][..], &["--refresh"]] {
        world.fetch_as_apt();
        assert_eq!(world.json(options)["standing"], "updates_missing");
        let key = world.host().join(KEY_FILE.trim_start_matches('/'));
        let good = std::fs::read(&key).unwrap();
        let foreign = SigningKey::ed25519("Somebody else <else@archive.example>");
        std::fs::write(&key, foreign.certificate()).unwrap();
        assert_hole(&world, options, "2 packages: from http://127.0.0.1");
        std::fs::write(&key, good).unwrap();
    }
}

#[test]
fn what_of_the_hosts_own_files_cannot_be_followed_makes_it_unknown() {
    type Damage = fn(&World);
    let damages: [(&str, Damage); 4] = [
        ("a stanza of dpkg's status", |world| {
            let status = world.host().join("var/lib/dpkg/status");
            let text = std::fs::read_to_string(&status).unwrap();
            std::fs::write(&status, text + "Package: broken\nno colon in this line\n\n").unwrap();
        }),
        ("a source", |world| {
            std::fs::write(world.host().join("etc/apt/sources.list"), "deb http://\n").unwrap();
        }),
        ("a pin", |world| {
            let folder = world.host().join("etc/apt/preferences.d");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(
                folder.join("bad"),
                "Package: hello\nPin: release a=x\nPin-Priority: never\n",
            )
            .unwrap();
        }),
        ("the default release", |world| {
            let folder = world.host().join("etc/apt/apt.conf.d");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("90release"), "APT::Default-Release \"nowhere\";\n").unwrap();
        }),
    ];
    for (what, damage) in damages {
        let world = World::new();
        world.fetch_as_apt();
        assert_eq!(world.json(&[])["standing"], "updates_missing", "{what}");
        damage(&world);
        let json = world.json(&[]);
        assert_eq!(json["standing"], "unknown", "{what}: {json:#}");
        assert_ne!(json["problems"], serde_json::json!([]), "{what}");
        assert_eq!(world.scan(&["--fail-on", "unknown"]).code, 4, "{what}");
    }
}

#[test]
fn lists_that_apt_rewrites_at_that_moment_never_read_as_a_mixture() {
    let world = World::new();
    world.fetch_as_apt();
    let paths = [world.list("dists/stable/InRelease"), world.list(MAIN)];
    let before: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    world.publish_main(&[Package::new("plain", "2.0-3")]);
    world.fetch_as_apt();
    let after: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for state in [&before, &after] {
                    for (path, bytes) in paths.iter().zip(state) {
                        // As apt does it: a new file takes the old one's name.
                        let new = path.with_extension("new");
                        std::fs::write(&new, bytes).unwrap();
                        std::fs::rename(&new, path).unwrap();
                    }
                }
            }
        });
        for _ in 0..60 {
            let json = world.json(&[]);
            let packages = json["updates"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|update| update["packages"].as_array().unwrap());
            let plain = packages
                .clone()
                .find(|package| package["name"] == "plain")
                .map(|package| package["available"].clone());
            match (json["standing"].as_str().unwrap(), plain) {
                ("updates_missing", Some(version)) => {
                    assert!(version == "2.0-2" || version == "2.0-3", "{version}")
                }
                ("unknown", _) => assert!(
                    json.to_string()
                        .contains("does not match the signed release file"),
                    "{json:#}"
                ),
                other => panic!("{other:?}: {json:#}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_misspelt_component_is_named_at_every_scan() {
    let world = World::with(|main, _| main, |tree| tree);
    let stanza = world.host().join("etc/apt/sources.list.d/stable.sources");
    let text = std::fs::read_to_string(&stanza).unwrap();
    std::fs::write(&stanza, text.replace("Components: main", "Components: main mian")).unwrap();
    world.fetch_as_apt();
    for options in [&[][..], &["--refresh"], &["--refresh"], &["--refresh"]] {
        assert_hole(&world, options, "no such component");
    }
}

#[test]
fn a_package_above_all_that_is_listed_is_not_called_current() {
    let newer = Package::new("current", "18.0-1");
    let world = World::new();
    let status = world.host().join("var/lib/dpkg/status");
    let text = std::fs::read_to_string(&status).unwrap();
    std::fs::write(
        &status,
        text.replace(
            &Package::new("current", "3.0-1").status_stanza("install ok installed"),
            &newer.status_stanza("install ok installed"),
        ),
    )
    .unwrap();
    world.fetch_as_apt();
    assert_hole(
        &world,
        &[],
        "newer than anything that is listed; its own source is not configured (current)",
    );
}

#[test]
fn old_lists_prove_nothing_even_without_a_date_of_their_own() {
    let world = World::new();
    world.fetch_as_apt();
    assert_eq!(world.json(&[])["standing"], "updates_missing");
    let fetched = std::fs::metadata(world.list(MAIN)).unwrap().modified().unwrap();
    let long_ago = fetched - std::time::Duration::from_secs(8 * 86_400);
    for folder in [world.lists().join("partial"), world.lists()] {
        std::fs::File::open(folder)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    }
    assert_hole(&world, &[], "its lists were fetched 8 days ago");
    assert_eq!(world.json(&[])["counts"]["updates"], 2);
}

#[test]
fn a_host_that_is_told_not_to_check_dates_is_not_called_up_to_date_by_expired_lists() {
    let past = jiff::Timestamp::from_second(1_717_200_000).unwrap();
    let settings = "Acquire::Check-Valid-Until \"false\";\nAcquire::Check-Date \"false\";\n";
    let world = World::with(
        |main, _| main.valid_until(past),
        |tree| tree.apt_conf("90dates", settings),
    );
    world.fetch_as_apt();
    assert_hole(&world, &[], "expired on 2024-06-01");
    assert_hole(&world, &["--refresh"], "expired on 2024-06-01");
}
