//! PostgreSQL failing over under a running server: stopped at once and started again, connections cut between statements.
//! Who is refused is told when to come again; what was acknowledged is there; nobody has to help.

use super::story::Upstream;
use crate::api::Front;
use crate::world::{Agent, World, inventory, whole};
use domain::digest::Sha256Digest;
use protocol::document::DocumentKind;
use protocol::message::check_in::CheckedIn;
use protocol::message::documents::{Documents, DocumentsTaken};
use protocol::message::refused::{RefusalKind, Refused};
use protocol::message::{Kind, Message};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use testkit::postgres::{Durability, Postgres};

/// A PostgreSQL server of one test's own, or a skip.
fn postgres() -> Option<Postgres> {
    match Postgres::start(Durability::OfTheDisk) {
        Ok(postgres) => Some(postgres),
        Err(why) => {
            testkit::skip::skip(&format_args!("no PostgreSQL server of its own: {why:#}"));
            None
        }
    }
}

/// Whoever cannot be served is told to come again, and when.
fn is_busy(refused: &Refused) -> bool {
    refused.kind == RefusalKind::Busy && refused.retry_after_seconds.is_some_and(|seconds| seconds >= 10)
}

/// An agent that reports one inventory after the other until it is told to stop; what was acknowledged.
async fn reports(
    world: Arc<World>,
    mut agent: Agent,
    stop: Arc<AtomicBool>,
    busy: Arc<AtomicU32>,
) -> (Agent, Vec<Sha256Digest>) {
    let mut acknowledged = Vec::new();
    let mut size = 0;
    while !stop.load(Ordering::Relaxed) {
        size += 1;
        let (_, bytes) = inventory(size + 200 * usize::from(agent.key.seed()[0]));
        let document = whole(DocumentKind::Inventory, bytes);
        let digest = document.0.digest;
        let check_in = agent.check_in(&world, &[(DocumentKind::Inventory, digest)]);
        let request = agent.seal(&world, Kind::CHECK_IN, &check_in.to_body());
        let checked: CheckedIn = insist(&world, &agent, &request, &busy).await;
        agent.link = checked.link;
        let message = Documents {
            link: agent.link,
            documents: vec![document.0],
        };
        let request = agent.seal(&world, Kind::DOCUMENTS, &message.with_bytes(document.1));
        let taken: DocumentsTaken = insist(&world, &agent, &request, &busy).await;
        acknowledged.extend(taken.taken);
        tokio::task::yield_now().await;
    }
    (agent, acknowledged)
}

/// Sends a request, and the same again as long as the server is busy, as agents do.
async fn insist<M: Message>(world: &World, agent: &Agent, request: &[u8], busy: &AtomicU32) -> M {
    loop {
        let answer = world.exchange(request).await;
        match agent.read(world, request, &answer) {
            Ok(message) => return message,
            Err(refused) => {
                assert!(is_busy(&refused), "{refused:?}");
                busy.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Agents report while this happens to their server's database; then everything acknowledged is there, and everything goes on.
async fn outlives(postgres: Postgres, mishap: impl FnOnce(&Postgres, &AtomicU32) + Send + 'static) {
    let world = Arc::new(World::on(postgres.database().expect("a database")).await);
    let (stop, busy) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut reporting = Vec::new();
    for seed in 1..=3 {
        let agent = world.agent(seed).await;
        let (world, stop, busy) = (Arc::clone(&world), Arc::clone(&stop), Arc::clone(&busy));
        reporting.push(tokio::spawn(reports(world, agent, stop, busy)));
    }
    let refusals = Arc::clone(&busy);
    let postgres = tokio::task::spawn_blocking(move || {
        mishap(&postgres, &refusals);
        postgres
    });
    let postgres = postgres.await.expect("the mishap happens");
    stop.store(true, Ordering::Relaxed);
    assert!(busy.load(Ordering::Relaxed) > 0, "nobody noticed anything");
    let mut agents = Vec::new();
    let mut acknowledged = BTreeSet::new();
    for one in reporting {
        let (agent, digests) = one.await.expect("nobody is refused for good");
        acknowledged.extend(digests);
        agents.push(agent);
    }
    assert!(!acknowledged.is_empty());
    let (scope, asked) = (world.scope(), acknowledged.iter().copied().collect::<Vec<_>>());
    let known = world
        .context
        .db
        .read(move |view| store::document::known(view, &scope, &asked));
    assert_eq!(known.await.expect("it answers again").len(), acknowledged.len());
    for mut agent in agents {
        agent.checks_in(&world, &[]).await.expect("it goes on");
    }
    works(Arc::into_inner(world).expect("nobody else has it")).await;
    drop(postgres);
}

/// Background work and people are served as before.
async fn works(world: World) {
    let upstream = Upstream::start(world.folder.path());
    upstream.publish(world.now(), &[("hello", "1.0-2")]);
    let mut agent = world.agent(9).await;
    upstream.report(&world, &mut agent, &[("hello", "1.0-1")]).await;
    world.run("assess").await;
    world.adopt_sources().await;
    world.run("sync").await;
    world.run("assess").await;
    assert_eq!(world.missing(None).await.len(), 1);
    let front = Front::of(world);
    assert_eq!(front.get(front.in_tenant("hosts")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_stopped_at_once_and_started_again_loses_nothing_acknowledged() {
    let Some(postgres) = postgres() else { return };
    outlives(postgres, |postgres, refusals| {
        for round in 1..=2 {
            while_unreachable(postgres, refusals, round);
        }
    })
    .await;
}

/// Stops the server, lets some agents meet that, and starts it again.
fn while_unreachable(postgres: &Postgres, refusals: &AtomicU32, round: u32) {
    postgres.stop_at_once().expect("it stops");
    while refusals.load(Ordering::Relaxed) < 6 * round {
        std::thread::yield_now();
    }
    postgres.start_again().expect("it comes up again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_cut_between_statements_lose_nothing_acknowledged() {
    let Some(postgres) = postgres() else { return };
    outlives(postgres, |postgres, refusals| {
        // Until some were hit in the middle: an idle connection is replaced without anybody noticing.
        while refusals.load(Ordering::Relaxed) < 5 {
            let cut =
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'patchyard'";
            postgres.sql("postgres", cut).expect("they are cut");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_told_when_to_come_again_while_the_database_is_away() {
    let Some(postgres) = postgres() else { return };
    let world = World::on(postgres.database().expect("a database")).await;
    let front = Front::of(world);
    let hosts = front.in_tenant("hosts");
    assert_eq!(front.get(hosts.as_str()).await.status, 200);
    postgres.stop_at_once().expect("it stops");
    for answer in [
        front.get(hosts.as_str()).await,
        front
            .post(front.in_tenant("sites"), serde_json::json!({ "name": "annex" }))
            .await,
    ] {
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (503, "store-unavailable")
        );
        assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
        assert!(!answer.text.contains("postgres"), "{}", answer.text);
    }
    assert!(!front.world.try_run("assess").await);
    assert_eq!(front.world.context.board.all()["assess"].failures, 1);
    postgres.start_again().expect("it comes up again");
    assert_eq!(front.get(hosts.as_str()).await.status, 200);
    front.world.run("assess").await;
}
