//! How a person or a program becomes a caller: sessions, tokens, passwords and second factors. Whatever is wrong with a
//! log-in, the answer is the same and takes as long.

use std::net::IpAddr;

use domain::id::{SessionId, UserId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use store::session::{self, Session};
use store::user::{self, User, UserState};
use store::{Tx, View, Whole, token};
use utoipa::ToSchema;

use super::caller::{Caller, Who};
use super::change;
use super::password::Passwords;
use super::refusal::Refusal;
use super::role;
use super::secret::{Kind, Secret, SecretHash};
use super::shape::{IdText, When};
use super::slow_down::{SlowDown, Whose};
use super::totp::TotpSecret;
use crate::Context;

/// How long a log-in lasts at most.
pub const LONGEST_SESSION: SignedDuration = SignedDuration::from_hours(12);
/// How long a log-in lasts without being used.
pub const IDLE_SESSION: SignedDuration = SignedDuration::from_hours(1);
/// How exactly the use of a session or token is written down.
const USE_NOTED_EACH: SignedDuration = SignedDuration::from_mins(1);
/// What second factors are sealed for.
pub(super) const FACTOR: &str = "second factors of users";

/// What somebody shows.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A token's secret.
    Token(Secret),
    /// A session's secret.
    Session(Secret),
    /// The text of the token in the data directory.
    Local(String),
}

/// Who shows this; none when it does not hold.
///
/// # Errors
/// Of the database.
pub async fn authenticate(ctx: &Context, credential: Credential) -> Result<Option<Caller>, Refusal> {
    let now = ctx.clock.now();
    match credential {
        Credential::Local(text) => Ok(ctx.local.is_token(&text).then(Caller::local)),
        Credential::Token(secret) => {
            let hash = secret.hash();
            let found = ctx.db.read(move |view| by_token(view, hash, now)).await?;
            let Some((caller, used_at)) = found else {
                return Ok(None);
            };
            note_token(ctx, &caller, used_at, now).await;
            Ok(Some(caller))
        }
        Credential::Session(secret) => {
            let hash = secret.hash();
            let found = ctx.db.read(move |view| by_session(view, hash, now)).await?;
            let Some((caller, session)) = found else {
                return Ok(None);
            };
            if now.duration_since(session.used_at) >= USE_NOTED_EACH {
                let until = (now + IDLE_SESSION).min(session.created_at + LONGEST_SESSION);
                ctx.db
                    .write(move |tx| session::note_use(tx, &Whole::server(), session.id, now, until))
                    .await?;
            }
            Ok(Some(caller))
        }
    }
}

/// Notes the use of a token, at most once a minute. That it cannot be noted keeps nobody out.
async fn note_token(ctx: &Context, caller: &Caller, used_at: Option<Timestamp>, now: Timestamp) {
    let Who::Token(id) = caller.who else { return };
    let unless_since = now.checked_sub(USE_NOTED_EACH).unwrap_or(Timestamp::MIN);
    if used_at.is_some_and(|at| at > unless_since) {
        return;
    }
    let noted = ctx
        .db
        .write(move |tx| token::note_use(tx, &Whole::server(), id, now, unless_since))
        .await;
    if let Err(error) = noted {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "The use of a token could not be noted."
        );
    }
}

fn by_token(
    view: &mut View,
    hash: SecretHash,
    now: Timestamp,
) -> Result<Option<(Caller, Option<Timestamp>)>, store::Error> {
    let Some(token) = token::find(view, &Whole::server(), hash, now)? else {
        return Ok(None);
    };
    let reach = role::reach_of(token.owner, token.site);
    let mut rights = super::permission::Rights::of([(role::of_json(&token.permissions), reach)]);
    if let Some(maker) = token.made_by {
        // What the maker may do now, not what he might when he made it.
        match active_user(view, maker)? {
            Some(_) => rights = rights.meet(&role::rights_of(view, maker)?),
            None => return Ok(None),
        }
    }
    let caller = Caller {
        who: Who::Token(token.id),
        name: token.name,
        user: token.made_by,
        rights,
        factor_at: None,
    };
    Ok(Some((caller, token.used_at)))
}

fn by_session(
    view: &mut View,
    hash: SecretHash,
    now: Timestamp,
) -> Result<Option<(Caller, Session)>, store::Error> {
    let Some(session) = session::find(view, &Whole::server(), hash, now)? else {
        return Ok(None);
    };
    let Some(user) = active_user(view, session.user)? else {
        return Ok(None);
    };
    let caller = Caller {
        who: Who::User(user.id),
        name: user.name,
        user: Some(user.id),
        rights: role::rights_of(view, user.id)?,
        factor_at: session.second_factor_at,
    };
    Ok(Some((caller, session)))
}

fn active_user(view: &mut View, id: UserId) -> Result<Option<User>, store::Error> {
    Ok(user::find(view, &Whole::server(), id)?.filter(|user| user.state == UserState::Active))
}

/// Name, password, and a code where the user has a second factor.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LogIn {
    /// The user's name.
    pub name: String,
    /// The password.
    pub password: String,
    /// Six digits of the authenticator.
    #[serde(default)]
    pub code: Option<String>,
}

impl std::fmt::Debug for LogIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogIn")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A log-in that was begun.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LoggedIn {
    /// The session's secret: for `Authorization: Bearer`, or the cookie.
    pub session: String,
    /// Who.
    pub user: IdText,
    /// When it ends at the latest.
    pub expires_at: When,
}

/// Where logging in happens: the room for hashing, and who failed of late.
#[derive(Clone, Copy, Debug)]
pub struct Gatehouse<'a> {
    /// The room for hashing.
    pub passwords: &'a Passwords,
    /// Who failed of late.
    pub slow_down: &'a SlowDown,
    /// Where the request comes from.
    pub address: IpAddr,
}

/// Logs a person in.
///
/// # Errors
/// One refusal for all that can be wrong; and a wait after failures.
pub async fn log_in(ctx: &Context, gate: Gatehouse<'_>, wanted: LogIn) -> Result<LoggedIn, Refusal> {
    let now = ctx.clock.now();
    let guessed: String = wanted.name.chars().take(super::text::LONGEST_NAME).collect();
    let whose = [Whose::Name(&guessed), Whose::Address(gate.address)];
    if let Some(seconds) = gate.slow_down.wait_seconds(&whose, now) {
        return Err(Refusal::SlowDown { seconds });
    }
    let name = guessed.clone();
    let found = match name.contains('\0') {
        // No database takes it, and nobody is called so.
        true => None,
        false => {
            ctx.db
                .read(move |view| user::by_name(view, &Whole::server(), &name))
                .await?
        }
    };
    let kept = found.as_ref().and_then(|user| user.password_hash.clone());
    let fits = gate.passwords.fits(wanted.password, kept).await;
    let user = found.filter(|user| fits && user.state == UserState::Active && user.name == wanted.name);
    let step = match &user {
        Some(user) => check_factor(ctx, user, wanted.code.as_deref(), now)?,
        None => None,
    };
    let (Some(user), Some(step)) = (user, step) else {
        gate.slow_down.failed(&whose, now);
        return Err(Refusal::LogInRefused);
    };
    let logged_in = begin(ctx, user.id, step, gate.address).await?;
    match &logged_in {
        Some(_) => gate.slow_down.succeeded(&guessed),
        None => gate.slow_down.failed(&whose, now),
    }
    logged_in.ok_or(Refusal::LogInRefused)
}

/// What became of a second factor: none is needed, or a code of this step was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// The user has none.
    NotNeeded,
    /// The code of this step.
    Step(u64),
}

/// The step of a code that fits; none when it does not.
fn check_factor(
    ctx: &Context,
    user: &User,
    code: Option<&str>,
    now: Timestamp,
) -> Result<Option<Shown>, Refusal> {
    let Some(sealed) = &user.totp_sealed else {
        return Ok(Some(Shown::NotNeeded));
    };
    let secret = ctx.authority.sealer().unseal(FACTOR, sealed);
    let secret = secret.map_err(|_not_ours| {
        Refusal::Fault("a second factor does not open under this server's master key")
    })?;
    let secret = <[u8; super::totp::SECRET_BYTES]>::try_from(secret.as_slice());
    let secret =
        TotpSecret::of(secret.map_err(|_length| Refusal::Fault("a kept second factor has another length"))?);
    let last = user.totp_last_step.and_then(|step| u64::try_from(step).ok());
    Ok(secret
        .accept(code.unwrap_or_default(), now, last)
        .map(Shown::Step))
}

/// Begins a session; none when the code was used by another request at the same moment.
async fn begin(
    ctx: &Context,
    user: UserId,
    shown: Shown,
    address: IpAddr,
) -> Result<Option<LoggedIn>, Refusal> {
    let secret = Secret::draw(Kind::Session, ctx.chance.as_ref());
    let now = ctx.clock.now();
    let expires_at = now + LONGEST_SESSION;
    let session = Session {
        id: change::draw_id(ctx, SessionId::new),
        user,
        created_at: now,
        used_at: now,
        expires_at: now + IDLE_SESSION,
        second_factor_at: matches!(shown, Shown::Step(_)).then_some(now),
        address: address.to_string(),
    };
    let hash = secret.hash();
    let is_begun = ctx.db.write(move |tx: &mut Tx| {
        let whole = Whole::server();
        if let Shown::Step(step) = shown
            && !user::use_totp_step(tx, &whole, user, i64::try_from(step).unwrap_or(i64::MAX))?
        {
            return Ok(false);
        }
        session::begin(tx, &whole, hash, &session)?;
        Ok(true)
    });
    let logged_in = LoggedIn {
        session: secret.reveal(),
        user: IdText::of(user),
        expires_at: When(expires_at),
    };
    Ok(is_begun.await?.then_some(logged_in))
}

/// Shows the second factor again, so that what asks for it lately can be done.
///
/// # Errors
/// A wrong or spent code; and a wait after failures.
pub async fn show_factor(
    ctx: &Context,
    gate: Gatehouse<'_>,
    secret: &Secret,
    code: &str,
) -> Result<(), Refusal> {
    let now = ctx.clock.now();
    let hash = secret.hash();
    let found = ctx.db.read(move |view| {
        let Some(session) = session::find(view, &Whole::server(), hash, now)? else {
            return Ok(None);
        };
        Ok(active_user(view, session.user)?.map(|user| (session, user)))
    });
    let (session, user) = found.await?.ok_or(Refusal::LogInRefused)?;
    let whose = [Whose::Name(&user.name), Whose::Address(gate.address)];
    if let Some(seconds) = gate.slow_down.wait_seconds(&whose, now) {
        return Err(Refusal::SlowDown { seconds });
    }
    if let Some(Shown::Step(step)) = check_factor(ctx, &user, Some(code), now)? {
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let is_new = ctx.db.write(move |tx: &mut Tx| {
            let whole = Whole::server();
            let is_new = user::use_totp_step(tx, &whole, user.id, step)?;
            if is_new {
                session::note_second_factor(tx, &whole, session.id, now)?;
            }
            Ok(is_new)
        });
        if is_new.await? {
            return Ok(());
        }
    }
    gate.slow_down.failed(&whose, now);
    Err(Refusal::LogInRefused)
}

/// Ends a session; one that does not hold has ended already.
///
/// # Errors
/// Of the database.
pub async fn log_out(ctx: &Context, secret: &Secret) -> Result<(), Refusal> {
    let (hash, now) = (secret.hash(), ctx.clock.now());
    let work = move |tx: &mut Tx| match session::find(tx, &Whole::server(), hash, now)? {
        Some(session) => session::end(tx, &Whole::server(), session.id).map(drop),
        None => Ok(()),
    };
    Ok(ctx.db.write(work).await?)
}
