//! Five hundred texts that mean harm, through every door of the API that takes a text: none fails the server, none comes
//! out other than as a JSON string or a harmless cell.

use super::{Answer, Front};
use axum::http::Method;
use domain::text::is_steering;
use jiff::SignedDuration;
use serde_json::json;
use testkit::hostile;

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What every answer must be, whatever was asked.
fn check(what: &str, text: &str, answer: &Answer) {
    let beginning: String = text.chars().take(40).collect();
    assert!(
        answer.status.as_u16() < 500,
        "{what} {beginning:?}: {} {}",
        answer.status,
        answer.text
    );
    if answer.status != 204 && !answer.status.is_redirection() {
        let media_type = answer.headers["content-type"].to_str().expect("plain");
        assert!(media_type.contains("json"), "{what} {beginning:?}: {media_type}");
        let _parses = answer.json();
    }
    assert!(
        !answer.text.chars().any(char::is_control),
        "{what} {beginning:?}: control characters in the answer"
    );
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(
        answer.text.len() < 20_000,
        "{what} {beginning:?}: an answer of {} bytes",
        answer.text.len()
    );
}

#[tokio::test]
async fn hostile_texts_in_bodies_are_refused_or_kept_as_they_are() {
    let front = Front::new().await;
    let (mut kept, mut refused) = (0, 0);
    for hostile in hostile::texts() {
        let text = hostile.text.as_str();
        let answer = front
            .post(front.in_tenant("sites"), json!({ "name": text }))
            .await;
        check("a site's name", text, &answer);
        match answer.status.as_u16() {
            201 => {
                assert_eq!(answer.json()["name"], text);
                assert!(!text.chars().any(is_steering), "{text:?} is kept");
                kept += 1;
            }
            409 => {}
            422 => refused += 1,
            other => panic!("{text:?}: {other} {}", answer.text),
        }
        for (what, path, body) in [
            (
                "a permission",
                "/api/v1/tokens".to_owned(),
                json!({ "name": "x", "permissions": [text] }),
            ),
            (
                "an id",
                front.in_tenant("grants"),
                json!({ "user": text, "role": text }),
            ),
            ("a field's name", "/api/v1/tenants".to_owned(), json!({ text: 1 })),
        ] {
            let answer = front.post(path, body).await;
            check(what, text, &answer);
            assert!(answer.status.is_client_error(), "{what} {text:?}");
        }
        front.world.pass(SignedDuration::from_mins(16));
        let body = json!({ "name": text, "password": text, "code": text });
        let answer = front
            .ask(Method::POST, "/api/v1/session", "")
            .json(&body)
            .send()
            .await;
        check("a log-in", text, &answer);
        assert!(
            matches!(answer.status.as_u16(), 401 | 429),
            "{text:?}: {}",
            answer.text
        );
    }
    assert!(kept > 100 && refused > 200, "{kept} kept, {refused} refused");
    let csv = front
        .ask(Method::GET, front.in_tenant("sites?limit=1000"), &front.local)
        .header("accept", "text/csv")
        .send()
        .await;
    assert_eq!(
        csv.text.lines().count(),
        kept + 2,
        "one line each, the world's site and the head"
    );
    for line in csv.text.lines().skip(1) {
        let name = line.split_once(',').expect("a second cell").1;
        assert!(name.starts_with('"') && !name.starts_with("\"="), "{line:?}");
        let first = name[1..].trim_start().chars().next();
        assert!(
            !first.is_some_and(|first| "=+-@|%".contains(first)),
            "{line:?} would be a formula"
        );
    }
}

#[tokio::test]
async fn hostile_texts_in_addresses_and_headers_are_refused_or_find_nothing() {
    let front = Front::new().await;
    for hostile in hostile::texts() {
        let text = hostile.text.as_str();
        let encoded = percent(text);
        for path in [
            front.in_tenant(&format!("hosts?name={encoded}")),
            front.in_tenant(&format!("hosts?tag={encoded}")),
            front.in_tenant(&format!("hosts?cursor={encoded}")),
            front.in_tenant(&format!("hosts?{encoded}=1")),
            front.in_tenant(&format!("hosts/{encoded}")),
            format!("/api/v1/tenants/{encoded}/hosts"),
            format!("/{encoded}"),
        ] {
            if path.len() < 60_000 {
                check("an address", text, &front.get(&path).await);
            }
        }
        if axum::http::HeaderValue::try_from(text).is_ok() {
            let ask = front
                .ask(Method::POST, "/api/v1/tenants", &front.local)
                .key(text)
                .json(&json!({ "name": " " }));
            check("a key", text, &ask.send().await);
            check(
                "a token",
                text,
                &front.ask(Method::GET, "/api/v1/tenants", text).send().await,
            );
            let ask = front.ask(
                Method::PATCH,
                front.in_tenant(&format!("sites/{}", front.world.site)),
                &front.local,
            );
            check(
                "a version",
                text,
                &ask.version(text).json(&json!({ "name": "x" })).send().await,
            );
        }
    }
    for bytes in hostile::bytes() {
        let encoded: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
        check(
            "bytes",
            &encoded,
            &front.get(front.in_tenant(&format!("hosts?name={encoded}"))).await,
        );
        check(
            "bytes",
            &encoded,
            &front.get(front.in_tenant(&format!("hosts/{encoded}"))).await,
        );
        let ask = front
            .ask(Method::POST, "/api/v1/tenants", &front.local)
            .key("bytes");
        let body = [b"{\"name\":\"".as_slice(), &bytes, b"\"}"].concat();
        let answer = ask.bytes("application/json", body).send().await;
        check("bytes", &encoded, &answer);
        assert_eq!(answer.code(), "malformed-body");
    }
}

#[tokio::test]
async fn hostile_forms_come_back_as_text_of_the_page() {
    let front = Front::new().await;
    for hostile in hostile::texts() {
        let encoded = percent(&hostile.text);
        front.world.pass(SignedDuration::from_mins(16));
        let body = format!("name={encoded}&password={encoded}&code={encoded}&{encoded}=1");
        let ask = front
            .ask(Method::POST, "/login", "")
            .header("origin", "https://patchyard.example");
        let answer = ask
            .bytes("application/x-www-form-urlencoded", body.into_bytes())
            .send()
            .await;
        assert!(
            answer.status.is_client_error(),
            "{:?}: {}",
            hostile.text,
            answer.status
        );
        assert!(
            !answer.text.contains("<script") && !answer.text.contains("onerror="),
            "{}",
            answer.text
        );
        let answer = front
            .ask(Method::GET, format!("/login?link={encoded}"), "")
            .send()
            .await;
        assert!(
            answer.status.as_u16() < 500 && !answer.text.contains("<script"),
            "{}",
            answer.text
        );
    }
}
