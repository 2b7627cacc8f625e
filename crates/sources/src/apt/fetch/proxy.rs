//! Which proxy for which address, from values that the shell read: apt.conf(5) `Acquire::http::Proxy`,
//! `Acquire::http::Proxy::HOST`, `DIRECT`, and the environment's `http_proxy`, `https_proxy`, `no_proxy`.

use super::address::{HttpAddress, Scheme};

/// Proxies by scheme and by host. Everything empty: no proxy.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http:` addresses, such as `http://proxy.example:3128`.
    pub http: Option<String>,
    /// For `https:` addresses.
    pub https: Option<String>,
    /// For one host, whatever the scheme; these come first.
    pub hosts: Vec<(String, HostProxy)>,
    /// Hosts, and domains with a dot before them, that are reached directly; `*` is all.
    pub direct: Vec<String>,
}

impl std::fmt::Debug for Proxies {
    /// Without addresses: they may carry passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("direct", &self.direct)
            .finish_non_exhaustive()
    }
}

/// What is configured for one host.
#[derive(Clone, PartialEq, Eq)]
pub enum HostProxy {
    /// apt's `DIRECT`.
    Direct,
    /// This proxy.
    Through(String),
}

/// A proxy that this program cannot use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the proxy {proxy:?} cannot be used: only http:// and https:// proxies are supported")]
pub struct BadProxy {
    /// The proxy without its password.
    pub proxy: String,
}

impl Proxies {
    /// The proxy for an address.
    pub fn for_address(&self, address: &HttpAddress) -> Option<&str> {
        let host = address.host();
        if let Some((_, choice)) = self
            .hosts
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(host))
        {
            return match choice {
                HostProxy::Direct => None,
                HostProxy::Through(proxy) => Some(proxy),
            };
        }
        if self.direct.iter().any(|pattern| is_covered(host, pattern)) {
            return None;
        }
        match address.scheme {
            Scheme::Http => self.http.as_deref(),
            Scheme::Https => self.https.as_deref(),
        }
    }
}

/// Whether a `no_proxy` entry covers a host, as curl reads it: the name itself and everything below it.
fn is_covered(host: &str, pattern: &str) -> bool {
    let pattern = pattern.trim().trim_start_matches('.').to_ascii_lowercase();
    match host.strip_suffix(pattern.as_str()) {
        _ if pattern == "*" => true,
        Some(before) => !pattern.is_empty() && (before.is_empty() || before.ends_with('.')),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::*;

    #[test]
    fn the_closest_setting_decides() {
        let proxies = Proxies {
            http: Some("http://cache.example:3142".to_owned()),
            https: None,
            hosts: vec![
                ("one.example".to_owned(), HostProxy::Direct),
                (
                    "two.example".to_owned(),
                    HostProxy::Through("http://two-proxy.example".to_owned()),
                ),
            ],
            direct: vec![".intern.example".to_owned(), " exact.example".to_owned()],
        };
        for (uri, expected) in [
            ("http://deb.example/x", Some("http://cache.example:3142")),
            ("https://deb.example/x", None),
            ("http://one.example:8080/x", None),
            ("https://two.example/x", Some("http://two-proxy.example")),
            ("http://a.intern.example/x", None),
            ("http://aintern.example/x", Some("http://cache.example:3142")),
            ("http://exact.example/x", None),
        ] {
            let Ok(Address::Http(address)) = Address::parse(uri) else {
                panic!("{uri}")
            };
            assert_eq!(proxies.for_address(&address), expected, "{uri}");
        }
    }
}
