//! Routes of audit records.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::answer::{Answer, Form, json, list};
use super::input::{Allowed, Paging, Query};
use super::people::place_of;
use super::route::{Needs, Route};
use crate::app::audit::checkpoint::{self, CheckpointView, KeptView};
use crate::app::audit::verify::{self, ChainedView};
use crate::app::audit::{self, RecordFilter, RecordView};
use crate::app::permission::{Noun, Verb};
use crate::app::shape::IdText;
use crate::http::problem::{Code, Problem};

/// Which records.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
struct RecordQuery {
    /// About this kind of thing: a noun of the table of permissions.
    noun: Option<String>,
    /// About this very thing, by its id.
    #[param(value_type = Option<IdText>)]
    noun_id: Option<String>,
    /// By this user, token or host, by its id.
    #[param(value_type = Option<IdText>)]
    actor: Option<String>,
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
            .pages::<RecordView>("The records.")
    };
    let mut routes: Vec<Route> = both.into_iter().map(route).collect();
    routes.extend(chain_routes());
    routes
}

/// What whoever verifies the records needs.
fn chain_routes() -> Vec<Route> {
    let all = Needs::server(Verb::Read, Noun::Audit);
    let own = Needs::tenant(Verb::Read, Noun::Audit);
    let chain = |id, path, needs| {
        Route::get(id, path, needs, list_chain)
            .says("The sealed records in the order of their chain, with every field that its hashes are made of.")
            .pages::<ChainedView>("The records.")
    };
    vec![
        chain("list-audit-chain", "/api/v1/audit/chain", all),
        chain(
            "list-tenant-audit-chain",
            "/api/v1/tenants/{tenant}/audit/chain",
            own,
        ),
        Route::get(
            "get-audit-checkpoint",
            "/api/v1/audit/checkpoint",
            all,
            get_checkpoint,
        )
        .says("How far every chain has come, signed: kept elsewhere it is an anchor.")
        .gives::<CheckpointView>("200", "The checkpoint."),
        Route::get(
            "list-audit-checkpoints",
            "/api/v1/audit/checkpoints",
            all,
            list_checkpoints,
        )
        .says("The checkpoints that the server kept itself, the newest first.")
        .pages::<KeptView>("The checkpoints."),
    ]
}

async fn list_records(
    State(api): State<Api>,
    allowed: Allowed,
    Query(query): Query<RecordQuery>,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let filter = RecordFilter {
        noun: query.noun,
        noun_id: bytes("noun_id", query.noun_id)?,
        actor: bytes("actor", query.actor)?,
    };
    let before: Option<String> = paging.key(&allowed.cursors)?;
    let before = before.map(|id| id.parse()).transpose();
    let before = before.map_err(|_no_id| Problem::plain(Code::BadCursor))?;
    let part = audit::list(&api.ctx, place_of(&allowed), filter, before, paging.limit()?).await?;
    Ok(list(form, &allowed.cursors, part))
}

async fn list_chain(
    State(api): State<Api>,
    allowed: Allowed,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let after: Option<u64> = paging.key(&allowed.cursors)?;
    let (at, limit) = (place_of(&allowed), paging.limit()?);
    let part = verify::chain(&api.ctx, at, after.unwrap_or(0), limit).await?;
    Ok(list(form, &allowed.cursors, part))
}

async fn get_checkpoint(State(api): State<Api>) -> Answer {
    Ok(json(StatusCode::OK, &checkpoint::now(&api.ctx).await?))
}

async fn list_checkpoints(
    State(api): State<Api>,
    allowed: Allowed,
    Query(paging): Query<Paging>,
    form: Form,
) -> Answer {
    let before = paging.key(&allowed.cursors)?;
    let part = checkpoint::kept(&api.ctx, before, paging.limit()?).await?;
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
