//! Every list of the API with every filter, as its OpenAPI document names them, over HTTPS.

use super::rows::Tenant;
use super::{ms, say};
use anyhow::{Context as _, Result, bail, ensure};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use server::http::{admin, openapi};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How often each question is asked.
const ASKED: usize = 15;

/// A connection to the server, and tokens whose budgets are spent in turn.
pub struct Client {
    connection: TlsStream<TcpStream>,
    tokens: Vec<String>,
    asked: usize,
}

impl Client {
    /// Connects with one token.
    pub async fn connect(root: CertificateDer<'static>, address: SocketAddr, token: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self {
            connection: tls.connect(ServerName::try_from("localhost")?, stream).await?,
            tokens: vec![token.to_owned()],
            asked: 0,
        })
    }

    /// Makes tokens that may read everything, and change sites and sync.
    pub async fn take_tokens(&mut self, count: usize) -> Result<()> {
        let permissions: BTreeSet<String> = admin::routes()
            .iter()
            .filter_map(|route| route.needs().permission())
            .map(|permission| permission.to_string())
            .collect();
        let mut made = Vec::new();
        for number in 0..count {
            let body = json!({ "name": format!("bench {number}"), "permissions": permissions });
            let token = self.post("/api/v1/tokens", &body).await?;
            made.push(
                token["secret"]
                    .as_str()
                    .context("the secret is shown")?
                    .to_owned(),
            );
        }
        self.tokens = made;
        Ok(())
    }

    /// How many requests there were.
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// A GET: status and body.
    pub async fn get(&mut self, path: &str) -> Result<(u16, Value)> {
        self.send("GET", path, "", &[]).await
    }

    /// A POST that has to be done.
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let key = format!("Idempotency-Key: bench-{}-{}\r\n", std::process::id(), self.asked);
        let (status, answer) = self.send("POST", path, &key, &serde_json::to_vec(body)?).await?;
        ensure!((200..300).contains(&status), "{path}: {status} {answer}");
        Ok(answer)
    }

    async fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<(u16, Value)> {
        let token = &self.tokens[self.asked % self.tokens.len()];
        self.asked += 1;
        let kind = if body.is_empty() {
            ""
        } else {
            "Content-Type: application/json\r\n"
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n{kind}{headers}\r\n",
            body.len()
        );
        self.connection
            .write_all(&[head.as_bytes(), body].concat())
            .await?;
        self.connection.flush().await?;
        let (status, body) = self.answer().await.with_context(|| format!("{method} {path}"))?;
        let value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok((status, value))
    }

    async fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let mut bytes = Vec::with_capacity(1 << 16);
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
                let status = head.split(' ').nth(1).context("no status")?.parse()?;
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.with_context(|| format!("no length: {head}"))?.parse()?;
                while bytes.len() < end + 4 + length {
                    ensure!(self.connection.read_buf(&mut bytes).await? > 0, "it ended early");
                }
                return Ok((status, bytes.split_off(end + 4)));
            }
            ensure!(self.connection.read_buf(&mut bytes).await? > 0, "it ended early");
        }
    }
}

/// A path of something of a tenant.
pub fn in_tenant(tenant: Tenant, rest: &str) -> String {
    format!("/api/v1/tenants/{}/{rest}", tenant.scope().tenant())
}

/// The value below which so many of a hundred are.
pub fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values
        .get((values.len() * percent / 100).min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0.0)
}

/// A list of the API.
struct List {
    path: String,
    method: String,
    filters: Vec<String>,
}

/// Every route whose answer comes as a table too, and what it can be asked.
fn all_lists() -> Result<Vec<List>> {
    let document: Value = serde_json::from_str(&openapi::document(admin::routes()).to_json()?)?;
    let mut lists = Vec::new();
    for (path, methods) in document["paths"].as_object().context("paths")? {
        for (method, operation) in methods.as_object().context("methods")? {
            let answer = &operation["responses"]["200"]["content"];
            let is_list =
                answer.get("text/csv").is_some() || answer["application/json"]["schema"]["type"] == "array";
            if !is_list {
                continue;
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let of_query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            lists.push(List {
                path: path.clone(),
                method: method.clone(),
                filters: of_query
                    .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
                    .collect(),
            });
        }
    }
    Ok(lists)
}

/// What may stand for a part of a path or a parameter.
struct Known(BTreeMap<&'static str, Vec<String>>);

impl Known {
    async fn learn(client: &mut Client, tenant: Tenant) -> Result<Self> {
        let mut first = async |path: &str| -> Result<String> {
            let (status, answer) = client.get(&in_tenant(tenant, path)).await?;
            let items = answer.get("items").unwrap_or(&answer);
            let id = items[0]["id"].as_str().map(str::to_owned);
            id.with_context(|| format!("{path}: {status}, {answer:.200}"))
        };
        let (host, update, source) = (
            first("hosts").await?,
            first("updates?missed=true").await?,
            first("sources").await?,
        );
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let known = [
            ("tenant", vec![tenant.scope().tenant().to_string()]),
            ("host", vec![host.clone()]),
            ("update", vec![update.clone()]),
            ("source", vec![source.clone()]),
            ("site", vec![tenant.site(3).to_string()]),
            ("name", texts(&["host-09*", "99999", "zebra"])),
            ("tag", texts(&["canary", "nothing"])),
            ("standing", texts(&["unknown", "updates_missing", "up_to_date"])),
            ("mode", texts(&["monitor", "install"])),
            ("classification", texts(&["security", "other"])),
            ("missed", texts(&["true"])),
            ("package", texts(&["source-00003", "package-00003"])),
            ("as_of", vec![jiff::Timestamp::now().to_string()]),
            ("noun", texts(&["host", "source"])),
            ("noun_id", vec![host.clone()]),
            ("actor", vec![host.clone()]),
            ("limit", texts(&["1000"])),
            ("about", texts(&["facts", "packages", "channels"])),
        ];
        Ok(Self(known.into_iter().collect()))
    }

    /// The values of a parameter; `state` has other words on each list.
    fn values(&self, list: &List, name: &str) -> Result<Vec<String>> {
        let words: &[&str] = match (name, list.path.rsplit('/').next().unwrap_or_default()) {
            ("state", "hosts") => &["pending", "active", "quarantined", "retired"],
            ("state", "updates") => &["listed", "withdrawn", "quarantined"],
            ("state", "deployments") => &["underway", "failed", "not_in_effect"],
            ("state", "sources") => &["proposed", "adopted", "paused", "declined"],
            ("cursor", _) => &[],
            _ => {
                return self
                    .0
                    .get(name)
                    .cloned()
                    .with_context(|| format!("{}: give the bench a value for {name}", list.path));
            }
        };
        Ok(words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn path(&self, list: &List) -> Result<Option<String>> {
        let mut path = list.path.clone();
        for (name, values) in &self.0 {
            path = path.replace(&format!("{{{name}}}"), &values[0]);
        }
        // People have no hundred thousand of anything.
        Ok((!path.contains('{')).then_some(path))
    }
}

/// The questions to a list: as it is, by each filter with each value, and by each two of them.
fn questions(known: &Known, list: &List) -> Result<Vec<String>> {
    let mut single = Vec::new();
    for name in &list.filters {
        for value in known.values(list, name)? {
            single.push((name.clone(), format!("{name}={}", value.replace('+', "%2B"))));
        }
    }
    let mut all = vec![String::new()];
    all.extend(single.iter().map(|(_, text)| format!("?{text}")));
    for (place, (name, text)) in single.iter().enumerate() {
        let others = single[place + 1..].iter().filter(|(other, _)| other != name);
        all.extend(others.map(|(_, other)| format!("?{text}&{other}")));
    }
    Ok(all)
}

/// Asks every list everything; the first page and the second. Prints the slowest.
pub async fn lists(client: &mut Client, tenant: Tenant) -> Result<()> {
    let known = Known::learn(client, tenant).await?;
    let mut slowest: Vec<(f64, String)> = Vec::new();
    let (mut all, mut left_out) = (Vec::new(), Vec::new());
    let lists = all_lists()?;
    ensure!(lists.len() > 5, "the document names the lists");
    for list in &lists {
        let Some(path) = known.path(list)? else {
            left_out.push(list.path.clone());
            continue;
        };
        for question in questions(&known, list)? {
            for asked in ask(client, list, &format!("{path}{question}")).await? {
                all.extend(asked.1.iter().copied());
                let (asked, mut times) = asked;
                slowest.push((percentile(&mut times, 95), asked));
            }
        }
    }
    slowest.sort_by(|a, b| b.0.total_cmp(&a.0));
    say(
        &format!(
            "slowest of {} questions to {} lists, p95",
            slowest.len(),
            lists.len() - left_out.len()
        ),
        slowest[0].0,
        "ms",
    );
    say("all lists, p95", percentile(&mut all, 95), "ms");
    for (time, question) in slowest.iter().take(12) {
        eprintln!("  {time:.1} ms  {question}");
    }
    eprintln!("  left out: {left_out:?}");
    Ok(())
}

/// Asks for the first page and, of a question with one filter, the second where there is one, many times each.
async fn ask(client: &mut Client, list: &List, path: &str) -> Result<Vec<(String, Vec<f64>)>> {
    let body = match &*list.method {
        "get" => None,
        _ => Some(json!({ "name": "bench", "packages": [{ "source": "source-00003" }] })),
    };
    let mut asked = Vec::new();
    let mut path = path.to_owned();
    let pages = if path.contains('&') { 1 } else { 2 };
    for _page in 0..pages {
        let (mut times, mut next) = (Vec::new(), None);
        for _ in 0..ASKED {
            let began = Instant::now();
            let (status, answer) = match &body {
                None => client.get(&path).await?,
                Some(body) => client.send("POST", &path, "", &serde_json::to_vec(body)?).await?,
            };
            times.push(ms(began));
            match status {
                200 => next = answer["next"].as_str().map(str::to_owned),
                // Two filters may exclude each other in words.
                400 | 404 | 422 => return Ok(Vec::new()),
                _ => bail!("{path}: {status} {answer}"),
            }
        }
        asked.push((path.clone(), times));
        let Some(cursor) = next else { break };
        let sign = if path.contains('?') { '&' } else { '?' };
        path = format!("{path}{sign}cursor={cursor}");
    }
    Ok(asked)
}
