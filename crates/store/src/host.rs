//! Hosts: who they are, what they said last, how they stand. What people decide about a host is compare-and-set by its
//! version; what its agent or the assessor observes leaves the version alone.

mod counts;
mod list;
mod observed;

pub use counts::{CountsBlock, count_then, forget_counts_before, set_counts};
pub use list::{HostFilter, HostNames, count, page, tags};
pub use observed::{
    FleetHost, HostStanding, Observed, Standing, fleet, fleet_of, note_observed, set_standings,
};

use crate::value::{Row, values, words};
use crate::{Change, Error, Scope, Tx, View};
use domain::assess::fleet::HostNo;
use domain::digest::Sha256Digest;
use domain::id::{HostId, SiteId, TenantId};
use jiff::Timestamp;

words! {
    /// Where a host is between enrolment and its end.
    pub enum HostState {
        /// It asked to be enrolled and waits for a person.
        Pending = "pending",
        /// It is managed.
        Active = "active",
        /// Its identity is in doubt; it is heard but not believed.
        Quarantined = "quarantined",
        /// It is gone; its history is kept.
        Retired = "retired",
    }
}

words! {
    /// What the host itself permits at most; no server can lift it.
    pub enum HostMode {
        /// To be looked at.
        Monitor = "monitor",
        /// To fetch packages.
        Download = "download",
        /// To install what is approved.
        Install = "install",
        /// To do everything that is approved, restarts included.
        Full = "full",
    }
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// Its number within the tenant, dense from 0 and never given away again.
    pub host_no: HostNo,
    /// Its name, as it says or a person decided; not unique.
    pub name: String,
    /// Its site.
    pub site: SiteId,
    /// Where it is between enrolment and its end.
    pub state: HostState,
    /// What it permits.
    pub mode: HostMode,
    /// The version of its agent.
    pub agent_version: String,
    /// What it recognised the machine by (a digest made by the agent), to see the same machine again.
    pub machine: Option<Sha256Digest>,
    /// Its present inventory.
    pub inventory: Option<Sha256Digest>,
    /// Its present channel config.
    pub channel_config: Option<Sha256Digest>,
    /// Its present facts.
    pub facts: Option<Sha256Digest>,
    /// How it stands, as assessed last.
    pub standing: HostStanding,
    /// Updates that it misses.
    pub missing: u32,
    /// How many of them are security updates.
    pub missing_security: u32,
    /// The tenant that it was moved from.
    pub moved_from: Option<TenantId>,
    /// The host that it is a copy of.
    pub copy_of: Option<HostId>,
    /// When it was enrolled.
    pub enrolled_at: Timestamp,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
    /// Counts what was decided about it.
    pub version: i64,
}

const COLUMNS: &str = "id, host_no, name, site_id, state, mode, agent_version, machine, inventory, channel_config, \
                       facts, standing, moved_from, copy_of, enrolled_at, retired_at, version";

/// A host's row. How many updates it misses is not in it.
fn read(row: &Row) -> Result<Host, Error> {
    let mut columns = row.columns();
    Ok(Host {
        id: columns.next()?,
        host_no: HostNo(columns.next()?),
        name: columns.next()?,
        site: columns.next()?,
        state: columns.next()?,
        mode: columns.next()?,
        agent_version: columns.next()?,
        machine: columns.next()?,
        inventory: columns.next()?,
        channel_config: columns.next()?,
        facts: columns.next()?,
        standing: columns.next()?,
        missing: 0,
        missing_security: 0,
        moved_from: columns.next()?,
        copy_of: columns.next()?,
        enrolled_at: columns.next()?,
        retired_at: columns.next()?,
        version: columns.next()?,
    })
}

fn counted(view: &mut View, scope: &Scope, host: Option<Host>) -> Result<Option<Host>, Error> {
    let mut hosts: Vec<Host> = host.into_iter().collect();
    counts::fill(view, scope, &mut hosts)?;
    Ok(hosts.pop())
}

/// A host as it enrols.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHost {
    /// Its id.
    pub id: HostId,
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: SiteId,
    /// [`HostState::Pending`] or [`HostState::Active`], as the token says.
    pub state: HostState,
    /// What it permits.
    pub mode: HostMode,
    /// The version of its agent.
    pub agent_version: String,
    /// What the machine is recognised by.
    pub machine: Option<Sha256Digest>,
    /// The tenant that it was moved from.
    pub moved_from: Option<TenantId>,
    /// The host that it is a copy of.
    pub copy_of: Option<HostId>,
}

/// Adds a host under the tenant's next number.
///
/// # Errors
/// [`Error::NoSuchRow`] where the tenant or its site is not there, [`Error::Taken`] where the id is.
pub fn create(tx: &mut Tx, scope: &Scope, host: &NewHost, now: Timestamp) -> Result<Host, Error> {
    let number = tx.find(
        "UPDATE tenants SET next_host_no = next_host_no + 1 WHERE id = $1 RETURNING next_host_no - 1",
        values![scope],
        |row| row.get::<u32>(0),
    )?;
    let created = tx.find(
        format!(
            "INSERT INTO hosts (tenant_id, id, host_no, name, site_id, state, mode, agent_version, machine, standing,
                 moved_from, copy_of, enrolled_at, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1) RETURNING {COLUMNS}"
        ),
        values![
            scope,
            host.id,
            // Without a tenant the number does not matter: the row's reference to it fails.
            number.unwrap_or(0),
            &host.name,
            host.site,
            host.state,
            host.mode,
            &host.agent_version,
            host.machine,
            HostStanding::Unknown,
            host.moved_from,
            host.copy_of,
            now
        ],
        read,
    )?;
    created.ok_or(Error::Decode {
        what: "the host that was just added",
    })
}

/// The host with this id.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: HostId) -> Result<Option<Host>, Error> {
    let found = view.find(
        format!("SELECT {COLUMNS} FROM hosts WHERE tenant_id = $1 AND id = $2"),
        values![scope, id],
        read,
    )?;
    counted(view, scope, found)
}

/// The host with this number.
///
/// # Errors
/// Of the database.
pub fn by_no(view: &mut View, scope: &Scope, host_no: HostNo) -> Result<Option<Host>, Error> {
    let found = view.find(
        format!("SELECT {COLUMNS} FROM hosts WHERE tenant_id = $1 AND host_no = $2"),
        values![scope, host_no.0],
        read,
    )?;
    counted(view, scope, found)
}

/// The hosts, retired ones too, that were the same machine, the last enrolled first.
///
/// # Errors
/// Of the database.
pub fn by_machine(view: &mut View, scope: &Scope, machine: Sha256Digest) -> Result<Vec<Host>, Error> {
    let mut found = view.list(
        format!(
            "SELECT {COLUMNS} FROM hosts WHERE tenant_id = $1 AND machine = $2 ORDER BY enrolled_at DESC, id DESC LIMIT 100"
        ),
        values![scope, machine],
        read,
    )?;
    counts::fill(view, scope, &mut found)?;
    Ok(found)
}

/// What of a host a person can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostEdit {
    /// Its name.
    pub name: String,
    /// Its site.
    pub site: SiteId,
}

/// Renames or moves the host within its tenant if it is still at this version.
///
/// # Errors
/// [`Error::NoSuchRow`] where the tenant has no such site.
pub fn edit(
    tx: &mut Tx,
    scope: &Scope,
    id: HostId,
    version: i64,
    edit: &HostEdit,
) -> Result<Change<Host>, Error> {
    let changed = tx.find(
        format!(
            "UPDATE hosts SET name = $4, site_id = $5, version = version + 1
             WHERE tenant_id = $1 AND id = $2 AND version = $3 RETURNING {COLUMNS}"
        ),
        values![scope, id, version, &edit.name, edit.site],
        read,
    )?;
    if changed.is_some() {
        rename_tags(tx, scope, id, &edit.name)?;
    }
    let changed = counted(tx, scope, changed)?;
    Change::of(changed, || get(tx, scope, id))
}

/// Sets the host's state if it is still at this version. Which state may follow which is the domain's rule.
///
/// # Errors
/// Of the database.
pub fn set_state(
    tx: &mut Tx,
    scope: &Scope,
    id: HostId,
    version: i64,
    state: HostState,
    now: Timestamp,
) -> Result<Change<Host>, Error> {
    let retired_at = (state == HostState::Retired).then_some(now);
    let changed = tx.find(
        format!(
            "UPDATE hosts SET state = $4, retired_at = $5, version = version + 1
             WHERE tenant_id = $1 AND id = $2 AND version = $3 RETURNING {COLUMNS}"
        ),
        values![scope, id, version, state, retired_at],
        read,
    )?;
    let changed = counted(tx, scope, changed)?;
    Change::of(changed, || get(tx, scope, id))
}

/// Replaces the host's tags if it is still at this version.
///
/// # Errors
/// Of the database.
pub fn set_tags(
    tx: &mut Tx,
    scope: &Scope,
    id: HostId,
    version: i64,
    tags: &[String],
) -> Result<Change<Host>, Error> {
    let changed = tx.find(
        format!(
            "UPDATE hosts SET version = version + 1
             WHERE tenant_id = $1 AND id = $2 AND version = $3 RETURNING {COLUMNS}"
        ),
        values![scope, id, version],
        read,
    )?;
    if let Some(host) = &changed {
        tx.execute(
            "DELETE FROM host_tags WHERE tenant_id = $1 AND host_id = $2",
            values![scope, id],
        )?;
        tx.execute_many(
            "INSERT INTO host_tags (tenant_id, tag, name, host_id)",
            "ON CONFLICT (tenant_id, tag, name, host_id) DO NOTHING",
            tags.iter().map(|tag| values![scope, tag, &host.name, id]),
        )?;
    }
    let changed = counted(tx, scope, changed)?;
    Change::of(changed, || get(tx, scope, id))
}

/// The tags carry the host's name, so that hosts of one tag are listed in the order of names.
fn rename_tags(tx: &mut Tx, scope: &Scope, id: HostId, name: &str) -> Result<(), Error> {
    tx.execute(
        "UPDATE host_tags SET name = $3 WHERE tenant_id = $1 AND host_id = $2 AND name <> $3",
        values![scope, id, name],
    )?;
    Ok(())
}
