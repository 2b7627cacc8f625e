//! The server killed at every fail-point: the story of `story` is lived in a process that is killed at one of them, then the
//! server is started again on what was left. What was acknowledged is there, nothing is half-done, and it goes on.

use super::story::{self, Fact};
use crate::api::Front;
use crate::world::{Agent, World};
use axum::http::Method;
use domain::digest::Sha256Digest;
use failpoint::Point;
use protocol::document::Document as _;
use protocol::document::channels::ChannelConfigDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::link::Link;
use server::operations::{backup, doctor};
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use store::{Scope, shape};

/// Tells a process of this test which point to end at, as `NAME:COUNT`: when it is reached for that many times.
const AT: &str = "PATCHYARD_KILLED_AT";
/// And where to live.
const IN: &str = "PATCHYARD_KILLED_IN";

/// How often each point was reached in this process.
static REACHED: Mutex<BTreeMap<Point, u32>> = Mutex::new(BTreeMap::new());

/// Which point this process is to end at, and where it lives: of the process that is killed, and of no other.
#[expect(
    clippy::disallowed_methods,
    reason = "the one test speaks so to the processes that it starts"
)]
fn told(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn on_reach(point: Point) {
    let count = {
        let mut reached = REACHED.lock().expect("nobody panics while holding it");
        let count = reached.entry(point).or_default();
        *count += 1;
        *count
    };
    let here = format!("{}:{count}", point.name());
    if told(AT).is_some_and(|at| at == here) {
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::KILL).expect("a process may end itself");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

#[test]
fn a_server_killed_at_any_fail_point_keeps_what_it_acknowledged_and_goes_on() {
    if let Some(folder) = told(IN) {
        live_in(Path::new(&folder));
        return;
    }
    let counts = counted();
    let never: Vec<&str> = Point::ALL
        .iter()
        .filter(|point| !counts.contains_key(point.name()))
        .map(|point| point.name())
        .collect();
    assert!(never.is_empty(), "the story does not reach {never:?}");
    // The first and the last time; by hand as many as you like.
    let most = testkit::skip::cases("PATCHYARD_KILLS", 2, 2).max(1);
    let mut kills: Vec<String> = Vec::new();
    for (name, count) in counts {
        let times = most.min(u64::from(count));
        let nth = |time: u64| 1 + (u64::from(count) - 1) * time / (times - 1).max(1);
        kills.extend((0..times).map(|time| format!("{name}:{}", nth(time))));
    }
    let next = Mutex::new(kills.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let kill = next.lock().expect("a failed kill ends the test").next();
                    let Some(kill) = kill else { return };
                    outlives(&kill);
                }
            });
        }
    });
}

/// The process that is killed: it lives the story until then.
fn live_in(folder: &Path) {
    failpoint::on_reach(on_reach);
    runtime().block_on(story::live(folder));
    for (point, count) in REACHED.lock().expect("nobody panics while holding it").iter() {
        Fact::say(&["reached", point.name(), &count.to_string()]);
    }
}

/// What a process said that lived in this folder, and the signal that ended it.
fn lived(folder: &Path, at: &str) -> (Vec<Fact>, Option<i32>) {
    let done = Command::new(std::env::current_exe().expect("the tests have a file"))
        .args([
            "--exact",
            "--nocapture",
            "faults::kill::a_server_killed_at_any_fail_point_keeps_what_it_acknowledged_and_goes_on",
        ])
        .envs([(IN, folder.as_os_str()), (AT, at.as_ref())])
        .output()
        .expect("the story can be lived");
    let said = String::from_utf8_lossy(&done.stdout);
    let signal = done.status.signal();
    assert!(
        done.status.success() || signal.is_some(),
        "{at}: {said}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    (said.lines().filter_map(Fact::parse).collect(), signal)
}

/// How often a whole life reaches each point.
fn counted() -> BTreeMap<String, u32> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (facts, _) = lived(folder.path(), "nowhere");
    let reached = facts.iter().filter(|fact| fact.is("reached"));
    let count = |fact: &Fact| fact.part(2).parse().expect("a count");
    let counts: BTreeMap<_, _> = reached
        .map(|fact| (fact.part(1).to_owned(), count(fact)))
        .collect();
    runtime().block_on(examine(folder.path(), &facts, "nowhere"));
    counts
}

fn outlives(at: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (facts, signal) = lived(folder.path(), at);
    // How many commits there are depends on which changes meet: the last one of another life may never come.
    assert!(
        signal == Some(9) || !at.ends_with(":1"),
        "{at} was reached in another life, and not in this one"
    );
    runtime().block_on(examine(folder.path(), &facts, at));
}

/// Starts the server on what was left, and looks.
async fn examine(folder: &Path, facts: &[Fact], at: &str) {
    let world = World::left_in(folder).await;
    sound(&world, at).await;
    if facts.is_empty() {
        // Killed while it was opened for the first time: there is a server now, and nobody was promised anything.
        return;
    }
    let root = world.context.authority.root_digest().to_string();
    for fact in facts {
        match fact.part(0) {
            "opened" => assert_eq!(fact.part(1), root, "{at}: another authority"),
            "document" => document_is_kept(&world, fact, at).await,
            "snapshot" => snapshot_is_kept(&world, fact, at).await,
            "backup" => {
                let [place, _, _] = story::places(folder);
                backup::verify(&place).unwrap_or_else(|error| panic!("{at}: {error:?}"));
            }
            "adopted" => {
                let sources = world.sources().await;
                let all = sources
                    .iter()
                    .all(|source| source.state == store::source::SourceState::Adopted);
                assert!(!sources.is_empty() && all, "{at}: {sources:?}");
            }
            _ => {}
        }
    }
    hosts_go_on(&world, facts, at).await;
    changes_go_on(&world, facts, at).await;
    findings_hold(&world, facts, at).await;
    people_go_on(world, facts, at).await;
}

/// Nothing of the database or the files is damaged or half there, and the doctor has no complaint.
async fn sound(world: &World, at: &str) {
    let (db, content) = (&world.context.db, &world.context.content);
    let damage = db.read(shape::damage).await.expect("it can be looked through");
    assert!(damage.is_empty(), "{at}: {damage:?}");
    for digest in content.digests().expect("a list") {
        let bytes = content.map(&digest).expect("it is read").expect("it is there");
        assert_eq!(content::sha256(&bytes), digest, "{at}: a file is another");
    }
    let checks = doctor::examine(&world.context).await;
    let failed: Vec<_> = checks
        .iter()
        // The machine's own disk, and a source that was adopted and not synced yet, are no damage.
        .filter(|check| check.state == doctor::Wellness::Failed && !["disk", "sources"].contains(&check.name))
        .collect();
    assert!(failed.is_empty(), "{at}: {failed:?}");
    let [place, elsewhere, _] = story::places(world.folder.path());
    if place.exists() {
        backup::verify(&place).unwrap_or_else(|error| panic!("{at}: a half backup has its name: {error:?}"));
    }
    if elsewhere.exists() {
        let has = |name: &str| elsewhere.join(name).exists();
        assert!(
            has("patchyard.db") && has("keys/master.key"),
            "{at}: a half restore has its name"
        );
    }
}

async fn document_is_kept(world: &World, fact: &Fact, at: &str) {
    let digest = Sha256Digest::parse(fact.part(3).as_bytes()).expect("a digest");
    let bytes = find_document(world, digest)
        .await
        .unwrap_or_else(|| panic!("{at}: an acknowledged {} is lost", fact.part(2)));
    assert_eq!(protocol::sha256(&bytes), digest, "{at}");
    if fact.part(2) == "inventory" {
        let host = fact.part(1).parse().expect("an id");
        let history = world
            .history(host, store::document::DocumentKind::Inventory)
            .await;
        assert!(history.contains(&digest), "{at}: {history:?}");
    }
}

async fn snapshot_is_kept(world: &World, fact: &Fact, at: &str) {
    let digest = Sha256Digest::parse(fact.part(1).as_bytes()).expect("a digest");
    let (scope, source) = (world.scope(), world.sources().await[0].id);
    let known = world
        .context
        .db
        .read(move |view| store::snapshot::of_source(view, &scope, source, None, 10));
    let known = known.await.expect("the snapshots");
    assert!(known.iter().any(|one| one.digest == digest), "{at}");
    assert!(world.context.content.contains(&digest), "{at}: its file is gone");
}

/// Every agent that was acknowledged goes on with the last answer that it got.
async fn hosts_go_on(world: &World, facts: &[Fact], at: &str) {
    for seed in [1, 2_u8] {
        let last = facts
            .iter()
            .rfind(|fact| fact.is("link") && fact.part(1) == seed.to_string());
        let Some(last) = last else { continue };
        let mut agent = Agent::new(seed);
        agent.host = last.part(2).parse().expect("an id");
        agent.sequence = last.part(3).parse::<u64>().expect("a count") + 100;
        agent.link = Link {
            count: last.part(4).parse().expect("a count"),
            mac: u128::from_str_radix(last.part(5), 16)
                .expect("sixteen bytes")
                .to_be_bytes(),
        };
        assert_eq!(world.host(agent.host).await.id, agent.host);
        for _ in 0..2 {
            let heard = agent.checks_in(world, &[]).await;
            heard.unwrap_or_else(|refused| panic!("{at}: host {seed} is refused: {refused:?}"));
        }
    }
}

/// A change that was made is there and goes on; what was permitted and heard is kept, and no host has two orders.
async fn changes_go_on(world: &World, facts: &[Fact], at: &str) {
    let Some(change) = facts.iter().find(|fact| fact.is("change")) else {
        return;
    };
    let id = change.part(1).parse().expect("an id");
    let scope = world.scope();
    for work in ["plan", "stage", "plan"] {
        world.run(work).await;
    }
    let read = world.context.db.read(move |view| {
        let change = store::rollout_change::get(view, &scope, id)?;
        let member = store::deployment::members(view, &scope, id)?.remove(0);
        let orders = store::order::of_deployment(view, &scope, member.deployment)?;
        Ok::<_, store::Error>((change, member, orders))
    });
    let (change, member, orders) = read.await.expect("the rows");
    assert!(change.is_some(), "{at}: an acknowledged change is lost");
    let open = orders.iter().filter(|order| order.ended_at.is_none());
    assert!(open.count() <= 1, "{at}: {orders:?}");
    let number = |fact: &Fact| fact.part(1).parse::<u64>().expect("a number");
    let of = |fact: &Fact| orders.iter().find(|order| order.number == number(fact));
    for fact in facts {
        match fact.part(0) {
            "order" => assert!(of(fact).is_some(), "{at}: an order that was offered is lost"),
            "go" => assert!(
                of(fact).is_some_and(|order| order.may_begin_until.is_some()),
                "{at}: a host may begin, and nobody knows"
            ),
            "ended" => assert!(
                of(fact).is_some_and(|order| order.ended_at.is_some()) && member.order.is_some(),
                "{at}: {orders:?}"
            ),
            _ => {}
        }
    }
}

/// What is found is what the stored rows say, whatever was in memory.
async fn findings_hold(world: &World, facts: &[Fact], at: &str) {
    world.run("assess").await;
    let expected = expected(world, facts).await;
    assert_eq!(story::shown(&world.missing(None).await), expected, "{at}");
    world.context.fleets.wipe();
    world.run("assess").await;
    assert_eq!(story::shown(&world.missing(None).await), expected, "{at}");
}

/// Who misses what by the stored rows: what the story published last of what was adopted, against what each host has.
async fn expected(world: &World, facts: &[Fact]) -> String {
    let adopted = match world.sources().await.first().map(|source| source.id) {
        None => 0,
        Some(source) => {
            let scope = world.scope();
            let all = world
                .context
                .db
                .read(move |view| store::snapshot::of_source(view, &scope, source, None, 10));
            all.await.expect("the snapshots").len()
        }
    };
    let Some(published) = adopted.checked_sub(1).map(|last| story::PUBLISHED[last]) else {
        return String::new();
    };
    let mut missing: BTreeMap<String, roaring::RoaringBitmap> = BTreeMap::new();
    for enrolled in facts.iter().filter(|fact| fact.is("enrolled")) {
        let host = world.host(enrolled.part(1).parse().expect("an id")).await;
        // A host is judged by its inventory, its channel config and the key that this names.
        let (Some(inventory), Some(config)) = (host.inventory, host.channel_config) else {
            continue;
        };
        let (config, inventory) = (document(world, config).await, document(world, inventory).await);
        let config = ChannelConfigDocument::parse_kept(&config).expect("a channel config");
        if document_of_key(world, config).await.is_none() {
            continue;
        }
        let inventory = InventoryDocument::parse_kept(&inventory).expect("an inventory");
        for package in inventory.packages {
            let newest = published.iter().find(|(name, _)| *package.name == **name);
            let newest = newest.expect("the story's packages are all published");
            if *package.version != *newest.1 {
                let hosts = missing.entry(format!("{} {}", newest.0, newest.1)).or_default();
                hosts.insert(host.host_no.0);
            }
        }
    }
    story::shown(&missing)
}

async fn find_document(world: &World, digest: Sha256Digest) -> Option<Vec<u8>> {
    let scope = world.scope();
    let stored = world
        .context
        .db
        .read(move |view| store::document::get(view, &scope, digest));
    let stored = stored.await.expect("the database answers")?;
    Some(server::agents::stored_bytes(&stored).expect("it is whole"))
}

async fn document(world: &World, digest: Sha256Digest) -> Vec<u8> {
    find_document(world, digest)
        .await
        .expect("what a host has is there")
}

async fn document_of_key(world: &World, config: ChannelConfigDocument) -> Option<Vec<u8>> {
    let (_config, evidence) = config.into_domain();
    find_document(world, evidence[0].keys[0]).await
}

/// A person's request that was answered has the same answer again; a backup and a restore that broke off are made anew.
async fn people_go_on(world: World, facts: &[Fact], at: &str) {
    let front = Front::of(world);
    if let Some(site) = facts.iter().find(|fact| fact.is("site")) {
        let body = serde_json::json!({ "name": site.part(1) });
        let again = front.ask(Method::POST, front.in_tenant("sites"), &front.local);
        let again = again.key(site.part(3)).json(&body).send().await;
        assert_eq!(again.status, 201, "{at}: {}", again.text);
        assert_eq!(again.json()["id"], site.part(2), "{at}: made twice");
    }
    front.world.run("seal-audit").await;
    chain_is_whole(&front.world, facts, at).await;
    let [place, elsewhere, _] = story::places(front.world.folder.path());
    if !place.exists() {
        backup::make(&front.world.context, &place, "again", story::WHOLE)
            .await
            .unwrap_or_else(|error| panic!("{at}: no backup after one that broke off: {error:?}"));
    }
    if !elsewhere.exists() {
        story::restore(&front.world)
            .await
            .unwrap_or_else(|error| panic!("{at}: no restore after one that broke off: {error:?}"));
    }
}

async fn chain_is_whole(world: &World, facts: &[Fact], at: &str) {
    let scope: Scope = world.scope();
    let chain = world
        .context
        .db
        .read(move |view| store::audit::chain(view, &scope, 0, 1_000));
    let chain = chain.await.expect("the chain");
    let numbers: Vec<u64> = chain.iter().filter_map(|linked| linked.record.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "{at}");
    let added = chain
        .iter()
        .filter(|linked| linked.record.noun == "site" && linked.record.action == "create")
        .count();
    if facts.iter().any(|fact| fact.is("site")) {
        assert_eq!(added, 1, "{at}: one change, one record: {chain:?}");
    }
}
