//! Tenants: whose data nobody else sees. The server knows all of them; a tenant knows itself.

mod remove;

pub use remove::{Removal, remove, removed};

use crate::value::{Row, values, words};
use crate::{ByName, Change, Error, Page, Scope, Tx, View, Whole};
use domain::id::TenantId;
use jiff::Timestamp;

words! {
    /// Whether a tenant's hosts and people are served.
    pub enum TenantState {
        /// They are.
        Active = "active",
        /// They are not; everything is kept.
        Suspended = "suspended",
        /// It was removed: nobody finds it any more, and its rows are on their way out.
        Removed = "removed",
    }
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique on the server.
    pub name: String,
    /// Whether it is served.
    pub state: TenantState,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
}

const COLUMNS: &str = "id, name, state, created_at, version";

fn read(row: &Row) -> Result<Tenant, Error> {
    let mut columns = row.columns();
    Ok(Tenant {
        id: columns.next()?,
        name: columns.next()?,
        state: columns.next()?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}

/// Adds an active tenant.
///
/// # Errors
/// [`Error::Taken`] where the name or id is.
pub fn create(tx: &mut Tx, _: &Whole, id: TenantId, name: &str, now: Timestamp) -> Result<Tenant, Error> {
    let tenant = Tenant {
        id,
        name: name.to_owned(),
        state: TenantState::Active,
        created_at: now,
        version: 1,
    };
    tx.execute(
        "INSERT INTO tenants (id, name, state, next_host_no, created_at, version) VALUES ($1, $2, $3, 0, $4, 1)",
        values![id, name, tenant.state, now],
    )?;
    Ok(tenant)
}

/// The tenant itself, unless it was removed.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope) -> Result<Option<Tenant>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM tenants WHERE id = $1 AND state <> 'removed'"),
        values![scope],
        read,
    )
}

/// The tenant with this name.
///
/// # Errors
/// Of the database.
pub fn by_name(view: &mut View, _: &Whole, name: &str) -> Result<Option<Tenant>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM tenants WHERE name = $1"),
        values![name],
        read,
    )
}

/// Every tenant that was not removed, in the order of names.
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    _: &Whole,
    after: Option<&ByName<TenantId>>,
    limit: u32,
) -> Result<Page<Tenant, ByName<TenantId>>, Error> {
    let sql = match after {
        Some(_) => {
            format!(
                "SELECT {COLUMNS} FROM tenants
                 WHERE state <> 'removed' AND (name, id) > ($2, $3) ORDER BY name, id LIMIT $1"
            )
        }
        None => format!("SELECT {COLUMNS} FROM tenants WHERE state <> 'removed' ORDER BY name, id LIMIT $1"),
    };
    let mut values = values![limit.saturating_add(1)];
    values.extend(after.into_iter().flat_map(|key| values![&key.name, key.id]));
    let rows = view.list(sql, values, read)?;
    Ok(Page::of(rows, limit, |tenant| ByName {
        name: tenant.name.clone(),
        id: tenant.id,
    }))
}

/// What of a tenant can be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantEdit {
    /// Its name.
    pub name: String,
    /// Whether it is served.
    pub state: TenantState,
}

/// Changes the tenant if it is still at this version.
///
/// # Errors
/// [`Error::Taken`] where the name is.
pub fn edit(
    tx: &mut Tx,
    _: &Whole,
    id: TenantId,
    version: i64,
    edit: &TenantEdit,
) -> Result<Change<Tenant>, Error> {
    let changed = tx.find(
        format!(
            "UPDATE tenants SET name = $3, state = $4, version = version + 1
             WHERE id = $1 AND version = $2 AND state <> 'removed' RETURNING {COLUMNS}"
        ),
        values![id, version, &edit.name, edit.state],
        read,
    )?;
    Change::of(changed, || get(tx, &Scope::of_tenant(id)))
}
