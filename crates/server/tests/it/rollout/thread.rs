//! The main thread: seen, approved, ordered, permitted, installed, proved.

use super::yard::Yard;
use jiff::SignedDuration;
use protocol::message::check_in::Mode;
use protocol::message::orders::{FailureKind, Stage};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approved_update_is_ordered_permitted_and_believed_when_an_inventory_shows_it() {
    let (mut yard, mut hands) = Yard::new(2).await;
    let request = yard.request().await;
    let seen = yard.preview(&request).await.json();
    assert_eq!(seen["hosts"][0]["outcome"], "install", "{seen}");
    let package = &seen["hosts"][0]["packages"][0];
    assert_eq!(
        [&package["name"], &package["from"], &package["version"]],
        ["app", "1.0-1", "2.0-1"]
    );
    let change = yard.deploy(&request).await;
    assert!(
        hands[0].comes(&yard).await.orders.is_empty(),
        "nothing is fetched yet"
    );
    yard.settle().await;
    let hand = &mut hands[0];
    let taken = hand.takes(&yard).await;
    let names: Vec<&str> = taken
        .order
        .packages
        .iter()
        .map(|package| &*package.name)
        .collect();
    assert_eq!(names, ["app"]);
    assert_eq!(taken.order.change.to_string(), change);
    hand.comes(&yard).await;
    assert_eq!(yard.shown(&change).await[0], "taken");
    let go = hand.asks_to_begin(&yard, &taken).await.expect("it may begin");
    assert_eq!(go.order, taken.digest);
    hand.says(&yard, &taken, Stage::Installing).last_line = "Unpacking app (2.0-1) ...".to_owned();
    hand.comes(&yard).await;
    let shown = yard.deployment(&change, hand.agent.host).await;
    assert_eq!(
        (&shown["shown"], &shown["last_line"]),
        (&json!("installing"), &json!("Unpacking app (2.0-1) ..."))
    );
    hand.installs(&taken);
    let output = b"Setting up app (2.0-1) ...\n".to_vec();
    hand.says(&yard, &taken, Stage::Succeeded).output = Some(protocol::sha256(&output));
    hand.outputs.push(output.clone());
    let first = hand.comes(&yard).await;
    assert!(
        first.heard.is_empty(),
        "no inventory shows it yet, and no output is here"
    );
    assert_eq!(yard.shown(&change).await[0], "verifying");
    hand.comes(&yard).await;
    assert!(hand.reports.is_empty(), "all of it is heard");
    let shown = yard.deployment(&change, hand.agent.host).await;
    assert_eq!(shown["shown"], "succeeded", "{shown}");
    let id = shown["id"].as_str().expect("an id");
    let said = yard
        .front
        .get(yard.front.in_tenant(&format!("deployments/{id}/output")))
        .await;
    assert_eq!(said.text.as_bytes(), output);
    let one = yard
        .front
        .get(yard.front.in_tenant(&format!("deployments/{id}")))
        .await
        .json();
    let stages: Vec<&str> = one["stages"]
        .as_array()
        .expect("stages")
        .iter()
        .map(|stage| stage["stage"].as_str().expect("a word"))
        .collect();
    assert_eq!(
        stages,
        ["taken", "prepared", "installing", "verifying", "succeeded"]
    );
    let taken = hands[1].takes(&yard).await;
    hands[1].carries_out(&yard, &taken).await;
    yard.settle().await;
    let change = yard.change(&change).await;
    assert_eq!(
        (&change["state"], &change["totals"]),
        (&json!("ended"), &json!({ "succeeded": 2 }))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn success_that_no_inventory_shows_is_none() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let hand = &mut hands[0];
    let taken = hand.takes(&yard).await;
    assert!(hand.asks_to_begin(&yard, &taken).await.is_some());
    // It says so, and its inventory is the one from before.
    hand.says(&yard, &taken, Stage::Succeeded);
    hand.comes(&yard).await;
    let shown = yard.deployment(&change, hand.agent.host).await;
    assert_eq!(
        (&shown["shown"], &shown["failure"]),
        (&json!("failed"), &json!("not_seen"))
    );
    assert!(shown["next_step"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inventory_from_before_the_order_proves_nothing_and_one_from_before_the_end_no_failure() {
    let (mut yard, mut hands) = Yard::new(2).await;
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let old = SignedDuration::from_hours(1);
    for (number, installs) in [(0, true), (1, false)] {
        let hand = &mut hands[number];
        let taken = hand.takes(&yard).await;
        assert!(hand.asks_to_begin(&yard, &taken).await.is_some());
        if installs {
            hand.installs(&taken);
            hand.age = old;
        }
        let report = hand.says(&yard, &taken, Stage::NotInEffect);
        report.since += SignedDuration::from_mins(1);
        hand.comes(&yard).await;
        hand.comes(&yard).await;
        assert_eq!(
            yard.deployment(&change, hand.agent.host).await["shown"],
            "verifying"
        );
    }
    yard.pass(SignedDuration::from_mins(1));
    for (number, shown) in [(0, "not_in_effect"), (1, "failed")] {
        let hand = &mut hands[number];
        hand.age = SignedDuration::ZERO;
        hand.comes(&yard).await;
        assert_eq!(yard.deployment(&change, hand.agent.host).await["shown"], shown);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_reported_twice_is_kept_once_and_heard_each_time() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let hand = &mut hands[0];
    let taken = hand.takes(&yard).await;
    hand.comes(&yard).await;
    hand.comes(&yard).await;
    hand.fails(&yard, &taken, FailureKind::DiskFull);
    let again = hand.reports.clone();
    assert_eq!(hand.comes(&yard).await.heard, [taken.digest]);
    let first = yard.deployment(&change, hand.agent.host).await;
    // The answer was lost; and then an older report comes again.
    hand.reports = again;
    assert_eq!(hand.comes(&yard).await.heard, [taken.digest]);
    hand.says(&yard, &taken, Stage::Taken);
    hand.comes(&yard).await;
    let after = yard.deployment(&change, hand.agent.host).await;
    assert_eq!(first, after);
    assert_eq!(after["failure"], "disk_full");
    let id = after["id"].as_str().expect("an id");
    let one = yard
        .front
        .get(yard.front.in_tenant(&format!("deployments/{id}")))
        .await
        .json();
    assert_eq!(one["stages"].as_array().expect("stages").len(), 2, "{one}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_host_has_two_orders_at_once() {
    let (mut yard, mut hands) = Yard::new(1).await;
    hands[0].packages.push(("other".to_owned(), "1.0-1".to_owned()));
    hands[0].comes(&yard).await;
    let first = yard.deploy(&yard.request().await).await;
    let other = json!({ "updates": [yard.update("other").await], "hosts": { "all": true } });
    let second = yard.deploy(&other).await;
    yard.settle().await;
    let hand = &mut hands[0];
    let taken = hand.takes(&yard).await;
    assert_eq!(taken.order.change.to_string(), first);
    let waiting = yard.deployment(&second, hand.agent.host).await["waiting"].clone();
    assert_eq!(waiting["code"], "another_change");
    assert!(
        waiting["sentence"].as_str().expect("words").contains(&first),
        "{waiting}"
    );
    hand.carries_out(&yard, &taken).await;
    yard.settle().await;
    let taken = hand.takes(&yard).await;
    assert_eq!(taken.order.change.to_string(), second);
    assert!(taken.order.number > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_below_the_ceiling_is_named_with_the_command_that_lifts_it_and_ordered_nothing() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let hand = &mut hands[0];
    hand.mode = Mode::Monitor;
    hand.comes(&yard).await;
    server::agents::flush(&yard.world().context)
        .await
        .expect("written");
    let request = yard.request().await;
    let seen = yard.preview(&request).await.json();
    assert_eq!(seen["hosts"][0]["outcome"], "below_ceiling");
    let why = seen["hosts"][0]["why"].as_str().expect("words");
    assert!(why.contains("sudo patchyard-agent mode install"), "{why}");
    let change = yard.deploy(&request).await;
    yard.settle().await;
    assert!(hand.comes(&yard).await.orders.is_empty());
    let waiting = yard.deployment(&change, hand.agent.host).await["waiting"]["code"].clone();
    assert_eq!(waiting, "below_ceiling");
    hand.mode = Mode::Install;
    hand.comes(&yard).await;
    yard.settle().await;
    let taken = hand.takes(&yard).await;
    // Lowered again meanwhile: it may not begin.
    hand.mode = Mode::Download;
    assert_eq!(hand.asks_to_begin(&yard, &taken).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_hosts_at_once_are_ordered_anything() {
    let (mut yard, mut hands) = Yard::new(3).await;
    let mut request = yard.request().await;
    request["at_once"] = json!(1);
    let change = yard.deploy(&request).await;
    yard.settle().await;
    for done in 0..3 {
        let mut ordered = Vec::new();
        for (number, hand) in hands.iter_mut().enumerate() {
            let seen = hand.comes(&yard).await;
            if let [offered] = &*seen.orders {
                ordered.push((number, *offered));
            }
        }
        let [(number, offered)] = &*ordered else {
            panic!("after {done}: {ordered:?}")
        };
        let taken = hands[*number].accept(&yard, offered);
        hands[*number].carries_out(&yard, &taken).await;
        yard.settle().await;
    }
    assert_eq!(yard.change(&change).await["state"], "ended");
}
