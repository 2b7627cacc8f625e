//! Which document a host handed in when: the present one of each kind stands in the host's row, all of them stand here.

use crate::document::DocumentKind;
use crate::value::{Row, values};
use crate::{Error, Scope, Tx, View};
use domain::assess::fleet::HostNo;
use domain::digest::Sha256Digest;
use domain::id::HostId;
use jiff::Timestamp;

/// A document of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostDocument {
    /// The host.
    pub host: HostId,
    /// What it is about.
    pub kind: DocumentKind,
    /// The document.
    pub digest: Sha256Digest,
    /// When the host saw it so (agent time).
    pub observed_at: Timestamp,
    /// When the server learned it.
    pub received_at: Timestamp,
}

fn read(row: &Row) -> Result<HostDocument, Error> {
    let mut columns = row.columns();
    Ok(HostDocument {
        host: columns.next()?,
        kind: columns.next()?,
        digest: columns.next()?,
        observed_at: columns.next()?,
        received_at: columns.next()?,
    })
}

const COLUMNS: &str = "host_id, kind, digest, observed_at, received_at";

/// Notes that a host has this document now: in its history, and for an inventory, a channel config or facts in its row too.
/// The host's version stays: this is observation, not intent. Whether there is such a host.
///
/// # Errors
/// [`Error::NoSuchRow`] where the tenant has no such document.
pub fn note(tx: &mut Tx, scope: &Scope, document: &HostDocument) -> Result<bool, Error> {
    let sql = match document.kind {
        DocumentKind::Inventory => "UPDATE hosts SET inventory = $3 WHERE tenant_id = $1 AND id = $2",
        DocumentKind::ChannelConfig => {
            "UPDATE hosts SET channel_config = $3 WHERE tenant_id = $1 AND id = $2"
        }
        DocumentKind::Facts => "UPDATE hosts SET facts = $3 WHERE tenant_id = $1 AND id = $2",
        DocumentKind::KeyFile | DocumentKind::IndexFile | DocumentKind::Output => {
            "UPDATE hosts SET id = id WHERE tenant_id = $1 AND id = $2 AND $3 = $3"
        }
    };
    if tx.execute(sql, values![scope, document.host, document.digest])? == 0 {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO host_documents (tenant_id, host_id, kind, digest, observed_at, received_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, host_id, kind, received_at, digest) DO NOTHING",
        values![
            scope,
            document.host,
            document.kind,
            document.digest,
            document.observed_at,
            document.received_at
        ],
    )?;
    Ok(true)
}

/// Says which other documents one refers to (a channel config its key files), so that those are kept as long as it.
///
/// # Errors
/// [`Error::NoSuchRow`] where the tenant lacks one of them.
pub fn note_uses(
    tx: &mut Tx,
    scope: &Scope,
    used_by: Sha256Digest,
    digests: &[Sha256Digest],
) -> Result<(), Error> {
    tx.execute_many(
        "INSERT INTO document_uses (tenant_id, used_by, digest)",
        "ON CONFLICT (tenant_id, used_by, digest) DO NOTHING",
        digests.iter().map(|digest| values![scope, used_by, *digest]),
    )?;
    Ok(())
}

/// The document of this kind that was known to be the host's at this moment: the last one received until then.
///
/// # Errors
/// Of the database.
pub fn as_of(
    view: &mut View,
    scope: &Scope,
    host: HostId,
    kind: DocumentKind,
    at: Timestamp,
) -> Result<Option<HostDocument>, Error> {
    view.find(
        format!(
            "SELECT {COLUMNS} FROM host_documents
             WHERE tenant_id = $1 AND host_id = $2 AND kind = $3 AND received_at <= $4
             ORDER BY received_at DESC, digest DESC LIMIT 1"
        ),
        values![scope, host, kind, at],
        read,
    )
}

/// The document of this kind that each host of the tenant was known to have at this moment, in the order of host numbers;
/// hosts that were retired since have theirs too.
///
/// # Errors
/// Of the database.
pub fn all_as_of(
    view: &mut View,
    scope: &Scope,
    kind: DocumentKind,
    at: Timestamp,
) -> Result<Vec<(HostNo, Sha256Digest)>, Error> {
    view.list(
        "SELECT h.host_no, d.digest FROM hosts h CROSS JOIN host_documents d
         WHERE h.tenant_id = $1 AND d.tenant_id = $1 AND d.host_id = h.id AND d.kind = $2 AND d.received_at <= $3
           AND NOT EXISTS (
               SELECT 1 FROM host_documents n
               WHERE n.tenant_id = $1 AND n.host_id = h.id AND n.kind = $2 AND n.received_at <= $3
                 AND (n.received_at, n.digest) > (d.received_at, d.digest))
         ORDER BY h.host_no",
        values![scope, kind, at],
        |row| Ok((HostNo(row.get(0)?), row.get(1)?)),
    )
}

/// The documents of a host received before a time (or all), the newest first.
///
/// # Errors
/// Of the database.
pub fn history(
    view: &mut View,
    scope: &Scope,
    host: HostId,
    kind: DocumentKind,
    before: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<HostDocument>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM host_documents
             WHERE tenant_id = $1 AND host_id = $2 AND kind = $3 AND received_at < $4
             ORDER BY received_at DESC, digest DESC LIMIT $5"
        ),
        values![scope, host, kind, before.unwrap_or(Timestamp::MAX), limit],
        read,
    )
}

/// Forgets what hosts had before this time, except the last document of each kind that was in force then: questions about
/// any moment since are answered as before. How many were forgotten, at most `limit`.
///
/// # Errors
/// Of the database.
pub fn forget_before(tx: &mut Tx, scope: &Scope, before: Timestamp, limit: u32) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM host_documents WHERE (tenant_id, host_id, kind, received_at, digest) IN (
             SELECT h.tenant_id, h.host_id, h.kind, h.received_at, h.digest FROM host_documents h
             WHERE h.tenant_id = $1 AND h.received_at < $2 AND EXISTS (
                 SELECT 1 FROM host_documents n
                 WHERE n.tenant_id = h.tenant_id AND n.host_id = h.host_id AND n.kind = h.kind
                   AND n.received_at <= $2 AND n.received_at > h.received_at)
             LIMIT $3)",
        values![scope, before, limit],
    )
}
