//! The chain of a host's check-ins, as far as it has come: what tells an identity from its copy. The rule is in the domain.

use crate::value::{Row, values};
use crate::{Error, Scope, Tx, View, Whole};
use domain::id::{HostId, TenantId};
use jiff::Timestamp;

/// How far a host's chain has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentChain {
    /// The host.
    pub host: HostId,
    /// The count of the last link issued.
    pub issued: u64,
    /// All that the rule remembers, as JSON: opaque here.
    pub state: String,
    /// When that was.
    pub advanced_at: Timestamp,
}

fn read(row: &Row) -> Result<AgentChain, Error> {
    let mut columns = row.columns();
    Ok(AgentChain {
        host: columns.next()?,
        issued: columns.next()?,
        state: columns.next()?,
        advanced_at: columns.next()?,
    })
}

const COLUMNS: &str = "host_id, issued, state, advanced_at";

/// The chain of a host; none before its first check-in.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, host: HostId) -> Result<Option<AgentChain>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM agent_chains WHERE tenant_id = $1 AND host_id = $2"),
        values![scope, host],
        read,
    )
}

/// Moves chains forward, many hosts of many tenants at a time. A chain never goes back: one with an older link is passed over.
///
/// # Errors
/// [`Error::NoSuchRow`] where a tenant has no such host; then none is moved.
pub fn advance(tx: &mut Tx, _: &Whole, chains: &[(TenantId, AgentChain)]) -> Result<(), Error> {
    tx.execute_many(
        "INSERT INTO agent_chains (tenant_id, host_id, issued, state, advanced_at)",
        "ON CONFLICT (tenant_id, host_id) DO UPDATE SET
             issued = excluded.issued, state = excluded.state, advanced_at = excluded.advanced_at
         WHERE agent_chains.issued <= excluded.issued",
        chains.iter().map(|(tenant, chain)| {
            values![*tenant, chain.host, chain.issued, &chain.state, chain.advanced_at]
        }),
    )?;
    Ok(())
}

/// Forgets the chain of a host that starts anew with another key.
///
/// # Errors
/// Of the database.
pub fn forget(tx: &mut Tx, scope: &Scope, host: HostId) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM agent_chains WHERE tenant_id = $1 AND host_id = $2",
        values![scope, host],
    )?;
    Ok(())
}
