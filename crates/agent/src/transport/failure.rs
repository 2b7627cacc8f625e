//! What can go wrong on the way to a server, told apart for the person who has to mend it: one sentence, and one next step.

use super::SeenCertificate;
use jiff::{SignedDuration, Timestamp};
use rustls::{AlertDescription, CertificateError};
use std::io::ErrorKind;
use ureq::{Error, Timeout};

/// An exchange that brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The name has no address.
    #[error("the name {host} does not resolve")]
    NameNotFound {
        /// The name.
        host: String,
    },
    /// Somebody answers that nothing listens there.
    #[error("nothing listens at {server}: the connection was refused")]
    PortClosed {
        /// `host:port`.
        server: String,
    },
    /// Nobody answers.
    #[error("{server} does not answer{}", through(proxy))]
    Unreachable {
        /// `host:port`.
        server: String,
        /// The proxy on the way.
        proxy: Option<String>,
    },
    /// The proxy makes no tunnel.
    #[error("the proxy {proxy} made no tunnel to {server}: {why}")]
    ProxyRefused {
        /// The proxy without its password.
        proxy: String,
        /// `host:port`.
        server: String,
        /// What it said.
        why: String,
    },
    /// The proxy cannot be reached.
    #[error("the proxy {proxy} cannot be reached on the way to {server}")]
    ProxyUnreachable {
        /// The proxy without its password.
        proxy: String,
        /// `host:port`.
        server: String,
    },
    /// The connection was made, TLS was not.
    #[error("TLS with {server} failed: {failure}")]
    Handshake {
        /// `host:port`.
        server: String,
        /// Why.
        failure: HandshakeFailure,
    },
    /// The connection ended in the middle.
    #[error("the connection to {server} broke off{}", through(proxy))]
    Broken {
        /// `host:port`.
        server: String,
        /// The proxy on the way.
        proxy: Option<String>,
        /// Why.
        #[source]
        cause: Box<Error>,
    },
    /// Connected, but no answer in time.
    #[error("{server} took the message and gave no answer in time")]
    NoAnswer {
        /// `host:port`.
        server: String,
    },
    /// It has too much to do.
    #[error("the server {server} has too much to do")]
    Busy {
        /// `host:port`.
        server: String,
        /// When to come back.
        retry_after_seconds: Option<u32>,
    },
    /// An answer that no server of ours gives.
    #[error("{server} answers with status {status}, which a Patchyard server never does to an agent")]
    Status {
        /// `host:port`.
        server: String,
        /// The HTTP status.
        status: u16,
    },
    /// More than an answer may hold.
    #[error("the answer of {server} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// `host:port`.
        server: String,
        /// The limit in bytes.
        limit_bytes: usize,
    },
    /// The address is none.
    #[error("{server:?} is no address of a server")]
    BadAddress {
        /// What stands there.
        server: String,
    },
}

/// Why TLS was not made.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HandshakeFailure {
    /// Somebody else's certificate.
    #[error(
        "somebody on the way rewrites TLS, or this is another server: {}",
        whose(seen)
    )]
    NotOurs {
        /// Whose certificate was seen.
        seen: SeenCertificate,
    },
    /// Our certificate, not valid yet.
    #[error(
        "this host's time is {now}, before the server's certificate begins to count at {begins} ({} later)",
        apart(*now, *begins)
    )]
    NotYetValid {
        /// The agent's time.
        now: Timestamp,
        /// When it begins.
        begins: Timestamp,
    },
    /// Our certificate, valid no more.
    #[error(
        "this host's time is {now}, after the server's certificate ended at {ended} ({} earlier)",
        apart(*now, *ended)
    )]
    Expired {
        /// The agent's time.
        now: Timestamp,
        /// When it ended.
        ended: Timestamp,
    },
    /// Our authority's certificate for another name.
    #[error("the server's certificate does not name this address; it names {}", if names.is_empty() { "nobody".to_owned() } else { names.join(", ") })]
    WrongName {
        /// The names in it.
        names: Vec<String>,
    },
    /// It is not TLS.
    #[error("what listens there does not speak TLS")]
    NotTls,
    /// The other side ends the handshake.
    #[error("the other side ended the TLS handshake ({alert})")]
    Ended {
        /// Its word for why.
        alert: String,
    },
    /// The address has no usable name.
    #[error("the address is neither a name nor an IP address")]
    NotAName,
    /// Anything else.
    #[error("{why}")]
    Other {
        /// The library's word for it.
        why: String,
    },
}

fn through(proxy: &Option<String>) -> String {
    proxy
        .as_ref()
        .map(|proxy| format!(" (through the proxy {proxy})"))
        .unwrap_or_default()
}

fn whose(seen: &SeenCertificate) -> String {
    let unnamed = || "nobody by name".to_owned();
    let issuer = seen.issuer.clone().unwrap_or_else(unnamed);
    let subject = seen.subject.clone().unwrap_or_else(unnamed);
    format!(
        "the certificate seen is for \"{subject}\", issued by \"{issuer}\", not by this fleet's own authority"
    )
}

/// A span in the two largest units that people use.
fn apart(one: Timestamp, other: Timestamp) -> String {
    span(one.duration_since(other))
}

/// A span without its sign, rounded to one unit: `3 hours`.
pub fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().unsigned_abs();
    let rounded = |unit: u64| (seconds + unit / 2) / unit;
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_170 => (rounded(60), "minute"),
        7_170..171_000 => (rounded(3_600), "hour"),
        _ => (rounded(86_400), "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

impl ExchangeError {
    /// What the person can do next, as one sentence.
    pub fn next_step(&self) -> String {
        match self {
            Self::NameNotFound { host } => format!(
                "check the name with `getent hosts {host}`; if it should exist, mend /etc/resolv.conf or /etc/hosts, or enrol with \
                 an address that this host knows"
            ),
            Self::PortClosed { server } => format!(
                "see on the server whether it runs and listens beyond loopback (`patchyard listen ADDRESS`), and whether {server} is \
                 its address"
            ),
            Self::Unreachable { proxy: None, server } => {
                format!(
                    "ask who runs the network whether this host may open TCP connections to {server}; if it needs a proxy, set `proxy` in agent.toml"
                )
            }
            Self::Unreachable { proxy: Some(_), .. } | Self::ProxyUnreachable { .. } => {
                "check `proxy` in agent.toml, or https_proxy in the environment".to_owned()
            }
            Self::ProxyRefused { server, .. } => {
                format!("have the proxy allow CONNECT to {server}, or name the server in no_proxy")
            }
            Self::Handshake { failure, server } => failure.next_step(server),
            Self::Broken { .. } | Self::NoAnswer { .. } => {
                "nothing to do if it is rare: the agent tries again; otherwise look at the server's log"
                    .to_owned()
            }
            Self::Busy { .. } => "nothing to do: the agent comes back when the server asked it to".to_owned(),
            Self::Status { server, .. } => {
                format!(
                    "check that {server} is the Patchyard server itself and not a web server or portal before it"
                )
            }
            Self::TooLarge { .. } => "check that the address is that of a Patchyard server".to_owned(),
            Self::BadAddress { .. } => "write the server as host:port".to_owned(),
        }
    }

    /// When the server's certificate begins to count, if by the agent's time it does not yet.
    pub fn certificate_begins(&self) -> Option<Timestamp> {
        match self {
            Self::Handshake {
                failure: HandshakeFailure::NotYetValid { begins, .. },
                ..
            } => Some(*begins),
            _ => None,
        }
    }

    /// Seconds after which the server wants to be asked again.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        match self {
            Self::Busy {
                retry_after_seconds, ..
            } => *retry_after_seconds,
            _ => None,
        }
    }
}

impl HandshakeFailure {
    fn next_step(&self, server: &str) -> String {
        match self {
            Self::NotOurs { .. } => format!(
                "have whoever runs that proxy or firewall pass TLS to {server} through unopened; if the server was set up anew, enrol \
                 with a new token"
            ),
            Self::NotYetValid { .. } | Self::Expired { .. } => {
                "compare `date -u` with a clock that is right and set it (`timedatectl set-ntp true`); if this host is right, the server's \
                 clock or certificate is wrong: run `patchyard doctor` there"
                    .to_owned()
            }
            Self::WrongName { .. } => format!(
                "enrol with one of the names in the certificate, or add {server} to `addresses` in the server's settings"
            ),
            Self::NotTls => format!("check that {server} is the address of the Patchyard server"),
            Self::Ended { .. } | Self::Other { .. } => {
                "see whether a proxy or firewall stands between; the server's log says what it saw".to_owned()
            }
            Self::NotAName => "write the server as host:port".to_owned(),
        }
    }
}

/// A failed handshake, with the certificate that it showed and the agent's time in seconds since 1970.
pub(super) fn of_handshake(
    cause: rustls::Error,
    seen: Option<SeenCertificate>,
    now_seconds: i64,
) -> HandshakeFailure {
    let now = Timestamp::from_second(now_seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let at = |time: &rustls_pki_types::UnixTime| {
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
    };
    match cause {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::NotValidYetContext { not_before, .. } => HandshakeFailure::NotYetValid {
                now,
                begins: at(&not_before),
            },
            CertificateError::ExpiredContext { not_after, .. } => HandshakeFailure::Expired {
                now,
                ended: at(&not_after),
            },
            CertificateError::NotValidForNameContext { presented, .. } => HandshakeFailure::WrongName {
                names: presented
                    .iter()
                    .take(8)
                    .map(|name| crate::shown::harmless(name, 80))
                    .collect(),
            },
            _ => HandshakeFailure::NotOurs {
                seen: seen.unwrap_or_default(),
            },
        },
        rustls::Error::InvalidMessage(_) => HandshakeFailure::NotTls,
        rustls::Error::AlertReceived(alert) => HandshakeFailure::Ended { alert: shown(alert) },
        other => HandshakeFailure::Other {
            why: crate::shown::harmless(&other.to_string(), 200),
        },
    }
}

fn shown(alert: AlertDescription) -> String {
    format!("{alert:?}")
}

/// A failed request in our words.
pub(super) fn of(server: &str, proxy: Option<String>, error: Error) -> ExchangeError {
    let server = server.to_owned();
    match error {
        Error::HostNotFound => name_not_found(server, proxy),
        Error::ConnectProxyFailed(why) => ExchangeError::ProxyRefused {
            proxy: proxy.unwrap_or_default(),
            server,
            why: crate::shown::harmless(&why, 200),
        },
        Error::Timeout(Timeout::Resolve) => name_not_found(server, proxy),
        Error::Timeout(Timeout::Connect) => ExchangeError::Unreachable { server, proxy },
        Error::Timeout(_) => ExchangeError::NoAnswer { server },
        Error::BadUri(_) | Error::Http(_) => ExchangeError::BadAddress { server },
        Error::Io(ref cause) => match (cause.kind(), proxy) {
            (ErrorKind::ConnectionRefused, None) => ExchangeError::PortClosed { server },
            (ErrorKind::ConnectionRefused, Some(proxy)) => ExchangeError::ProxyUnreachable { proxy, server },
            (
                ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
                | ErrorKind::AddrNotAvailable
                | ErrorKind::PermissionDenied,
                proxy,
            ) => ExchangeError::Unreachable { server, proxy },
            (_, proxy) => ExchangeError::Broken {
                server,
                proxy,
                cause: Box::new(error),
            },
        },
        Error::Other(other) => match other.downcast::<HandshakeFailure>() {
            Ok(failure) => ExchangeError::Handshake {
                server,
                failure: *failure,
            },
            Err(other) => ExchangeError::Broken {
                server,
                proxy,
                cause: Box::new(Error::Other(other)),
            },
        },
        cause => ExchangeError::Broken {
            server,
            proxy,
            cause: Box::new(cause),
        },
    }
}

/// With a proxy in the way it is the proxy's name that this host looks up.
fn name_not_found(server: String, proxy: Option<String>) -> ExchangeError {
    match proxy {
        Some(proxy) => ExchangeError::ProxyUnreachable { proxy, server },
        None => {
            let host = server.rsplit_once(':').map_or(server.as_str(), |(host, _)| host);
            ExchangeError::NameNotFound {
                host: crate::shown::harmless(host, 253),
            }
        }
    }
}
