//! The server killed between any two steps, and restored from a backup.

use super::yard::Yard;
use jiff::SignedDuration;
use protocol::message::orders::Stage;
use server::clock::SeededChance;
use server::start::{Ports, begin_epoch};
use std::sync::Arc;
use store::rollout_change::{self, ChangeState};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_after_each_step_goes_on_with_the_change() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let change = yard.deploy(&yard.request().await).await;
    yard = yard.killed_and_started().await;
    yard.world().run("plan").await;
    yard = yard.killed_and_started().await;
    yard.world().run("stage").await;
    yard = yard.killed_and_started().await;
    hands[0].comes(&yard).await;
    yard.world().run("plan").await;
    yard = yard.killed_and_started().await;
    let taken = hands[0].takes(&yard).await;
    yard = yard.killed_and_started().await;
    hands[0].comes(&yard).await;
    yard = yard.killed_and_started().await;
    assert_eq!(yard.shown(&change).await, ["taken"]);
    assert!(hands[0].asks_to_begin(&yard, &taken).await.is_some());
    yard = yard.killed_and_started().await;
    hands[0].says(&yard, &taken, Stage::Installing);
    hands[0].comes(&yard).await;
    hands[0].installs(&taken);
    hands[0].says(&yard, &taken, Stage::Succeeded);
    hands[0].comes(&yard).await;
    yard = yard.killed_and_started().await;
    hands[0].comes(&yard).await;
    yard = yard.killed_and_started().await;
    assert_eq!(yard.shown(&change).await, ["succeeded"]);
    yard.settle().await;
    let orders = yard.change(&change).await;
    assert_eq!(orders["state"], "ended", "{orders}");
    assert!(
        hands[0].comes(&yard).await.orders.is_empty(),
        "it was ordered once"
    );
    assert_eq!(hands[0].highest, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_server_takes_back_what_it_does_not_know_and_goes_on_above_every_number() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let hand = &mut hands[0];
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    // The host is from after the backup: it holds an order with a number that this server has not given away.
    let taken = hand.takes(&yard).await;
    let mut later = taken.clone();
    later.order.number = 41;
    later.digest = protocol::sha256(b"an order of the life before");
    hand.reports.clear();
    hand.highest = 41;
    let ports = Ports {
        clock: Arc::clone(&yard.world().clock) as _,
        chance: Arc::new(SeededChance::new(77)),
    };
    begin_epoch(&yard.world().context.db, &ports, "restored")
        .await
        .expect("a new life");
    yard = yard.killed_and_started().await;
    hand.says(&yard, &later, Stage::Prepared);
    let seen = hand.comes(&yard).await;
    assert_eq!(seen.withdrawn, [later.digest]);
    assert!(seen.goes.is_empty());
    hand.says(&yard, &later, Stage::Withdrawn);
    assert_eq!(hand.comes(&yard).await.heard, [later.digest]);
    // Its own order has a number that the host passes over: it is made anew.
    yard.decide(&format!("changes/{change}/stop")).await;
    yard.decide(&format!("changes/{change}/resume")).await;
    yard.settle().await;
    let anew = hand.takes(&yard).await;
    assert!(anew.order.number > 41, "{}", anew.order.number);
    assert_eq!(anew.order.epoch, 2);
    hand.carries_out(&yard, &anew).await;
    assert_eq!(yard.shown(&change).await, ["succeeded"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_go_is_refused_of_a_stopped_change_whose_orders_are_in_force() {
    let (mut yard, mut hands) = Yard::new(1).await;
    let change = yard.deploy(&yard.request().await).await;
    yard.settle().await;
    let taken = hands[0].takes(&yard).await;
    // As a database that was put together by hand: the change is stopped, and its order is not taken back.
    let (scope, id) = (yard.world().scope(), change.parse().expect("an id"));
    let stopped = yard.world().context.db.write(move |tx| {
        let row = rollout_change::get(tx, &scope, id)?.expect("it was made");
        rollout_change::set_state(tx, &scope, id, row.version, ChangeState::Stopped)
    });
    assert!(stopped.await.expect("written").is_changed());
    assert_eq!(hands[0].asks_to_begin(&yard, &taken).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_in_that_is_held_is_answered_when_an_order_is_made() {
    let (mut yard, mut hands) = Yard::new(1).await;
    yard.deploy(&yard.request().await).await;
    let hand = &mut hands[0];
    hand.comes(&yard).await;
    let mut message = hand.agent.check_in(yard.world(), &[]);
    message.mode = hand.mode;
    message.hold_seconds = 50;
    yard.pass(SignedDuration::from_secs(1));
    let request = hand.agent.seal(
        yard.world(),
        protocol::message::Kind::CHECK_IN,
        &protocol::message::Message::to_body(&message),
    );
    let context = yard.world().context.clone();
    let peer = crate::world::peer();
    let held = tokio::spawn(async move { server::agents::exchange(&context, &request, peer).await });
    while yard.world().context.wake_ups.held() == 0 {
        tokio::task::yield_now().await;
    }
    yard.settle().await;
    let answer = held.await.expect("it is answered");
    assert!(!answer.is_empty());
    let unopened = protocol::envelope::Unopened::parse(&answer).expect("an envelope");
    let key = yard.world().context.authority.answers_key().verifying();
    let seen: protocol::message::check_in::CheckedIn =
        unopened.open(&key).expect("signed").message().expect("an answer");
    assert_eq!(seen.orders.len(), 1);
    assert!(seen.ticket.is_some());
}
