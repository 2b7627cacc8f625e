//! Transactions: what many hosts would take alike, kept once by the digest of its text.

use crate::value::values;
use crate::{Error, Scope, Tx, View};
use domain::digest::Sha256Digest;
use jiff::Timestamp;

/// Keeps a transaction's text under its digest; one that is there stays.
///
/// # Errors
/// [`Error::NoSuchRow`] without such a tenant.
pub fn put_transaction(
    tx: &mut Tx,
    scope: &Scope,
    digest: Sha256Digest,
    body: &str,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO transactions (tenant_id, digest, body, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, digest) DO NOTHING",
        values![scope, digest, body, now],
    )?;
    Ok(())
}

/// The texts of these transactions, each with its digest, in the order of digests.
///
/// # Errors
/// Of the database.
pub fn transactions(
    view: &mut View,
    scope: &Scope,
    digests: &[Sha256Digest],
) -> Result<Vec<(Sha256Digest, String)>, Error> {
    let mut digests = digests.to_vec();
    digests.sort_unstable();
    digests.dedup();
    let mut found = Vec::with_capacity(digests.len());
    for some in digests.chunks(200) {
        let sql = format!(
            "SELECT digest, body FROM transactions WHERE tenant_id = $1 AND digest IN ({}) ORDER BY digest",
            crate::db::placeholders(2, some.len())
        );
        let mut values = values![scope];
        values.extend(some.iter().map(|digest| (*digest).into()));
        found.extend(view.list(sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?);
    }
    Ok(found)
}
