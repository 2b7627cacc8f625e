//! Documents: one content, one text, one digest; there and back without loss; limits.

use crate::samples;
use domain::digest::Sha256Digest;
use domain::host::channels::{ChannelConfig, Stanza};
use domain::host::facts::HostFacts;
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, Inventory, PackageState, ReinstallRequired, Selection,
};
use proptest::prelude::*;
use protocol::document::channels::ChannelConfigDocument;
use protocol::document::delta::{DeltaError, InventoryDelta};
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document, DocumentError};
use protocol::limits;
use std::collections::BTreeMap;

#[test]
fn documents_come_back_as_they_were() {
    let inventory = samples::inventory();
    assert_eq!(
        InventoryDocument::parse(&inventory.to_bytes()).ok(),
        Some(inventory)
    );
    let config = samples::channel_config();
    assert_eq!(
        ChannelConfigDocument::parse(&config.to_bytes()).ok(),
        Some(config)
    );
    for facts in [samples::host_facts(), samples::unknown_facts()] {
        let document = FactsDocument::from(&facts);
        let read = FactsDocument::parse(&document.to_bytes()).expect("it was written so");
        assert_eq!(HostFacts::from(read), facts);
    }
}

#[test]
fn a_channel_config_comes_back_with_what_goes_with_its_stanzas() {
    let document = samples::channel_config();
    let (config, evidence) = document.clone().into_domain();
    assert_eq!(evidence[0].keys, [Sha256Digest([1; 32]), Sha256Digest([2; 32])]);
    let again = ChannelConfigDocument {
        problems: document.problems.clone(),
        ..ChannelConfigDocument::of(&config, &evidence)
    };
    assert_eq!(again, document);
}

#[test]
fn a_login_in_an_address_never_travels() {
    let stanza = Stanza::new(
        "https://ada:secret@inside.example/debian/",
        "bookworm",
        &["main"],
        &["amd64"],
    );
    let config = ChannelConfig {
        stanzas: vec![stanza],
        ..ChannelConfig::default()
    };
    let document = ChannelConfigDocument::of(&config, &[]);
    let text = String::from_utf8(document.to_bytes()).expect("text");
    assert!(!text.contains("secret") && !text.contains("ada"), "{text}");
    let with_login = text.replace("https://", "https://ada@");
    assert!(matches!(
        ChannelConfigDocument::parse(with_login.as_bytes()),
        Err(DocumentError::NotCanonical(_))
    ));
}

#[test]
fn a_document_that_could_be_written_otherwise_is_refused() {
    let good = String::from_utf8(samples::inventory().to_bytes()).expect("text");
    assert!(InventoryDocument::parse(good.as_bytes()).is_ok());
    let (first, rest) = good.split_once("},{").expect("three packages");
    let doubled = format!(
        "{first}}},{}}},{{{rest}",
        first.trim_start_matches("{\"packages\":[")
    );
    for bad in [
        good.replace(":\"bash\"", ": \"bash\""),
        format!("{good}\n"),
        format!(" {good}"),
        good.replace("bash", "\\u0062ash"),
        good.replace(
            "\"name\":\"bash\",\"architecture\":\"amd64\"",
            "\"architecture\":\"amd64\",\"name\":\"bash\"",
        ),
        good.replace("\"multi_arch\":1", "\"multi_arch\":4"),
        good.replace("\"multi_arch\":1", "\"multi_arch\":1,\"size_bytes\":0"),
        good.replace("\"multi_arch\":1", "\"multi_arch\":1,\"later\":0"),
        good.replace("\"source\":\"glibc\"", "\"source\":\"libc6\""),
        good.replace(
            "\"source_version\":\"2.36-9\"",
            "\"source_version\":\"2.36-9+b1\"",
        ),
        good.replace("\"sed\"", "\"aaa\""),
        good.replace("\"hold\"", "\"install\""),
        doubled,
    ] {
        assert_ne!(bad, good);
        let error = InventoryDocument::parse(bad.as_bytes()).expect_err(&bad);
        assert!(
            matches!(error, DocumentError::NotCanonical(_)),
            "{error:?}: {bad}"
        );
    }
    let none = good.replace("\"name\":\"bash\",", "");
    assert!(matches!(
        InventoryDocument::parse(none.as_bytes()),
        Err(DocumentError::Malformed(_))
    ));
}

#[test]
fn what_a_later_version_kept_is_still_read() {
    let good = String::from_utf8(samples::inventory().to_bytes()).expect("text");
    let grown = good.replace("\"multi_arch\":1", "\"multi_arch\":1,\"later\":0");
    assert_eq!(
        InventoryDocument::parse_kept(grown.as_bytes()).ok(),
        Some(samples::inventory())
    );
}

fn inventory_of(count: usize) -> InventoryDocument {
    let one = samples::inventory().packages.remove(0);
    let mut packages = vec![one; count];
    for (number, package) in packages.iter_mut().enumerate() {
        package.name = format!("p{number:06}").into();
    }
    InventoryDocument { packages }
}

#[test]
fn an_inventory_may_have_twenty_thousand_packages_and_not_one_more() {
    let parse = |count| InventoryDocument::parse(&inventory_of(count).to_bytes());
    assert!(parse(limits::INVENTORY_PACKAGES).is_ok());
    assert!(matches!(
        parse(limits::INVENTORY_PACKAGES + 1),
        Err(DocumentError::TooLarge(_))
    ));
    let delta = |count| {
        let delta = InventoryDelta::between(&InventoryDocument::default(), &inventory_of(count));
        InventoryDelta::parse(&delta.to_bytes())
    };
    assert!(delta(limits::INVENTORY_PACKAGES).is_ok());
    assert!(matches!(
        delta(limits::INVENTORY_PACKAGES + 1),
        Err(DocumentError::TooLarge(_))
    ));
}

#[test]
fn a_channel_config_ends_at_its_limits() {
    let of = |stanzas: usize, pins: usize, problems: usize, keys: u8, more_keys: usize| {
        let mut document = samples::channel_config();
        let key = |number: usize| {
            let mut digest = [keys; 32];
            digest[..8].copy_from_slice(&(number as u64).to_be_bytes());
            protocol::document::WireDigest(Sha256Digest(digest))
        };
        document.stanzas[0].keys = (0..more_keys).map(key).collect();
        let stanza = document.stanzas[1].clone();
        document.stanzas.resize(stanzas, stanza);
        let pin = document.pins[0].clone();
        document.pins.resize(pins, pin);
        let problem = document.problems[0].clone();
        document.problems.resize(problems, problem);
        ChannelConfigDocument::parse(&document.to_bytes())
    };
    use limits::{KEYS_PER_STANZA, PINS, PROBLEMS, STANZAS};
    assert!(of(STANZAS, PINS, PROBLEMS, 1, KEYS_PER_STANZA).is_ok());
    assert!(matches!(
        of(STANZAS + 1, 1, 1, 1, 1),
        Err(DocumentError::TooLarge(_))
    ));
    assert!(matches!(
        of(1, PINS + 1, 1, 1, 1),
        Err(DocumentError::TooLarge(_))
    ));
    assert!(matches!(
        of(1, 1, PROBLEMS + 1, 1, 1),
        Err(DocumentError::TooLarge(_))
    ));
    assert!(matches!(
        of(1, 1, 1, 1, KEYS_PER_STANZA + 1),
        Err(DocumentError::TooLarge(_))
    ));
}

#[test]
fn facts_end_at_their_limit() {
    let of = |bytes: usize| {
        let mut facts = samples::unknown_facts();
        facts.history.unread = Vec::new();
        let empty = FactsDocument::from(&facts).to_bytes().len();
        // Strings of 4,000 bytes, and one that makes up the rest.
        let mut left = bytes - empty - "\"history\":{\"unread\":[]},".len() + 1;
        while left > 0 {
            let length = left.min(4_003) - 3;
            facts.history.unread.push("x".repeat(length));
            left -= length + 3;
        }
        FactsDocument::from(&facts)
    };
    let document = of(limits::FACTS_BYTES);
    assert_eq!(document.to_bytes().len(), limits::FACTS_BYTES);
    assert!(FactsDocument::parse(&document.to_bytes()).is_ok());
    let larger = of(limits::FACTS_BYTES + 1);
    assert!(matches!(
        FactsDocument::parse(&larger.to_bytes()),
        Err(DocumentError::TooLarge(_))
    ));
}

#[test]
fn a_delta_leads_to_the_inventory_that_was_named_or_nowhere() {
    let base = samples::inventory();
    let mut next = base.clone();
    next.packages.remove(0);
    let delta = InventoryDelta::between(&base, &next);
    let named = next.digest();
    let (made, bytes) = delta.clone().apply(base.clone(), named).expect("it leads there");
    assert_eq!((made, bytes), (next.clone(), next.to_bytes()));
    let other = delta.clone().apply(base.clone(), base.digest());
    assert!(matches!(other, Err(DeltaError::OtherResult { .. })));
    assert!(matches!(delta.apply(next, named), Err(DeltaError::NotThere)));
    let mut large = inventory_of(limits::INVENTORY_PACKAGES);
    let grown = InventoryDelta::between(&InventoryDocument::default(), &base);
    assert!(matches!(
        grown.clone().apply(large.clone(), named),
        Err(DeltaError::Document(DocumentError::TooLarge(_)))
    ));
    large
        .packages
        .truncate(limits::INVENTORY_PACKAGES - base.packages.len());
    assert!(matches!(
        grown.apply(large, named),
        Err(DeltaError::OtherResult { .. })
    ));
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z]{1,8}", 1 => ".{0,12}", 1 => "[\\x00-\\x1f\"\\\\]{0,6}"]
}

prop_compose! {
    fn package(key: (String, String))(
        (version, source, source_version) in (text(), text(), text()),
        is_own_source in any::<bool>(),
        selection in prop::sample::select(vec![
            Selection::Unknown, Selection::Install, Selection::Hold, Selection::Deinstall, Selection::Purge,
        ]),
        state in prop::sample::select(vec![
            PackageState::Installed, PackageState::HalfInstalled, PackageState::Unpacked, PackageState::HalfConfigured,
            PackageState::TriggersAwaited, PackageState::TriggersPending,
        ]),
        reinstall_required in prop::sample::select(vec![ReinstallRequired::Yes, ReinstallRequired::No]),
        (relations, multi_arch, size_bytes) in (any::<u32>(), 0..4_u8, any::<u64>()),
    ) -> InstalledPackage {
        let (name, architecture) = key.clone();
        let (source, source_version) = if is_own_source { (name.clone(), version.clone()) } else { (source, source_version) };
        InstalledPackage {
            name: name.into(),
            architecture: architecture.into(),
            version: version.into(),
            source: source.into(),
            source_version: source_version.into(),
            selection,
            state,
            reinstall_required,
            fingerprint: BuildFingerprint { relations, multi_arch, size_bytes },
        }
    }
}

fn inventory() -> impl Strategy<Value = Inventory> {
    let keys = proptest::collection::btree_set((text(), "amd64|i386|all"), 0..12);
    keys.prop_flat_map(|keys| keys.into_iter().map(package).collect::<Vec<_>>())
        .prop_map(|packages| Inventory { packages })
}

proptest! {
    #[test]
    fn every_inventory_comes_back_from_its_document(inventory in inventory()) {
        let bytes = InventoryDocument::from(&inventory).to_bytes();
        let read = InventoryDocument::parse(&bytes).expect("it was written so");
        prop_assert_eq!(Inventory::from(read), inventory);
    }

    #[test]
    fn every_delta_leads_from_one_inventory_to_the_other(one in inventory(), other in inventory()) {
        let (base, next) = (InventoryDocument::from(&one), InventoryDocument::from(&other));
        let delta = InventoryDelta::between(&base, &next);
        let delta = InventoryDelta::parse(&delta.to_bytes()).expect("it was written so");
        // The oracle is a map: what is gone is taken out, what is new is put in.
        let mut map: BTreeMap<_, _> = base.packages.iter().cloned()
            .map(|package| ((package.name.clone(), package.architecture.clone()), package)).collect();
        for key in &delta.removed {
            prop_assert!(map.remove(key).is_some());
        }
        for package in &delta.added {
            map.insert((package.name.clone(), package.architecture.clone()), package.clone());
        }
        prop_assert_eq!(map.into_values().collect::<Vec<_>>(), next.packages.clone());
        let (made, _) = delta.apply(base, next.digest()).expect("it leads there");
        prop_assert_eq!(made, next);
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(InventoryDocument::parse(&bytes).is_err());
        prop_assert!(ChannelConfigDocument::parse(&bytes).is_err());
        prop_assert!(FactsDocument::parse(&bytes).is_err());
        prop_assert!(InventoryDelta::parse(&bytes).is_err());
    }
}
