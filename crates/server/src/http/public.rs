//! What anybody may have without credentials, because it is no secret and is held against a digest by whoever takes it: the
//! certificate of the root authority, and the agent's package. Who opens the server's bare address in a browser is led to the
//! log-in.

use crate::Context;
use crate::app::agent_package;
use crate::app::refusal::Refusal;
use crate::http::problem::{Code, Problem};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

/// The routes.
pub fn routes(context: &Context) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::to("/login") }))
        .route("/authority.pem", get(authority))
        .route("/agent/package/{digest}", get(package))
        .with_state(context.clone())
}

async fn authority(State(context): State<Context>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/pem-certificate-chain")];
    (headers, context.authority.root_pem()).into_response()
}

async fn package(State(context): State<Context>, Path(digest): Path<String>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/vnd.debian.binary-package")];
    match agent_package::bytes(&context, &digest).await {
        // Straight from the mapped file: many hosts at once cost no memory each.
        Ok(Some(bytes)) => (headers, Bytes::from_owner(bytes)).into_response(),
        Ok(None) => Problem::plain(Code::NotFound).into_response(),
        Err(error) => Problem::from(Refusal::Store(error)).into_response(),
    }
}
