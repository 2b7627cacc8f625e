//! The API attacked from the network: requests that a proxy and the server could read differently, what every answer says to
//! browsers, whose word counts, and what can be learned without credentials.

use crate::api::Front;
use crate::api::people::{PASSWORD, first_administrator, form, session};
use crate::catalog::Fleet;
use crate::socket::{Client, connect, settings, started, trusting};
use crate::world::add_tenant;
use axum::http::Method;
use domain::id::{SiteId, TenantId};
use serde_json::{Value, json};
use server::http::auth::SESSION_COOKIE;
use server::start::{Running, Server};
use testkit::archive::package::Package;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Everything that the server says to this and to an honest last request behind it.
async fn said(running: &Running, request: &str) -> String {
    const LAST: &str = "GET /authority.pem HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut client = Client::of(running).await;
    let all = format!("{request}{LAST}");
    client.0.write_all(all.as_bytes()).await.expect("it is sent");
    client.0.flush().await.expect("it is sent");
    let mut bytes = Vec::new();
    // A connection that is cut after a refusal ends so too.
    let _end = client.0.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_request_whose_length_could_be_read_in_two_ways_is_answered_once_and_ends_the_connection() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let running = started(folder.path()).await;
    let hidden = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = hidden.len();
    for (what, smuggling) in [
        (
            "two lengths",
            format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"
            ),
        ),
        (
            "two lengths in one",
            format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0, {length}\r\n\r\n{hidden}"
            ),
        ),
        (
            "a signed length",
            format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: +{length}\r\n\r\n{hidden}"
            ),
        ),
        (
            "an unknown coding",
            format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\nContent-Length: {length}\r\n\r\n{hidden}"
            ),
        ),
        (
            "a length with a blank before the colon",
            format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length : {length}\r\n\r\n{hidden}"
            ),
        ),
        (
            "a line that goes on",
            format!(
                "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nX: a\r\n Content-Length: {length}\r\n\r\n{hidden}"
            ),
        ),
        (
            "two lengths for agents",
            format!(
                "POST /agent/v1/exchange HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"
            ),
        ),
        (
            "a length and chunks for agents",
            format!(
                "POST /agent/v1/exchange HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{hidden}"
            ),
        ),
    ] {
        let answers = said(&running, &smuggling).await;
        assert!(
            !answers.contains("{\"ok\":true}"),
            "{what}: the hidden request was answered: {answers}"
        );
        assert!(
            answers.starts_with("HTTP/1.1 4") || answers.starts_with("HTTP/1.1 5") || answers.is_empty(),
            "{what}: {answers}"
        );
    }
    // Chunks beside a length: RFC 9112, 6.1 lets a server take the chunks, if nothing after them counts.
    let both = format!(
        "POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
    );
    let answers = said(&running, &both).await;
    assert!(
        !answers.contains("{\"ok\":true}"),
        "what a proxy that goes by the length took for a body was answered: {answers}"
    );
    running.stop().await.expect("it ends cleanly");
}

#[tokio::test]
async fn every_answer_tells_browsers_not_to_guess_keep_or_frame_it() {
    let front = Front::new().await;
    first_administrator(&front).await;
    let mut seen = 0;
    for (method, path, token) in [
        (Method::GET, "/api/v1/tenants", front.local.as_str()),
        (Method::GET, "/api/v1/tenants", ""),
        (Method::GET, "/api/v1/nothing", ""),
        (Method::PUT, "/api/v1/tenants", ""),
        (Method::GET, "/login", ""),
        (Method::POST, "/login", ""),
        (Method::GET, "/health/live", ""),
        (Method::GET, "/authority.pem", ""),
        (Method::GET, "/agent/package/x", ""),
        (Method::GET, "/api/v1/openapi.json", ""),
        (Method::GET, "/metrics", front.local.as_str()),
    ] {
        let answer = front.ask(method.clone(), path, token).send().await;
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let what = format!("{method} {path}: {:?}", answer.headers);
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{what}");
        assert_eq!(header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(
            header("strict-transport-security"),
            Some("max-age=31536000"),
            "{what}"
        );
        let policy = header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{what}"
        );
        assert!(header("access-control-allow-origin").is_none(), "{what}");
        assert!(header("server").is_none(), "{what}");
        seen += 1;
    }
    assert_eq!(seen, 11);
}

#[tokio::test]
async fn the_cookie_of_a_log_in_is_for_our_own_pages_over_tls_and_no_script() {
    let front = Front::new().await;
    let secret = first_administrator(&front).await;
    front.world.pass(jiff::SignedDuration::from_secs(60));
    let code = crate::api::people::code(&front, &secret);
    let fields = format!("name=ada&password={}&code={code}", PASSWORD.replace(' ', "+"));
    let answer = form(&front, &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let cookies: Vec<&str> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let [cookie] = cookies[..] else {
        panic!("{cookies:?}")
    };
    let (value, rest) = cookie.split_once("; ").expect("attributes");
    assert!(value.starts_with(&format!("{SESSION_COOKIE}=pys_")) && SESSION_COOKIE.starts_with("__Host-"));
    let mut attributes: Vec<&str> = rest.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Path=/", "SameSite=Strict", "Secure"]);
}

#[tokio::test]
async fn a_second_host_or_origin_makes_a_request_by_cookie_foreign() {
    let front = Front::new().await;
    let secret = first_administrator(&front).await;
    let cookie = format!("{SESSION_COOKIE}={}", session(&front, "ada", &secret).await);
    let post = async |headers: &[(&'static str, &str)]| {
        let mut ask = front
            .ask(Method::POST, "/api/v1/tenants", "")
            .header("cookie", &*cookie)
            .key(&front.new_key());
        for (name, value) in headers {
            ask = ask.header(name, *value);
        }
        ask.json(&json!({ "name": front.new_key() })).send().await
    };
    let ours = ("origin", "https://patchyard.example");
    assert_eq!(post(&[ours]).await.status, 201);
    for foreign in [
        &[ours, ("host", "evil.example")][..],
        &[ours, ("origin", "https://evil.example")],
        &[("origin", "https://evil.example"), ours],
        &[
            ours,
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "cross-site"),
        ],
    ] {
        assert_eq!(post(foreign).await.code(), "foreign-request", "{foreign:?}");
    }
}

#[tokio::test]
async fn a_cookie_beside_a_token_that_does_not_hold_lets_nobody_in() {
    let front = Front::new().await;
    let secret = first_administrator(&front).await;
    let cookie = format!("{SESSION_COOKIE}={}", session(&front, "ada", &secret).await);
    for wrong in ["Bearer pyt_wrong", "Basic YWRhOmFkYQ==", "Bearer", "", "bearer  "] {
        let answer = front
            .ask(Method::GET, "/api/v1/tenants", "")
            .header("cookie", &*cookie)
            .header("authorization", wrong)
            .send()
            .await;
        assert_eq!(answer.code(), "not-logged-in", "{wrong:?}");
    }
}

#[tokio::test]
async fn ids_of_another_tenant_in_a_body_are_no_ids() {
    let front = Front::new().await;
    let (other, there) = (TenantId([9; 16]), SiteId([9; 16]));
    add_tenant(&front.world.context, other, there, "other").await;
    let foreign = async |rest: &str, body: Value| {
        let made = front.post(format!("/api/v1/tenants/{other}/{rest}"), body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()
    };
    let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
    let user = id(&foreign("users", json!({ "name": "eve" })).await["user"]);
    let role = id(&foreign("roles", json!({ "name": "own", "permissions": ["read:host"] })).await);
    let mine = id(&front
        .post(front.in_tenant("users"), json!({ "name": "ada" }))
        .await
        .json()["user"]);
    let built_in = server::app::role::built_in();
    let tenant_user = built_in
        .iter()
        .find(|(_, name, _)| *name == "tenant-user")
        .expect("built in")
        .0;
    let agent = front.world.agent(1).await;
    let host = format!("hosts/{}", agent.host);
    let before = store::copy::verify(&front.world.context.db)
        .await
        .expect("digests");
    let there = there.to_string();
    for (rest, body) in [
        ("grants", json!({ "user": user, "role": tenant_user.to_string() })),
        ("grants", json!({ "user": mine, "role": role })),
        (
            "grants",
            json!({ "user": mine, "role": tenant_user.to_string(), "site": there }),
        ),
        (
            "tokens",
            json!({ "name": "t", "permissions": ["read:host"], "site": there }),
        ),
        ("enrolment-tokens", json!({ "site": there })),
        (&*format!("{host}/merge"), json!({ "former": user })),
        (
            &*format!("{host}/move"),
            json!({ "tenant": other.to_string(), "site": front.world.site.to_string() }),
        ),
    ] {
        let answer = front.post(front.in_tenant(rest), body.clone()).await;
        assert_eq!(answer.status, 404, "{rest} {body}: {}", answer.text);
    }
    let tag = front.get(front.in_tenant(&host)).await.tag().to_owned();
    let edited = front
        .ask(Method::PATCH, front.in_tenant(&host), &front.local)
        .version(&tag)
        .json(&json!({ "site": there }))
        .send()
        .await;
    assert_eq!(edited.status, 404, "{}", edited.text);
    let after = store::copy::verify(&front.world.context.db)
        .await
        .expect("digests");
    assert_eq!(after, before, "nothing was changed by any of them");
}

#[tokio::test]
async fn a_given_certificate_is_shown_with_its_chain_and_exchanged_without_a_restart() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params, KeyPair::generate().expect("a key"))
    };
    let (params, key) = authority("a company's root");
    let root = CertifiedIssuer::self_signed(params, key).expect("a root");
    let (params, key) = authority("a company's issuer");
    let issuer = CertifiedIssuer::signed_by(params, key, &root).expect("an issuer");
    let (chain, key) = (folder.path().join("chain.pem"), folder.path().join("key.pem"));
    let give = |name: &str| {
        let leaf_key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned(), name.to_owned()]).expect("names");
        let leaf = params.signed_by(&leaf_key, &issuer).expect("a certificate");
        std::fs::write(&chain, format!("{}{}", leaf.pem(), issuer.pem())).expect("written");
        std::fs::write(&key, leaf_key.serialize_pem()).expect("written");
        leaf.der().clone()
    };
    let first = give("first.example");
    let mut settings = settings(folder.path());
    let files = server::settings::GivenCertificate {
        chain: chain.clone(),
        key: key.clone(),
    };
    settings.file.certificate = Some(files.clone());
    let running = Server::start(settings).await.expect("the server starts");
    let shown = async || {
        let mut browser = trusting(root.der()).with_no_client_auth();
        browser.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = connect(running.address(), browser)
            .await
            .expect("its root vouches");
        stream.get_ref().1.peer_certificates().expect("a chain")[0].clone()
    };
    assert_eq!(shown().await, first);
    let agents = trusting(&running.context().authority.root_certificate()).with_no_client_auth();
    connect(running.address(), agents)
        .await
        .expect("agents see our own");
    let authority = &running.context().authority;
    let second = give("second.example");
    assert!(authority.reload_given(&files).expect("it is read"), "another one");
    assert_eq!(shown().await, second);
    assert!(!authority.reload_given(&files).expect("it is read"), "the same");
    std::fs::write(&key, "no key").expect("written");
    authority.reload_given(&files).expect_err("it cannot be used");
    assert_eq!(shown().await, second, "the one from before is shown on");
    running.stop().await.expect("it ends cleanly");
}

#[tokio::test]
async fn a_cursor_of_hosts_at_risk_fits_the_question_that_it_came_with_and_no_other() {
    let fleet = Fleet::new().await;
    fleet.publish(&[Package::new("hello", "1.0-2"), Package::new("plain", "2.0-1")]);
    for number in 10..13 {
        fleet
            .host(number, &[("hello", "1.0-1"), ("plain", "1.0-1")])
            .await;
    }
    fleet.run("assess").await;
    let front = Front::of(fleet.world);
    let ask = async |query: &str, package: &str| {
        let body = json!({ "packages": [{ "package": package, "fixed": "9" }] });
        let path = front.in_tenant(&format!("at-risk?limit=1{query}"));
        front
            .ask(Method::POST, path, &front.local)
            .json(&body)
            .send()
            .await
    };
    let first = ask("", "hello").await.json();
    let next = first["next"]
        .as_str()
        .unwrap_or_else(|| panic!("no next page: {first}"));
    let same = ask(&format!("&cursor={next}"), "hello").await;
    assert_eq!(same.status, 200, "{}", same.text);
    assert_ne!(same.json()["items"], first["items"]);
    let other = ask(&format!("&cursor={next}"), "plain").await;
    assert_eq!(other.code(), "bad-cursor");
}

#[tokio::test]
async fn who_posts_to_the_log_in_page_again_and_again_has_to_wait() {
    let front = Front::new().await;
    let mut refused = 0;
    for number in 0..80 {
        let answer = front
            .ask(Method::POST, "/login", "")
            .header("origin", "https://patchyard.example")
            .bytes(
                "application/x-www-form-urlencoded",
                format!("invitation={number}&password=x").into_bytes(),
            )
            .send_at_once()
            .await;
        refused += u32::from(answer.status == 429 && answer.headers.contains_key("retry-after"));
    }
    assert_eq!(refused, 30, "50 at once, as on every route without credentials");
}
