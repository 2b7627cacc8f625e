//! Rules that hold on every route alike: credentials, parameters, keys, versions, limits, and the document.

use super::Front;
use axum::http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use server::http::admin::route::Needs;
use server::http::admin::routes;
use server::http::openapi;

fn filled(path: &str, front: &Front) -> String {
    let tenant = front.world.tenant.to_string();
    let part = |part: &str| match part {
        "{tenant}" => tenant.clone(),
        "{site}" => front.world.site.to_string(),
        part if part.starts_with('{') => "0198c0de-0000-7000-8000-00000000abcd".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn no_route_with_needs_answers_without_credentials_or_with_wrong_ones() {
    let front = Front::new().await;
    for route in routes()
        .into_iter()
        .filter(|route| !matches!(route.needs(), Needs::Nothing(_)))
    {
        for token in [
            "",
            "pyt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "pyl-wrong",
            "nonsense",
        ] {
            let path = filled(route.path(), &front);
            let answer = front
                .ask(route.method().clone(), path, token)
                .key("k")
                .version("\"v1\"")
                .send()
                .await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (401, "not-logged-in"),
                "{}",
                route.path()
            );
            assert!(answer.headers.contains_key("www-authenticate"));
        }
    }
}

#[tokio::test]
async fn every_route_refuses_a_parameter_that_it_does_not_know_and_one_given_twice() {
    let front = Front::new().await;
    for route in routes() {
        let path = filled(route.path(), &front);
        for query in ["?limitt=5", "?limit=5&limit=6", "?%00", "?cursor=a&cursor=b"] {
            let ask = front.ask(route.method().clone(), format!("{path}{query}"), &front.local);
            let answer = ask.key("k").version("\"v1\"").send().await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (400, "unknown-parameter"),
                "{path}{query}"
            );
        }
    }
}

#[tokio::test]
async fn every_post_wants_a_key_and_every_change_a_version() {
    let front = Front::new().await;
    for route in routes() {
        let path = filled(route.path(), &front);
        let answer = front
            .ask(route.method().clone(), &path, &front.local)
            .json(&json!({}))
            .send()
            .await;
        match *route.method() {
            Method::POST if route.is_keyed() => assert_eq!(answer.code(), "idempotency-key-needed", "{path}"),
            Method::PATCH | Method::DELETE => assert_eq!(answer.code(), "if-match-needed", "{path}"),
            Method::POST => {
                let is_question = path.ends_with("/at-risk") || path.ends_with("/deployments/preview");
                let is_harmless = path.starts_with("/api/v1/session") || is_question;
                assert!(is_harmless, "{path} could be done twice");
            }
            _ => assert_eq!(*route.method(), Method::GET),
        }
    }
}

#[tokio::test]
async fn every_body_refuses_unknown_fields_and_other_media_types() {
    let front = Front::new().await;
    for route in routes()
        .into_iter()
        .filter(|route| *route.method() != Method::GET)
    {
        let path = filled(route.path(), &front);
        let ask = || {
            front
                .ask(route.method().clone(), &path, &front.local)
                .key("k")
                .version("\"v1\"")
        };
        let answer = ask().json(&json!({ "surprise": 1 })).send().await;
        assert_eq!(answer.code(), "malformed-body", "{path}");
        let answer = ask().bytes("text/plain", b"{}".to_vec()).send().await;
        assert_eq!(answer.code(), "wrong-media-type", "{path}");
        let answer = ask()
            .bytes("application/json", vec![b' '; (1 << 20) + 1])
            .send()
            .await;
        assert!(matches!(answer.status.as_u16(), 413), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_unknown_path_and_method_are_problems_too() {
    let front = Front::new().await;
    let answer = front.get("/api/v1/nothing").await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (404, "not-found")
    );
    let answer = front
        .ask(Method::PUT, "/api/v1/tenants", &front.local)
        .send()
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (405, "no-such-method")
    );
    assert!(answer.headers.contains_key("allow"));
    let answer = front
        .get(format!("/api/v1/tenants?cursor={}", "a".repeat(9000)))
        .await;
    assert_eq!(answer.code(), "address-too-long");
}

#[tokio::test]
async fn who_asks_too_often_waits_and_the_waits_are_scattered() {
    let front = Front::new().await;
    let mut waits = Vec::new();
    for _ in 0..400 {
        let answer = front
            .ask(Method::GET, "/api/v1/permissions", &front.local)
            .send_at_once()
            .await;
        if answer.status == 429 {
            assert_eq!(answer.code(), "too-many-requests");
            waits.push(
                answer.headers["retry-after"]
                    .to_str()
                    .expect("digits")
                    .parse::<u32>()
                    .expect("a number"),
            );
        }
    }
    assert_eq!(
        waits.len(),
        200,
        "a burst of 200 is allowed, under a clock that stands still"
    );
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 2 && waits[0] >= 1, "{waits:?}");
    front.world.pass(SignedDuration::from_secs(1));
    assert_eq!(
        front
            .ask(Method::GET, "/api/v1/permissions", &front.local)
            .send_at_once()
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn strangers_are_slowed_down_and_callers_beside_them_are_not() {
    let front = Front::new().await;
    let mut refused = 0;
    for _ in 0..80 {
        let answer = front
            .ask(Method::GET, "/api/v1/permissions", "pyt_wrong")
            .send_at_once()
            .await;
        refused += u32::from(answer.status == 429);
    }
    assert_eq!(refused, 30, "50 at once");
    assert_eq!(
        front
            .ask(Method::GET, "/api/v1/permissions", &front.local)
            .send_at_once()
            .await
            .status,
        200
    );
}

#[test]
fn the_document_in_the_docs_is_that_of_the_routes() {
    let document = openapi::document(routes())
        .to_pretty_json()
        .expect("it serialises");
    let kept = include_str!("../../../../../docs/openapi.json");
    assert!(
        document.trim() == kept.trim(),
        "docs/openapi.json is not current: cargo run -q -p server --example openapi > docs/openapi.json"
    );
}

#[test]
fn every_route_is_in_the_document_with_what_it_needs() {
    let document: Value = serde_json::to_value(openapi::document(routes())).expect("it serialises");
    let mut ids = std::collections::BTreeSet::new();
    for route in routes() {
        let operation = &document["paths"][route.path()][route.method().as_str().to_lowercase()];
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{} is not in the document", route.path()));
        assert!(ids.insert(id.to_owned()), "two operations are called {id}");
        assert!(operation["summary"].is_string(), "{id} says nothing");
        let is_open = matches!(route.needs(), Needs::Nothing(_));
        assert_eq!(operation["security"].is_null(), is_open, "{id}");
        if let Some(permission) = route.needs().permission() {
            let description = operation["description"].as_str().unwrap_or_default();
            assert!(
                description.contains(&format!("`{permission}`")),
                "{id}: {description}"
            );
        }
        let answers = operation["responses"].as_object().expect("answers");
        assert!(
            answers.keys().any(|status| status.starts_with('2')),
            "{id} never succeeds"
        );
    }
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap_or_default();
        assert!(
            !document["components"]["schemas"][name].is_null(),
            "the document lacks the schema {name}"
        );
    }
}

#[test]
fn every_list_is_a_page_of_its_own_items() {
    let document: Value = serde_json::to_value(openapi::document(routes())).expect("it serialises");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let mut items = std::collections::BTreeMap::new();
    for route in routes() {
        let operation = &document["paths"][route.path()][route.method().as_str().to_lowercase()];
        let id = operation["operationId"].as_str().expect("an id");
        let answer = &operation["responses"]["200"]["content"];
        let shape = &answer["application/json"]["schema"];
        assert_ne!(shape["type"], "array", "{id} gives a bare array");
        let Some(name) = shape["$ref"].as_str().and_then(|name| name.rsplit('/').next()) else {
            continue;
        };
        if id.starts_with("list-") {
            let item = &schemas[name]["properties"]["items"]["items"];
            let item = item["$ref"].as_str().unwrap_or_else(|| panic!("{id} is no page"));
            assert_eq!(
                items.entry(name.to_owned()).or_insert(item.to_owned()),
                item,
                "{id}"
            );
            assert!(answer["text/csv"].is_object(), "{id} gives no table");
        }
    }
    let distinct: std::collections::BTreeSet<_> = items.values().collect();
    assert!(items.len() > 12 && distinct.len() == items.len(), "{items:?}");
}
