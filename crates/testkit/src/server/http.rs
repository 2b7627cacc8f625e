//! As much of HTTP/1.1 (RFC 9110, RFC 9112) as package managers use: request heads, conditions, single ranges.

use super::Conditional;
use std::io::{self, BufRead, Read};

/// The longest request head that is read, in bytes.
const LONGEST_HEAD: u64 = 64 * 1024;

/// A request without its body; package managers send none.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
    pub authorization: Option<String>,
    pub closes: bool,
}

impl Head {
    pub(super) fn conditional(&self) -> Conditional {
        match (&self.if_none_match, &self.if_modified_since) {
            (None, None) => Conditional::No,
            _ => Conditional::Yes,
        }
    }

    /// Whether the client has the file already; an entity tag decides alone where there is one.
    pub(super) fn is_satisfied_by(&self, etag: &str, modified: &str) -> bool {
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(tags), _) => tags
                .split(',')
                .any(|tag| matches!(tag.trim(), "*") || tag.trim() == etag),
            (None, Some(date)) => date == modified,
            (None, None) => false,
        }
    }
}

/// The next request of a connection; nothing at its end.
pub(super) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut reader = reader.take(LONGEST_HEAD);
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(io::Error::other("not a request line"));
    };
    let target = target.split(['?', '#']).next().unwrap_or_default();
    let mut head = Head {
        method: method.to_owned(),
        path: decode(target.trim_start_matches('/')),
        closes: version == "HTTP/1.0",
        ..Head::default()
    };
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::Error::other("a request head that does not end"));
        }
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "range" => head.range = Some(value),
            "if-range" => head.if_range = Some(value),
            "if-none-match" => head.if_none_match = Some(value),
            "authorization" => head.authorization = Some(value),
            "if-modified-since" => head.if_modified_since = Some(value),
            "connection" => head.closes |= value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    Ok(Some(head))
}

/// The bytes that a single range asks for, of so many; an empty result cannot be satisfied, `None` is no such range.
pub(super) fn range(text: &str, length: u64) -> Option<std::ops::Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    match (first.trim(), last.trim()) {
        ("", last) => Some(length.saturating_sub(last.parse().ok()?)..length),
        (first, "") => Some(first.parse().ok()?..length),
        (first, last) => Some(first.parse().ok()?..last.parse::<u64>().ok()?.saturating_add(1).min(length)),
    }
}

/// Percent-decoding (RFC 3986 2.1).
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Percent-encodes everything but letters, digits and `-._~/`.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
