//! The proxy on the way to a server: from the settings, or from the environment that the shell read (`https_proxy`,
//! `all_proxy`, `no_proxy`). Only proxies that tunnel by CONNECT (RFC 9110, section 9.3.6) can be used, since TLS is end to end.

use ureq::Proxy;

/// Which proxy, and for which hosts none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProxySettings {
    /// `http://[user:password@]host[:port]`; absent: servers are reached directly.
    pub proxy: Option<String>,
    /// Hosts, and domains with a dot before them, that are reached directly; `*` is all.
    pub direct: Vec<String>,
}

impl std::fmt::Debug for ProxySettings {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxySettings")
            .field("proxy", &self.proxy.as_deref().map(without_login))
            .field("direct", &self.direct)
            .finish()
    }
}

/// A proxy that this program cannot use.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the proxy {proxy:?} cannot be used: write it as http://host:port; nothing else is supported")]
pub struct BadProxy {
    /// The proxy without its password.
    pub proxy: String,
}

impl ProxySettings {
    /// What an environment says; `variable` looks a name up. Lower case comes first, as with curl(1).
    pub fn for_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        };
        let direct = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Self {
            proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            direct: direct
                .split(',')
                .map(|host| host.trim().to_owned())
                .filter(|host| !host.is_empty())
                .collect(),
        }
    }

    /// Which proxy leads to `server` (`host:port`), as a person may see it.
    pub(super) fn shown_for(&self, server: &str) -> Option<String> {
        let proxy = self.proxy.as_deref()?;
        let used = self.to_ureq().ok()??;
        let target = format!("https://{server}/").parse().ok()?;
        (!used.is_no_proxy(&target)).then(|| without_login(proxy))
    }

    pub(super) fn to_ureq(&self) -> Result<Option<Proxy>, BadProxy> {
        let Some(text) = &self.proxy else {
            return Ok(None);
        };
        let bad = || BadProxy {
            proxy: without_login(text),
        };
        let parsed = Proxy::new(text).map_err(|_| bad())?;
        // SOCKS is not built in, and the library would panic.
        if parsed.protocol() != ureq::ProxyProtocol::Http {
            return Err(bad());
        }
        let mut builder = Proxy::builder(parsed.protocol())
            .host(parsed.host())
            .port(parsed.port())
            .resolve_target(false);
        if let Some(user) = parsed.username() {
            builder = builder.username(user);
        }
        if let Some(password) = parsed.password() {
            builder = builder.password(password);
        }
        for host in &self.direct {
            builder = builder.no_proxy(host);
        }
        builder.build().map(Some).map_err(|_| bad())
    }
}

fn without_login(proxy: &str) -> String {
    let (scheme, rest) = proxy.split_once("://").unwrap_or(("http", proxy));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    crate::shown::harmless(&format!("{scheme}://{host}"), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(proxy: &str, direct: &[&str]) -> ProxySettings {
        ProxySettings {
            proxy: Some(proxy.to_owned()),
            direct: direct.iter().map(|host| (*host).to_owned()).collect(),
        }
    }

    #[test]
    fn a_password_of_a_proxy_is_never_shown() {
        let secret = settings("http://user:hunter2@proxy.example:3128", &[]);
        let shown = format!("{secret:?} {:?}", secret.shown_for("server.example:8443"));
        assert!(
            !shown.contains("hunter2") && shown.contains("proxy.example:3128"),
            "{shown}"
        );
    }

    #[test]
    fn a_proxy_that_cannot_tunnel_is_refused_by_name() {
        let refused = settings("socks5://user:hunter2@proxy.example", &[]).to_ureq();
        let shown = refused.expect_err("socks is not built in").to_string();
        assert!(
            shown.contains("socks5://proxy.example") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn hosts_that_need_no_proxy_are_reached_directly() {
        let proxies = settings(
            "http://proxy.example:3128",
            &["server.example", ".intern.example"],
        );
        assert_eq!(proxies.shown_for("server.example:8443"), None);
        assert_eq!(proxies.shown_for("a.intern.example:8443"), None);
        let through = proxies.shown_for("other.example:8443");
        assert_eq!(through.as_deref(), Some("http://proxy.example:3128"));
    }

    #[test]
    fn the_environment_says_it_in_lower_case_first() {
        let variable = |name: &str| match name {
            "https_proxy" => Some("http://lower.example".to_owned()),
            "HTTPS_PROXY" => Some("http://upper.example".to_owned()),
            "NO_PROXY" => Some(" a.example, ,b.example".to_owned()),
            _ => None,
        };
        let found = ProxySettings::for_environment(variable);
        assert_eq!(
            found,
            settings("http://lower.example", &["a.example", "b.example"])
        );
    }
}
