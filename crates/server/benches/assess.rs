//! What a server with 100,000 hosts costs: `cargo bench -p server --bench assess [-- HOSTS]`. First the assessment, in this
//! process, on rows as agents leave them and sources that are really synced; then the server itself in a process of its own,
//! asked over HTTPS by every filter of every list. One JSON object a line: what, figure, unit.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench prints, and looks at the clock"
)]

#[path = "assess/api.rs"]
mod api;
#[path = "assess/rows.rs"]
mod rows;
#[path = "assess/served.rs"]
mod served;
#[path = "assess/world.rs"]
mod world;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use rows::{Common, Tenant};
use server::reconcile::{ALL, node, run_once};
use server::start::{Ports, Server};
use server::{Context, Settings, assess};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;
use store::source::{SourceEdit, SourceState};
use store::{Scope, Whole, lease};
use world::{CODENAMES, Sourced};

/// Updates that the syncs bring.
const UPDATES: usize = 40;
/// Hosts that propose what all of them use.
const FIRST: u32 = 50;
/// The distribution that they are of.
const CHANGED: usize = 1;
/// Inventories that change together.
const BATCH: u32 = 100;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match words.as_slice() {
        [serve, folder] if serve == "serve" => runtime.block_on(served::serve(Path::new(folder))),
        [] => runtime.block_on(measure(100_000)),
        [hosts, ..] => runtime.block_on(measure(hosts.parse()?)),
    }
}

fn say(name: &str, value: f64, unit: &str) {
    println!(
        "{}",
        serde_json::json!({ "name": name, "value": value, "unit": unit })
    );
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// The settings of a server that listens on a free port of loopback.
pub fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::defaults_in(folder);
    settings.file.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings
}

async fn measure(hosts: u32) -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let (data, archive) = (folder.path().join("data"), folder.path().join("served"));
    std::fs::create_dir_all(&archive)?;
    let (large, small) = (
        Tenant { number: 1, hosts },
        Tenant {
            number: 2,
            hosts: hosts.div_ceil(10),
        },
    );
    let mut sourced = Sourced::new(0x00f1_ee70)?;
    let mut published = Timestamp::now() - SignedDuration::from_hours(6);
    sourced.publish(&archive, published)?;
    let server = testkit::server::Server::start(&archive)?;
    let context = Server::open(settings(&data), Ports::default()).await?;
    let now = context.clock.now();
    let common = Common::new(&sourced, &server.uri());
    let fence = fence(&context).await?;
    for (tenant, what) in [
        (small, "assessed from stored rows"),
        (large, "assessed from stored rows, beside others"),
    ] {
        let began = Instant::now();
        let numbers = rows::packages(&context, &sourced, tenant.hosts).await?;
        let world = (&sourced, &numbers, &common);
        rows::tenant(&context, tenant, now).await?;
        rows::hosts(&context, world, tenant, (0, FIRST), now).await?;
        adopt(&context, &fence, tenant).await?;
        rows::hosts(&context, world, tenant, (FIRST, tenant.hosts), now).await?;
        eprintln!(
            "{} packages and {} hosts stored in {:.0} ms",
            numbers.len(),
            tenant.hosts,
            ms(began)
        );
        context.fleets.wipe();
        let began = Instant::now();
        let done = assess::run_tenant(&context, &fence, tenant.scope())
            .await
            .map_err(anyhow::Error::from_boxed)?;
        say(&format!("{} hosts {what}", tenant.hosts), ms(began), "ms");
        eprintln!("  {done:?}");
    }
    for round in 0..3 {
        rows::changed(&context, &sourced, large, (BATCH, round), context.clock.now()).await?;
        let began = Instant::now();
        let done = assess::run_tenant(&context, &fence, large.scope())
            .await
            .map_err(anyhow::Error::from_boxed)?;
        ensure!(done.bitmaps > 0, "the changed hosts were not assessed: {done:?}");
        say(
            "one changed inventory, stored",
            ms(began) / f64::from(BATCH),
            "ms",
        );
        eprintln!("  {done:?}");
    }
    for _ in 0..3 {
        published += SignedDuration::from_mins(10);
        sourced.release(CHANGED, UPDATES);
        sourced.publish(&archive, published)?;
        sync(&context).await?;
        let began = Instant::now();
        let done = assess::run_tenant(&context, &fence, large.scope())
            .await
            .map_err(anyhow::Error::from_boxed)?;
        ensure!(done.bitmaps > UPDATES, "the sync brought nothing: {done:?}");
        say("a sync with 40 new updates, stored", ms(began), "ms");
        eprintln!("  {done:?}");
    }
    let began = Instant::now();
    let done = assess::run_tenant(&context, &fence, large.scope())
        .await
        .map_err(anyhow::Error::from_boxed)?;
    say("a run of the assessor with nothing new", ms(began), "ms");
    ensure!(done.bitmaps == 0, "nothing is new: {done:?}");
    let root = context.authority.root_certificate().clone();
    context.db.close().await;
    drop(context);

    let publish = || -> Result<()> {
        sourced.release(CHANGED, UPDATES);
        sourced.publish(&archive, published + SignedDuration::from_mins(10))
    };
    served::measure(&data, root, large, small, publish).await
}

/// The lease of the assessor.
async fn fence(context: &Context) -> Result<lease::Fence> {
    let (now, node) = (context.clock.now(), node(context));
    let until = now + SignedDuration::from_hours(1);
    let taken = context
        .db
        .write(move |tx| lease::take(tx, &Whole::server(), "assess", node, now, until));
    taken.await?.context("nobody else assesses")
}

async fn run(context: &Context, name: &str) -> Result<()> {
    let work = ALL
        .iter()
        .find(|work| work.name == name)
        .context("no such work")?;
    ensure!(run_once(context, work, node(context)).await, "{name} did not run");
    let standing = &context.board.all()[name];
    ensure!(standing.failures == 0, "{name}: {standing:?}");
    Ok(())
}

/// Has a tenant's sources proposed by a few of its hosts, adopts them, and syncs them.
async fn adopt(context: &Context, fence: &lease::Fence, tenant: Tenant) -> Result<()> {
    assess::run_tenant(context, fence, tenant.scope())
        .await
        .map_err(anyhow::Error::from_boxed)?;
    due(context, tenant.scope(), SourceState::Proposed, "").await?;
    run(context, "sync").await
}

async fn sync(context: &Context) -> Result<()> {
    due(
        context,
        Tenant { number: 1, hosts: 0 }.scope(),
        SourceState::Adopted,
        CODENAMES[CHANGED],
    )
    .await?;
    run(context, "sync").await
}

/// Makes the tenant's sources in this state and of this name adopted and due.
async fn due(context: &Context, scope: Scope, state: SourceState, name: &'static str) -> Result<()> {
    let edited = context.db.write(move |tx| {
        let all = store::source::all(tx, &scope, Some(state))?;
        for source in all.into_iter().filter(|source| source.identity.contains(name)) {
            let edit = SourceEdit {
                kind: source.kind,
                state: SourceState::Adopted,
                name: source.name,
                addresses: source.addresses,
                components: source.components,
                architectures: source.architectures,
                schedule: source.schedule,
                credentials_sealed: None,
                next_sync_at: Some(Timestamp::UNIX_EPOCH),
            };
            assert!(store::source::edit(tx, &scope, source.id, source.version, &edit)?.is_changed());
        }
        Ok(())
    });
    Ok(edited.await?)
}
