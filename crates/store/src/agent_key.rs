//! The keys by which hosts sign: which host a key id belongs to, until when its certificate lasts, whether it was revoked.

use crate::value::{Row, values};
use crate::{Error, Scope, Tx, View, Whole};
use domain::id::{HostId, KeyId, TenantId};
use jiff::Timestamp;

/// A host's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentKey {
    /// Names the key on the whole server.
    pub key_id: KeyId,
    /// The tenant of its host.
    pub tenant: TenantId,
    /// Its host.
    pub host: HostId,
    /// Ed25519 (RFC 8032).
    pub public_key: [u8; 32],
    /// When the certificate that was issued for it last ends.
    pub certificate_not_after: Timestamp,
    /// When that one was issued.
    pub issued_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked, as a word that the server knows.
    pub revoked_because: Option<String>,
}

const COLUMNS: &str =
    "key_id, tenant_id, host_id, public_key, certificate_not_after, issued_at, revoked_at, revoked_because";

fn read(row: &Row) -> Result<AgentKey, Error> {
    let mut columns = row.columns();
    Ok(AgentKey {
        key_id: columns.next()?,
        tenant: columns.next()?,
        host: columns.next()?,
        public_key: columns.next()?,
        certificate_not_after: columns.next()?,
        issued_at: columns.next()?,
        revoked_at: columns.next()?,
        revoked_because: columns.next()?,
    })
}

/// The key with this id, whosever it is: for the exchange, which learns the tenant from it.
///
/// # Errors
/// Of the database.
pub fn find(view: &mut View, _: &Whole, key_id: KeyId) -> Result<Option<AgentKey>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM agent_keys WHERE key_id = $1"),
        values![key_id],
        read,
    )
}

/// The keys of a host, the newest last.
///
/// # Errors
/// Of the database.
pub fn of_host(view: &mut View, scope: &Scope, host: HostId) -> Result<Vec<AgentKey>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM agent_keys WHERE tenant_id = $1 AND host_id = $2 ORDER BY issued_at, key_id"),
        values![scope, host],
        read,
    )
}

/// Every key of the server from this id on, in the order of ids: for filling a registry.
///
/// # Errors
/// Of the database.
pub fn all_after(
    view: &mut View,
    _: &Whole,
    after: Option<KeyId>,
    limit: u32,
) -> Result<Vec<AgentKey>, Error> {
    let after = after.map_or_else(Vec::new, |key| key.0.to_vec());
    view.list(
        format!("SELECT {COLUMNS} FROM agent_keys WHERE key_id > $1 ORDER BY key_id LIMIT $2"),
        values![after, limit],
        read,
    )
}

/// Notes a new key of a host.
///
/// # Errors
/// [`Error::Taken`] where the key is known, [`Error::NoSuchRow`] where the tenant has no such host.
pub fn add(
    tx: &mut Tx,
    scope: &Scope,
    host: HostId,
    key_id: KeyId,
    public_key: [u8; 32],
    certificate: Validity,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO agent_keys (key_id, tenant_id, host_id, public_key, certificate_not_after, issued_at)
         VALUES ($1, $2, $3, $4, $5, $6)",
        values![
            key_id,
            scope,
            host,
            public_key,
            certificate.not_after,
            certificate.issued_at
        ],
    )?;
    Ok(())
}

/// When a certificate was issued and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
}

/// Notes a renewed certificate of a key that is not revoked. Whether there is such a key.
///
/// # Errors
/// Of the database.
pub fn renew(tx: &mut Tx, scope: &Scope, key_id: KeyId, certificate: Validity) -> Result<bool, Error> {
    let renewed = tx.execute(
        "UPDATE agent_keys SET certificate_not_after = $3, issued_at = $4
         WHERE tenant_id = $1 AND key_id = $2 AND revoked_at IS NULL",
        values![scope, key_id, certificate.not_after, certificate.issued_at],
    )?;
    Ok(renewed == 1)
}

/// Revokes one key for good. Whether there was one to revoke.
///
/// # Errors
/// Of the database.
pub fn revoke(
    tx: &mut Tx,
    scope: &Scope,
    key_id: KeyId,
    because: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let revoked = tx.execute(
        "UPDATE agent_keys SET revoked_at = $3, revoked_because = $4
         WHERE tenant_id = $1 AND key_id = $2 AND revoked_at IS NULL",
        values![scope, key_id, now, because],
    )?;
    Ok(revoked == 1)
}

/// Revokes every key of a host for good; how many.
///
/// # Errors
/// Of the database.
pub fn revoke_all(
    tx: &mut Tx,
    scope: &Scope,
    host: HostId,
    because: &str,
    now: Timestamp,
) -> Result<u64, Error> {
    tx.execute(
        "UPDATE agent_keys SET revoked_at = $3, revoked_because = $4
         WHERE tenant_id = $1 AND host_id = $2 AND revoked_at IS NULL",
        values![scope, host, now, because],
    )
}

/// Hands the living keys of a host over to the host of the same id in another tenant, when it is moved there; how many.
///
/// # Errors
/// [`Error::NoSuchRow`] where that tenant has no such host.
pub fn hand_over(tx: &mut Tx, _: &Whole, host: HostId, from: TenantId, to: TenantId) -> Result<u64, Error> {
    tx.execute(
        "UPDATE agent_keys SET tenant_id = $3 WHERE tenant_id = $2 AND host_id = $1 AND revoked_at IS NULL",
        values![host, from, to],
    )
}
