//! What is not known of a host, and since when: its holes, by generations of findings.

use crate::finding::Generation;
use crate::host::HostStanding;
use crate::lease::Fence;
use crate::value::{Row, values};
use crate::{Error, Scope, Tx, View};
use domain::id::HostId;
use std::collections::HashMap;

/// What is not known of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// The host.
    pub host: HostId,
    /// How it stands.
    pub standing: HostStanding,
    /// Its holes, as canonical JSON.
    pub holes: String,
}

/// What stands for the end of what is in force.
const OPEN: i64 = i64::MAX;

fn read(row: &Row) -> Result<Coverage, Error> {
    let mut columns = row.columns();
    Ok(Coverage {
        host: columns.next()?,
        standing: columns.next()?,
        holes: columns.next()?,
    })
}

/// Writes what is not known of hosts to a generation that was begun in this transaction; what is the same stays.
///
/// # Errors
/// [`Error::Fenced`] if another took the lease.
pub fn write(
    tx: &mut Tx,
    scope: &Scope,
    fence: &Fence,
    generation: &Generation,
    hosts: &[Coverage],
) -> Result<(), Error> {
    let ids: Vec<HostId> = hosts.iter().map(|found| found.host).collect();
    let present = of_hosts(tx, scope, &ids, generation.number)?;
    let is_other = |found: &&Coverage| present.get(&found.host) != Some(*found);
    let changed: Vec<&Coverage> = hosts.iter().filter(is_other).collect();
    tx.execute_fenced(
        fence,
        [
            "UPDATE coverage SET until_generation = $2",
            "tenant_id = $1 AND host_id = v.column1 AND until_generation = $3 AND generation < $2",
            "",
        ],
        values![scope, generation.number, OPEN],
        changed.iter().map(|found| values![found.host]),
    )?;
    let written = tx.execute_fenced(
        fence,
        [
            "INSERT INTO coverage (tenant_id, generation, until_generation, host_id, standing, holes)
             SELECT $1, $2, $3, v.column1, v.column2, v.column3",
            "$2 > 0",
            "ON CONFLICT (tenant_id, host_id, generation) DO UPDATE SET
                 standing = excluded.standing, holes = excluded.holes",
        ],
        values![scope, generation.number, OPEN],
        changed
            .iter()
            .map(|found| values![found.host, found.standing, &found.holes]),
    )?;
    match written == changed.len() as u64 {
        true => Ok(()),
        false => Err(Error::Fenced {
            lease: fence.name().to_owned().into(),
        }),
    }
}

/// Hosts that are asked for in one statement.
const HOSTS_AT_A_TIME: usize = 256;

/// What was not known of these hosts in a generation; nothing of one that was never assessed by then.
///
/// # Errors
/// Of the database.
pub fn of_hosts(
    view: &mut View,
    scope: &Scope,
    hosts: &[HostId],
    generation: u64,
) -> Result<HashMap<HostId, Coverage>, Error> {
    let mut found = HashMap::with_capacity(hosts.len());
    for hosts in hosts.chunks(HOSTS_AT_A_TIME) {
        let sql = format!(
            "SELECT host_id, standing, holes FROM coverage
             WHERE tenant_id = $1 AND generation <= $2 AND until_generation > $2 AND host_id IN ({})",
            crate::db::placeholders(3, hosts.len())
        );
        let mut values = values![scope, generation];
        values.extend(hosts.iter().map(|host| (*host).into()));
        let rows = view.list(sql, values, read)?;
        found.extend(rows.into_iter().map(|row| (row.host, row)));
    }
    Ok(found)
}

/// How many hosts stood how in a generation.
///
/// # Errors
/// Of the database.
pub fn standings(view: &mut View, scope: &Scope, generation: u64) -> Result<Vec<(HostStanding, u64)>, Error> {
    view.list(
        "SELECT standing, COUNT(*) FROM coverage
         WHERE tenant_id = $1 AND generation <= $2 AND until_generation > $2 GROUP BY standing ORDER BY standing",
        values![scope, generation],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Forgets what ended up to this generation; how many, at most `limit`.
///
/// # Errors
/// Of the database.
pub fn forget_before(tx: &mut Tx, scope: &Scope, generation: u64, limit: u32) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM coverage WHERE (tenant_id, host_id, generation) IN (
             SELECT tenant_id, host_id, generation FROM coverage
             WHERE tenant_id = $1 AND until_generation <= $2 LIMIT $3)",
        values![scope, generation, limit],
    )
}
