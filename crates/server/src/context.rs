//! What every room of the server shares, handed to each function as one value that is cheap to clone.

use crate::agents::Agents;
use crate::assess::Fleets;
use crate::authority::Authority;
use crate::clock::{Chance, Clock};
use crate::local::Local;
use crate::operations::metrics::Metrics;
use crate::reconcile::Board;
use crate::rollout::OpenOrders;
use crate::settings::Settings;
use crate::start::DataDir;
use domain::id::HostId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

/// Everything that a function of the server may use besides its own arguments. Clones share all of it.
#[derive(Clone, Debug)]
pub struct Context {
    /// The database.
    pub db: store::Db,
    /// Files by digest.
    pub content: content::Store,
    /// The keys.
    pub authority: Arc<Authority>,
    /// What is known of agents: a cache of the database, and what is not yet written to it.
    pub agents: Arc<Agents>,
    /// The orders of which something may still come: a note of the database.
    pub open_orders: Arc<OpenOrders>,
    /// What every tenant's hosts are missing: a cache of the database.
    pub fleets: Arc<Fleets>,
    /// How the background work went.
    pub board: Arc<Board>,
    /// What the server counts.
    pub metrics: Arc<Metrics>,
    /// Held while a backup is made: one at a time.
    pub one_backup: Arc<tokio::sync::Mutex<()>>,
    /// What lets the person at this machine in.
    pub local: Arc<Local>,
    /// The life of the server between two restores.
    pub epoch: Arc<store::epoch::Epoch>,
    /// What time it is, and waiting.
    pub clock: Arc<dyn Clock>,
    /// Ids, nonces, jitter.
    pub chance: Arc<dyn Chance>,
    /// What the server was told before it started.
    pub settings: Arc<Settings>,
    /// Who is to be woken when something has happened.
    pub wake_ups: Arc<WakeUps>,
    /// The data directory, locked as long as a context lives.
    pub data: Arc<DataDir>,
}

/// A kind of background work that can be nudged. It also runs periodically, so that a lost nudge only delays it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Finding out what hosts are missing: an inventory, a channel config or a snapshot is new.
    Assess,
    /// Planning changes: something was decided, or a host said how far it is.
    Plan,
    /// Fetching what changes need.
    Stage,
    /// Fetching what hosts miss, before a change needs it.
    FetchAhead,
    /// Syncing sources: one was adopted, or somebody asked.
    Sync,
    /// Ordering audit records into their chains.
    SealAudit,
    /// Writing who was last seen when.
    FlushLiveness,
    /// Forgetting what is older than anybody wants.
    Retain,
    /// Removing content that nothing refers to.
    SweepContent,
    /// Noting what takes room.
    NoteStorage,
    /// Removing the rows of tenants that were removed.
    RemoveTenants,
}

impl Work {
    const ALL: [Self; 11] = [
        Self::Assess,
        Self::Plan,
        Self::Stage,
        Self::FetchAhead,
        Self::Sync,
        Self::SealAudit,
        Self::FlushLiveness,
        Self::Retain,
        Self::SweepContent,
        Self::NoteStorage,
        Self::RemoveTenants,
    ];
}

/// Nudges for background work, and for check-ins that are being held.
#[derive(Debug)]
pub struct WakeUps {
    work: HashMap<Work, Notify>,
    hosts: Mutex<HashMap<HostId, watch::Sender<()>>>,
}

impl Default for WakeUps {
    fn default() -> Self {
        Self {
            work: Work::ALL.into_iter().map(|work| (work, Notify::new())).collect(),
            hosts: Mutex::default(),
        }
    }
}

impl WakeUps {
    /// Asks for a run of this work soon. Many nudges before it begins are one.
    pub fn nudge(&self, work: Work) {
        self.work[&work].notify_one();
    }

    /// Ends at the next nudge, at once if there was one since the last call.
    pub async fn nudged(&self, work: Work) {
        self.work[&work].notified().await;
    }

    /// Says that something for this host exists: its check-in, if one is being held, is answered now.
    pub fn wake_host(&self, host: HostId) {
        if let Some(held) = self.held_hosts().get(&host) {
            held.send_replace(());
        }
    }

    /// Says that something for every host exists.
    pub fn wake_all_hosts(&self) {
        self.held_hosts().values().for_each(|held| {
            held.send_replace(());
        });
    }

    /// Holds a check-in of this host: hears every wake-up from now on, for as long as the value lives.
    pub fn hold(self: &Arc<Self>, host: HostId) -> Held {
        let mut hosts = self.held_hosts();
        let heard = hosts.entry(host).or_default().subscribe();
        Held {
            wake_ups: Arc::clone(self),
            host,
            heard,
        }
    }

    /// How many hosts have a check-in held.
    pub fn held(&self) -> usize {
        self.held_hosts().len()
    }

    fn held_hosts(&self) -> MutexGuard<'_, HashMap<HostId, watch::Sender<()>>> {
        self.hosts.lock().expect("nobody panics while holding it")
    }
}

/// A check-in that is being held. Dropping it lets go.
#[derive(Debug)]
pub struct Held {
    wake_ups: Arc<WakeUps>,
    host: HostId,
    heard: watch::Receiver<()>,
}

impl Held {
    /// Ends when the host has been woken since the hold began, or since the last call.
    pub async fn woken(&mut self) {
        // The sender stays in the table while a hold of the host lives: an error cannot come before a wake-up.
        let _gone = self.heard.changed().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut hosts = self.wake_ups.held_hosts();
        if hosts
            .get(&self.host)
            .is_some_and(|sender| sender.receiver_count() <= 1)
        {
            hosts.remove(&self.host);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_held_check_in_hears_its_own_wake_up_even_before_it_waits() {
        let wake_ups = Arc::new(WakeUps::default());
        let host = HostId([1; 16]);
        let mut first = wake_ups.hold(host);
        let mut second = wake_ups.hold(host);
        let other = wake_ups.hold(HostId([2; 16]));
        assert_eq!(wake_ups.held(), 2);
        wake_ups.wake_host(host);
        first.woken().await;
        second.woken().await;
        assert!(!other.heard.has_changed().expect("the sender lives"));
        drop((first, second, other));
        assert_eq!(wake_ups.held(), 0);
    }

    #[tokio::test]
    async fn a_nudge_is_kept_until_somebody_waits_for_it() {
        let wake_ups = WakeUps::default();
        wake_ups.nudge(Work::Assess);
        wake_ups.nudge(Work::Assess);
        wake_ups.nudged(Work::Assess).await;
    }
}
