//! Full inventories, acknowledged after they are durable; the server is killed in the middle, started again, and asked for every
//! one that it acknowledged.

use super::agent::Agent;
use super::connection::{Connection, Handshake};
use super::measure::{self, Latencies};
use super::serve::{Child, Served};
use super::{Figure, Shared};
use anyhow::{Context as _, Result, bail, ensure};
use domain::digest::Sha256Digest;
use protocol::document::Document as _;
use protocol::document::inventory::{InventoryDocument, Package};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// When the server is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillAfter {
    /// After this time.
    Span(Duration),
    /// When it has acknowledged so many inventories.
    Acknowledged(usize),
}

/// What was handed in, acknowledged, and there after the kill.
#[derive(Clone, Debug)]
pub struct HandedIn {
    /// How many inventories.
    pub count: usize,
    elapsed: Duration,
    latencies: Latencies,
}

impl HandedIn {
    /// As figures, for inventories of so many packages.
    pub fn figures(&self, packages: usize) -> [Figure; 3] {
        let per_second = self.count as f64 / self.elapsed.as_secs_f64();
        [
            Figure::new(
                format!("inventories of {packages} packages, acknowledged"),
                per_second,
                "per s",
            ),
            Figure::new("inventories, p99", self.latencies.percentile(99), "ms"),
            Figure::new(
                "inventories acknowledged before kill -9 and there after it",
                self.count as f64,
                "",
            ),
        ]
    }
}

/// An inventory in which only versions are still to be filled in: making it is the work of the host, which is not measured.
struct Template {
    bytes: Vec<u8>,
    /// Where the versions of some packages begin.
    places: Vec<usize>,
}

impl Template {
    /// What stands where a version goes.
    const PLACE: &str = "1.0-000000000000";

    fn new(packages: usize) -> Self {
        let package = |number: usize| Package {
            name: format!("package-{number:05}").into(),
            architecture: "amd64".into(),
            version: match number.is_multiple_of(90) {
                true => Self::PLACE.into(),
                false => format!("1.{}-1", number % 37).into(),
            },
            source: None,
            source_version: None,
            selection: Default::default(),
            state: Default::default(),
            reinstall: false,
            relations: (number as u32).wrapping_mul(0x9e37_79b9),
            multi_arch: 0,
            size_bytes: 0,
        };
        let document = InventoryDocument {
            packages: (0..packages).map(package).collect(),
        };
        let text = String::from_utf8(document.to_bytes()).expect("JSON is text");
        let places = text.match_indices(Self::PLACE).map(|(place, _)| place).collect();
        Self {
            bytes: text.into_bytes(),
            places,
        }
    }

    /// The inventory of an agent in a round: no two are alike.
    fn inventory(&self, agent: usize, round: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let version = format!("1.0-{agent:05}{round:07}");
        for place in &self.places {
            bytes[*place..place + version.len()].copy_from_slice(version.as_bytes());
        }
        bytes
    }
}

/// Counts acknowledgements, and says when there are enough.
struct Counter {
    count: AtomicUsize,
    enough: usize,
    told: Notify,
}

/// Every agent hands in one inventory after the other until the server is killed; then the server is started again.
///
/// # Errors
/// If one that was acknowledged is not there afterwards, asked for over the wire and looked up in the database.
pub async fn hand_in(
    child: &mut Child,
    agents: &[Shared<Agent>],
    packages: usize,
    kill: KillAfter,
) -> Result<HandedIn> {
    let served = Arc::new(child.served().clone());
    let counter = Arc::new(Counter {
        count: AtomicUsize::new(0),
        enough: match kill {
            KillAfter::Span(_) => usize::MAX,
            KillAfter::Acknowledged(count) => count,
        },
        told: Notify::new(),
    });
    let template = Arc::new(Template::new(packages));
    let began = measure::now();
    let mut tasks = JoinSet::new();
    for (number, agent) in agents.iter().enumerate() {
        let (served, agent, counter) = (Arc::clone(&served), Arc::clone(agent), Arc::clone(&counter));
        let template = Arc::clone(&template);
        tasks.spawn(async move {
            let mut agent = agent.lock_owned().await;
            let mut connection = agent.dialler(&served, Handshake::Full)?.dial().await?;
            let handed_in = until_killed(&mut agent, &mut connection, (&template, number), &counter).await;
            anyhow::Ok((number, handed_in))
        });
    }
    let due = async {
        match kill {
            KillAfter::Span(span) => tokio::time::sleep(span).await,
            KillAfter::Acknowledged(_) => counter.told.notified().await,
        }
    };
    tokio::select! {
        () = due => {}
        _ended = tasks.join_next() => bail!("the server did not take an inventory, and nobody had killed it"),
    }
    child.kill()?;
    let elapsed = began.elapsed();
    let mut latencies = Latencies::default();
    let mut acknowledged = vec![Vec::new(); agents.len()];
    while let Some(ended) = tasks.join_next().await {
        let (number, (own, digests)) = ended?.context("hand in inventories")?;
        latencies.join(own);
        acknowledged[number] = digests;
    }
    let count = acknowledged.iter().map(Vec::len).sum();
    child.restart()?;
    ask_back(child, agents, &acknowledged).await?;
    let all: Vec<Sha256Digest> = acknowledged.into_iter().flatten().collect();
    let lost = child.lacks(&all).await?;
    ensure!(
        lost == 0,
        "the database lacks {lost} of {count} acknowledged inventories"
    );
    Ok(HandedIn {
        count,
        elapsed,
        latencies,
    })
}

async fn until_killed(
    agent: &mut Agent,
    connection: &mut Connection,
    (template, number): (&Template, usize),
    counter: &Counter,
) -> (Latencies, Vec<Sha256Digest>) {
    let (mut latencies, mut acknowledged) = (Latencies::default(), Vec::new());
    loop {
        let inventory = template.inventory(number, agent.requests());
        // In the end the server is dead: what it said before counts.
        let Ok(taken) = agent.hand_in(connection, inventory).await else {
            return (latencies, acknowledged);
        };
        latencies.add(taken.waited);
        acknowledged.push(taken.digest);
        if counter.count.fetch_add(1, Ordering::Relaxed) + 1 == counter.enough {
            counter.told.notify_one();
        }
    }
}

/// Every agent names each of its acknowledged inventories again: the server must want none of them.
async fn ask_back(child: &Child, agents: &[Shared<Agent>], acknowledged: &[Vec<Sha256Digest>]) -> Result<()> {
    let served = Arc::new(child.served().clone());
    let mut tasks = JoinSet::new();
    for (agent, digests) in agents.iter().zip(acknowledged) {
        let (served, agent, digests) = (Arc::clone(&served), Arc::clone(agent), digests.clone());
        tasks.spawn(async move { ask_for(&served, &mut *agent.lock_owned().await, &digests).await });
    }
    while let Some(ended) = tasks.join_next().await {
        ended?.context("ask for what was acknowledged")?;
    }
    Ok(())
}

async fn ask_for(served: &Served, agent: &mut Agent, digests: &[Sha256Digest]) -> Result<()> {
    let mut connection = agent.dialler(served, Handshake::Full)?.dial().await?;
    for digest in digests {
        agent.has(*digest);
        let checked = agent.check_in(&mut connection).await?;
        ensure!(
            !checked.wanted.contains(digest),
            "the server wants the inventory {digest} that it had acknowledged"
        );
    }
    Ok(())
}
