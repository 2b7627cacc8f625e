//! Checkpoints: how far every chain had come, signed by the audit key that the root authority certifies. The server keeps
//! some itself; one that somebody keeps elsewhere is an anchor, which not even the server's owner can change.

use domain::digest::Sha256Digest;
use domain::id::{KeyId, TenantId};
use jiff::{SignedDuration, Timestamp};
use protocol::card::{CardError, Purpose, ServerCard};
use protocol::key::VerifyingKey;
use serde::{Deserialize, Serialize};
use store::audit::{self, Checkpoint, Head};
use store::lease::{self, Fence};
use store::{Owner, Whole};
use utoipa::ToSchema;

use super::hex;
use crate::Context;
use crate::app::refusal::Refusal;
use crate::app::shape::{IdText, Listed, Part, When};

/// What a statement calls itself, and what its signature begins with.
const FORM: &str = "patchyard audit checkpoint 1";
/// A checkpoint is kept at most so often, and only where something was recorded since the last one.
pub const KEPT_EACH: SignedDuration = SignedDuration::from_mins(10);
/// Checkpoints older than this are thinned to one a day.
const ALL_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 7);

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    form: String,
    /// The server's life between two restores.
    pub epoch: u64,
    /// When it was made.
    pub at: When,
    heads: Vec<HeadText>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadText {
    /// The tenant; none for the server's own chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenant: Option<IdText>,
    number: u64,
    chain_hash: String,
}

impl Statement {
    fn of(ctx: &Context, heads: &[Head]) -> Self {
        let text = |head: &Head| HeadText {
            tenant: match head.owner {
                Owner::Shared => None,
                Owner::Tenant(tenant) => Some(IdText::of(tenant)),
            },
            number: head.number,
            chain_hash: hex(&head.chain_hash),
        };
        Self {
            form: FORM.to_owned(),
            epoch: u64::try_from(ctx.epoch.number).unwrap_or(1),
            at: When(ctx.clock.now()),
            heads: heads.iter().map(text).collect(),
        }
    }

    /// The ends of the chains.
    ///
    /// # Errors
    /// [`NotACheckpoint::Malformed`] where one of them is not written as ends are.
    pub fn heads(&self) -> Result<Vec<Head>, NotACheckpoint> {
        let head = |text: &HeadText| {
            let owner = match &text.tenant {
                None => Owner::Shared,
                Some(id) => Owner::Tenant(id.0.parse::<TenantId>().ok()?),
            };
            let hash: Sha256Digest = text.chain_hash.parse().ok()?;
            Some(Head {
                owner,
                number: text.number,
                chain_hash: hash.0,
            })
        };
        let heads: Option<Vec<Head>> = self.heads.iter().map(head).collect();
        heads.ok_or(NotACheckpoint::Malformed)
    }
}

/// A checkpoint as it is handed out and kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditCheckpoint)]
pub struct CheckpointView {
    /// What was signed: JSON with `form`, `epoch`, `at` and `heads`, byte for byte.
    pub statement: String,
    /// By which key, in hexadecimal digits.
    pub key: String,
    /// Ed25519 over `patchyard audit checkpoint 1`, a zero byte and the statement, in hexadecimal digits.
    pub signature: String,
    /// The server's card, by which its root authority vouches for the key: JSON.
    pub card: String,
}

/// Why a checkpoint is not believed.
#[derive(Debug, thiserror::Error)]
pub enum NotACheckpoint {
    /// It is not written as checkpoints are.
    #[error("it is not written as a checkpoint is")]
    Malformed,
    /// Nobody who is believed vouches for the key.
    #[error("no authority that is believed here vouches for its key")]
    Authority(#[source] CardError),
    /// The card has no such key for checkpoints.
    #[error("its key is none that the authority lets sign checkpoints")]
    OtherKey,
    /// The signature does not hold.
    #[error("it was changed: its signature does not hold")]
    Changed,
}

impl CheckpointView {
    /// What it says, if one of these authorities (digests of their certificates) vouches for the key that signed it.
    ///
    /// # Errors
    /// [`NotACheckpoint`].
    pub fn verify(&self, pins: &[Sha256Digest]) -> Result<Statement, NotACheckpoint> {
        let card = ServerCard::parse(self.card.as_bytes()).map_err(NotACheckpoint::Authority)?;
        let trust = card.verify(pins).map_err(NotACheckpoint::Authority)?;
        let mut keys = trust.keys.iter();
        let key = keys.find(|key| key.purpose == Purpose::Audit && key.key.id().to_string() == self.key);
        let key = key.ok_or(NotACheckpoint::OtherKey)?;
        let statement = self.verify_by(&key.key)?;
        match key.not_after < statement.at.0 {
            true => Err(NotACheckpoint::OtherKey),
            false => Ok(statement),
        }
    }

    /// What it says, if this key signed it.
    ///
    /// # Errors
    /// [`NotACheckpoint`].
    pub fn verify_by(&self, key: &VerifyingKey) -> Result<Statement, NotACheckpoint> {
        let signature: Option<[u8; 64]> = unhex(&self.signature).and_then(|bytes| bytes.try_into().ok());
        let signature = signature.ok_or(NotACheckpoint::Malformed)?;
        key.verify(&claim(&self.statement), &signature)
            .map_err(|_bad| NotACheckpoint::Changed)?;
        let statement: Statement =
            serde_json::from_str(&self.statement).map_err(|_other| NotACheckpoint::Malformed)?;
        match statement.form == FORM {
            true => Ok(statement),
            false => Err(NotACheckpoint::Malformed),
        }
    }

    /// Its own card's authorities: digests of their certificates. For a person to hold against what he knows.
    ///
    /// # Errors
    /// [`NotACheckpoint::Authority`] where the card cannot be read.
    pub fn authorities(&self) -> Result<Vec<Sha256Digest>, NotACheckpoint> {
        let card = ServerCard::parse(self.card.as_bytes()).map_err(NotACheckpoint::Authority)?;
        Ok(card
            .authorities
            .iter()
            .map(protocol::card::Authority::digest)
            .collect())
    }
}

fn claim(statement: &str) -> Vec<u8> {
    [FORM.as_bytes(), b"\0", statement.as_bytes()].concat()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

fn sign(ctx: &Context, heads: &[Head]) -> (String, [u8; 64]) {
    let statement = serde_json::to_string(&Statement::of(ctx, heads)).expect("texts and numbers are JSON");
    let signature = ctx.authority.audit_key().sign(&claim(&statement));
    (statement, signature)
}

/// A checkpoint of this moment. Records of the last second may still be on their way into their chains.
///
/// # Errors
/// Of the database.
pub async fn now(ctx: &Context) -> Result<CheckpointView, Refusal> {
    let heads = ctx.db.read(|view| audit::heads(view, &Whole::server())).await?;
    let (statement, signature) = sign(ctx, &heads);
    Ok(CheckpointView {
        statement,
        key: ctx.authority.audit_key().id().to_string(),
        signature: hex(&signature),
        card: card_text(ctx),
    })
}

fn card_text(ctx: &Context) -> String {
    String::from_utf8_lossy(&ctx.agents.card().bytes).into_owned()
}

/// A checkpoint that the server keeps itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = KeptAuditCheckpoint)]
pub struct KeptView {
    /// Counts those that were kept.
    pub number: u64,
    /// When it was made.
    pub at: When,
    /// What was signed.
    pub statement: String,
    /// By which key.
    pub key: String,
    /// The signature.
    pub signature: String,
}

impl Listed for KeptView {
    const COLUMNS: &'static [&'static str] = &["number", "at", "key", "statement", "signature"];
}

impl From<Checkpoint> for KeptView {
    fn from(kept: Checkpoint) -> Self {
        Self {
            number: kept.number,
            at: When(kept.at),
            statement: kept.heads,
            key: kept.key_id.to_string(),
            signature: hex(&kept.signature),
        }
    }
}

impl KeptView {
    /// What it says, if one of these authorities vouches on this card for the key that signed it.
    ///
    /// # Errors
    /// [`NotACheckpoint`].
    pub fn verify(&self, card: &str, pins: &[Sha256Digest]) -> Result<Statement, NotACheckpoint> {
        let whole = CheckpointView {
            statement: self.statement.clone(),
            key: self.key.clone(),
            signature: self.signature.clone(),
            card: card.to_owned(),
        };
        whole.verify(pins)
    }
}

/// The checkpoints that the server kept, the newest first.
///
/// # Errors
/// Of the database.
pub async fn kept(ctx: &Context, before: Option<u64>, limit: u32) -> Result<Part<KeptView, u64>, Refusal> {
    let page = ctx
        .db
        .read(move |view| audit::checkpoints_before(view, &Whole::server(), before, limit))
        .await?;
    Ok(Part::of(page, KeptView::from, |number| number))
}

/// Keeps a checkpoint under the sealer's lease, if the last one is old enough and something was recorded since. Whether one
/// was kept.
///
/// # Errors
/// Of the database, and when another holds the lease.
pub async fn keep(ctx: &Context, fence: &Fence) -> Result<bool, store::Error> {
    let now = ctx.clock.now();
    let last = ctx
        .db
        .read(|view| audit::checkpoints(view, &Whole::server(), 1))
        .await?
        .pop();
    if last
        .as_ref()
        .is_some_and(|last| (SignedDuration::ZERO..KEPT_EACH).contains(&now.duration_since(last.at)))
    {
        return Ok(false);
    }
    let heads = ctx.db.read(|view| audit::heads(view, &Whole::server())).await?;
    let said = last.as_ref().and_then(|last| {
        let said: Statement = serde_json::from_str(&last.heads).ok()?;
        said.heads().ok()
    });
    if heads.is_empty() || said.is_some_and(|said| said == heads) {
        return Ok(false);
    }
    let (statement, signature) = sign(ctx, &heads);
    let checkpoint = Checkpoint {
        number: last.map_or(1, |last| last.number + 1),
        at: now,
        heads: statement,
        key_id: key_id(ctx),
        signature: signature.to_vec(),
    };
    let fence = fence.clone();
    let thin_before = now.checked_sub(ALL_KEPT_FOR).unwrap_or(Timestamp::MIN);
    ctx.db
        .write(move |tx| {
            let whole = Whole::server();
            lease::hold(tx, &whole, &fence, now)?;
            audit::keep_checkpoint(tx, &whole, &checkpoint)?;
            audit::thin_checkpoints(tx, &whole, thin_before).map(drop)
        })
        .await?;
    Ok(true)
}

fn key_id(ctx: &Context) -> KeyId {
    ctx.authority.audit_key().id()
}
