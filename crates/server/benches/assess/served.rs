//! The server in a process of its own, with all hosts in its database: how much memory it takes, how fast it answers every
//! list, and what a small tenant notices of a large one's sync.

use super::api::{self, Client};
use super::rows::Tenant;
use super::{ms, say, settings};
use anyhow::{Context as _, Result, ensure};
use rustls_pki_types::CertificateDer;
use serde_json::json;
use server::start::Server;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Serves until standard input ends. Prints the address, and a line for every run of the assessor that wrote something.
pub async fn serve(folder: &Path) -> Result<()> {
    let running = Server::start(settings(folder)).await?;
    println!("{}", running.address());
    let context = running.context().clone();
    let told = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    let watching = tokio::spawn(async move {
        let mut seen = None;
        loop {
            let last = context
                .board
                .all()
                .get("assess")
                .and_then(|standing| standing.last.clone());
            if last.is_some() && last != seen {
                println!("{last:?}");
                std::io::stdout().flush().ok();
                seen = last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    told.await??;
    watching.abort();
    Ok(running.stop().await?)
}

struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
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
        let mut said = BufReader::new(child.stdout.take().context("no output")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        let address = line
            .trim()
            .parse()
            .with_context(|| format!("an address: {line:?}"))?;
        Ok(Self { child, said, address })
    }

    /// Waits for a line about the assessor.
    fn wait(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.said.read_line(&mut line)? > 0, "the server ended");
        Ok(line)
    }

    /// A row of proc(5) status, in MiB.
    fn memory(&self, row: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(row))
            .unwrap_or_default();
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        Ok(digits.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        drop(self.child.wait());
    }
}

/// Measures all of it. `publish` brings another version of 40 updates.
pub async fn measure(
    data: &Path,
    root: CertificateDer<'static>,
    large: Tenant,
    small: Tenant,
    publish: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let began = Instant::now();
    let mut process = Process::start(data)?;
    process.wait()?;
    say(
        &format!("{} hosts ready after a start", large.hosts + small.hosts),
        ms(began),
        "ms",
    );
    let local = std::fs::read_to_string(data.join(server::local::TOKEN_FILE))?;
    let mut client = Client::connect(root, process.address, local.trim_end()).await?;
    client.take_tokens(30).await?;
    say(
        "server with all hosts assessed, resident",
        process.memory("VmRSS:")?,
        "MiB",
    );
    api::lists(&mut client, large).await?;
    say(
        "the same after all lists, at most",
        process.memory("VmHWM:")?,
        "MiB",
    );
    beside_a_sync(&mut client, &mut process, large, small, publish).await?;
    say("the same after a sync, at most", process.memory("VmHWM:")?, "MiB");
    Ok(())
}

/// What a small tenant waits for its list and for a change, alone and while a large one's sync is taken in.
async fn beside_a_sync(
    client: &mut Client,
    process: &mut Process,
    large: Tenant,
    small: Tenant,
    publish: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let rounds =
        |until: Option<Instant>| move |done: usize| until.map_or(done < 200, |until| Instant::now() < until);
    let alone = small_tenants_day(client, small, rounds(None)).await?;
    publish()?;
    let sources = client.get(&api::in_tenant(large, "sources")).await?.1;
    let items = sources
        .get("items")
        .unwrap_or(&sources)
        .as_array()
        .cloned()
        .unwrap_or_default();
    ensure!(!items.is_empty(), "the large tenant has sources: {sources}");
    for source in items {
        let id = source["id"].as_str().context("a source has an id")?;
        client
            .post(&api::in_tenant(large, &format!("sources/{id}/sync")), &json!({}))
            .await?;
    }
    let beside = small_tenants_day(
        client,
        small,
        rounds(Some(Instant::now() + Duration::from_secs(8))),
    )
    .await?;
    eprintln!("  the assessor meanwhile: {}", process.wait()?.trim());
    for (what, alone, beside) in [("list", alone.0, beside.0), ("change", alone.1, beside.1)] {
        say(
            &format!("a small tenant's {what} beside a large one's sync, p99"),
            beside,
            "ms",
        );
        eprintln!("  alone {alone:.1} ms");
    }
    Ok(())
}

/// Lists and changes until there are enough; the 99th percentile of each, in milliseconds.
async fn small_tenants_day(
    client: &mut Client,
    small: Tenant,
    go_on: impl Fn(usize) -> bool,
) -> Result<(f64, f64)> {
    let (mut lists, mut changes) = (Vec::new(), Vec::new());
    while go_on(lists.len()) {
        let began = Instant::now();
        let (status, _) = client
            .get(&api::in_tenant(small, "hosts?standing=updates_missing"))
            .await?;
        ensure!(status == 200, "the small tenant's list: {status}");
        lists.push(ms(began));
        let began = Instant::now();
        let site = json!({ "name": format!("bench {}", client.asked()) });
        client.post(&api::in_tenant(small, "sites"), &site).await?;
        changes.push(ms(began));
    }
    Ok((api::percentile(&mut lists, 99), api::percentile(&mut changes, 99)))
}
