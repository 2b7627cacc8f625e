//! Load: agents that speak the real protocol over real TLS connections to a server in a process of its own, which can be
//! killed. What is measured goes out as JSON, a line each.

mod agent;
mod connection;
mod measure;
pub mod serve;

use agent::Agent;
use anyhow::{Context as _, Result, ensure};
use connection::{Connection, Dialler, Handshake};
use measure::Latencies;
use serve::{Child, Served};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

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

/// Measures everything that was asked for.
pub async fn measure(options: &Options) -> Result<Vec<Figure>> {
    let wanted = |name: &str| {
        options
            .only
            .as_ref()
            .is_none_or(|part| name.contains(part.as_str()))
    };
    let mut child = Child::start(&options.data)?;
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
        figures.extend(inventories(&mut child, agents.clone(), options).await?);
    }
    if wanted("reconnect") {
        figures.extend(reconnect(&mut child, options).await?);
    }
    Ok(figures)
}

type Agents = Vec<Arc<tokio::sync::Mutex<Agent>>>;

/// Enrols so many agents, over a few connections.
async fn enrol(served: &Arc<Served>, count: usize) -> Result<Agents> {
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
    let sizes = {
        let mut agent = agents.first().context("an agent")?.lock().await;
        let mut connection = agent.dialler(served, Handshake::Full)?.dial().await?;
        agent.check_in(&mut connection).await?
    };
    let began = measure::now();
    let mut tasks = JoinSet::new();
    for agent in agents {
        let served = Arc::clone(served);
        tasks.spawn(async move {
            let mut agent = agent.lock_owned().await;
            let mut connection = agent.dialler(&served, Handshake::Full)?.dial().await?;
            let mut latencies = Latencies::default();
            while began.elapsed() < span {
                let asked = measure::now();
                agent.check_in(&mut connection).await?;
                latencies.add(asked.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let latencies = Latencies::of_all(&mut tasks).await?;
    let per_second = latencies.count() as f64 / began.elapsed().as_secs_f64();
    Ok(vec![
        Figure::new("kept connections, unchanged check-ins", per_second, "per s"),
        Figure::new("kept connections, p99", latencies.percentile(99), "ms"),
        Figure::new("kept connections, request", sizes.request as f64, "bytes"),
        Figure::new("kept connections, answer", sizes.answer as f64, "bytes"),
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
    for agent in agents.into_iter().take(64) {
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

/// Full inventories, acknowledged; the server is killed in the middle, and must still have what it acknowledged.
async fn inventories(child: &mut Child, agents: Agents, options: &Options) -> Result<Vec<Figure>> {
    let served = Arc::new(child.served().clone());
    let span = Duration::from_secs(options.seconds);
    let packages = options.packages;
    let began = measure::now();
    let mut tasks = JoinSet::new();
    for (number, agent) in agents.iter().enumerate() {
        let (served, agent) = (Arc::clone(&served), Arc::clone(agent));
        tasks.spawn(async move {
            let mut agent = agent.lock_owned().await;
            let mut connection = agent.dialler(&served, Handshake::Full)?.dial().await?;
            let (mut latencies, mut acknowledged) = (Latencies::default(), Vec::new());
            for round in 0.. {
                if began.elapsed() >= span {
                    break;
                }
                let inventory = agent::inventory(packages, number, round);
                // From here on the server may be dead: what it said before counts.
                let Ok(taken) = agent.hand_in(&mut connection, inventory).await else {
                    break;
                };
                latencies.add(taken.waited);
                acknowledged.push(taken.digest);
            }
            anyhow::Ok((latencies, acknowledged))
        });
    }
    tokio::time::sleep(span - span / 10).await;
    child.kill()?;
    let elapsed = began.elapsed();
    let (mut latencies, mut acknowledged) = (Latencies::default(), Vec::new());
    while let Some(ended) = tasks.join_next().await {
        let (own, digests) = ended?.context("hand in inventories")?;
        latencies.join(own);
        acknowledged.extend(digests);
    }
    child.restart()?;
    let lost = child.lacks(&acknowledged).await?;
    ensure!(
        lost == 0,
        "{lost} of {} acknowledged inventories are lost",
        acknowledged.len()
    );
    Ok(vec![
        Figure::new(
            format!("inventories of {packages} packages, acknowledged"),
            latencies.count() as f64 / elapsed.as_secs_f64(),
            "per s",
        ),
        Figure::new("inventories, p99", latencies.percentile(99), "ms"),
        Figure::new(
            "inventories acknowledged before kill -9 and there after it",
            acknowledged.len() as f64,
            "",
        ),
    ])
}

/// The whole fleet comes back at once after the server was killed.
async fn reconnect(child: &mut Child, options: &Options) -> Result<Vec<Figure>> {
    let served = Arc::new(child.served().clone());
    let agents = enrol(&served, options.fleet).await?;
    child.kill()?;
    child.restart()?;
    let served = Arc::new(child.served().clone());
    let began = measure::now();
    let mut tasks = JoinSet::new();
    for agent in agents {
        let served = Arc::clone(&served);
        tasks.spawn(async move {
            let mut agent = agent.lock_owned().await;
            let dialler = agent.dialler(&served, Handshake::Full)?;
            let mut connection = connect(&dialler, &mut agent).await?;
            // The connection is kept, as an agent that is held keeps it.
            connection.keep();
            let mut latencies = Latencies::default();
            latencies.add(began.elapsed());
            anyhow::Ok((latencies, connection))
        });
    }
    let (mut latencies, mut open) = (Latencies::default(), Vec::new());
    while let Some(ended) = tasks.join_next().await {
        let (own, connection) = ended?.context("reconnect")?;
        latencies.join(own);
        open.push(connection);
    }
    let seconds = began.elapsed().as_secs_f64();
    Ok(vec![
        Figure::new(
            format!("{} agents reconnecting, all answered after", open.len()),
            seconds,
            "s",
        ),
        Figure::new(
            "reconnecting, server's memory at most",
            child.peak_memory_mib()?,
            "MiB",
        ),
    ])
}

/// One agent comes back: as often as it is turned away, it comes again when it was asked to.
async fn connect(dialler: &Dialler, agent: &mut Agent) -> Result<Connection> {
    loop {
        let wait = match dialler.dial().await {
            Ok(mut connection) => match agent.check_in(&mut connection).await {
                Ok(_) => return Ok(connection),
                Err(_) => connection.retry_after(),
            },
            Err(_) => Duration::from_millis(500),
        };
        tokio::time::sleep(wait).await;
    }
}
