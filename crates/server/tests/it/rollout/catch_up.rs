//! Hosts that were away, changed by hand, or out of time.

use super::yard::Yard;
use jiff::SignedDuration;
use protocol::message::orders::{FailureKind, Stage};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_was_away_is_ordered_when_it_is_back() {
    let (mut yard, mut hands) = Yard::new(1).await;
    yard.pass(SignedDuration::from_hours(2));
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let host = hands[0].agent.host;
    assert_eq!(yard.deployment(&change, host).await["waiting"]["code"], "offline");
    assert!(hands[0].comes(&yard).await.orders.is_empty());
    yard.settle().await;
    let taken = hands[0].takes(&yard).await;
    // It goes away again: its order is taken back, and it gets another when it returns.
    hands[0].comes(&yard).await;
    yard.pass(SignedDuration::from_hours(2));
    yard.settle().await;
    assert_eq!(yard.deployment(&change, host).await["shown"], "planned");
    assert_eq!(hands[0].comes(&yard).await.withdrawn, [taken.digest]);
    hands[0].says(&yard, &taken, Stage::Withdrawn);
    hands[0].comes(&yard).await;
    yard.settle().await;
    let anew = hands[0].takes(&yard).await;
    hands[0].carries_out(&yard, &anew).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_somebody_patched_meanwhile_is_left_alone() {
    let (mut yard, mut hands) = Yard::new(2).await;
    let mut request = yard.request().await;
    request["at_once"] = json!(1);
    let change = yard.deploy(&request).await;
    yard.settle().await;
    let taken = hands[0].takes(&yard).await;
    hands[1].packages[0].1 = "2.0-1".to_owned();
    hands[1].comes(&yard).await;
    hands[0].carries_out(&yard, &taken).await;
    yard.settle().await;
    assert!(hands[1].comes(&yard).await.orders.is_empty());
    assert_eq!(
        yard.deployment(&change, hands[1].agent.host).await["shown"],
        "nothing"
    );
    assert_eq!(yard.change(&change).await["state"], "ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_was_half_way_by_itself_is_ordered_from_where_it_is() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let mut request = yard.request().await;
    request["opens"] = json!((yard.world().now() + SignedDuration::from_hours(1)).to_string());
    let change = yard.deploy(&request).await;
    yard.settle().await;
    assert_eq!(
        yard.deployment(&change, hands[0].agent.host).await["waiting"]["code"],
        "not_open"
    );
    hands[0].packages[0].1 = "1.5-1".to_owned();
    hands[0].comes(&yard).await;
    yard.pass(SignedDuration::from_hours(1));
    hands[0].comes(&yard).await;
    yard.settle().await;
    let taken = hands[0].takes(&yard).await;
    assert_eq!(taken.order.packages[0].from.as_deref(), Some("1.5-1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_begins_when_the_changes_time_is_over() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let mut request = yard.request().await;
    request["closes"] = json!((yard.world().now() + SignedDuration::from_mins(5)).to_string());
    let change = yard.deploy(&request).await;
    yard.settle().await;
    let taken = hands[0].takes(&yard).await;
    let go = hands[0].asks_to_begin(&yard, &taken).await.expect("it may begin");
    let end = super::yard::moment(&yard.change(&change).await["closes"]);
    let lease = SignedDuration::from_secs(i64::from(go.lease_seconds));
    assert!(go.issued_at + lease <= end, "no permission outlives the change");
    yard.pass(SignedDuration::from_mins(5));
    assert_eq!(hands[0].asks_to_begin(&yard, &taken).await, None);
    hands[0].fails(&yard, &taken, FailureKind::Expired);
    hands[0].comes(&yard).await;
    yard.settle().await;
    assert_eq!(yard.change(&change).await["state"], "ended");
    let id = yard.deployment(&change, hands[0].agent.host).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let late = yard.decide(&format!("deployments/{id}/retry")).await;
    assert_eq!(late.status, 409, "{}", late.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_source_took_back_is_neither_begun_nor_ordered() {
    let (mut yard, mut hands) = Yard::new(2).await;
    let mut request = yard.request().await;
    request["at_once"] = json!(1);
    let change = yard.deploy(&request).await;
    yard.settle().await;
    let taken = hands[0].takes(&yard).await;
    hands[0].comes(&yard).await;
    let world = yard.world();
    world.pass(SignedDuration::from_hours(1));
    yard.upstream
        .publish(world.now(), &[("app", "2.0-2"), ("other", "2.0-1")]);
    world.ask_for_sync().await;
    world.run("sync").await;
    hands[0].comes(&yard).await;
    hands[1].comes(&yard).await;
    assert_eq!(
        hands[0].asks_to_begin(&yard, &taken).await,
        None,
        "its update was replaced"
    );
    hands[0].fails(&yard, &taken, FailureKind::Busy);
    hands[0].comes(&yard).await;
    yard.settle().await;
    assert!(hands[1].comes(&yard).await.orders.is_empty());
    let waiting = yard.deployment(&change, hands[1].agent.host).await["waiting"].clone();
    assert_eq!(waiting["code"], "not_built");
    let why = waiting["sentence"].as_str().expect("words");
    assert!(why.starts_with("app 2.0-1 was replaced or taken back"), "{why}");
}
