//! Load: agents that speak the real protocol over real TLS connections to a server in a process of its own, which can be
//! killed. What is measured goes out as JSON, a line each.

mod agent;
mod connection;
pub mod inventories;
mod measure;
mod reconnect;
pub mod serve;

use agent::{Agent, Sizes};
use anyhow::{Context as _, Result, ensure};
use connection::{Dialler, Handshake};
use inventories::KillAfter;
use measure::Latencies;
use serve::{Child, Served};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

/// Agents that do what costs more than a check-in, at the same time.
const AT_WORK: usize = 64;
/// The most bytes of a request or answer of an unchanged check-in.
const UNCHANGED_BYTES: usize = 2_000;

/// What to measure, and how much of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A folder for the server's data; on a real disk, because what is durable is measured.
    #[arg(long)]
    pub data: PathBuf,
    /// Agents that keep a connection and check in as fast as they are answered.
    #[arg(long, default_value_t = 200)]
    pub agents: usize,
    /// Agents that reconnect after the server was killed.
    #[arg(long, default_value_t = 20_000)]
    pub fleet: usize,
    /// How long each rate is measured, in seconds.
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Packages of an inventory.
    #[arg(long, default_value_t = 900)]
    pub packages: usize,
    /// Only measurements whose name contains this.
    #[arg(long)]
    pub only: Option<String>,
}

/// A figure: what, how much, of what unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

impl Figure {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
        }
    }

    /// The figure as a line of JSON.
    pub fn to_line(&self) -> String {
        serde_json::json!({ "name": self.name, "value": self.value, "unit": self.unit }).to_string()
    }
}

/// Measures everything that was asked for, with a server that `program` (this one) runs as `serve`.
pub async fn measure(options: &Options, program: &Path) -> Result<Vec<Figure>> {
    let wanted = |name: &str| {
        options
            .only
            .as_ref()
            .is_none_or(|part| name.contains(part.as_str()))
    };
    let mut child = Child::start(program, &options.data)?;
    let served = Arc::new(child.served().clone());
    let mut figures = Vec::new();
    let agents = enrol(&served, options.agents).await?;
    if wanted("kept") {
        figures.extend(kept(&served, agents.clone(), options).await?);
    }
    for (name, handshake) in [("resumed", Handshake::Resumed), ("full", Handshake::Full)] {
        if wanted(name) {
            figures.push(new_connections(&served, agents.clone(), options, name, handshake).await?);
        }
    }
    if wanted("inventories") {
        let kill = KillAfter::Span(Duration::from_secs(options.seconds));
        let some = &agents[..agents.len().min(AT_WORK)];
        let handed_in = inventories::hand_in(&mut child, some, options.packages, kill).await?;
        figures.extend(handed_in.figures(options.packages));
    }
    if wanted("reconnect") {
        figures.extend(reconnect::come_back(&mut child, options.fleet).await?);
    }
    Ok(figures)
}

/// Agents that several measurements use one after the other.
pub type Agents = Vec<Shared<Agent>>;

/// What several measurements use one after the other.
pub type Shared<T> = Arc<tokio::sync::Mutex<T>>;

/// Enrols so many agents, over a few connections.
pub async fn enrol(served: &Arc<Served>, count: usize) -> Result<Agents> {
    let mut tasks = JoinSet::new();
    let lanes = count.min(32);
    for lane in 0..lanes {
        let served = Arc::clone(served);
        tasks.spawn(async move {
            let mut connection = Dialler::anonymous(&served)?.dial().await?;
            let mut agents = Vec::new();
            for _ in (lane..count).step_by(lanes) {
                agents.push(Agent::enrol(&mut connection, &served).await?);
            }
            anyhow::Ok(agents)
        });
    }
    let mut agents = Vec::new();
    while let Some(enrolled) = tasks.join_next().await {
        agents.extend(enrolled?.context("enrol agents")?);
    }
    Ok(agents
        .into_iter()
        .map(|agent| Arc::new(tokio::sync::Mutex::new(agent)))
        .collect())
}

/// Unchanged check-ins over connections that are kept.
async fn kept(served: &Arc<Served>, agents: Agents, options: &Options) -> Result<Vec<Figure>> {
    let span = Duration::from_secs(options.seconds);
    let all_are_connected = Arc::new(Barrier::new(agents.len()));
    let mut tasks = JoinSet::new();
    for agent in agents {
        let (served, all_are_connected) = (Arc::clone(served), Arc::clone(&all_are_connected));
        tasks.spawn(async move {
            let mut agent = agent.lock_owned().await;
            let mut connection = agent.dialler(&served, Handshake::Full)?.dial().await?;
            all_are_connected.wait().await;
            let (mut latencies, mut largest) = (Latencies::default(), Sizes::default());
            let began = measure::now();
            while began.elapsed() < span {
                let asked = measure::now();
                let checked = agent.check_in(&mut connection).await?;
                latencies.add(asked.elapsed());
                largest = largest.max(checked.sizes);
            }
            anyhow::Ok((latencies, largest))
        });
    }
    let (mut latencies, mut largest) = (Latencies::default(), Sizes::default());
    while let Some(ended) = tasks.join_next().await {
        let (own, sizes) = ended??;
        latencies.join(own);
        largest = largest.max(sizes);
    }
    ensure!(
        largest.request <= UNCHANGED_BYTES && largest.answer <= UNCHANGED_BYTES,
        "an unchanged check-in is too large: {largest:?}"
    );
    let per_second = latencies.count() as f64 / span.as_secs_f64();
    Ok(vec![
        Figure::new("kept connections, unchanged check-ins", per_second, "per s"),
        Figure::new("kept connections, p99", latencies.percentile(99), "ms"),
        Figure::new("kept connections, request", largest.request as f64, "bytes"),
        Figure::new("kept connections, answer", largest.answer as f64, "bytes"),
    ])
}

/// Check-ins, each on a connection of its own.
async fn new_connections(
    served: &Arc<Served>,
    agents: Agents,
    options: &Options,
    name: &str,
    handshake: Handshake,
) -> Result<Figure> {
    let span = Duration::from_secs(options.seconds);
    let began = measure::now();
    let mut tasks = JoinSet::new();
    for agent in agents.into_iter().take(AT_WORK) {
        let served = Arc::clone(served);
        tasks.spawn(async move {
            let mut agent = agent.lock_owned().await;
            let dialler = agent.dialler(&served, handshake)?;
            let mut latencies = Latencies::default();
            while began.elapsed() < span {
                let asked = measure::now();
                let mut connection = dialler.dial().await?;
                agent.check_in(&mut connection).await?;
                ensure!(
                    handshake == Handshake::Full || latencies.count() == 0 || connection.is_resumed(),
                    "the server does not resume sessions"
                );
                latencies.add(asked.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let latencies = Latencies::of_all(&mut tasks).await?;
    let per_second = latencies.count() as f64 / began.elapsed().as_secs_f64();
    Ok(Figure::new(
        format!("check-ins on new connections, {name}"),
        per_second,
        "per s",
    ))
}
