//! Coverage over the API: what nobody can speak for, why, and what helps; how hosts stood at a moment of the past.

use super::Answer;
use crate::catalog::Fleet;
use axum::body::Body;
use axum::http::{Method, Request};
use domain::id::HostId;
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use server::app::password::Cost;
use server::http::admin::{self, Api};
use testkit::archive::package::Package;
use tower::ServiceExt;

/// A request about the fleet's tenant, by the command line of the server's machine.
async fn ask(fleet: &Fleet, method: Method, rest: &str) -> Answer {
    ask_with(fleet, method, rest, None).await
}

async fn ask_with(fleet: &Fleet, method: Method, rest: &str, body: Option<&Value>) -> Answer {
    let world = &fleet.world;
    let file = world.folder.path().join("data").join(server::local::TOKEN_FILE);
    let token = std::fs::read_to_string(file).expect("the token is there");
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v1/tenants/{}/{rest}", world.tenant))
        .header("authorization", format!("Bearer {}", token.trim_end()))
        .header("if-match", "\"v1\"")
        .header("content-type", "application/json");
    let body = body.map(Value::to_string).unwrap_or_default();
    let router = admin::router(Api::new(&world.context, Cost::Least));
    let request = request.body(Body::from(body)).expect("a request");
    let answer = router.oneshot(request).await.expect("the router never fails");
    let (parts, body) = answer.into_parts();
    let bytes = body.collect().await.expect("the body is in memory").to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        text: String::from_utf8(bytes.to_vec()).expect("answers are text"),
    }
}

async fn get(fleet: &Fleet, rest: &str) -> Value {
    let answer = ask(fleet, Method::GET, rest).await;
    assert_eq!(answer.status, 200, "{rest}: {}", answer.text);
    answer.json()
}

/// A server whose two hosts use one archive that nobody adopted yet.
async fn proposed() -> (Fleet, [HostId; 2]) {
    let fleet = Fleet::new().await;
    fleet.publish(&[Package::new("hello", "1.0-2"), Package::new("plain", "2.0-1")]);
    let first = fleet.host(10, &[("hello", "1.0-1")]).await;
    let second = fleet.host(11, &[("hello", "1.0-1"), ("plain", "2.0-1")]).await;
    fleet.run("assess").await;
    (fleet, [first, second])
}

async fn gaps(fleet: &Fleet, query: &str) -> Value {
    get(fleet, &format!("coverage/gaps{query}")).await
}

/// Kind, hosts, what and why of each gap, with what helps.
fn told(page: &Value) -> Vec<(String, u64, String)> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = page["items"].as_array().expect("items").iter();
    rows.map(|row| {
        let all = ["what", "why", "next_step"]
            .map(|name| text(row, name))
            .join(" | ");
        (text(row, "kind"), row["hosts"].as_u64().expect("a number"), all)
    })
    .collect()
}

async fn host(fleet: &Fleet, id: HostId, rest: &str) -> Value {
    get(fleet, &format!("hosts/{id}{rest}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_speaks_for_is_named_with_its_hosts_its_reason_and_the_next_step() {
    let (fleet, [first, _]) = proposed().await;
    let page = gaps(&fleet, "").await;
    let found = told(&page);
    assert_eq!(found[0].0, "package", "hello is on both hosts: {found:?}");
    let source = found
        .iter()
        .find(|(kind, ..)| kind == "source")
        .expect("a source");
    assert_eq!(source.1, 2);
    assert!(source.2.contains("patchyard source list"), "{source:?}");
    let plain = found
        .iter()
        .find(|gap| gap.2.starts_with("plain:amd64 2.0-1"))
        .expect("plain");
    assert!(plain.1 == 1 && plain.2.contains("does not answer"), "{plain:?}");

    // One page after the other is the whole.
    let mut paged = Vec::new();
    let mut query = "?limit=1".to_owned();
    loop {
        let page = gaps(&fleet, &query).await;
        paged.extend(told(&page));
        match page["next"].as_str() {
            Some(next) => query = format!("?limit=1&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(paged, found);

    fleet.adopt().await;
    fleet.run("sync").await;
    fleet.run("assess").await;
    assert_eq!(gaps(&fleet, "").await["items"], json!([]), "all is answered for");
    let answered = host(&fleet, first, "/coverage").await;
    assert_eq!(answered["sources"][0]["state"], "answers", "{answered}");
    assert!(answered["sources"][0]["source"].is_string());
    assert_eq!(answered["packages"], json!([]));

    let before = fleet.world.now();
    fleet.world.pass(SignedDuration::from_hours(1));
    fleet.report(first, &[("hello", "9.0-1"), ("cruft", "1")]).await;
    fleet.run("assess").await;
    let found = told(&gaps(&fleet, "").await);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0]
            .2
            .starts_with("cruft:amd64 1 | no configured source lists it"),
        "{found:?}"
    );
    assert!(
        found[1].2.starts_with("hello:amd64 9.0-1 | newer than anything"),
        "{found:?}"
    );
    let now = host(&fleet, first, "/coverage").await;
    assert_eq!(now["standing"], "unknown");
    assert_eq!(now["packages"].as_array().map(Vec::len), Some(2), "{now}");
    let then = host(&fleet, first, &format!("/coverage?as_of={before}")).await;
    assert_eq!(
        (&then["standing"], &then["packages"]),
        (&json!("updates_missing"), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_and_updates_of_the_past_are_those_of_then() {
    let (fleet, [first, second]) = proposed().await;
    fleet
        .report(second, &[("hello", "1.0-1"), ("plain", "1.9-1")])
        .await;
    fleet.adopt().await;
    fleet.run("sync").await;
    fleet.run("assess").await;
    let then = fleet.world.now();
    fleet.world.pass(SignedDuration::from_hours(1));
    fleet
        .report(first, &[("hello", "1.0-1"), ("plain", "1.9-1")])
        .await;
    fleet.publish(&[Package::new("hello", "1.0-2"), Package::new("plain", "3.0-1")]);
    fleet.ask_for_sync().await;
    fleet.run("sync").await;
    fleet.run("assess").await;
    let late = fleet.host(12, &[("hello", "1.0-1")]).await;
    let retired = ask(&fleet, Method::DELETE, &format!("hosts/{second}")).await;
    assert_eq!(retired.status, 204, "{}", retired.text);

    let names = async |query: String| -> Vec<(String, String, u64)> {
        let list = get(&fleet, &format!("hosts{query}")).await;
        let rows = list["items"].as_array().expect("hosts").clone();
        let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
        rows.iter()
            .map(|row| {
                (
                    text(row, "name"),
                    text(row, "standing"),
                    row["missing"].as_u64().expect("a number"),
                )
            })
            .collect()
    };
    let row = |name: &str, standing: &str, missing| (name.to_owned(), standing.to_owned(), missing);
    assert_eq!(
        names(format!("?as_of={then}")).await,
        [
            row("host10", "updates_missing", 1),
            row("host11", "updates_missing", 2)
        ]
    );
    assert_eq!(
        names(String::new()).await,
        [row("host10", "updates_missing", 2), row("host12", "unknown", 0)]
    );
    let before_all = Timestamp::from_second(1_000_000_000).expect("a time");
    assert_eq!(names(format!("?as_of={before_all}")).await, []);
    let one = host(&fleet, second, &format!("?as_of={then}")).await;
    assert_eq!(
        (&one["state"], &one["retired_at"]),
        (&json!("active"), &Value::Null)
    );
    let not_yet = ask(&fleet, Method::GET, &format!("hosts/{late}?as_of={then}")).await;
    assert_eq!(not_yet.status, 404);
    let both = ask(
        &fleet,
        Method::GET,
        &format!("hosts?as_of={then}&standing=unknown"),
    )
    .await;
    assert_eq!(both.code(), "invalid-value");

    let at_risk = async |query: String, fixed: &str| -> Vec<String> {
        let question = json!({ "packages": [{ "package": "plain", "fixed": fixed }] });
        let answer = ask_with(&fleet, Method::POST, &format!("at-risk{query}"), Some(&question)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let page = answer.json();
        let rows = page["items"].as_array().expect("hosts").iter();
        rows.map(|row| row["name"].as_str().expect("a name").to_owned())
            .collect()
    };
    assert_eq!(at_risk(String::new(), "2.0-1").await, ["host10"]);
    assert_eq!(at_risk(format!("?as_of={then}"), "2.0-1").await, ["host11"]);
    assert_eq!(at_risk(format!("?as_of={then}"), "1.9-1").await, [""; 0]);
    assert_eq!(at_risk(format!("?as_of={before_all}"), "2.0-1").await, [""; 0]);

    let updates = async |query: String| -> Vec<String> {
        let list = get(&fleet, &format!("updates?{query}")).await;
        let rows = list["items"].as_array().expect("updates").clone();
        let mut names: Vec<String> = rows
            .iter()
            .map(|row| {
                format!(
                    "{} {} {} {}",
                    row["source"], row["source_version"], row["state"], row["hosts"]
                )
            })
            .map(|text| text.replace('"', ""))
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        updates(format!("as_of={then}")).await,
        ["hello 1.0-2 listed 2", "plain 2.0-1 listed 1"]
    );
    assert_eq!(
        updates(format!("as_of={then}&missed=true")).await,
        ["hello 1.0-2 listed 2", "plain 2.0-1 listed 1"]
    );
    assert_eq!(updates(format!("as_of={then}&state=withdrawn")).await, [""; 0]);
    let now = updates("state=withdrawn".to_owned()).await;
    assert_eq!(now.len(), 1, "{now:?}");
    assert!(now[0].starts_with("plain 2.0-1 withdrawn"), "{now:?}");
    assert_eq!(updates(format!("as_of={before_all}")).await, [""; 0]);
}
