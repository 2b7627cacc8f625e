//! HTTP and HTTPS: conditional and range requests, redirects by our own rules, limits on headers and time.

use super::access::Access;
use super::address::{Address, HttpAddress, Scheme, shown};
use super::forward::ForwardTo;
use super::local::LocalFiles;
use super::pace::{self, Failing};
use super::proxy::BadProxy;
use super::{FetchConfig, FetchError, FetchLimits, Question, Reply, Validators};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use ureq::http::{HeaderMap, Response, header};
use ureq::tls::{PemItem, RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};
use ureq::{Agent, Body, Error, Proxy, Timeout};

/// Where Unix systems keep the certificate authorities that the administrator trusts.
const BUNDLES: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// The largest file of certificate authorities: Mozilla's has 220 kB.
const MAX_AUTHORITIES_BYTES: u64 = 16 << 20;
/// The longest validator that is kept.
const MAX_VALIDATOR_BYTES: usize = 200;

/// Connections, kept for reuse. TLS is set up when the first address needs it.
#[derive(Debug)]
pub(super) struct Client {
    plain: Agent,
    tls: Mutex<Option<Agent>>,
    /// For the one archive that something opens: no other server is asked over its connections.
    private: Mutex<Option<Agent>>,
    /// One for each proxy and host of plain HTTP.
    forwarding: Mutex<BTreeMap<(String, String), Agent>>,
}

impl Client {
    pub(super) fn new(config: &FetchConfig) -> Self {
        Self {
            plain: agent(config, None),
            tls: Mutex::new(None),
            private: Mutex::new(None),
            forwarding: Mutex::default(),
        }
    }

    /// Asks for a file and follows redirects.
    pub(super) fn ask(
        &self,
        address: &HttpAddress,
        question: Question<'_>,
        config: &FetchConfig,
        deadline: Instant,
    ) -> Result<Reply, FetchError> {
        let mut at = address.clone();
        for _ in 0..=config.limits.redirects {
            let response = self.ask_once(&at, question, config, deadline)?;
            let uri = || at.to_string();
            match response.status().as_u16() {
                200 => return Ok(body(response, 0)),
                206 => return Ok(partial_body(response, question)),
                304 if question.validators.is_some() => return Ok(Reply::Unchanged),
                404 | 410 => return Ok(Reply::Missing),
                416 => return Ok(Reply::NoSuchRange),
                301 | 302 | 303 | 307 | 308 => at = redirected(&at, response.headers())?,
                status => return Err(FetchError::Status { uri: uri(), status }),
            }
        }
        Err(FetchError::TooManyRedirects {
            uri: address.to_string(),
            limit: config.limits.redirects,
        })
    }

    fn ask_once(
        &self,
        at: &HttpAddress,
        question: Question<'_>,
        config: &FetchConfig,
        deadline: Instant,
    ) -> Result<Response<Body>, FetchError> {
        let shown_address = Address::Http(HttpAddress {
            login: None,
            ..at.clone()
        });
        let left = deadline.saturating_duration_since(pace::now());
        if left.is_zero() {
            return Err(Failing::Deadline.of(&shown_address, &config.limits));
        }
        let proxy = config.proxies.for_address(at);
        let (agent, target, tunnel) = match (at.scheme, proxy) {
            (Scheme::Http, None) => (self.plain.clone(), at.to_string(), None),
            (Scheme::Https, None) => (self.secure(at, config)?, at.to_string(), None),
            (Scheme::Https, Some(proxy)) => (self.secure(at, config)?, at.to_string(), Some(tunnel(proxy)?)),
            (Scheme::Http, Some(proxy)) => {
                let through = proxy_address(proxy)?;
                let target = HttpAddress {
                    path: at.path.clone(),
                    ..through.clone()
                };
                (self.forwarding(at, &through, config)?, target.to_string(), None)
            }
        };
        // Caches on the way have to ask the archive again: a stale index beside a fresh release file fits nothing.
        let mut request = agent
            .get(target)
            .header(header::HOST, &at.authority)
            .header(header::CACHE_CONTROL, "max-age=0");
        if let (Scheme::Http, Some(proxy)) = (at.scheme, proxy)
            && let Some((user, password)) = proxy_address(proxy)?.login
        {
            request = request.header(header::PROXY_AUTHORIZATION, basic(&user, &password));
        }
        let access = config.access.as_ref().filter(|access| access.is_for(at));
        let login = at.login.as_ref().or(access.and_then(Access::login));
        if let Some((user, password)) = login {
            request = request.header(header::AUTHORIZATION, basic(user, password));
        }
        if let Some(etag) = question.validators.and_then(|known| known.etag.as_ref()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(date) = question.validators.and_then(|known| known.last_modified.as_ref()) {
            request = request.header(header::IF_MODIFIED_SINCE, date);
        }
        if question.from_byte > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", question.from_byte));
        }
        let request = request.config().proxy(tunnel).timeout_global(Some(left)).build();
        request.call().map_err(|error| match error {
            Error::Timeout(Timeout::PerRead | Timeout::RecvResponse) => FetchError::NoAnswer {
                uri: at.to_string(),
                limit: config.limits.answer,
            },
            error => transfer_error(&shown_address, error, &config.limits),
        })
    }

    fn forwarding(
        &self,
        to: &HttpAddress,
        through: &HttpAddress,
        config: &FetchConfig,
    ) -> Result<Agent, FetchError> {
        let direct = match through.scheme {
            Scheme::Http => self.plain.clone(),
            Scheme::Https => self.tls(config)?,
        };
        let mut agents = self.forwarding.lock().unwrap_or_else(PoisonError::into_inner);
        let known = agents.entry((through.to_string(), to.authority.clone()));
        let agent = known.or_insert_with(|| {
            let origin = format!("http://{}", to.authority);
            let connector = DefaultConnector::new().chain(ForwardTo { origin });
            Agent::with_parts(direct.config().clone(), connector, DefaultResolver::default())
        });
        Ok(agent.clone())
    }

    /// The connections over which this address is asked.
    fn secure(&self, at: &HttpAddress, config: &FetchConfig) -> Result<Agent, FetchError> {
        let Some(access) = config.access.as_ref().filter(|access| access.is_for(at)) else {
            return self.tls(config);
        };
        let mut private = self.private.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = &*private {
            return Ok(agent.clone());
        }
        let roots = match access.roots() {
            Some(roots) => roots.clone(),
            None => usual_roots(config)?,
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .client_cert(access.certificate().cloned());
        Ok(private.insert(agent(config, Some(tls.build()))).clone())
    }

    fn tls(&self, config: &FetchConfig) -> Result<Agent, FetchError> {
        let mut tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = &*tls {
            return Ok(agent.clone());
        }
        let usual = TlsConfig::builder().root_certs(usual_roots(config)?).build();
        Ok(tls.insert(agent(config, Some(usual))).clone())
    }
}

/// Whom archives' certificates may come from, where nothing else is said.
fn usual_roots(config: &FetchConfig) -> Result<RootCerts, FetchError> {
    match &config.authorities {
        Some(path) => read_authorities(&config.files, path),
        None => match BUNDLES.iter().find(|path| Path::new(path).is_file()) {
            Some(path) => read_authorities(&LocalFiles::default(), path),
            None => Ok(RootCerts::WebPki),
        },
    }
}

fn agent(config: &FetchConfig, tls: Option<TlsConfig>) -> Agent {
    let limits = &config.limits;
    let mut builder = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(&config.user_agent)
        .max_response_header_size(limits.header_bytes)
        .timeout_connect(Some(limits.connect))
        .timeout_recv_response(Some(limits.answer))
        .timeout_per_read(Some(limits.rate_window.max(limits.answer)))
        .timeout_per_write(Some(limits.rate_window))
        .proxy(None);
    if let Some(tls) = tls {
        builder = builder.tls_config(tls);
    }
    builder.build().new_agent()
}

/// The certificates of a PEM file; what else stands in it is passed over.
fn read_authorities(files: &LocalFiles, path: &str) -> Result<RootCerts, FetchError> {
    let failed = |cause| FetchError::Authorities {
        path: path.into(),
        cause,
    };
    let pem = files.read(path, MAX_AUTHORITIES_BYTES).map_err(failed)?;
    let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    Ok(RootCerts::new_with_certs(&certificates))
}

/// A tunnel for https.
fn tunnel(proxy: &str) -> Result<Proxy, FetchError> {
    proxy_address(proxy)?;
    Proxy::new(proxy).map_err(|_| bad_proxy(proxy))
}

/// A proxy's own address; without a scheme it is `http`.
fn proxy_address(proxy: &str) -> Result<HttpAddress, FetchError> {
    let uri = if proxy.contains("://") {
        proxy.to_owned()
    } else {
        format!("http://{proxy}")
    };
    match Address::parse(&uri) {
        Ok(Address::Http(address)) => Ok(address),
        _ => Err(bad_proxy(proxy)),
    }
}

fn bad_proxy(proxy: &str) -> FetchError {
    FetchError::Proxy(BadProxy { proxy: shown(proxy) })
}

fn redirected(at: &HttpAddress, headers: &HeaderMap) -> Result<HttpAddress, FetchError> {
    let location = headers
        .get(header::LOCATION)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let location = location.unwrap_or_default();
    let Some(target) = at.join(&location) else {
        let target = location.chars().take(200).collect();
        return Err(FetchError::BadRedirect {
            uri: at.to_string(),
            target,
        });
    };
    if at.scheme == Scheme::Https && target.scheme == Scheme::Http {
        return Err(FetchError::Downgrade {
            uri: at.to_string(),
            target: target.to_string(),
        });
    }
    Ok(target)
}

/// An answer with a body that starts at this byte of the file.
fn body(response: Response<Body>, start_byte: u64) -> Reply {
    let text = |name| {
        let value = response.headers().get(name)?.to_str().ok()?;
        (value.len() <= MAX_VALIDATOR_BYTES).then(|| value.to_owned())
    };
    let validators = Validators {
        etag: text(header::ETAG),
        last_modified: text(header::LAST_MODIFIED),
    };
    let declared_bytes = response.body().content_length();
    let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
    Reply::Body {
        reader: Box::new(reader),
        start_byte,
        declared_bytes,
        validators,
    }
}

/// A part of the file, if it is the part that was asked for (RFC 9110 15.3.7).
fn partial_body(response: Response<Body>, question: Question<'_>) -> Reply {
    let range = response
        .headers()
        .get(header::CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let start = range
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split_once('-'))
        .and_then(|(start, _)| start.trim().parse::<u64>().ok());
    match start {
        Some(start) if start == question.from_byte && start > 0 => body(response, start),
        _ => Reply::NoSuchRange,
    }
}

/// A failed transfer in our words.
pub(super) fn transfer_error(address: &Address, error: Error, limits: &FetchLimits) -> FetchError {
    match error {
        Error::Timeout(Timeout::Global | Timeout::PerCall) => Failing::Deadline.of(address, limits),
        Error::Timeout(Timeout::PerRead | Timeout::PerWrite | Timeout::RecvBody) => {
            Failing::Rate.of(address, limits)
        }
        cause => FetchError::Transfer {
            uri: address.to_string(),
            cause: Box::new(cause),
        },
    }
}

/// Basic authentication (RFC 7617).
fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_authentication_is_as_the_standard_shows_it() {
        // RFC 7617 2.
        assert_eq!(
            basic("Aladdin", "open sesame"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
    }

    #[test]
    fn a_redirect_from_https_to_http_is_refused_and_the_other_way_is_followed() {
        let address = |uri| match Address::parse(uri) {
            Ok(Address::Http(address)) => address,
            other => panic!("{uri}: {other:?}"),
        };
        let to = |location: &str| {
            let value = location.parse().expect("a plain location");
            HeaderMap::from_iter([(header::LOCATION, value)])
        };
        let secure = address("https://archive.example/x");
        let down = redirected(&secure, &to("http://archive.example/x"));
        assert!(matches!(down, Err(FetchError::Downgrade { .. })), "{down:?}");
        let plain = address("http://archive.example/x");
        let up = redirected(&plain, &to("https://archive.example/x")).expect("https is better");
        assert_eq!(up, secure);
        assert!(matches!(
            redirected(&plain, &HeaderMap::new()),
            Err(FetchError::BadRedirect { .. })
        ));
    }
}
