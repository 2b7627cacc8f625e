//! What the server knows of agents, in memory: a cache of the database filled as agents come, and the little that is written
//! to it in batches. Wiping it changes no answer.

mod load;
mod memory;

pub(super) use load::{Lookup, RevokedBecause, refresh as refresh_host};
pub(super) use memory::{AgentHost, Entry, Named, Sign, Step, Unwritten, chain_row, mode_of, read_chain};

use super::card::{self, Card};
use super::carry::ToCarry;
use super::refusal::Refusal;
use crate::authority::Authority;
use crate::context::Context;
use crate::settings::Settings;
use domain::id::{HostId, KeyId, TenantId};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use store::{Db, Whole};
use tokio::sync::Semaphore;

/// Keys that are read from the database at the same time, so that a flood of unknown ones leaves it to others.
const LOOKUPS: usize = 16;
/// Keys that are read in one go when the server starts.
const KEYS_AT_A_TIME: u32 = 5_000;

/// Everything that is known of agents.
#[derive(Debug)]
pub struct Agents {
    entries: RwLock<HashMap<KeyId, Entry>>,
    hosts: Mutex<HashMap<HostId, Arc<AgentHost>>>,
    /// Every key of the database, where this server alone writes to it: an unknown key is known for one without asking.
    known: Option<RwLock<HashSet<KeyId>>>,
    lookups: Semaphore,
    /// Hosts with something to write.
    dirty: Mutex<Vec<Arc<AgentHost>>>,
    card: RwLock<Arc<Card>>,
    pub(super) to_carry: ToCarry,
    /// The highest order number that an agent reported and the database holds.
    pub(super) highest_order: AtomicU64,
}

impl Agents {
    /// Nothing but which keys there are.
    pub async fn open(db: &Db, authority: &Authority, settings: &Settings) -> Result<Self, store::Error> {
        let known = match db.is_embedded() {
            true => Some(RwLock::new(read_key_ids(db).await?)),
            false => None,
        };
        Ok(Self {
            entries: RwLock::default(),
            hosts: Mutex::default(),
            known,
            lookups: Semaphore::new(LOOKUPS),
            dirty: Mutex::default(),
            card: RwLock::new(Card::new(authority, &card::addresses(settings))),
            to_carry: ToCarry::default(),
            highest_order: AtomicU64::new(0),
        })
    }

    /// The card in force.
    pub fn card(&self) -> Arc<Card> {
        Arc::clone(&self.card.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_card(&self, card: Arc<Card>) {
        *self.card.write().unwrap_or_else(PoisonError::into_inner) = card;
    }

    /// How many hosts are held in memory.
    pub fn cached_hosts(&self) -> usize {
        self.hosts().len()
    }

    /// The key, from memory or from the database.
    pub(super) async fn find(&self, context: &Context, key: KeyId) -> Result<Lookup, Refusal> {
        if let Some(entry) = self.cached(key)
            && !entry.is_stale(context)
        {
            return Ok(Lookup::Found(entry));
        }
        if let Some(known) = &self.known
            && !known
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(&key)
        {
            return Ok(Lookup::Unknown);
        }
        let _turn = self.lookups.acquire().await;
        load::load(context, key).await
    }

    fn cached(&self, key: KeyId) -> Option<Entry> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.get(&key).cloned()
    }

    /// Says that a key was written to the database.
    pub(super) fn note_key(&self, key: KeyId) {
        if let Some(known) = &self.known {
            known.write().unwrap_or_else(PoisonError::into_inner).insert(key);
        }
    }

    /// Says that there is something of this host to write.
    pub(super) fn note_dirty(&self, host: Arc<AgentHost>) {
        self.dirty
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(host);
    }

    pub(super) fn take_dirty(&self) -> Vec<Arc<AgentHost>> {
        std::mem::take(&mut self.dirty.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn hosts(&self) -> std::sync::MutexGuard<'_, HashMap<HostId, Arc<AgentHost>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: KeyId, entry: &Entry) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(key, entry.clone());
    }

    fn forget(&self, host: HostId) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| entry.host().id() != host);
        self.hosts().remove(&host);
    }

    fn forget_all(&self) {
        self.entries
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.hosts().clear();
    }
}

/// Reads a host again after something about it was decided (approved, quarantined, retired, moved, keys revoked), and wakes
/// its held check-in. To be called after the commit.
pub async fn refresh(context: &Context, tenant: TenantId, host: HostId) -> Result<(), store::Error> {
    load::refresh(context, tenant, host).await?;
    context.wake_ups.wake_host(host);
    Ok(())
}

/// Forgets the hosts of a tenant that was removed. To be called after the commit.
pub fn forget_tenant(context: &Context, tenant: TenantId) {
    let agents = &context.agents;
    let mut entries = agents.entries.write().unwrap_or_else(PoisonError::into_inner);
    entries.retain(|_, entry| entry.host().tenant() != tenant);
    drop(entries);
    agents.hosts().retain(|_, host| host.tenant() != tenant);
    context.wake_ups.wake_all_hosts();
}

/// Writes what is only in memory, then forgets it all. The next request of each agent is answered from the database.
pub async fn wipe(context: &Context) -> Result<(), store::Error> {
    super::flush(context).await?;
    context.agents.forget_all();
    Ok(())
}

async fn read_key_ids(db: &Db) -> Result<HashSet<KeyId>, store::Error> {
    db.read(|view| {
        let mut known = HashSet::new();
        let mut after = None;
        loop {
            let keys = store::agent_key::all_after(view, &Whole::server(), after, KEYS_AT_A_TIME)?;
            let Some(last) = keys.last() else {
                return Ok(known);
            };
            after = Some(last.key_id);
            known.extend(keys.iter().map(|key| key.key_id));
        }
    })
    .await
}
