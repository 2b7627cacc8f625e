//! Addresses of files as sources.list(5) allows them, and where a redirect leads.

use domain::host::address::without_login;
use std::fmt;

/// An address that can be fetched from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `http:` and `https:`.
    Http(HttpAddress),
    /// `file:` and `copy:`, a path of the computer.
    Local {
        /// Absolute, decoded, without `..`.
        path: String,
    },
    /// `mirror+file:`, a list of archives in a file of the computer.
    MirrorList {
        /// Absolute path of the list.
        list: String,
        /// The file below each archive.
        path: String,
    },
}

/// An address of HTTP, taken apart.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAddress {
    /// Whether TLS is used.
    pub scheme: Scheme,
    /// User name and password, decoded; never shown.
    pub login: Option<(String, String)>,
    /// Host, with port where one is given; lower-case.
    pub authority: String,
    /// Path and query, encoded as it goes over the wire; starts with `/`.
    pub path: String,
}

/// The two schemes of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Inside TLS.
    Https,
}

/// Why an address cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// A scheme that this program does not fetch from, such as `cdrom`.
    #[error("{scheme}: sources are not supported; http, https, file, copy and mirror+file are")]
    Unsupported {
        /// The scheme, cut to 20 characters.
        scheme: String,
    },
    /// Not an address.
    #[error("{address:?} is no usable address: {why}")]
    Malformed {
        /// The address without its password, cut to 200 characters.
        address: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The mirror list names no archive.
    #[error("the mirror list {list} names no http, https or file archive")]
    NoMirrors {
        /// The list.
        list: String,
    },
}

impl Address {
    /// Reads an address.
    pub fn parse(uri: &str) -> Result<Self, AddressError> {
        let malformed = |why| AddressError::Malformed {
            address: shown(uri),
            why,
        };
        let (scheme, rest) = uri.split_once(':').ok_or_else(|| malformed("it has no scheme"))?;
        match scheme.to_ascii_lowercase().as_str() {
            "http" => HttpAddress::parse(Scheme::Http, rest)
                .map(Self::Http)
                .map_err(malformed),
            "https" => HttpAddress::parse(Scheme::Https, rest)
                .map(Self::Http)
                .map_err(malformed),
            "file" | "copy" => local_path(rest)
                .map(|path| Self::Local { path })
                .map_err(malformed),
            "mirror+file" => {
                // The list ends where the part of the archive begins; apt writes `mirror+file:/etc/list` + `/dists/...`.
                let whole = local_path(rest).map_err(malformed)?;
                let cut = ["/dists/", "/./"].iter().find_map(|mark| whole.find(mark));
                let cut = cut
                    .or_else(|| whole.rfind('/'))
                    .ok_or_else(|| malformed("it has no path"))?;
                Ok(Self::MirrorList {
                    list: whole[..cut].to_owned(),
                    path: whole[cut + 1..].to_owned(),
                })
            }
            scheme => Err(AddressError::Unsupported {
                scheme: scheme.chars().take(20).collect(),
            }),
        }
    }
}

impl HttpAddress {
    /// Reads what follows the scheme and its colon.
    fn parse(scheme: Scheme, rest: &str) -> Result<Self, &'static str> {
        let rest = rest
            .strip_prefix("//")
            .ok_or("there are no // after the scheme")?;
        if rest.len() > 8000 {
            return Err("it is longer than 8000 characters");
        }
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it has a space, a control character or one outside ASCII");
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let (login, authority) = match authority.rsplit_once('@') {
            Some((login, authority)) => (Some(parse_login(login)?), authority),
            None => (None, authority),
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if authority.is_empty() || !authority.bytes().all(is_host) {
            return Err("it has no usable host");
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        let address = Self {
            scheme,
            login,
            authority: authority.to_ascii_lowercase(),
            path: format!("{slash}{path}"),
        };
        match address.host().is_empty() {
            true => Err("it has no usable host"),
            false => Ok(address),
        }
    }

    /// Host without port.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    /// Where a `Location` leads (RFC 9110 10.2.2); `None` if to no usable HTTP address. A login is kept for the same
    /// scheme and host only.
    pub fn join(&self, location: &str) -> Option<Self> {
        let lower = location.to_ascii_lowercase();
        let mut joined = if lower.starts_with("http://") {
            Self::parse(Scheme::Http, &location[5..]).ok()?
        } else if lower.starts_with("https://") {
            Self::parse(Scheme::Https, &location[6..]).ok()?
        } else if location.starts_with("//") {
            Self::parse(self.scheme, location).ok()?
        } else {
            let is_other_scheme = location
                .find(':')
                .is_some_and(|colon| !location[..colon].contains(['/', '?']));
            if is_other_scheme || location.is_empty() {
                return None;
            }
            let folder = &self.path[..=self.path.split('?').next()?.rfind('/')?];
            let folder = if location.starts_with('/') { "" } else { folder };
            Self::parse(self.scheme, &format!("//{}{folder}{location}", self.authority)).ok()?
        };
        if joined.scheme == self.scheme && joined.authority == self.authority && joined.login.is_none() {
            joined.login = self.login.clone();
        }
        Some(joined)
    }
}

impl fmt::Display for HttpAddress {
    /// Without the login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

impl fmt::Debug for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpAddress({self})")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(http) => http.fmt(f),
            Self::Local { path } => write!(f, "file:{path}"),
            Self::MirrorList { list, path } => write!(f, "mirror+file:{list}/{path}"),
        }
    }
}

/// An address as it may be shown: without login, 200 characters at most.
pub fn shown(uri: &str) -> String {
    without_login(uri).chars().take(200).collect()
}

fn parse_login(login: &str) -> Result<(String, String), &'static str> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Ok((decode(user)?, decode(password)?))
}

/// A path after `file:`, with or without `//` and `localhost`.
fn local_path(rest: &str) -> Result<String, &'static str> {
    let rest = match rest.strip_prefix("//") {
        Some(rest) => rest.strip_prefix("localhost").unwrap_or(rest),
        None => rest,
    };
    let path = decode(rest)?;
    if !path.starts_with('/') {
        return Err("its path is not absolute");
    }
    if path.split('/').any(|part| part == "..") || path.contains('\0') {
        return Err("its path has .. or a NUL in it");
    }
    Ok(path)
}

/// Undoes percent-encoding (RFC 3986 2.1).
fn decode(text: &str) -> Result<String, &'static str> {
    const WHY: &str = "its percent-encoding is broken";
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || {
            rest.next()
                .and_then(|byte| char::from(byte).to_digit(16))
                .ok_or(WHY)
        };
        bytes.push((digit()? * 16 + digit()?) as u8);
    }
    String::from_utf8(bytes).map_err(|_| WHY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(uri: &str) -> HttpAddress {
        match Address::parse(uri) {
            Ok(Address::Http(http)) => http,
            other => panic!("{uri}: {other:?}"),
        }
    }

    #[test]
    fn a_redirect_leads_where_rfc_3986_says() {
        // RFC 3986 5.4, as far as archives use it; `http://a/b/c/d;p?q` is its base.
        let base = http("http://a/b/c/d;p?q");
        for (location, expected) in [
            ("g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("g?y", "http://a/b/c/g?y"),
            ("https://other.example/x", "https://other.example/x"),
        ] {
            assert_eq!(
                base.join(location).map(|to| to.to_string()).as_deref(),
                Some(expected),
                "{location}"
            );
        }
        for location in [
            "",
            "ftp://a/b",
            "file:///etc/passwd",
            "javascript:x",
            "/a b",
            "/a\nb",
            "http://",
            "http:///x",
            "http://:/x",
            "http://:80/x",
        ] {
            assert_eq!(base.join(location), None, "{location:?}");
        }
    }

    #[test]
    fn a_password_is_kept_for_its_host_only_and_never_shown() {
        let base = http("https://user:p%40ss@a.example/x");
        assert_eq!(base.login, Some(("user".to_owned(), "p@ss".to_owned())));
        assert_eq!(base.join("/y").and_then(|to| to.login), base.login);
        assert_eq!(base.join("https://b.example/y").and_then(|to| to.login), None);
        assert_eq!(base.join("http://a.example/y").and_then(|to| to.login), None);
        for text in [
            base.to_string(),
            format!("{base:?}"),
            shown("https://user:p%40ss@a.example/x"),
        ] {
            assert!(!text.contains("p%40ss") && !text.contains("p@ss"), "{text}");
        }
        let error = Address::parse("https://user:secret@/x").expect_err("no host");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn other_schemes_are_named_and_refused() {
        let error = Address::parse("cdrom:[Debian 12]/").expect_err("cdrom is not supported");
        assert_eq!(
            error,
            AddressError::Unsupported {
                scheme: "cdrom".to_owned()
            }
        );
        assert!(Address::parse("file:/srv/../etc/shadow").is_err());
        assert!(Address::parse("file:/srv/%2e%2e/etc/shadow").is_err());
        assert_eq!(
            Address::parse("copy:///srv/a%20b"),
            Ok(Address::Local {
                path: "/srv/a b".to_owned()
            })
        );
    }

    #[test]
    fn a_mirror_list_is_told_from_the_path_below_it() {
        let parsed = Address::parse("mirror+file:/etc/apt/mirrors.txt/dists/sid/InRelease");
        let (list, path) = (
            "/etc/apt/mirrors.txt".to_owned(),
            "dists/sid/InRelease".to_owned(),
        );
        assert_eq!(parsed, Ok(Address::MirrorList { list, path }));
    }
}
