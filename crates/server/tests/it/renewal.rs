//! Renewal: what an expired certificate may still do, and how a new key takes the place of the old one.

use crate::world::{Agent, World, kind};
use jiff::SignedDuration;
use protocol::key::SigningKey;
use protocol::message::refused::RefusalKind;
use protocol::message::renew::{NextKey, Renew, Renewed};
use protocol::message::{Kind, Message};

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn an_expired_agent_renews_and_can_do_nothing_else() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    world.pass(DAY * 14 + SignedDuration::from_secs(1));
    assert_eq!(kind(agent.checks_in(&world, &[]).await), RefusalKind::Expired);
    assert_eq!(kind(agent.hands_over(&world, &[]).await), RefusalKind::Expired);
    let renewed = agent.renews(&world).await.expect("it may renew");
    assert_eq!(renewed.not_after, world.now() + DAY * 14);
    assert_eq!(renewed.certificates.len(), 2);
    agent.checks_in(&world, &[]).await.expect("it is back");
    let world = world.killed_and_started().await;
    world.pass(DAY * 13);
    agent
        .checks_in(&world, &[])
        .await
        .expect("the renewal is durable");
}

#[tokio::test]
async fn after_four_hundred_days_only_a_new_enrolment_helps() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    world.pass(DAY * (14 + 400));
    agent.renews(&world).await.expect("the last day");
    world.pass(DAY * (14 + 400) + SignedDuration::from_secs(1));
    assert_eq!(kind(agent.renews(&world).await), RefusalKind::Unknown);
}

#[tokio::test]
async fn a_new_key_takes_over_with_its_first_check_in_and_not_before() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let next = SigningKey::from_seed(&[77; 32]);
    let message = |key: &Agent, next: &SigningKey| Renew {
        host: key.host,
        link: key.link,
        agent_version: key.version.clone(),
        next_key: Some(NextKey::new(key.host, next)),
    };
    let request = agent.seal(&world, Kind::RENEW, &message(&agent, &next).to_body());
    let answer = world.exchange(&request).await;
    let _renewed: Renewed = agent.read(&world, &request, &answer).expect("it is certified");
    agent
        .checks_in(&world, &[])
        .await
        .expect("the answer may have been lost: the old key goes on");
    let mut with_next = Agent {
        key: next,
        ..agent.cloned(1)
    };
    with_next.bearer = agent.bearer;
    with_next.checks_in(&world, &[]).await.expect("the new key");
    agent.link = with_next.link;
    assert_eq!(kind(agent.checks_in(&world, &[]).await), RefusalKind::Superseded);
    with_next
        .checks_in(&world, &[])
        .await
        .expect("the new key goes on");

    let mut stolen = message(&with_next, &SigningKey::from_seed(&[78; 32]));
    if let Some(claim) = &mut stolen.next_key {
        claim.public_key = SigningKey::from_seed(&[79; 32]).verifying().to_bytes();
    }
    let request = with_next.seal(&world, Kind::RENEW, &stolen.to_body());
    let answer = world.exchange(&request).await;
    let refused = with_next.read::<Renewed>(&world, &request, &answer);
    assert_eq!(
        kind(refused),
        RefusalKind::Malformed,
        "a key that nobody showed to have"
    );
}

#[tokio::test]
async fn who_missed_the_last_answer_and_slept_past_its_certificate_renews_with_the_link_before() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let oldest = agent.link;
    agent.checks_in(&world, &[]).await.expect("it checks in");
    let known = agent.link;
    agent.checks_in(&world, &[]).await.expect("the server answers");
    world.pass(DAY * 20);
    let mut renew_with = async |link, seed| {
        let message = Renew {
            host: agent.host,
            link,
            agent_version: agent.version.clone(),
            next_key: Some(NextKey::new(agent.host, &SigningKey::from_seed(&[seed; 32]))),
        };
        let request = agent.seal(&world, Kind::RENEW, &message.to_body());
        let answer = world.exchange(&request).await;
        agent.read::<Renewed>(&world, &request, &answer)
    };
    assert_eq!(
        kind(renew_with(oldest, 81).await),
        RefusalKind::Busy,
        "two before the last"
    );
    renew_with(known, 82)
        .await
        .expect("the answer with the last link was lost");
}

#[tokio::test]
async fn a_renewal_for_another_host_is_refused() {
    let world = World::new().await;
    let (mut agent, other) = (world.agent(1).await, world.agent(2).await);
    agent.host = other.host;
    assert_eq!(kind(agent.renews(&world).await), RefusalKind::Malformed);
}
