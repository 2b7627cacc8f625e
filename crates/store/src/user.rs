//! Users: the people who may log in, and how. Secrets arrive here hashed or sealed.

use crate::value::{Row, values, words};
use crate::{ByName, Change, Error, Owner, Page, Scope, Tx, View, Whole};
use domain::id::UserId;
use jiff::Timestamp;

words! {
    /// Whether a user may log in.
    pub enum UserState {
        /// They were made and have not chosen a password yet.
        Invited = "invited",
        /// They may.
        Active = "active",
        /// They may not; what they did is kept.
        Disabled = "disabled",
    }
}

/// A user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// The tenant whose person it is, or the server.
    pub owner: Owner,
    /// What they log in with, unique on the server.
    pub name: String,
    /// What others see.
    pub display_name: String,
    /// Whether they may log in.
    pub state: UserState,
    /// Argon2id in PHC form.
    pub password_hash: Option<String>,
    /// The second factor's secret, sealed under the master key.
    pub totp_sealed: Option<Vec<u8>>,
    /// The time step (RFC 6238) of the last code that was accepted: none is accepted twice.
    pub totp_last_step: Option<i64>,
    /// Failed log-ins since the last good one.
    pub failures: u32,
    /// When the last of them was.
    pub last_failure_at: Option<Timestamp>,
    /// When they were made.
    pub created_at: Timestamp,
    /// Counts changes by people.
    pub version: i64,
}

/// Without secrets.
impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("owner", &self.owner)
            .field("name", &self.name)
            .field("state", &self.state)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

const COLUMNS: &str = "id, owner, name, display_name, state, password_hash, totp_sealed, totp_last_step, failures, \
                       last_failure_at, created_at, version";

fn read(row: &Row) -> Result<User, Error> {
    let mut columns = row.columns();
    Ok(User {
        id: columns.next()?,
        owner: columns.next()?,
        name: columns.next()?,
        display_name: columns.next()?,
        state: columns.next()?,
        password_hash: columns.next()?,
        totp_sealed: columns.next()?,
        totp_last_step: columns.next()?,
        failures: columns.next()?,
        last_failure_at: columns.next()?,
        created_at: columns.next()?,
        version: columns.next()?,
    })
}

/// Adds an invited user without password.
///
/// # Errors
/// [`Error::Taken`] where the name is.
pub fn create(
    tx: &mut Tx,
    _: &Whole,
    owner: Owner,
    id: UserId,
    name: &str,
    display_name: &str,
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO users (id, owner, name, display_name, state, failures, created_at, version)
         VALUES ($1, $2, $3, $4, $5, 0, $6, 1)",
        values![id, owner, name, display_name, UserState::Invited, now],
    )?;
    Ok(())
}

/// Adds an invited user of this tenant, without password.
///
/// # Errors
/// As [`create`].
pub fn create_own(
    tx: &mut Tx,
    scope: &Scope,
    id: UserId,
    name: &str,
    display_name: &str,
    now: Timestamp,
) -> Result<(), Error> {
    create(tx, &Whole::server(), scope.owner(), id, name, display_name, now)
}

/// The user with this id, whosever they are: for authentication, and for the infrastructure.
///
/// # Errors
/// Of the database.
pub fn find(view: &mut View, _: &Whole, id: UserId) -> Result<Option<User>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM users WHERE id = $1"),
        values![id],
        read,
    )
}

/// The user who logs in with this name.
///
/// # Errors
/// Of the database.
pub fn by_name(view: &mut View, _: &Whole, name: &str) -> Result<Option<User>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM users WHERE name = $1"),
        values![name],
        read,
    )
}

/// The tenant's own user with this id.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: UserId) -> Result<Option<User>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM users WHERE owner = $1 AND id = $2"),
        values![scope, id],
        read,
    )
}

/// The tenant's own users in the order of names.
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    scope: &Scope,
    after: Option<&ByName<UserId>>,
    limit: u32,
) -> Result<Page<User, ByName<UserId>>, Error> {
    list(view, Some(scope.owner()), after, limit)
}

/// All users of the server and its tenants in the order of names.
///
/// # Errors
/// Of the database.
pub fn page_all(
    view: &mut View,
    _: &Whole,
    after: Option<&ByName<UserId>>,
    limit: u32,
) -> Result<Page<User, ByName<UserId>>, Error> {
    list(view, None, after, limit)
}

fn list(
    view: &mut View,
    owner: Option<Owner>,
    after: Option<&ByName<UserId>>,
    limit: u32,
) -> Result<Page<User, ByName<UserId>>, Error> {
    let mut values = values![limit.saturating_add(1)];
    let mut conditions = vec!["name IS NOT NULL".to_owned()];
    if let Some(owner) = owner {
        values.push(owner.into());
        conditions.push(format!("owner = ${}", values.len()));
    }
    if let Some(after) = after {
        values.extend(values![&after.name, after.id]);
        conditions.push(format!("(name, id) > (${}, ${})", values.len() - 1, values.len()));
    }
    let conditions = conditions.join(" AND ");
    let sql = format!("SELECT {COLUMNS} FROM users WHERE {conditions} ORDER BY name, id LIMIT $1");
    let rows = view.list(sql, values, read)?;
    Ok(Page::of(rows, limit, |user| ByName {
        name: user.name.clone(),
        id: user.id,
    }))
}

/// Whether anybody may log in yet.
///
/// # Errors
/// Of the database.
pub fn is_there_any(view: &mut View, _: &Whole) -> Result<bool, Error> {
    let found = view.row(
        "SELECT id FROM users WHERE state <> $1 LIMIT 1",
        values![UserState::Invited],
    )?;
    Ok(found.is_some())
}

/// What of a user people change.
#[derive(Clone, PartialEq, Eq)]
pub struct UserEdit {
    /// What others see.
    pub display_name: String,
    /// Whether they may log in.
    pub state: UserState,
    /// Argon2id in PHC form.
    pub password_hash: Option<String>,
    /// The second factor's secret, sealed.
    pub totp_sealed: Option<Vec<u8>>,
}

/// Changes any user if they are still at this version.
///
/// # Errors
/// Of the database.
pub fn edit(
    tx: &mut Tx,
    whole: &Whole,
    id: UserId,
    version: i64,
    edit: &UserEdit,
) -> Result<Change<User>, Error> {
    let changed = change(tx, None, id, version, edit)?;
    Change::of(changed, || find(tx, whole, id))
}

/// Changes one of the tenant's own users if they are still at this version.
///
/// # Errors
/// Of the database.
pub fn edit_own(
    tx: &mut Tx,
    scope: &Scope,
    id: UserId,
    version: i64,
    edit: &UserEdit,
) -> Result<Change<User>, Error> {
    let changed = change(tx, Some(scope.owner()), id, version, edit)?;
    Change::of(changed, || get(tx, scope, id))
}

fn change(
    tx: &mut Tx,
    owner: Option<Owner>,
    id: UserId,
    version: i64,
    edit: &UserEdit,
) -> Result<Option<User>, Error> {
    let mut values = values![
        id,
        version,
        &edit.display_name,
        edit.state,
        edit.password_hash.clone(),
        edit.totp_sealed.clone()
    ];
    let own = if owner.is_some() { "AND owner = $7" } else { "" };
    values.extend(owner.map(Into::into));
    let sql = format!(
        "UPDATE users SET display_name = $3, state = $4, password_hash = $5, totp_sealed = $6,
             totp_last_step = CASE WHEN totp_sealed = $6 THEN totp_last_step END, version = version + 1
         WHERE id = $1 AND version = $2 {own} RETURNING {COLUMNS}"
    );
    tx.find(sql, values, read)
}

/// Erases what is known of a person if they are still at this version: nobody can log in by it, and the name is this one.
///
/// # Errors
/// [`Error::Taken`] where the name is.
pub fn erase(
    tx: &mut Tx,
    whole: &Whole,
    id: UserId,
    version: i64,
    name: &str,
) -> Result<Change<User>, Error> {
    let sql = format!(
        "UPDATE users SET name = $3, display_name = $3, state = $4, password_hash = NULL, totp_sealed = NULL,
             totp_last_step = NULL, failures = 0, last_failure_at = NULL, version = version + 1
         WHERE id = $1 AND version = $2 RETURNING {COLUMNS}"
    );
    let erased = tx.find(sql, values![id, version, name, UserState::Disabled], read)?;
    Change::of(erased, || find(tx, whole, id))
}

/// Counts a failed log-in; how many there were in a row.
///
/// # Errors
/// Of the database.
pub fn note_failure(tx: &mut Tx, _: &Whole, id: UserId, now: Timestamp) -> Result<u32, Error> {
    let failures = tx.find(
        "UPDATE users SET failures = failures + 1, last_failure_at = $2 WHERE id = $1 RETURNING failures",
        values![id, now],
        |row| row.get(0),
    )?;
    Ok(failures.unwrap_or(0))
}

/// Forgets failed log-ins after a good one.
///
/// # Errors
/// Of the database.
pub fn forget_failures(tx: &mut Tx, _: &Whole, id: UserId) -> Result<(), Error> {
    tx.execute(
        "UPDATE users SET failures = 0 WHERE id = $1 AND failures <> 0",
        values![id],
    )?;
    Ok(())
}

/// Takes the code of this time step (RFC 6238) as used. Whether it was not used before, nor a later one.
///
/// # Errors
/// Of the database.
pub fn use_totp_step(tx: &mut Tx, _: &Whole, id: UserId, step: i64) -> Result<bool, Error> {
    let used = tx.execute(
        "UPDATE users SET totp_last_step = $2 WHERE id = $1 AND (totp_last_step IS NULL OR totp_last_step < $2)",
        values![id, step],
    )?;
    Ok(used == 1)
}
