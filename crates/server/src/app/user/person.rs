//! What is kept of a person, for the person; and erasing it. What was done stays in the audit under an id that names nobody.

use domain::id::UserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::user::User;
use store::{Owner, Tx, Whole, audit, role, session, token, user};
use utoipa::ToSchema;

use super::UserView;
use crate::Context;
use crate::app::audit::RecordView;
use crate::app::caller::Caller;
use crate::app::change::{self, Done, Keep, Made, Once, Record};
use crate::app::grant::{GrantView, Where, keep_an_administrator};
use crate::app::permission::{Noun, Verb};
use crate::app::refusal::{Refusal, changed};
use crate::app::role::{rights_of, within};
use crate::app::shape::When;

/// Audit records that an answer has at most; the rest is found by `actor`.
const MOST_RECORDS: u32 = 10_000;

/// A log-in of a person, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PersonSession)]
pub struct SessionView {
    /// When it began.
    pub created_at: When,
    /// When it was used last.
    pub used_at: When,
    /// Where it was begun from.
    pub address: String,
}

/// Everything that is kept of a person.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PersonData {
    /// The user.
    pub user: UserView,
    /// Log-ins that have not ended.
    pub sessions: Vec<SessionView>,
    /// What was given.
    pub grants: Vec<GrantView>,
    /// Names of the tokens that the person made.
    pub tokens: Vec<String>,
    /// What audit records hold about the person, as far as it was not erased.
    #[schema(value_type = Vec<Object>)]
    pub recorded: Vec<Value>,
    /// What the person did, the newest first; at most 10,000 records.
    pub done: Vec<RecordView>,
}

fn find(tx: &mut store::View, at: Where, id: UserId) -> Result<User, Refusal> {
    let found = match at {
        Where::Server => user::find(tx, &Whole::server(), id)?,
        Where::Tenant(scope) => user::get(tx, &scope, id)?,
    };
    found.ok_or(Refusal::NotFound { what: "user" })
}

/// Everything that is kept of a person.
///
/// # Errors
/// Not found.
pub async fn data(ctx: &Context, at: Where, id: UserId) -> Result<PersonData, Refusal> {
    let now = ctx.clock.now();
    ctx.db
        .attempt_read(move |view| {
            let whole = Whole::server();
            let found = find(view, at, id)?;
            let is_here = |owner: Owner| at == Where::Server || owner == at.owner();
            let sessions = session::of_user(view, &whole, id, now)?.into_iter();
            let recorded = audit::personal_about(view, &whole, Noun::User.text(), id.0)?.into_iter();
            let done = audit::done_by(view, &whole, id.0, MOST_RECORDS)?.into_iter();
            let grants = role::grants_of(view, &whole, id)?.into_iter();
            Ok(PersonData {
                user: found.into(),
                sessions: sessions
                    .map(|session| SessionView {
                        created_at: When(session.created_at),
                        used_at: When(session.used_at),
                        address: session.address,
                    })
                    .collect(),
                grants: grants
                    .filter(|grant| is_here(grant.owner))
                    .map(GrantView::from)
                    .collect(),
                tokens: token::names_made_by(view, &whole, id)?,
                recorded: recorded
                    .filter(|(record, _)| is_here(record.owner))
                    .filter_map(|(_, personal)| serde_json::from_str(&personal.data).ok())
                    .collect(),
                done: done
                    .filter(|record| is_here(record.owner))
                    .map(RecordView::from)
                    .collect(),
            })
        })
        .await
}

/// Who is erased, said by name.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ErasePerson {
    /// The name to log in with, once more.
    pub name: String,
}

/// Erases a person: name, password, second factor, log-ins, grants, tokens, and what audit records hold about the person. The
/// records and their chains stay whole.
///
/// # Errors
/// Where the user may do what the caller may not, is called otherwise, or is the last who administers the server.
pub async fn erase(
    ctx: &Context,
    caller: &Caller,
    at: Where,
    id: UserId,
    once: Once,
    wanted: ErasePerson,
) -> Result<Made, Refusal> {
    let (rights, now) = (caller.rights.clone(), ctx.clock.now());
    change::make(ctx, caller, at.owner(), once, Keep::Plain, move |tx: &mut Tx| {
        let whole = Whole::server();
        let found = find(tx, at, id)?;
        within(&rights_of(tx, id)?, &rights)?;
        if found.name != wanted.name {
            return Err(Refusal::invalid("/name", "the user is called otherwise"));
        }
        let after = keep_an_administrator(tx, |tx| {
            session::end_all(tx, &whole, id)?;
            session::end_links(tx, &whole, id)?;
            token::revoke_made_by(tx, &whole, id, now)?;
            role::take_back_all(tx, &whole, id)?;
            let name = format!("erased {id}");
            changed(user::erase(tx, &whole, id, found.version, &name)?, "user")
        })?;
        let erased = audit::erase_personal_about(tx, &whole, Noun::User.text(), id.0)?;
        let record = Record::of(Verb::Remove, Noun::User, id).with("records_erased", erased);
        let version = after.version;
        Ok(Done::new(UserView::from(after), record)
            .recorded_for(found.owner)
            .version(version)
            .only_done())
    })
    .await
}
