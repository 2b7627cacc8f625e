//! Tokens with which hosts enrol at a site: so many times, until then. Each use is written with the host that it admitted, so
//! that the repetition of a request does not spend another.

use crate::value::{Row, values, words};
use crate::{Change, Error, Scope, Tx, View, Whole};
use domain::id::{EnrolmentTokenId, HostId, RequestId, SiteId, TenantId, UserId};
use jiff::Timestamp;

words! {
    /// What becomes of a host that comes with a token.
    pub enum Admits {
        /// It is active at once.
        Active = "active",
        /// It waits for a person.
        Pending = "pending",
    }
}

/// An enrolment token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// The tenant that it admits to.
    pub tenant: TenantId,
    /// Its id, which is no secret.
    pub id: EnrolmentTokenId,
    /// The site that it admits to.
    pub site: SiteId,
    /// Its name, for people.
    pub name: String,
    /// What becomes of hosts.
    pub admits: Admits,
    /// How many it still admits.
    pub uses_left: u32,
    /// Who made it.
    pub made_by: Option<UserId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Counts its changes by people.
    pub version: i64,
}

const COLUMNS: &str =
    "tenant_id, id, site_id, name, admits, uses_left, made_by, created_at, expires_at, revoked_at, version";

fn read(row: &Row) -> Result<EnrolmentToken, Error> {
    let mut columns = row.columns();
    Ok(EnrolmentToken {
        tenant: columns.next()?,
        id: columns.next()?,
        site: columns.next()?,
        name: columns.next()?,
        admits: columns.next()?,
        uses_left: columns.next()?,
        made_by: columns.next()?,
        created_at: columns.next()?,
        expires_at: columns.next()?,
        revoked_at: columns.next()?,
        version: columns.next()?,
    })
}

/// A token to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEnrolmentToken {
    /// Its id.
    pub id: EnrolmentTokenId,
    /// SHA-256 of its secret.
    pub secret_hash: [u8; 32],
    /// The site that it admits to.
    pub site: SiteId,
    /// Its name.
    pub name: String,
    /// What becomes of hosts.
    pub admits: Admits,
    /// How many it admits.
    pub uses: u32,
    /// Who makes it.
    pub made_by: Option<UserId>,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Makes a token.
///
/// # Errors
/// [`Error::NoSuchRow`] where the tenant has no such site.
pub fn create(tx: &mut Tx, scope: &Scope, new: &NewEnrolmentToken, now: Timestamp) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO enrolment_tokens
             (tenant_id, id, secret_hash, site_id, name, admits, uses_left, made_by, created_at, expires_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1)",
        values![
            scope,
            new.id,
            new.secret_hash,
            new.site,
            &new.name,
            new.admits,
            new.uses,
            new.made_by,
            now,
            new.expires_at
        ],
    )?;
    Ok(())
}

/// The token with this secret, whatever its state: for enrolment, which says what is wrong with it.
///
/// # Errors
/// Of the database.
pub fn find(view: &mut View, _: &Whole, secret_hash: [u8; 32]) -> Result<Option<EnrolmentToken>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM enrolment_tokens WHERE secret_hash = $1"),
        values![secret_hash],
        read,
    )
}

/// What came of a request to spend one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// One use is gone.
    Now,
    /// This very request spent one before, and admitted this host.
    Before(HostId),
    /// It is used up, has ended or was revoked.
    Refused,
}

/// Spends one use for the host that is added in this transaction. Of two requests for the last use one is refused.
///
/// # Errors
/// [`Error::NoSuchRow`] where the tenant has no such host.
pub fn spend(
    tx: &mut Tx,
    scope: &Scope,
    id: EnrolmentTokenId,
    request: RequestId,
    host: HostId,
    now: Timestamp,
) -> Result<Spent, Error> {
    if let Some(host) = spent_before(tx, scope, id, request)? {
        return Ok(Spent::Before(host));
    }
    let spent = tx.execute(
        "UPDATE enrolment_tokens SET uses_left = uses_left - 1
         WHERE tenant_id = $1 AND id = $2 AND uses_left > 0 AND expires_at > $3 AND revoked_at IS NULL",
        values![scope, id, now],
    )?;
    if spent == 0 {
        return Ok(Spent::Refused);
    }
    tx.execute(
        "INSERT INTO enrolment_token_uses (tenant_id, token_id, request, host_id, used_at) VALUES ($1, $2, $3, $4, $5)",
        values![scope, id, request, host, now],
    )?;
    Ok(Spent::Now)
}

/// The host that this request was admitted as, if it was.
///
/// # Errors
/// Of the database.
pub fn spent_before(
    view: &mut View,
    scope: &Scope,
    id: EnrolmentTokenId,
    request: RequestId,
) -> Result<Option<HostId>, Error> {
    view.find(
        "SELECT host_id FROM enrolment_token_uses WHERE tenant_id = $1 AND token_id = $2 AND request = $3",
        values![scope, id, request],
        |row| row.get(0),
    )
}

/// The token with this id.
///
/// # Errors
/// Of the database.
pub fn get(view: &mut View, scope: &Scope, id: EnrolmentTokenId) -> Result<Option<EnrolmentToken>, Error> {
    view.find(
        format!("SELECT {COLUMNS} FROM enrolment_tokens WHERE tenant_id = $1 AND id = $2"),
        values![scope, id],
        read,
    )
}

/// The tenant's tokens, the last made last.
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    scope: &Scope,
    after: Option<EnrolmentTokenId>,
    limit: u32,
) -> Result<crate::Page<EnrolmentToken, EnrolmentTokenId>, Error> {
    let after = after.map_or_else(Vec::new, |id| id.0.to_vec());
    let rows = view.list(
        format!(
            "SELECT {COLUMNS} FROM enrolment_tokens WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3"
        ),
        values![scope, after, limit.saturating_add(1)],
        read,
    )?;
    Ok(crate::Page::of(rows, limit, |token| token.id))
}

/// The hosts that a token admitted, in the order of time.
///
/// # Errors
/// Of the database.
pub fn admitted(view: &mut View, scope: &Scope, id: EnrolmentTokenId) -> Result<Vec<HostId>, Error> {
    view.list(
        "SELECT host_id FROM enrolment_token_uses WHERE tenant_id = $1 AND token_id = $2 ORDER BY used_at, host_id",
        values![scope, id],
        |row| row.get(0),
    )
}

/// Revokes a token if it is still at this version.
///
/// # Errors
/// Of the database.
pub fn revoke(
    tx: &mut Tx,
    scope: &Scope,
    id: EnrolmentTokenId,
    version: i64,
    now: Timestamp,
) -> Result<Change<EnrolmentToken>, Error> {
    let changed = tx.find(
        format!(
            "UPDATE enrolment_tokens SET revoked_at = $4, version = version + 1
             WHERE tenant_id = $1 AND id = $2 AND version = $3 AND revoked_at IS NULL RETURNING {COLUMNS}"
        ),
        values![scope, id, version, now],
        read,
    )?;
    Change::of(changed, || get(tx, scope, id))
}
