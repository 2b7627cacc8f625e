//! Whose content is whose, and why it is kept: content is served by grant, not by knowing a digest, and swept when no grant
//! names it any more.

use crate::value::{Row, values, words};
use crate::{Error, Owner, Scope, Tx, View, Whole};
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use std::ops::ControlFlow;

words! {
    /// Why content is kept.
    pub enum GrantReason {
        /// A snapshot names it.
        Snapshot = "snapshot",
        /// A document's bytes are it.
        Document = "document",
        /// A package file that something approved needs.
        PackageFile = "package_file",
        /// A package file that some host misses, fetched before anybody asked for it.
        Missed = "missed",
        /// Evidence of what was done.
        Evidence = "evidence",
    }
}

/// A grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentGrant {
    /// Whose the content is.
    pub owner: Owner,
    /// The content.
    pub digest: Sha256Digest,
    /// Why it is kept.
    pub reason: GrantReason,
    /// What needs it: a snapshot's id, a document's first sixteen bytes.
    pub reference: [u8; 16],
    /// Its size.
    pub size_bytes: u64,
}

fn read(row: &Row) -> Result<ContentGrant, Error> {
    let mut columns = row.columns();
    Ok(ContentGrant {
        owner: columns.next()?,
        digest: columns.next()?,
        reason: columns.next()?,
        reference: columns.next()?,
        size_bytes: columns.next()?,
    })
}

/// Grants content; what is granted already stays.
///
/// # Errors
/// Of the database.
pub fn give(tx: &mut Tx, _: &Whole, grants: &[ContentGrant], now: Timestamp) -> Result<(), Error> {
    tx.execute_many(
        "INSERT INTO content_grants (owner, digest, reason, reference, size_bytes, granted_at)",
        "ON CONFLICT (owner, digest, reason, reference) DO NOTHING",
        grants.iter().map(|grant| {
            values![
                grant.owner,
                grant.digest,
                grant.reason,
                grant.reference,
                grant.size_bytes,
                now
            ]
        }),
    )?;
    Ok(())
}

/// Takes back all that was granted for one thing; how many.
///
/// # Errors
/// Of the database.
pub fn take_back(
    tx: &mut Tx,
    _: &Whole,
    owner: Owner,
    reason: GrantReason,
    reference: [u8; 16],
) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM content_grants WHERE owner = $1 AND reason = $2 AND reference = $3",
        values![owner, reason, reference],
    )
}

/// Whether the tenant may be served this content: it is everybody's, or its own.
///
/// # Errors
/// Of the database.
pub fn is_granted(view: &mut View, scope: &Scope, digest: Sha256Digest) -> Result<bool, Error> {
    let found = view.row(
        "SELECT digest FROM content_grants WHERE owner IN ($1, $2) AND digest = $3 LIMIT 1",
        values![Owner::Shared, scope, digest],
    )?;
    Ok(found.is_some())
}

/// What is granted for one thing and may be served for it: content that a scan found bad never is.
///
/// # Errors
/// Of the database.
pub fn served_for(
    view: &mut View,
    scope: &Scope,
    reason: GrantReason,
    reference: [u8; 16],
) -> Result<Vec<Sha256Digest>, Error> {
    view.list(
        "SELECT g.digest FROM content_grants g
         WHERE g.owner = $1 AND g.reason = $2 AND g.reference = $3 AND NOT EXISTS (
             SELECT 1 FROM content_scans s WHERE s.digest = g.digest AND s.state = 'infected')
         ORDER BY g.digest",
        values![scope.owner(), reason, reference],
        |row| row.get(0),
    )
}

/// Hands over every grant in the order of digests: for marking what a sweep must keep.
///
/// # Errors
/// Of the database, or what `take` fails with.
pub fn each(
    view: &mut View,
    _: &Whole,
    mut take: impl FnMut(ContentGrant) -> Result<(), Error>,
) -> Result<(), Error> {
    view.each(
        "SELECT owner, digest, reason, reference, size_bytes FROM content_grants ORDER BY digest, owner",
        values![],
        |row| {
            take(read(row)?)?;
            Ok(ControlFlow::Continue(()))
        },
    )
}
