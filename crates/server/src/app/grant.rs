//! Grants: giving roles to users and taking them back. Nobody gives more than he has.

use std::collections::{BTreeMap, BTreeSet};

use domain::id::{GrantId, UserId};
use serde::{Deserialize, Serialize};
use store::role::{self as rows, Grant, NewGrant};
use store::{Owner, Scope, Tx, Whole, user};
use utoipa::ToSchema;

use super::caller::Caller;
use super::change::{self, Done, Keep, Made, Once, Record};
use super::permission::{Noun, Permission, Rights, Verb};
use super::refusal::Refusal;
use super::role::{of_json, reach_of, within};
use super::shape::{IdText, Listed, Part, When};
use crate::Context;

/// A grant, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Grant)]
pub struct GrantView {
    /// Its id.
    pub id: IdText,
    /// Who has it.
    pub user: IdText,
    /// The role.
    pub role: IdText,
    /// The tenant that it reaches; missing when it reaches the whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<IdText>,
    /// The one site that it reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<IdText>,
    /// Who gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub granted_by: Option<IdText>,
    /// When.
    pub granted_at: When,
}

impl Listed for GrantView {
    const COLUMNS: &'static [&'static str] =
        &["id", "user", "role", "tenant", "site", "granted_by", "granted_at"];
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> Self {
        let tenant = match grant.owner {
            Owner::Shared => None,
            Owner::Tenant(tenant) => Some(IdText::of(tenant)),
        };
        Self {
            id: IdText::of(grant.id),
            user: IdText::of(grant.user),
            role: IdText::of(grant.role),
            tenant,
            site: grant.site.map(IdText::of),
            granted_by: grant.granted_by.map(IdText::of),
            granted_at: When(grant.granted_at),
        }
    }
}

/// A role to give to a user in a tenant.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// Who gets it.
    pub user: IdText,
    /// The role.
    pub role: IdText,
    /// At one site only; in a tenant alone.
    pub site: Option<IdText>,
}

/// What was given in a tenant.
///
/// # Errors
/// Of the database.
pub async fn grants(ctx: &Context, scope: Scope) -> Result<Vec<GrantView>, Refusal> {
    let grants = ctx.db.read(move |view| rows::grants(view, &scope)).await?;
    Ok(grants.into_iter().map(GrantView::from).collect())
}

/// What a user was given, wherever.
///
/// # Errors
/// Of the database.
pub async fn grants_of(ctx: &Context, user: UserId) -> Result<Part<GrantView, ()>, Refusal> {
    let grants = ctx
        .db
        .read(move |view| rows::grants_of(view, &Whole::server(), user))
        .await?;
    Ok(Part {
        items: grants.into_iter().map(GrantView::from).collect(),
        next: None,
    })
}

/// Where something is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// On the whole server.
    Server,
    /// In a tenant.
    Tenant(Scope),
}

impl Where {
    /// The owner of rows there.
    pub const fn owner(self) -> Owner {
        match self {
            Self::Server => Owner::Shared,
            Self::Tenant(scope) => scope.owner(),
        }
    }
}

/// Gives a role to a user. Heard by all of the user's sessions and tokens at once.
///
/// # Errors
/// Where it is more than the caller has, or user, role or site are not there.
pub async fn grant(
    ctx: &Context,
    caller: &Caller,
    at: Where,
    once: Once,
    wanted: GrantRequest,
) -> Result<Made, Refusal> {
    let user = super::parse_id("/user", &wanted.user)?;
    let role = super::parse_id("/role", &wanted.role)?;
    let site = wanted
        .site
        .map(|site| super::parse_id("/site", &site))
        .transpose()?;
    if at == Where::Server && site.is_some() {
        return Err(Refusal::invalid(
            "/site",
            "a grant for the whole server has no site",
        ));
    }
    let new = NewGrant {
        id: change::draw_id(ctx, GrantId::new),
        user,
        role,
        site,
        granted_by: caller.user,
    };
    let (rights, now) = (caller.rights.clone(), ctx.clock.now());
    change::make(ctx, caller, at.owner(), once, Keep::Plain, move |tx| {
        let given = match at {
            Where::Server => rows::all_shared(tx, &Whole::server())?
                .into_iter()
                .find(|found| found.id == role),
            Where::Tenant(scope) => rows::get(tx, &scope, role)?,
        };
        let given = given.ok_or(Refusal::NotFound { what: "role" })?;
        let found = user::find(tx, &Whole::server(), user)?;
        // Another tenant's person is nobody here: with something given here its own tenant could not manage it any more.
        found
            .filter(|found| at == Where::Server || [Owner::Shared, at.owner()].contains(&found.owner))
            .ok_or(Refusal::NotFound { what: "user" })?;
        within(
            &Rights::of([(of_json(&given.permissions), reach_of(at.owner(), site))]),
            &rights,
        )?;
        let absent = |error| match error {
            store::Error::NoSuchRow(_) => Refusal::NotFound { what: "user or site" },
            other => Refusal::Store(other),
        };
        match at {
            Where::Server => rows::grant_everywhere(tx, &Whole::server(), &new, now).map_err(absent)?,
            Where::Tenant(scope) => {
                rows::grant(tx, &scope, &new, now).map_err(absent)?;
            }
        }
        let made = rows::grants_of(tx, &Whole::server(), user)?
            .into_iter()
            .find(|grant| grant.id == new.id);
        let made = made.ok_or(Refusal::Fault("a grant that was just made is not there"))?;
        let record = Record::of(Verb::Create, Noun::Role, role)
            .with("granted_to", user.to_string())
            .with("role", given.name);
        Ok(Done::new(GrantView::from(made), record))
    })
    .await
}

/// Takes back what was given.
///
/// # Errors
/// Where there is no such grant, or it is more than the caller has.
pub async fn take_back(ctx: &Context, caller: &Caller, at: Where, id: GrantId) -> Result<(), Refusal> {
    let rights = caller.rights.clone();
    change::change(ctx, caller, at.owner(), move |tx| {
        let given = match at {
            Where::Server => rows::grants_everywhere(tx, &Whole::server())?,
            Where::Tenant(scope) => rows::grants(tx, &scope)?,
        };
        let grant = given.into_iter().find(|grant| grant.id == id);
        let grant = grant.ok_or(Refusal::NotFound { what: "grant" })?;
        within(
            &Rights::of([(of_json(&grant.permissions), reach_of(grant.owner, grant.site))]),
            &rights,
        )?;
        keep_an_administrator(tx, |tx| {
            let is_gone = match at {
                Where::Server => rows::take_back_everywhere(tx, &Whole::server(), id)?,
                Where::Tenant(scope) => rows::take_back(tx, &scope, id)?,
            };
            is_gone.then_some(()).ok_or(Refusal::NotFound { what: "grant" })
        })?;
        let record = Record::of(Verb::Remove, Noun::Role, grant.role)
            .with("grant", id.to_string())
            .with("taken_from", grant.user.to_string());
        Ok(Done::new((), record))
    })
    .await
}

/// What the last administrator must be able to do: give everything back to others.
const ADMINISTERS: [Permission; 2] = [
    of_table(Verb::Change, Noun::Role),
    of_table(Verb::Change, Noun::User),
];

const fn of_table(verb: Verb, noun: Noun) -> Permission {
    Permission::of(verb, noun).expect("a row of the table")
}

/// Does something to people or grants, unless it would leave nobody who logs in and administers the whole server. Where nobody
/// did before, as on a server that only its own machine's command line uses, there is nothing to keep.
///
/// # Errors
/// What the work refuses, and the loss of the last administrator.
pub(super) fn keep_an_administrator<T>(
    tx: &mut Tx,
    work: impl FnOnce(&mut Tx) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let had_one = has_an_administrator(tx)?;
    let done = work(tx)?;
    match had_one && !has_an_administrator(tx)? {
        true => Err(Refusal::WrongState(
            "this is the last person who administers the server: give somebody else the role first"
                .to_owned(),
        )),
        false => Ok(done),
    }
}

fn has_an_administrator(tx: &mut Tx) -> Result<bool, store::Error> {
    let mut rights: BTreeMap<UserId, BTreeSet<Permission>> = BTreeMap::new();
    for (user, permissions) in rows::active_everywhere(tx, &Whole::server())? {
        rights.entry(user).or_default().extend(of_json(&permissions));
    }
    Ok(rights
        .values()
        .any(|held| ADMINISTERS.iter().all(|needed| held.contains(needed))))
}
