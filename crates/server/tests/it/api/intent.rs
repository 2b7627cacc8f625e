//! Every change of intent leaves an audit record in the same transaction: each route that changes something leaves exactly its
//! own, and where the record cannot be written nothing of the change is left. A new route without a line here fails.

use super::Front;
use crate::rollout::rows::{self, CHANGE, DEPLOYMENT, Signed};
use crate::tamper;
use crate::world::{Agent, World};
use axum::http::Method;
use domain::id::{HostId, SourceId};
use serde_json::{Value, json};
use server::http::admin::route::Route;
use server::http::admin::routes;
use store::copy::{self, Copied};
use store::deployment::Intent;
use store::rollout_change::ChangeState;
use store::source::{self, NewSource, SourceEdit, SourceKind, SourceState};

/// The next write of a record fails, as on a full disk.
pub const NO_RECORDS: &str = "CREATE TRIGGER no_records BEFORE INSERT ON audit_records
    BEGIN SELECT RAISE(ABORT, 'no records today'); END";
pub const RECORDS_AGAIN: &str = "DROP TRIGGER no_records";

/// A request that would be done, and the records that it leaves.
struct Case {
    path: String,
    body: Value,
    tag: Option<String>,
    /// In the tenant's chain and in the server's: verb and noun.
    leaves: Vec<(Chain, &'static str, &'static str)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    Tenant,
    Server,
}

use Chain::{Server, Tenant};

/// What changes nothing that anybody decided, and why.
const EXEMPT: [(&str, &str); 6] = [
    (
        "POST /api/v1/session",
        "logging in decides nothing: the session says when and from where",
    ),
    ("POST /api/v1/session/factor", "the same"),
    ("POST /api/v1/session/end", "the same"),
    (
        "POST /api/v1/log-in-links",
        "the link is in memory alone; becoming an administrator by it is recorded",
    ),
    ("POST /api/v1/tenants/{tenant}/at-risk", "it is a question"),
    ("POST /api/v1/tenants/{tenant}/deployments/preview", "the same"),
];

/// What needs an archive to be done at all.
const ELSEWHERE: [&str; 3] = [
    "POST /api/v1/tenants/{tenant}/sources",
    "POST /api/v1/tenants/{tenant}/deployments",
    "POST /api/v1/tenants/{tenant}/deployments/{deployment}/back-out",
];

/// What is done outside the database before it can be recorded.
const DONE_BEFORE: [&str; 2] = ["POST /api/v1/backups", "POST /api/v1/storage/gc"];

fn id(made: &Value) -> String {
    made["id"].as_str().expect("an id").to_owned()
}

/// Things for requests to be about.
struct Things<'a>(&'a Front);

impl Things<'_> {
    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.0.post(path, body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text);
        match answer.text.is_empty() {
            true => Value::Null,
            false => answer.json(),
        }
    }

    async fn tag(&self, path: &str) -> Option<String> {
        Some(self.0.get(path).await.tag().to_owned())
    }

    fn here(&self, rest: &str) -> String {
        self.0.in_tenant(rest)
    }

    async fn host(&self, seed: u8) -> Agent {
        self.0.world.agent(seed).await
    }

    async fn user(&self, users: &str) -> String {
        id(&self.post(users, json!({ "name": "grace" })).await["user"])
    }

    async fn role(&self, at: &str) -> String {
        let name = match at {
            "server" => "infrastructure-administrator",
            _ => "tenant-user",
        };
        let built_in = server::app::role::built_in();
        let role = built_in.into_iter().find(|(_, called, _)| *called == name);
        role.expect("built in").0.to_string()
    }

    async fn grant(&self, users: &str, grants: &str, at: &str) -> String {
        let wanted = json!({ "user": self.user(users).await, "role": self.role(at).await });
        id(&self.post(grants, wanted).await)
    }

    async fn token(&self, tokens: &str) -> (String, Value) {
        let made = self
            .post(tokens, json!({ "name": "ci", "permissions": ["read:host"] }))
            .await;
        let inner = made.get("token").cloned().unwrap_or_else(|| made.clone());
        (id(&inner), made)
    }

    /// A source of the tenant's own that is adopted and private.
    async fn source(&self) -> String {
        let identity = json!({
            "origin": "Example", "label": "Example", "codename": "stable", "pocket": "", "keys": ["AB"],
        })
        .to_string();
        let id = SourceId([7; 16]);
        let new = NewSource {
            id,
            identity_digest: protocol::sha256(identity.as_bytes()),
            identity,
            edit: SourceEdit {
                kind: SourceKind::Apt,
                state: SourceState::Adopted,
                name: "Example stable".to_owned(),
                addresses: json!({
                    "places": [{ "uri": "https://deb.example/debian/", "suite": "stable" }], "key_files": [],
                })
                .to_string(),
                components: json!(["main"]).to_string(),
                architectures: json!(["amd64"]).to_string(),
                schedule: json!({ "every_seconds": 3600 }).to_string(),
                credentials_sealed: Some(vec![1]),
                next_sync_at: None,
            },
        };
        let (scope, now) = (self.0.world.scope(), self.0.world.now());
        let made = self
            .0
            .world
            .context
            .db
            .write(move |tx| source::create(tx, &scope, &new, now));
        assert!(made.await.expect("written"), "it is new");
        self.here(&format!("sources/{id}"))
    }

    /// A change in this state; its host.
    async fn change(&self, state: ChangeState, intent: Intent) -> HostId {
        let host = self.host(1).await.host;
        rows::a_change(&self.0.world, host, state, intent, Signed::No).await;
        host
    }

    async fn pending(&self) -> Agent {
        let mut agent = Agent::new(77);
        let secret = self
            .0
            .world
            .token(1, store::enrolment_token::Admits::Pending)
            .await;
        agent.enrol(&self.0.world, secret).await.expect("it waits");
        agent
    }
}

/// A request for this route, with everything that it is about made before.
async fn case(front: &Front, route: &str) -> Option<Case> {
    let things = Things(front);
    let site = front.world.site.to_string();
    let plain = |path: String, body: Value, leaves: (Chain, &'static str, &'static str)| Case {
        path,
        body,
        tag: None,
        leaves: vec![leaves],
    };
    let (method, path) = route.split_once(' ').expect("method and path");
    let is_here = path.starts_with("/api/v1/tenants/{tenant}/");
    let at = if is_here { Tenant } else { Server };
    let base = match is_here {
        true => things.here("").trim_end_matches('/').to_owned(),
        false => "/api/v1".to_owned(),
    };
    let users = format!("{base}/users");
    let grants = format!("{base}/grants");
    let tokens = format!("{base}/tokens");
    let rest = path
        .trim_start_matches("/api/v1/tenants/{tenant}/")
        .trim_start_matches("/api/v1/");
    let found = match (method, rest) {
        ("POST", "backups") => plain(
            path.to_owned(),
            json!({ "name": "first" }),
            (at, "run", "storage"),
        ),
        ("POST", "storage/gc") => plain(
            path.to_owned(),
            json!({ "dry_run": true }),
            (at, "run", "storage"),
        ),
        ("POST", "tenants") => plain(
            path.to_owned(),
            json!({ "name": "new" }),
            (at, "create", "tenant"),
        ),
        ("PATCH", "tenants/{tenant}") => {
            let path = format!("/api/v1/tenants/{}", front.world.tenant);
            Case {
                tag: things.tag(&path).await,
                path,
                body: json!({ "state": "suspended" }),
                leaves: vec![(Tenant, "change", "tenant")],
            }
        }
        ("POST", "remove") => {
            let tenant = format!("/api/v1/tenants/{}", front.world.tenant);
            let tag = things.tag(&tenant).await.expect("a tag");
            let suspend = front
                .ask(Method::PATCH, &tenant, &front.local)
                .version(&tag)
                .json(&json!({ "state": "suspended" }));
            assert_eq!(suspend.send().await.status, 200);
            crate::audit::seal(&front.world).await;
            let export = front.get(format!("{tenant}/export")).await;
            let last: Value = serde_json::from_str(export.text.lines().last().expect("lines")).expect("JSON");
            let body = json!({ "name": "main", "exported": last["end"]["chain_hash"] });
            plain(format!("{tenant}/remove"), body, (Server, "remove", "tenant"))
        }
        ("POST", "authority/prepare") => plain(path.to_owned(), json!({}), (at, "change", "authority")),
        ("POST", "authority/switch") => {
            let next = things.post("/api/v1/authority/prepare", json!({})).await;
            plain(
                path.to_owned(),
                json!({ "to": next["digest"] }),
                (at, "change", "authority"),
            )
        }
        ("POST", "authority/retire") => {
            let next = things.post("/api/v1/authority/prepare", json!({})).await;
            let to = json!({ "to": next["digest"] });
            things.post("/api/v1/authority/switch", to).await;
            plain(path.to_owned(), json!({}), (at, "change", "authority"))
        }
        ("POST", "users") => plain(users, json!({ "name": "grace" }), (at, "create", "user")),
        ("PATCH", "users/{user}") => {
            let path = format!("{users}/{}", things.user(&users).await);
            Case {
                tag: things.tag(&path).await,
                path,
                body: json!({ "display_name": "Grace" }),
                leaves: vec![(at, "change", "user")],
            }
        }
        ("POST", "users/{user}/invite") => {
            let path = format!("{users}/{}/invite", things.user(&users).await);
            plain(path, json!({}), (at, "change", "user"))
        }
        ("POST", "users/{user}/person") => {
            let path = format!("{users}/{}/person", things.user(&users).await);
            plain(path, json!({ "name": "grace" }), (at, "remove", "user"))
        }
        ("POST", "grants") => {
            let where_ = if is_here { "tenant" } else { "server" };
            let wanted = json!({ "user": things.user(&users).await, "role": things.role(where_).await });
            plain(grants, wanted, (at, "create", "role"))
        }
        ("POST", "grants/{grant}/take-back") => {
            let where_ = if is_here { "tenant" } else { "server" };
            let grant = things.grant(&users, &grants, where_).await;
            plain(
                format!("{grants}/{grant}/take-back"),
                json!({}),
                (at, "remove", "role"),
            )
        }
        ("POST", "tokens") => {
            let body = json!({ "name": "ci", "permissions": ["read:host"] });
            plain(tokens, body, (at, "create", "token"))
        }
        ("DELETE", "tokens/{token}") => {
            let (token, _) = things.token(&tokens).await;
            Case {
                path: format!("{tokens}/{token}"),
                body: json!({}),
                tag: Some("\"v1\"".to_owned()),
                leaves: vec![(at, "remove", "token")],
            }
        }
        ("POST", "roles") => {
            let body = json!({ "name": "own", "permissions": ["read:host"] });
            plain(things.here("roles"), body, (at, "create", "role"))
        }
        ("PATCH", "roles/{role}") => {
            let body = json!({ "name": "own", "permissions": ["read:host"] });
            let role = id(&things.post(&things.here("roles"), body).await);
            let path = things.here(&format!("roles/{role}"));
            Case {
                tag: things.tag(&path).await,
                path,
                body: json!({ "name": "own", "permissions": ["read:site"] }),
                leaves: vec![(at, "change", "role")],
            }
        }
        ("POST", "sites") => plain(
            things.here("sites"),
            json!({ "name": "north" }),
            (at, "create", "site"),
        ),
        ("PATCH" | "DELETE", "sites/{site}") => {
            let north = id(&things
                .post(&things.here("sites"), json!({ "name": "north" }))
                .await);
            let path = things.here(&format!("sites/{north}"));
            let (body, verb) = match method {
                "PATCH" => (json!({ "name": "south" }), "change"),
                _ => (json!({}), "remove"),
            };
            Case {
                tag: things.tag(&path).await,
                path,
                body,
                leaves: vec![(at, verb, "site")],
            }
        }
        ("POST", "enrolment-tokens") => {
            let path = things.here("enrolment-tokens");
            plain(path, json!({ "site": site }), (at, "create", "enrolment-token"))
        }
        ("DELETE", "enrolment-tokens/{token}") => {
            let path = things.here("enrolment-tokens");
            let made = things.post(&path, json!({ "site": site })).await;
            let token = id(&made.get("token").cloned().unwrap_or(made));
            Case {
                path: format!("{path}/{token}"),
                body: json!({}),
                tag: Some("\"v1\"".to_owned()),
                leaves: vec![(at, "remove", "enrolment-token")],
            }
        }
        ("PATCH" | "DELETE", "hosts/{host}") => {
            let path = things.here(&format!("hosts/{}", things.host(1).await.host));
            let (body, verb) = match method {
                "PATCH" => (json!({ "name": "web", "tags": ["web"] }), "change"),
                _ => (json!({}), "remove"),
            };
            Case {
                tag: things.tag(&path).await,
                path,
                body,
                leaves: vec![(at, verb, "host")],
            }
        }
        ("POST", "hosts/{host}/approve") => {
            let path = things.here(&format!("hosts/{}/approve", things.pending().await.host));
            plain(path, json!({}), (at, "approve", "host"))
        }
        ("POST", "hosts/{host}/re-enrol") => {
            let path = things.here(&format!("hosts/{}/re-enrol", things.host(1).await.host));
            plain(path, json!({}), (at, "change", "host"))
        }
        ("POST", "hosts/{host}/merge") => {
            let (host, former) = (things.host(1).await.host, things.host(2).await.host);
            let path = things.here(&format!("hosts/{host}/merge"));
            plain(
                path,
                json!({ "former": former.to_string() }),
                (at, "change", "host"),
            )
        }
        ("POST", "changes/{change}/stop") => {
            things.change(ChangeState::Running, Intent::Planned).await;
            let path = things.here(&format!("changes/{CHANGE}/stop"));
            plain(path, json!({}), (at, "change", "change"))
        }
        ("POST", "changes/{change}/resume") => {
            things.change(ChangeState::Stopped, Intent::Planned).await;
            let path = things.here(&format!("changes/{CHANGE}/resume"));
            plain(path, json!({}), (at, "change", "change"))
        }
        ("POST", "changes/{change}/signatures") => {
            let host = things.change(ChangeState::Running, Intent::Planned).await;
            let path = things.here(&format!("changes/{CHANGE}/signatures"));
            let body = rows::signature(&front.world, host);
            plain(path, body, (at, "approve", "change"))
        }
        ("POST", "deployments/{deployment}/cancel") => {
            things.change(ChangeState::Running, Intent::Planned).await;
            let path = things.here(&format!("deployments/{DEPLOYMENT}/cancel"));
            plain(path, json!({}), (at, "change", "change"))
        }
        ("POST", "deployments/{deployment}/retry") => {
            things.change(ChangeState::Running, Intent::Cancelled).await;
            let path = things.here(&format!("deployments/{DEPLOYMENT}/retry"));
            plain(path, json!({}), (at, "change", "change"))
        }
        ("PATCH", "approval-policy") => {
            let path = things.here("approval-policy");
            Case {
                tag: things.tag(&path).await,
                path,
                body: json!({ "approvers": [], "needed": 0 }),
                leaves: vec![(at, "change", "change")],
            }
        }
        ("PATCH", "sources/{source}") => {
            let path = things.source().await;
            Case {
                tag: things.tag(&path).await,
                path,
                body: json!({ "state": "paused" }),
                leaves: vec![(at, "approve", "source")],
            }
        }
        ("PATCH" | "DELETE", "sources/{source}/access") => {
            let path = things.source().await;
            let body = match method {
                "PATCH" => json!({ "username": "ci", "password": "secret" }),
                _ => json!({}),
            };
            Case {
                tag: things.tag(&path).await,
                path: format!("{path}/access"),
                body,
                leaves: vec![(at, "change", "source")],
            }
        }
        ("POST", "sources/{source}/sync") => {
            let path = format!("{}/sync", things.source().await);
            plain(path, json!({}), (at, "run", "source"))
        }
        ("POST", "sources/{source}/adopt-for-everybody") => {
            let path = format!("{}/adopt-for-everybody", things.source().await);
            plain(path, json!({}), (Server, "approve", "source"))
        }
        ("POST", "hosts/{host}/move") => {
            let other = id(&things.post("/api/v1/tenants", json!({ "name": "other" })).await);
            let sites = format!("/api/v1/tenants/{other}/sites");
            let there = id(&things.post(&sites, json!({ "name": "there" })).await);
            let path = things.here(&format!("hosts/{}/move", things.host(1).await.host));
            plain(
                path,
                json!({ "tenant": other, "site": there }),
                (at, "change", "host"),
            )
        }
        _ => return None,
    };
    Some(found)
}

async fn records(front: &Front) -> Vec<(Chain, String, String)> {
    let mut all = Vec::new();
    for (chain, path) in [
        (Tenant, front.in_tenant("audit-records")),
        (Server, "/api/v1/audit-records".to_owned()),
    ] {
        let answer = front.get(format!("{path}?limit=1000")).await;
        if answer.status == 404 {
            continue;
        }
        let list = answer.json();
        for record in list["items"].as_array().expect("items") {
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            all.push((chain, text("action"), text("noun")));
        }
    }
    all
}

async fn everything(world: &World) -> Vec<Copied> {
    copy::verify(&world.context.db).await.expect("digests")
}

/// The tables that two looks at a database differ in.
fn differing(before: &[Copied], after: &[Copied]) -> Vec<String> {
    let pairs = before.iter().zip(after);
    pairs
        .filter(|(before, after)| before != after)
        .map(|(before, _)| before.table.clone())
        .collect()
}

fn named(route: &Route) -> String {
    format!("{} {}", route.method(), route.path())
}

async fn send(front: &Front, route: &Route, case: &Case) -> super::Answer {
    let mut ask = front.ask(route.method().clone(), &case.path, &front.local);
    if route.is_keyed() {
        ask = ask.key(&front.new_key());
    }
    if let Some(tag) = &case.tag {
        ask = ask.version(tag);
    }
    ask.json(&case.body).send().await
}

#[tokio::test]
async fn every_route_that_changes_something_leaves_its_record_or_nothing() {
    let mut tried = 0;
    for route in routes()
        .into_iter()
        .filter(|route| *route.method() != Method::GET)
    {
        let name = named(&route);
        if EXEMPT.iter().any(|(exempt, _)| *exempt == name) {
            continue;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let front = Front::of(World::in_folder(folder.path()).await);
        let case = match (case(&front, &name).await, ELSEWHERE.contains(&name.as_str())) {
            (Some(case), _) => case,
            (None, true) => continue,
            (None, false) => panic!("{name} changes something: say in this test what it leaves"),
        };
        let before = (
            everything(&front.world).await,
            front.world.context.authority.roots_shown(),
        );
        tamper::run(folder.path(), NO_RECORDS).await;
        let refused = send(&front, &route, &case).await;
        assert!(refused.status.is_server_error(), "{name}: {}", refused.text);
        tamper::run(folder.path(), RECORDS_AGAIN).await;
        if !DONE_BEFORE.contains(&name.as_str()) {
            let left = differing(&before.0, &everything(&front.world).await);
            assert_eq!(left, [""; 0], "{name} without its record is not done");
            assert_eq!(front.world.context.authority.roots_shown(), before.1, "{name}");
        }
        let case = match name.as_str() {
            // The name of the one that was begun is taken.
            "POST /api/v1/backups" => Case {
                body: json!({ "name": "second" }),
                ..case
            },
            _ => case,
        };
        let earlier = records(&front).await;
        let done = send(&front, &route, &case).await;
        assert!(done.status.is_success(), "{name}: {} {}", done.status, done.text);
        let mut new = records(&front).await;
        for record in &earlier {
            if let Some(at) = new.iter().position(|found| found == record) {
                new.remove(at);
            }
        }
        let wanted = case
            .leaves
            .iter()
            .map(|(chain, verb, noun)| (*chain, (*verb).to_owned(), (*noun).to_owned()));
        assert!(
            new.iter().cloned().eq(wanted),
            "{name} left {} records: {:?}",
            new.len(),
            shown(&new)
        );
        tried += 1;
    }
    assert!(tried > 30, "{tried} routes tried");
}

fn shown(records: &[(Chain, String, String)]) -> Vec<String> {
    records
        .iter()
        .map(|(_, verb, noun)| format!("{verb}:{noun}"))
        .collect()
}
