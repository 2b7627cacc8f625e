//! Approvers' own signatures: whose are needed, what they sign, and what they signed. The hosts know the approvers themselves and
//! check again; what is kept here only says what to wait for.

use super::of_rollout;
use super::view::show_change;
use crate::Context;
use crate::app::caller::{Caller, Place};
use crate::app::change::{self, Done, Keep, Made, Once, Record};
use crate::app::permission::{Noun, Verb};
use crate::app::refusal::{Refusal, changed};
use crate::app::shape::whole;
use crate::app::text;
use crate::context::Work;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::id::ChangeId;
use protocol::key::VerifyingKey;
use protocol::limits::APPROVERS;
use protocol::order::{ApprovalDocument, Signature};
use serde::{Deserialize, Serialize};
use store::rollout_change::{self, ChangeSignature, Policy, RolloutChange};
use store::{Scope, View};
use utoipa::ToSchema;

/// Whose signatures changes need.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ApprovalPolicy)]
pub struct ApprovalPolicyView {
    /// The approvers.
    pub approvers: Vec<Approver>,
    /// How many of them have to sign each change; 0 for none.
    pub needed: u32,
    /// Counts its changes; 0 before the first.
    pub version: i64,
}

/// Somebody who signs changes with a key of his own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// A name for people: 1 to 64 characters.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// His public key (Ed25519), in base64.
    #[schema(pattern = "^[A-Za-z0-9+/]{43}=$")]
    pub public_key: String,
}

/// Whose signatures are to be needed from now on; changes that are there keep what they need.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalPolicyRequest {
    /// All approvers.
    #[schema(max_items = 64)]
    pub approvers: Vec<Approver>,
    /// How many of them have to sign; 0 for none.
    #[serde(deserialize_with = "whole")]
    #[schema(value_type = u32)]
    pub needed: u32,
}

/// What approvers sign of a change.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Approval)]
pub struct ApprovalView {
    /// The approval, in base64. What is signed is `patchyard approval 1`, a zero byte, and the digest of these bytes.
    pub bytes: String,
    /// Their digest (SHA-256).
    pub digest: String,
    /// The ids of the keys that have signed.
    pub signed_by: Vec<String>,
    /// How many have to.
    pub needed: u32,
}

/// A signature over the approval of a change.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureRequest {
    /// The approver's public key, in base64.
    #[schema(pattern = "^[A-Za-z0-9+/]{43}=$")]
    pub key: String,
    /// The signature, 64 bytes in base64.
    #[schema(pattern = "^[A-Za-z0-9+/]{86}==$")]
    pub signature: String,
}

/// The tenant's policy.
///
/// # Errors
/// Of the database.
pub async fn policy(ctx: &Context, place: &Place) -> Result<ApprovalPolicyView, Refusal> {
    let scope = place.scope;
    let found = ctx
        .db
        .read(move |view| rollout_change::policy(view, &scope))
        .await?;
    show(found)
}

fn show(policy: Option<Policy>) -> Result<ApprovalPolicyView, Refusal> {
    let Some(policy) = policy else {
        return Ok(ApprovalPolicyView {
            approvers: Vec::new(),
            needed: 0,
            version: 0,
        });
    };
    let approvers = serde_json::from_str(&policy.approvers);
    Ok(ApprovalPolicyView {
        approvers: approvers.map_err(|_damaged| Refusal::Fault("the kept approvers cannot be read"))?,
        needed: policy.needed,
        version: policy.version,
    })
}

/// Decides whose signatures are needed.
///
/// # Errors
/// Where a value may not be, or somebody changed it meanwhile.
pub async fn set_policy(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    version: i64,
    wanted: ApprovalPolicyRequest,
) -> Result<ApprovalPolicyView, Refusal> {
    let approvers = check(&wanted)?;
    let text = serde_json::to_string(&approvers).expect("names and keys are JSON");
    let (scope, needed) = (place.scope, wanted.needed);
    change::change(ctx, caller, scope.owner(), move |tx| {
        let after = rollout_change::set_policy(tx, &scope, version, &text, needed)?;
        let view = show(Some(changed(after, "policy")?))?;
        let keys: Vec<String> = view.approvers.iter().map(|one| one.public_key.clone()).collect();
        let record = Record::of(Verb::Change, Noun::Change, scope.tenant())
            .with("approval_policy", keys)
            .with("needed", needed);
        Ok(Done::new(view, record))
    })
    .await
}

fn check(wanted: &ApprovalPolicyRequest) -> Result<Vec<Approver>, Refusal> {
    if wanted.approvers.len() > APPROVERS {
        let why = format!("a tenant has up to {APPROVERS} approvers");
        return Err(Refusal::invalid("/approvers", why));
    }
    let mut keys = Vec::new();
    for approver in &wanted.approvers {
        text::name("/approvers", &approver.name)?;
        let key = key_of(approver).ok_or_else(|| {
            Refusal::invalid("/approvers", "a key is an Ed25519 public key, 32 bytes in base64")
        })?;
        if keys.contains(&key.id()) {
            return Err(Refusal::invalid("/approvers", "a key stands there twice"));
        }
        keys.push(key.id());
    }
    if usize::try_from(wanted.needed).is_ok_and(|needed| needed > keys.len()) {
        return Err(Refusal::invalid("/needed", "there are fewer approvers than that"));
    }
    Ok(wanted.approvers.clone())
}

fn key_of(approver: &Approver) -> Option<VerifyingKey> {
    public_key(&approver.public_key)
}

fn public_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(VerifyingKey::from_bytes(bytes))
}

/// What approvers sign of a change.
///
/// # Errors
/// Not found.
pub async fn approval(ctx: &Context, place: &Place, id: ChangeId) -> Result<ApprovalView, Refusal> {
    let scope = place.scope;
    let read = ctx.db.attempt_read(move |view| {
        let row = find(view, &scope, id)?;
        let signatures = rollout_change::signatures(view, &scope, id)?;
        Ok::<_, Refusal>(ApprovalView {
            bytes: STANDARD.encode(&row.approval),
            digest: row.approved.to_string(),
            signed_by: signatures.iter().map(|one| one.key.to_string()).collect(),
            needed: row.needed,
        })
    });
    read.await
}

fn find(view: &mut View, scope: &Scope, id: ChangeId) -> Result<RolloutChange, Refusal> {
    let row = rollout_change::get(view, scope, id)?;
    row.ok_or(Refusal::NotFound { what: "change" })
}

/// Keeps an approver's signature.
///
/// # Errors
/// Where it is not a signature over this approval by a key of the tenant's approvers.
pub async fn sign(
    ctx: &Context,
    caller: &Caller,
    place: &Place,
    id: ChangeId,
    once: Once,
    wanted: SignatureRequest,
) -> Result<Made, Refusal> {
    let signature = parse(&wanted)?;
    let (scope, now) = (place.scope, ctx.clock.now());
    let made = change::make(ctx, caller, scope.owner(), once, Keep::Plain, move |tx| {
        let row = find(tx, &scope, id)?;
        let policy = show(rollout_change::policy(tx, &scope)?)?;
        let approvers: Vec<VerifyingKey> = policy.approvers.iter().filter_map(key_of).collect();
        let approved = ApprovalDocument::parse(&row.approval);
        let approved = approved.map_err(|_damaged| Refusal::Fault("a kept approval cannot be read"))?;
        if approved.signed_by(&[signature], &approvers) != 1 {
            let why = "this is no signature over this approval by one of the tenant's approvers";
            return Err(Refusal::invalid("/signature", why));
        }
        let kept = ChangeSignature {
            key: signature.key,
            signature: signature.signature,
        };
        if !rollout_change::sign(tx, &scope, id, &kept, now)? {
            return Err(Refusal::WrongState(
                "this key has signed the change already".to_owned(),
            ));
        }
        rollout_change::next_generation(tx, &scope)?;
        let record = Record::of(Verb::Approve, Noun::Change, id).with("signed_by", signature.key.to_string());
        let version = row.version;
        let view = show_change(tx, &scope, row).map_err(of_rollout)?;
        Ok(Done::new(view, record).version(version).only_done())
    });
    let made = made.await?;
    ctx.wake_ups.nudge(Work::Plan);
    Ok(made)
}

fn parse(wanted: &SignatureRequest) -> Result<Signature, Refusal> {
    let key = public_key(&wanted.key)
        .ok_or_else(|| Refusal::invalid("/key", "a key is an Ed25519 public key, 32 bytes in base64"))?;
    let bytes = STANDARD.decode(&wanted.signature).ok();
    let signature = bytes.and_then(|bytes| bytes.try_into().ok());
    Ok(Signature {
        key: key.id(),
        signature: signature
            .ok_or_else(|| Refusal::invalid("/signature", "a signature is 64 bytes in base64"))?,
    })
}
