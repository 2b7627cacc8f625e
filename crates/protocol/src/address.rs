//! Where a server listens: a host name or address, and a port.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// `name:port`, `192.0.2.1:port` or `[2001:db8::1]:port`, names in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerAddress {
    host: String,
    port: u16,
}

/// A text that is no server's address.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a server's address is host:port, such as patchyard.example:8443 or [2001:db8::1]:8443")]
pub struct NotAnAddress;

/// The longest name that is taken: a little less than the domain name system's 253 (RFC 1035, 2.3.4), so that name and
/// port have 255 bytes at most.
const NAME_CHARS: usize = 249;

impl ServerAddress {
    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, never 0.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ServerAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(NotAnAddress)?;
        let is_plain = !port.starts_with('0') && port.bytes().all(|digit| digit.is_ascii_digit());
        let port = port.parse().ok().filter(|_| is_plain).ok_or(NotAnAddress)?;
        let host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().map_err(|_| NotAnAddress)?.to_string(),
            None => name(host)?,
        };
        Ok(Self { host, port })
    }
}

fn name(text: &str) -> Result<String, NotAnAddress> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if text.len() > NAME_CHARS || !text.split('.').all(is_label) {
        return Err(NotAnAddress);
    }
    Ok(text.to_ascii_lowercase())
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_what_it_shows() {
        for text in [
            "patchyard.example:8443",
            "192.0.2.1:1",
            "[2001:db8::1]:65535",
            "a-b_c:80",
        ] {
            let address: Result<ServerAddress, _> = text.parse();
            assert_eq!(address.map(|address| address.to_string()).as_deref(), Ok(text));
        }
        let upper: Result<ServerAddress, _> = "Patchyard.Example:8443".parse();
        assert_eq!(upper, "patchyard.example:8443".parse());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}:1", "a.".repeat(127));
        for text in [
            "",
            ":",
            "a",
            "a:",
            ":1",
            "a:0",
            "a:01",
            "a:65536",
            "a:+1",
            "a b:1",
            "a/b:1",
            "u@a:1",
            "2001:db8::1:1",
            "[a]:1",
            "[::1:1",
            "::1]:1",
            "-a:1",
            "a..b:1",
            "a\n:1",
            "é:1",
            "https://a:1",
            &long,
        ] {
            assert_eq!(text.parse::<ServerAddress>(), Err(NotAnAddress), "{text}");
        }
    }
}
