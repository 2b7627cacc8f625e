//! The parts of a bundle that are facts: each member is named here, so that what is added elsewhere does not get out by
//! itself.

use super::Fault;
use super::redact::Redactor;
use crate::Context;
use crate::operations::{doctor, storage};
use serde_json::{Value, json};
use std::fs;
use store::source::Source;
use store::{Owner, Whole, backup_log, shape, source};

/// So many sources and backups are told.
const MOST: usize = 1000;

/// What runs, and on what.
pub(super) async fn versions(ctx: &Context) -> Result<Value, Fault> {
    let engine = ctx.db.read(shape::engine).await?;
    let system = rustix::system::uname();
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let os = |name: &str| {
        let mut lines = os_release.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.map(|value| value.trim_matches('"').to_owned())
    };
    Ok(json!({
        "patchyard": env!("CARGO_PKG_VERSION"),
        "schema_known": store::NEWEST,
        "backup_form": crate::operations::backup::FORMAT,
        "database": engine,
        "epoch": ctx.epoch.number,
        "system": os("ID"),
        "system_version": os("VERSION_ID"),
        "kernel": system.release().to_string_lossy(),
        "architecture": system.machine().to_string_lossy(),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "memory_kib": proc_number("/proc/meminfo", "MemTotal:"),
        "server_memory_kib": proc_number("/proc/self/status", "VmRSS:"),
        "time": ctx.clock.now().to_string(),
    }))
}

/// The number after this word in a file of proc(5).
fn proc_number(path: &str, word: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(word))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the server was told before it started.
pub(super) fn settings(ctx: &Context) -> Value {
    let file = &ctx.settings.file;
    let database = file.database.as_deref().map(|url| {
        let url = store::Url::parse(url);
        url.map_or_else(|error| error.to_string(), |url| url.to_string())
    });
    json!({
        "listen": file.listen.to_string(),
        "addresses": file.addresses,
        "database": database.unwrap_or_else(|| "in the data folder".to_owned()),
        "certificate_given": file.certificate.is_some(),
        "check_in_seconds": file.check_in_seconds,
        "hold_seconds": file.hold_seconds,
        "limits": {
            "connections": file.limits.connections,
            "connections_per_address": file.limits.connections_per_address,
            "handshakes": file.limits.handshakes,
            "requests": file.limits.requests,
            "queue": file.limits.queue,
            "body_bytes": file.limits.body_bytes,
        },
        "retention": {
            "finding_days": file.retention.finding_days,
            "document_days": file.retention.document_days,
            "snapshot_days": file.retention.snapshot_days,
        },
    })
}

/// What is wrong with the server.
pub(super) async fn doctor(ctx: &Context) -> Result<Value, Fault> {
    Ok(serde_json::to_value(doctor::examine(ctx).await)?)
}

/// What takes room, and how it grew.
pub(super) async fn storage(ctx: &Context) -> Result<Value, Fault> {
    let room = storage::room(ctx).await?;
    Ok(json!({
        "days_left": room.days_left(),
        "bytes": room.usage,
        "growth_bytes_per_day": room.growth,
        "free_bytes": room.free_bytes,
    }))
}

/// How the schema came to be.
pub(super) async fn schema(ctx: &Context) -> Result<Value, Fault> {
    let steps = ctx.db.read(shape::done_steps).await?;
    let steps: Vec<Value> = steps
        .into_iter()
        .map(|step| {
            json!({ "step": step.step, "name": step.name, "text": step.digest.to_string(), "at": step.applied_at.to_string() })
        })
        .collect();
    let damage = ctx.db.read(shape::damage).await?;
    Ok(json!({ "known": store::NEWEST, "steps": steps, "damage": damage }))
}

/// How many rows each table has.
pub(super) async fn tables(ctx: &Context) -> Result<Value, Fault> {
    let counts = ctx.db.read(shape::row_counts).await?;
    Ok(counts
        .into_iter()
        .map(|(table, rows)| (table, Value::from(rows)))
        .collect())
}

/// How the background work goes.
pub(super) fn background(ctx: &Context) -> Value {
    let standings = ctx.board.all();
    let told = standings.into_iter().map(|(name, standing)| {
        let last = standing.last.map(|run| {
            json!({
                "began": run.began.to_string(),
                "took_ms": run.took.as_millis().to_string(),
                "did": run.outcome.as_ref().ok(),
                "failed": run.outcome.as_ref().err(),
            })
        });
        let good = standing.last_good.map(|at| at.to_string());
        (
            name.to_owned(),
            json!({ "last": last, "last_good": good, "failures": standing.failures }),
        )
    });
    Value::Object(told.collect())
}

/// The last backups.
pub(super) async fn backups(ctx: &Context) -> Result<Value, Fault> {
    let latest = ctx
        .db
        .read(|view| backup_log::latest(view, &Whole::server(), MOST as u32))
        .await?;
    let told = latest.into_iter().map(|backup| {
        json!({
            "started_at": backup.started_at.to_string(),
            "ended_at": backup.ended_at.map(|at| at.to_string()),
            "reason": backup.reason,
            "outcome": backup.outcome.as_str(),
            "size_bytes": backup.size_bytes,
        })
    });
    Ok(told.collect())
}

/// Where updates come from, and how the last sync went.
pub(super) async fn sources(ctx: &Context, redactor: &Redactor) -> Result<Value, Fault> {
    let sources = ctx
        .db
        .read(|view| source::all_of_server(view, &Whole::server()))
        .await?;
    let told = sources
        .iter()
        .take(MOST)
        .map(|source| told_source(source, redactor));
    Ok(told.collect())
}

fn told_source(source: &Source, redactor: &Redactor) -> Value {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let moment = |at: Option<jiff::Timestamp>| at.map(|at| at.to_string());
    let outcome = parsed(&source.last_outcome);
    json!({
        "id": source.id.to_string(),
        "name": redactor.name("source", &source.name),
        "is_shared": source.owner == Owner::Shared,
        "kind": source.kind.as_str(),
        "state": source.state.as_str(),
        "places": parsed(&source.addresses)["places"],
        "components": parsed(&source.components),
        "architectures": parsed(&source.architectures),
        "schedule": parsed(&source.schedule),
        "is_private": source.credentials_sealed.is_some(),
        "next_sync_at": moment(source.next_sync_at),
        "last_sync_at": moment(source.last_sync_at),
        "last_success_at": moment(source.last_success_at),
        "last_outcome": outcome["what"],
        "last_detail": outcome["detail"],
        "failures": outcome["failures"],
        "notes": outcome["notes"],
    })
}
