//! Which files the holder of a ticket may have: those that were granted to its deployment's change, and the order itself.
//! Knowing a digest opens nothing. What was granted is remembered for a while, so that a thousand hosts with the same files
//! cost a few queries.

use super::content_ticket::{ContentTicket, NoTicket, TicketKey};
use crate::context::Context;
use content::{Mapped, StoreError};
use domain::digest::Sha256Digest;
use domain::id::{ChangeId, DeploymentId, HostId, TenantId};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::content_grant::{self, GrantReason};
use store::{Scope, View, deployment};

/// How long what was granted is believed.
const BELIEVED: SignedDuration = SignedDuration::from_secs(60);
/// How soon it is asked for again when somebody wants more: what a deployment needs is granted before its order is made.
const ASKED_AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// Deployments whose change is remembered.
const MOST_DEPLOYMENTS: usize = 1 << 16;
/// Changes, and deployments with what is theirs alone, of which it is remembered what was granted.
const MOST_REMEMBERED: usize = 4096;
/// Files that are kept open.
const MOST_OPEN: usize = 256;

/// What was granted, as far as it was asked for lately, and the files that were given lately.
#[derive(Debug)]
pub struct Granted {
    key: TicketKey,
    /// The change of each deployment, or that there is none for its holder.
    changes: Mutex<HashMap<Holder, (Timestamp, Option<ChangeId>)>>,
    /// By whose it is, and what it was granted for.
    grants: Mutex<HashMap<(TenantId, [u8; 16]), Known>>,
    open: Mutex<HashMap<Sha256Digest, Arc<Mapped>>>,
}

/// Who asks, and for which deployment: what another host of it may have says nothing.
type Holder = (TenantId, HostId, DeploymentId);

#[derive(Clone, Debug)]
struct Known {
    asked_at: Timestamp,
    /// Sorted.
    digests: Arc<[Sha256Digest]>,
}

/// Why a file is not given.
#[derive(Debug, thiserror::Error)]
pub enum NotGiven {
    /// The ticket is none, or is over.
    #[error(transparent)]
    Ticket(#[from] NoTicket),
    /// It is not among the deployment's files, or there is no such file.
    #[error("there is no such file for this deployment")]
    NotGranted,
    /// It is one of them, and has to be fetched first.
    #[error("the file is not here yet")]
    NotHere,
    /// The database.
    #[error("find out what was granted")]
    Store(#[from] store::Error),
    /// The content store.
    #[error("read the content store")]
    Content(#[from] StoreError),
}

impl Granted {
    /// Nothing known yet.
    pub fn new(context: &Context) -> Self {
        Self {
            key: TicketKey::of(context),
            changes: Mutex::default(),
            grants: Mutex::default(),
            open: Mutex::default(),
        }
    }

    /// The file with this digest, for the holder of this ticket.
    ///
    /// # Errors
    /// [`NotGiven`].
    pub async fn file(
        &self,
        context: &Context,
        ticket: &str,
        digest: Sha256Digest,
    ) -> Result<Arc<Mapped>, NotGiven> {
        let ticket = self.key.open(ticket, context.clock.now())?;
        if !self.has(context, &ticket, digest).await? {
            return Err(NotGiven::NotGranted);
        }
        if let Some(open) = lock(&self.open).get(&digest) {
            return Ok(Arc::clone(open));
        }
        let mapped = context.content.map(&digest)?.ok_or(NotGiven::NotHere)?;
        let mapped = Arc::new(mapped);
        let mut open = lock(&self.open);
        make_room(&mut open, MOST_OPEN, |_| false);
        open.insert(digest, Arc::clone(&mapped));
        Ok(mapped)
    }

    /// Whether it was granted to the deployment's change, or to the deployment alone.
    async fn has(
        &self,
        context: &Context,
        ticket: &ContentTicket,
        digest: Sha256Digest,
    ) -> Result<bool, store::Error> {
        let now = context.clock.now();
        let Some(change) = self.change_of(context, ticket, now).await? else {
            return Ok(false);
        };
        let references = [ticket.deployment.0, change.0];
        let age = |known: &Known| now.duration_since(known.asked_at).abs();
        let known = references.map(|reference| self.known(ticket.tenant, reference));
        let is_in = |known: &Known| known.digests.binary_search(&digest).is_ok();
        if known
            .iter()
            .flatten()
            .any(|known| age(known) < BELIEVED && is_in(known))
        {
            return Ok(true);
        }
        for (reference, known) in references.into_iter().zip(known) {
            if known.is_some_and(|known| age(&known) < ASKED_AGAIN) {
                continue;
            }
            let scope = Scope::of_tenant(ticket.tenant);
            let read = context.db.read(move |view| granted(view, &scope, reference));
            let known = Known {
                asked_at: now,
                digests: read.await?.into(),
            };
            let is_granted = is_in(&known);
            let mut grants = lock(&self.grants);
            make_room(&mut grants, MOST_REMEMBERED, |known| age(known) < BELIEVED);
            grants.insert((ticket.tenant, reference), known);
            if is_granted {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The change of the ticket's deployment; none where it is gone, or another host's.
    async fn change_of(
        &self,
        context: &Context,
        ticket: &ContentTicket,
        now: Timestamp,
    ) -> Result<Option<ChangeId>, store::Error> {
        let holder = (ticket.tenant, ticket.host, ticket.deployment);
        let known = lock(&self.changes).get(&holder).copied();
        let is_fresh = |at: Timestamp| now.duration_since(at).abs() < BELIEVED;
        if let Some((_, change)) = known.filter(|(at, _)| is_fresh(*at)) {
            return Ok(change);
        }
        let asked = *ticket;
        let read = context
            .db
            .read(move |view| deployment::get(view, &Scope::of_tenant(asked.tenant), asked.deployment));
        let found = read.await?.filter(|deployment| deployment.host == ticket.host);
        let change = found.map(|deployment| deployment.change);
        let mut changes = lock(&self.changes);
        make_room(&mut changes, MOST_DEPLOYMENTS, |(at, _)| is_fresh(*at));
        changes.insert(holder, (now, change));
        Ok(change)
    }

    fn known(&self, tenant: TenantId, reference: [u8; 16]) -> Option<Known> {
        lock(&self.grants).get(&(tenant, reference)).cloned()
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets what is not fresh any more where the table is full, and all of it where that is not enough.
fn make_room<K: Eq + Hash, V>(table: &mut HashMap<K, V>, most: usize, is_fresh: impl Fn(&V) -> bool) {
    if table.len() >= most {
        table.retain(|_, value| is_fresh(value));
    }
    if table.len() >= most {
        table.clear();
    }
}

/// What was granted for one thing and may be served for it, sorted.
fn granted(view: &mut View, scope: &Scope, reference: [u8; 16]) -> Result<Vec<Sha256Digest>, store::Error> {
    let mut digests = content_grant::served_for(view, scope, GrantReason::PackageFile, reference)?;
    digests.extend(content_grant::served_for(
        view,
        scope,
        GrantReason::Evidence,
        reference,
    )?);
    digests.sort_unstable();
    digests.dedup();
    Ok(digests)
}
