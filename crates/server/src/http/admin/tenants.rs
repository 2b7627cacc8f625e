//! Routes of tenants and their sites.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Frame;

use super::Api;
use super::answer::{Answer, Form, list, made, thing};
use super::input::{Allowed, Edit, InPath, InTenant, Nothing, Paging, Post, Query};
use super::route::{Needs, Route};
use crate::app::caller::Scope;
use crate::app::permission::{Noun, Verb};
use crate::app::site::{self, SiteName, SiteView};
use crate::app::tenant::remove::{self, RemoveTenant, RemovedTenant};
use crate::app::tenant::{self, NewTenant, TenantChange, TenantView};

/// The routes.
pub fn routes() -> Vec<Route> {
    const TENANTS: &str = "/api/v1/tenants";
    const TENANT: &str = "/api/v1/tenants/{tenant}";
    const SITES: &str = "/api/v1/tenants/{tenant}/sites";
    const SITE: &str = "/api/v1/tenants/{tenant}/sites/{site}";
    vec![
        Route::get(
            "list-tenants",
            TENANTS,
            Needs::anywhere(Verb::Read, Noun::Tenant),
            list_tenants,
        )
        .says("The tenants that you may see, in the order of names.")
        .pages::<TenantView>("The tenants."),
        Route::post(
            "create-tenant",
            TENANTS,
            Needs::server(Verb::Create, Noun::Tenant),
            create_tenant,
        )
        .says("Makes a tenant.")
        .takes::<NewTenant>()
        .gives::<TenantView>("201", "The tenant."),
        Route::get(
            "get-tenant",
            TENANT,
            Needs::tenant(Verb::Read, Noun::Tenant),
            get_tenant,
        )
        .says("One tenant.")
        .gives::<TenantView>("200", "The tenant."),
        Route::patch(
            "edit-tenant",
            TENANT,
            Needs::server(Verb::Change, Noun::Tenant),
            edit_tenant,
        )
        .says("Renames, suspends or resumes a tenant.")
        .takes::<TenantChange>()
        .gives::<TenantView>("200", "The tenant as it is now."),
        Route::get(
            "export-tenant",
            "/api/v1/tenants/{tenant}/export",
            Needs::server(Verb::Remove, Noun::Tenant),
            export_tenant,
        )
        .says("Everything of a tenant as lines of JSON; cut off where the last line with `end` is missing.")
        .lately()
        .gives_text("200", "application/x-ndjson", "A line for each row."),
        Route::post(
            "remove-tenant",
            "/api/v1/tenants/{tenant}/remove",
            Needs::server(Verb::Remove, Noun::Tenant),
            remove_tenant,
        )
        .says("Removes a suspended tenant whose export was taken, and everything of it but the end of its audit chain.")
        .lately()
        .takes::<RemoveTenant>()
        .gives::<RemovedTenant>("200", "What was removed."),
        Route::get(
            "list-sites",
            SITES,
            Needs::sites(Verb::Read, Noun::Site),
            list_sites,
        )
        .says("The tenant's sites that you may see, in the order of names.")
        .pages::<SiteView>("The sites."),
        Route::post(
            "create-site",
            SITES,
            Needs::tenant(Verb::Create, Noun::Site),
            create_site,
        )
        .says("Makes a site.")
        .takes::<SiteName>()
        .gives::<SiteView>("201", "The site."),
        Route::get("get-site", SITE, Needs::sites(Verb::Read, Noun::Site), get_site)
            .says("One site.")
            .gives::<SiteView>("200", "The site."),
        Route::patch(
            "rename-site",
            SITE,
            Needs::sites(Verb::Change, Noun::Site),
            rename_site,
        )
        .says("Renames a site.")
        .takes::<SiteName>()
        .gives::<SiteView>("200", "The site as it is now."),
        Route::delete(
            "remove-site",
            SITE,
            Needs::sites(Verb::Remove, Noun::Site),
            remove_site,
        )
        .says("Removes a site that no host stands at.")
        .gives_nothing("It is gone."),
    ]
}

async fn list_tenants(
    State(api): State<Api>,
    allowed: Allowed,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let after = allowed.cursors.name_and_id(paging.cursor.as_deref())?;
    let part = tenant::list(&api.ctx, &allowed.caller, after, paging.limit()?).await?;
    Ok(list(form, &allowed.cursors, part))
}

async fn create_tenant(State(api): State<Api>, allowed: Allowed, new: Post<NewTenant>) -> Answer {
    Ok(made(
        tenant::create(&api.ctx, &allowed.caller, new.once, new.body).await?,
    ))
}

async fn get_tenant(State(api): State<Api>, at: InTenant) -> Answer {
    let tenant = tenant::get(&api.ctx, at.place.scope).await?;
    Ok(thing(&tenant, tenant.version))
}

async fn edit_tenant(
    State(api): State<Api>,
    allowed: Allowed,
    path: InPath,
    wanted: Edit<TenantChange>,
) -> Answer {
    let scope = Scope::of_tenant(path.id("tenant")?);
    let tenant = tenant::edit(&api.ctx, &allowed.caller, scope, wanted.version, wanted.body).await?;
    Ok(thing(&tenant, tenant.version))
}

async fn export_tenant(State(api): State<Api>, path: InPath) -> Answer {
    let scope = Scope::of_tenant(path.id("tenant")?);
    // Refused before the first byte, where there is no such tenant.
    tenant::get(&api.ctx, scope).await?;
    let pieces = remove::export(&api.ctx, scope);
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::new(Pieces(pieces))).into_response())
}

/// An export as a body: the next piece is read when the one before has been sent.
struct Pieces(remove::Pieces);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.0.poll_recv(cx);
        piece.map(|piece| piece.map(|bytes| Ok(Frame::data(Bytes::from(bytes)))))
    }
}

async fn remove_tenant(
    State(api): State<Api>,
    allowed: Allowed,
    path: InPath,
    wanted: Post<RemoveTenant>,
) -> Answer {
    let id = path.id("tenant")?;
    Ok(made(
        remove::remove(&api.ctx, &allowed.caller, id, wanted.once, wanted.body).await?,
    ))
}

async fn list_sites(
    State(api): State<Api>,
    at: InTenant,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let after = at.cursors.name_and_id(paging.cursor.as_deref())?;
    Ok(list(
        form,
        &at.cursors,
        site::list(&api.ctx, &at.place, after, paging.limit()?).await?,
    ))
}

async fn create_site(State(api): State<Api>, at: InTenant, new: Post<SiteName>) -> Answer {
    Ok(made(
        site::create(&api.ctx, &at.caller, &at.place, new.once, new.body).await?,
    ))
}

async fn get_site(State(api): State<Api>, at: InTenant, path: InPath) -> Answer {
    let site = site::get(&api.ctx, &at.place, path.id("site")?).await?;
    Ok(thing(&site, site.version))
}

async fn rename_site(State(api): State<Api>, at: InTenant, path: InPath, wanted: Edit<SiteName>) -> Answer {
    let id = path.id("site")?;
    let site = site::rename(&api.ctx, &at.caller, &at.place, id, wanted.version, wanted.body).await?;
    Ok(thing(&site, site.version))
}

async fn remove_site(State(api): State<Api>, at: InTenant, path: InPath, gone: Edit<Nothing>) -> Answer {
    site::remove(&api.ctx, &at.caller, &at.place, path.id("site")?, gone.version).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
