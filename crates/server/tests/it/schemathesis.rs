//! The API held against its own document by somebody else: Schemathesis makes requests from docs/openapi.json, right ones and
//! wrong ones, and judges every answer of a real server on a real socket by it.

use crate::world::{add_tenant, settings};
use axum::body::Body;
use axum::http::{Method, Request};
use domain::id::{HostId, SiteId, TenantId};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use server::Context;
use server::app::password::Cost;
use server::http::admin::{self, Api};
use server::start::Server;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use store::Scope;
use store::host::{HostMode, HostState, NewHost};
use testkit::skip::{cases, skip};
use tower::ServiceExt;

const TENANT: TenantId = TenantId([1; 16]);
const SITE: SiteId = SiteId([2; 16]);
const HOST: HostId = HostId([3; 16]);

/// Where scripts/setup.sh puts it, or where a person has it.
#[expect(
    clippy::disallowed_methods,
    reason = "where programs and caches are is said by the environment"
)]
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let own = cache.map(|cache| cache.join("patchyard/schemathesis/bin"));
    own.into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join("schemathesis"))
        .find(|file| file.is_file())
}

/// An administrator's token: everything that a token can be allowed.
async fn administrators_token(context: &Context, data: &Path) -> String {
    let router = admin::router(Api::new(context, Cost::Least));
    let local = std::fs::read_to_string(data.join(server::local::TOKEN_FILE)).expect("the local token");
    let ask = async |method: Method, path: &str, body: Value| -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", local.trim_end()))
            .header("idempotency-key", "administrator")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request");
        let answer = router
            .clone()
            .oneshot(request)
            .await
            .expect("the router never fails");
        let bytes = answer.into_body().collect().await.expect("a body").to_bytes();
        serde_json::from_slice(&bytes).expect("JSON")
    };
    let all = ask(Method::GET, "/api/v1/permissions", json!({})).await;
    let all: Vec<&Value> = all["items"]
        .as_array()
        .expect("permissions")
        .iter()
        .map(|row| &row["permission"])
        .collect();
    let body = json!({ "name": "administrator", "permissions": all });
    let made = ask(Method::POST, "/api/v1/tokens", body).await;
    made["secret"]
        .as_str()
        .unwrap_or_else(|| panic!("{made}"))
        .to_owned()
}

async fn add_host(context: &Context) {
    let now = context.clock.now();
    let new = NewHost {
        id: HOST,
        name: "web3".to_owned(),
        site: SITE,
        state: HostState::Active,
        mode: HostMode::Monitor,
        agent_version: "0.1.0".to_owned(),
        machine: None,
        moved_from: None,
        copy_of: None,
    };
    let added = context
        .db
        .write(move |tx| store::host::create(tx, &Scope::of_tenant(TENANT), &new, now).map(drop));
    added.await.expect("the host is new");
}

/// The program's settings, with the ids of what is there.
fn write_config(folder: &Path, tests: &Path) -> PathBuf {
    let file = folder.join("schemathesis.toml");
    let hooks = tests.join("hooks.py");
    let checks = std::fs::read_to_string(tests.join("checks.toml")).expect("the checks");
    let text = format!(
        "hooks = {:?}\n\n[parameters]\n\"path.tenant\" = \"{TENANT}\"\n\"path.site\" = \"{SITE}\"\n\
         \"path.host\" = \"{HOST}\"\n\n{checks}",
        hooks.display().to_string()
    );
    std::fs::write(&file, text).expect("a file");
    file
}

/// `PATCHYARD_API_SECONDS` says how long it goes on; CI takes 75, and by hand an hour is no waste.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_no_answer_that_the_document_does_not_promise() {
    let Some(program) = program() else {
        skip(&"there is no schemathesis: scripts/setup.sh test installs it");
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut settings = settings(folder.path());
    settings.file.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let data = settings.data.clone();
    let running = Server::start(settings).await.expect("the server starts");
    let context = running.context().clone();
    add_tenant(&context, TENANT, SITE, "main").await;
    add_host(&context).await;
    let token = administrators_token(&context, &data).await;
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = write_config(folder.path(), &crate_folder.join("tests/it/schemathesis"));
    let root = folder.path().join("root.pem");
    std::fs::write(&root, context.authority.root_pem()).expect("a file");
    let seconds = cases("PATCHYARD_API_SECONDS", 40, 75);
    let mut command = Command::new(program);
    command
        .current_dir(folder.path())
        .arg("--config-file")
        .arg(config)
        .arg("run")
        .arg(crate_folder.join("../../docs/openapi.json"))
        .args([
            "--url",
            &format!("https://localhost:{}", running.address().port()),
        ])
        .arg("--tls-verify")
        .arg(root)
        .args(["-H", &format!("Authorization: Bearer {token}")])
        .args(["--checks", "all", "--phases", "examples,coverage,fuzzing"])
        // It takes 429 for a hole, and asks faster without credentials than strangers may. That every route wants credentials
        // is the promise of api::rules.
        .args(["--exclude-checks", "ignored_auth"])
        // Within the share of one caller: what is above it is answered with 429, which is looked at elsewhere.
        .args([
            "--rate-limit",
            "48/s",
            "--max-examples",
            "20",
            "--no-shrink",
            "--seed",
            "1",
        ])
        // A machine that is busy with other tests may not get through a handshake in time.
        .args(["--request-retries", "3"])
        .args(["--max-time", &seconds.to_string()]);
    let running_it = tokio::task::spawn_blocking(move || command.output());
    let output = running_it.await.expect("it ends").expect("it starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr).into_owned();
    running.stop().await.expect("the server stops");
    assert!(output.status.success(), "{told}\n{wrong}");
    assert!(told.contains("Tested:"), "it tested nothing:\n{told}\n{wrong}");
}
