//! How a request reaches a server: over TLS, with no other authority believed than the one that was pinned.

use super::ApiError;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Request, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: u64 = 64 * 1024 * 1024;
/// Bytes that are handed over at a time.
const PIECE: usize = 64 * 1024;
/// How long a connection may take to come about.
const TO_CONNECT: Duration = Duration::from_secs(10);
/// How long one exchange may take: a backup of a large server takes minutes.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What came back.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The mark of the resource's state (RFC 9110, 8.8.3).
    pub etag: Option<String>,
    /// The body, bounded.
    pub body: Vec<u8>,
}

/// Carries one request there and its answer back.
pub trait Port {
    /// One exchange.
    ///
    /// # Errors
    /// There is no answer.
    fn exchange(&self, request: Request<String>) -> Result<Answer, Box<ureq::Error>>;

    /// One exchange whose good answer is handed over piece by piece, and is not in what comes back.
    ///
    /// # Errors
    /// There is no answer, or a piece cannot be taken.
    fn stream(
        &self,
        request: Request<String>,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Answer, Box<ureq::Error>> {
        let mut answer = self.exchange(request)?;
        if answer.status == 200 {
            take(&std::mem::take(&mut answer.body)).map_err(|error| Box::new(error.into()))?;
        }
        Ok(answer)
    }
}

/// TLS to a server of this authority.
pub struct Tls(ureq::Agent);

impl Tls {
    /// Believes this root authority (a certificate, PEM) and no other.
    ///
    /// # Errors
    /// [`ApiError::BadAuthority`].
    pub fn new(root_pem: &str) -> Result<Self, ApiError> {
        let root = Certificate::from_pem(root_pem.as_bytes())
            .map_err(|cause| ApiError::BadAuthority(Box::new(cause)))?;
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(vec![root])))
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(TO_CONNECT))
            .timeout_global(Some(PATIENCE))
            .user_agent(concat!("patchyard/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self(config.new_agent()))
    }
}

impl Port for Tls {
    fn exchange(&self, request: Request<String>) -> Result<Answer, Box<ureq::Error>> {
        let mut response = self.0.run(request)?;
        let status = response.status().as_u16();
        let etag = response.headers().get(header::ETAG);
        let etag = etag.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = response.body_mut().with_config().limit(LONGEST_ANSWER);
        Ok(Answer {
            status,
            etag,
            body: body.read_to_vec()?,
        })
    }

    fn stream(
        &self,
        request: Request<String>,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<Answer, Box<ureq::Error>> {
        let mut response = self.0.run(request)?;
        let (status, mut kept) = (response.status().as_u16(), Vec::new());
        let is_good = status == 200;
        let limit = if is_good { u64::MAX } else { LONGEST_ANSWER };
        let mut body = response.body_mut().with_config().limit(limit).reader();
        let mut piece = vec![0; PIECE];
        loop {
            let read = body.read(&mut piece).map_err(|error| Box::new(error.into()))?;
            match read {
                0 => break,
                read if is_good => take(&piece[..read]).map_err(|error| Box::new(error.into()))?,
                read => kept.extend_from_slice(&piece[..read]),
            }
        }
        Ok(Answer {
            status,
            etag: None,
            body: kept,
        })
    }
}
