//! The links of a host's chain of check-ins as they travel: a count, and the server's own mark that it issued it.
//! The key of the mark outlives a restore, so that a server recognises links of a later time than its backup.
//! What a link means when it is presented is decided in `domain::identity`.

use crate::wire;
use domain::id::HostId;
use ring::hmac;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One link as the server issued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// How many links the host got up to this one; the first is 1.
    pub count: u64,
    /// The first 16 bytes of HMAC-SHA-256 (RFC 2104) over the context, the host's id and the count.
    #[serde(with = "wire::array")]
    pub mac: [u8; 16],
}

/// The server's key for links.
pub struct LinkKey(hmac::Key);

/// What is hashed before host and count.
const CONTEXT: &[u8] = b"patchyard link 1\0";

impl LinkKey {
    /// A key from 32 secret bytes.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The link of a host with this count.
    pub fn issue(&self, host: HostId, count: u64) -> Link {
        let tag = hmac::sign(&self.0, &Self::signed(host, count));
        let mac = tag.as_ref().first_chunk().expect("a tag has 32 bytes");
        Link { count, mac: *mac }
    }

    /// Whether a server with this key issued the link to this host. Takes the same time for every wrong mark.
    pub fn is_ours(&self, host: HostId, link: &Link) -> bool {
        let expected = self.issue(host, link.count);
        let differing = expected
            .mac
            .iter()
            .zip(&link.mac)
            .fold(0, |seen, (a, b)| seen | (a ^ b));
        std::hint::black_box(differing) == 0
    }

    fn signed(host: HostId, count: u64) -> Vec<u8> {
        [CONTEXT, &host.0, &count.to_be_bytes()].concat()
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_counts_for_its_host_its_count_and_its_server_only() {
        let key = LinkKey::new(&[1; 32]);
        let host = HostId([2; 16]);
        let link = key.issue(host, 7);
        assert!(key.is_ours(host, &link));
        assert!(!key.is_ours(HostId([3; 16]), &link));
        assert!(!key.is_ours(host, &Link { count: 8, ..link }));
        assert!(!LinkKey::new(&[2; 32]).is_ours(host, &link));
        for at in 0..16 {
            let mut mac = link.mac;
            mac[at] ^= 1;
            assert!(!key.is_ours(host, &Link { count: 7, mac }));
        }
    }
}
