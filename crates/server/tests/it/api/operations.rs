//! What whoever keeps the server running asks it: metrics, checks, backups, room.

use super::Front;
use axum::http::Method;

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
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
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
