//! Routes of people and programs: users, roles and grants, tokens; of the server as a whole and of a tenant alike.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;

use super::Api;
use super::answer::{Answer, Form, json, list, made, thing};
use super::input::{Allowed, Edit, InPath, Nothing, Paging, Post, Query};
use super::route::{Needs, Route};
use crate::app::caller::Scope;
use crate::app::grant::{self, GrantRequest, GrantView, Where};
use crate::app::permission::{Noun, Verb};
use crate::app::role::{self, PermissionView, RoleEdit, RoleView};
use crate::app::shape::{Listed, Part};
use crate::app::token::{self, NewTokenView, TokenRequest, TokenView};
use crate::app::user::person::{self, ErasePerson, PersonData};
use crate::app::user::{self, Invited, NewUser, UserChange, UserView};
use crate::http::problem::{Code, Problem};

/// The routes.
pub fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::get(
            "list-permissions",
            "/api/v1/permissions",
            Needs::LogIn,
            permissions,
        )
        .says("Every permission there is.")
        .lists::<PermissionView>("The permissions."),
        Route::get("list-roles", "/api/v1/roles", Needs::LogIn, list_shared_roles)
            .says("The roles that come with the program.")
            .lists::<RoleView>("The roles."),
        Route::get(
            "list-user-grants",
            "/api/v1/users/{user}/grants",
            Needs::server(Verb::Read, Noun::User),
            grants_of,
        )
        .says("What a user was given, wherever.")
        .lists::<GrantView>("The grants."),
    ];
    routes.extend(user_routes());
    routes.extend(token_routes());
    routes.extend(grant_routes());
    routes
}

/// A permission for the whole server or for the tenant, as the path is.
fn needs(path: &str, verb: Verb, noun: Noun) -> Needs {
    match path.starts_with("/api/v1/tenants/") {
        true => Needs::tenant(verb, noun),
        false => Needs::server(verb, noun),
    }
}

fn user_routes() -> Vec<Route> {
    let both = [
        ("list-users", "create-user", "/api/v1/users"),
        (
            "list-tenant-users",
            "create-tenant-user",
            "/api/v1/tenants/{tenant}/users",
        ),
    ];
    let each = [
        ("get-user", "edit-user", "/api/v1/users/{user}"),
        (
            "get-tenant-user",
            "edit-tenant-user",
            "/api/v1/tenants/{tenant}/users/{user}",
        ),
    ];
    let again = [
        ("invite-user-again", "/api/v1/users/{user}/invite"),
        (
            "invite-tenant-user-again",
            "/api/v1/tenants/{tenant}/users/{user}/invite",
        ),
    ];
    let mut routes = Vec::new();
    for (list, create, path) in both {
        routes.push(
            Route::get(list, path, needs(path, Verb::Read, Noun::User), list_users)
                .says("The users, in the order of their names.")
                .pages::<UserView>("The users."),
        );
        routes.push(
            Route::post(create, path, needs(path, Verb::Create, Noun::User), invite)
                .says("Invites a user, who may do nothing until something is granted.")
                .lately()
                .takes::<NewUser>()
                .gives::<Invited>("201", "The user, and the invitation to hand over."),
        );
    }
    for (get, edit, path) in each {
        routes.push(
            Route::get(get, path, needs(path, Verb::Read, Noun::User), get_user)
                .says("One user.")
                .gives::<UserView>("200", "The user."),
        );
        routes.push(
            Route::patch(edit, path, needs(path, Verb::Change, Noun::User), edit_user)
                .says("Renames, disables or enables a user. Disabling ends the user's sessions and tokens.")
                .lately()
                .takes::<UserChange>()
                .gives::<UserView>("200", "The user as it is now."),
        );
    }
    for (data, erase, path) in [
        ("get-person", "erase-person", "/api/v1/users/{user}/person"),
        (
            "get-tenant-person",
            "erase-tenant-person",
            "/api/v1/tenants/{tenant}/users/{user}/person",
        ),
    ] {
        routes.push(
            Route::get(data, path, needs(path, Verb::Read, Noun::User), get_person)
                .says("Everything that is kept of a person.")
                .lately()
                .gives::<PersonData>("200", "What is kept."),
        );
        routes.push(
            Route::post(erase, path, needs(path, Verb::Remove, Noun::User), erase_person)
                .says("Erases a person. What was done stays in the audit, under an id that names nobody.")
                .lately()
                .takes::<ErasePerson>()
                .gives::<UserView>("200", "What is left."),
        );
    }
    for (id, path) in again {
        routes.push(
            Route::post(id, path, needs(path, Verb::Change, Noun::User), invite_again)
                .says("A new way in for a user who lost password or second factor.")
                .lately()
                .gives::<Invited>("201", "The user, and the invitation to hand over."),
        );
    }
    routes
}

fn token_routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for (list, create, path) in [
        ("list-tokens", "create-token", "/api/v1/tokens"),
        (
            "list-tenant-tokens",
            "create-tenant-token",
            "/api/v1/tenants/{tenant}/tokens",
        ),
    ] {
        routes.push(
            Route::get(list, path, needs(path, Verb::Read, Noun::Token), list_tokens)
                .says("The tokens, in the order of their names.")
                .pages::<TokenView>("The tokens, without their secrets."),
        );
        routes.push(
            Route::post(create, path, needs(path, Verb::Create, Noun::Token), create_token)
                .says("Makes a token with some of your permissions; its secret is shown this once.")
                .lately()
                .takes::<TokenRequest>()
                .gives::<NewTokenView>("201", "The token and its secret."),
        );
    }
    for (id, path) in [
        ("revoke-token", "/api/v1/tokens/{token}"),
        ("revoke-tenant-token", "/api/v1/tenants/{tenant}/tokens/{token}"),
    ] {
        routes.push(
            Route::delete(id, path, needs(path, Verb::Remove, Noun::Token), revoke_token)
                .says("Revokes a token.")
                .gives_nothing("It is revoked."),
        );
    }
    routes
}

fn grant_routes() -> Vec<Route> {
    const ROLES: &str = "/api/v1/tenants/{tenant}/roles";
    const ROLE: &str = "/api/v1/tenants/{tenant}/roles/{role}";
    let mut routes = vec![
        Route::get(
            "list-tenant-roles",
            ROLES,
            Needs::tenant(Verb::Read, Noun::Role),
            list_roles,
        )
        .says("The roles that can be given in the tenant: those of the program, then its own.")
        .lists::<RoleView>("The roles."),
        Route::post(
            "create-tenant-role",
            ROLES,
            Needs::tenant(Verb::Create, Noun::Role),
            create_role,
        )
        .says("Makes a role of the tenant's own, with some of your permissions.")
        .lately()
        .takes::<RoleEdit>()
        .gives::<RoleView>("201", "The role."),
        Route::get(
            "get-tenant-role",
            ROLE,
            Needs::tenant(Verb::Read, Noun::Role),
            get_role,
        )
        .says("One role.")
        .gives::<RoleView>("200", "The role."),
        Route::patch(
            "edit-tenant-role",
            ROLE,
            Needs::tenant(Verb::Change, Noun::Role),
            edit_role,
        )
        .says("Changes a role of the tenant's own, and at once what those who have it may do.")
        .lately()
        .takes::<RoleEdit>()
        .gives::<RoleView>("200", "The role as it is now."),
        Route::get(
            "list-tenant-grants",
            "/api/v1/tenants/{tenant}/grants",
            Needs::tenant(Verb::Read, Noun::Role),
            grants,
        )
        .says("What was given to users in the tenant.")
        .lists::<GrantView>("The grants."),
    ];
    for (id, path) in [
        ("create-grant", "/api/v1/grants"),
        ("create-tenant-grant", "/api/v1/tenants/{tenant}/grants"),
    ] {
        routes.push(
            Route::post(id, path, needs(path, Verb::Change, Noun::Role), give)
                .says("Gives a role to a user; none that may do more than you.")
                .lately()
                .takes::<GrantRequest>()
                .gives::<GrantView>("201", "The grant."),
        );
    }
    for (id, path) in [
        ("take-back-grant", "/api/v1/grants/{grant}/take-back"),
        (
            "take-back-tenant-grant",
            "/api/v1/tenants/{tenant}/grants/{grant}/take-back",
        ),
    ] {
        routes.push(
            Route::post(id, path, needs(path, Verb::Change, Noun::Role), take_back)
                .says("Takes back what was given.")
                .lately()
                .gives_nothing("It is gone."),
        );
    }
    routes
}

/// The whole server, or the tenant of the path.
pub(super) fn place_of(allowed: &Allowed) -> Where {
    allowed
        .place
        .as_ref()
        .map_or(Where::Server, |place| Where::Tenant(place.scope))
}

fn scope_of(allowed: &Allowed) -> Result<Scope, Problem> {
    allowed
        .place
        .as_ref()
        .map(|place| place.scope)
        .ok_or_else(|| Code::NotFound.into())
}

fn whole<T: Listed + utoipa::ToSchema>(
    form: Form,
    allowed: &Allowed,
    items: Vec<T>,
) -> axum::response::Response {
    list(form, &allowed.cursors, Part::<T, ()> { items, next: None })
}

async fn permissions(allowed: Allowed, form: Form) -> Answer {
    Ok(whole(form, &allowed, role::permissions()))
}

async fn list_shared_roles(State(api): State<Api>, allowed: Allowed, form: Form) -> Answer {
    Ok(whole(form, &allowed, role::list_shared(&api.ctx).await?))
}

async fn list_roles(State(api): State<Api>, allowed: Allowed, form: Form) -> Answer {
    Ok(whole(
        form,
        &allowed,
        role::list(&api.ctx, scope_of(&allowed)?).await?,
    ))
}

async fn get_role(State(api): State<Api>, allowed: Allowed, path: InPath) -> Answer {
    let role = role::get(&api.ctx, scope_of(&allowed)?, path.id("role")?).await?;
    Ok(thing(&role, role.version))
}

async fn create_role(State(api): State<Api>, allowed: Allowed, new: Post<RoleEdit>) -> Answer {
    let scope = scope_of(&allowed)?;
    Ok(made(
        role::create(&api.ctx, &allowed.caller, scope, new.once, new.body).await?,
    ))
}

async fn edit_role(State(api): State<Api>, allowed: Allowed, path: InPath, wanted: Edit<RoleEdit>) -> Answer {
    let (scope, id) = (scope_of(&allowed)?, path.id("role")?);
    let role = role::edit(&api.ctx, &allowed.caller, scope, id, wanted.version, wanted.body).await?;
    Ok(thing(&role, role.version))
}

async fn grants(State(api): State<Api>, allowed: Allowed, form: Form) -> Answer {
    Ok(whole(
        form,
        &allowed,
        grant::grants(&api.ctx, scope_of(&allowed)?).await?,
    ))
}

async fn grants_of(State(api): State<Api>, allowed: Allowed, path: InPath, form: Form) -> Answer {
    Ok(list(
        form,
        &allowed.cursors,
        grant::grants_of(&api.ctx, path.id("user")?).await?,
    ))
}

async fn give(State(api): State<Api>, allowed: Allowed, new: Post<GrantRequest>) -> Answer {
    Ok(made(
        grant::grant(&api.ctx, &allowed.caller, place_of(&allowed), new.once, new.body).await?,
    ))
}

async fn take_back(State(api): State<Api>, allowed: Allowed, path: InPath, _: Post<Nothing>) -> Answer {
    grant::take_back(&api.ctx, &allowed.caller, place_of(&allowed), path.id("grant")?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list_users(
    State(api): State<Api>,
    allowed: Allowed,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let after = allowed.cursors.name_and_id(paging.cursor.as_deref())?;
    let part = user::list(&api.ctx, place_of(&allowed), after, paging.limit()?).await?;
    Ok(list(form, &allowed.cursors, part))
}

async fn invite(State(api): State<Api>, allowed: Allowed, new: Post<NewUser>) -> Answer {
    Ok(made(
        user::invite(&api.ctx, &allowed.caller, place_of(&allowed), new.once, new.body).await?,
    ))
}

async fn invite_again(State(api): State<Api>, allowed: Allowed, path: InPath, post: Post<Nothing>) -> Answer {
    let id = path.id("user")?;
    Ok(made(
        user::invite_again(&api.ctx, &allowed.caller, place_of(&allowed), id, post.once).await?,
    ))
}

async fn get_user(State(api): State<Api>, allowed: Allowed, path: InPath) -> Answer {
    let user = user::get(&api.ctx, place_of(&allowed), path.id("user")?).await?;
    Ok(thing(&user, user.version))
}

async fn edit_user(
    State(api): State<Api>,
    allowed: Allowed,
    path: InPath,
    wanted: Edit<UserChange>,
) -> Answer {
    let (at, id) = (place_of(&allowed), path.id("user")?);
    let user = user::edit(&api.ctx, &allowed.caller, at, id, wanted.version, wanted.body).await?;
    Ok(thing(&user, user.version))
}

async fn get_person(State(api): State<Api>, allowed: Allowed, path: InPath) -> Answer {
    let data = person::data(&api.ctx, place_of(&allowed), path.id("user")?).await?;
    Ok(json(StatusCode::OK, &data))
}

async fn erase_person(
    State(api): State<Api>,
    allowed: Allowed,
    path: InPath,
    wanted: Post<ErasePerson>,
) -> Answer {
    let (at, id) = (place_of(&allowed), path.id("user")?);
    Ok(made(
        person::erase(&api.ctx, &allowed.caller, at, id, wanted.once, wanted.body).await?,
    ))
}

async fn list_tokens(
    State(api): State<Api>,
    allowed: Allowed,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let after = allowed.cursors.name_and_id(paging.cursor.as_deref())?;
    let part = token::list(&api.ctx, place_of(&allowed), after, paging.limit()?).await?;
    Ok(list(form, &allowed.cursors, part))
}

async fn create_token(State(api): State<Api>, allowed: Allowed, new: Post<TokenRequest>) -> Answer {
    Ok(made(
        token::create(&api.ctx, &allowed.caller, place_of(&allowed), new.once, new.body).await?,
    ))
}

async fn revoke_token(State(api): State<Api>, allowed: Allowed, path: InPath, gone: Edit<Nothing>) -> Answer {
    token::revoke(
        &api.ctx,
        &allowed.caller,
        place_of(&allowed),
        path.id("token")?,
        gone.version,
    )
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
