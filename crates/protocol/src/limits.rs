//! How much of anything is taken from the other side, in one table. Each is tested at the limit and one above.

/// Bytes of an envelope's body, as sent and after inflating.
pub const BODY_BYTES: usize = 8 << 20;
/// How many times its size as sent a body may have after inflating.
pub const INFLATE_RATIO: usize = 100;
/// Packages in one inventory.
pub const INVENTORY_PACKAGES: usize = 20_000;
/// Bytes of one string in a message or document, as written in JSON.
pub const STRING_BYTES: usize = 4 << 10;
/// Documents in one message.
pub const DOCUMENTS_PER_MESSAGE: usize = 64;
/// Bytes of one key file.
pub const KEY_FILE_BYTES: usize = 4 << 20;
/// Bytes of one index file that an agent carries, over all its parts.
pub const INDEX_FILE_BYTES: u64 = 512 << 20;
/// Stanzas in one channel config.
pub const STANZAS: usize = 1_000;
/// Pins in one channel config.
pub const PINS: usize = 10_000;
/// Bytes of a host's facts.
pub const FACTS_BYTES: usize = 1 << 20;
/// Key files that may vouch for one stanza.
pub const KEYS_PER_STANZA: usize = 256;
/// Problems of one host's files.
pub const PROBLEMS: usize = 1_000;
/// File systems in one check-in.
pub const DISKS: usize = 64;
/// Troubles in one check-in.
pub const TROUBLES: usize = 32;
/// Carried index files named in one check-in.
pub const CARRIED_FILES: usize = 256;
/// How far the time of sending may be from the server's, in seconds, either way.
pub const CLOCK_SKEW_SECONDS: i64 = 600;
/// How long a check-in may be held, in seconds.
pub const HOLD_SECONDS: u32 = 55;
/// Bytes of an enrolment token's text.
pub const TOKEN_BYTES: usize = 4 << 10;
/// Addresses of one server.
pub const ADDRESSES: usize = 8;
/// Authorities, and keys, on one server card.
pub const CARD_ENTRIES: usize = 8;
/// Bytes of an authority's certificate.
pub const CERTIFICATE_BYTES: usize = 4 << 10;

/// Bytes of a statement that a host keeps: an order, or a go.
pub const STATEMENT_BYTES: usize = 4 << 20;
/// Bytes of an order with its approval and proofs.
pub const BUNDLE_BYTES: usize = 16 << 20;
/// Signatures of approvers on one approval.
pub const APPROVERS: usize = 64;
/// Orders in one message, of each kind of saying.
pub const ORDERS: usize = 64;
/// Bytes of a sentence on an order, and of the package manager's last line.
pub const ORDER_DETAIL_BYTES: usize = 1 << 10;
/// Bytes of all that a package manager said about one order.
pub const OUTPUT_BYTES: usize = 1 << 20;
/// Bytes of the ticket for fetching files.
pub const TICKET_BYTES: usize = 512;

/// Something is larger than it may be.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{what}: {count} are more than the {limit} that are allowed")]
pub struct OverLimit {
    /// What is too large, in words.
    pub what: &'static str,
    /// How large it is, as far as it was looked at.
    pub count: u64,
    /// How large it may be.
    pub limit: u64,
}

/// Nothing if `count` is within `limit`.
///
/// # Errors
/// [`OverLimit`] if it is not.
pub(crate) fn within(what: &'static str, count: usize, limit: usize) -> Result<(), OverLimit> {
    if count <= limit {
        return Ok(());
    }
    Err(OverLimit {
        what,
        count: count as u64,
        limit: limit as u64,
    })
}

/// Looks at every string of a JSON text before anything is parsed, so that no field can be forgotten.
///
/// # Errors
/// [`OverLimit`] for a string of more than [`STRING_BYTES`], escapes counted as written.
pub(crate) fn strings_within(json: &[u8]) -> Result<(), OverLimit> {
    let mut rest = json;
    while let Some(start) = memchr::memchr(b'"', rest) {
        let text = &rest[start + 1..];
        let mut end = 0;
        loop {
            match memchr::memchr2(b'"', b'\\', &text[end..]) {
                Some(at) if text[end + at] == b'\\' => end += at + 2,
                Some(at) => {
                    end += at;
                    break;
                }
                None => end = text.len(),
            }
            if end >= text.len() {
                end = text.len();
                break;
            }
        }
        within("bytes of one string", end, STRING_BYTES)?;
        rest = text.get(end + 1..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: usize) -> Vec<u8> {
        format!("{{\"a\":\"\\\"\",\"b\":\"{}\"}}", "x".repeat(bytes)).into_bytes()
    }

    #[test]
    fn a_string_may_be_as_long_as_the_limit_and_no_longer() {
        assert_eq!(strings_within(&string(STRING_BYTES)), Ok(()));
        let over = strings_within(&string(STRING_BYTES + 1)).map_err(|over| over.count);
        assert_eq!(over, Err(STRING_BYTES as u64 + 1));
        let keys = format!("{{\"{}\":1}}", "k".repeat(STRING_BYTES + 1));
        assert!(strings_within(keys.as_bytes()).is_err());
    }

    #[test]
    fn strings_without_an_end_are_measured_too() {
        for text in ["\"", "\"\\", "\"a\\\"", "\"\\\"\\\\"] {
            assert_eq!(strings_within(text.as_bytes()), Ok(()), "{text}");
        }
        let endless = format!("\"{}", "\\\"".repeat(STRING_BYTES));
        assert!(strings_within(endless.as_bytes()).is_err());
    }
}
