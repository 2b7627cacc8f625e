//! Documents that hosts hand in, by their digest: stored once a tenant, however many hosts have the same.

use crate::value::{Row, values, words};
use crate::{Error, Scope, Tx, View, Whole};
use domain::digest::Sha256Digest;
use jiff::Timestamp;

words! {
    /// What a document is about.
    pub enum DocumentKind {
        /// The installed packages.
        Inventory = "inventory",
        /// What the host is configured to use: stanzas, pins, architectures.
        ChannelConfig = "channel_config",
        /// What the host is, as far as it seldom changes.
        Facts = "facts",
        /// The bytes of a keyring.
        KeyFile = "key_file",
        /// A file of a source that only the host reaches.
        IndexFile = "index_file",
        /// What a package manager said while it followed an order.
        Output = "output",
    }
}

words! {
    /// How a document's bytes are stored.
    pub enum Encoding {
        /// As they are.
        Plain = "plain",
        /// Deflated (RFC 1951).
        Deflated = "deflated",
        /// Not here but in the content store, under the document's digest.
        Content = "content",
    }
}

/// A document. Its digest is that of the bytes before they were encoded; whoever stores it has checked that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// SHA-256 over the canonical bytes.
    pub digest: Sha256Digest,
    /// What it is about.
    pub kind: DocumentKind,
    /// How `bytes` hold it.
    pub encoding: Encoding,
    /// Its size before encoding.
    pub size_bytes: u64,
    /// Its bytes; none where they are content.
    pub bytes: Vec<u8>,
}

fn read(row: &Row) -> Result<Document, Error> {
    let mut columns = row.columns();
    Ok(Document {
        digest: columns.next()?,
        kind: columns.next()?,
        encoding: columns.next()?,
        size_bytes: columns.next()?,
        bytes: columns.next()?,
    })
}

/// Stores a document; nothing where the tenant has it already. Whether it is new.
///
/// # Errors
/// [`Error::NoSuchRow`] without such a tenant.
pub fn put(tx: &mut Tx, scope: &Scope, document: &Document, now: Timestamp) -> Result<bool, Error> {
    let stored = tx.execute(
        "INSERT INTO documents (tenant_id, digest, kind, encoding, size_bytes, bytes, received_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id, digest) DO NOTHING",
        values![
            scope,
            document.digest,
            document.kind,
            document.encoding,
            document.size_bytes,
            document.bytes.as_slice(),
            now
        ],
    )?;
    Ok(stored == 1)
}

/// The tenant's document with this digest.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, digest: Sha256Digest) -> Result<Option<Document>, Error> {
    view.find(
        "SELECT digest, kind, encoding, size_bytes, bytes FROM documents WHERE tenant_id = $1 AND digest = $2",
        values![scope, digest],
        read,
    )
}

/// The documents of all tenants whose bytes are content: for marking what a sweep must keep.
///
/// # Errors
/// Of the database.
pub fn kept_as_content(view: &mut View, _: &Whole) -> Result<Vec<Sha256Digest>, Error> {
    view.list(
        "SELECT digest FROM documents WHERE encoding = $1",
        values![Encoding::Content],
        |row| row.get(0),
    )
}

/// Which of these the tenant has, in ascending order.
///
/// # Errors
/// Of the database.
pub fn known(view: &mut View, scope: &Scope, digests: &[Sha256Digest]) -> Result<Vec<Sha256Digest>, Error> {
    let mut found = Vec::new();
    for digests in digests.chunks(200) {
        let sql = format!(
            "SELECT digest FROM documents WHERE tenant_id = $1 AND digest IN ({})",
            crate::db::placeholders(2, digests.len())
        );
        let mut values = values![scope];
        values.extend(digests.iter().map(|digest| (*digest).into()));
        found.extend(view.list(sql, values, |row| row.get::<Sha256Digest>(0))?);
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes documents that no host has or had any more and that were received before this time, with what was derived from
/// them; how many, and their stored bytes. At most `limit` at a time, so that a sweep does not hold up check-ins.
///
/// # Errors
/// [`Error::NoSuchRow`] where a host hands one of them in at this very moment: try again.
pub fn sweep(tx: &mut Tx, scope: &Scope, before: Timestamp, limit: u32) -> Result<(u64, u64), Error> {
    let idle = tx.list(
        "SELECT d.digest, CAST(LENGTH(d.bytes) AS BIGINT) FROM documents d
         WHERE d.tenant_id = $1 AND d.received_at < $2
           AND NOT EXISTS (SELECT 1 FROM host_documents h WHERE h.tenant_id = d.tenant_id AND h.digest = d.digest)
           AND NOT EXISTS (SELECT 1 FROM document_uses u WHERE u.tenant_id = d.tenant_id AND u.digest = d.digest)
           AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.tenant_id = d.tenant_id AND o.output = d.digest)
         LIMIT $3",
        values![scope, before, limit],
        |row| Ok((row.get::<Sha256Digest>(0)?, row.get::<u64>(1)?)),
    )?;
    for (digest, _) in &idle {
        for derived in [
            "DELETE FROM inventory_packages WHERE tenant_id = $1 AND digest = $2",
            "DELETE FROM channel_matches WHERE tenant_id = $1 AND channel_config = $2",
            "DELETE FROM document_uses WHERE tenant_id = $1 AND used_by = $2",
            "DELETE FROM documents WHERE tenant_id = $1 AND digest = $2",
        ] {
            tx.execute(derived, values![scope, *digest])?;
        }
    }
    Ok((idle.len() as u64, idle.iter().map(|(_, bytes)| bytes).sum()))
}
