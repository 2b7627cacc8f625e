//! Roles and who has them where: permissions are data. A role is the server's, for every tenant to give, or a tenant's own.

use crate::value::{Row, values};
use crate::{Change, Error, Owner, Scope, Tx, View, Whole};
use domain::id::{GrantId, RoleId, SiteId, UserId};
use jiff::Timestamp;

/// A named set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Whose it is.
    pub owner: Owner,
    /// Its id.
    pub id: RoleId,
    /// Its name, unique among its owner's.
    pub name: String,
    /// Verbs and nouns, as JSON.
    pub permissions: String,
    /// Whether it comes with the program, which then keeps it as it is.
    pub is_built_in: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub version: i64,
}

const COLUMNS: &str = "owner, id, name, permissions, is_built_in, created_at, version";

fn read(row: &Row) -> Result<Role, Error> {
    let mut columns = row.columns();
    Ok(Role {
        owner: columns.next()?,
        id: columns.next()?,
        name: columns.next()?,
        permissions: columns.next()?,
        is_built_in: columns.next()?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}

/// Adds or renews a role that comes with the program; its permissions are those of the program that wrote last.
///
/// # Errors
/// [`Error::Taken`] where another role has the name.
pub fn put_built_in(
    tx: &mut Tx,
    _: &Whole,
    id: RoleId,
    name: &str,
    permissions: &str,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO roles (owner, id, name, permissions, is_built_in, created_at, version)
         VALUES ($1, $2, $3, $4, 1, $5, 1)
         ON CONFLICT (owner, id) DO UPDATE SET
             name = excluded.name, permissions = excluded.permissions, version = roles.version + 1
         WHERE roles.name <> excluded.name OR roles.permissions <> excluded.permissions",
        values![Owner::Shared, id, name, permissions, now],
    )?;
    Ok(())
}

/// Adds a role of the tenant's own.
///
/// # Errors
/// [`Error::Taken`] where the name is.
pub fn create(
    tx: &mut Tx,
    scope: &Scope,
    id: RoleId,
    name: &str,
    permissions: &str,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO roles (owner, id, name, permissions, is_built_in, created_at, version)
         VALUES ($1, $2, $3, $4, 0, $5, 1)",
        values![scope.owner(), id, name, permissions, now],
    )?;
    Ok(())
}

/// The roles that the tenant can give: the server's, then its own, each in the order of names.
///
/// # Errors
/// Of the database.
pub fn all(view: &mut View, scope: &Scope) -> Result<Vec<Role>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM roles WHERE owner IN ($1, $2) ORDER BY owner, name"),
        values![Owner::Shared, scope],
        read,
    )
}

/// The server's roles in the order of names.
///
/// # Errors
/// Of the database.
pub fn all_shared(view: &mut View, _: &Whole) -> Result<Vec<Role>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM roles WHERE owner = $1 ORDER BY name"),
        values![Owner::Shared],
        read,
    )
}

/// A role that the tenant can give.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: RoleId) -> Result<Option<Role>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM roles WHERE owner IN ($1, $2) AND id = $3"),
        values![Owner::Shared, scope, id],
        read,
    )
}

/// Changes a role of the tenant's own if it is still at this version.
///
/// # Errors
/// [`Error::Taken`] where the name is.
pub fn edit(
    tx: &mut Tx,
    scope: &Scope,
    id: RoleId,
    version: i64,
    name: &str,
    permissions: &str,
) -> Result<Change<Role>, Error> {
    let changed = tx.find(
        format!(
            "UPDATE roles SET name = $4, permissions = $5, version = version + 1
             WHERE owner = $1 AND id = $2 AND version = $3 AND is_built_in = 0 RETURNING {COLUMNS}"
        ),
        values![scope, id, version, name, permissions],
        read,
    )?;
    Change::of(changed, || get(tx, scope, id))
}

/// A role given to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Its id.
    pub id: GrantId,
    /// Where it holds: on the whole server, or in one tenant.
    pub owner: Owner,
    /// Where it holds within the tenant: at one site, or everywhere.
    pub site: Option<SiteId>,
    /// Who has it.
    pub user: UserId,
    /// The role.
    pub role: RoleId,
    /// The role's verbs and nouns, as JSON.
    pub permissions: String,
    /// Who gave it.
    pub granted_by: Option<UserId>,
    /// When.
    pub granted_at: Timestamp,
}

const GRANTS: &str =
    "SELECT g.id, g.owner, g.site_id, g.user_id, g.role_id, r.permissions, g.granted_by, g.granted_at
    FROM role_grants g JOIN roles r ON r.owner = g.role_owner AND r.id = g.role_id";

fn read_grant(row: &Row) -> Result<Grant, Error> {
    let mut columns = row.columns();
    Ok(Grant {
        id: columns.next()?,
        owner: columns.next()?,
        site: columns.next()?,
        user: columns.next()?,
        role: columns.next()?,
        permissions: columns.next()?,
        granted_by: columns.next()?,
        granted_at: columns.next()?,
    })
}

/// A grant to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// Its id.
    pub id: GrantId,
    /// Who gets it.
    pub user: UserId,
    /// What they get: a role of the server's, or of the tenant's own.
    pub role: RoleId,
    /// At one site only.
    pub site: Option<SiteId>,
    /// Who gives it.
    pub granted_by: Option<UserId>,
}

/// Gives a user a role in this tenant. Whether there is such a role to give.
///
/// # Errors
/// [`Error::NoSuchRow`] where the user or the site is not there.
pub fn grant(tx: &mut Tx, scope: &Scope, new: &NewGrant, now: Timestamp) -> Result<bool, Error> {
    let Some(role) = get(tx, scope, new.role)? else {
        return Ok(false);
    };
    insert_grant(tx, scope.owner(), role.owner, new, now)?;
    Ok(true)
}

/// Gives a user a role of the server's on the whole server.
///
/// # Errors
/// [`Error::NoSuchRow`] where the user or the role is not there.
pub fn grant_everywhere(tx: &mut Tx, _: &Whole, new: &NewGrant, now: Timestamp) -> Result<(), Error> {
    insert_grant(tx, Owner::Shared, Owner::Shared, new, now)
}

fn insert_grant(
    tx: &mut Tx,
    owner: Owner,
    role_owner: Owner,
    new: &NewGrant,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO role_grants (id, owner, user_id, role_owner, role_id, site_id, granted_by, granted_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        values![
            new.id,
            owner,
            new.user,
            role_owner,
            new.role,
            new.site,
            new.granted_by,
            now
        ],
    )?;
    Ok(())
}

/// All that a user was given, wherever: for authorisation.
///
/// # Errors
/// Of the database.
pub fn grants_of(view: &mut View, _: &Whole, user: UserId) -> Result<Vec<Grant>, Error> {
    view.list(
        format!("{GRANTS} WHERE g.user_id = $1 ORDER BY g.id"),
        values![user],
        read_grant,
    )
}

/// What was given on the whole server.
///
/// # Errors
/// Of the database.
pub fn grants_everywhere(view: &mut View, _: &Whole) -> Result<Vec<Grant>, Error> {
    view.list(
        format!("{GRANTS} WHERE g.owner = $1 ORDER BY g.id"),
        values![Owner::Shared],
        read_grant,
    )
}

/// Who may log in and has something on the whole server: each with the permissions of one role, as JSON.
///
/// # Errors
/// Of the database.
pub fn active_everywhere(view: &mut View, _: &Whole) -> Result<Vec<(UserId, String)>, Error> {
    view.list(
        "SELECT g.user_id, r.permissions FROM role_grants g
         JOIN roles r ON r.owner = g.role_owner AND r.id = g.role_id
         JOIN users u ON u.id = g.user_id
         WHERE g.owner = $1 AND u.state = 'active'
         ORDER BY g.user_id",
        values![Owner::Shared],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Takes back all that a user was given, wherever. How many grants.
///
/// # Errors
/// Of the database.
pub fn take_back_all(tx: &mut Tx, _: &Whole, user: UserId) -> Result<u64, Error> {
    tx.execute("DELETE FROM role_grants WHERE user_id = $1", values![user])
}

/// What was given to users in this tenant.
///
/// # Errors
/// Of the database.
pub fn grants(view: &mut View, scope: &Scope) -> Result<Vec<Grant>, Error> {
    view.list(
        format!("{GRANTS} WHERE g.owner = $1 ORDER BY g.id"),
        values![scope],
        read_grant,
    )
}

/// Takes back what was given in this tenant. Whether there was such a grant.
///
/// # Errors
/// Of the database.
pub fn take_back(tx: &mut Tx, scope: &Scope, id: GrantId) -> Result<bool, Error> {
    let gone = tx.execute(
        "DELETE FROM role_grants WHERE owner = $1 AND id = $2",
        values![scope, id],
    )?;
    Ok(gone == 1)
}

/// Takes back what was given on the whole server. Whether there was such a grant.
///
/// # Errors
/// Of the database.
pub fn take_back_everywhere(tx: &mut Tx, _: &Whole, id: GrantId) -> Result<bool, Error> {
    let gone = tx.execute(
        "DELETE FROM role_grants WHERE owner = $1 AND id = $2",
        values![Owner::Shared, id],
    )?;
    Ok(gone == 1)
}
