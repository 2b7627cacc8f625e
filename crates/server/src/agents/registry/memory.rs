//! One key and one host, in memory.

use super::load::Loaded;
use crate::context::Context;
use domain::digest::Sha256Digest;
use domain::id::{HostId, SiteId, TenantId};
use domain::identity::chain::{Bearer, Chain, Presented, Request};
use jiff::{SignedDuration, Timestamp};
use protocol::document::DocumentKind;
use protocol::key::VerifyingKey;
use protocol::message::check_in::CarriedFile;
use protocol::message::refused::RefusalKind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::agent_chain::AgentChain;
use store::host::{HostMode, HostState, Observed};
use store::liveness::Liveness;
use store::{Error, Scope};

/// How long an entry is believed where other nodes write to the same database.
const BELIEVED: SignedDuration = SignedDuration::from_secs(30);

/// A key of a host. Cheap to clone.
#[derive(Clone, Debug)]
pub(in super::super) struct Entry {
    key: VerifyingKey,
    host: Arc<AgentHost>,
    status: Arc<Mutex<KeyStatus>>,
}

/// How a key stands.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct KeyStatus {
    /// When its certificate ends.
    pub(in super::super) not_after: Timestamp,
    /// Why it is no longer heard, if so.
    pub(in super::super) revoked: Option<RefusalKind>,
    /// Whether the host has other keys that stop with the first use of this one.
    pub(in super::super) replaces_others: bool,
}

/// A host, as far as its agent's requests need it.
#[derive(Debug)]
pub(in super::super) struct AgentHost {
    tenant: TenantId,
    id: HostId,
    memory: Mutex<Memory>,
    copies: AtomicU32,
}

/// What is remembered of a host.
#[derive(Debug)]
struct Memory {
    read_at: Timestamp,
    state: HostState,
    site: SiteId,
    current: Current,
    /// What the last check-in named and the server does not have.
    named: Vec<Named>,
    /// Index files that the last check-in offered to carry, of sources that were asked for.
    carried: Vec<CarriedFile>,
    /// What package managers said of orders, as the last check-in named it and the server lacks it.
    outputs: Vec<Sha256Digest>,
    /// Key files that the current channel config names and the tenant does not have; `None` before it was looked.
    missing_keys: Option<Vec<Sha256Digest>>,
    chain: Option<Chain>,
    observed: Observed,
    sign: Option<Sign>,
    to_write: ToWrite,
}

/// The documents that a host has, by the server's knowledge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Current {
    inventory: Option<Sha256Digest>,
    channel_config: Option<Sha256Digest>,
    facts: Option<Sha256Digest>,
}

/// What of a host is not written yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ToWrite {
    is_queued: bool,
    observed: bool,
}

/// A document that a check-in named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Named {
    /// What it is.
    pub(in super::super) kind: DocumentKind,
    /// Its digest.
    pub(in super::super) digest: Sha256Digest,
    /// When the host saw itself so.
    pub(in super::super) observed_at: Timestamp,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Sign {
    /// When it came.
    pub(in super::super) seen_at: Timestamp,
    /// When the next one is due at the latest.
    pub(in super::super) next_expected_at: Timestamp,
    /// From where.
    pub(in super::super) address: std::net::IpAddr,
    /// The boot that the host is in.
    pub(in super::super) boot: [u8; 16],
    /// Measures and troubles, as JSON.
    pub(in super::super) measures: String,
    /// What the agent says of itself.
    pub(in super::super) observed: Observed,
}

/// What a presented link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    /// The chain went on; the link with this count is next.
    Next(u64),
    /// The answer was lost; the same link again.
    Again(u64),
    /// An old request, delivered again.
    Replay,
    /// A copy of the host.
    Copy,
}

impl Entry {
    pub(super) fn of(loaded: &Loaded, host: Arc<AgentHost>) -> Self {
        Self {
            key: VerifyingKey::from_bytes(loaded.key.public_key),
            host,
            status: Arc::new(Mutex::new(loaded.key_status())),
        }
    }

    pub(in super::super) fn key(&self) -> &VerifyingKey {
        &self.key
    }

    pub(in super::super) fn host(&self) -> &Arc<AgentHost> {
        &self.host
    }

    pub(in super::super) fn not_after(&self) -> Timestamp {
        self.status().not_after
    }

    pub(in super::super) fn revoked(&self) -> Option<RefusalKind> {
        self.status().revoked
    }

    pub(in super::super) fn status(&self) -> MutexGuard<'_, KeyStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another node may know better by now.
    pub(super) fn is_stale(&self, context: &Context) -> bool {
        !context.db.is_embedded()
            && context
                .clock
                .now()
                .duration_since(self.host.memory().read_at)
                .abs()
                > BELIEVED
    }
}

impl AgentHost {
    pub(super) fn of(loaded: &Loaded, chain: Option<Chain>, now: Timestamp) -> Self {
        let host = &loaded.host;
        Self {
            tenant: loaded.key.tenant,
            id: host.id,
            copies: AtomicU32::new(0),
            memory: Mutex::new(Memory {
                read_at: now,
                state: host.state,
                site: host.site,
                current: Current::of(host),
                named: Vec::new(),
                carried: Vec::new(),
                outputs: Vec::new(),
                missing_keys: None,
                chain,
                observed: Observed {
                    mode: host.mode,
                    agent_version: host.agent_version.clone(),
                },
                sign: None,
                to_write: ToWrite::default(),
            }),
        }
    }

    pub(in super::super) fn id(&self) -> HostId {
        self.id
    }

    pub(in super::super) fn scope(&self) -> Scope {
        Scope::of_tenant(self.tenant)
    }

    pub(in super::super) fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Counts another copy of this host that asks to be enrolled.
    pub(in super::super) fn count_copy(&self) -> u32 {
        self.copies.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(in super::super) fn state(&self) -> HostState {
        self.memory().state
    }

    pub(in super::super) fn site(&self) -> SiteId {
        self.memory().site
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what the database says; the chain and what is not written yet stay.
    pub(super) fn take_over(&self, host: &store::host::Host, now: Timestamp) {
        let mut memory = self.memory();
        memory.read_at = now;
        memory.state = host.state;
        memory.site = host.site;
        let current = Current::of(host);
        if memory.current != current {
            memory.current = current;
            memory.missing_keys = None;
        }
    }

    /// Judges the link of a check-in, and goes on with the chain if it is good.
    pub(in super::super) fn step(&self, count: u64, request: Request, bearer: Bearer) -> Step {
        let mut memory = self.memory();
        let (step, chain) = match &memory.chain {
            // Forgotten, and the link is ours: as after a restore from before the enrolment.
            None => match Chain::take_up(count, request, bearer) {
                Some(chain) => (Step::Next(chain.issued()), Some(chain)),
                None => (Step::Copy, None),
            },
            Some(chain) => match chain.present(count, request, bearer) {
                Presented::Next { chain, .. } => (Step::Next(chain.issued()), Some(chain)),
                Presented::Retry { chain } => (Step::Again(chain.issued()), Some(chain)),
                Presented::Replay => (Step::Replay, None),
                Presented::Copy => (Step::Copy, None),
            },
        };
        if chain.is_some() {
            memory.chain = chain;
        }
        step
    }

    /// Begins the chain anew, for a host that enrolled or did so again.
    pub(in super::super) fn begin_chain(&self, chain: Chain) {
        self.memory().chain = Some(chain);
    }

    /// Whether the bearer of this link is the one that checked in last. A later one is good too: the server may have been
    /// restored, or stopped before it wrote the last one.
    pub(in super::super) fn is_last_link(&self, count: u64) -> bool {
        let memory = self.memory();
        memory.chain.as_ref().is_none_or(|chain| count >= chain.issued())
    }

    /// Whether this link is the last one or the one before it, whose successor may have been lost on its way to the host.
    pub(in super::super) fn is_late_link(&self, count: u64) -> bool {
        self.is_last_link(count.saturating_add(1))
    }

    /// Notes a sign of life, to be written soon; whether the host has to be queued for that.
    #[must_use]
    pub(in super::super) fn note_sign(&self, sign: Sign) -> bool {
        let mut memory = self.memory();
        if memory.observed != sign.observed {
            memory.observed = sign.observed.clone();
            memory.to_write.observed = true;
        }
        memory.sign = Some(sign);
        !std::mem::replace(&mut memory.to_write.is_queued, true)
    }

    /// Which of the documents that a check-in names differ from those that the server knows the host to have.
    pub(in super::super) fn differing(&self, named: &[Named]) -> Vec<Named> {
        let memory = self.memory();
        let differs = |name: &&Named| memory.current.of_kind(name.kind) != Some(name.digest);
        named.iter().filter(differs).copied().collect()
    }

    /// The host's current document of this kind.
    pub(in super::super) fn current(&self, kind: DocumentKind) -> Option<Sha256Digest> {
        self.memory().current.of_kind(kind)
    }

    /// What the last check-in named and the server lacks.
    pub(in super::super) fn set_named(&self, named: Vec<Named>) {
        self.memory().named = named;
    }

    /// Index files that the last check-in offered to carry.
    pub(in super::super) fn carried(&self) -> Vec<CarriedFile> {
        self.memory().carried.clone()
    }

    /// Notes them.
    pub(in super::super) fn set_carried(&self, carried: Vec<CarriedFile>) {
        self.memory().carried = carried;
    }

    /// Notes which outputs of orders are awaited.
    pub(in super::super) fn set_outputs(&self, outputs: Vec<Sha256Digest>) {
        self.memory().outputs = outputs;
    }

    /// Whether this output of an order is awaited.
    pub(in super::super) fn awaits_output(&self, digest: Sha256Digest) -> bool {
        self.memory().outputs.contains(&digest)
    }

    /// Whether the last check-in named this document, and how.
    pub(in super::super) fn named(&self, kind: DocumentKind, digest: Sha256Digest) -> Option<Named> {
        let memory = self.memory();
        let mut named = memory.named.iter();
        named
            .find(|name| name.kind == kind && name.digest == digest)
            .copied()
    }

    /// Says that the database now holds this document as the host's current one.
    pub(in super::super) fn note_current(&self, name: &Named) {
        let mut memory = self.memory();
        memory.named.retain(|named| named.kind != name.kind);
        let digest = Some(name.digest);
        match name.kind {
            DocumentKind::Inventory => memory.current.inventory = digest,
            DocumentKind::ChannelConfig => {
                memory.current.channel_config = digest;
                memory.missing_keys = None;
            }
            DocumentKind::Facts => memory.current.facts = digest,
            DocumentKind::KeyFile
            | DocumentKind::IndexFile
            | DocumentKind::Output
            | DocumentKind::Unrecognised => {}
        }
    }

    /// The key files that are still missing; `None` before somebody looked.
    pub(in super::super) fn missing_keys(&self) -> Option<Vec<Sha256Digest>> {
        let memory = self.memory();
        match memory.current.channel_config {
            None => Some(Vec::new()),
            Some(_) => memory.missing_keys.clone(),
        }
    }

    /// Says which key files of this channel config are missing.
    pub(in super::super) fn set_missing_keys(&self, config: Sha256Digest, missing: Vec<Sha256Digest>) {
        let mut memory = self.memory();
        if memory.current.channel_config == Some(config) {
            memory.missing_keys = Some(missing);
        }
    }

    /// What of the host is to be written now.
    pub(in super::super) fn take_unwritten(&self) -> Unwritten {
        let mut memory = self.memory();
        let to_write = std::mem::take(&mut memory.to_write);
        let moved_at = memory.sign.as_ref().map_or(memory.read_at, |sign| sign.seen_at);
        let chain = memory.chain.as_ref();
        Unwritten {
            chain: chain.map(|chain| chain_row(self.id, chain, moved_at)),
            liveness: memory.sign.as_ref().map(|sign| sign.to_row(self.id)),
            observed: to_write.observed.then(|| memory.observed.clone()),
        }
    }

    /// Says that writing failed: it is to be written again. Whether the host has to be queued for that.
    #[must_use]
    pub(in super::super) fn not_written(&self, unwritten: &Unwritten) -> bool {
        let mut memory = self.memory();
        memory.to_write.observed |= unwritten.observed.is_some();
        !std::mem::replace(&mut memory.to_write.is_queued, true)
    }
}

/// What of a host waits to be written.
#[derive(Clone, Debug)]
pub(in super::super) struct Unwritten {
    pub(in super::super) chain: Option<AgentChain>,
    pub(in super::super) liveness: Option<Liveness>,
    pub(in super::super) observed: Option<Observed>,
}

impl Current {
    fn of(host: &store::host::Host) -> Self {
        Self {
            inventory: host.inventory,
            channel_config: host.channel_config,
            facts: host.facts,
        }
    }

    fn of_kind(&self, kind: DocumentKind) -> Option<Sha256Digest> {
        match kind {
            DocumentKind::Inventory => self.inventory,
            DocumentKind::ChannelConfig => self.channel_config,
            DocumentKind::Facts => self.facts,
            DocumentKind::KeyFile
            | DocumentKind::IndexFile
            | DocumentKind::Output
            | DocumentKind::Unrecognised => None,
        }
    }
}

impl Sign {
    fn to_row(&self, host: HostId) -> Liveness {
        Liveness {
            host,
            seen_at: self.seen_at,
            next_expected_at: self.next_expected_at,
            address: self.address.to_string(),
            boot_id: Some(self.boot),
            measures: self.measures.clone(),
        }
    }
}

/// A chain as it is kept.
pub(in super::super) fn chain_row(host: HostId, chain: &Chain, now: Timestamp) -> AgentChain {
    use base64::Engine;
    AgentChain {
        host,
        issued: chain.issued(),
        state: base64::engine::general_purpose::STANDARD.encode(chain.to_bytes()),
        advanced_at: now,
    }
}

/// Reads a chain as it is kept.
pub(in super::super) fn read_chain(row: &AgentChain) -> Result<Chain, Error> {
    use base64::Engine;
    let damaged = Error::Decode {
        what: "chain of check-ins",
    };
    let bytes = base64::engine::general_purpose::STANDARD.decode(&row.state);
    match bytes.map(|bytes| Chain::from_bytes(&bytes)) {
        Ok(Ok(chain)) => Ok(chain),
        _ => Err(damaged),
    }
}

/// How hosts call their ceiling on the wire and in the database.
pub(in super::super) fn mode_of(mode: protocol::message::check_in::Mode) -> HostMode {
    use protocol::message::check_in::Mode;
    match mode {
        Mode::Monitor => HostMode::Monitor,
        Mode::Download => HostMode::Download,
        Mode::Install => HostMode::Install,
        Mode::Full => HostMode::Full,
    }
}
