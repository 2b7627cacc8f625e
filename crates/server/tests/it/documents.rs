//! Documents: what is taken, what is not, and that what was acknowledged is there after a kill.

use crate::world::{World, inventory, kind, whole};
use domain::digest::Sha256Digest;
use jiff::SignedDuration;
use protocol::document::channels::ChannelConfigDocument;
use protocol::document::delta::InventoryDelta;
use protocol::document::{Document as _, DocumentKind};
use protocol::limits;
use protocol::message::documents::{Form, Part, WhyRefused};
use protocol::message::refused::RefusalKind;
use store::document::DocumentKind as StoredKind;

#[tokio::test]
async fn an_acknowledged_inventory_is_there_after_a_kill_byte_for_byte() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let (_, bytes) = inventory(900);
    let document = whole(DocumentKind::Inventory, bytes.clone());
    let digest = document.0.digest;
    let checked = agent
        .checks_in(&world, &[(DocumentKind::Inventory, digest)])
        .await
        .expect("it is heard");
    assert_eq!(checked.wanted.first().map(|wanted| wanted.digest), Some(digest));
    let taken = agent
        .hands_over(&world, std::slice::from_ref(&document))
        .await
        .expect("it is taken");
    assert_eq!(taken.taken, [digest]);
    let again = agent
        .hands_over(&world, &[document])
        .await
        .expect("its answer was lost");
    assert_eq!(again, taken);
    let received_at = world.now();

    let world = world.killed_and_started().await;
    let host = world.host(agent.host).await;
    assert_eq!(host.inventory, Some(digest));
    let scope = world.scope();
    let stored = world
        .context
        .db
        .read(move |view| store::document::get(view, &scope, digest));
    let stored = stored.await.expect("the database answers").expect("it is there");
    assert_eq!(server::agents::stored_bytes(&stored).expect("it is whole"), bytes);
    let (scope, id) = (world.scope(), agent.host);
    let noted = world
        .context
        .db
        .read(move |view| store::host_document::as_of(view, &scope, id, StoredKind::Inventory, received_at));
    let noted = noted.await.expect("the database answers").expect("it is noted");
    assert_eq!((noted.digest, noted.received_at), (digest, received_at));
}

#[tokio::test]
async fn a_document_that_another_host_of_the_tenant_has_is_not_sent_again() {
    let world = World::new().await;
    let (mut one, mut other) = (world.agent(1).await, world.agent(2).await);
    let (_, bytes) = inventory(5);
    let document = whole(DocumentKind::Inventory, bytes);
    let named = [(DocumentKind::Inventory, document.0.digest)];
    one.checks_in(&world, &named).await.expect("it is heard");
    one.hands_over(&world, &[document]).await.expect("it is taken");
    let checked = other.checks_in(&world, &named).await.expect("it is heard");
    assert!(checked.wanted.is_empty());
    assert_eq!(world.host(other.host).await.inventory, Some(named[0].1));
    assert_eq!(
        world.history(other.host, StoredKind::Inventory).await,
        [named[0].1]
    );
}

#[tokio::test]
async fn a_delta_leads_to_the_inventory_that_it_names_or_to_nothing() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let (base, bytes) = inventory(50);
    let document = whole(DocumentKind::Inventory, bytes);
    let base_digest = document.0.digest;
    agent
        .checks_in(&world, &[(DocumentKind::Inventory, base_digest)])
        .await
        .expect("it is heard");
    agent.hands_over(&world, &[document]).await.expect("it is taken");
    world.pass(SignedDuration::from_secs(60));

    let mut next = base.clone();
    next.packages.remove(7);
    next.packages[20].version = "2.0-1".into();
    let digest = next.digest();
    let delta = InventoryDelta::between(&base, &next).to_bytes();
    let part = |digest, base| Part {
        kind: DocumentKind::Inventory,
        digest,
        size_bytes: delta.len() as u64,
        form: Form::Delta { base },
    };
    let named = [(DocumentKind::Inventory, digest)];
    let wanted = agent.checks_in(&world, &named).await.expect("it is heard").wanted;
    assert_eq!(wanted[0].base, Some(base_digest), "a delta will do");
    let unknown = Sha256Digest([9; 32]);
    let taken = agent
        .hands_over(&world, &[(part(digest, unknown), delta.clone())])
        .await
        .expect("it is judged");
    assert_eq!(taken.refused[0].why, WhyRefused::BaseUnknown);
    let taken = agent
        .hands_over(&world, &[(part(digest, base_digest), delta.clone())])
        .await
        .expect("it is judged");
    assert_eq!(taken.taken, [digest]);
    let history = world.history(agent.host, StoredKind::Inventory).await;
    assert_eq!(history, [digest, base_digest]);

    let other = [(DocumentKind::Inventory, unknown)];
    agent.checks_in(&world, &other).await.expect("it is heard");
    let taken = agent
        .hands_over(&world, &[(part(unknown, base_digest), delta)])
        .await
        .expect("it is judged");
    assert_eq!(taken.refused[0].why, WhyRefused::Digest);
    assert_eq!(
        world.host(agent.host).await.inventory,
        Some(digest),
        "nothing of it was stored"
    );
}

#[tokio::test]
async fn hostile_documents_are_refused_each_for_its_reason_and_the_good_one_beside_them_is_taken() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let (_, good) = inventory(2);
    let facts = b"{}".to_vec();
    let spaced = String::from_utf8(good.clone()).expect("JSON").replace(':', ": ");
    let long_name = String::from_utf8(good.clone())
        .expect("JSON")
        .replace("package-00001", &"x".repeat(limits::STRING_BYTES + 1));
    let (_, too_many) = inventory(limits::INVENTORY_PACKAGES + 1);
    let reversed = {
        let (mut document, _) = inventory(2);
        document.packages.reverse();
        document.to_bytes()
    };
    let cases: [(Vec<u8>, WhyRefused); 6] = [
        (b"not JSON".to_vec(), WhyRefused::Malformed),
        (spaced.into_bytes(), WhyRefused::Malformed),
        (reversed, WhyRefused::Malformed),
        (facts, WhyRefused::Malformed),
        (long_name.into_bytes(), WhyRefused::TooLarge),
        (too_many, WhyRefused::TooLarge),
    ];
    for (bytes, why) in cases {
        let document = whole(DocumentKind::Inventory, bytes);
        let digest = document.0.digest;
        agent
            .checks_in(&world, &[(DocumentKind::Inventory, digest)])
            .await
            .expect("it is heard");
        let taken = agent.hands_over(&world, &[document]).await.expect("it is judged");
        assert_eq!(taken.refused.first().map(|refused| refused.why), Some(why));
        assert!(taken.taken.is_empty());
    }
    let document = whole(DocumentKind::Inventory, good.clone());
    let mut lying = document.clone();
    lying.1[20] ^= 1;
    agent
        .checks_in(&world, &[(DocumentKind::Inventory, document.0.digest)])
        .await
        .expect("it is heard");
    let taken = agent
        .hands_over(&world, &[lying, document.clone()])
        .await
        .expect("it is judged");
    assert_eq!(taken.refused[0].why, WhyRefused::Digest);
    assert_eq!(taken.taken, [document.0.digest]);
    assert_eq!(world.host(agent.host).await.inventory, Some(document.0.digest));
}

#[tokio::test]
async fn a_document_that_nobody_asked_for_is_not_taken() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let (_, bytes) = inventory(2);
    for kind in [
        DocumentKind::Inventory,
        DocumentKind::KeyFile,
        DocumentKind::IndexFile,
    ] {
        let taken = agent
            .hands_over(&world, &[whole(kind, bytes.clone())])
            .await
            .expect("it is judged");
        assert_eq!(
            taken.refused.first().map(|refused| refused.why),
            Some(WhyRefused::Unasked)
        );
    }
}

#[tokio::test]
async fn a_digest_that_the_tenant_knows_as_another_kind_of_document_is_none_of_this_kind() {
    let world = World::new().await;
    let (mut one, mut other) = (world.agent(1).await, world.agent(2).await);
    let (_, bytes) = inventory(2);
    let document = whole(DocumentKind::Inventory, bytes);
    let digest = document.0.digest;
    one.checks_in(&world, &[(DocumentKind::Inventory, digest)])
        .await
        .expect("it is heard");
    one.hands_over(&world, &[document]).await.expect("it is taken");
    let checked = other
        .checks_in(&world, &[(DocumentKind::ChannelConfig, digest)])
        .await
        .expect("it is heard");
    assert_eq!(checked.wanted.len(), 1);
    assert_eq!(world.host(other.host).await.channel_config, None);
}

#[tokio::test]
async fn key_files_that_a_channel_config_names_are_asked_for_until_they_are_here() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let keys = b"a keyring as it is on the host".to_vec();
    let key_digest = protocol::sha256(&keys);
    let text = format!(
        r#"{{"native_architecture":"amd64","stanzas":[{{"file":"/etc/apt/sources.list","line":1,"uri":"http://deb.example/debian/","suite":"trixie","components":["main"],"keys":["{key_digest}"]}}]}}"#
    );
    let config: ChannelConfigDocument = serde_json::from_str(&text).expect("a channel config");
    let document = whole(DocumentKind::ChannelConfig, config.to_bytes());
    let named = [(DocumentKind::ChannelConfig, document.0.digest)];
    agent.checks_in(&world, &named).await.expect("it is heard");
    let taken = agent.hands_over(&world, &[document]).await.expect("it is taken");
    assert_eq!(taken.wanted.first().map(|wanted| wanted.digest), Some(key_digest));
    let world = world.killed_and_started().await;
    let checked = agent.checks_in(&world, &named).await.expect("it is heard");
    assert_eq!(
        checked.wanted.first().map(|wanted| wanted.kind),
        Some(DocumentKind::KeyFile)
    );
    let taken = agent
        .hands_over(&world, &[whole(DocumentKind::KeyFile, keys)])
        .await
        .expect("it is taken");
    assert_eq!(
        (taken.taken.as_slice(), taken.wanted.len()),
        ([key_digest].as_slice(), 0)
    );
    let checked = agent.checks_in(&world, &named).await.expect("it is heard");
    assert!(checked.wanted.is_empty());
}

#[tokio::test]
async fn documents_that_do_not_fill_the_attachment_exactly_are_refused_as_a_whole() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let (_, bytes) = inventory(2);
    let (mut part, bytes) = whole(DocumentKind::Inventory, bytes);
    agent
        .checks_in(&world, &[(DocumentKind::Inventory, part.digest)])
        .await
        .expect("it is heard");
    part.size_bytes += 1;
    let refused = agent.hands_over(&world, &[(part, bytes)]).await;
    assert_eq!(kind(refused), RefusalKind::Malformed);
}
