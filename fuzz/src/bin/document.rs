//! Documents: what is taken is written as exactly the bytes that came, goes to the domain and back, and is within the limits.
#![no_main]

use domain::host::facts::HostFacts;
use domain::host::inventory::Inventory;
use libfuzzer_sys::fuzz_target;
use protocol::card::ServerCard;
use protocol::document::Document;
use protocol::document::channels::ChannelConfigDocument;
use protocol::document::delta::InventoryDelta;
use protocol::document::facts::FactsDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::limits;

fuzz_target!(
    init: fuzz::seeds([
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/inventory.json").as_slice(),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/channel-config.json"),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/facts.json"),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/delta.json"),
        include_bytes!("../../../crates/protocol/tests/it/golden/v1/card.json"),
    ]),
    |bytes: &[u8]| {
        if let Ok(document) = InventoryDocument::parse(bytes) {
            assert!(document.packages.len() <= limits::INVENTORY_PACKAGES);
            let again = InventoryDocument::from(&Inventory::from(document));
            assert_eq!(again.to_bytes(), bytes);
        }
        if let Ok(document) = ChannelConfigDocument::parse(bytes) {
            assert_eq!(document.to_bytes(), bytes);
            let (in_chroot, problems) = (document.in_chroot, document.problems.clone());
            let (config, evidence) = document.into_domain();
            let again = ChannelConfigDocument { in_chroot, problems, ..ChannelConfigDocument::of(&config, &evidence) };
            assert_eq!(again.to_bytes(), bytes);
        }
        if let Ok(document) = FactsDocument::parse(bytes) {
            assert_eq!(FactsDocument::from(&HostFacts::from(document)).to_bytes(), bytes);
        }
        if let Ok(delta) = InventoryDelta::parse(bytes) {
            assert_eq!(delta.to_bytes(), bytes);
            let _ = delta.apply(InventoryDocument::default(), domain::digest::Sha256Digest([0; 32]));
        }
        if let Ok(card) = ServerCard::parse(bytes) {
            let _ = card.verify(&[card.authorities.first().map_or(protocol::sha256(b""), |authority| authority.digest())]);
        }
    }
);
