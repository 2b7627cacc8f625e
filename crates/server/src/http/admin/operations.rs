//! Routes of whoever keeps the server running: what it counts, what is wrong with it, its backups, and its room.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::answer::{Answer, Form, json, list, made};
use super::input::{Allowed, Limit, Post, Query};
use super::route::{Needs, Route};
use crate::app::backup::{self, BackupView, MadeBackup, NewBackup};
use crate::app::health::{self, Examined};
use crate::app::permission::{Noun, Permission, Verb};
use crate::app::storage::{self, StorageView, SweepWish, SweptView};
use crate::app::support::{self, Naming, SupportBundleView};

/// The media type of Prometheus' text format, version 0.0.4.
const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// How much of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Latest {
    /// Items: 1 to 1,000, 100 unless told.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// What a bundle may hold.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Whether names and addresses stay (`shown`, needs `read:host` for the whole server too) or have stand-ins
    /// (`hidden`, unless told).
    #[param(inline)]
    names: Option<Naming>,
}

/// The routes.
pub fn routes() -> Vec<Route> {
    const BACKUPS: &str = "/api/v1/backups";
    let see_health = Needs::server(Verb::Read, Noun::Health);
    let see_storage = Needs::server(Verb::Read, Noun::Storage);
    let run_storage = Needs::server(Verb::Run, Noun::Storage);
    vec![
        Route::get("get-metrics", "/metrics", see_health, get_metrics)
            .says("What the server counts, in Prometheus' text format.")
            .gives_text("200", "text/plain", "The metrics."),
        Route::get("examine", "/api/v1/doctor", see_health, examine)
            .says("What is wrong with the server and what to do about it, the worst first.")
            .gives::<Examined>("200", "What was looked at."),
        Route::get("get-support-bundle", "/api/v1/support-bundle", see_health, get_support_bundle)
            .says("What somebody who helps wants to see of the server, without secrets: files of text, to be looked through.")
            .lately()
            .query::<Wanted>()
            .gives::<SupportBundleView>("200", "The bundle."),
        Route::get("list-backups", BACKUPS, see_storage, list_backups)
            .says("The last backups, the newest first.")
            .query::<Latest>()
            .lists::<BackupView>("The backups."),
        Route::post("create-backup", BACKUPS, run_storage, create_backup)
            .says("Makes a backup below the data directory of the server, and verifies it.")
            .lately()
            .takes::<NewBackup>()
            .gives::<MadeBackup>("201", "The backup."),
        Route::get("get-storage", "/api/v1/storage", see_storage, get_storage)
            .says("What takes room, how fast it grows, and how long the disk will do.")
            .gives::<StorageView>("200", "The room."),
        Route::post("sweep-storage", "/api/v1/storage/gc", run_storage, sweep_storage)
            .says("Removes files that nothing refers to any more, or says which would go.")
            .takes::<SweepWish>()
            .gives::<SweptView>("200", "What went, or would."),
    ]
}

async fn get_metrics(State(api): State<Api>) -> Answer {
    let page = health::exposition(&api.ctx).await;
    Ok(([(header::CONTENT_TYPE, EXPOSITION)], page).into_response())
}

async fn examine(State(api): State<Api>) -> Answer {
    Ok(json(StatusCode::OK, &health::examine(&api.ctx).await))
}

async fn get_support_bundle(
    State(api): State<Api>,
    allowed: Allowed,
    Query(wanted): Query<Wanted>,
) -> Answer {
    let naming = wanted.names.unwrap_or_default();
    if naming == Naming::Shown {
        let see_hosts = Permission::of(Verb::Read, Noun::Host).expect("hosts can be seen");
        let _whole = allowed.caller.whole(see_hosts)?;
    }
    Ok(json(StatusCode::OK, &support::show(&api.ctx, naming).await))
}

async fn list_backups(
    State(api): State<Api>,
    allowed: Allowed,
    Query(query): Query<Latest>,
    form: Form,
) -> Answer {
    let part = backup::list(&api.ctx, Limit::of(query.limit)?).await?;
    Ok(list(form, &allowed.cursors, part))
}

async fn create_backup(State(api): State<Api>, allowed: Allowed, post: Post<NewBackup>) -> Answer {
    Ok(made(
        backup::make(&api.ctx, &allowed.caller, post.body, post.once).await?,
    ))
}

async fn get_storage(State(api): State<Api>) -> Answer {
    Ok(json(StatusCode::OK, &storage::show(&api.ctx).await?))
}

async fn sweep_storage(State(api): State<Api>, allowed: Allowed, post: Post<SweepWish>) -> Answer {
    Ok(made(
        storage::collect(&api.ctx, &allowed.caller, post.body, post.once).await?,
    ))
}
