//! What people decide while a change is on its way, and from which moment on it counts.

use super::yard::Yard;
use crate::api::intent::{NO_RECORDS, RECORDS_AGAIN};
use crate::tamper;
use crate::world::{World, add_tenant};
use domain::id::{SiteId, TenantId};
use jiff::SignedDuration;
use protocol::message::orders::{FailureKind, Stage};
use serde_json::json;
use store::host::HostState;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_moment_that_a_change_is_stopped_no_host_may_begin() {
    let (mut yard, mut hands) = Yard::new(2).await;
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let asking = hands[0].takes(&yard).await;
    let begun = hands[1].takes(&yard).await;
    assert!(hands[1].asks_to_begin(&yard, &begun).await.is_some());
    hands[1].says(&yard, &begun, Stage::Installing);
    hands[1].comes(&yard).await;
    let stopped = yard.decide(&format!("changes/{change}/stop")).await;
    assert_eq!(stopped.status, 200, "{}", stopped.text);
    assert_eq!(stopped.json()["state"], "stopped");
    // It asks before the server planned anew.
    assert_eq!(hands[0].asks_to_begin(&yard, &asking).await, None);
    let seen = hands[0].comes(&yard).await;
    assert_eq!(seen.withdrawn, [asking.digest]);
    hands[0].says(&yard, &asking, Stage::Withdrawn);
    assert_eq!(hands[0].comes(&yard).await.heard, [asking.digest]);
    yard.settle().await;
    assert_eq!(
        yard.deployment(&change, hands[0].agent.host).await["waiting"]["code"],
        "stopped"
    );
    // What has begun is finished.
    hands[1].installs(&begun);
    hands[1].says(&yard, &begun, Stage::Succeeded);
    hands[1].comes(&yard).await;
    hands[1].comes(&yard).await;
    assert_eq!(
        yard.deployment(&change, hands[1].agent.host).await["shown"],
        "succeeded"
    );
    assert!(hands[0].comes(&yard).await.orders.is_empty());
    let resumed = yard.decide(&format!("changes/{change}/resume")).await;
    assert_eq!(resumed.status, 200, "{}", resumed.text);
    yard.settle().await;
    let anew = hands[0].takes(&yard).await;
    assert!(anew.order.number > asking.order.number);
    hands[0].carries_out(&yard, &anew).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_was_taken_back_unheard_is_taken_back_again_when_the_host_speaks_of_it() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let hand = &mut hands[0];
    let taken = hand.takes(&yard).await;
    // The server heard nothing of the order yet.
    yard.decide(&format!("changes/{change}/stop")).await;
    yard.settle().await;
    assert_eq!(hand.comes(&yard).await.withdrawn, [taken.digest]);
    assert_eq!(hand.asks_to_begin(&yard, &taken).await, None);
    hand.says(&yard, &taken, Stage::Withdrawn);
    assert_eq!(hand.comes(&yard).await.heard, [taken.digest]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_host_may_not_begin_and_a_failed_one_is_tried_again_with_an_order_of_its_own() {
    let (mut yard, mut hands) = Yard::new(2).await;
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let (first, second) = (hands[0].takes(&yard).await, hands[1].takes(&yard).await);
    let id = |value: &serde_json::Value| value["id"].as_str().expect("an id").to_owned();
    let of_first = id(&yard.deployment(&change, hands[0].agent.host).await);
    let of_second = id(&yard.deployment(&change, hands[1].agent.host).await);
    let cancelled = yard.decide(&format!("deployments/{of_first}/cancel")).await;
    assert_eq!(cancelled.json()["shown"], "cancelled", "{}", cancelled.text);
    assert_eq!(hands[0].asks_to_begin(&yard, &first).await, None);
    let again = yard.decide(&format!("deployments/{of_first}/cancel")).await;
    assert_eq!(
        (again.status.as_u16(), again.code().as_str()),
        (409, "wrong-state")
    );
    assert!(hands[1].asks_to_begin(&yard, &second).await.is_some());
    hands[1].fails(&yard, &second, FailureKind::Script);
    hands[1].comes(&yard).await;
    let list = yard.front.get(yard.front.in_tenant("deployments")).await.json();
    assert_eq!(list["items"].as_array().expect("items").len(), 1, "{list}");
    assert_eq!(list["items"][0]["id"], of_second);
    assert_eq!(list["items"][0]["failure"], "script");
    yard.settle().await;
    assert_eq!(yard.change(&change).await["state"], "ended");
    let tried = yard.decide(&format!("deployments/{of_second}/retry")).await;
    assert_eq!(tried.status, 200, "{}", tried.text);
    yard.settle().await;
    let anew = hands[1].takes(&yard).await;
    assert!(anew.order.number > second.order.number);
    hands[1].carries_out(&yard, &anew).await;
    assert_eq!(
        yard.shown(&change)
            .await
            .iter()
            .filter(|word| *word == "succeeded")
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_installed_is_taken_back_by_a_change_of_its_own() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let hand = &mut hands[0];
    // What the host has was published once, and its list is still here.
    let world = yard.world();
    world.pass(SignedDuration::from_hours(1));
    yard.upstream
        .publish(world.now(), &[("app", "3.0-1"), ("other", "2.0-1")]);
    hand.packages[0].1 = "2.0-1".to_owned();
    hand.comes(&yard).await;
    world.ask_for_sync().await;
    world.run("sync").await;
    world.run("assess").await;
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let taken = hand.takes(&yard).await;
    hand.carries_out(&yard, &taken).await;
    let id = yard.deployment(&change, hand.agent.host).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let back = yard.decide(&format!("deployments/{id}/back-out")).await;
    assert_eq!(back.status, 201, "{}", back.text);
    assert_eq!(back.json()["direction"], "back_out");
    yard.settle().await;
    let taken = hand.takes(&yard).await;
    let package = &taken.order.packages[0];
    assert_eq!(
        (package.from.as_deref(), &*package.version),
        (Some("3.0-1"), "2.0-1")
    );
    hand.carries_out(&yard, &taken).await;
    let back = back.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(yard.shown(&back).await, ["succeeded"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_else_is_approved_than_was_seen() {
    let (yard, _hands) = Yard::new(1).await;
    let mut request = yard.request().await;
    let path = yard.front.in_tenant("deployments");
    let blind = yard.front.post(&*path, request.clone()).await;
    assert_eq!(
        (blind.status.as_u16(), blind.code().as_str()),
        (422, "invalid-value")
    );
    let seen = yard.preview(&request).await.json()["approval"].clone();
    // Another host comes to be meanwhile.
    let mut late = yard.world().agent(9).await;
    late.checks_in(yard.world(), &[]).await.expect("it is heard");
    request["approval"] = seen;
    let other = yard.front.post(&*path, request).await;
    assert_eq!(
        (other.status.as_u16(), other.code().as_str()),
        (409, "preview-changed")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_is_made_and_no_order_without_their_records() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut yard, mut hands) = Yard::of(World::in_folder(folder.path()).await, 1).await;
    let mut request = yard.request().await;
    request["approval"] = yard.preview(&request).await.json()["approval"].clone();
    tamper::run(folder.path(), NO_RECORDS).await;
    let refused = yard
        .front
        .post(yard.front.in_tenant("deployments"), request.clone())
        .await;
    assert!(refused.status.is_server_error(), "{}", refused.text);
    let changes = async |yard: &Yard| {
        let list = yard.front.get(yard.front.in_tenant("changes")).await.json();
        list["items"].as_array().expect("items").len()
    };
    assert_eq!(changes(&yard).await, 0);
    tamper::run(folder.path(), RECORDS_AGAIN).await;
    let change = yard.deploy(&request).await;
    yard.world().run("plan").await;
    yard.world().run("stage").await;
    tamper::run(folder.path(), NO_RECORDS).await;
    yard.world().try_run("plan").await;
    assert!(
        hands[0].comes(&yard).await.orders.is_empty(),
        "no order without its record"
    );
    tamper::run(folder.path(), RECORDS_AGAIN).await;
    yard.settle().await;
    let taken = hands[0].takes(&yard).await;
    hands[0].carries_out(&yard, &taken).await;
    let records = yard
        .front
        .get(yard.front.in_tenant("audit-records?limit=1000"))
        .await
        .json();
    let of_change: Vec<_> = (records["items"].as_array().expect("items").iter())
        .filter(|record| record["noun_id"] == *change || record["subject"] == *change)
        .map(|record| record["action"].as_str().expect("a verb").to_owned())
        .collect();
    assert_eq!(of_change, ["run", "approve"], "{records}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_tenant_sees_and_decides_nothing_of_a_change() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let other = TenantId([9; 16]);
    add_tenant(&yard.world().context, other, SiteId([9; 16]), "other").await;
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let taken = hands[0].takes(&yard).await;
    hands[0].comes(&yard).await;
    let id = yard.deployment(&change, hands[0].agent.host).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let there = |rest: String| format!("/api/v1/tenants/{other}/{rest}");
    for path in [
        format!("changes/{change}"),
        format!("changes/{change}/deployments"),
        format!("changes/{change}/approval"),
        format!("deployments/{id}"),
        format!("deployments/{id}/output"),
    ] {
        assert_eq!(yard.front.get(there(path.clone())).await.status, 404, "{path}");
    }
    for path in [
        format!("changes/{change}/stop"),
        format!("changes/{change}/resume"),
        format!("deployments/{id}/cancel"),
        format!("deployments/{id}/retry"),
        format!("deployments/{id}/back-out"),
    ] {
        let refused = yard.front.post(there(path.clone()), json!({})).await;
        assert_eq!(refused.status, 404, "{path}: {}", refused.text);
    }
    let mine = yard.request().await;
    let refused = yard
        .front
        .post(there("deployments/preview".to_owned()), mine)
        .await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(
        hands[0].asks_to_begin(&yard, &taken).await.is_some(),
        "nothing was stopped"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_is_not_let_in_any_more_gets_no_go() {
    let (mut yard, mut hands) = Yard::new(1).await;
    yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let taken = hands[0].takes(&yard).await;
    let host = hands[0].agent.host;
    let (scope, now) = (yard.world().scope(), yard.world().now());
    let version = yard.world().host(host).await.version;
    // Decided in the database alone: the server's memory does not know yet.
    let set = yard
        .world()
        .context
        .db
        .write(move |tx| store::host::set_state(tx, &scope, host, version, HostState::Quarantined, now));
    assert!(set.await.expect("written").is_changed());
    assert_eq!(hands[0].asks_to_begin(&yard, &taken).await, None);
}
