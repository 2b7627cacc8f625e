//! What the server does for its agents, in a process of its own, measured by agents in this one over TLS on the same cores:
//! unchanged check-ins on connections that stay, then all agents reconnecting at once.
//! `cargo bench -p server --bench agents [-- AGENTS [CONNECTIONS [SECONDS]]]`; one line each: what, figure.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, and measures real time"
)]

use domain::digest::Sha256Digest;
use domain::id::{HostId, SiteId, TenantId};
use domain::identity::Nonce;
use jiff::{SignedDuration, Timestamp};
use protocol::envelope::{Envelope, Header, Unopened};
use protocol::key::SigningKey;
use protocol::link::Link;
use protocol::message::Message;
use protocol::message::check_in::{Bearer, CheckIn, CheckedIn, Measures, Mode};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use server::start::{Ports, Server};
use server::{Context, Settings};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::host::{HostMode, HostState, NewHost};
use store::{Scope, Whole};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    if let [serve, folder] = words.as_slice()
        && serve == "serve"
    {
        return in_runtime(serve_until_told(PathBuf::from(folder)));
    }
    let number = |place: usize, usual: usize| words.get(place).map_or(Ok(usual), |word| word.parse());
    in_runtime(measure(number(0, 20_000)?, number(1, 64)?, number(2, 10)?))
}

fn in_runtime<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn settings(folder: &Path) -> Settings {
    let mut settings = Settings::defaults_in(folder);
    settings.file.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings
}

async fn serve_until_told(folder: PathBuf) -> Outcome<()> {
    let running = Server::start(settings(&folder)).await?;
    println!("{}", running.address());
    let told = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    told.await??;
    Ok(running.stop().await?)
}

async fn measure(agents: usize, connections: usize, seconds: usize) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let (root, agents) = prepare(&data, agents).await?;
    let server = Process::start(&data)?;
    let shared = Arc::new(Shared::new(root, server.address)?);
    let agents = kept(&shared, agents, connections, Duration::from_secs(seconds as u64)).await?;
    println!(
        "server, {} agents known\t{} MiB resident",
        agents.len(),
        server.memory("VmRSS")? >> 10
    );
    drop(server);
    let server = Process::start(&data)?;
    let shared = Arc::new(Shared {
        address: server.address,
        ..Arc::try_unwrap(shared).map_err(|_| "shared")?
    });
    reconnect(&shared, agents).await?;
    println!(
        "server, while all reconnected\t{} MiB at most",
        server.memory("VmHWM")? >> 10
    );
    Ok(())
}

/// Hosts as after their enrolment, written without it.
async fn prepare(data: &Path, count: usize) -> Outcome<(CertificateDer<'static>, Vec<Agent>)> {
    let context = Server::open(settings(data), Ports::default()).await?;
    let (tenant, site) = (TenantId([1; 16]), SiteId([2; 16]));
    let scope = Scope::of_tenant(tenant);
    let now = context.clock.now();
    context
        .db
        .write(move |tx| {
            store::tenant::create(tx, &Whole::server(), tenant, "bench", now)?;
            store::site::create(tx, &scope, site, "bench", now)
        })
        .await?;
    let agents: Vec<Agent> = (0..count).map(|number| Agent::new(&context, number)).collect();
    for batch in agents.chunks(1_000) {
        let hosts: Vec<_> = batch
            .iter()
            .map(|agent| (agent.host, agent.key.verifying()))
            .collect();
        context
            .db
            .write(move |tx| {
                for (host, key) in &hosts {
                    store::host::create(tx, &scope, &new_host(*host, site), now)?;
                    let validity = store::agent_key::Validity {
                        issued_at: now,
                        not_after: now + SignedDuration::from_hours(24),
                    };
                    store::agent_key::add(tx, &scope, *host, key.id(), key.to_bytes(), validity)?;
                }
                Ok(())
            })
            .await?;
    }
    let root = context.authority.root_certificate().clone();
    context.db.close().await;
    Ok((root, agents))
}

fn new_host(id: HostId, site: SiteId) -> NewHost {
    NewHost {
        id,
        name: id.to_string(),
        site,
        state: HostState::Active,
        mode: HostMode::Monitor,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        machine: None,
        moved_from: None,
        copy_of: None,
    }
}

/// Each of some connections lets its share of the agents check in, one after the other.
async fn kept(
    shared: &Arc<Shared>,
    agents: Vec<Agent>,
    connections: usize,
    span: Duration,
) -> Outcome<Vec<Agent>> {
    let mut shares: Vec<Vec<Agent>> = (0..connections).map(|_| Vec::new()).collect();
    for (number, agent) in agents.into_iter().enumerate() {
        shares[number % connections].push(agent);
    }
    let begun = Instant::now();
    let until = begun + span;
    let mut tasks = tokio::task::JoinSet::new();
    for mut share in shares {
        let shared = Arc::clone(shared);
        tasks.spawn(async move {
            let mut connection = shared.connect().await?;
            let (mut times, mut largest) = (Vec::new(), 0);
            'all: loop {
                for agent in &mut share {
                    let asked = Instant::now();
                    if asked >= until {
                        break 'all;
                    }
                    largest = largest.max(agent.check_in(&shared, &mut connection).await?);
                    times.push(asked.elapsed());
                }
            }
            Outcome::Ok((share, times, largest))
        });
    }
    let (mut agents, mut times, mut largest) = (Vec::new(), Vec::new(), 0);
    while let Some(done) = tasks.join_next().await {
        let (share, own, most) = done??;
        agents.extend(share);
        times.extend(own);
        largest = largest.max(most);
    }
    times.sort_unstable();
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    let p99 = times[times.len() * 99 / 100];
    println!(
        "unchanged check-ins, {connections} connections kept\t{rate:.0} per s, p99 {p99:.1?}, {largest} bytes"
    );
    Ok(agents)
}

/// All agents at once, each on a connection of its own with a full handshake.
async fn reconnect(shared: &Arc<Shared>, agents: Vec<Agent>) -> Outcome<()> {
    let begun = Instant::now();
    let count = agents.len();
    let mut tasks = tokio::task::JoinSet::new();
    for mut agent in agents {
        let shared = Arc::clone(shared);
        tasks.spawn(async move {
            let mut again = 0;
            loop {
                let done = async {
                    let mut connection = shared.connect().await?;
                    agent.check_in(&shared, &mut connection).await?;
                    Outcome::Ok(connection)
                };
                match done.await {
                    Ok(connection) => return (connection, again),
                    Err(_) => again += 1,
                }
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
        });
    }
    let (mut open, mut again) = (Vec::with_capacity(count), 0);
    while let Some(done) = tasks.join_next().await {
        let (connection, repeated) = done?;
        open.push(connection);
        again += repeated;
    }
    let took = begun.elapsed();
    println!("{count} agents reconnecting\t{took:.1?} until all were answered, {again} asked again");
    Ok(())
}

/// What all agents share.
struct Shared {
    tls: TlsConnector,
    address: SocketAddr,
}

impl Shared {
    fn new(root: CertificateDer<'static>, address: SocketAddr) -> Outcome<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            address,
        })
    }

    async fn connect(&self) -> Outcome<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(self
            .tls
            .connect(ServerName::try_from("localhost")?, stream)
            .await?)
    }
}

struct Agent {
    key: SigningKey,
    host: HostId,
    link: Link,
    card: Sha256Digest,
    sequence: u64,
}

impl Agent {
    fn new(context: &Context, number: usize) -> Self {
        let mut id = [0; 16];
        id[8..].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let mut seed = [1; 32];
        seed[..16].copy_from_slice(&id);
        Self {
            key: SigningKey::from_seed(&seed),
            host: HostId(id),
            link: context.authority.link_key().issue(HostId(id), 1),
            card: context.agents.card().digest,
            sequence: 0,
        }
    }

    /// One check-in; gives the larger of the sizes of request and answer.
    async fn check_in(&mut self, _shared: &Shared, connection: &mut TlsStream<TcpStream>) -> Outcome<usize> {
        self.sequence += 1;
        let mut nonce = self.host.0;
        nonce[..8].copy_from_slice(&self.sequence.to_be_bytes());
        let message = CheckIn {
            link: self.link,
            bearer: Bearer {
                boot: self.host.0,
                hardware: Some(self.host.0),
            },
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: Mode::Monitor,
            documents: Vec::new(),
            measures: Measures::default(),
            hold_seconds: 0,
            card: self.card,
            highest_order: 0,
            troubles: Vec::new(),
            carried: Vec::new(),
        };
        let header = Header::request(CheckIn::KIND, self.sequence, Nonce(nonce), Timestamp::now());
        let request = Envelope::seal(&self.key, header, &message.to_body())?;
        let answer = post(connection, &request).await?;
        let unopened = Unopened::parse(&answer)?;
        if unopened.kind() != CheckedIn::KIND {
            return Err("refused".into());
        }
        // Opening costs the agent a signature check; the server is measured, and the first answer was proved elsewhere.
        let json_at = answer.len() - usize::try_from(u32::from_be_bytes(answer[58..62].try_into()?))?;
        let checked: CheckedIn = serde_json::from_slice(&answer[json_at..])?;
        self.link = checked.link;
        if let Some(card) = checked.card {
            self.card = protocol::sha256(&card.0);
            return Ok(request.len());
        }
        Ok(request.len().max(answer.len()))
    }
}

async fn post(connection: &mut TlsStream<TcpStream>, body: &[u8]) -> Outcome<Vec<u8>> {
    let head = format!(
        "POST /agent/v1/exchange HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), body].concat()).await?;
    connection.flush().await?;
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes[..end])?;
            if !head.starts_with("HTTP/1.1 200") {
                return Err("turned away".into());
            }
            let length: usize = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .ok_or("no length")?
                .parse()?;
            while bytes.len() < end + 4 + length {
                if connection.read_buf(&mut bytes).await? == 0 {
                    return Err("it ended early".into());
                }
            }
            return Ok(bytes.split_off(end + 4));
        }
        if connection.read_buf(&mut bytes).await? == 0 {
            return Err("it ended early".into());
        }
    }
}

/// The server in a process of its own. Ends when its standard input does.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(data: &Path) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .arg(data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().parse()?;
        Ok(Self { child, address })
    }

    /// A row of proc(5) status, in KiB.
    fn memory(&self, row: &str) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(row));
        let digits: String = line
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        Ok(digits.parse()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ended = self.child.wait();
    }
}
