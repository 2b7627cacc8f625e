//! The check-in: the agent names what it has by digest and hands back its link; the server says what it wants of it, when
//! to come again, and gives the next link. Unchanged, both are below 2 KiB.

use super::orders::{GoBytes, OfferedOrder, OrderReport};
use super::{Kind, Message};
use crate::document::DocumentKind;
use crate::limits::{self, OverLimit};
use crate::link::Link;
use crate::wire;
use domain::digest::Sha256Digest;
use domain::host::{measures, mode};
use domain::identity::{BootId, HardwareMark, chain};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An agent checks in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckIn {
    /// The link that the last check-in, or the enrolment, was answered with.
    pub link: Link,
    /// Where the host runs.
    pub bearer: Bearer,
    /// The agent's version, such as `0.1.0`.
    pub agent_version: String,
    /// What the host lets a server do.
    pub mode: Mode,
    /// What the host has now: at most one document of each kind that the host has one of.
    pub documents: Vec<DocumentName>,
    /// What changes by itself.
    pub measures: Measures,
    /// How long the agent would wait for the answer, in seconds, if there is nothing new; 0 for not at all.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub hold_seconds: u32,
    /// The digest of the server's card that the agent goes by.
    #[serde(with = "wire::text")]
    pub card: Sha256Digest,
    /// The highest number of an order that the agent has seen; a restored server goes on from there.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub highest_order: u64,
    /// What is wrong on the host, in sentences for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    /// Index files of sources that the server asked to be carried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<CarriedFile>,
    /// How far the host is with its orders, until the server has kept the end of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OrderReport>,
}

/// The computer and the boot that a host is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bearer {
    /// The kernel's id of the boot, its 16 bytes.
    #[serde(with = "wire::array")]
    pub boot: [u8; 16],
    /// First 16 bytes of SHA-256 over what tells the hardware from others'; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "wire::array_option")]
    pub hardware: Option<[u8; 16]>,
}

impl From<Bearer> for chain::Bearer {
    fn from(bearer: Bearer) -> Self {
        Self {
            boot: BootId(bearer.boot),
            hardware: bearer.hardware.map(HardwareMark),
        }
    }
}

impl From<chain::Bearer> for Bearer {
    fn from(bearer: chain::Bearer) -> Self {
        Self {
            boot: bearer.boot.0,
            hardware: bearer.hardware.map(|mark| mark.0),
        }
    }
}

/// What a host lets a server do: a ceiling that only the host itself raises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Be asked.
    #[default]
    Monitor,
    /// Fetch packages too.
    Download,
    /// Install them too.
    Install,
    /// Restart it too.
    Full,
}

impl From<mode::Mode> for Mode {
    fn from(mode: mode::Mode) -> Self {
        match mode {
            mode::Mode::Monitor => Self::Monitor,
            mode::Mode::Download => Self::Download,
            mode::Mode::Install => Self::Install,
            mode::Mode::Full => Self::Full,
        }
    }
}

/// A document that the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentName {
    /// What it is.
    pub kind: DocumentKind,
    /// SHA-256 of its bytes.
    #[serde(with = "wire::text")]
    pub digest: Sha256Digest,
    /// When the host was last seen to be so, by the agent's time, in microseconds since 1970 UTC.
    #[serde(with = "wire::micros")]
    pub observed_at: Timestamp,
}

/// One look at what changes by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measures {
    /// Microseconds since the boot, sleep included.
    pub boot_clock_micros: i64,
    /// The computer's own clock, in microseconds since 1970 UTC.
    pub clock_micros: i64,
    /// Whether something keeps that clock right.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub clock: ClockKeeping,
    /// File systems that matter to updates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<Disk>,
    /// Runnable processes over the last minute, in thousandths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_milli: Option<u32>,
}

/// Who keeps the clock right.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum ClockKeeping {
    /// A service has set it.
    Synchronised {
        /// The service.
        by: String,
        /// When it last did, in microseconds since 1970 by the host's clock.
        at_micros: i64,
    },
    /// A service that keeps it has not done so since the boot.
    NotYet {
        /// The service.
        by: String,
    },
    /// It is the clock of the machine around this container.
    Machine,
    /// Nobody knows.
    #[default]
    #[serde(other)]
    Unknown,
}

/// The room on a file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Where it is mounted, or the first path that matters on it.
    pub path: String,
    /// Its size in bytes.
    pub total_bytes: u64,
    /// What may still be filled, in bytes.
    pub available_bytes: u64,
    /// Files that may still be made; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_files: Option<u64>,
}

impl Measures {
    /// What travels of a look at a host; its boot travels as the bearer.
    pub fn from_domain(look: &measures::Measures) -> Self {
        Self {
            boot_clock_micros: look.boot_clock_micros,
            clock_micros: look.clock_micros,
            clock: match look.clock.clone() {
                measures::ClockKeeping::Synchronised { by, at_micros } => {
                    ClockKeeping::Synchronised { by, at_micros }
                }
                measures::ClockKeeping::NotYet { by } => ClockKeeping::NotYet { by },
                measures::ClockKeeping::Machine => ClockKeeping::Machine,
                measures::ClockKeeping::Unknown => ClockKeeping::Unknown,
            },
            disks: look.disks.iter().map(Disk::from_domain).collect(),
            load_milli: look.load_milli,
        }
    }

    /// The look, at a host in this boot.
    pub fn into_domain(self, boot: BootId) -> measures::Measures {
        measures::Measures {
            boot_id: Some(domain::id::HostId(boot.0).to_string()),
            boot_clock_micros: self.boot_clock_micros,
            clock_micros: self.clock_micros,
            clock: match self.clock {
                ClockKeeping::Synchronised { by, at_micros } => {
                    measures::ClockKeeping::Synchronised { by, at_micros }
                }
                ClockKeeping::NotYet { by } => measures::ClockKeeping::NotYet { by },
                ClockKeeping::Machine => measures::ClockKeeping::Machine,
                ClockKeeping::Unknown => measures::ClockKeeping::Unknown,
            },
            disks: self.disks.into_iter().map(Disk::into_domain).collect(),
            load_milli: self.load_milli,
        }
    }
}

impl Disk {
    fn from_domain(disk: &measures::Disk) -> Self {
        Self {
            path: disk.path.clone(),
            total_bytes: disk.total_bytes,
            available_bytes: disk.available_bytes,
            available_files: disk.available_files,
        }
    }

    fn into_domain(self) -> measures::Disk {
        measures::Disk {
            path: self.path,
            total_bytes: self.total_bytes,
            available_bytes: self.available_bytes,
            available_files: self.available_files,
        }
    }
}

/// A file of a source, as the host has it in its own lists: what the archive signed, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedFile {
    /// The source.
    pub source: CarriedSource,
    /// Its path below the source's release folder: `InRelease`, `main/binary-amd64/Packages`.
    pub path: String,
    /// SHA-256 of its bytes.
    #[serde(with = "wire::text")]
    pub digest: Sha256Digest,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// A source that only hosts can reach, as a stanza names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CarriedSource {
    /// The stanza's address, without a login.
    pub uri: String,
    /// Its suite.
    pub suite: String,
}

impl Message for CheckIn {
    const KIND: Kind = Kind::CHECK_IN;

    fn within_limits(&self) -> Result<(), OverLimit> {
        limits::within("documents", self.documents.len(), limits::DOCUMENTS_PER_MESSAGE)?;
        limits::within("file systems", self.measures.disks.len(), limits::DISKS)?;
        limits::within("troubles", self.troubles.len(), limits::TROUBLES)?;
        limits::within("carried files", self.carried.len(), limits::CARRIED_FILES)?;
        limits::within("orders", self.orders.len(), limits::ORDERS)?;
        self.orders.iter().try_for_each(OrderReport::within_limits)
    }
}

/// The answer to a check-in. The server's time is in the header of the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckedIn {
    /// The link to present next.
    pub link: Link,
    /// What the server does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wanted: Vec<Wanted>,
    /// When to come again, in seconds.
    pub next_check_in_seconds: u32,
    /// How long the next check-in may ask to be held, in seconds; 0 for not at all.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub hold_seconds: u32,
    /// The server's card, if the agent goes by another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<CardBytes>,
    /// Sources whose index files the agent should carry, named in its next check-in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carry: Vec<CarriedSource>,
    /// Orders that wait for the host and that it has not reported on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<OfferedOrder>,
    /// Permissions to begin, each the answer to what was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub goes: Vec<GoBytes>,
    /// Orders that are taken back, by the digest of their statement: they do not begin any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "wire::text_list")]
    pub withdrawn: Vec<Sha256Digest>,
    /// Orders whose end is kept: nothing more need be said of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "wire::text_list")]
    pub heard: Vec<Sha256Digest>,
    /// What lets the host fetch the files of its orders, for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// A card as it was made, byte for byte, because it is known by its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CardBytes(#[serde(with = "wire::bytes")] pub Vec<u8>);

/// A document that the server wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// What it is.
    pub kind: DocumentKind,
    /// Its digest.
    #[serde(with = "wire::text")]
    pub digest: Sha256Digest,
    /// An inventory that the server has and from which a delta will do.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "wire::text_option")]
    pub base: Option<Sha256Digest>,
    /// Where to go on in an index file that came in part, in bytes.
    #[serde(default, skip_serializing_if = "wire::is_default")]
    pub offset: u64,
}

impl CheckedIn {
    /// An answer that says nothing but what the next link is.
    pub fn of(link: Link) -> Self {
        Self {
            link,
            wanted: Vec::new(),
            next_check_in_seconds: 0,
            hold_seconds: 0,
            card: None,
            carry: Vec::new(),
            orders: Vec::new(),
            goes: Vec::new(),
            withdrawn: Vec::new(),
            heard: Vec::new(),
            ticket: None,
        }
    }
}

impl Message for CheckedIn {
    const KIND: Kind = Kind::CHECKED_IN;

    fn within_limits(&self) -> Result<(), OverLimit> {
        limits::within("wanted documents", self.wanted.len(), limits::CARRIED_FILES)?;
        limits::within("carried sources", self.carry.len(), limits::STANZAS)?;
        limits::within("orders", self.orders.len(), limits::ORDERS)?;
        limits::within("goes", self.goes.len(), limits::ORDERS)?;
        limits::within("withdrawn orders", self.withdrawn.len(), limits::ORDERS)?;
        limits::within("heard orders", self.heard.len(), limits::ORDERS)?;
        let ticket = self.ticket.as_ref().map_or(0, String::len);
        limits::within("bytes of a ticket", ticket, limits::TICKET_BYTES)
    }
}
