//! Routes of whoever keeps the server running: what it counts, what is wrong with it, its backups, and its room.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;

use super::Api;
use super::answer::Answer;
use super::route::{Needs, Route};
use crate::app::health;
use crate::app::permission::{Noun, Verb};

/// The media type of Prometheus' text format, version 0.0.4.
const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The routes.
pub fn routes() -> Vec<Route> {
    vec![
        Route::get(
            "get-metrics",
            "/metrics",
            Needs::server(Verb::Read, Noun::Health),
            get_metrics,
        )
        .says("What the server counts, in Prometheus' text format.")
        .gives_text("200", "text/plain", "The metrics."),
    ]
}

async fn get_metrics(State(api): State<Api>) -> Answer {
    let page = health::exposition(&api.ctx).await;
    Ok(([(header::CONTENT_TYPE, EXPOSITION)], page).into_response())
}
