//! Tenants: who they are, making them, renaming and suspending them. Removing one is in `remove`.

pub mod remove;

use domain::id::TenantId;
use serde::{Deserialize, Serialize};
use store::tenant::{self, Tenant, TenantEdit, TenantState};
use store::{ByName, Owner, Page, Scope, Whole};
use utoipa::ToSchema;

use super::caller::Caller;
use super::change::{self, Done, Keep, Made, Once, Record};
use super::permission::{Noun, Permission, Reach, Verb};
use super::refusal::{Refusal, changed};
use super::shape::{IdText, Listed, Part, When};
use super::text;
use crate::Context;

/// A tenant, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
pub struct TenantView {
    /// Its id.
    pub id: IdText,
    /// Its name, unique on the server.
    pub name: String,
    /// `active` or `suspended`.
    pub state: &'static str,
    /// When it was made.
    pub created_at: When,
    /// Counts its changes; the ETag is made of it.
    pub version: i64,
}

impl Listed for TenantView {
    const COLUMNS: &'static [&'static str] = &["id", "name", "state", "created_at"];
}

impl From<Tenant> for TenantView {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: IdText::of(tenant.id),
            name: tenant.name,
            state: tenant.state.as_str(),
            created_at: When(tenant.created_at),
            version: tenant.version,
        }
    }
}

/// A tenant to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// Its name: 1 to 64 characters.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
}

/// What is to be changed; what is missing stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantEdit)]
pub struct TenantChange {
    /// Its name: 1 to 64 characters.
    pub name: Option<String>,
    /// `active` or `suspended`.
    pub state: Option<String>,
}

/// Lets a caller to a tenant: it has to be there, and served unless the permission reaches the whole server.
///
/// # Errors
/// Not found, or suspended.
pub async fn enter(
    ctx: &Context,
    caller: &Caller,
    permission: Permission,
    scope: Scope,
) -> Result<(), Refusal> {
    let found = ctx.db.read(move |view| tenant::get(view, &scope)).await?;
    match found.ok_or(Refusal::NotFound { what: "tenant" })?.state {
        TenantState::Active => Ok(()),
        TenantState::Suspended if caller.rights.allow(permission, Reach::Server) => Ok(()),
        TenantState::Suspended => Err(Refusal::WrongState("this tenant is suspended".to_owned())),
        TenantState::Removed => Err(Refusal::NotFound { what: "tenant" }),
    }
}

/// The tenants that the caller may see, in the order of names.
///
/// # Errors
/// Of the database.
pub async fn list(
    ctx: &Context,
    caller: &Caller,
    after: Option<(String, TenantId)>,
    limit: u32,
) -> Result<Part<TenantView, (String, String)>, Refusal> {
    let read = Permission::of(Verb::Read, Noun::Tenant).expect("a row of the table");
    let page = match caller.rights.tenants_of(read) {
        None => {
            let after = after.map(|(name, id)| ByName { name, id });
            ctx.db
                .read(move |view| tenant::page(view, &Whole::server(), after.as_ref(), limit))
                .await?
        }
        // Whoever sees some tenants sees few: they are found one by one.
        Some(tenants) => {
            let found = ctx.db.read(move |view| {
                tenants
                    .into_iter()
                    .map(|id| tenant::get(view, &Scope::of_tenant(id)))
                    .collect::<Result<Vec<_>, _>>()
            });
            let mut rows: Vec<_> = found.await?.into_iter().flatten().collect();
            rows.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
            rows.retain(|tenant| {
                after
                    .as_ref()
                    .is_none_or(|(name, id)| (&tenant.name, &tenant.id) > (name, id))
            });
            let has_more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let last = rows.last().map(|tenant| ByName {
                name: tenant.name.clone(),
                id: tenant.id,
            });
            Page {
                rows,
                next: last.filter(|_| has_more),
            }
        }
    };
    Ok(Part::of(page, TenantView::from, |key| {
        (key.name, key.id.to_string())
    }))
}

/// One tenant.
///
/// # Errors
/// Not found.
pub async fn get(ctx: &Context, scope: Scope) -> Result<TenantView, Refusal> {
    let found = ctx.db.read(move |view| tenant::get(view, &scope)).await?;
    found
        .map(TenantView::from)
        .ok_or(Refusal::NotFound { what: "tenant" })
}

/// Makes a tenant.
///
/// # Errors
/// Where the name is taken or not allowed.
pub async fn create(ctx: &Context, caller: &Caller, once: Once, new: NewTenant) -> Result<Made, Refusal> {
    let name = text::name("/name", &new.name)?;
    let id = change::draw_id(ctx, TenantId::new);
    let now = ctx.clock.now();
    change::make(ctx, caller, Owner::Shared, once, Keep::Plain, move |tx| {
        let tenant =
            tenant::create(tx, &Whole::server(), id, &name, now).map_err(Refusal::taken("tenant"))?;
        let record = Record::of(Verb::Create, Noun::Tenant, id).with("name", &*name);
        Ok(Done::new(TenantView::from(tenant), record).version(1))
    })
    .await
}

/// Renames, suspends or resumes a tenant.
///
/// # Errors
/// Where the name is taken or not allowed, or somebody changed it meanwhile.
pub async fn edit(
    ctx: &Context,
    caller: &Caller,
    scope: Scope,
    version: i64,
    wanted: TenantChange,
) -> Result<TenantView, Refusal> {
    let name = wanted.name.map(|name| text::name("/name", &name)).transpose()?;
    let state = wanted.state.map(|state| {
        TenantState::parse(&state)
            .filter(|state| *state != TenantState::Removed)
            .ok_or_else(|| Refusal::invalid("/state", "a tenant is active or suspended"))
    });
    let state = state.transpose()?;
    let id = scope.tenant();
    change::change(ctx, caller, Owner::Tenant(id), move |tx| {
        let before = tenant::get(tx, &scope)?.ok_or(Refusal::NotFound { what: "tenant" })?;
        let wanted = TenantEdit {
            name: name.clone().unwrap_or(before.name),
            state: state.unwrap_or(before.state),
        };
        let record = Record::of(Verb::Change, Noun::Tenant, id);
        let record = record
            .with("name", &*wanted.name)
            .with("state", wanted.state.as_str());
        let after =
            tenant::edit(tx, &Whole::server(), id, version, &wanted).map_err(Refusal::taken("tenant"))?;
        Ok(Done::new(TenantView::from(changed(after, "tenant")?), record))
    })
    .await
}
