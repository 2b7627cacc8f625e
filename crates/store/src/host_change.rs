//! What changed on a host and who changed it: Patchyard, another tool, or a person.

use crate::value::{Row, values, words};
use crate::{Error, Page, Scope, Tx, View};
use domain::id::HostId;
use jiff::Timestamp;
use std::collections::HashSet;

words! {
    /// What was done to a package.
    pub enum ChangeAction {
        /// It was not there before.
        Installed = "installed",
        /// A higher version took its place.
        Upgraded = "upgraded",
        /// A lower version took its place.
        Downgraded = "downgraded",
        /// Another build of the same version took its place.
        Rebuilt = "rebuilt",
        /// It is gone.
        Removed = "removed",
    }
}

words! {
    /// Who did it.
    pub enum ChangedBy {
        /// This system.
        Patchyard = "patchyard",
        /// Another program: the detail says which.
        Tool = "tool",
        /// A person at the host: the detail says what is known of them.
        Person = "person",
        /// Nothing says.
        Unknown = "unknown",
    }
}

/// A change to be noted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostChange {
    /// When it happened (agent time).
    pub observed_at: Timestamp,
    /// When the server learned of it.
    pub received_at: Timestamp,
    /// What was done.
    pub action: ChangeAction,
    /// To which package.
    pub package: String,
    /// Of which architecture.
    pub architecture: String,
    /// The version before.
    pub version_before: Option<String>,
    /// The version after.
    pub version_after: Option<String>,
    /// Who did it.
    pub changed_by: ChangedBy,
    /// Which tool, what command: as the host says, for people.
    pub detail: String,
}

fn read(row: &Row) -> Result<(u64, HostChange), Error> {
    let mut columns = row.columns();
    let number = columns.next()?;
    let change = HostChange {
        observed_at: columns.next()?,
        received_at: columns.next()?,
        action: columns.next()?,
        package: columns.next()?,
        architecture: columns.next()?,
        version_before: columns.next()?,
        version_after: columns.next()?,
        changed_by: columns.next()?,
        detail: columns.next()?,
    };
    Ok((number, change))
}

const COLUMNS: &str = "number, observed_at, received_at, action, package, architecture, version_before, version_after, changed_by, detail";

/// Notes changes of a host behind those that are there. A host tells its latest changes again with every report: what is there
/// already, the same in all but who did it, is passed over.
///
/// # Errors
/// [`Error::NoSuchRow`] where the tenant has no such host.
pub fn note(tx: &mut Tx, scope: &Scope, host: HostId, changes: &[HostChange]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    // Two requests of one host are numbered one after the other.
    tx.execute(
        "UPDATE hosts SET id = id WHERE tenant_id = $1 AND id = $2",
        values![scope, host],
    )?;
    let first = changes.iter().map(|change| change.observed_at).min();
    let known = tx.list(
        format!(
            "SELECT {COLUMNS} FROM host_changes WHERE tenant_id = $1 AND host_id = $2 AND observed_at >= $3"
        ),
        values![scope, host, first],
        read,
    )?;
    let known: HashSet<Event<'_>> = known.iter().map(|(_, change)| event(change)).collect();
    let next = tx.find(
        "SELECT COALESCE(MAX(number), 0) + 1 FROM host_changes WHERE tenant_id = $1 AND host_id = $2",
        values![scope, host],
        |row| row.get::<u64>(0),
    )?;
    tx.execute_many(
        "INSERT INTO host_changes (tenant_id, host_id, number, observed_at, received_at, action, package,
             architecture, version_before, version_after, changed_by, detail)",
        "",
        changes
            .iter()
            .filter(|change| !known.contains(&event(change)))
            .zip(next.unwrap_or(1)..)
            .map(|(change, number)| {
                values![
                    scope,
                    host,
                    number,
                    change.observed_at,
                    change.received_at,
                    change.action,
                    &change.package,
                    &change.architecture,
                    change.version_before.clone(),
                    change.version_after.clone(),
                    change.changed_by,
                    &change.detail
                ]
            }),
    )?;
    Ok(())
}

/// What tells one change of a host from another.
type Event<'a> = (Timestamp, &'a str, &'a str, Option<&'a str>, Option<&'a str>);

fn event(change: &HostChange) -> Event<'_> {
    (
        change.observed_at,
        &change.package,
        &change.architecture,
        change.version_before.as_deref(),
        change.version_after.as_deref(),
    )
}

/// The changes of a host, the last noted first, each with its number.
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    scope: &Scope,
    host: HostId,
    before: Option<u64>,
    limit: u32,
) -> Result<Page<(u64, HostChange), u64>, Error> {
    let rows = view.list(
        format!(
            "SELECT {COLUMNS} FROM host_changes
             WHERE tenant_id = $1 AND host_id = $2 AND number < $3 ORDER BY number DESC LIMIT $4"
        ),
        values![scope, host, before.unwrap_or(u64::MAX), limit.saturating_add(1)],
        read,
    )?;
    Ok(Page::of(rows, limit, |(number, _)| *number))
}

/// Forgets changes received before this time; how many, at most `limit`.
///
/// # Errors
/// Of the database.
pub fn forget_before(tx: &mut Tx, scope: &Scope, before: Timestamp, limit: u32) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM host_changes WHERE (tenant_id, host_id, number) IN (
             SELECT tenant_id, host_id, number FROM host_changes
             WHERE tenant_id = $1 AND received_at < $2 LIMIT $3)",
        values![scope, before, limit],
    )
}
