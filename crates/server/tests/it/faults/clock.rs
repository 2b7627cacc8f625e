//! The server's clock stepped by a year, either way, and set right later: hosts go on, sources are synced, nothing is forgotten.

use super::story::Upstream;
use crate::world::{Agent, World, kind};
use jiff::SignedDuration;
use protocol::message::refused::RefusalKind;
use store::document::DocumentKind;

const YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);

/// A host that goes by its server's time is heard again: at once, or after it renewed its certificate.
async fn is_heard(world: &World, agent: &mut Agent) {
    let heard = agent.checks_in(world, &[]).await;
    if heard.is_err() {
        assert_eq!(kind(heard), RefusalKind::Expired);
        agent.renews(world).await.expect("an ended certificate may renew");
        agent
            .checks_in(world, &[])
            .await
            .expect("with the new certificate");
    }
}

async fn steps_by(step: SignedDuration) {
    let world = World::new().await;
    let upstream = Upstream::start(world.folder.path());
    upstream.publish(world.now(), &[("hello", "1.0-2")]);
    let mut agent = world.agent(1).await;
    for version in ["0.9-1", "1.0-1"] {
        upstream.report(&world, &mut agent, &[("hello", version)]).await;
        world.pass(SignedDuration::from_mins(5));
    }
    world.run("assess").await;
    world.adopt_sources().await;
    world.run("sync").await;
    world.run("assess").await;
    world.run("retain").await;
    world.run("sweep-content").await;
    let had = world.history(agent.host, DocumentKind::Inventory).await;
    assert_eq!(had.len(), 2);

    world.clock.step_to(world.now() + step);
    agent.clock_off = -step;
    let refused = agent.checks_in(&world, &[]).await;
    assert_eq!(kind(refused), RefusalKind::Clock, "it is told the server's time");
    agent.clock_off = SignedDuration::ZERO;
    is_heard(&world, &mut agent).await;
    for work in ["sync", "assess", "retain", "sweep-content"] {
        world.run(work).await;
    }
    upstream
        .report(&world, &mut agent, &[("hello", "1.0-1"), ("plain", "1.0-1")])
        .await;
    world.run("assess").await;

    world.clock.step_to(world.now() - step);
    agent.clock_off = step;
    let refused = agent.checks_in(&world, &[]).await;
    assert_eq!(kind(refused), RefusalKind::Clock);
    agent.clock_off = SignedDuration::ZERO;
    is_heard(&world, &mut agent).await;
    let has = world.history(agent.host, DocumentKind::Inventory).await;
    for digest in had {
        assert!(has.contains(&digest), "history is forgotten");
    }
    upstream.publish(world.now(), &[("hello", "1.0-3")]);
    upstream.report(&world, &mut agent, &[("hello", "1.0-2")]).await;
    // Within a day it is synced by itself, whatever the wrong clock had planned.
    world.pass(SignedDuration::from_hours(24));
    world.run("sync").await;
    world.run("assess").await;
    let missing = world.missing(None).await;
    assert_eq!(missing.keys().collect::<Vec<_>>(), ["hello 1.0-3"]);
    is_heard(&world, &mut agent).await;
    assert_eq!(
        world.sources().await[0].last_sync_at.map(|at| at < world.now()),
        Some(true)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_was_a_year_ahead_goes_on_and_forgets_nothing() {
    steps_by(YEAR).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_clock_was_a_year_behind_goes_on_and_forgets_nothing() {
    steps_by(-YEAR).await;
}
