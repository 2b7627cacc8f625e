//! Audit records: one immutable line of who did what, written in the transaction that does it. A leased sealer orders them
//! into their owner's chain; signed checkpoints over all chains' heads can be kept elsewhere. What concerns a person stands
//! apart, committed to by a salted hash, so that it can be erased without breaking the chain.

use crate::lease::{self, Fence};
use crate::value::{Row, values, words};
use crate::{Error, Owner, Page, Scope, Tx, View, Whole};
use domain::id::{AuditId, KeyId};
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
    fn hash(&self) -> [u8; 32] {
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

impl Record {
    /// The chain's hash with this record: SHA-256 over the hash before it and each of its fields behind its length. Whoever
    /// verifies a chain computes it anew.
    pub fn link(&self, number: u64, before: [u8; 32]) -> [u8; 32] {
        let absent: &[u8] = &[];
        hash([
            b"patchyard audit 1".as_slice(),
            &before,
            &number.to_be_bytes(),
            &self.owner.bytes(),
            &self.id.0,
            &self.at.as_microsecond().to_be_bytes(),
            self.actor_kind.as_str().as_bytes(),
            self.actor.as_ref().map_or(absent, |id| id),
            self.action.as_bytes(),
            self.noun.as_bytes(),
            self.noun_id.as_ref().map_or(absent, |id| id),
            self.body.as_bytes(),
            self.personal_hash.as_ref().map_or(absent, |hash| hash),
        ])
    }
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

/// The tenant's chain from after this place on, in its order: for whoever verifies it.
///
/// # Errors
/// Of the database.
pub fn chain(view: &mut View, scope: &Scope, after: u64, limit: u32) -> Result<Vec<Record>, Error> {
    chain_of(view, scope.owner(), after, limit)
}

/// As [`chain`], of the server's own records.
///
/// # Errors
/// Of the database.
pub fn chain_shared(view: &mut View, _: &Whole, after: u64, limit: u32) -> Result<Vec<Record>, Error> {
    chain_of(view, Owner::Shared, after, limit)
}

fn chain_of(view: &mut View, owner: Owner, after: u64, limit: u32) -> Result<Vec<Record>, Error> {
    view.list(
        format!(
            "SELECT {COLUMNS} FROM audit_records WHERE owner = $1 AND number > $2 ORDER BY number LIMIT $3"
        ),
        values![owner, after, limit],
        read,
    )
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

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose chain.
    pub owner: Owner,
    /// The place of its last record.
    pub number: u64,
    /// The hash up to there.
    pub chain_hash: [u8; 32],
}

/// The ends of all chains in the order of owners.
///
/// # Errors
/// Of the database.
pub fn heads(view: &mut View, _: &Whole) -> Result<Vec<Head>, Error> {
    view.list(
        "SELECT r.owner, r.number, r.chain_hash FROM audit_records r
         JOIN (SELECT owner, MAX(number) AS number FROM audit_records GROUP BY owner) h
             ON h.owner = r.owner AND h.number = r.number
         ORDER BY r.owner",
        values![],
        |row| {
            Ok(Head {
                owner: row.get(0)?,
                number: row.get(1)?,
                chain_hash: row.get(2)?,
            })
        },
    )
}

/// Orders up to `limit` records that are not in a chain yet into their owners' chains, under the sealer's lease. How many.
///
/// # Errors
/// [`Error::Fenced`] if another took the lease; then nothing is sealed.
pub fn seal(tx: &mut Tx, whole: &Whole, fence: &Fence, limit: u32, now: Timestamp) -> Result<usize, Error> {
    lease::hold(tx, whole, fence, now)?;
    let records = tx.list(
        format!("SELECT {COLUMNS} FROM audit_records WHERE number IS NULL ORDER BY owner, id LIMIT $1"),
        values![limit],
        read,
    )?;
    let mut head: Option<Head> = None;
    for record in &records {
        let before = match head {
            Some(head) if head.owner == record.owner => head,
            _ => head_of(tx, record.owner)?,
        };
        let number = before.number + 1;
        let chain_hash = record.link(number, before.chain_hash);
        tx.execute(
            "UPDATE audit_records SET number = $3, chain_hash = $4, sealed_at = $5
             WHERE owner = $1 AND id = $2 AND EXISTS (SELECT 1 FROM leases WHERE name = $6 AND fencing = $7)",
            values![
                record.owner,
                record.id,
                number,
                chain_hash,
                now,
                fence.name(),
                fence.token()
            ],
        )?;
        head = Some(Head {
            owner: record.owner,
            number,
            chain_hash,
        });
    }
    Ok(records.len())
}

fn head_of(view: &mut View, owner: Owner) -> Result<Head, Error> {
    let head = view.find(
        "SELECT number, chain_hash FROM audit_records
         WHERE owner = $1 AND number IS NOT NULL ORDER BY number DESC LIMIT 1",
        values![owner],
        |row| {
            Ok(Head {
                owner,
                number: row.get(0)?,
                chain_hash: row.get(1)?,
            })
        },
    )?;
    Ok(head.unwrap_or(Head {
        owner,
        number: 0,
        chain_hash: [0; 32],
    }))
}

/// A signed statement of how far all chains had come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Counts checkpoints, from 1.
    pub number: u64,
    /// When it was made.
    pub at: Timestamp,
    /// The heads, as the canonical JSON that was signed.
    pub heads: String,
    /// By which key.
    pub key_id: KeyId,
    /// Ed25519 over the heads.
    pub signature: Vec<u8>,
}

fn read_checkpoint(row: &Row) -> Result<Checkpoint, Error> {
    let mut columns = row.columns();
    Ok(Checkpoint {
        number: columns.next()?,
        at: columns.next()?,
        heads: columns.next()?,
        key_id: columns.next()?,
        signature: columns.next()?,
    })
}

/// Keeps a checkpoint.
///
/// # Errors
/// [`Error::Taken`] where another has its number.
pub fn keep_checkpoint(tx: &mut Tx, _: &Whole, checkpoint: &Checkpoint) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO audit_checkpoints (number, at, heads, key_id, signature) VALUES ($1, $2, $3, $4, $5)",
        values![
            checkpoint.number,
            checkpoint.at,
            &checkpoint.heads,
            checkpoint.key_id,
            checkpoint.signature.as_slice()
        ],
    )?;
    Ok(())
}

/// The newest checkpoints, the last one first.
///
/// # Errors
/// Of the database.
pub fn checkpoints(view: &mut View, _: &Whole, limit: u32) -> Result<Vec<Checkpoint>, Error> {
    view.list(
        "SELECT number, at, heads, key_id, signature FROM audit_checkpoints ORDER BY number DESC LIMIT $1",
        values![limit],
        read_checkpoint,
    )
}
