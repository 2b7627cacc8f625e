//! What keeps people and tenants safe from each other and from mistakes: the last administrator, invitations, suspended and
//! removed tenants, what is kept of a person, when a token was used.

use super::people::{PASSWORD, code, field, first_administrator, form, session};
use super::{Answer, Front};
use crate::audit::seal;
use crate::tamper;
use crate::world::{World, add_tenant, kind};
use axum::http::Method;
use domain::id::{SiteId, TenantId};
use jiff::SignedDuration;
use protocol::message::refused::RefusalKind;
use serde_json::{Value, json};
use store::copy;

fn text(value: &Value, name: &str) -> String {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
        .to_owned()
}

async fn ask(front: &Front, method: Method, path: &str, tag: Option<&str>, body: Value) -> Answer {
    let mut ask = front.ask(method, path, &front.local).key(&front.new_key());
    if let Some(tag) = tag {
        ask = ask.version(tag);
    }
    ask.json(&body).send().await
}

#[tokio::test]
async fn the_last_administrator_is_neither_disabled_nor_erased_nor_robbed_of_the_role() {
    let front = Front::new().await;
    first_administrator(&front).await;
    let user = front.get("/api/v1/users").await.json()["items"][0].clone();
    let (id, path) = (text(&user, "id"), format!("/api/v1/users/{}", text(&user, "id")));
    let grants = front.get(format!("{path}/grants")).await.json();
    let take_back = |grant: &Value| format!("/api/v1/grants/{}/take-back", text(grant, "id"));
    let tries = async || {
        let tag = front.get(&path).await.tag().to_owned();
        [
            ask(
                &front,
                Method::PATCH,
                &path,
                Some(&tag),
                json!({ "state": "disabled" }),
            )
            .await,
            ask(
                &front,
                Method::POST,
                &format!("{path}/person"),
                None,
                json!({ "name": "ada" }),
            )
            .await,
            ask(
                &front,
                Method::POST,
                &take_back(&grants["items"][0]),
                None,
                json!({}),
            )
            .await,
        ]
    };
    for refused in tries().await {
        assert_eq!(refused.code(), "wrong-state", "{}", refused.text);
    }
    // Somebody who is only invited cannot log in, and is no administrator yet.
    let second = front
        .post("/api/v1/users", json!({ "name": "grace" }))
        .await
        .json();
    let role = text(&grants["items"][0], "role");
    let grace = text(&second["user"], "id");
    let given = front
        .post("/api/v1/grants", json!({ "user": grace, "role": role }))
        .await;
    assert_eq!(given.status, 201, "{}", given.text);
    for refused in tries().await {
        assert_eq!(refused.code(), "wrong-state", "{}", refused.text);
    }
    let invitation = text(&second, "invitation");
    let welcome = form(
        &front,
        &format!("invitation={invitation}&password=four+words+by+chance"),
    )
    .await;
    assert_eq!(welcome.status, 200, "{}", welcome.text);
    let taken = ask(
        &front,
        Method::POST,
        &take_back(&grants["items"][0]),
        None,
        json!({}),
    )
    .await;
    assert_eq!(taken.status, 204, "{}", taken.text);
    let left = front.get(format!("/api/v1/users/{id}/grants")).await.json();
    assert_eq!(left["items"], json!([]));
    let hers = front.get(format!("/api/v1/users/{grace}/grants")).await.json();
    let refused = ask(
        &front,
        Method::POST,
        &take_back(&hers["items"][0]),
        None,
        json!({}),
    )
    .await;
    assert_eq!(
        refused.code(),
        "wrong-state",
        "now she is the last: {}",
        refused.text
    );
}

#[tokio::test]
async fn nobody_takes_back_a_grant_of_the_whole_server_that_is_more_than_he_has() {
    let front = Front::new().await;
    first_administrator(&front).await;
    let manager = front
        .token("server", &["change:role", "read:role"].map(String::from).into())
        .await;
    let user = front.get("/api/v1/users").await.json()["items"][0].clone();
    let grants = front
        .get(format!("/api/v1/users/{}/grants", text(&user, "id")))
        .await
        .json();
    let path = format!("/api/v1/grants/{}/take-back", text(&grants["items"][0], "id"));
    let refused = front
        .ask(Method::POST, path, &manager)
        .key("k")
        .json(&json!({}))
        .send()
        .await;
    assert_eq!(refused.code(), "not-allowed", "{}", refused.text);
}

#[tokio::test]
async fn a_new_invitation_ends_the_older_ones() {
    let front = Front::new().await;
    let made = front
        .post(front.in_tenant("users"), json!({ "name": "grace" }))
        .await
        .json();
    let user = text(&made["user"], "id");
    let again = front
        .post(front.in_tenant(&format!("users/{user}/invite")), json!({}))
        .await
        .json();
    let accept = async |invitation: &str| {
        form(
            &front,
            &format!("invitation={invitation}&password=four+words+by+chance"),
        )
        .await
        .status
        .as_u16()
    };
    assert_eq!(
        accept(&text(&made, "invitation")).await,
        410,
        "somebody may still have it"
    );
    assert_eq!(accept(&text(&again, "invitation")).await, 200);
    let records = front.get(front.in_tenant("audit-records?noun=user")).await.json();
    assert_eq!(records["items"].as_array().map(Vec::len), Some(3), "{records}");
    let own = front.get("/api/v1/audit-records").await.json();
    assert_eq!(
        own["items"],
        json!([]),
        "what a tenant's person does is in the tenant's chain"
    );
}

#[tokio::test]
async fn the_use_of_a_token_is_noted_once_a_minute() {
    let front = Front::new().await;
    let token = front.token("tenant", &["read:host".to_owned()].into()).await;
    let used = async || {
        let list = front.get(front.in_tenant("tokens")).await.json();
        list["items"][0]["used_at"].as_str().map(str::to_owned)
    };
    let hosts = async || {
        let answer = front
            .ask(Method::GET, front.in_tenant("hosts"), &token)
            .send_at_once()
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    assert_eq!(used().await, None);
    hosts().await;
    let first = used().await;
    assert_eq!(
        first,
        Some(
            front
                .world
                .now()
                .checked_sub(SignedDuration::from_secs(1))
                .expect("a time")
                .to_string()
        )
    );
    front.world.pass(SignedDuration::from_secs(50));
    hosts().await;
    assert_eq!(used().await, first, "not again within the minute");
    front.world.pass(SignedDuration::from_secs(10));
    hosts().await;
    assert_ne!(used().await, first);
}

#[tokio::test]
async fn a_suspended_tenant_is_served_to_nobody_but_those_of_the_whole_server() {
    let front = Front::new().await;
    let own = front.token("tenant", &["read:host".to_owned()].into()).await;
    let tenant = format!("/api/v1/tenants/{}", front.world.tenant);
    let hosts = async |token: &str| {
        front
            .ask(Method::GET, front.in_tenant("hosts"), token)
            .send()
            .await
    };
    assert_eq!(hosts(&own).await.status, 200);
    let tag = front.get(&tenant).await.tag().to_owned();
    let suspended = ask(
        &front,
        Method::PATCH,
        &tenant,
        Some(&tag),
        json!({ "state": "suspended" }),
    )
    .await;
    assert_eq!(suspended.status, 200, "{}", suspended.text);
    assert_eq!(hosts(&own).await.code(), "wrong-state");
    assert_eq!(hosts(&front.local).await.status, 200);
    let tag = suspended.tag().to_owned();
    let removed = ask(
        &front,
        Method::PATCH,
        &tenant,
        Some(&tag),
        json!({ "state": "removed" }),
    )
    .await;
    assert_eq!(removed.code(), "invalid-value", "no way around the export");
}

/// Lines of an export, and its last one.
async fn export(front: &Front) -> (Vec<Value>, Value) {
    let answer = front
        .get(format!("/api/v1/tenants/{}/export", front.world.tenant))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let mut lines: Vec<Value> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .collect();
    let end = lines.pop().expect("a last line")["end"].clone();
    (lines, end)
}

#[tokio::test]
async fn a_tenant_goes_after_its_export_by_its_name_with_everything_but_the_end_of_its_chain() {
    let front = Front::new().await;
    let other = TenantId([9; 16]);
    add_tenant(&front.world.context, other, SiteId([9; 16]), "other").await;
    let mut agent = front.world.agent(1).await;
    let made = front
        .post(front.in_tenant("users"), json!({ "name": "grace" }))
        .await
        .json();
    let token = front.token("tenant", &["read:host".to_owned()].into()).await;
    let tenant = format!("/api/v1/tenants/{}", front.world.tenant);
    let remove = async |name: &str, exported: &Value| {
        let body = json!({ "name": name, "exported": exported });
        front.post(format!("{tenant}/remove"), body).await
    };
    seal(&front.world).await;
    let (_, early) = export(&front).await;
    assert_eq!(
        remove("main", &early["chain_hash"]).await.code(),
        "wrong-state",
        "it is served"
    );
    let tag = front.get(&tenant).await.tag().to_owned();
    ask(
        &front,
        Method::PATCH,
        &tenant,
        Some(&tag),
        json!({ "state": "suspended" }),
    )
    .await;
    assert_eq!(
        remove("main", &early["chain_hash"]).await.code(),
        "wrong-state",
        "not sealed yet"
    );
    seal(&front.world).await;
    assert_eq!(
        remove("main", &early["chain_hash"]).await.code(),
        "wrong-state",
        "an older export"
    );
    let (lines, end) = export(&front).await;
    assert_eq!(
        remove("Main", &end["chain_hash"]).await.code(),
        "invalid-value",
        "another name"
    );
    let others = copy::of_tenant(&front.world.context.db, &store::Scope::of_tenant(other))
        .await
        .expect("digests");

    let removed = remove("main", &end["chain_hash"]).await;
    assert_eq!(removed.status, 200, "{}", removed.text);
    assert_eq!(removed.json()["chain_number"], end["chain_number"]);
    assert_eq!(front.get(&tenant).await.status, 404);
    let list = front.get("/api/v1/tenants").await.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(
        kind(agent.checks_in(&front.world, &[]).await),
        RefusalKind::Unknown
    );
    front.world.run("remove-tenants").await;
    let left = copy::of_tenant(&front.world.context.db, &front.world.scope())
        .await
        .expect("digests");
    assert!(left.iter().all(|table| table.rows == 0), "{left:?}");
    let kept = copy::of_tenant(&front.world.context.db, &store::Scope::of_tenant(other))
        .await
        .expect("digests");
    assert_eq!(kept, others, "nobody else lost anything");
    let gone = front.ask(Method::GET, "/api/v1/session", &token).send().await;
    assert_eq!(gone.status, 401, "its tokens went with it");
    let users = front.get("/api/v1/users").await.json();
    assert_eq!(users["items"], json!([]));
    let own = front.get("/api/v1/audit-records?noun=tenant").await.json();
    assert_eq!(own["items"][0]["facts"]["chain_hash"], end["chain_hash"]);
    let named = front.post("/api/v1/tenants", json!({ "name": "main" })).await;
    assert_eq!(named.status, 201, "the name is free: {}", named.text);

    assert_eq!(lines[0]["tenant"], front.world.tenant.to_string());
    assert_eq!(end["rows"], json!(lines.len() - 1));
    let all = Value::Array(lines).to_string();
    for there in [
        agent.host.to_string().replace('-', ""),
        "grace".to_owned(),
        "host.example".to_owned(),
    ] {
        assert!(all.contains(&there), "the export lacks {there}");
    }
    let invitation = text(&made, "invitation");
    for secret in [
        "password_hash",
        "secret_hash",
        "totp_sealed",
        "credentials_sealed",
        &invitation,
        &token,
    ] {
        assert!(!all.contains(secret), "the export holds {secret}");
    }
}

#[tokio::test]
async fn what_is_kept_of_a_person_is_told_and_erased_and_the_chain_stays_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let front = Front::of(World::in_folder(folder.path()).await);
    let secret = first_administrator(&front).await;
    let hers = session(&front, "ada", &secret).await;
    let made = front
        .post(
            "/api/v1/users",
            json!({ "name": "grace hopper", "display_name": "Grace" }),
        )
        .await
        .json();
    let id = text(&made["user"], "id");
    let invitation = text(&made, "invitation");
    let welcome = form(
        &front,
        &format!("invitation={invitation}&password=four+words+by+chance"),
    )
    .await;
    let factor = field(&welcome.text);
    let graces = session(&front, "grace hopper", &factor).await;
    let path = format!("/api/v1/users/{id}/person");
    let told = front.ask(Method::GET, &path, &hers).send().await.json();
    assert_eq!(told["user"]["name"], "grace hopper");
    assert_eq!(told["recorded"], json!([{ "name": "grace hopper" }]));
    assert_eq!(told["sessions"].as_array().map(Vec::len), Some(1));
    let wrong = ask(&front, Method::POST, &path, None, json!({ "name": "grace" })).await;
    assert_eq!(wrong.code(), "invalid-value");
    let erased = ask(
        &front,
        Method::POST,
        &path,
        None,
        json!({ "name": "grace hopper" }),
    )
    .await;
    assert_eq!(erased.status, 200, "{}", erased.text);
    assert_eq!(erased.json()["state"], "disabled");
    let asked = front.ask(Method::GET, "/api/v1/session", &graces).send().await;
    assert_eq!(asked.status, 401, "her log-ins ended");
    front.world.pass(SignedDuration::from_secs(60));
    let body = json!({ "name": "grace hopper", "password": PASSWORD, "code": code(&front, &factor) });
    let log_in = front
        .ask(Method::POST, "/api/v1/session", "")
        .json(&body)
        .send()
        .await;
    assert_eq!(log_in.status, 401);
    let told = front.get(&path).await.json();
    assert_eq!((&told["recorded"], &told["sessions"]), (&json!([]), &json!([])));
    seal(&front.world).await;
    front.world.context.db.close().await;
    // Answers to repeated requests are forgotten after a day; nothing else holds the name.
    tamper::run(
        folder.path(),
        "DELETE FROM idempotency_keys; VACUUM; PRAGMA wal_checkpoint(TRUNCATE);",
    )
    .await;
    let bytes = std::fs::read(folder.path().join("data/patchyard.db")).expect("the database");
    assert!(
        !bytes.windows(6).any(|part| part == b"hopper"),
        "the name is nowhere any more"
    );
}

#[tokio::test]
async fn what_agents_decide_leaves_a_record_of_the_agent_and_a_check_in_leaves_none() {
    use protocol::message::enrol::Credential;
    let front = Front::new().await;
    let world = &front.world;
    let records = async || {
        let list = front
            .get(front.in_tenant("audit-records?limit=1000"))
            .await
            .json();
        let items = list["items"].as_array().cloned().unwrap_or_default();
        items.into_iter().rev().collect::<Vec<_>>()
    };
    let mut agent = world.agent(1).await;
    let found = records().await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["action"], &found[0]["noun"], &found[0]["actor_kind"]),
        (&json!("create"), &json!("host"), &json!("agent"))
    );
    assert_eq!(found[0]["noun_id"], json!(agent.host.to_string()));
    assert_eq!(found[0]["facts"]["enrolled"], "new");
    let mut copied = agent.cloned(2);
    agent.checks_in(world, &[]).await.expect("served");
    agent.checks_in(world, &[]).await.expect("served");
    agent.renews(world).await.expect("renewed");
    assert_eq!(records().await.len(), 1, "check-ins and renewals decide nothing");

    // The copy of its disk becomes a host that waits.
    let refused = copied.checks_in(world, &[]).await;
    assert_eq!(kind(refused), RefusalKind::Superseded);
    let old = protocol::key::SigningKey::from_seed(copied.key.seed());
    copied.key = protocol::key::SigningKey::from_seed(&[99; 32]);
    let claim = Credential::copy_of(agent.host, &old, &copied.key.verifying().to_bytes());
    copied.enrol_with(world, claim).await.expect("let in to wait");
    let found = records().await;
    assert_eq!(found.len(), 2);
    assert_eq!(found[1]["facts"]["enrolled"], "copy");
    assert_eq!(found[1]["facts"]["state"], "pending");
    assert_eq!(found[1]["facts"]["copy_of"], json!(agent.host.to_string()));

    // The same machine enrols anew and keeps its host.
    let mut again = crate::world::Agent::new(3);
    (again.machine, again.bearer) = (agent.machine, agent.bearer);
    let secret = world.token(1, store::enrolment_token::Admits::Active).await;
    again.enrol(world, secret).await.expect("let in");
    let found = records().await;
    assert_eq!(found.len(), 3);
    assert_eq!(
        (&found[2]["action"], &found[2]["facts"]["enrolled"]),
        (&json!("change"), &json!("again"))
    );
    assert_eq!(again.host, agent.host);
}

#[tokio::test]
async fn a_hosts_new_key_and_the_end_of_its_older_ones_are_recorded() {
    use crate::world::Agent;
    use protocol::key::SigningKey;
    use protocol::message::renew::{NextKey, Renew, Renewed};
    use protocol::message::{Kind, Message};
    let front = Front::new().await;
    let world = &front.world;
    let mut agent = world.agent(1).await;
    world.pass(SignedDuration::from_secs(1));
    let next = SigningKey::from_seed(&[77; 32]);
    let named = next.verifying().id().to_string();
    let message = Renew {
        host: agent.host,
        link: agent.link,
        agent_version: agent.version.clone(),
        next_key: Some(NextKey::new(agent.host, &next)),
    };
    let request = agent.seal(world, Kind::RENEW, &message.to_body());
    let answer = world.exchange(&request).await;
    let _renewed: Renewed = agent.read(world, &request, &answer).expect("it is certified");
    let newest = async || {
        let list = front.get(front.in_tenant("audit-records")).await.json();
        (
            list["items"].as_array().map(Vec::len),
            list["items"][0]["facts"].clone(),
        )
    };
    assert_eq!(newest().await, (Some(2), json!({ "new_key": named })));
    world.pass(SignedDuration::from_secs(1));
    let mut with_next = Agent {
        key: next,
        ..agent.cloned(1)
    };
    with_next.bearer = agent.bearer;
    with_next.checks_in(world, &[]).await.expect("the new key");
    with_next.checks_in(world, &[]).await.expect("and again");
    let facts = json!({ "key": named, "older_keys_stopped": 1 });
    assert_eq!(newest().await, (Some(3), facts), "once, with its first check-in");
}

#[tokio::test]
async fn an_enrolment_whose_record_cannot_be_written_lets_nobody_in_and_spends_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let world = World::in_folder(folder.path()).await;
    let secret = world.token(1, store::enrolment_token::Admits::Active).await;
    let before = copy::verify(&world.context.db).await.expect("digests");
    tamper::run(folder.path(), super::intent::NO_RECORDS).await;
    let mut agent = crate::world::Agent::new(1);
    let refused = agent.enrol(&world, secret).await;
    assert_eq!(kind(refused), RefusalKind::Busy);
    assert_eq!(copy::verify(&world.context.db).await.expect("digests"), before);
    tamper::run(folder.path(), super::intent::RECORDS_AGAIN).await;
    agent.enrol(&world, secret).await.expect("the token is good yet");
}
