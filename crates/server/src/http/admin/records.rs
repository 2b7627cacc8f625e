//! Routes of audit records.

use axum::extract::State;
use serde::Deserialize;
use store::audit::RecordFilter;
use utoipa::IntoParams;

use super::Api;
use super::answer::{Answer, Form, list};
use super::input::{Allowed, Limit, Query};
use super::people::place_of;
use super::route::{Needs, Route};
use crate::app::audit::{self, RecordView};
use crate::app::permission::{Noun, Verb};
use crate::http::problem::{Code, Problem};

/// Which records.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct RecordQuery {
    /// About this kind of thing: a noun of the table of permissions.
    noun: Option<String>,
    /// About this very thing, by its id.
    noun_id: Option<String>,
    /// By this user, token or host, by its id.
    actor: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
    /// Items of the page: 1 to 1,000, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// The routes.
pub fn routes() -> Vec<Route> {
    let both = [
        (
            "list-audit-records",
            "/api/v1/audit-records",
            Needs::server(Verb::Read, Noun::Audit),
        ),
        (
            "list-tenant-audit-records",
            "/api/v1/tenants/{tenant}/audit-records",
            Needs::tenant(Verb::Read, Noun::Audit),
        ),
    ];
    let route = |(id, path, needs)| {
        Route::get(id, path, needs, list_records)
            .says("Who did what, the newest first.")
            .query::<RecordQuery>()
            .lists::<RecordView>("The records.")
    };
    both.into_iter().map(route).collect()
}

async fn list_records(
    State(api): State<Api>,
    allowed: Allowed,
    Query(query): Query<RecordQuery>,
    form: Form,
) -> Answer {
    let filter = RecordFilter {
        noun: query.noun,
        noun_id: bytes("noun_id", query.noun_id)?,
        actor: bytes("actor", query.actor)?,
    };
    let before = query
        .cursor
        .as_deref()
        .map(|cursor| allowed.cursors.read::<String>(cursor))
        .transpose()?;
    let before = before
        .map(|id| id.parse())
        .transpose()
        .map_err(|_no_id| Problem::plain(Code::BadCursor))?;
    let part = audit::list(
        &api.ctx,
        place_of(&allowed),
        filter,
        before,
        Limit::of(query.limit)?,
    )
    .await?;
    Ok(list(form, &allowed.cursors, part))
}

/// The bytes of an id of any kind.
fn bytes(name: &str, text: Option<String>) -> Result<Option<[u8; 16]>, Problem> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<domain::id::RequestId>() {
        Ok(id) => Ok(Some(id.0)),
        Err(_no_id) => Err(Problem::new(
            Code::MalformedParameter,
            format!("`{name}` is an id, a UUID."),
        )),
    }
}
