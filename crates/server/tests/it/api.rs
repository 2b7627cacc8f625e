//! The API of people and programs, in process: what it refuses, what it allows whom, and what it answers.

mod changes;
mod coverage;
mod hostile;
pub mod intent;
mod matrix;
mod operations;
pub mod people;
mod places;
mod rules;
mod sources;
mod trust;

use crate::world::World;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use jiff::SignedDuration;
use serde_json::Value;
use server::app::password::Cost;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use tower::ServiceExt;

/// A server and its API.
pub struct Front {
    pub world: World,
    router: Router,
    /// The token of the data directory: may do everything.
    pub local: String,
    keys: AtomicU64,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("no JSON: {} {:?}", self.status, self.text))
    }

    /// The stable code of a refusal.
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn tag(&self) -> &str {
        self.headers["etag"].to_str().expect("tags are plain")
    }
}

/// A request under construction.
pub struct Ask<'a> {
    front: &'a Front,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Front {
    pub async fn new() -> Self {
        Self::of(World::new().await)
    }

    /// The API of this server.
    pub fn of(world: World) -> Self {
        let router = server::http::of(&world.context, Cost::Least);
        let file = world.folder.path().join("data").join(server::local::TOKEN_FILE);
        let local = std::fs::read_to_string(file)
            .expect("the token is there")
            .trim_end()
            .to_owned();
        Self {
            world,
            router,
            local,
            keys: AtomicU64::new(0),
        }
    }

    /// The server alone.
    pub fn into_world(self) -> World {
        self.world
    }

    /// A request by whoever has this token; nobody has the empty one.
    pub fn ask(&self, method: Method, path: impl Into<String>, token: &str) -> Ask<'_> {
        let mut headers = vec![("host", "patchyard.example".to_owned())];
        if !token.is_empty() {
            headers.push(("authorization", format!("Bearer {token}")));
        }
        Ask {
            front: self,
            method,
            path: path.into(),
            headers,
            body: Vec::new(),
        }
    }

    pub async fn get(&self, path: impl Into<String>) -> Answer {
        self.ask(Method::GET, path, &self.local).send().await
    }

    /// A POST by the local command line, with a key of its own.
    pub async fn post(&self, path: impl Into<String>, body: Value) -> Answer {
        self.ask(Method::POST, path, &self.local)
            .key(&self.new_key())
            .json(&body)
            .send()
            .await
    }

    pub fn new_key(&self) -> String {
        format!("key-{}", self.keys.fetch_add(1, Ordering::Relaxed))
    }

    /// The path of something of the world's tenant.
    pub fn in_tenant(&self, rest: &str) -> String {
        format!("/api/v1/tenants/{}/{rest}", self.world.tenant)
    }

    /// A token with these permissions, for the whole server or for the world's tenant.
    pub async fn token(&self, at: &str, permissions: &BTreeSet<String>) -> String {
        let path = match at {
            "server" => "/api/v1/tokens".to_owned(),
            _ => self.in_tenant("tokens"),
        };
        let made = self
            .post(
                path,
                serde_json::json!({ "name": "test", "permissions": permissions }),
            )
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["secret"]
            .as_str()
            .expect("the secret is shown")
            .to_owned()
    }
}

impl Ask<'_> {
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn version(self, tag: &str) -> Self {
        self.header("if-match", tag)
    }

    pub fn json(self, body: &Value) -> Self {
        self.bytes(
            "application/json",
            serde_json::to_vec(body).expect("it serialises"),
        )
    }

    pub fn bytes(mut self, media_type: &str, body: Vec<u8>) -> Self {
        self.body = body;
        self.header("content-type", media_type)
    }

    /// Sends it, a second after the one before, so that no test runs into the limits by chance.
    pub async fn send(self) -> Answer {
        self.front.world.pass(SignedDuration::from_secs(1));
        self.send_at_once().await
    }

    pub async fn send_at_once(self) -> Answer {
        let mut request = Request::builder().method(self.method).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(self.body)).expect("a request");
        let answer = self
            .front
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("the router never fails");
        let (parts, body) = answer.into_parts();
        let bytes = body.collect().await.expect("the body is in memory").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("answers are text");
        Answer {
            status: parts.status,
            headers: parts.headers,
            text,
        }
    }
}
