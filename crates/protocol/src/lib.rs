//! What agents, relays and the server say to each other: wire shapes, the signed envelopes that carry them, and
//! conversions to the words of the domain. No transport, no storage, no clock. The bytes are described in
//! docs/protocol.md; shapes only grow, and transcripts of each version are kept with the tests.

pub mod address;
pub mod card;
pub mod document;
pub mod envelope;
pub mod key;
pub mod limits;
pub mod link;
pub mod message;
pub mod order;
pub mod scope;
pub mod statement;
pub mod token;
mod wire;

use domain::digest::Sha256Digest;

/// The version of the protocol that this code speaks.
pub const VERSION: u16 = 1;
/// The oldest version that the server still answers.
pub const OLDEST_VERSION: u16 = 1;

/// The SHA-256 digest (FIPS 180-4) of these bytes.
pub fn sha256(bytes: &[u8]) -> Sha256Digest {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    Sha256Digest(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}
