//! The fleets in memory, one a tenant, and which hosts have news. Everything here may be wiped.

use super::fleet::{Fleet, Packages};
use crate::catalog::wish::{Wish, wishes};
use domain::assess::fleet::{HostNo, Reading};
use domain::digest::Sha256Digest;
use domain::id::{HostId, TenantId, UpdateKey};
use jiff::Timestamp;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::host::HostStanding;
use tokio::sync::OwnedMutexGuard;

/// All fleets.
#[derive(Debug, Default)]
pub struct Fleets {
    kept: Mutex<HashMap<TenantId, Arc<tokio::sync::Mutex<TenantFleet>>>>,
    packages: Mutex<Packages>,
    news: Mutex<HashMap<TenantId, HashSet<HostId>>>,
}

/// One tenant's fleet, and how far it is brought up to date.
#[derive(Debug, Default)]
pub struct TenantFleet {
    /// The fleet.
    pub fleet: Fleet,
    /// The ids of its hosts.
    ids: HashMap<HostNo, HostId>,
    numbers: HashMap<HostId, HostNo>,
    /// The rows of the updates, by number.
    pub(super) keys: Vec<UpdateKey>,
    /// The key files that channel configs name.
    pub(super) key_files: HashMap<Sha256Digest, Arc<[u8]>>,
    /// Channel configs of which key files have not arrived yet, with those.
    pub(super) lacking: HashMap<Sha256Digest, Vec<Sha256Digest>>,
    /// When all rows are compared again; absent before the first time.
    pub(super) next_comparison: Option<Timestamp>,
    /// Whether what is stored is what was in memory at the last writing.
    pub(super) stored: Stored,
    /// How hosts were written to stand, with what is not known of them.
    pub(super) noted: HashMap<HostNo, Noted>,
    wished: Option<Sha256Digest>,
}

/// How a host stands and what is not known of it, as far as it shows whether that has to be written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    /// How it stands.
    pub(super) standing: HostStanding,
    /// A hash of the sources that do not answer; absent for a host that told nothing.
    pub(super) doubts: Option<u64>,
    /// How many of its packages nobody answers for.
    pub(super) unanswered: u32,
    /// Whether its own files could be followed.
    pub(super) reading: Reading,
}

/// Whether the stored findings are known to be those in memory, but for the changes since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stored {
    /// They are to be compared first.
    #[default]
    Unknown,
    /// They are.
    Known,
}

impl Fleets {
    /// The fleet of a tenant, for this caller alone until it is dropped.
    pub async fn of(&self, tenant: TenantId) -> OwnedMutexGuard<TenantFleet> {
        let fleet = {
            let mut kept = self.kept();
            let empty = || {
                let fleet = Fleet::sharing(&self.packages());
                Arc::new(tokio::sync::Mutex::new(TenantFleet {
                    fleet,
                    ..TenantFleet::default()
                }))
            };
            Arc::clone(kept.entry(tenant).or_insert_with(empty))
        };
        fleet.lock_owned().await
    }

    /// A host has handed something in: it is looked at in the next run.
    pub fn note_news(&self, tenant: TenantId, host: HostId) {
        self.news().entry(tenant).or_default().insert(host);
    }

    /// Forgets everything; it comes back from the stored rows.
    pub fn wipe(&self) {
        self.kept().clear();
        *self.packages() = Packages::default();
        self.news().clear();
    }

    fn packages(&self) -> MutexGuard<'_, Packages> {
        self.packages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts back what was taken, because nothing came of it.
    pub(super) fn give_back_news(&self, tenant: TenantId, hosts: HashSet<HostId>) {
        if !hosts.is_empty() {
            self.news().entry(tenant).or_default().extend(hosts);
        }
    }

    pub(super) fn take_news(&self, tenant: TenantId) -> HashSet<HostId> {
        self.news().remove(&tenant).unwrap_or_default()
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<tokio::sync::Mutex<TenantFleet>>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self) -> MutexGuard<'_, HashMap<TenantId, HashSet<HostId>>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantFleet {
    /// A host's row is there.
    pub(super) fn note_id(&mut self, number: HostNo, id: HostId) {
        self.ids.insert(number, id);
        self.numbers.insert(id, number);
    }

    /// A host is gone.
    pub(super) fn forget(&mut self, number: HostNo) {
        self.fleet.remove(number);
        if let Some(id) = self.ids.remove(&number) {
            self.numbers.remove(&id);
        }
        self.noted.remove(&number);
    }

    /// What its hosts want of sources, if that is otherwise than the last time.
    pub(super) fn new_wishes(&mut self) -> Option<Vec<Wish>> {
        let mut all: Vec<Wish> = self
            .fleet
            .channels()
            .flat_map(|channels| wishes(channels))
            .collect();
        all.sort_by(|a, b| (&a.identity, &a.place, &a.keys).cmp(&(&b.identity, &b.place, &b.keys)));
        all.dedup();
        let digest = content::sha256(format!("{all:?}").as_bytes());
        (self.wished.replace(digest) != Some(digest)).then_some(all)
    }

    /// The key files that channel configs name.
    pub(super) fn key_files(&self) -> &HashMap<Sha256Digest, Arc<[u8]>> {
        &self.key_files
    }

    /// The id of a host.
    pub fn id(&self, host: HostNo) -> Option<HostId> {
        self.ids.get(&host).copied()
    }

    /// The number of a host.
    pub fn number(&self, host: HostId) -> Option<HostNo> {
        self.numbers.get(&host).copied()
    }
}
