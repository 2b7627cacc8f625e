//! When hosts were heard of last, and the small measures that they send with each check-in. Written in batches; a batch that
//! is lost in a crash is made good by the next check-in.

use crate::value::{Row, values};
use crate::{Error, Scope, Tx, View, Whole};
use domain::id::{HostId, TenantId};
use jiff::Timestamp;

/// The last sign of life of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// The host.
    pub host: HostId,
    /// When it was heard of (server time).
    pub seen_at: Timestamp,
    /// When it is to be heard of again, at the latest.
    pub next_expected_at: Timestamp,
    /// The address that it came from.
    pub address: String,
    /// Which boot it reported.
    pub boot_id: Option<[u8; 16]>,
    /// Its measures, as JSON.
    pub measures: String,
}

fn read(row: &Row) -> Result<Liveness, Error> {
    let mut columns = row.columns();
    Ok(Liveness {
        host: columns.next()?,
        seen_at: columns.next()?,
        next_expected_at: columns.next()?,
        address: columns.next()?,
        boot_id: columns.next()?,
        measures: columns.next()?,
    })
}

const COLUMNS: &str = "host_id, seen_at, next_expected_at, address, boot_id, measures";

/// The last sign of life of a host, if there was any.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, host: HostId) -> Result<Option<Liveness>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM liveness WHERE tenant_id = $1 AND host_id = $2"),
        values![scope, host],
        read,
    )
}

/// Those of several hosts, in the order of host ids.
///
/// # Errors
/// Of the database.
pub fn of_hosts(view: &mut View, scope: &Scope, hosts: &[HostId]) -> Result<Vec<Liveness>, Error> {
    let mut found = Vec::with_capacity(hosts.len());
    for hosts in hosts.chunks(200) {
        let sql = format!(
            "SELECT {COLUMNS} FROM liveness WHERE tenant_id = $1 AND host_id IN ({}) ORDER BY host_id",
            crate::db::placeholders(2, hosts.len())
        );
        let mut values = values![scope];
        values.extend(hosts.iter().map(|host| (*host).into()));
        found.extend(view.list(sql, values, read)?);
    }
    Ok(found)
}

/// Hosts that should have been heard of before this time, the longest silent first.
///
/// # Errors
/// Of the database.
pub fn overdue(view: &mut View, scope: &Scope, now: Timestamp, limit: u32) -> Result<Vec<Liveness>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM liveness WHERE tenant_id = $1 AND next_expected_at < $2
             ORDER BY next_expected_at, host_id LIMIT $3"
        ),
        values![scope, now, limit],
        read,
    )
}

/// Notes signs of life, many hosts of many tenants at a time. An older one never replaces a newer one.
///
/// # Errors
/// [`Error::NoSuchRow`] where a tenant has no such host; then none is noted.
pub fn note(tx: &mut Tx, _: &Whole, signs: &[(TenantId, Liveness)]) -> Result<(), Error> {
    tx.execute_many(
        "INSERT INTO liveness (tenant_id, host_id, seen_at, next_expected_at, address, boot_id, measures)",
        "ON CONFLICT (tenant_id, host_id) DO UPDATE SET
             seen_at = excluded.seen_at, next_expected_at = excluded.next_expected_at, address = excluded.address,
             boot_id = excluded.boot_id, measures = excluded.measures
         WHERE liveness.seen_at <= excluded.seen_at",
        signs.iter().map(|(tenant, sign)| {
            values![
                *tenant,
                sign.host,
                sign.seen_at,
                sign.next_expected_at,
                &sign.address,
                sign.boot_id,
                &sign.measures
            ]
        }),
    )?;
    Ok(())
}

/// How many hosts that are not retired were not served since this moment: not seen since then, or seen and not let in.
///
/// # Errors
/// Of the database.
pub fn not_served_since(view: &mut View, _: &Whole, since: Timestamp) -> Result<u64, Error> {
    let count = view.find(
        "SELECT COUNT(*) FROM hosts h
         LEFT JOIN liveness l ON l.tenant_id = h.tenant_id AND l.host_id = h.id
         WHERE h.state <> 'retired' AND (h.state <> 'active' OR l.seen_at IS NULL OR l.seen_at < $1)",
        values![since],
        |row| row.get(0),
    )?;
    Ok(count.unwrap_or(0))
}
