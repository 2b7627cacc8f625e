//! What anybody may have: the authority's certificate and the agent's package, and nothing else of the content store.

use crate::world::World;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use server::app::agent_package;
use server::http::public;
use tower::ServiceExt;

async fn get(world: &World, path: &str) -> (StatusCode, Vec<u8>) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let answer = public::routes(&world.context)
        .oneshot(request)
        .await
        .expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body");
    (status, body.to_bytes().to_vec())
}

#[tokio::test]
async fn a_host_gets_the_current_package_of_the_agent_and_no_other_file_of_the_store() {
    let world = World::new().await;
    let other = world
        .context
        .content
        .insert(
            &b"a tenant's index"[..],
            content::Expected::AtMost { size_bytes: 100 },
        )
        .expect("kept")
        .0;
    let file = world.folder.path().join("agent.deb");
    assert_eq!(
        get(&world, &format!("/agent/package/{other}")).await.0,
        StatusCode::NOT_FOUND
    );
    let mut digests = Vec::new();
    for bytes in [&b"the first package"[..], b"the second package"] {
        std::fs::write(&file, bytes).expect("write");
        let digest = agent_package::offer(&world.context, &file)
            .await
            .expect("offered");
        let (status, body) = get(&world, &format!("/agent/package/{digest}")).await;
        assert_eq!((status, body.as_slice()), (StatusCode::OK, bytes));
        digests.push(digest);
    }
    for not_current in [other, digests[0]] {
        assert_eq!(
            get(&world, &format!("/agent/package/{not_current}")).await.0,
            StatusCode::NOT_FOUND
        );
    }
    for path in [
        "/agent/package/",
        "/agent/package/..%2f..%2fkeys",
        "/agent/package/x",
    ] {
        assert_eq!(get(&world, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_authority_that_is_shown_is_the_one_that_tokens_pin() {
    let world = World::new().await;
    let (status, pem) = get(&world, "/authority.pem").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        String::from_utf8(pem).expect("text"),
        world.context.authority.root_pem()
    );
    let body: String = world
        .context
        .authority
        .root_pem()
        .lines()
        .filter(|line| !line.starts_with('-'))
        .collect();
    use base64::Engine;
    let der = base64::engine::general_purpose::STANDARD
        .decode(body)
        .expect("base64");
    assert_eq!(content::sha256(&der), world.context.authority.root_digest());
}

#[tokio::test]
async fn a_browser_at_the_bare_address_is_led_to_the_log_in() {
    let world = World::new().await;
    let request = Request::get("/").body(Body::empty()).expect("a request");
    let answer = public::routes(&world.context)
        .oneshot(request)
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/login");
}
