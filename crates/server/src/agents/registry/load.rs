//! Reading a key and its host from the database.

use super::memory::{AgentHost, Entry, KeyStatus, read_chain};
use crate::agents::refusal::Refusal;
use crate::context::Context;
use domain::id::{HostId, KeyId, TenantId};
use protocol::message::refused::RefusalKind;
use std::sync::Arc;
use store::agent_chain::{self, AgentChain};
use store::agent_key::{self, AgentKey};
use store::host::{self, Host};
use store::{Scope, View, Whole};

/// What is known of a key.
#[derive(Clone, Debug)]
pub(in super::super) enum Lookup {
    /// It is a host's.
    Found(Entry),
    /// It is nobody's.
    Unknown,
}

/// Why a key was revoked, as the word that stands in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum RevokedBecause {
    /// The host goes on with a newer key.
    Replaced,
    /// The same machine enrolled again.
    EnrolledAgain,
}

impl RevokedBecause {
    /// The word.
    pub(in super::super) const fn word(self) -> &'static str {
        match self {
            Self::Replaced => "replaced",
            Self::EnrolledAgain => "enrolled-again",
        }
    }
}

/// What the holder of a revoked key is told. Who goes on with a key that was replaced is a copy; a word that is not known
/// here stops the host until somebody has looked.
fn refusal_of(because: Option<&str>) -> RefusalKind {
    match because {
        Some("replaced" | "enrolled-again") => RefusalKind::Superseded,
        Some("retired") => RefusalKind::Retired,
        _ => RefusalKind::Quarantined,
    }
}

/// Rows of a key.
pub(super) struct Loaded {
    pub(super) key: AgentKey,
    pub(super) host: Host,
    chain: Option<AgentChain>,
    replaces_others: bool,
}

impl Loaded {
    pub(super) fn key_status(&self) -> KeyStatus {
        let because = self.key.revoked_because.as_deref();
        KeyStatus {
            not_after: self.key.certificate_not_after,
            revoked: self.key.revoked_at.map(|_| refusal_of(because)),
            replaces_others: self.replaces_others,
        }
    }
}

/// Reads a key, and keeps it in memory.
pub(super) async fn load(context: &Context, key: KeyId) -> Result<Lookup, Refusal> {
    let Some(loaded) = context.db.read(move |view| read(view, key)).await? else {
        return Ok(Lookup::Unknown);
    };
    let now = context.clock.now();
    let host = {
        let mut hosts = context.agents.hosts();
        match hosts.get(&loaded.host.id) {
            Some(host) => {
                host.take_over(&loaded.host, now);
                Arc::clone(host)
            }
            None => {
                let chain = loaded.chain.as_ref().map(read_chain).transpose()?;
                let host = Arc::new(AgentHost::of(&loaded, chain, now));
                hosts.insert(loaded.host.id, Arc::clone(&host));
                host
            }
        }
    };
    let entry = Entry::of(&loaded, host);
    context.agents.put(key, &entry);
    Ok(Lookup::Found(entry))
}

fn read(view: &mut View, key: KeyId) -> Result<Option<Loaded>, store::Error> {
    let Some(key) = agent_key::find(view, &Whole::server(), key)? else {
        return Ok(None);
    };
    let scope = Scope::of_tenant(key.tenant);
    let Some(host) = host::get(view, &scope, key.host)? else {
        return Ok(None);
    };
    let keys = agent_key::of_host(view, &scope, key.host)?;
    let is_newest = keys.last().is_some_and(|last| last.key_id == key.key_id);
    let has_others = keys
        .iter()
        .any(|other| other.key_id != key.key_id && other.revoked_at.is_none());
    Ok(Some(Loaded {
        chain: agent_chain::get(view, &scope, key.host)?,
        replaces_others: is_newest && has_others && key.revoked_at.is_none(),
        key,
        host,
    }))
}

/// Reads a host and its keys again, as far as they are in memory.
pub(in super::super) async fn refresh(
    context: &Context,
    tenant: TenantId,
    host: HostId,
) -> Result<(), store::Error> {
    let scope = Scope::of_tenant(tenant);
    let (row, keys) = context
        .db
        .read(move |view| {
            Ok::<_, store::Error>((
                host::get(view, &scope, host)?,
                agent_key::of_host(view, &scope, host)?,
            ))
        })
        .await?;
    let known = context.agents.hosts().get(&host).cloned();
    if known.as_ref().is_some_and(|known| known.tenant() != tenant) && !keys.is_empty() {
        // It was moved here from another tenant: what is in memory is the host that stayed there.
        context.agents.forget(host);
        return Ok(());
    }
    if let (Some(row), Some(known)) = (&row, &known) {
        known.take_over(row, context.clock.now());
    }
    for key in keys {
        context.agents.note_key(key.key_id);
        if let Some(entry) = context.agents.cached(key.key_id) {
            let mut status = entry.status();
            status.not_after = key.certificate_not_after;
            status.revoked = key.revoked_at.map(|_| refusal_of(key.revoked_because.as_deref()));
        }
    }
    Ok(())
}
