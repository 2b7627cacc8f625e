//! Which files the holder of a ticket may have: those that were granted to its deployment's change, and the order itself.
//! Knowing a digest opens nothing. What was granted is remembered for a while, so that a thousand hosts with the same files
//! cost a few queries.

use super::content_ticket::{ContentTicket, NoTicket, TicketKey};
use crate::context::Context;
use content::{Mapped, StoreError};
use domain::digest::Sha256Digest;
use domain::id::{DeploymentId, HostId, TenantId};
use jiff::{SignedDuration, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::content_grant::{self, GrantReason};
use store::{Scope, View, deployment};

/// How long what was granted is believed.
const BELIEVED: SignedDuration = SignedDuration::from_secs(60);
/// How soon it is asked for again when somebody wants more: what a deployment needs is granted before its order is made.
const ASKED_AGAIN: SignedDuration = SignedDuration::from_secs(1);
/// Deployments that are remembered.
const MOST_REMEMBERED: usize = 4096;

/// Files that are kept open.
const MOST_OPEN: usize = 256;

/// What was granted to deployments, as far as it was asked for lately, and the files that were given lately.
#[derive(Debug)]
pub struct Granted {
    key: TicketKey,
    deployments: Mutex<HashMap<Holder, Known>>,
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
            deployments: Mutex::default(),
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
        if let Some(open) = self.open().get(&digest) {
            return Ok(Arc::clone(open));
        }
        let mapped = context.content.map(&digest)?.ok_or(NotGiven::NotHere)?;
        let mapped = Arc::new(mapped);
        let mut open = self.open();
        if open.len() >= MOST_OPEN {
            open.clear();
        }
        open.insert(digest, Arc::clone(&mapped));
        Ok(mapped)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Sha256Digest, Arc<Mapped>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn has(
        &self,
        context: &Context,
        ticket: &ContentTicket,
        digest: Sha256Digest,
    ) -> Result<bool, store::Error> {
        let (now, key) = (
            context.clock.now(),
            (ticket.tenant, ticket.host, ticket.deployment),
        );
        if let Some(known) = self.known(&key) {
            let age = now.duration_since(known.asked_at).abs();
            let is_granted = known.digests.binary_search(&digest).is_ok();
            if age < BELIEVED && (is_granted || age < ASKED_AGAIN) {
                return Ok(is_granted);
            }
        }
        let asked = *ticket;
        let read = context.db.read(move |view| granted(view, &asked));
        let digests: Arc<[Sha256Digest]> = read.await?.into();
        let is_granted = digests.binary_search(&digest).is_ok();
        self.remember(
            key,
            Known {
                asked_at: now,
                digests,
            },
        );
        Ok(is_granted)
    }

    fn known(&self, key: &Holder) -> Option<Known> {
        let deployments = self.deployments.lock().unwrap_or_else(PoisonError::into_inner);
        deployments.get(key).cloned()
    }

    fn remember(&self, key: Holder, known: Known) {
        let mut deployments = self.deployments.lock().unwrap_or_else(PoisonError::into_inner);
        if deployments.len() >= MOST_REMEMBERED {
            deployments.retain(|_, other| known.asked_at.duration_since(other.asked_at).abs() < BELIEVED);
        }
        if deployments.len() < MOST_REMEMBERED {
            deployments.insert(key, known);
        }
    }
}

/// What the holder of a ticket may have, sorted. Nothing where the deployment is gone, or another host's.
fn granted(view: &mut View, ticket: &ContentTicket) -> Result<Vec<Sha256Digest>, store::Error> {
    let scope = Scope::of_tenant(ticket.tenant);
    let found = deployment::get(view, &scope, ticket.deployment)?;
    let Some(deployment) = found.filter(|deployment| deployment.host == ticket.host) else {
        return Ok(Vec::new());
    };
    let mut digests = Vec::new();
    for reference in [deployment.change.0, deployment.id.0] {
        for reason in [GrantReason::PackageFile, GrantReason::Evidence] {
            digests.extend(content_grant::served_for(view, &scope, reason, reference)?);
        }
    }
    digests.sort_unstable();
    digests.dedup();
    Ok(digests)
}
