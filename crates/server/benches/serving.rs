//! Serving files of orders: `cargo bench -p server --bench serving`. A server in a process of its own gives files of three sizes
//! over TLS, to as many connections as agents keep; nginx gives the same files to the same client in the same run, where it is
//! installed. Then a thousand agents ask for one large file at the same moment. One JSON object a line: what, figure, unit.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench prints, looks at the clock and starts what it measures"
)]

#[path = "serving/client.rs"]
mod client;
#[path = "serving/nginx.rs"]
mod nginx;
#[path = "serving/shelf.rs"]
mod shelf;

use anyhow::{Context as _, Result};
use client::{Ask, Client};
use shelf::{Served, Shelf};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The sizes that are promised.
const SIZES: [(&str, usize); 3] = [("1 KB", 1_000), ("100 KB", 100_000), ("20 MB", 20_000_000)];
/// Connections that ask again and again.
const CONNECTIONS: usize = 16;
/// How long each side is asked, a turn.
const TURN: Duration = Duration::from_secs(3);
/// Turns of each side; the median counts.
const TURNS: usize = 5;
/// Agents that ask for one file at the same moment, and its size.
const AGENTS: usize = 1_000;
const COLD_BYTES: usize = 100_000_000;
/// What each of them takes before memory is looked at.
const TAKEN_BYTES: usize = 1_000_000;

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match words.as_slice() {
        [serve, folder] if serve == "serve" => runtime.block_on(serve_in(Path::new(folder))),
        _ => runtime.block_on(measure()),
    }
}

fn say(name: &str, value: f64, unit: &str) {
    println!(
        "{}",
        serde_json::json!({ "name": name, "value": value, "unit": unit })
    );
}

/// Serves until standard input ends.
async fn serve_in(folder: &Path) -> Result<()> {
    let running = server::start::Server::start(settings(folder)).await?;
    println!("{}", running.address());
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    Ok(running.stop().await?)
}

/// The settings of a server that listens on a free port of loopback.
fn settings(folder: &Path) -> server::Settings {
    let mut settings = server::Settings::defaults_in(folder);
    settings.file.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings
}

/// Each connection takes a file descriptor.
fn take_descriptors() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).context("take as many file descriptors as there may be")
}

async fn measure() -> Result<()> {
    take_descriptors()?;
    let folder = tempfile::Builder::new()
        .prefix("serving-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let data = folder.path().join("data");
    let sizes: Vec<usize> = SIZES
        .iter()
        .map(|(_, bytes)| *bytes)
        .chain([COLD_BYTES])
        .collect();
    let shelf = Shelf::fill(&data, &sizes).await?;
    let process = Process::start(&data)?;
    let ours = Client::new(shelf.root.clone(), process.address)?;
    let nginx = nginx::start(folder.path(), &shelf.files)?;
    for ((size, _), file) in SIZES.iter().zip(&shelf.files) {
        let own = Ask::with_ticket(&file.path(), &shelf.ticket);
        let (mut rates, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            rates.push(ours.rate(&own, file, CONNECTIONS, TURN).await?);
            if let Some(nginx) = &nginx {
                let plain = Ask::plain(&file.path());
                theirs.push(nginx.client.rate(&plain, file, CONNECTIONS, TURN).await?);
            }
        }
        say(
            &format!("{size} over TLS, patchyard"),
            median(&mut rates),
            "per s",
        );
        match theirs.is_empty() {
            true => eprintln!("nginx is not installed: {size} has no peer"),
            false => say(&format!("{size} over TLS, nginx"), median(&mut theirs), "per s"),
        }
    }
    drop(nginx);
    a_thousand(&ours, &process, &shelf).await
}

/// Many agents ask for one large file at the same moment.
async fn a_thousand(ours: &Client, process: &Process, shelf: &Shelf) -> Result<()> {
    let large: &Served = shelf.files.last().context("there are files")?;
    let idle = process.memory("RssAnon:")?;
    let ask = Ask::with_ticket(&large.path(), &shelf.ticket);
    let held = ours.take(&ask, AGENTS, TAKEN_BYTES).await?;
    let (own, whole) = (process.memory("RssAnon:")?, process.memory("VmRSS:")?);
    eprintln!("  idle {idle:.1} MiB, then {own:.1} MiB of its own, {whole:.1} MiB with the mapped file");
    say(
        "1000 agents ask for one file of 100 MB, memory above idle",
        own - idle,
        "MiB",
    );
    drop(held);
    Ok(())
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// The server that is measured.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(data: &Path) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let address = line
            .trim()
            .parse()
            .with_context(|| format!("an address: {line:?}"))?;
        Ok(Self { child, address })
    }

    /// A row of proc(5) status, in MiB.
    fn memory(&self, row: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(row));
        let digits: String = line
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        Ok(digits.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}
