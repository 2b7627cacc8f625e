//! Tokens of programs: a subset of what their maker may do, shown once, revocable.

use domain::id::TokenId;
use serde::{Deserialize, Serialize};
use store::token::{self, NewToken, Token};
use store::{ByName, Owner, Whole};
use utoipa::ToSchema;

use super::caller::Caller;
use super::change::{self, Done, Keep, Made, Once, Record};
use super::grant::Where;
use super::permission::{Noun, Permission, Rights, Verb};
use super::refusal::{Refusal, changed};
use super::role;
use super::secret::{Kind, Secret};
use super::shape::{IdText, Listed, Part, When};
use super::text;
use crate::Context;

/// A token, shown without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Token)]
pub struct TokenView {
    /// Its id.
    pub id: IdText,
    /// Its name.
    pub name: String,
    /// What it may do at most, `verb:noun` each.
    pub permissions: Vec<String>,
    /// The tenant that it reaches; missing when it reaches the whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<IdText>,
    /// The one site that it reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<IdText>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_by: Option<IdText>,
    /// When it was made.
    pub created_at: When,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<When>,
    /// When it was used last, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_at: Option<When>,
    /// When it was revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<When>,
    /// Counts its changes; the ETag is made of it.
    pub version: i64,
}

impl Listed for TokenView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "permissions",
        "tenant",
        "site",
        "made_by",
        "created_at",
        "expires_at",
        "used_at",
        "revoked_at",
    ];
}

impl From<Token> for TokenView {
    fn from(token: Token) -> Self {
        let tenant = match token.owner {
            Owner::Shared => None,
            Owner::Tenant(tenant) => Some(IdText::of(tenant)),
        };
        Self {
            id: IdText::of(token.id),
            name: token.name,
            permissions: role::of_json(&token.permissions)
                .iter()
                .map(Permission::to_string)
                .collect(),
            tenant,
            site: token.site.map(IdText::of),
            made_by: token.made_by.map(IdText::of),
            created_at: When(token.created_at),
            expires_at: token.expires_at.map(When),
            used_at: token.used_at.map(When),
            revoked_at: token.revoked_at.map(When),
            version: token.version,
        }
    }
}

/// A token to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Its name: 1 to 64 characters.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What it may do, `verb:noun` each; none that you may not do yourself.
    pub permissions: Vec<String>,
    /// At one site only; in a tenant alone.
    #[serde(default)]
    pub site: Option<IdText>,
    /// When it ends; without it, when it is revoked.
    #[serde(default)]
    pub expires_at: Option<When>,
}

/// A token that was just made: the only time that its secret is shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct NewTokenView {
    /// The token.
    pub token: TokenView,
    /// What programs send as `Authorization: Bearer`.
    pub secret: String,
}

/// The tokens of a place in the order of names.
///
/// # Errors
/// Of the database.
pub async fn list(
    ctx: &Context,
    at: Where,
    after: Option<(String, TokenId)>,
    limit: u32,
) -> Result<Part<TokenView, (String, String)>, Refusal> {
    let after = after.map(|(name, id)| ByName { name, id });
    let page = ctx.db.read(move |view| match at {
        Where::Server => token::page_everywhere(view, &Whole::server(), after.as_ref(), limit),
        Where::Tenant(scope) => token::page(view, &scope, after.as_ref(), limit),
    });
    Ok(Part::of(page.await?, TokenView::from, |key| {
        (key.name, key.id.to_string())
    }))
}

/// Makes a token.
///
/// # Errors
/// Where it could do more than its maker, or ends in the past.
pub async fn create(
    ctx: &Context,
    caller: &Caller,
    at: Where,
    once: Once,
    new: TokenRequest,
) -> Result<Made, Refusal> {
    let name = text::name("/name", &new.name)?;
    let permissions = role::parse_all(&new.permissions)?;
    let site = new.site.map(|site| super::parse_id("/site", &site)).transpose()?;
    if at == Where::Server && site.is_some() {
        return Err(Refusal::invalid(
            "/site",
            "a token for the whole server has no site",
        ));
    }
    let now = ctx.clock.now();
    if new.expires_at.is_some_and(|end| end.0 <= now) {
        return Err(Refusal::invalid("/expires_at", "a token ends in the future"));
    }
    let wanted = Rights::of([(permissions.clone(), role::reach_of(at.owner(), site))]);
    role::within(&wanted, &caller.rights)?;
    let secret = Secret::draw(Kind::Token, ctx.chance.as_ref());
    let new = NewToken {
        id: change::draw_id(ctx, TokenId::new),
        secret_hash: secret.hash(),
        name,
        made_by: caller.user,
        permissions: role::to_json(&permissions),
        site,
        expires_at: new.expires_at.map(|end| end.0),
    };
    change::make(ctx, caller, at.owner(), once, Keep::Sealed, move |tx| {
        let absent = |error| match error {
            store::Error::NoSuchRow(_) => Refusal::NotFound { what: "site" },
            other => Refusal::Store(other),
        };
        match at {
            Where::Server => token::create_everywhere(tx, &Whole::server(), &new, now).map_err(absent)?,
            Where::Tenant(scope) => token::create(tx, &scope, &new, now).map_err(absent)?,
        }
        let made = token::find(tx, &Whole::server(), new.secret_hash, now)?;
        let made = made.ok_or(Refusal::Fault("a token that was just made is not there"))?;
        let record = Record::of(Verb::Create, Noun::Token, new.id).with("name", &*new.name);
        let record = record.with("permissions", &*new.permissions);
        Ok(Done::new(
            NewTokenView {
                token: made.into(),
                secret: secret.reveal(),
            },
            record,
        )
        .version(1))
    })
    .await
}

/// Revokes a token.
///
/// # Errors
/// Not found, or changed meanwhile.
pub async fn revoke(
    ctx: &Context,
    caller: &Caller,
    at: Where,
    id: TokenId,
    version: i64,
) -> Result<(), Refusal> {
    let now = ctx.clock.now();
    change::change(ctx, caller, at.owner(), move |tx| {
        let revoked = match at {
            Where::Server => token::revoke_everywhere(tx, &Whole::server(), id, version, now)?,
            Where::Tenant(scope) => token::revoke(tx, &scope, id, version, now)?,
        };
        let token = changed(revoked, "token")?;
        Ok(Done::new(
            (),
            Record::of(Verb::Remove, Noun::Token, id).with("name", token.name),
        ))
    })
    .await
}
