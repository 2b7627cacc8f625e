//! Log-ins of people: sessions, known by the hash of a random secret, and the one-time links that lead to the first one.

use crate::value::{Row, values};
use crate::{Error, Tx, View, Whole};
use domain::id::{SessionId, UserId};
use jiff::Timestamp;

/// A log-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id, which is no secret.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was used last, as far as that is written down.
    pub used_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When the second factor was shown last.
    pub second_factor_at: Option<Timestamp>,
    /// Where it was begun from.
    pub address: String,
}

const COLUMNS: &str = "id, user_id, created_at, used_at, expires_at, second_factor_at, address";

fn read(row: &Row) -> Result<Session, Error> {
    let mut columns = row.columns();
    Ok(Session {
        id: columns.next()?,
        user: columns.next()?,
        created_at: columns.next()?,
        used_at: columns.next()?,
        expires_at: columns.next()?,
        second_factor_at: columns.next()?,
        address: columns.next()?,
    })
}

/// Begins a session that is known by the SHA-256 of its secret.
///
/// # Errors
/// [`Error::NoSuchRow`] without such a user.
pub fn begin(tx: &mut Tx, _: &Whole, secret_hash: [u8; 32], session: &Session) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO sessions (secret_hash, id, user_id, created_at, used_at, expires_at, second_factor_at, address)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        values![
            secret_hash,
            session.id,
            session.user,
            session.created_at,
            session.used_at,
            session.expires_at,
            session.second_factor_at,
            &session.address
        ],
    )?;
    Ok(())
}

/// The session with this secret, if it has not ended by now.
///
/// # Errors
/// Of the database.
pub fn find(
    view: &mut View,
    _: &Whole,
    secret_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Session>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM sessions WHERE secret_hash = $1 AND expires_at > $2"),
        values![secret_hash, now],
        read,
    )
}

/// The sessions of a user, the last used first.
///
/// # Errors
/// Of the database.
pub fn of_user(view: &mut View, _: &Whole, user: UserId, now: Timestamp) -> Result<Vec<Session>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM sessions WHERE user_id = $1 AND expires_at > $2 ORDER BY used_at DESC, id"
        ),
        values![user, now],
        read,
    )
}

/// Notes that a session was used, and until when it lasts now.
///
/// # Errors
/// Of the database.
pub fn note_use(
    tx: &mut Tx,
    _: &Whole,
    id: SessionId,
    used_at: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Error> {
    tx.execute(
        "UPDATE sessions SET used_at = $2, expires_at = $3 WHERE id = $1 AND used_at <= $2",
        values![id, used_at, expires_at],
    )?;
    Ok(())
}

/// Notes that the second factor was shown.
///
/// # Errors
/// Of the database.
pub fn note_second_factor(tx: &mut Tx, _: &Whole, id: SessionId, at: Timestamp) -> Result<(), Error> {
    tx.execute(
        "UPDATE sessions SET second_factor_at = $2 WHERE id = $1",
        values![id, at],
    )?;
    Ok(())
}

/// Ends a session. Whether there was one.
///
/// # Errors
/// Of the database.
pub fn end(tx: &mut Tx, _: &Whole, id: SessionId) -> Result<bool, Error> {
    Ok(tx.execute("DELETE FROM sessions WHERE id = $1", values![id])? == 1)
}

/// Ends every session of a user; how many.
///
/// # Errors
/// Of the database.
pub fn end_all(tx: &mut Tx, _: &Whole, user: UserId) -> Result<u64, Error> {
    tx.execute("DELETE FROM sessions WHERE user_id = $1", values![user])
}

/// Removes sessions and links that have ended; how many.
///
/// # Errors
/// Of the database.
pub fn sweep(tx: &mut Tx, _: &Whole, now: Timestamp) -> Result<u64, Error> {
    let sessions = tx.execute("DELETE FROM sessions WHERE expires_at <= $1", values![now])?;
    Ok(sessions + tx.execute("DELETE FROM login_links WHERE expires_at <= $1", values![now])?)
}

/// Makes a link that logs in once: as this user, or to make the first one.
///
/// # Errors
/// [`Error::NoSuchRow`] without such a user.
pub fn make_link(
    tx: &mut Tx,
    _: &Whole,
    secret_hash: [u8; 32],
    user: Option<UserId>,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO login_links (secret_hash, user_id, made_at, expires_at) VALUES ($1, $2, $3, $4)",
        values![secret_hash, user, now, expires_at],
    )?;
    Ok(())
}

/// Ends the links that were made for a user and not used. How many.
///
/// # Errors
/// Of the database.
pub fn end_links(tx: &mut Tx, _: &Whole, user: UserId) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM login_links WHERE user_id = $1 AND used_at IS NULL",
        values![user],
    )
}

/// Whether a link could still be used.
///
/// # Errors
/// Of the database.
pub fn is_link_fresh(
    view: &mut View,
    _: &Whole,
    secret_hash: [u8; 32],
    now: Timestamp,
) -> Result<bool, Error> {
    let found = view.row(
        "SELECT made_at FROM login_links WHERE secret_hash = $1 AND used_at IS NULL AND expires_at > $2",
        values![secret_hash, now],
    )?;
    Ok(found.is_some())
}

/// Uses a link up: `Some` of whom it was made for, once; `None` where it was used, has ended or never was.
///
/// # Errors
/// Of the database.
pub fn use_link(
    tx: &mut Tx,
    _: &Whole,
    secret_hash: [u8; 32],
    now: Timestamp,
) -> Result<Option<Option<UserId>>, Error> {
    tx.find(
        "UPDATE login_links SET used_at = $2
         WHERE secret_hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING user_id",
        values![secret_hash, now],
        |row| row.get(0),
    )
}
