//! Roles: what there is to give. Nobody gives more than he has by widening a role that others hold; giving is in `grant`.

use std::collections::BTreeSet;

use domain::id::{RoleId, SiteId, UserId};
use serde::{Deserialize, Serialize};
use store::role::{self, Role};
use store::{Owner, Scope, Tx, View, Whole};
use utoipa::ToSchema;

use super::caller::Caller;
use super::change::{self, Done, Keep, Made, Once, Record};
use super::permission::{Level, Noun, Permission, Reach, Rights, TABLE, Verb};
use super::refusal::{Refusal, changed};
use super::shape::{IdText, Listed};
use super::text;
use crate::Context;

/// A role that comes with the program.
struct BuiltIn {
    number: u8,
    name: &'static str,
    has: fn(Permission) -> bool,
}

fn reads(permission: Permission) -> bool {
    permission.verb() == Verb::Read
}

/// The roles of the scope: administrators, users, and the four clusters of roles that run operations.
const BUILT_IN: [BuiltIn; 8] = [
    BuiltIn {
        number: 1,
        name: "infrastructure-administrator",
        has: |permission| {
            let own = [
                Noun::Source,
                Noun::Snapshot,
                Noun::Tenant,
                Noun::User,
                Noun::Role,
                Noun::Token,
                Noun::Audit,
            ];
            permission.level() == Level::Server || own.contains(&permission.noun())
        },
    },
    BuiltIn {
        number: 2,
        name: "dual-role-administrator",
        has: |_| true,
    },
    BuiltIn {
        number: 3,
        name: "tenant-administrator",
        has: |permission| {
            permission.level() != Level::Server && (permission.noun() != Noun::Tenant || reads(permission))
        },
    },
    BuiltIn {
        number: 4,
        name: "tenant-user",
        has: |permission| {
            let seen = [
                Noun::Tenant,
                Noun::Site,
                Noun::Host,
                Noun::Update,
                Noun::Finding,
                Noun::Coverage,
                Noun::Change,
            ];
            reads(permission) && seen.contains(&permission.noun())
        },
    },
    BuiltIn {
        number: 5,
        name: "release",
        has: |permission| {
            let seen = [
                Noun::Tenant,
                Noun::Site,
                Noun::Host,
                Noun::Update,
                Noun::Finding,
                Noun::Coverage,
                Noun::Snapshot,
                Noun::Change,
            ];
            (reads(permission) && seen.contains(&permission.noun()))
                || permission.noun() == Noun::Change && permission.verb() == Verb::Create
                || (permission.noun() == Noun::Source && matches!(permission.verb(), Verb::Read | Verb::Run))
        },
    },
    BuiltIn {
        number: 6,
        name: "operations",
        has: |permission| {
            let run = [Noun::Host, Noun::EnrolmentToken, Noun::Change];
            let seen = [
                Noun::Tenant,
                Noun::Site,
                Noun::Update,
                Noun::Finding,
                Noun::Coverage,
                Noun::Health,
            ];
            run.contains(&permission.noun()) || (reads(permission) && seen.contains(&permission.noun()))
        },
    },
    BuiltIn {
        number: 7,
        name: "security",
        has: |permission| reads(permission) && !matches!(permission.noun(), Noun::Storage | Noun::Health),
    },
    BuiltIn {
        number: 8,
        name: "infrastructure",
        has: |permission| {
            let run = [Noun::Site, Noun::Source, Noun::Storage];
            let seen = [
                Noun::Tenant,
                Noun::Host,
                Noun::Snapshot,
                Noun::Coverage,
                Noun::Health,
            ];
            run.contains(&permission.noun()) || (reads(permission) && seen.contains(&permission.noun()))
        },
    },
];

impl BuiltIn {
    const fn id(&self) -> RoleId {
        RoleId([0, 0, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, self.number])
    }

    fn permissions(&self) -> BTreeSet<Permission> {
        Permission::all()
            .filter(|permission| (self.has)(*permission))
            .collect()
    }
}

/// The id of the role that may do everything.
pub const DUAL_ROLE_ADMINISTRATOR: RoleId = BUILT_IN[1].id();

/// The roles that come with the program: id, name and permissions.
pub fn built_in() -> Vec<(RoleId, &'static str, BTreeSet<Permission>)> {
    BUILT_IN
        .iter()
        .map(|role| (role.id(), role.name, role.permissions()))
        .collect()
}

/// Writes the roles that come with this version of the program. Run at each start.
///
/// # Errors
/// Of the database.
pub async fn install(ctx: &Context) -> Result<(), store::Error> {
    let now = ctx.clock.now();
    let work = move |tx: &mut Tx| {
        for (id, name, permissions) in built_in() {
            role::put_built_in(tx, &Whole::server(), id, name, &to_json(&permissions), now)?;
        }
        Ok(())
    };
    ctx.db.write(work).await
}

/// Permissions as they are kept: a list of texts, in order.
pub fn to_json(permissions: &BTreeSet<Permission>) -> String {
    let texts: Vec<_> = permissions.iter().map(Permission::to_string).collect();
    serde_json::to_string(&texts).expect("a list of texts always serialises")
}

/// Permissions that were kept. What this version does not know gives nothing.
pub fn of_json(json: &str) -> BTreeSet<Permission> {
    let texts: Vec<String> = serde_json::from_str(json).unwrap_or_default();
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// What somebody sent as a list of permissions.
///
/// # Errors
/// Names the first that is none.
pub fn parse_all(texts: &[String]) -> Result<BTreeSet<Permission>, Refusal> {
    let parse = |text: &String| {
        text.parse().map_err(|error: super::permission::NoPermission| {
            Refusal::invalid(
                "/permissions",
                error.to_string().chars().take(200).collect::<String>(),
            )
        })
    };
    texts.iter().take(1000).map(parse).collect()
}

/// How far a grant or token of this owner and site reaches.
pub const fn reach_of(owner: Owner, site: Option<SiteId>) -> Reach {
    match (owner, site) {
        (Owner::Shared, _) => Reach::Server,
        (Owner::Tenant(tenant), None) => Reach::Tenant(tenant),
        (Owner::Tenant(tenant), Some(site)) => Reach::Site(tenant, site),
    }
}

/// All that a user was given.
///
/// # Errors
/// Of the database.
pub fn rights_of(view: &mut View, user: UserId) -> Result<Rights, store::Error> {
    let grants = role::grants_of(view, &Whole::server(), user)?;
    Ok(Rights::of(grants.into_iter().map(|grant| {
        (of_json(&grant.permissions), reach_of(grant.owner, grant.site))
    })))
}

/// Refuses to give away what the giver does not have.
///
/// # Errors
/// Names the first permission that is missing.
pub fn within(wanted: &Rights, giver: &Rights) -> Result<(), Refusal> {
    match wanted
        .pairs()
        .find(|(permission, reach)| !giver.allow(*permission, *reach))
    {
        None => Ok(()),
        Some((permission, _)) => Err(Refusal::MoreThanYours(permission)),
    }
}

/// A role, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Role)]
pub struct RoleView {
    /// Its id.
    pub id: IdText,
    /// Its name.
    pub name: String,
    /// Its permissions, `verb:noun` each.
    pub permissions: Vec<String>,
    /// Whether it comes with the program, which keeps it as it is.
    pub is_built_in: bool,
    /// Counts its changes; the ETag is made of it.
    pub version: i64,
}

impl Listed for RoleView {
    const COLUMNS: &'static [&'static str] = &["id", "name", "permissions", "is_built_in"];
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        Self {
            id: IdText::of(role.id),
            name: role.name,
            permissions: of_json(&role.permissions)
                .iter()
                .map(Permission::to_string)
                .collect(),
            is_built_in: role.is_built_in,
            version: role.version,
        }
    }
}

/// A permission, shown.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Permission)]
pub struct PermissionView {
    /// `verb:noun`.
    pub permission: String,
    /// `server`, `tenant` or `site`: the least that a grant has to reach for it to count.
    pub level: &'static str,
}

impl Listed for PermissionView {
    const COLUMNS: &'static [&'static str] = &["permission", "level"];
}

/// The table of permissions.
pub fn permissions() -> Vec<PermissionView> {
    let level = |level| match level {
        Level::Server => "server",
        Level::Tenant => "tenant",
        Level::Site => "site",
    };
    let rows = TABLE.iter().flat_map(|(noun, at, verbs)| {
        verbs
            .iter()
            .filter_map(move |verb| Some((Permission::of(*verb, *noun)?, *at)))
    });
    rows.map(|(permission, at)| PermissionView {
        permission: permission.to_string(),
        level: level(at),
    })
    .collect()
}

/// The server's roles.
///
/// # Errors
/// Of the database.
pub async fn list_shared(ctx: &Context) -> Result<Vec<RoleView>, Refusal> {
    let roles = ctx
        .db
        .read(|view| role::all_shared(view, &Whole::server()))
        .await?;
    Ok(roles.into_iter().map(RoleView::from).collect())
}

/// The roles that can be given in a tenant.
///
/// # Errors
/// Of the database.
pub async fn list(ctx: &Context, scope: Scope) -> Result<Vec<RoleView>, Refusal> {
    let roles = ctx.db.read(move |view| role::all(view, &scope)).await?;
    Ok(roles.into_iter().map(RoleView::from).collect())
}

/// One role that can be given in a tenant.
///
/// # Errors
/// Not found.
pub async fn get(ctx: &Context, scope: Scope, id: RoleId) -> Result<RoleView, Refusal> {
    let found = ctx.db.read(move |view| role::get(view, &scope, id)).await?;
    found
        .map(RoleView::from)
        .ok_or(Refusal::NotFound { what: "role" })
}

/// A role to make, or what it is to become.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleEdit {
    /// Its name: 1 to 64 characters.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// Its permissions, `verb:noun` each; none that you do not have in this tenant.
    pub permissions: Vec<String>,
}

/// Makes a role of the tenant's own.
///
/// # Errors
/// Where it would give more than the caller has, or the name is taken.
pub async fn create(
    ctx: &Context,
    caller: &Caller,
    scope: Scope,
    once: Once,
    new: RoleEdit,
) -> Result<Made, Refusal> {
    let name = text::name("/name", &new.name)?;
    let permissions = parse_all(&new.permissions)?;
    within(
        &Rights::of([(permissions.clone(), Reach::Tenant(scope.tenant()))]),
        &caller.rights,
    )?;
    let (id, now) = (change::draw_id(ctx, RoleId::new), ctx.clock.now());
    change::make(ctx, caller, scope.owner(), once, Keep::Plain, move |tx| {
        role::create(tx, &scope, id, &name, &to_json(&permissions), now).map_err(Refusal::taken("role"))?;
        let made = role::get(tx, &scope, id)?.ok_or(Refusal::NotFound { what: "role" })?;
        let record = Record::of(Verb::Create, Noun::Role, id)
            .with("name", &*name)
            .with("permissions", to_json(&permissions));
        Ok(Done::new(RoleView::from(made), record).version(1))
    })
    .await
}

/// Changes a role of the tenant's own; whoever has it may do more or less at once.
///
/// # Errors
/// Where it would give or gave more than the caller has, comes with the program, or was changed meanwhile.
pub async fn edit(
    ctx: &Context,
    caller: &Caller,
    scope: Scope,
    id: RoleId,
    version: i64,
    wanted: RoleEdit,
) -> Result<RoleView, Refusal> {
    let name = text::name("/name", &wanted.name)?;
    let permissions = parse_all(&wanted.permissions)?;
    within(
        &Rights::of([(permissions.clone(), Reach::Tenant(scope.tenant()))]),
        &caller.rights,
    )?;
    let rights = caller.rights.clone();
    change::change(ctx, caller, scope.owner(), move |tx| {
        let before = role::get(tx, &scope, id)?.ok_or(Refusal::NotFound { what: "role" })?;
        if before.is_built_in || before.owner == Owner::Shared {
            return Err(Refusal::WrongState(
                "this role comes with the program; make one of your own instead".to_owned(),
            ));
        }
        within(
            &Rights::of([(of_json(&before.permissions), Reach::Tenant(scope.tenant()))]),
            &rights,
        )?;
        let record = Record::of(Verb::Change, Noun::Role, id)
            .with("name", &*name)
            .with("permissions", to_json(&permissions));
        let after = role::edit(tx, &scope, id, version, &name, &to_json(&permissions))
            .map_err(Refusal::taken("role"))?;
        Ok(Done::new(RoleView::from(changed(after, "role")?), record))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infrastructure_administrator_sees_no_tenants_hosts() {
        let roles = built_in();
        let (_, _, infrastructure) = roles
            .iter()
            .find(|(_, name, _)| *name == "infrastructure-administrator")
            .expect("built in");
        for noun in [
            Noun::Host,
            Noun::Finding,
            Noun::Site,
            Noun::Coverage,
            Noun::EnrolmentToken,
        ] {
            assert!(
                infrastructure.iter().all(|permission| permission.noun() != noun),
                "{}",
                noun.text()
            );
        }
    }

    #[test]
    fn a_tenant_user_changes_nothing() {
        let roles = built_in();
        for name in ["tenant-user", "security"] {
            let (_, _, permissions) = roles.iter().find(|(_, of, _)| *of == name).expect("built in");
            assert!(
                permissions
                    .iter()
                    .all(|permission| permission.verb() == Verb::Read),
                "{name}"
            );
        }
    }

    #[test]
    fn what_is_kept_reads_back_and_unknown_words_give_nothing() {
        for (_, _, permissions) in built_in() {
            assert_eq!(of_json(&to_json(&permissions)), permissions);
        }
        assert_eq!(of_json("[\"read:host\",\"melt:host\"]").len(), 1);
        assert!(of_json("not json").is_empty());
    }
}
