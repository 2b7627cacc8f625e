//! Addresses of archives as apt reads and normalises them, and the names under which apt keeps what it fetched from
//! them (libapt's `URI`, `URItoFileName`, `QuoteString`).

use std::fmt::Write as _;

/// The parts of an address as libapt splits it (RFC 3986 in outline, with square brackets around IPv6 hosts).
#[derive(Debug, Default, PartialEq, Eq)]
struct Uri {
    access: String,
    user: String,
    password: String,
    host: String,
    port: u32,
    path: String,
}

/// The address with `$(ARCH)` filled in and a slash at its end; `None` if it is none.
pub fn archive_uri(text: &str, native_architecture: &str) -> Option<String> {
    if !text.contains(':') {
        return None;
    }
    let mut uri = Uri::parse(&text.replace("$(ARCH)", native_architecture)).to_text();
    if !uri.ends_with('/') {
        uri.push('/');
    }
    Some(uri)
}

/// The host name in an address, without its port; empty for files on this computer. `origin` pins compare it.
pub fn site(uri: &str) -> String {
    Uri::parse(uri).host
}

/// The address as it may be shown: without a login.
pub fn without_login(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("//") else {
        return uri.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end]
        .rsplit_once('@')
        .map_or(0, |(login, _)| login.len() + 1);
    format!("{scheme}//{}", &rest[host..])
}

/// The address below which a source's release file and indexes are: `http://deb.example/debian/dists/bookworm/`, or
/// for a flat repository the folder itself. What an address may not hold is percent-encoded as apt does.
pub fn release_uri(uri: &str, suite: &str) -> String {
    let suite_path = quoted(suite, "+~ ");
    match suite {
        "/" => uri.to_owned(),
        flat if flat.ends_with('/') => format!("{uri}{suite_path}"),
        _ => format!("{uri}dists/{suite_path}/"),
    }
}

/// The name of the file in which apt keeps what it fetched from `uri`, such as
/// `archive.example_debian_dists_bookworm_InRelease`.
pub fn list_file_name(uri: &str) -> String {
    let parsed = Uri {
        access: String::new(),
        user: String::new(),
        password: String::new(),
        ..Uri::parse(uri)
    };
    quoted(&parsed.to_text(), "\\|{}[]<>\"^~_=!@#$%^&*").replace('/', "_")
}

impl Uri {
    fn parse(text: &str) -> Self {
        let (access, rest) = text.split_once(':').unwrap_or((text, ""));
        let mut uri = Self {
            access: access.to_owned(),
            ..Self::default()
        };
        // Without the slashes, what stands before the first single one counts as a host too.
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (authority, path) = rest.split_at(path_start(rest));
        uri.path = if path.is_empty() {
            "/".to_owned()
        } else {
            path.to_owned()
        };
        let host = match authority
            .get(1..)
            .and_then(|tail| tail.rfind('@'))
            .map(|at| at + 1)
        {
            Some(at) => {
                let (user, password) = authority[..at].split_once(':').unwrap_or((&authority[..at], ""));
                uri.user = dequoted(user);
                uri.password = dequoted(password);
                &authority[at + 1..]
            }
            None => authority,
        };
        uri.set_host(host);
        uri
    }

    fn set_host(&mut self, text: &str) {
        let mut host = String::with_capacity(text.len());
        let mut in_bracket = false;
        let mut port_from = 0;
        for c in text.chars() {
            match c {
                '[' => in_bracket = true,
                ']' if in_bracket => {
                    in_bracket = false;
                    port_from = host.len();
                }
                _ => host.push(c),
            }
        }
        if in_bracket {
            return;
        }
        if let Some(colon) = host.rfind(':').filter(|&colon| colon >= port_from) {
            self.port = leading_number(&host[colon + 1..]);
            host.truncate(colon);
        }
        self.host = host;
    }

    fn to_text(&self) -> String {
        let mut text = String::new();
        if !self.access.is_empty() {
            text.push_str(&self.access);
            text.push(':');
        }
        if !self.host.is_empty() {
            if !self.access.is_empty() {
                text.push_str("//");
            }
            if !self.user.is_empty() {
                text.push_str(&quoted(&self.user, ":/?#[]@"));
                if !self.password.is_empty() {
                    text.push(':');
                    text.push_str(&quoted(&self.password, ":/?#[]@"));
                }
                text.push('@');
            }
            if !self.access.is_empty() && self.host.contains(['/', ':']) {
                text.push_str(&format!("[{}]", self.host));
            } else {
                text.push_str(&self.host);
            }
            if self.port != 0 {
                text.push_str(&format!(":{}", self.port));
            }
        }
        if !self.path.is_empty() && !self.path.starts_with('/') {
            text.push('/');
        }
        text.push_str(&self.path);
        text
    }
}

/// The number at the start of a text; 0 where there is none, or one that is too large for a port's field.
fn leading_number(text: &str) -> u32 {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

/// Where the first slash outside square brackets stands.
fn path_start(text: &str) -> usize {
    let mut in_bracket = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' => in_bracket = true,
            b']' => in_bracket = false,
            b'/' if !in_bracket => return at,
            _ => {}
        }
    }
    text.len()
}

/// The text with the bytes of `bad`, control bytes, spaces, percent signs and what is not ASCII written as `%2f`.
fn quoted(text: &str, bad: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        if bad.as_bytes().contains(&byte) || byte == b'%' || !byte.is_ascii_graphic() {
            write!(quoted, "%{byte:02x}").expect("writing to a string cannot fail");
        } else {
            quoted.push(char::from(byte));
        }
    }
    quoted
}

fn dequoted(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut raw = text.as_bytes();
    while let Some((&first, rest)) = raw.split_first() {
        let hex = |byte: u8| char::from(byte).to_digit(16);
        raw = match (first, rest) {
            (b'%', [high, low, after @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push((hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0)) as u8);
                after
            }
            _ => {
                bytes.push(first);
                rest
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{list_file_name, site};

    #[test]
    fn names_are_those_that_apt_gives_its_lists() {
        let seen = [
            (
                "http://archive.example/debian/dists/bookworm/InRelease",
                "archive.example_debian_dists_bookworm_InRelease",
            ),
            (
                "https://deb.example/node_20.x/dists/nodistro/InRelease",
                "deb.example_node%5f20.x_dists_nodistro_InRelease",
            ),
            (
                "https://user:pass@deb.example:8443/x/./Packages",
                "deb.example:8443_x_._Packages",
            ),
            (
                "file:/srv/local repo/dists/s/InRelease",
                "_srv_local%20repo_dists_s_InRelease",
            ),
        ];
        for (uri, name) in seen {
            assert_eq!(list_file_name(uri), name);
        }
    }

    #[test]
    fn a_site_is_the_host_name_of_an_address() {
        assert_eq!(site("https://user:pass@deb.example:8443/debian/"), "deb.example");
        assert_eq!(site("http://[2001:db8::1]:80/x/"), "2001:db8::1");
        assert_eq!(site("file:/srv/repo/"), "");
    }
}
