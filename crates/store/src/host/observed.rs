//! What is observed about hosts, by their agents and by the assessor. It never touches a host's version: an operator's
//! decision is not made stale by a check-in.

use crate::lease::{self, Fence};
use crate::value::{Row, values, words};
use crate::{Error, Scope, Tx, View, Whole};
use domain::assess::fleet::HostNo;
use domain::digest::Sha256Digest;
use domain::id::HostId;
use jiff::Timestamp;
use std::ops::ControlFlow;

use super::{HostMode, HostState};

words! {
    /// How a host stands.
    pub enum HostStanding {
        /// Something about it is not known: no source answers for a package, a source is stale, it never reported.
        Unknown = "unknown",
        /// All is known, and it misses updates.
        UpdatesMissing = "updates_missing",
        /// All is known, and it misses nothing.
        UpToDate = "up_to_date",
    }
}

/// What an agent says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// What the host permits.
    pub mode: HostMode,
    /// The version of its agent.
    pub agent_version: String,
}

/// Notes what an agent says about itself. Whether there is such a host.
///
/// # Errors
/// Of the database.
pub fn note_observed(tx: &mut Tx, scope: &Scope, id: HostId, observed: &Observed) -> Result<bool, Error> {
    let noted = tx.execute(
        "UPDATE hosts SET mode = $3, agent_version = $4 WHERE tenant_id = $1 AND id = $2",
        values![scope, id, observed.mode, &observed.agent_version],
    )?;
    Ok(noted == 1)
}

/// How a host was found to stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The host.
    pub host_no: HostNo,
    /// How it stands.
    pub standing: HostStanding,
}

/// Writes how hosts stand, under the assessor's lease.
///
/// # Errors
/// [`Error::Fenced`] if another took the lease; then nothing is written.
pub fn set_standings(
    tx: &mut Tx,
    scope: &Scope,
    fence: &Fence,
    standings: &[Standing],
    now: Timestamp,
) -> Result<(), Error> {
    lease::hold(tx, &Whole::server(), fence, now)?;
    for standing in HostStanding::ALL {
        let hosts = standings.iter().filter(|found| found.standing == *standing);
        tx.execute_fenced(
            fence,
            [
                "UPDATE hosts SET standing = $2",
                "tenant_id = $1 AND host_no = v.column1 AND standing <> $2",
                "",
            ],
            values![scope, *standing],
            hosts.map(|found| values![found.host_no.0]),
        )?;
    }
    Ok(())
}

/// A host as the assessor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FleetHost {
    /// Its number.
    pub host_no: HostNo,
    /// Its id.
    pub id: HostId,
    /// Where it is between enrolment and its end.
    pub state: HostState,
    /// Its present inventory.
    pub inventory: Option<Sha256Digest>,
    /// Its present channel config.
    pub channel_config: Option<Sha256Digest>,
}

fn read(row: &Row) -> Result<FleetHost, Error> {
    let mut columns = row.columns();
    Ok(FleetHost {
        host_no: HostNo(columns.next()?),
        id: columns.next()?,
        state: columns.next()?,
        inventory: columns.next()?,
        channel_config: columns.next()?,
    })
}

/// Hands over every host of the tenant, retired ones too, in the order of their numbers.
///
/// # Errors
/// Of the database, or what `take` fails with.
pub fn fleet(
    view: &mut View,
    scope: &Scope,
    mut take: impl FnMut(FleetHost) -> Result<(), Error>,
) -> Result<(), Error> {
    view.each(
        "SELECT host_no, id, state, inventory, channel_config FROM hosts WHERE tenant_id = $1 ORDER BY host_no",
        values![scope],
        |row| {
            take(read(row)?)?;
            Ok(ControlFlow::Continue(()))
        },
    )
}

/// These hosts as the assessor sees them, in no order.
///
/// # Errors
/// Of the database.
pub fn fleet_of(view: &mut View, scope: &Scope, hosts: &[HostId]) -> Result<Vec<FleetHost>, Error> {
    let mut found = Vec::with_capacity(hosts.len());
    for hosts in hosts.chunks(256) {
        let ids = crate::db::placeholders(2, hosts.len());
        let sql = format!(
            "SELECT host_no, id, state, inventory, channel_config FROM hosts WHERE tenant_id = $1 AND id IN ({ids})"
        );
        let mut values = values![scope];
        values.extend(hosts.iter().map(|host| (*host).into()));
        found.extend(view.list(sql, values, read)?);
    }
    Ok(found)
}
