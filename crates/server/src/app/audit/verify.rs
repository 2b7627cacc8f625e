//! Following a chain: each record's place and hash are reckoned anew from its fields, and held against what was known before.
//! Whoever has the records and an anchor can do it; nothing here trusts the server that gave them.

use std::collections::BTreeMap;

use domain::digest::Sha256Digest;
use domain::id::{AuditId, TenantId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::audit::{ActorKind, Linked, Personal, Record};
use store::{Whole, audit};
use utoipa::ToSchema;

use super::hex;
use crate::Context;
use crate::app::grant::Where;
use crate::app::refusal::Refusal;
use crate::app::shape::{IdText, Listed, Part};

pub use store::Owner;
pub use store::audit::Head;

/// A record of a chain with every field that its hash is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ChainedRecord)]
pub struct ChainedView {
    /// Its place, from 1.
    pub number: u64,
    /// The tenant whose chain it is in; missing for the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<IdText>,
    /// Its id.
    pub id: IdText,
    /// When it was written, in microseconds since 1970 UTC.
    pub at_micros: i64,
    /// `user`, `token`, `agent` or `server`.
    pub actor_kind: String,
    /// Which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<IdText>,
    /// What was done.
    pub action: String,
    /// To what.
    pub noun: String,
    /// To which one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noun_id: Option<IdText>,
    /// The facts: JSON, byte for byte.
    pub body: String,
    /// The commitment to personal data, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal_hash: Option<String>,
    /// The salt of the commitment, as long as the data were not erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal_salt: Option<String>,
    /// The personal data: JSON, byte for byte, as long as they were not erased.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal: Option<String>,
    /// The chain's hash up to and with it, in hexadecimal digits.
    pub chain_hash: String,
}

impl Listed for ChainedView {
    const COLUMNS: &'static [&'static str] = &[
        "number",
        "tenant",
        "id",
        "at_micros",
        "actor_kind",
        "actor",
        "action",
        "noun",
        "noun_id",
        "body",
        "personal_hash",
        "chain_hash",
    ];
}

impl From<Linked> for ChainedView {
    fn from(linked: Linked) -> Self {
        let Linked { record, personal } = linked;
        // Any id type shows 16 bytes as a UUID.
        let id = |bytes: [u8; 16]| IdText::of(UserId(bytes));
        Self {
            number: record.number.unwrap_or(0),
            tenant: match record.owner {
                Owner::Shared => None,
                Owner::Tenant(tenant) => Some(IdText::of(tenant)),
            },
            id: IdText::of(record.id),
            at_micros: record.at.as_microsecond(),
            actor_kind: record.actor_kind.as_str().to_owned(),
            actor: record.actor.map(id),
            action: record.action,
            noun: record.noun,
            noun_id: record.noun_id.map(id),
            body: record.body,
            personal_hash: record.personal_hash.map(|hash| hex(&hash)),
            personal_salt: personal.as_ref().map(|personal| hex(&personal.salt)),
            personal: personal.map(|personal| personal.data),
            chain_hash: record.chain_hash.map(|hash| hex(&hash)).unwrap_or_default(),
        }
    }
}

impl ChainedView {
    /// The record again; nothing where a field is not written as it should be.
    pub fn to_linked(&self) -> Option<Linked> {
        let id = |text: &IdText| text.0.parse::<UserId>().ok().map(|id| id.0);
        let maybe = |text: &Option<IdText>| text.as_ref().map_or(Some(None), |text| id(text).map(Some));
        let hash = |text: &str| text.parse::<Sha256Digest>().ok().map(|digest| digest.0);
        let salt = |text: &String| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes);
        let record = Record {
            owner: match &self.tenant {
                None => Owner::Shared,
                Some(text) => Owner::Tenant(text.0.parse::<TenantId>().ok()?),
            },
            id: self.id.0.parse::<AuditId>().ok()?,
            at: Timestamp::from_microsecond(self.at_micros).ok()?,
            actor_kind: ActorKind::parse(&self.actor_kind)?,
            actor: maybe(&self.actor)?,
            action: self.action.clone(),
            noun: self.noun.clone(),
            noun_id: maybe(&self.noun_id)?,
            body: self.body.clone(),
            personal_hash: match &self.personal_hash {
                None => None,
                Some(text) => Some(hash(text)?),
            },
            number: Some(self.number),
            chain_hash: Some(hash(&self.chain_hash)?),
        };
        let personal = match (&self.personal_salt, &self.personal) {
            (None, None) => None,
            (salt_text, data) => Some(Personal {
                salt: salt(salt_text.as_ref()?)?,
                data: data.clone()?,
            }),
        };
        Some(Linked { record, personal })
    }
}

/// A chain from after a place on, in its order.
///
/// # Errors
/// Of the database.
pub async fn chain(
    ctx: &Context,
    at: Where,
    after: u64,
    limit: u32,
) -> Result<Part<ChainedView, u64>, Refusal> {
    let more = limit.saturating_add(1);
    let read = ctx.db.read(move |view| match at {
        Where::Server => audit::chain_shared(view, &Whole::server(), after, more),
        Where::Tenant(scope) => audit::chain(view, &scope, after, more),
    });
    let mut rows = read.await?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows
        .last()
        .and_then(|last| last.record.number)
        .filter(|_| has_more);
    Ok(Part {
        items: rows.into_iter().map(ChainedView::from).collect(),
        next,
    })
}

/// Where and how a chain is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A place is empty, or stands in another order.
    #[error("record {number} is missing")]
    Missing {
        /// The place.
        number: u64,
    },
    /// A record, or one before it, was changed.
    #[error("record {number} was changed, or put in another's place")]
    Changed {
        /// The first place that does not fit.
        number: u64,
    },
    /// The record is of another chain.
    #[error("record {number} belongs to another chain")]
    Foreign {
        /// Its place.
        number: u64,
    },
    /// Personal data are there, and not those that were committed to.
    #[error("the personal data of record {number} were changed")]
    PersonalChanged {
        /// Its place.
        number: u64,
    },
    /// The chain fits together, but it is not the one that was known before: it was written anew.
    #[error("record {number} is another one than when the checkpoint was made: the chain was written anew")]
    WrittenAnew {
        /// The place that the checkpoint names.
        number: u64,
    },
    /// Records at the end are gone.
    #[error("the chain ends at {has}, and had {had} records when the checkpoint was made")]
    CutOff {
        /// Its end now.
        has: u64,
        /// Its end then.
        had: u64,
    },
}

/// A chain that is being followed from its beginning.
#[derive(Clone, Debug)]
pub struct Follower {
    owner: Owner,
    number: u64,
    hash: [u8; 32],
    known: BTreeMap<u64, [u8; 32]>,
}

impl Follower {
    /// Follows this owner's chain; `known` are its ends as they were known before.
    pub fn new<'a>(owner: Owner, known: impl IntoIterator<Item = &'a Head>) -> Result<Self, Broken> {
        let mut follower = Self {
            owner,
            number: 0,
            hash: [0; 32],
            known: BTreeMap::new(),
        };
        for head in known.into_iter().filter(|head| head.owner == owner) {
            let before = follower.known.insert(head.number, head.chain_hash);
            if before.is_some_and(|before| before != head.chain_hash) {
                return Err(Broken::WrittenAnew { number: head.number });
            }
        }
        Ok(follower)
    }

    /// The place of the last record.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// [`Broken`]: the chain is not what it should be from here on.
    pub fn take(&mut self, linked: &Linked) -> Result<(), Broken> {
        let (record, number) = (&linked.record, self.number + 1);
        if record.number != Some(number) {
            return Err(Broken::Missing { number });
        }
        if record.owner != self.owner {
            return Err(Broken::Foreign { number });
        }
        let hash = record.link(number, self.hash);
        if record.chain_hash != Some(hash) {
            return Err(Broken::Changed { number });
        }
        let personal = linked.personal.as_ref().map(Personal::hash);
        if personal.is_some() && personal != record.personal_hash {
            return Err(Broken::PersonalChanged { number });
        }
        if self.known.get(&number).is_some_and(|known| *known != hash) {
            return Err(Broken::WrittenAnew { number });
        }
        (self.number, self.hash) = (number, hash);
        Ok(())
    }

    /// No record follows: gives the end.
    ///
    /// # Errors
    /// [`Broken::CutOff`] where more was known before.
    pub fn end(&self) -> Result<Head, Broken> {
        if let Some((&had, _)) = self.known.range(self.number + 1..).next_back() {
            return Err(Broken::CutOff {
                has: self.number,
                had,
            });
        }
        Ok(Head {
            owner: self.owner,
            number: self.number,
            chain_hash: self.hash,
        })
    }
}
