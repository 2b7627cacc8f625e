//! Which sources the stanzas of a channel config mean. Derived: it can be thrown away and found again.

use crate::value::{Row, values};
use crate::{Error, Owner, Scope, Tx, View, Whole};
use domain::digest::Sha256Digest;
use domain::id::{SourceId, TenantId};

/// A stanza that means a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelMatch {
    /// The stanza's place in its channel config, from 0.
    pub stanza: u32,
    /// Whose source.
    pub owner: Owner,
    /// The source.
    pub source: SourceId,
}

fn read(row: &Row) -> Result<ChannelMatch, Error> {
    let mut columns = row.columns();
    Ok(ChannelMatch {
        stanza: columns.next()?,
        owner: columns.next()?,
        source: columns.next()?,
    })
}

/// Replaces what a channel config is known to mean.
///
/// # Errors
/// [`Error::NoSuchRow`] where the document or a source is not there.
pub fn set(
    tx: &mut Tx,
    scope: &Scope,
    channel_config: Sha256Digest,
    matches: &[ChannelMatch],
) -> Result<(), Error> {
    tx.execute(
        "DELETE FROM channel_matches WHERE tenant_id = $1 AND channel_config = $2",
        values![scope, channel_config],
    )?;
    tx.execute_many(
        "INSERT INTO channel_matches (tenant_id, channel_config, stanza, source_owner, source_id)",
        "ON CONFLICT (tenant_id, channel_config, stanza, source_owner, source_id) DO NOTHING",
        matches
            .iter()
            .map(|found| values![scope, channel_config, found.stanza, found.owner, found.source]),
    )?;
    Ok(())
}

/// What a channel config is known to mean, in the order of stanzas.
///
/// # Errors
/// Of the database.
pub fn of(view: &mut View, scope: &Scope, channel_config: Sha256Digest) -> Result<Vec<ChannelMatch>, Error> {
    view.list(
        "SELECT stanza, source_owner, source_id FROM channel_matches
         WHERE tenant_id = $1 AND channel_config = $2 ORDER BY stanza, source_owner, source_id",
        values![scope, channel_config],
        read,
    )
}

/// The channel configs that some host of the tenant has now, in ascending order.
///
/// # Errors
/// Of the database.
pub fn in_use(view: &mut View, scope: &Scope) -> Result<Vec<Sha256Digest>, Error> {
    view.list(
        "SELECT DISTINCT channel_config FROM hosts
         WHERE tenant_id = $1 AND channel_config IS NOT NULL ORDER BY channel_config",
        values![scope],
        |row| row.get(0),
    )
}

/// The channel configs, with their tenants, that use a source: whose findings a sync of it may change.
///
/// # Errors
/// Of the database.
pub fn users_of(
    view: &mut View,
    _: &Whole,
    source: SourceId,
) -> Result<Vec<(TenantId, Sha256Digest)>, Error> {
    view.list(
        "SELECT DISTINCT tenant_id, channel_config FROM channel_matches
         WHERE source_owner = (SELECT owner FROM sources WHERE id = $1) AND source_id = $1
         ORDER BY tenant_id, channel_config",
        values![source],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}
