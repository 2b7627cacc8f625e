//! What whoever keeps the server running asks it: metrics, checks, backups, room.

use super::Front;
use crate::world::{NODE, START, inventory, whole};
use axum::http::Method;
use content::Expected;
use domain::digest::Sha256Digest;
use domain::id::SnapshotId;
use jiff::SignedDuration;
use protocol::document::DocumentKind;
use serde_json::json;
use server::operations::backup;
use server::reconcile::{self, Reconciler};
use std::time::{Duration, SystemTime};
use store::content_grant::{self, ContentGrant, GrantReason};
use store::{Owner, Whole, audit, server_setting};

/// The value of a metric on the page.
fn metric(page: &str, name: &str) -> u64 {
    let mut lines = page.lines().filter_map(|line| line.strip_prefix(name));
    let value = lines.find_map(|rest| rest.strip_prefix(' '));
    value.expect("the metric is there").parse().expect("a number")
}

#[tokio::test]
async fn what_agents_and_people_do_is_counted() {
    let front = Front::new().await;
    let mut agent = front.world.agent(1).await;
    agent.checks_in(&front.world, &[]).await.expect("answered");
    front.world.exchange(b"no envelope").await;
    let answer = front.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let value = |name| metric(&answer.text, name);
    assert_eq!(value("patchyard_enrolments_total"), 1);
    assert_eq!(value("patchyard_check_ins_total"), 1);
    assert_eq!(value("patchyard_refusals_total"), 1);
    assert_eq!(value("patchyard_api_requests_total"), 1);
    assert_eq!(value("patchyard_api_failures_total"), 0);
    assert_eq!(value("patchyard_last_backup_timestamp_seconds"), 0);
    assert!(value("patchyard_disk_free_bytes") > 0);
    assert!(value("patchyard_certificate_expiry_seconds") > 0);
    let stranger = front.ask(Method::GET, "/metrics", "").send().await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test]
async fn a_backup_is_made_below_the_data_directory_once_and_listed() {
    let front = Front::new().await;
    let key = front.new_key();
    let wish = json!({ "name": "before-upgrade", "content": true });
    let ask = || {
        front
            .ask(Method::POST, "/api/v1/backups", &front.local)
            .key(&key)
            .json(&wish)
    };
    let made = ask().send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    let folder = front.world.folder.path().join("data/backups/before-upgrade");
    assert_eq!(made.json()["place"], folder.display().to_string());
    let verified = backup::verify(&folder).expect("it is whole");
    assert_eq!(made.json()["size_bytes"], verified.size_bytes);
    assert!(
        !folder.join("keys/master.key").exists(),
        "nobody asked for the master key"
    );
    let again = ask().send().await;
    assert_eq!((again.status.as_u16(), &again.text), (201, &made.text));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let taken = front.post("/api/v1/backups", wish.clone()).await;
    assert_eq!(taken.status, 409, "{}", taken.text);
    let listed = front.get("/api/v1/backups").await.json();
    let outcomes: Vec<&str> = listed["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|backup| backup["outcome"].as_str())
        .collect();
    assert_eq!(outcomes, ["complete"]);
    let page = front.get("/metrics").await.text;
    let noted = metric(&page, "patchyard_last_backup_timestamp_seconds");
    assert!((START as u64..START as u64 + 60).contains(&noted), "{noted}");
}

#[tokio::test]
async fn the_name_of_a_backup_is_never_a_path() {
    let front = Front::new().await;
    for name in [
        "",
        ".",
        "..",
        "a/b",
        "../a",
        "/etc/a",
        "a.b",
        "a\u{0}",
        "a b",
        "ä",
        &"x".repeat(65),
    ] {
        let refused = front.post("/api/v1/backups", json!({ "name": name })).await;
        assert_eq!(refused.status, 422, "{name:?}: {}", refused.text);
    }
    assert!(!front.world.folder.path().join("data/backups").exists());
}

#[tokio::test]
async fn the_doctor_says_the_worst_first_and_warns_of_a_missing_backup() {
    let front = Front::new().await;
    let checks = front.get("/api/v1/doctor").await.json();
    let checks = checks["checks"].as_array().expect("a list").clone();
    let rank = |state: &serde_json::Value| match state.as_str() {
        Some("failed") => 0,
        Some("warning") => 1,
        _ => 2,
    };
    assert!(
        checks.is_sorted_by_key(|check| rank(&check["state"])),
        "{checks:?}"
    );
    let backup = checks.iter().find(|check| check["name"] == "backup");
    assert_eq!(backup.expect("it is looked at")["state"], "warning");
}

/// A file of the content store that was stored two days before the world begins.
fn old_file(front: &Front, bytes: &'static [u8]) -> Sha256Digest {
    let content = &front.world.context.content;
    let (digest, _) = content
        .insert(bytes, Expected::AtMost { size_bytes: 100 })
        .expect("kept");
    let path = content.path(&digest).expect("it is here");
    let file = std::fs::File::options().write(true).open(path).expect("open it");
    let stored = START as u64 - 2 * 86_400;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(stored))
        .expect("make it older");
    digest
}

#[tokio::test]
async fn only_old_files_that_nothing_refers_to_are_swept_and_a_dry_run_removes_nothing() {
    let front = Front::new().await;
    let (unwanted, granted, carried) = (
        old_file(&front, b"unwanted"),
        old_file(&front, b"granted"),
        old_file(&front, b"carried"),
    );
    let grant = ContentGrant {
        owner: Owner::Shared,
        digest: granted,
        reason: GrantReason::Snapshot,
        reference: SnapshotId([3; 16]).0,
        size_bytes: 7,
    };
    let (now, named) = (
        front.world.now(),
        json!({ "Packages": carried.to_string() }).to_string(),
    );
    let referred = front.world.context.db.write(move |tx| {
        content_grant::give(tx, &Whole::server(), &[grant], now)?;
        server_setting::set(tx, &Whole::server(), "carried.x", 0, &named, now).map(drop)
    });
    referred.await.expect("noted");
    let dry = front.post("/api/v1/storage/gc", json!({ "dry_run": true })).await;
    assert_eq!(
        (dry.status.as_u16(), dry.json()["files"].as_u64()),
        (200, Some(1)),
        "{}",
        dry.text
    );
    let here = |digest| front.world.context.content.contains(&digest);
    assert!(here(unwanted));
    let swept = front
        .post("/api/v1/storage/gc", json!({ "dry_run": false }))
        .await;
    assert_eq!(swept.json()["files"], 1, "{}", swept.text);
    assert!(!here(unwanted) && here(granted) && here(carried));
}

#[tokio::test]
async fn a_reference_that_cannot_be_read_stops_the_sweep() {
    let front = Front::new().await;
    let unwanted = old_file(&front, b"unwanted");
    let now = front.world.now();
    let written = front.world.context.db.write(move |tx| {
        server_setting::set(tx, &Whole::server(), "carried.x", 0, "{\"a\":\"b\"}", now).map(drop)
    });
    written.await.expect("noted");
    let refused = front
        .post("/api/v1/storage/gc", json!({ "dry_run": false }))
        .await;
    assert_eq!(refused.status, 500, "{}", refused.text);
    assert!(front.world.context.content.contains(&unwanted));
}

fn reconciler(name: &str) -> Reconciler {
    let found = reconcile::ALL
        .into_iter()
        .find(|reconciler| reconciler.name == name);
    found.expect("there is such work")
}

/// One run, which must go well.
async fn run(front: &Front, name: &str) {
    let context = &front.world.context;
    assert!(reconcile::run_once(context, &reconciler(name), NODE).await);
    let last = context.board.all()[name].last.clone().expect("it ran");
    last.outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
}

#[tokio::test]
async fn growth_is_told_from_daily_samples() {
    let front = Front::new().await;
    let causes = |text: &str| {
        let view: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let causes = view["causes"].as_array().expect("causes").clone();
        move |name: &str| causes.iter().find(|cause| cause["cause"] == name).cloned()
    };
    run(&front, "note-storage").await;
    let first = causes(&front.get("/api/v1/storage").await.text)("content").expect("told");
    assert!(first["growth_bytes_per_day"].is_null(), "one day tells nothing");
    front.world.pass(SignedDuration::from_hours(48));
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let expected = Expected::AtMost {
        size_bytes: 1_000_000,
    };
    front
        .world
        .context
        .content
        .insert(&*bytes, expected)
        .expect("kept");
    let second = causes(&front.get("/api/v1/storage").await.text)("content").expect("told");
    let growth = second["growth_bytes_per_day"]
        .as_i64()
        .expect("told after two days");
    assert!((500_000..520_000).contains(&growth), "{growth}");
}

#[tokio::test]
async fn records_are_sealed_into_their_chain_by_themselves() {
    let front = Front::new().await;
    let tenant = front.post("/api/v1/tenants", json!({ "name": "second" })).await;
    assert_eq!(tenant.status, 201, "{}", tenant.text);
    let unsealed = || async {
        let read = front.world.context.db.read(|view| {
            let filter = audit::RecordFilter::default();
            audit::page_shared(view, &Whole::server(), &filter, None, 100)
        });
        let rows = read.await.expect("the database answers").rows;
        rows.iter().filter(|record| record.number.is_none()).count()
    };
    assert!(unsealed().await > 0);
    run(&front, "seal-audit").await;
    assert_eq!(unsealed().await, 0);
}

#[tokio::test]
async fn what_hosts_had_is_forgotten_after_its_time_and_what_they_have_never() {
    let front = Front::new().await;
    let mut agent = front.world.agent(1).await;
    let mut digests = Vec::new();
    for packages in [1, 2] {
        let (_, bytes) = inventory(packages);
        let document = whole(DocumentKind::Inventory, bytes);
        let named = [(DocumentKind::Inventory, document.0.digest)];
        agent.checks_in(&front.world, &named).await.expect("heard");
        digests.push(document.0.digest);
        agent.hands_over(&front.world, &[document]).await.expect("taken");
        front.world.pass(SignedDuration::from_hours(1));
    }
    front.world.pass(SignedDuration::from_hours(24 * 401));
    run(&front, "retain").await;
    let (scope, host) = (front.world.scope(), agent.host);
    let history = front.world.context.db.read(move |view| {
        let kind = store::document::DocumentKind::Inventory;
        store::host_document::history(view, &scope, host, kind, None, 10)
    });
    let history = history.await.expect("the database answers");
    assert_eq!(history.len(), 1, "the present inventory stays");
    assert_eq!(history[0].digest, digests[1]);
    let known = front
        .world
        .context
        .db
        .read(move |view| store::document::known(view, &scope, &digests));
    assert_eq!(known.await.expect("the database answers"), [history[0].digest]);
}
