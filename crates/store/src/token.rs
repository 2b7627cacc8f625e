//! Tokens by which programs use the API: known by the hash of their secret, with a subset of what their maker may do.

use crate::value::{Row, values};
use crate::{ByName, Change, Error, Owner, Page, Scope, Tx, View, Whole};
use domain::id::{SiteId, TokenId, UserId};
use jiff::Timestamp;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id, which is no secret.
    pub id: TokenId,
    /// Where it holds: on the whole server, or in one tenant.
    pub owner: Owner,
    /// Where it holds within the tenant: at one site, or everywhere.
    pub site: Option<SiteId>,
    /// Its name, for people.
    pub name: String,
    /// Who made it; nobody for the one of the local command line.
    pub made_by: Option<UserId>,
    /// Verbs and nouns, as JSON.
    pub permissions: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was used last, as far as that is written down.
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Counts its changes.
    pub version: i64,
}

const COLUMNS: &str =
    "id, owner, site_id, name, made_by, permissions, created_at, expires_at, used_at, revoked_at, version";

fn read(row: &Row) -> Result<Token, Error> {
    let mut columns = row.columns();
    Ok(Token {
        id: columns.next()?,
        owner: columns.next()?,
        site: columns.next()?,
        name: columns.next()?,
        made_by: columns.next()?,
        permissions: columns.next()?,
        created_at: columns.next()?,
        expires_at: columns.next()?,
        used_at: columns.next()?,
        revoked_at: columns.next()?,
        version: columns.next()?,
    })
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    /// Its id.
    pub id: TokenId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// Its name.
    pub name: String,
    /// Who makes it.
    pub made_by: Option<UserId>,
    /// Verbs and nouns, as JSON: a subset of the maker's, which the caller has checked.
    pub permissions: String,
    /// At one site only.
    pub site: Option<SiteId>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// Makes a token that holds in this tenant.
///
/// # Errors
/// [`Error::NoSuchRow`] where the maker or the site is not there.
pub fn create(tx: &mut Tx, scope: &Scope, new: &NewToken, now: Timestamp) -> Result<(), Error> {
    insert(tx, scope.owner(), new, now)
}

/// Makes a token that holds on the whole server.
///
/// # Errors
/// [`Error::NoSuchRow`] where the maker is not there.
pub fn create_everywhere(tx: &mut Tx, _: &Whole, new: &NewToken, now: Timestamp) -> Result<(), Error> {
    insert(tx, Owner::Shared, new, now)
}

fn insert(tx: &mut Tx, owner: Owner, new: &NewToken, now: Timestamp) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO tokens (id, owner, secret_hash, name, made_by, permissions, site_id, created_at, expires_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)",
        values![
            new.id,
            owner,
            new.secret_hash,
            &new.name,
            new.made_by,
            &new.permissions,
            new.site,
            now,
            new.expires_at
        ],
    )?;
    Ok(())
}

/// The token with this secret, if it was not revoked and has not ended: for authentication.
///
/// # Errors
/// Of the database.
pub fn find(
    view: &mut View,
    _: &Whole,
    secret_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Token>, Error> {
    view.find(
        format!(
            "SELECT {COLUMNS} FROM tokens
             WHERE secret_hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)"
        ),
        values![secret_hash, now],
        read,
    )
}

/// The token of this tenant with this id.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: TokenId) -> Result<Option<Token>, Error> {
    get_of(view, scope.owner(), id)
}

fn get_of(view: &mut View, owner: Owner, id: TokenId) -> Result<Option<Token>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM tokens WHERE owner = $1 AND id = $2"),
        values![owner, id],
        read,
    )
}

/// The tokens of this tenant in the order of names.
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    scope: &Scope,
    after: Option<&ByName<TokenId>>,
    limit: u32,
) -> Result<Page<Token, ByName<TokenId>>, Error> {
    page_of(view, scope.owner(), after, limit)
}

/// The tokens of the whole server in the order of names.
///
/// # Errors
/// Of the database.
pub fn page_everywhere(
    view: &mut View,
    _: &Whole,
    after: Option<&ByName<TokenId>>,
    limit: u32,
) -> Result<Page<Token, ByName<TokenId>>, Error> {
    page_of(view, Owner::Shared, after, limit)
}

fn page_of(
    view: &mut View,
    owner: Owner,
    after: Option<&ByName<TokenId>>,
    limit: u32,
) -> Result<Page<Token, ByName<TokenId>>, Error> {
    let from = if after.is_some() {
        "AND (name, id) > ($3, $4)"
    } else {
        ""
    };
    let sql = format!("SELECT {COLUMNS} FROM tokens WHERE owner = $1 {from} ORDER BY name, id LIMIT $2");
    let mut values = values![owner, limit.saturating_add(1)];
    values.extend(after.into_iter().flat_map(|key| values![&key.name, key.id]));
    let rows = view.list(sql, values, read)?;
    Ok(Page::of(rows, limit, |token| ByName {
        name: token.name.clone(),
        id: token.id,
    }))
}

/// Revokes a token of this tenant if it is still at this version.
///
/// # Errors
/// Of the database.
pub fn revoke(
    tx: &mut Tx,
    scope: &Scope,
    id: TokenId,
    version: i64,
    now: Timestamp,
) -> Result<Change<Token>, Error> {
    revoke_of(tx, scope.owner(), id, version, now)
}

/// Revokes a token of the whole server if it is still at this version.
///
/// # Errors
/// Of the database.
pub fn revoke_everywhere(
    tx: &mut Tx,
    _: &Whole,
    id: TokenId,
    version: i64,
    now: Timestamp,
) -> Result<Change<Token>, Error> {
    revoke_of(tx, Owner::Shared, id, version, now)
}

fn revoke_of(
    tx: &mut Tx,
    owner: Owner,
    id: TokenId,
    version: i64,
    now: Timestamp,
) -> Result<Change<Token>, Error> {
    let changed = tx.find(
        format!(
            "UPDATE tokens SET revoked_at = $4, version = version + 1
             WHERE owner = $1 AND id = $2 AND version = $3 AND revoked_at IS NULL RETURNING {COLUMNS}"
        ),
        values![owner, id, version, now],
        read,
    )?;
    Change::of(changed, || get_of(tx, owner, id))
}

/// Revokes every token that a user made, wherever it holds: they are gone, or may do less now. How many.
///
/// # Errors
/// Of the database.
pub fn revoke_made_by(tx: &mut Tx, _: &Whole, user: UserId, now: Timestamp) -> Result<u64, Error> {
    tx.execute(
        "UPDATE tokens SET revoked_at = $2, version = version + 1 WHERE made_by = $1 AND revoked_at IS NULL",
        values![user, now],
    )
}

/// Notes when a token was used, unless that was noted after `unless_since` already. Whether it was noted now.
///
/// # Errors
/// Of the database.
pub fn note_use(
    tx: &mut Tx,
    _: &Whole,
    id: TokenId,
    at: Timestamp,
    unless_since: Timestamp,
) -> Result<bool, Error> {
    let noted = tx.execute(
        "UPDATE tokens SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at <= $3)",
        values![id, at, unless_since],
    )?;
    Ok(noted == 1)
}

/// The names of the tokens that a user made, wherever they hold.
///
/// # Errors
/// Of the database.
pub fn names_made_by(view: &mut View, _: &Whole, user: UserId) -> Result<Vec<String>, Error> {
    view.list(
        "SELECT name FROM tokens WHERE made_by = $1 ORDER BY name, id",
        values![user],
        |row| row.get(0),
    )
}
