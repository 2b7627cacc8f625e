//! What a session must not forget over a restart. The journal keeps it; everything here is written before it is acted upon.

use domain::digest::Sha256Digest;
use domain::id::HostId;
use domain::identity::time::{AgentTime, BootClock};
use domain::identity::{BootId, Nonce};
use jiff::Timestamp;
use protocol::address::ServerAddress;
use protocol::card::{ServerCard, Trust};
use protocol::key::SigningKey;
use protocol::link::Link;
use protocol::message::check_in::CardBytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How long an ended certificate may still be renewed, in seconds: 400 days.
pub(super) const RENEWABLE_SECONDS: i64 = 400 * 86_400;
/// Sequence numbers that are put aside with each save, so that a restart never uses one again.
const RESERVED: u64 = 1 << 12;

/// The agent's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Where the host stands with its server.
    pub phase: Phase,
    /// The key that names this host.
    pub key: Option<Seed>,
    /// The digests of the root certificates that it trusts.
    #[serde(with = "crate::text::list")]
    pub pins: Vec<Sha256Digest>,
    /// The server's addresses, the best first.
    #[serde(with = "crate::text::list")]
    pub addresses: Vec<ServerAddress>,
    /// The address that answered last.
    #[serde(with = "crate::text::option")]
    pub good_address: Option<ServerAddress>,
    /// The server's card that the agent goes by.
    pub card: Option<CardBytes>,
    /// The first sequence number that was never used.
    pub sequence: u64,
    /// The name of the next check-in, the same until it is answered: a retry is no copy.
    pub next_check_in: Option<Named>,
    /// The id that this host had before, if it had one.
    #[serde(with = "crate::text::option")]
    pub formerly: Option<HostId>,
    /// Time as the server last told it.
    pub time: Option<StoredTime>,
    /// When the last check-in was answered, in microseconds since 1970 UTC.
    pub last_check_in: Option<i64>,
    /// How often the server wants to hear of this host, in seconds.
    pub check_in_seconds: u32,
}

/// Where a host stands with its server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Phase {
    /// Nobody has enrolled it.
    #[default]
    Unenrolled,
    /// It has asked and was not answered yet.
    Enrolling(Enrolment),
    /// It has an identity.
    Enrolled {
        /// Its id.
        #[serde(with = "crate::text::one")]
        host: HostId,
        /// The name of its site.
        site: String,
        /// Its TLS client certificate and those above it.
        certificates: Vec<CardBytes>,
        /// From when the certificate counts, in microseconds since 1970 UTC.
        not_before: i64,
        /// Until when, likewise.
        not_after: i64,
        /// The link to present next.
        link: Link,
        /// Why it is not served, if it is not.
        stop: Option<Stop>,
    },
}

/// How a request is named before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its nonce.
    pub nonce: NonceText,
    /// Its number.
    pub sequence: u64,
}

/// With what a host asked to be enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Enrolment {
    /// A token.
    Token {
        /// Its secret.
        secret: NonceText,
        /// The site that it names.
        site: String,
    },
    /// The identity that it had, which another host has gone on with.
    Copy(OldIdentity),
}

/// An identity that another host has gone on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldIdentity {
    /// The id that it had.
    #[serde(with = "crate::text::one")]
    pub host: HostId,
    /// The key that it had.
    pub key: Seed,
}

/// Why the server does not serve an enrolled host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Somebody must approve it.
    Pending,
    /// Its identity was seen twice and somebody has to look.
    Quarantined,
    /// Somebody retired it.
    Retired,
    /// The server does not know it.
    Unknown,
    /// This agent is too old or too new for it.
    Version,
    /// Its certificate ended too long ago.
    Expired,
}

/// The seed of an Ed25519 key (RFC 8032). Shown nowhere but in the journal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 32]);

/// 16 bytes that are kept as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NonceText(pub [u8; 16]);

/// [`AgentTime`] as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTime {
    heard: i64,
    boot: NonceText,
    boot_micros: u64,
    floor: i64,
    ahead_seconds: i64,
}

impl Memory {
    /// The signing key, if there is one.
    pub fn signing_key(&self) -> Option<SigningKey> {
        self.key.map(|seed| SigningKey::from_seed(&seed.0))
    }

    /// What may be believed of the server, if it introduced itself.
    pub fn trust(&self) -> Option<Trust> {
        let card = ServerCard::parse(&self.card.as_ref()?.0).ok()?;
        card.verify(&self.pins).ok()
    }

    /// The id of this host, if it is enrolled.
    pub fn host(&self) -> Option<HostId> {
        match &self.phase {
            Phase::Enrolled { host, .. } => Some(*host),
            _ => None,
        }
    }

    /// Whether a server has told the time.
    pub fn has_heard(&self) -> bool {
        self.time.is_some()
    }

    /// The time that this agent goes by.
    pub fn estimate(&self, clock: BootClock, wall_clock: Timestamp) -> Timestamp {
        let time = self.time.and_then(StoredTime::to_domain);
        time.map_or(wall_clock, |time| time.estimate(clock))
    }

    /// Takes over a time that the server signed.
    pub(super) fn hear(&mut self, server: Timestamp, clock: BootClock) {
        let known = self.time.and_then(StoredTime::to_domain);
        let time = known.map_or_else(
            || AgentTime::first(server, clock),
            |known| known.hear(server, clock),
        );
        self.time = Some(StoredTime::of(time));
    }

    /// The addresses to try, the one that answered last first.
    pub(super) fn addresses_to_try(&self) -> Vec<ServerAddress> {
        let good = self.good_address.iter();
        let others = self
            .addresses
            .iter()
            .filter(|address| Some(*address) != self.good_address.as_ref());
        good.chain(others).cloned().collect()
    }

    /// Puts numbers aside for the requests after this save.
    pub(super) fn reserve(&mut self, used: u64) {
        self.sequence = self.sequence.max(used.saturating_add(RESERVED));
    }
}

impl StoredTime {
    fn of(time: AgentTime) -> Self {
        Self {
            heard: time.heard.as_microsecond(),
            boot: NonceText(time.heard_at.boot.0),
            boot_micros: time.heard_at.micros,
            floor: time.floor.as_microsecond(),
            ahead_seconds: time.ahead_seconds,
        }
    }

    /// The time; nothing if the journal holds a time that is none.
    fn to_domain(self) -> Option<AgentTime> {
        Some(AgentTime {
            heard: Timestamp::from_microsecond(self.heard).ok()?,
            heard_at: BootClock {
                boot: BootId(self.boot.0),
                micros: self.boot_micros,
            },
            floor: Timestamp::from_microsecond(self.floor).ok()?,
            ahead_seconds: self.ahead_seconds,
        })
    }
}

impl From<NonceText> for Nonce {
    fn from(text: NonceText) -> Self {
        Self(text.0)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl fmt::Debug for NonceText {
    /// It may be a token's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceText(..)")
    }
}

impl Serialize for Seed {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Sha256Digest(self.0))
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes =
            Sha256Digest::from_str(&text).map_err(|_| serde::de::Error::custom("a key is 64 digits"))?;
        Ok(Self(bytes.0))
    }
}

impl Serialize for NonceText {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&Nonce(self.0))
    }
}

impl<'de> Deserialize<'de> for NonceText {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let number = (text.len() == 32)
            .then(|| u128::from_str_radix(&text, 16).ok())
            .flatten();
        let number = number.ok_or_else(|| serde::de::Error::custom("32 hexadecimal digits belong here"))?;
        Ok(Self(number.to_be_bytes()))
    }
}
