//! People: inviting them, letting them choose a password, disabling them; and the first administrator, who comes by a
//! one-time link that only this machine gives out. What is kept of a person, and erasing it, is in `person`.

pub mod person;

use domain::id::{GrantId, UserId};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use store::role::NewGrant;
use store::user::{self, User, UserEdit, UserState};
use store::{ByName, Owner, Tx, Whole, session, token};
use utoipa::ToSchema;

use super::caller::Caller;
use super::change::{self, Done, Keep, Made, Once, Record};
use super::grant::{Where, keep_an_administrator};
use super::log_in::FACTOR;
use super::password::{self, Passwords};
use super::permission::{Noun, Verb};
use super::refusal::{Refusal, changed};
use super::role;
use super::secret::{Kind, Secret};
use super::shape::{IdText, Listed, Part, When};
use super::text;
use super::totp::TotpSecret;
use crate::Context;
use crate::local::LinkUse;

/// How long an invitation lasts.
pub const INVITATION_LIFE: SignedDuration = SignedDuration::from_hours(48);

/// A user, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub struct UserView {
    /// Their id.
    pub id: IdText,
    /// What they log in with.
    pub name: String,
    /// What others see.
    pub display_name: String,
    /// `invited`, `active` or `disabled`.
    pub state: &'static str,
    /// The tenant whose person it is; missing for the server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<IdText>,
    /// Whether a second factor is asked for.
    pub has_second_factor: bool,
    /// When they were made.
    pub created_at: When,
    /// Counts changes; the ETag is made of it.
    pub version: i64,
}

impl Listed for UserView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "name",
        "display_name",
        "state",
        "tenant",
        "has_second_factor",
        "created_at",
    ];
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        let tenant = match user.owner {
            Owner::Shared => None,
            Owner::Tenant(tenant) => Some(IdText::of(tenant)),
        };
        Self {
            id: IdText::of(user.id),
            name: user.name,
            display_name: user.display_name,
            state: user.state.as_str(),
            tenant,
            has_second_factor: user.totp_sealed.is_some(),
            created_at: When(user.created_at),
            version: user.version,
        }
    }
}

/// The users of a place in the order of names: of one tenant, or all there are.
///
/// # Errors
/// Of the database.
pub async fn list(
    ctx: &Context,
    at: Where,
    after: Option<(String, UserId)>,
    limit: u32,
) -> Result<Part<UserView, (String, String)>, Refusal> {
    let after = after.map(|(name, id)| ByName { name, id });
    let page = ctx.db.read(move |view| match at {
        Where::Server => user::page_all(view, &Whole::server(), after.as_ref(), limit),
        Where::Tenant(scope) => user::page(view, &scope, after.as_ref(), limit),
    });
    Ok(Part::of(page.await?, UserView::from, |key| {
        (key.name, key.id.to_string())
    }))
}

fn find(view: &mut store::View, at: Where, id: UserId) -> Result<User, Refusal> {
    let found = match at {
        Where::Server => user::find(view, &Whole::server(), id)?,
        Where::Tenant(scope) => user::get(view, &scope, id)?,
    };
    found.ok_or(Refusal::NotFound { what: "user" })
}

/// One user.
///
/// # Errors
/// Not found.
pub async fn get(ctx: &Context, at: Where, id: UserId) -> Result<UserView, Refusal> {
    ctx.db
        .attempt_read(move |view| find(view, at, id))
        .await
        .map(UserView::from)
}

/// A user to invite.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// What they log in with: 1 to 64 characters, unique on the server.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What others see.
    #[serde(default)]
    pub display_name: Option<String>,
}

/// An invited user, and the way in.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Invited {
    /// The user.
    pub user: UserView,
    /// What the link carries: `/login?invitation=...`, good once and for 48 hours.
    pub invitation: String,
}

/// Invites a user, who may do nothing until something is granted.
///
/// # Errors
/// Where the name is taken or not allowed.
pub async fn invite(
    ctx: &Context,
    caller: &Caller,
    at: Where,
    once: Once,
    new: NewUser,
) -> Result<Made, Refusal> {
    let name = text::name("/name", &new.name)?;
    let display_name = text::name("/display_name", new.display_name.as_deref().unwrap_or(&new.name))?;
    let (id, now) = (change::draw_id(ctx, UserId::new), ctx.clock.now());
    let secret = Secret::draw(Kind::Link, ctx.chance.as_ref());
    change::make(ctx, caller, at.owner(), once, Keep::Sealed, move |tx| {
        let whole = Whole::server();
        user::create(tx, &whole, at.owner(), id, &name, &display_name, now)
            .map_err(Refusal::taken("user"))?;
        session::make_link(tx, &whole, secret.hash(), Some(id), now, now + INVITATION_LIFE)?;
        let user = UserView::from(find(tx, at, id)?);
        let record = Record::of(Verb::Create, Noun::User, id).with_personal("name", &*name);
        Ok(Done::new(
            Invited {
                user,
                invitation: secret.reveal(),
            },
            record,
        )
        .version(1))
    })
    .await
}

/// A new way in for a user who lost the old one: password and second factor are chosen anew.
///
/// # Errors
/// Where the user may do what the caller may not: nobody becomes another one with more rights.
pub async fn invite_again(
    ctx: &Context,
    caller: &Caller,
    at: Where,
    id: UserId,
    once: Once,
) -> Result<Made, Refusal> {
    let now = ctx.clock.now();
    let secret = Secret::draw(Kind::Link, ctx.chance.as_ref());
    let rights = caller.rights.clone();
    change::make(ctx, caller, at.owner(), once, Keep::Sealed, move |tx| {
        let user = find(tx, at, id)?;
        role::within(&role::rights_of(tx, id)?, &rights)?;
        // Whoever has an older invitation does not become this user any more.
        session::end_links(tx, &Whole::server(), id)?;
        session::make_link(
            tx,
            &Whole::server(),
            secret.hash(),
            Some(id),
            now,
            now + INVITATION_LIFE,
        )?;
        let record = Record::of(Verb::Change, Noun::User, id).with("invited_again", true);
        let version = user.version;
        Ok(Done::new(
            Invited {
                user: user.into(),
                invitation: secret.reveal(),
            },
            record,
        )
        .version(version))
    })
    .await
}

/// What is to be changed; what is missing stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserEdit)]
pub struct UserChange {
    /// What others see.
    #[serde(default)]
    pub display_name: Option<String>,
    /// `active` or `disabled`. Disabling ends all sessions and tokens of the user.
    #[serde(default)]
    pub state: Option<String>,
}

/// Renames, disables or enables a user.
///
/// # Errors
/// Where the user may do what the caller may not, or was changed meanwhile.
pub async fn edit(
    ctx: &Context,
    caller: &Caller,
    at: Where,
    id: UserId,
    version: i64,
    wanted: UserChange,
) -> Result<UserView, Refusal> {
    let display_name = wanted
        .display_name
        .map(|name| text::name("/display_name", &name))
        .transpose()?;
    let state = match wanted.state.as_deref() {
        None => None,
        Some("active") => Some(UserState::Active),
        Some("disabled") => Some(UserState::Disabled),
        Some(_) => {
            return Err(Refusal::invalid(
                "/state",
                "a user can be made active or disabled",
            ));
        }
    };
    let (rights, now) = (caller.rights.clone(), ctx.clock.now());
    change::change(ctx, caller, at.owner(), move |tx| {
        let before = find(tx, at, id)?;
        role::within(&role::rights_of(tx, id)?, &rights)?;
        if state == Some(UserState::Active) && before.password_hash.is_none() {
            return Err(Refusal::WrongState(
                "this user has not chosen a password yet: invite again".to_owned(),
            ));
        }
        let edit = UserEdit {
            display_name: display_name.clone().unwrap_or(before.display_name),
            state: state.unwrap_or(before.state),
            password_hash: before.password_hash,
            totp_sealed: before.totp_sealed,
        };
        let record = Record::of(Verb::Change, Noun::User, id).with("state", edit.state.as_str());
        let after = keep_an_administrator(tx, |tx| {
            changed(user::edit(tx, &Whole::server(), id, version, &edit)?, "user")
        })?;
        if after.state == UserState::Disabled {
            session::end_all(tx, &Whole::server(), id)?;
            token::revoke_made_by(tx, &Whole::server(), id, now)?;
        }
        Ok(Done::new(UserView::from(after), record))
    })
    .await
}

/// What a person chose at the page behind a link.
#[derive(Clone)]
pub struct Choice {
    /// The text of the link.
    pub link: String,
    /// The name; for the first administrator only.
    pub name: String,
    /// The password.
    pub password: String,
}

/// What the person has to put into an authenticator.
#[derive(Clone, Debug)]
pub struct Welcome {
    /// The name to log in with.
    pub name: String,
    /// The second factor's secret.
    pub factor: TotpSecret,
}

/// Makes the administrator who came by a link from this machine; where one of the server's own has the name already, he
/// gets a new password and a new second factor. The link is spent with it.
///
/// # Errors
/// A spent link, a name that is not allowed or a tenant's person's, a weak password. The link is spent by none of these
/// but the first.
pub async fn become_administrator(
    ctx: &Context,
    passwords: &Passwords,
    choice: Choice,
) -> Result<Welcome, Refusal> {
    let name = text::name("/name", &choice.name)?;
    password::check(&choice.password, &name).map_err(|bad| Refusal::invalid("/password", bad.to_string()))?;
    if ctx.local.look_at_link(&choice.link, ctx.clock.now()) != LinkUse::Good {
        return Err(Refusal::Spent);
    }
    let login = name.clone();
    let found = ctx
        .db
        .read(move |view| user::by_name(view, &Whole::server(), &login))
        .await?;
    if found.as_ref().is_some_and(|user| user.owner != Owner::Shared) {
        return Err(Refusal::AlreadyExists { what: "user" });
    }
    let hash = passwords.hash(choice.password, ctx.chance.as_ref()).await;
    if ctx.local.spend_link(&choice.link, ctx.clock.now()) != LinkUse::Good {
        return Err(Refusal::Spent);
    }
    let chosen = Chosen::of(ctx, hash);
    let (new_id, grant_id, now) = (
        change::draw_id(ctx, UserId::new),
        change::draw_id(ctx, GrantId::new),
        ctx.clock.now(),
    );
    let (shown, factor) = (name.clone(), chosen.factor.clone());
    change::change(ctx, &Caller::local(), Owner::Shared, move |tx| {
        let whole = Whole::server();
        let id = match user::by_name(tx, &whole, &name)? {
            Some(user) => user.id,
            None => {
                user::create(tx, &whole, Owner::Shared, new_id, &name, &name, now)
                    .map_err(Refusal::taken("user"))?;
                new_id
            }
        };
        chosen.keep(tx, id)?;
        let has_all = role::rights_of(tx, id)? == super::permission::Rights::all();
        if !has_all {
            let grant = NewGrant {
                id: grant_id,
                user: id,
                role: role::DUAL_ROLE_ADMINISTRATOR,
                site: None,
                granted_by: None,
            };
            store::role::grant_everywhere(tx, &whole, &grant, now)?;
        }
        Ok(Done::new(
            (),
            Record::of(Verb::Create, Noun::User, id)
                .with_personal("name", &*name)
                .with("by_link", true),
        ))
    })
    .await?;
    Ok(Welcome { name: shown, factor })
}

/// Lets an invited person choose a password. The invitation is spent with it.
///
/// # Errors
/// A spent invitation, a weak password.
pub async fn accept_invitation(
    ctx: &Context,
    passwords: &Passwords,
    choice: Choice,
) -> Result<Welcome, Refusal> {
    let secret = Secret::parse(Kind::Link, &choice.link).ok_or(Refusal::Spent)?;
    let (hash, now) = (secret.hash(), ctx.clock.now());
    if !ctx
        .db
        .read(move |view| session::is_link_fresh(view, &Whole::server(), hash, now))
        .await?
    {
        return Err(Refusal::Spent);
    }
    password::check(&choice.password, "").map_err(|bad| Refusal::invalid("/password", bad.to_string()))?;
    let chosen = Chosen::of(ctx, passwords.hash(choice.password, ctx.chance.as_ref()).await);
    let factor = chosen.factor.clone();
    let local = Caller::local();
    let name = change::change(ctx, &local, Owner::Shared, move |tx| {
        let id = session::use_link(tx, &Whole::server(), hash, now)?
            .flatten()
            .ok_or(Refusal::Spent)?;
        let user = chosen.keep(tx, id)?;
        let record = Record::of(Verb::Change, Noun::User, id).with("by_invitation", true);
        Ok(Done::new(user.name, record).recorded_for(user.owner))
    });
    Ok(Welcome {
        name: name.await?,
        factor,
    })
}

/// Is this text of an invitation still good?
///
/// # Errors
/// Of the database.
pub async fn is_invitation_good(ctx: &Context, text: &str) -> Result<bool, Refusal> {
    let Some(secret) = Secret::parse(Kind::Link, text) else {
        return Ok(false);
    };
    let (hash, now) = (secret.hash(), ctx.clock.now());
    Ok(ctx
        .db
        .read(move |view| session::is_link_fresh(view, &Whole::server(), hash, now))
        .await?)
}

/// A password and a second factor, about to be kept.
struct Chosen {
    password_hash: String,
    factor: TotpSecret,
    sealed: Vec<u8>,
}

impl Chosen {
    fn of(ctx: &Context, password_hash: String) -> Self {
        let factor = TotpSecret::draw(ctx.chance.as_ref());
        let sealed = ctx
            .authority
            .sealer()
            .seal(FACTOR, factor.bytes(), ctx.chance.as_ref());
        Self {
            password_hash,
            factor,
            sealed,
        }
    }

    /// Keeps them, makes the user active, and ends what the old ones had opened.
    fn keep(&self, tx: &mut Tx, id: UserId) -> Result<User, Refusal> {
        let whole = Whole::server();
        let before = user::find(tx, &whole, id)?.ok_or(Refusal::NotFound { what: "user" })?;
        if before.state == UserState::Disabled {
            return Err(Refusal::Spent);
        }
        let edit = UserEdit {
            display_name: before.display_name,
            state: UserState::Active,
            password_hash: Some(self.password_hash.clone()),
            totp_sealed: Some(self.sealed.clone()),
        };
        session::end_all(tx, &whole, id)?;
        changed(user::edit(tx, &whole, id, before.version, &edit)?, "user")
    }
}
