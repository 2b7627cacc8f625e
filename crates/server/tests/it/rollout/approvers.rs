//! Tenants whose changes need approvers' own signatures.

use super::yard::Yard;
use axum::http::Method;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::key::SigningKey;
use protocol::order::{ApprovalDocument, Bundle};
use serde_json::{Value, json};

fn text(key: &SigningKey) -> String {
    STANDARD.encode(key.verifying().to_bytes())
}

async fn signature(yard: &Yard, change: &str, key: &SigningKey) -> Value {
    let path = yard.front.in_tenant(&format!("changes/{change}/approval"));
    let approval = yard.front.get(path).await.json();
    let bytes = STANDARD
        .decode(approval["bytes"].as_str().expect("bytes"))
        .expect("base64");
    let approved = ApprovalDocument::parse(&bytes).expect("an approval");
    assert_eq!(approval["digest"], approved.digest.to_string());
    json!({ "key": text(key), "signature": STANDARD.encode(approved.sign(key).signature) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_waits_until_as_many_approvers_as_are_needed_have_signed_it() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let keys: Vec<SigningKey> = (1..=4).map(|seed| SigningKey::from_seed(&[seed; 32])).collect();
    let approvers = keys[..3]
        .iter()
        .enumerate()
        .map(|(number, key)| json!({ "name": format!("approver {number}"), "public_key": text(key) }));
    let policy = json!({ "approvers": approvers.collect::<Vec<_>>(), "needed": 2 });
    let path = yard.front.in_tenant("approval-policy");
    let before = yard.front.get(&*path).await;
    let set = yard
        .front
        .ask(Method::PATCH, &*path, &yard.front.local)
        .version(before.tag())
        .json(&policy);
    let set = set.send().await;
    assert_eq!(set.status, 200, "{}", set.text);
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let host = hands[0].agent.host;
    assert_eq!(yard.change(&change).await["state"], "waiting_for_signatures");
    assert_eq!(
        yard.deployment(&change, host).await["waiting"]["code"],
        "approval_missing"
    );
    let signatures = yard.front.in_tenant(&format!("changes/{change}/signatures"));
    let stranger = signature(&yard, &change, &keys[3]).await;
    assert_eq!(yard.front.post(&*signatures, stranger).await.status, 422);
    let mut forged = signature(&yard, &change, &keys[0]).await;
    forged["key"] = json!(text(&keys[1]));
    assert_eq!(yard.front.post(&*signatures, forged).await.status, 422);
    let first = signature(&yard, &change, &keys[0]).await;
    assert_eq!(yard.front.post(&*signatures, first.clone()).await.status, 200);
    assert_eq!(
        yard.front.post(&*signatures, first).await.status,
        409,
        "one key signs once"
    );
    yard.settle().await;
    assert!(hands[0].comes(&yard).await.orders.is_empty());
    let second = signature(&yard, &change, &keys[1]).await;
    let signed = yard.front.post(&*signatures, second).await;
    assert_eq!(signed.json()["state"], "running", "{}", signed.text);
    yard.settle().await;
    let seen = hands[0].comes(&yard).await;
    let bundle = seen.orders[0].bundle;
    let taken = hands[0].accept(&yard, &seen.orders[0]);
    let bytes = yard
        .world()
        .context
        .content
        .map(&bundle)
        .expect("read")
        .expect("here");
    let bundle = Bundle::parse(&bytes).expect("a bundle");
    let approved = ApprovalDocument::parse(&bundle.approval).expect("an approval");
    let trusted: Vec<_> = keys[..3].iter().map(SigningKey::verifying).collect();
    assert_eq!(approved.signed_by(&bundle.signatures, &trusted), 2);
    hands[0].carries_out(&yard, &taken).await;
}
