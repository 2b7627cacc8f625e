//! One exchange with a server: an envelope out, an envelope back, over HTTPS, through a proxy if one is set; or one file, by
//! its digest. Bounded in size and time. What may go wrong on the way is told apart for people in `failure`; what the envelopes
//! say is no matter here.

mod certificate;
mod connector;
pub mod failure;
mod fetch;
mod proxy;
mod tls;

pub use certificate::{SeenCertificate, validity};
pub use failure::ExchangeError;
pub use fetch::{AskedFile, Came, FetchError, Sink};
pub use proxy::{BadProxy, ProxySettings};
pub use tls::{ClientIdentity, TlsSetupError};

use connector::{Names, TlsConnector};
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use tls::{AgentClock, Tls};
use ureq::http::{HeaderMap, header};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};

/// The path of the one endpoint for messages.
const EXCHANGE_PATH: &str = "/agent/v1/exchange";
/// The longest wait for a connection, its TLS handshake included.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// The longest wait for an answer, beyond the time for which the server may hold it.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// The most that headers of an answer may hold, in bytes.
const HEADER_BYTES: usize = 16 << 10;
/// A delay that a server asks for is never believed beyond a day, in seconds.
const LONGEST_DELAY_SECONDS: u32 = 86_400;
/// An idle connection is kept this long: a server closes its own side later.
const KEEP_IDLE: Duration = Duration::from_secs(45);

/// The SHA-256 digests of the root certificates that may vouch for a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(pub Vec<Sha256Digest>);

/// Bounds and the way out.
#[derive(Clone, Debug)]
pub struct TransportSettings {
    /// Proxies, as the settings or the environment say.
    pub proxy: ProxySettings,
    /// The most that an answer may hold, in bytes.
    pub answer_limit_bytes: usize,
    /// The longest wait for a connection, its TLS handshake included.
    pub connect_limit: Duration,
    /// The longest wait for an answer, beyond the time for which the server may hold it.
    pub answer_limit: Duration,
}

impl Default for TransportSettings {
    /// No proxy, and the limits of the project.
    fn default() -> Self {
        Self {
            proxy: ProxySettings::default(),
            answer_limit_bytes: 8 << 20,
            connect_limit: CONNECT_LIMIT,
            answer_limit: ANSWER_LIMIT,
        }
    }
}

/// Connections to servers that the pinned authorities vouch for.
#[derive(Debug)]
pub struct Transport {
    agent: ureq::Agent,
    settings: TransportSettings,
    clock: Arc<AgentClock>,
}

impl Transport {
    /// A transport that trusts these roots and shows this certificate. A renewed certificate or a new root needs a new one.
    ///
    /// # Errors
    /// A proxy that cannot be used, or a certificate and key that do not fit.
    pub fn new(
        settings: TransportSettings,
        pins: &Pins,
        identity: Option<&ClientIdentity>,
    ) -> Result<Self, SetupError> {
        let clock = Arc::new(AgentClock::default());
        let tls = Tls::new(pins, identity, &clock)?;
        let proxy = settings.proxy.to_ureq()?;
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .https_only(true)
            .max_redirects(0)
            .max_response_header_size(HEADER_BYTES)
            .max_idle_connections(1)
            .max_idle_age(KEEP_IDLE)
            .timeout_connect(Some(settings.connect_limit))
            .timeout_resolve(Some(settings.connect_limit))
            .timeout_send_body(Some(settings.answer_limit))
            .timeout_recv_body(Some(settings.answer_limit))
            .user_agent(concat!("patchyard-agent/", env!("CARGO_PKG_VERSION")))
            .proxy(proxy)
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(TlsConnector {
                    tls,
                    clock: Arc::clone(&clock),
                });
        Ok(Self {
            agent: ureq::Agent::with_parts(config, connector, Names::default()),
            settings,
            clock,
        })
    }

    /// Sends one envelope to `server` (`host:port`) and gives the answer. `now` is the agent's time, by which the server's
    /// certificate must be valid; `hold` is how long the server may hold the answer.
    pub fn exchange(
        &self,
        server: &str,
        envelope: &[u8],
        now: Timestamp,
        hold: Duration,
    ) -> Result<Vec<u8>, ExchangeError> {
        self.clock.set(now.as_second());
        let request = self
            .agent
            .post(format!("https://{server}{EXCHANGE_PATH}"))
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .config()
            .timeout_recv_response(Some(self.settings.answer_limit + hold))
            .build();
        let answer = request
            .send(envelope)
            .map_err(|error| self.failed(server, error))?;
        match answer.status().as_u16() {
            200 => {}
            429 | 503 => {
                return Err(ExchangeError::Busy {
                    server: server.to_owned(),
                    retry_after_seconds: retry_after(answer.headers()),
                });
            }
            status => {
                return Err(ExchangeError::Status {
                    server: server.to_owned(),
                    status,
                });
            }
        }
        self.read(server, answer.into_body())
    }

    fn read(&self, server: &str, body: ureq::Body) -> Result<Vec<u8>, ExchangeError> {
        let limit = self.settings.answer_limit_bytes;
        let mut bytes = Vec::new();
        // One byte more than the limit tells a full answer from one that is too large.
        let mut reader = body
            .into_with_config()
            .limit(u64::MAX)
            .reader()
            .take(limit as u64 + 1);
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| self.failed(server, error.into()))?;
        if bytes.len() > limit {
            return Err(ExchangeError::TooLarge {
                server: server.to_owned(),
                limit_bytes: limit,
            });
        }
        Ok(bytes)
    }

    fn failed(&self, server: &str, error: ureq::Error) -> ExchangeError {
        let proxy = self.settings.proxy.shown_for(server);
        failure::of(server, proxy, error)
    }
}

/// Settings with which no exchange can begin.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] BadProxy),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); dates are not used by our servers.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    let seconds: u64 = headers
        .get(header::RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(u32::try_from(seconds).map_or(LONGEST_DELAY_SECONDS, |seconds| {
        seconds.min(LONGEST_DELAY_SECONDS)
    }))
}
