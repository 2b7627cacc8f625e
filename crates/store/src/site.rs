//! Sites: the places of a tenant's hosts.

use crate::value::{Row, values};
use crate::{ByName, Change, Error, Page, Scope, Tx, View};
use domain::id::SiteId;
use jiff::Timestamp;

/// A site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its id.
    pub id: SiteId,
    /// Its name, unique within the tenant.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
}

const COLUMNS: &str = "id, name, created_at, version";

fn read(row: &Row) -> Result<Site, Error> {
    let mut columns = row.columns();
    Ok(Site {
        id: columns.next()?,
        name: columns.next()?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}

/// Adds a site.
///
/// # Errors
/// [`Error::Taken`] where the name is, [`Error::NoSuchRow`] without such a tenant.
pub fn create(tx: &mut Tx, scope: &Scope, id: SiteId, name: &str, now: Timestamp) -> Result<Site, Error> {
    tx.execute(
        "INSERT INTO sites (tenant_id, id, name, created_at, version) VALUES ($1, $2, $3, $4, 1)",
        values![scope, id, name, now],
    )?;
    Ok(Site {
        id,
        name: name.to_owned(),
        created_at: now,
        version: 1,
    })
}

/// The site with this id.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: SiteId) -> Result<Option<Site>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM sites WHERE tenant_id = $1 AND id = $2"),
        values![scope, id],
        read,
    )
}

/// The site with this name.
///
/// # Errors
/// Of the database.
pub fn by_name(view: &mut View, scope: &Scope, name: &str) -> Result<Option<Site>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM sites WHERE tenant_id = $1 AND name = $2"),
        values![scope, name],
        read,
    )
}

/// The tenant's sites in the order of names.
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    scope: &Scope,
    after: Option<&ByName<SiteId>>,
    limit: u32,
) -> Result<Page<Site, ByName<SiteId>>, Error> {
    let from = if after.is_some() {
        "AND (name, id) > ($3, $4)"
    } else {
        ""
    };
    let sql = format!("SELECT {COLUMNS} FROM sites WHERE tenant_id = $1 {from} ORDER BY name, id LIMIT $2");
    let mut values = values![scope, limit.saturating_add(1)];
    values.extend(after.into_iter().flat_map(|key| values![&key.name, key.id]));
    let rows = view.list(sql, values, read)?;
    Ok(Page::of(rows, limit, |site| ByName {
        name: site.name.clone(),
        id: site.id,
    }))
}

/// Renames the site if it is still at this version.
///
/// # Errors
/// [`Error::Taken`] where the name is.
pub fn rename(
    tx: &mut Tx,
    scope: &Scope,
    id: SiteId,
    version: i64,
    name: &str,
) -> Result<Change<Site>, Error> {
    let changed = tx.find(
        format!(
            "UPDATE sites SET name = $4, version = version + 1
             WHERE tenant_id = $1 AND id = $2 AND version = $3 RETURNING {COLUMNS}"
        ),
        values![scope, id, version, name],
        read,
    )?;
    Change::of(changed, || get(tx, scope, id))
}

/// Removes the site if it is still at this version; gives the row that was.
///
/// # Errors
/// [`Error::NoSuchRow`] while hosts or tokens stand at it.
pub fn remove(tx: &mut Tx, scope: &Scope, id: SiteId, version: i64) -> Result<Change<Site>, Error> {
    let changed = tx.find(
        format!("DELETE FROM sites WHERE tenant_id = $1 AND id = $2 AND version = $3 RETURNING {COLUMNS}"),
        values![scope, id, version],
        read,
    )?;
    Change::of(changed, || get(tx, scope, id))
}
