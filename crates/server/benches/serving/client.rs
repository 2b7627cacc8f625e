//! Connections that ask for files over TLS and throw away what they get: the same for both sides.

use super::shelf::Served;
use anyhow::{Context as _, Result, ensure};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A request.
#[derive(Clone, Debug)]
pub struct Ask(String);

impl Ask {
    /// For a file that everybody may have.
    pub fn plain(path: &str) -> Self {
        Self(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }

    /// For one that takes a ticket.
    pub fn with_ticket(path: &str, ticket: &str) -> Self {
        Self(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ticket}\r\n\r\n"
        ))
    }
}

/// Who asks one server.
#[derive(Clone)]
pub struct Client {
    tls: TlsConnector,
    address: SocketAddr,
}

impl Client {
    /// Of a server whose certificate comes from this authority.
    pub fn new(root: CertificateDer<'static>, address: SocketAddr) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            address,
        })
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(self
            .tls
            .connect(ServerName::try_from("localhost")?, stream)
            .await?)
    }

    /// How many whole answers a second come over so many connections.
    pub async fn rate(&self, ask: &Ask, file: &Served, connections: usize, turn: Duration) -> Result<f64> {
        let mut asking = JoinSet::new();
        let began = Instant::now();
        for _ in 0..connections {
            let (client, ask, length) = (self.clone(), ask.clone(), file.bytes);
            asking.spawn(async move {
                let mut connection = client.connect().await?;
                let mut answers = 0_u64;
                while began.elapsed() < turn {
                    connection.write_all(ask.0.as_bytes()).await?;
                    let body = read(&mut connection, usize::MAX).await?;
                    ensure!(body == length, "an answer of {body} bytes and not {length}");
                    answers += 1;
                }
                Ok::<_, anyhow::Error>(answers)
            });
        }
        let mut answers = 0;
        while let Some(one) = asking.join_next().await {
            answers += one??;
        }
        Ok(answers as f64 / began.elapsed().as_secs_f64())
    }

    /// So many connections ask at the same moment, and stand still when each has taken that much.
    pub async fn take(
        &self,
        ask: &Ask,
        connections: usize,
        bytes: usize,
    ) -> Result<Vec<TlsStream<TcpStream>>> {
        let mut connecting = JoinSet::new();
        for _ in 0..connections {
            let client = self.clone();
            connecting.spawn(async move { client.connect().await });
        }
        let mut taking = JoinSet::new();
        while let Some(connection) = connecting.join_next().await {
            let (mut connection, ask) = (connection??, ask.clone());
            taking.spawn(async move {
                connection.write_all(ask.0.as_bytes()).await?;
                read(&mut connection, bytes).await?;
                Ok::<_, anyhow::Error>(connection)
            });
        }
        let mut held = Vec::with_capacity(connections);
        while let Some(connection) = taking.join_next().await {
            held.push(connection??);
        }
        Ok(held)
    }
}

/// Reads an answer, or as much of its body; how much that was.
async fn read(connection: &mut TlsStream<TcpStream>, most: usize) -> Result<usize> {
    let mut buffer = vec![0; 64 << 10];
    let mut head = Vec::new();
    let (end, length) = loop {
        let count = connection.read(&mut buffer).await?;
        ensure!(count > 0, "the connection ended in a head");
        head.extend_from_slice(&buffer[..count]);
        if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = std::str::from_utf8(&head[..end])?.to_ascii_lowercase();
            ensure!(text.starts_with("http/1.1 200"), "refused: {text}");
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            break (end + 4, length.context("no length")?.parse::<usize>()?);
        }
    };
    let wanted = length.min(most);
    let mut body = head.len() - end;
    while body < wanted {
        let count = connection.read(&mut buffer).await?;
        ensure!(count > 0, "the connection ended in a body");
        body += count;
    }
    Ok(body)
}
