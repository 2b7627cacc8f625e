//! Sources over the API: added by hand, private ones opened and closed, and nothing of what opens them ever seen again.

use super::{Answer, Front};
use axum::http::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use testkit::archive::Archive;
use testkit::archive::package::Package;
use testkit::keys::SigningKey;
use testkit::server::private::Certificates;
use testkit::server::{Private, Server};

const PASSWORD: &str = "f0rty-two w0mbats";

/// An archive that is published and nobody uses yet.
struct Published {
    key: SigningKey,
    folder: PathBuf,
}

impl Published {
    fn new(front: &Front) -> Self {
        let key = SigningKey::ed25519("Private <private@archive.example>");
        let folder = front.world.folder.path().join("served");
        std::fs::create_dir_all(&folder).expect("a folder");
        Archive::new("stable")
            .origin("Private")
            .arch("amd64")
            .date(front.world.now() - SignedDuration::from_mins(1))
            .sign(&key)
            .packages([Package::new("hello", "1.0-2")])
            .write_to(&folder)
            .expect("an archive");
        Self { key, folder }
    }

    fn request(&self, server: &Server) -> Value {
        json!({
            "uri": server.uri(),
            "suite": "stable",
            "components": ["main"],
            "architectures": ["amd64"],
            "key": self.key.armored(),
        })
    }
}

fn opening(private: &Private) -> Value {
    json!({
        "username": "ada",
        "password": PASSWORD,
        "client_certificate": private.certificate_pem,
        "client_key": private.key_pem,
        "authorities": private.authority_pem,
    })
}

/// What came of the last sync of the only source.
async fn synced(front: &Front) -> (String, String) {
    front.world.run("sync").await;
    let source = only(front).await;
    let outcome = &source["last_outcome"];
    let text = |name: &str| outcome[name].as_str().unwrap_or_default().to_owned();
    (text("what"), text("detail"))
}

async fn only(front: &Front) -> Value {
    let list = front.get(front.in_tenant("sources")).await.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    list["items"][0].clone()
}

fn field_of(answer: &Answer) -> String {
    assert_eq!(answer.code(), "invalid-value", "{}", answer.text);
    answer.json()["fields"][0]["field"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_added_by_hand_once_its_release_file_is_verified_and_only_then() {
    let front = Front::new().await;
    let published = Published::new(&front);
    let server = Server::start(&published.folder).expect("a server");
    let sources = front.in_tenant("sources");
    let good = published.request(&server);
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body
    };
    let stranger = SigningKey::ed25519("Stranger <stranger@archive.example>");
    for (body, field) in [
        (with("key", json!(stranger.armored())), "/uri"),
        (with("key", json!("no key at all")), "/key"),
        (with("suite", json!("unstable")), "/uri"),
        (with("suite", json!("../stable")), "/suite"),
        (with("uri", json!("ftp://archive.example/")), "/uri"),
        (with("uri", json!("file:///etc/")), "/uri"),
        (with("uri", json!("https://ada:pw@archive.example/")), "/uri"),
        (with("components", json!([])), "/components"),
        (with("components", json!(["main", "a b"])), "/components"),
    ] {
        assert_eq!(
            field_of(&front.post(&sources, body.clone()).await),
            field,
            "{body}"
        );
    }
    assert!(front.get(&sources).await.json()["items"] == json!([]));

    let ask = || {
        front
            .ask(Method::POST, &sources, &front.local)
            .key("one")
            .json(&good)
    };
    let made = ask().send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    let source = made.json();
    assert_eq!(
        (&source["state"], &source["origin"], &source["fetched_by"]),
        (&json!("adopted"), &json!("Private"), &json!("server"))
    );
    assert_eq!(ask().send().await.json(), source, "the same request is done once");
    let again = front.post(&sources, good.clone()).await;
    assert_eq!(again.code(), "wrong-state", "{}", again.text);

    assert_eq!(synced(&front).await.0, "adopted");
    let id = source["id"].as_str().expect("an id");
    let snapshots = front
        .get(front.in_tenant(&format!("sources/{id}/snapshots")))
        .await;
    assert_eq!(
        snapshots.json()["items"][0]["release"]["suite"],
        "stable",
        "{}",
        snapshots.text
    );
    let updates = front.get(front.in_tenant("updates")).await;
    assert_eq!(updates.json()["items"][0]["source"], "hello", "{}", updates.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_source_is_opened_closed_and_opened_anew() {
    let front = Front::new().await;
    let published = Published::new(&front);
    let private = Private::new(Certificates::Asked)
        .expect("certificates")
        .with_login("ada", PASSWORD);
    let server = Server::start_private(&published.folder, &private).expect("a server");
    let sources = front.in_tenant("sources");
    let mut body = published.request(&server);
    assert_eq!(
        field_of(&front.post(&sources, body.clone()).await),
        "/uri",
        "closed"
    );
    body["access"] = opening(&private);
    let made = front.post(&sources, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["has_credentials"], true);
    assert_eq!(synced(&front).await.0, "adopted");

    let path = format!("{sources}/{}/access", made.json()["id"].as_str().expect("an id"));
    let tag = |version: &Value| format!("\"v{version}\"");
    let mut wrong = opening(&private);
    wrong["password"] = json!("of yesterday");
    let set = async |body: &Value| {
        let now = only(&front).await;
        let ask = front.ask(Method::PATCH, &path, &front.local);
        ask.version(&tag(&now["version"])).json(body).send().await
    };
    assert_eq!(set(&wrong).await.status, 200);
    let (what, detail) = synced(&front).await;
    assert!(what == "failed" && detail.contains("401"), "{what}: {detail}");

    for (body, field) in [
        (json!({}), "/username"),
        (json!({ "username": "ada" }), "/password"),
        (
            json!({ "client_certificate": private.certificate_pem }),
            "/client_key",
        ),
        (json!({ "authorities": "none" }), "/access"),
        (
            json!({ "uri": "https://evil.example/", "username": "ada", "password": "x" }),
            "/uri",
        ),
    ] {
        assert_eq!(field_of(&set(&body).await), field, "{body}");
    }
    assert_eq!(set(&opening(&private)).await.status, 200);
    assert_eq!(synced(&front).await.0, "unchanged");

    let now = only(&front).await;
    let old = front.ask(Method::DELETE, &path, &front.local).version("\"v1\"");
    assert_eq!(old.send().await.code(), "changed-meanwhile");
    let gone = front.ask(Method::DELETE, &path, &front.local);
    assert_eq!(gone.version(&tag(&now["version"])).send().await.status, 204);
    assert_eq!(only(&front).await["has_credentials"], false);
    front.world.ask_for_sync().await;
    assert_eq!(synced(&front).await.0, "failed", "closed again");
}

/// Every file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_opens_a_source_is_in_no_answer_and_in_no_file_of_the_server() {
    let front = Front::new().await;
    let published = Published::new(&front);
    let private = Private::new(Certificates::Asked)
        .expect("certificates")
        .with_login("ada", PASSWORD);
    let server = Server::start_private(&published.folder, &private).expect("a server");
    let mut body = published.request(&server);
    body["access"] = opening(&private);
    let made = front.post(front.in_tenant("sources"), body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    synced(&front).await;
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let key_line = private.key_pem.lines().nth(1).expect("a line of the key");
    let secrets = [PASSWORD, "of yesterday", key_line];
    for path in [
        front.in_tenant("sources"),
        front.in_tenant(&format!("sources/{id}")),
        front.in_tenant(&format!("sources/{id}/snapshots")),
        front.in_tenant("audit-records"),
        "/api/v1/doctor".to_owned(),
        "/metrics".to_owned(),
    ] {
        for accept in ["application/json", "text/csv"] {
            let ask = front
                .ask(Method::GET, &path, &front.local)
                .header("accept", accept);
            let answer = ask.send().await;
            assert!(
                !secrets.iter().any(|secret| answer.text.contains(secret)),
                "{path}"
            );
        }
    }
    let records = front
        .get(front.in_tenant("audit-records?noun=source"))
        .await
        .json();
    let facts = records["items"][0].to_string();
    assert!(facts.contains("\"login\":true"), "{facts}");

    let mut all = Vec::new();
    files(&front.world.folder.path().join("data"), &mut all);
    assert!(all.len() > 5, "{all:?}");
    for file in all {
        let bytes = std::fs::read(&file).expect("a file");
        for secret in secrets {
            let is_in = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!is_in, "{} holds a secret", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_only_hosts_reach_is_carried_by_their_agents_once_a_person_says_so() {
    let front = Front::new().await;
    let published = Published::new(&front);
    let server = Server::start(&published.folder).expect("a server");
    let made = front
        .post(front.in_tenant("sources"), published.request(&server))
        .await;
    let path = front.in_tenant(&format!("sources/{}", made.json()["id"].as_str().expect("an id")));
    let edit = async |body: Value| {
        let now = only(&front).await;
        let ask = front.ask(Method::PATCH, &path, &front.local);
        ask.version(&format!("\"v{}\"", now["version"]))
            .json(&body)
            .send()
            .await
    };
    let carried = edit(json!({ "fetched_by": "agents", "every_seconds": 600 })).await;
    assert_eq!(carried.status, 200, "{}", carried.text);
    assert_eq!(carried.json()["fetched_by"], "agents");
    assert_eq!(carried.json()["every_seconds"], 600);
    let asked = server::catalog::carry::to_carry(&front.world.context, front.world.scope()).await;
    assert_eq!(asked.expect("an answer").len(), 1);
    assert_eq!(
        synced(&front).await.0,
        "failed",
        "nobody has carried anything yet"
    );
    let back = edit(json!({ "fetched_by": "server" })).await;
    assert_eq!(back.json()["fetched_by"], "server");
    assert_eq!(synced(&front).await.0, "adopted");
    for wrong in [
        json!({ "every_seconds": 299 }),
        json!({ "every_seconds": 604_801 }),
    ] {
        assert_eq!(field_of(&edit(wrong).await), "/every_seconds");
    }
}
