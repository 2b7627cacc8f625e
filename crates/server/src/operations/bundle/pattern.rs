//! What in a text looks like a secret, an address or a name that nobody listed. Each function looks at the beginning of a
//! text and says how much of it is meant; what is put in its place is decided in `redact`.

use std::net::IpAddr;

/// What stands at the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Bytes of a secret.
    Secret(usize),
    /// A name or value and what separates it from a secret, then the secret.
    Labelled { label: usize, secret: usize },
    /// Bytes of a long text without meaning: a digest, or a secret.
    Opaque(usize),
    /// Bytes of a network address.
    Address(usize),
    /// Bytes of a hardware address.
    Hardware(usize),
    /// Bytes of a name with dots.
    Name(usize),
    /// Bytes of a mail address, or of a login before a host.
    Mail(usize),
    /// An address of the web: its scheme, its login with the at sign, its host. A port and a path follow.
    Web {
        scheme: usize,
        login: usize,
        host: usize,
    },
    /// Bytes that lead to a person's folder, then the name of the folder.
    Home { prefix: usize, folder: usize },
    /// Bytes that are harmless as a whole, however they look inside.
    Plain(usize),
}

/// What secrets of this product and of others begin with, wherever they stand.
const PREFIXES: [&str; 8] = ["pyt_", "pys_", "pyi_", "pyl-", "py1-", "$argon2", "PYS1", "ghp_"];
/// Words that end the label of a secret.
const LABELS: [&str; 19] = [
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "pin",
    "secret",
    "token",
    "key",
    "credential",
    "credentials",
    "authorization",
    "cookie",
    "session",
    "login",
    "otp",
    "totp",
    "auth",
    "signature",
];
/// Words after which a credential follows without a mark between (RFC 7235).
const SCHEMES: [&str; 3] = ["bearer", "basic", "digest"];
/// Endings of files; no host has one for its last label.
const ENDINGS: [&str; 22] = [
    "toml",
    "db",
    "log",
    "json",
    "sealed",
    "sqlite",
    "gz",
    "xz",
    "zst",
    "bz2",
    "lz4",
    "deb",
    "gpg",
    "pem",
    "key",
    "conf",
    "service",
    "list",
    "txt",
    "partial",
    "new",
    "restoring",
];

/// Nothing that is recognised by its form is longer, in bytes.
const AHEAD: usize = 1024;

/// Whether a character belongs to words: between two of them no word begins.
pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// What stands here wherever it stands, in the middle of a word too.
pub(super) fn anywhere(text: &str) -> Option<Found> {
    if text.starts_with("-----BEGIN ") {
        let end = text.find("-----END ").map_or(text.len(), |at| {
            let rest = &text[at + 9..];
            at + 9 + rest.find("-----").map_or(rest.len(), |dashes| dashes + 5)
        });
        return Some(Found::Secret(end));
    }
    if PREFIXES.iter().any(|prefix| text.starts_with(prefix)) {
        let long = run(text, |c| c.is_ascii_alphanumeric() || "_-$=+/,.".contains(c));
        return (long > 8).then_some(Found::Secret(long));
    }
    if let Some(rest) = text.strip_prefix('?') {
        // The query of an address: what is asked for is nobody's business.
        let name = glance(rest, |c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        let is_query = name > 0 && rest[name..].starts_with('=');
        return is_query.then(|| Found::Labelled {
            label: 1,
            secret: run(rest, |c| !c.is_whitespace() && !"\"'<>".contains(c)),
        });
    }
    for prefix in ["/home/", "/Users/"] {
        if let Some(rest) = text.strip_prefix(prefix) {
            let folder = run(rest, |c| !c.is_whitespace() && !"/\"':,".contains(c));
            return Some(Found::Home {
                prefix: prefix.len(),
                folder,
            });
        }
    }
    None
}

/// What stands here where a word begins.
pub(super) fn at_word(text: &str) -> Option<Found> {
    web(text)
        .or_else(|| labelled(text))
        .or_else(|| scheme(text))
        .or_else(|| opaque(text))
        .or_else(|| place(text))
}

fn run(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// As [`run`], but no further than [`AHEAD`]: for what is looked at again from the next word on if it is nothing.
fn glance(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    let mut end = AHEAD.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    run(&text[..end], belongs)
}

fn web(text: &str) -> Option<Found> {
    let name = glance(text, |c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let rest = text[name..].strip_prefix("://").filter(|_| name > 0)?;
    let authority = &rest[..run(rest, |c| !c.is_whitespace() && !"/?#\"'<>\\".contains(c))];
    let login = authority.rfind('@').map_or(0, |at| at + 1);
    let host = &authority[login..];
    let host = match host.strip_prefix('[') {
        Some(inside) => inside.find(']').map_or(host.len(), |at| at + 2),
        None => run(host, |c| !":,;)]}".contains(c)),
    };
    Some(Found::Web {
        scheme: name + 3,
        login,
        host,
    })
}

fn labelled(text: &str) -> Option<Found> {
    let name = glance(text, |c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let word = text[..name].to_ascii_lowercase();
    LABELS.iter().find(|label| word.ends_with(*label))?;
    let rest = &text[name..];
    let quoted = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
    let after = quoted.trim_start_matches([' ', '\t']);
    let value = match after.strip_prefix(['=', ':']) {
        // `a::b` is a path of code.
        Some(value) if !value.starts_with(':') => value.trim_start_matches(['>', ' ', '\t']),
        // A quoted text may follow without a mark.
        None if after.len() < quoted.len() && after.starts_with(['"', '\'']) => after,
        _ => return None,
    };
    let is_line = ["authorization", "cookie"]
        .iter()
        .any(|label| word.ends_with(label));
    let (quote, secret) = match value.chars().next().filter(|c| "\"'".contains(*c)) {
        Some(quote) => (1, until_quote(&value[1..], quote)),
        None if is_line => (0, run(value, |c| c != '\n')),
        None => (
            0,
            run(value, |c| !c.is_whitespace() && !",;&\"'<>)}]".contains(c)),
        ),
    };
    // One that is known by its beginning has marks in it, where others end.
    let whole = match anywhere(value) {
        Some(Found::Secret(length)) => length,
        _ => 0,
    };
    let (label, secret) = (text.len() - value.len() + quote, secret.max(whole));
    (secret > 0).then_some(Found::Labelled { label, secret })
}

/// Bytes before the quotation mark that is not escaped; all where there is none.
fn until_quote(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return at,
            _ => {}
        }
    }
    text.len()
}

fn scheme(text: &str) -> Option<Found> {
    let name = glance(text, |c| c.is_ascii_alphabetic());
    let word = text[..name].to_ascii_lowercase();
    SCHEMES.iter().find(|scheme| word == **scheme)?;
    let value = text[name..].trim_start_matches([' ', '\t']);
    let secret = run(value, |c| !c.is_whitespace() && !"\"',;".contains(c));
    let label = text.len() - value.len();
    (label > name && secret > 0).then_some(Found::Labelled { label, secret })
}

/// Long runs of letters and digits as encoders write them: Base64 (RFC 4648), hexadecimal digits, Base32.
fn opaque(text: &str) -> Option<Found> {
    let encoded = |c: char| c.is_ascii_alphanumeric() || "+=_-".contains(c);
    let plain = &text[..glance(text, encoded)];
    if is_uuid(plain) {
        return Some(Found::Plain(plain.len()));
    }
    if is_opaque(plain) {
        return Some(Found::Opaque(run(text, encoded)));
    }
    // Base64 has slashes too; a path has more of them.
    let with_slashes = |c: char| encoded(c) || c == '/';
    let longer = &text[..glance(text, with_slashes)];
    let is_path = longer.matches('/').count() > 3;
    (longer.len() >= 32 && !is_path && is_opaque_with_slashes(longer))
        .then(|| Found::Opaque(run(text, with_slashes)))
}

fn is_opaque(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.bytes().any(|byte| is(&byte));
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let base32 = text
        .trim_end_matches('=')
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte));
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    (text.len() >= 24 && (digits || mixed)) || (text.len() >= 16 && base32)
}

fn is_opaque_with_slashes(text: &str) -> bool {
    is_opaque(&text.replace('/', ""))
}

fn is_uuid(text: &str) -> bool {
    let mut parts = text.split('-');
    let lengths = [8, 4, 4, 4, 12];
    let fits = lengths.iter().all(|length| {
        let part = parts.next().unwrap_or_default();
        part.len() == *length && part.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    fits && parts.next().is_none()
}

/// Addresses of networks, hardware and mail, and names with dots.
fn place(text: &str) -> Option<Found> {
    let long = glance(text, |c| c.is_alphanumeric() || "._-+@:%".contains(c));
    let whole = text[..long].trim_end_matches(['.', ':', '-', '%', '+']);
    if whole.parse::<jiff::Timestamp>().is_ok() {
        return Some(Found::Plain(whole.len()));
    }
    if whole.contains('@') && !whole.starts_with('@') {
        return Some(Found::Mail(whole.len()));
    }
    let without_zone = whole.split('%').next().unwrap_or(whole);
    if let Ok(address) = without_zone.parse::<IpAddr>() {
        return Some(address_of(address, whole.len()));
    }
    if is_hardware(whole) {
        return Some(Found::Hardware(whole.len()));
    }
    let host = whole.split(':').next().unwrap_or(whole);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(address_of(address, host.len()));
    }
    is_dotted_name(host).then_some(Found::Name(host.len()))
}

/// The machine itself and no address at all say nothing of anybody.
fn address_of(address: IpAddr, length: usize) -> Found {
    match address.is_loopback() || address.is_unspecified() {
        true => Found::Plain(length),
        false => Found::Address(length),
    }
}

fn is_hardware(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6
        && parts
            .iter()
            .all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Labels between dots, the last one of letters (RFC 1123, section 2.1) and no ending of a file.
fn is_dotted_name(text: &str) -> bool {
    let Some((_, last)) = text.rsplit_once('.') else {
        return false;
    };
    let is_label = |label: &str| !label.is_empty() && label.chars().all(|c| is_word(c) || c == '-');
    last.chars().count() >= 2
        && last.chars().all(char::is_alphabetic)
        && !ENDINGS.contains(&last)
        && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_are_found_and_versions_times_and_files_are_not() {
        for (text, found) in [
            ("192.0.2.7:8443 said", Found::Address(9)),
            ("2001:db8::7 said", Found::Address(11)),
            ("fe80::1%eth0", Found::Address(12)),
            ("127.0.0.1:8443", Found::Plain(9)),
            ("::1", Found::Plain(3)),
            ("52:54:00:ab:cd:ef", Found::Hardware(17)),
            ("ada@corp.example.", Found::Mail(16)),
            ("web1.corp.example:443", Found::Name(17)),
            ("bücher.example", Found::Name(15)),
            ("0192d4a0-7c1e-7d31-8a54-0123456789ab", Found::Plain(36)),
            ("2026-01-02T03:04:05.678Z", Found::Plain(24)),
        ] {
            assert_eq!(at_word(text), Some(found), "{text}");
        }
        for plain in [
            "1.0-2",
            "3.0.17-1~deb12u2",
            "patchyard.db",
            "server::catalog::sync",
            "12:34:56",
            "e.g. this",
            "done",
        ] {
            assert_eq!(at_word(plain), None, "{plain}");
        }
    }

    #[test]
    fn what_a_label_announces_is_a_secret_however_it_is_written() {
        for (text, label, secret) in [
            ("password=hunter2 x", 9, 7),
            ("DB_PASSWORD: hunter2", 13, 7),
            ("\"x", 0, 0),
            ("api-token => abc,", 13, 3),
            ("secret\": \"a\\\"b\"", 10, 4),
            ("password 'two words'", 10, 9),
            ("Authorization: Bearer abc def\nnext", 15, 14),
            ("Bearer abcdef", 7, 6),
        ] {
            let expected = (secret > 0).then_some(Found::Labelled { label, secret });
            assert_eq!(at_word(text), expected, "{text}");
        }
        assert_eq!(at_word("token::spend failed"), None, "a path of code");
        assert_eq!(at_word("the token was spent"), None);
    }

    #[test]
    fn keys_are_found_in_any_of_their_forms() {
        let hex = "3f".repeat(32);
        for (text, length) in [
            (hex.as_str(), 64),
            ("q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJ0A= rest", 43),
            ("JBSWY3DPEHPK3PXP", 16),
            ("a/b3vEjRWeJq83vEjRWeJ/83vEjRWeJq83vE", 36),
        ] {
            assert_eq!(at_word(text), Some(Found::Opaque(length)), "{text}");
        }
        assert_eq!(at_word("dists/stable/main/binary-amd64/Packages and"), None);
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----\nafter";
        assert_eq!(anywhere(pem), Some(Found::Secret(pem.len() - 6)));
        assert_eq!(anywhere(&pem[..30]), Some(Found::Secret(30)), "cut short");
    }

    #[test]
    fn an_address_of_the_web_is_taken_apart() {
        let text = "https://u:p@archive.example:8443/debian/?a=b";
        let found = Found::Web {
            scheme: 8,
            login: 4,
            host: 15,
        };
        assert_eq!(at_word(text), Some(found));
        assert_eq!(
            anywhere("?a=b&c=d e"),
            Some(Found::Labelled { label: 1, secret: 7 })
        );
        let six = Found::Web {
            scheme: 7,
            login: 0,
            host: 13,
        };
        assert_eq!(at_word("http://[2001:db8::7]:80/"), Some(six));
    }
}
