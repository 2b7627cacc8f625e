//! Hosts as documents: nothing is lost on the way there and back, an unchanged host has unchanged digests, and what the
//! server would refuse is not sent.

mod random;

use agent::documents::carry::{carried, piece};
use agent::documents::{Reading, of_host, read};
use agent::host::{Host, ReadOptions};
use agent::survey::Look;
use domain::host::channels::ChannelConfig;
use domain::host::facts::{HostFacts, PackageDatabase};
use domain::host::inventory::Inventory;
use protocol::document::channels::{ChannelConfigDocument, ProblemEffect, StanzaEvidence};
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document, DocumentKind};
use protocol::message::check_in::CarriedSource;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::path::Path;
use testkit::host::HostTree;
use testkit::skip;

fn look() -> Look {
    Look {
        now_micros: 1_800_000_000_000_000,
        neighbours: None,
    }
}

fn host_of(tree: &HostTree) -> (tempfile::TempDir, Host) {
    let root = tempfile::tempdir().unwrap();
    tree.write_to(root.path()).unwrap();
    let host = agent::host::read(root.path(), ReadOptions::default()).unwrap();
    (root, host)
}

fn inventory(reading: &Reading) -> Inventory {
    let bytes = &reading.inventory.as_ref().unwrap().bytes;
    InventoryDocument::parse(bytes).unwrap().into()
}

fn channels(reading: &Reading) -> (ChannelConfig, Vec<StanzaEvidence>) {
    let bytes = &reading.channel_config.as_ref().unwrap().bytes;
    ChannelConfigDocument::parse(bytes).unwrap().into_domain()
}

fn facts(reading: &Reading) -> HostFacts {
    FactsDocument::parse(&reading.facts.bytes).unwrap().into()
}

#[test]
fn this_machine_is_told_as_it_is_and_again_under_the_same_digests() {
    if !Path::new("/var/lib/dpkg/status").exists() {
        return skip::skip(&"this is no Debian system");
    }
    let host = agent::host::read(Path::new("/"), ReadOptions::default()).unwrap();
    let reading = of_host(&host, &look());
    assert_eq!(reading.troubles, [""; 0]);
    assert_eq!(inventory(&reading), host.inventory);
    let (config, evidence) = channels(&reading);
    assert_eq!(config, host.channel_config);
    for keys in evidence.iter().flat_map(|own| &own.keys) {
        let file = reading.find(keys).unwrap();
        assert_eq!(
            (file.kind, protocol::sha256(&file.bytes)),
            (DocumentKind::KeyFile, *keys)
        );
    }
    let again = read(
        Path::new("/"),
        ReadOptions::default(),
        &Look {
            now_micros: look().now_micros + 60_000_000,
            neighbours: reading.neighbours.clone(),
        },
    )
    .unwrap();
    let digests = |reading: &Reading| reading.named().take(2).map(|own| own.digest).collect::<Vec<_>>();
    assert_eq!(digests(&reading), digests(&again));
    assert_eq!(facts(&reading).history, facts(&again).history);
}

#[test]
fn every_shared_inventory_is_the_same_after_the_way_there_and_back() {
    let Some(shared) = skip::shared_data() else {
        return;
    };
    let mut count = 0;
    for entry in std::fs::read_dir(shared.join("data/inventories")).unwrap() {
        let status = entry.unwrap().path().join("dpkg-status");
        let Ok(status) = std::fs::read_to_string(status) else {
            continue;
        };
        let (_root, host) = host_of(&HostTree::new().status(&status));
        let reading = of_host(&host, &look());
        let told = inventory(&reading);
        assert_eq!(told, host.inventory);
        assert!(told.packages.len() > 100);
        let again = InventoryDocument::from(&told);
        assert_eq!(again.digest(), reading.inventory.unwrap().digest);
        count += 1;
    }
    assert_eq!(count, 14);
}

#[test]
fn whatever_a_host_says_is_the_same_after_the_way_there_and_back() {
    for seed in 0..skip::cases("PATCHYARD_DOCUMENT_CASES", 300, 1_000) {
        let mut random = StdRng::seed_from_u64(seed);
        let said = random::facts(&mut random);
        let document = FactsDocument::parse(&FactsDocument::from(&said).to_bytes()).unwrap();
        assert_eq!(HostFacts::from(document), said, "facts of seed {seed}");
        let said = random::inventory(&mut random);
        let document = InventoryDocument::parse(&InventoryDocument::from(&said).to_bytes()).unwrap();
        assert_eq!(Inventory::from(document), said, "inventory of seed {seed}");
        let (config, evidence) = random::channels(&mut random);
        let bytes = ChannelConfigDocument::of(&config, &evidence).to_bytes();
        let told = ChannelConfigDocument::parse(&bytes).unwrap();
        let told = told.into_domain();
        assert_eq!(told, (config, evidence), "channel config of seed {seed}");
    }
}

const APT: &str = "Package: apt\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.6.1\n";

#[test]
fn a_stanza_goes_with_its_keys_and_with_what_its_lists_call_themselves() {
    let release = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Own\nLabel: Own-Label\nSuite: stable\n\
                   Codename: one\nSHA256:\n 00 1 main/binary-amd64/Packages\n-----BEGIN PGP SIGNATURE-----\n";
    let tree = HostTree::new()
        .status(APT)
        .sources_list(
            "deb [signed-by=/keys/a.asc] http://user:secret@deb.example/own one main\n\
             deb [signed-by=/keys/none.asc] http://deb.example/other two main\n",
        )
        .key("/keys/a.asc", b"key a")
        .file("var/lib/apt/lists/deb.example_own_dists_one_InRelease", release);
    let (_root, host) = host_of(&tree);
    let reading = of_host(&host, &look());
    let bytes = reading.channel_config.as_ref().unwrap().bytes.clone();
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
    let document = ChannelConfigDocument::parse(&bytes).unwrap();
    let faults: Vec<(u32, ProblemEffect)> = document
        .problems
        .iter()
        .map(|problem| (problem.line, problem.effect))
        .collect();
    assert_eq!(faults, [(2, ProblemEffect::Doubted)]);
    assert!(document.problems[0].what.contains("/keys/none.asc"));
    let (_, evidence) = document.into_domain();
    let claim = evidence[0].release.clone().unwrap();
    assert_eq!(claim.label.as_deref(), Some("Own-Label"));
    assert_eq!(claim.codename.as_deref(), Some("one"));
    assert_eq!(evidence[0].keys, [protocol::sha256(b"key a")]);
    assert_eq!(evidence[1], StanzaEvidence::default());
    let keys: Vec<&[u8]> = reading.key_files.iter().map(|file| &*file.bytes).collect();
    assert_eq!(keys, [b"key a"]);
}

#[test]
fn an_inventory_that_the_server_would_refuse_is_not_sent_and_the_facts_say_why() {
    let limit = protocol::limits::INVENTORY_PACKAGES;
    let stanzas = |count: usize| -> String {
        (0..count)
            .map(|number| {
                format!(
                    "Package: p{number}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
                )
            })
            .collect()
    };
    let (_root, host) = host_of(&HostTree::new().status(&stanzas(limit)));
    assert!(of_host(&host, &look()).inventory.is_some());
    let (_root, host) = host_of(&HostTree::new().status(&stanzas(limit + 1)));
    let reading = of_host(&host, &look());
    assert_eq!(reading.inventory, None);
    let PackageDatabase::Unknown { why } = facts(&reading).packages else {
        panic!("{:?}", facts(&reading).packages)
    };
    assert!(why.contains("20001"), "{why}");
    assert!(reading.troubles.iter().any(|trouble| trouble.contains("20001")));
}

#[test]
fn a_host_without_dpkg_has_facts_alone() {
    let root = tempfile::tempdir().unwrap();
    crate::oracle::put(
        root.path(),
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        b"SQLite format 3\0",
    );
    crate::oracle::put(root.path(), "/etc/os-release", "ID=fedora\nVERSION_ID=42\n");
    let reading = read(root.path(), ReadOptions::default(), &look()).unwrap();
    assert_eq!(
        (reading.inventory.is_none(), reading.channel_config.is_none()),
        (true, true)
    );
    assert!(matches!(facts(&reading).packages, PackageDatabase::Rpm { .. }));
    assert_eq!(reading.named().count(), 1);
    assert!(reading.troubles[0].contains("rpm"), "{:?}", reading.troubles);
}

#[test]
fn only_index_files_of_sources_that_the_host_uses_are_carried() {
    let tree = HostTree::new()
        .status(APT)
        .sources_list(
            "deb http://user:secret@inside.example/own one main\ndeb http://deb.example/other two main\n",
        )
        .file(
            "var/lib/apt/lists/inside.example_own_dists_one_InRelease",
            "release",
        )
        .file(
            "var/lib/apt/lists/inside.example_own_dists_one_main_binary-amd64_Packages.lz4",
            "packed",
        )
        .file(
            "var/lib/apt/lists/inside.example_own_dists_one_main_i18n_Translation-en",
            "no index",
        )
        .file(
            "var/lib/apt/lists/strange.example_dists_x_InRelease",
            "not configured",
        );
    let (_root, host) = host_of(&tree);
    let source = |uri: &str, suite: &str| CarriedSource {
        uri: uri.to_owned(),
        suite: suite.to_owned(),
    };
    let wanted = [
        source("http://inside.example/own/", "one"),
        source("http://strange.example/", "x"),
        source("http://inside.example/own/../../../etc/", "one"),
    ];
    let files = carried(&host, &wanted);
    let named: Vec<(&str, u64)> = files
        .iter()
        .map(|own| (own.file.path.as_str(), own.file.size_bytes))
        .collect();
    assert_eq!(named, [("InRelease", 7), ("main/binary-amd64/Packages.lz4", 6)]);
    assert_eq!(files[0].file.digest, protocol::sha256(b"release"));
    assert_eq!(piece(&host.tree, &files[1], 2, 3).unwrap(), b"cke");
    assert_eq!(piece(&host.tree, &files[1], 5, 100).unwrap(), b"d");
    assert_eq!(carried(&host, &[]), []);
}
