//! What was answered to requests that name themselves, so that a repeated one is answered again and not done again.

use crate::value::{Row, values};
use crate::{Error, Owner, Tx, View, Whole};
use jiff::Timestamp;

/// Who made a request, and how they call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestName {
    /// Where the request acts.
    pub owner: Owner,
    /// The user or token, by id.
    pub principal: [u8; 16],
    /// The client's Idempotency-Key.
    pub name: String,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// SHA-256 over method, path and body: another request under the same name is a mistake of the client.
    pub request_digest: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// Body, with whatever headers the caller puts into it.
    pub body: Vec<u8>,
}

fn read(row: &Row) -> Result<Answer, Error> {
    let mut columns = row.columns();
    Ok(Answer {
        request_digest: columns.next()?,
        status: columns.next()?,
        body: columns.next()?,
    })
}

/// What was answered to this request.
///
/// # Errors
/// Of the database.
pub fn find(view: &mut View, _: &Whole, request: &RequestName) -> Result<Option<Answer>, Error> {
    view.find(
        "SELECT request_digest, status, answer FROM idempotency_keys
         WHERE owner = $1 AND principal = $2 AND name = $3",
        values![request.owner, request.principal, &request.name],
        read,
    )
}

/// Keeps the answer, in the transaction of what it answers. `Some` is the answer that was there already.
///
/// # Errors
/// Of the database.
pub fn keep(
    tx: &mut Tx,
    whole: &Whole,
    request: &RequestName,
    answer: &Answer,
    now: Timestamp,
) -> Result<Option<Answer>, Error> {
    let kept = tx.execute(
        "INSERT INTO idempotency_keys (owner, principal, name, request_digest, status, answer, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (owner, principal, name) DO NOTHING",
        values![
            request.owner,
            request.principal,
            &request.name,
            answer.request_digest,
            answer.status,
            answer.body.as_slice(),
            now
        ],
    )?;
    if kept == 1 {
        Ok(None)
    } else {
        find(tx, whole, request)
    }
}

/// Forgets answers from before this time; how many.
///
/// # Errors
/// Of the database.
pub fn forget_before(tx: &mut Tx, _: &Whole, before: Timestamp) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM idempotency_keys WHERE created_at < $1",
        values![before],
    )
}
