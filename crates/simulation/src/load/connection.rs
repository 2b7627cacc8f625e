//! A connection of an agent: TLS to a server whose root is pinned, and as little HTTP/1.1 (RFC 9112) as it takes.

use super::serve::Served;
use anyhow::{Context as _, Result, bail, ensure};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How connections after the first are begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// With all certificates.
    Full,
    /// From the session before.
    Resumed,
}

/// Opens connections.
pub struct Dialler {
    connector: TlsConnector,
    address: SocketAddr,
}

impl Dialler {
    /// For an agent that has no certificate yet.
    pub fn anonymous(served: &Served) -> Result<Self> {
        let config = builder(served)?.with_no_client_auth();
        Ok(Self::of(config, served))
    }

    /// For an agent with this certificate and key.
    pub fn of_agent(
        served: &Served,
        certificates: &[Vec<u8>],
        key: &[u8],
        handshake: Handshake,
    ) -> Result<Self> {
        let chain = certificates
            .iter()
            .map(|der| CertificateDer::from(der.clone()))
            .collect();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
        let mut config = builder(served)?.with_client_auth_cert(chain, key)?;
        if handshake == Handshake::Full {
            config.resumption = Resumption::disabled();
        }
        Ok(Self::of(config, served))
    }

    fn of(config: ClientConfig, served: &Served) -> Self {
        Self {
            connector: TlsConnector::from(Arc::new(config)),
            address: served.address,
        }
    }

    /// Opens a connection.
    pub async fn dial(&self) -> Result<Connection> {
        let stream = TcpStream::connect(self.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").context("a name")?;
        let stream = self
            .connector
            .connect(name, stream)
            .await
            .context("shake hands")?;
        Ok(Connection {
            stream,
            buffer: Vec::with_capacity(4 << 10),
            retry_after: Duration::from_secs(1),
        })
    }
}

fn builder(served: &Served) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(served.root.clone()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots))
}

/// An open connection.
pub struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    retry_after: Duration,
}

impl Connection {
    /// Sends an envelope and reads the answer.
    pub async fn exchange(&mut self, envelope: &[u8]) -> Result<Vec<u8>> {
        let mut request = format!(
            "POST /agent/v1/exchange HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/octet-stream\r\n\
             content-length: {}\r\n\r\n",
            envelope.len()
        )
        .into_bytes();
        request.extend(envelope);
        self.stream.write_all(&request).await?;
        self.stream.flush().await?;
        self.buffer.clear();
        let (head, length) = self.read_head().await?;
        while self.buffer.len() < head + length {
            self.read_more().await?;
        }
        ensure!(
            self.buffer.starts_with(b"HTTP/1.1 200 "),
            "the server does not answer now"
        );
        Ok(self.buffer[head..head + length].to_vec())
    }

    /// Where the head ends, and how long the body is.
    async fn read_head(&mut self) -> Result<(usize, usize)> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|part| part == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
                let field = |name: &str| {
                    head.lines()
                        .find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok())
                };
                if let Some(seconds) = field("retry-after:") {
                    self.retry_after = Duration::from_secs(seconds.min(60));
                }
                let length = field("content-length:").context("an answer without a length")?;
                return Ok((end + 4, usize::try_from(length)?));
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }

    /// Whether it was begun from an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// When the server wants to be asked again.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }

    /// Lets go of what only a request needs.
    pub fn keep(&mut self) {
        self.buffer = Vec::new();
    }
}
