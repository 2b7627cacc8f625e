//! Audit records: one immutable line of who did what, written in the transaction that does it, and ordered into its owner's
//! chain afterwards. What concerns a person stands apart, committed to by a salted hash, so that it can be erased without
//! breaking the chain.

mod chain;

pub use chain::{
    Checkpoint, Head, Linked, chain, chain_shared, checkpoints, checkpoints_before, end_of, heads,
    keep_checkpoint, seal, thin_checkpoints, waiting,
};

use crate::value::{Row, values, words};
use crate::{Error, Owner, Page, Scope, Tx, View, Whole};
use domain::id::AuditId;
use jiff::Timestamp;
use ring::digest::{Context, SHA256};

words! {
    /// Who did it.
    pub enum ActorKind {
        /// A person.
        User = "user",
        /// A program with a token.
        Token = "token",
        /// A host's agent.
        Agent = "agent",
        /// The server itself.
        Server = "server",
    }
}

/// A record to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Its id; ids of later records sort later.
    pub id: AuditId,
    /// Who did it.
    pub actor_kind: ActorKind,
    /// Which one; none for the server itself.
    pub actor: Option<[u8; 16]>,
    /// What was done, a verb of the permission table.
    pub action: String,
    /// What it was done to, a noun of the permission table.
    pub noun: String,
    /// To which one.
    pub noun_id: Option<[u8; 16]>,
    /// The facts, as canonical JSON without personal data.
    pub body: String,
    /// Personal data that belong to it, with the salt of their commitment.
    pub personal: Option<Personal>,
}

/// Personal data of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personal {
    /// Sixteen random bytes.
    pub salt: [u8; 16],
    /// Canonical JSON.
    pub data: String,
}

impl Personal {
    /// The commitment to them that stands in the record: without the salt nobody can try out what was erased.
    pub fn hash(&self) -> [u8; 32] {
        hash([self.salt.as_slice(), self.data.as_bytes()])
    }
}

/// A record as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose chain it is in: the server's or a tenant's.
    pub owner: Owner,
    /// Its id.
    pub id: AuditId,
    /// When it was written.
    pub at: Timestamp,
    /// Who did it.
    pub actor_kind: ActorKind,
    /// Which one.
    pub actor: Option<[u8; 16]>,
    /// What was done.
    pub action: String,
    /// To what.
    pub noun: String,
    /// To which one.
    pub noun_id: Option<[u8; 16]>,
    /// The facts.
    pub body: String,
    /// The commitment to its personal data.
    pub personal_hash: Option<[u8; 32]>,
    /// Its place in the chain, from 1; none until it is sealed.
    pub number: Option<u64>,
    /// The chain's hash up to and with it.
    pub chain_hash: Option<[u8; 32]>,
}

const COLUMNS: &str =
    "owner, id, at, actor_kind, actor_id, action, noun, noun_id, body, personal_hash, number, chain_hash";

/// The columns of `audit_records r`.
fn qualified() -> String {
    let columns = COLUMNS.split(", ").map(|column| format!("r.{column}"));
    columns.collect::<Vec<_>>().join(", ")
}

fn read(row: &Row) -> Result<Record, Error> {
    let mut columns = row.columns();
    Ok(Record {
        owner: columns.next()?,
        id: columns.next()?,
        at: columns.next()?,
        actor_kind: columns.next()?,
        actor: columns.next()?,
        action: columns.next()?,
        noun: columns.next()?,
        noun_id: columns.next()?,
        body: columns.next()?,
        personal_hash: columns.next()?,
        number: columns.next()?,
        chain_hash: columns.next()?,
    })
}

fn hash<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for field in fields {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field);
    }
    context
        .finish()
        .as_ref()
        .try_into()
        .expect("a SHA-256 digest has 32 bytes")
}

/// Writes a record of what is done in this transaction to the tenant.
///
/// # Errors
/// [`Error::Taken`] where the id is.
pub fn write(tx: &mut Tx, scope: &Scope, record: &NewRecord, now: Timestamp) -> Result<(), Error> {
    insert(tx, scope.owner(), record, now)
}

/// Writes a record of what is done in this transaction to the server.
///
/// # Errors
/// As [`write`].
pub fn write_shared(tx: &mut Tx, _: &Whole, record: &NewRecord, now: Timestamp) -> Result<(), Error> {
    insert(tx, Owner::Shared, record, now)
}

fn insert(tx: &mut Tx, owner: Owner, record: &NewRecord, now: Timestamp) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO audit_records
             (owner, id, at, actor_kind, actor_id, action, noun, noun_id, body, personal_hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        values![
            owner,
            record.id,
            now,
            record.actor_kind,
            record.actor,
            &record.action,
            &record.noun,
            record.noun_id,
            &record.body,
            record.personal.as_ref().map(Personal::hash)
        ],
    )?;
    if let Some(personal) = &record.personal {
        tx.execute(
            "INSERT INTO audit_personal (owner, record_id, salt, data) VALUES ($1, $2, $3, $4)",
            values![owner, record.id, personal.salt, &personal.data],
        )?;
    }
    Ok(())
}

/// Which records a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordFilter {
    /// About this kind of thing.
    pub noun: Option<String>,
    /// About this very thing.
    pub noun_id: Option<[u8; 16]>,
    /// By this user, token or host.
    pub actor: Option<[u8; 16]>,
}

/// The tenant's records, the newest first.
///
/// # Errors
/// Of the database.
pub fn page(
    view: &mut View,
    scope: &Scope,
    filter: &RecordFilter,
    before: Option<AuditId>,
    limit: u32,
) -> Result<Page<Record, AuditId>, Error> {
    page_of(view, scope.owner(), filter, before, limit)
}

/// The server's own records, the newest first.
///
/// # Errors
/// Of the database.
pub fn page_shared(
    view: &mut View,
    _: &Whole,
    filter: &RecordFilter,
    before: Option<AuditId>,
    limit: u32,
) -> Result<Page<Record, AuditId>, Error> {
    page_of(view, Owner::Shared, filter, before, limit)
}

fn page_of(
    view: &mut View,
    owner: Owner,
    filter: &RecordFilter,
    before: Option<AuditId>,
    limit: u32,
) -> Result<Page<Record, AuditId>, Error> {
    let mut values = values![owner, limit.saturating_add(1)];
    let mut conditions = vec!["owner = $1".to_owned()];
    let given = [
        ("noun =", filter.noun.clone().map(Into::into)),
        ("noun_id =", filter.noun_id.map(Into::into)),
        ("actor_id =", filter.actor.map(Into::into)),
        ("id <", before.map(Into::into)),
    ];
    for (condition, value) in given {
        if let Some(value) = value {
            values.push(value);
            conditions.push(format!("{condition} ${}", values.len()));
        }
    }
    let conditions = conditions.join(" AND ");
    let sql = format!("SELECT {COLUMNS} FROM audit_records WHERE {conditions} ORDER BY id DESC LIMIT $2");
    let rows = view.list(sql, values, read)?;
    Ok(Page::of(rows, limit, |record| record.id))
}

/// The personal data of a record, as long as they were not erased.
///
/// # Errors
/// Of the database.
pub fn personal(view: &mut View, scope: &Scope, id: AuditId) -> Result<Option<Personal>, Error> {
    view.find(
        "SELECT salt, data FROM audit_personal WHERE owner = $1 AND record_id = $2",
        values![scope, id],
        |row| {
            Ok(Personal {
                salt: row.get(0)?,
                data: row.get(1)?,
            })
        },
    )
}

/// Erases the personal data of a record; the record and its place in the chain stay. Whether there were any.
///
/// # Errors
/// Of the database.
pub fn erase_personal(tx: &mut Tx, scope: &Scope, id: AuditId) -> Result<bool, Error> {
    let erased = tx.execute(
        "DELETE FROM audit_personal WHERE owner = $1 AND record_id = $2",
        values![scope, id],
    )?;
    Ok(erased == 1)
}

/// The personal data in records about a thing, in every chain, that were not erased.
///
/// # Errors
/// Of the database.
pub fn personal_about(
    view: &mut View,
    _: &Whole,
    noun: &str,
    noun_id: [u8; 16],
) -> Result<Vec<(Record, Personal)>, Error> {
    let columns = qualified();
    let sql = format!(
        "SELECT {columns}, p.salt, p.data FROM audit_records r
         JOIN audit_personal p ON p.owner = r.owner AND p.record_id = r.id
         WHERE r.noun = $1 AND r.noun_id = $2
         ORDER BY r.id"
    );
    view.list(sql, values![noun, noun_id], |row| {
        let personal = Personal {
            salt: row.get(12)?,
            data: row.get(13)?,
        };
        Ok((read(row)?, personal))
    })
}

/// Erases the personal data in records about a thing, in every chain; the records and their places stay. How many.
///
/// # Errors
/// Of the database.
pub fn erase_personal_about(tx: &mut Tx, _: &Whole, noun: &str, noun_id: [u8; 16]) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM audit_personal
         WHERE EXISTS (
             SELECT 1 FROM audit_records r
             WHERE r.owner = audit_personal.owner AND r.id = audit_personal.record_id
                 AND r.noun = $1 AND r.noun_id = $2)",
        values![noun, noun_id],
    )
}

/// What a user, token or host did, in every chain, the newest first.
///
/// # Errors
/// Of the database.
pub fn done_by(view: &mut View, _: &Whole, actor: [u8; 16], limit: u32) -> Result<Vec<Record>, Error> {
    view.list(
        format!("SELECT {COLUMNS} FROM audit_records WHERE actor_id = $1 ORDER BY id DESC LIMIT $2"),
        values![actor, limit],
        read,
    )
}
