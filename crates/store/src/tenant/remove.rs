//! Removing a tenant: at once for everybody who looks, and row by row afterwards, in small pieces, so that others go on beside
//! it. Which tables have rows of a tenant is read from the schema: a new one is not forgotten.

use super::Tenant;
use crate::migrations::OpenError;
use crate::schema::{self, Table};
use crate::value::values;
use crate::{Change, Error, Scope, Tx, View, Whole};
use domain::id::TenantId;

/// Removes a tenant if it is still at this version: nobody finds it any more, its hosts are unknown, its name is free.
///
/// # Errors
/// Of the database.
pub fn remove(tx: &mut Tx, _: &Whole, id: TenantId, version: i64) -> Result<Change<()>, Error> {
    let scope = Scope::of_tenant(id);
    let removed = tx.execute(
        "UPDATE tenants SET state = 'removed', name = $3, version = version + 1
         WHERE id = $1 AND version = $2 AND state <> 'removed'",
        values![id, version, format!("removed {id}")],
    )?;
    if removed == 0 {
        return Ok(super::get(tx, &scope)?.map_or(Change::Absent, |_: Tenant| Change::Conflict(())));
    }
    tx.execute("DELETE FROM agent_keys WHERE tenant_id = $1", values![id])?;
    Ok(Change::Changed(()))
}

/// Tenants that were removed and still have rows.
///
/// # Errors
/// Of the database.
pub fn removed(view: &mut View, _: &Whole) -> Result<Vec<TenantId>, Error> {
    view.list(
        "SELECT id FROM tenants WHERE state = 'removed' ORDER BY id",
        values![],
        |row| row.get(0),
    )
}

/// What refers to a tenant's people and has no owner of its own, or another one.
const OF_ITS_PEOPLE: [(&str, &str); 4] = [
    ("sessions", "user_id"),
    ("login_links", "user_id"),
    ("role_grants", "user_id"),
    ("tokens", "made_by"),
];

/// The rows of removed tenants on their way out.
#[derive(Debug)]
pub struct Removal {
    /// Those that refer come before those that are referred to.
    tables: Vec<Table>,
}

impl Removal {
    /// Reads which tables have rows of a tenant.
    ///
    /// # Errors
    /// Of the schema.
    pub async fn plan() -> Result<Self, OpenError> {
        let mut tables = schema::tables(&crate::Migrations::default()).await?;
        tables.retain(|table| table.name != "tenants" && table.owner().is_some());
        tables.reverse();
        Ok(Self { tables })
    }

    /// Removes up to `limit` rows of a tenant that was removed; how many. With the last of them goes the tenant itself; then
    /// it is none.
    ///
    /// # Errors
    /// Of the database.
    pub fn piece(&self, tx: &mut Tx, _: &Whole, tenant: TenantId, limit: u32) -> Result<u64, Error> {
        for (table, user) in OF_ITS_PEOPLE {
            tx.execute(
                format!("DELETE FROM {table} WHERE {user} IN (SELECT id FROM users WHERE owner = $1)"),
                values![tenant],
            )?;
        }
        for table in &self.tables {
            let (name, key) = (&table.name, table.key_names());
            let owner = table.owner().expect("the others were left out");
            let gone = tx.execute(
                format!(
                    "DELETE FROM {name} WHERE ({key}) IN (SELECT {key} FROM {name} WHERE {owner} = $1 LIMIT $2)"
                ),
                values![tenant, limit],
            )?;
            if gone > 0 {
                return Ok(gone);
            }
        }
        tx.execute(
            "DELETE FROM tenants WHERE id = $1 AND state = 'removed'",
            values![tenant],
        )?;
        Ok(0)
    }
}
