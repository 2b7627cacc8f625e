//! Tenants, sites, hosts and enrolment tokens through the API.

use super::Front;
use crate::world::{Agent, peer};
use axum::http::Method;
use protocol::message::check_in::CheckedIn;
use protocol::message::enrol::Credential;
use protocol::message::{Kind, Message};
use protocol::token::EnrolmentToken;
use serde_json::{Value, json};
use server::agents::{self, Begun};

fn ids(page: &Value) -> Vec<String> {
    page["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| item["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn a_repeated_request_is_answered_again_and_not_done_again() {
    let front = Front::new().await;
    let ask = |name: &str| {
        front
            .ask(Method::POST, "/api/v1/tenants", &front.local)
            .key("once")
            .json(&json!({ "name": name }))
    };
    let first = ask("hospital").send().await;
    assert_eq!(first.status, 201);
    let again = ask("hospital").send().await;
    assert_eq!(
        (again.status, &again.text, again.tag()),
        (first.status, &first.text, first.tag())
    );
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(ask("other").send().await.code(), "idempotency-key-reused");
    let same_name = front.post("/api/v1/tenants", json!({ "name": "hospital" })).await;
    assert_eq!(
        (same_name.status.as_u16(), same_name.code().as_str()),
        (409, "already-exists")
    );
    let tenants = front.get("/api/v1/tenants").await.json();
    assert_eq!(ids(&tenants).len(), 2, "the world's and one more: {tenants}");
    front.world.pass(jiff::SignedDuration::from_hours(25));
    assert_eq!(
        ask("clinic").send().await.status,
        201,
        "after a day the key is free again"
    );
}

#[tokio::test]
async fn a_change_names_the_version_that_it_was_made_for() {
    let front = Front::new().await;
    let site = front.in_tenant(&format!("sites/{}", front.world.site));
    let before = front.get(&site).await;
    let rename = |name: &str, tag: &str| {
        front
            .ask(Method::PATCH, &site, &front.local)
            .version(tag)
            .json(&json!({ "name": name }))
            .send()
    };
    let first = rename("first", before.tag()).await;
    assert_eq!(
        (first.status.as_u16(), first.json()["name"].as_str()),
        (200, Some("first"))
    );
    let late = rename("late", before.tag()).await;
    assert_eq!(
        (late.status.as_u16(), late.code().as_str()),
        (412, "changed-meanwhile")
    );
    for strange in ["*", "W/\"v2\"", "\"v02x\"", "v2", "\"v-2\"", "\"v1\", \"v2\""] {
        assert_eq!(
            rename("strange", strange).await.code(),
            "changed-meanwhile",
            "{strange}"
        );
    }
    assert_eq!(front.get(&site).await.json()["name"], "first");
    assert_eq!(rename("second", first.tag()).await.status, 200);
}

#[tokio::test]
async fn a_list_is_walked_in_pages_without_loss_and_its_cursor_fits_it_alone() {
    let front = Front::new().await;
    for number in 0..25 {
        let made = front
            .post(
                front.in_tenant("sites"),
                json!({ "name": format!("site-{:02}", number * 7 % 25) }),
            )
            .await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let whole = front.get(front.in_tenant("sites")).await.json();
    assert!(whole.get("next").is_none());
    let mut walked = Vec::new();
    let mut path = front.in_tenant("sites?limit=4");
    let cursor = loop {
        let page = front.get(&path).await.json();
        walked.extend(ids(&page));
        match page["next"].as_str() {
            Some(next) => path = front.in_tenant(&format!("sites?limit=4&cursor={next}")),
            None => break path.split("cursor=").nth(1).expect("there were pages").to_owned(),
        }
    };
    assert_eq!(walked, ids(&whole));
    let elsewhere = front
        .get(front.in_tenant(&format!("hosts?cursor={cursor}")))
        .await;
    assert_eq!(elsewhere.code(), "bad-cursor");
    assert_eq!(
        front.get(front.in_tenant("sites?limit=0")).await.code(),
        "malformed-parameter"
    );
    assert_eq!(
        front.get(front.in_tenant("sites?limit=1001")).await.code(),
        "malformed-parameter"
    );
    assert_eq!(
        front.get(front.in_tenant("sites?limit=many")).await.code(),
        "malformed-parameter"
    );
}

#[tokio::test]
async fn a_host_enrols_with_the_text_of_a_token_and_is_found_by_every_filter() {
    let front = Front::new().await;
    let site = front.world.site.to_string();
    let made = front
        .post(
            front.in_tenant("enrolment-tokens"),
            json!({ "site": site, "admits": "pending", "uses": 2 }),
        )
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let text = made.json()["text"].as_str().expect("its text").to_owned();
    let token: EnrolmentToken = text.parse().expect("an agent reads it");
    assert_eq!(token.authority, front.world.context.authority.root_digest());
    let mut agent = Agent::new(7);
    let credential = Credential::Token {
        secret: token.secret,
        site: token.site.clone(),
    };
    agent
        .enrol_with(&front.world, credential)
        .await
        .expect("it is let in to wait");
    let host = front.in_tenant(&format!("hosts/{}", agent.host));
    let shown = front.get(&host).await;
    assert_eq!(shown.json()["state"], "pending");
    let approve = format!("{host}/approve");
    assert_eq!(front.post(&approve, json!({})).await.json()["state"], "active");
    assert_eq!(front.post(&approve, json!({})).await.code(), "wrong-state");
    let tag = front.get(&host).await;
    let edit = json!({ "name": "web-1", "tags": ["role=web", "prod"] });
    let edited = front
        .ask(Method::PATCH, &host, &front.local)
        .version(tag.tag())
        .json(&edit)
        .send()
        .await;
    assert_eq!(
        edited.json()["tags"],
        json!(["prod", "role=web"]),
        "{}",
        edited.text
    );
    let mine = vec![agent.host.to_string()];
    for (query, found) in [
        ("name=EB-", true),
        ("name=web*", true),
        ("name=eb*", false),
        ("tag=prod", true),
        ("tag=test", false),
        ("state=active", true),
        ("state=pending", false),
        ("standing=unknown", true),
        ("standing=up_to_date", false),
        ("mode=monitor", true),
        ("mode=full", false),
        (&format!("site={site}"), true),
        ("name=web&tag=prod&state=active", true),
    ] {
        let page = front.get(front.in_tenant(&format!("hosts?{query}"))).await.json();
        assert_eq!(
            ids(&page),
            if found { mine.clone() } else { Vec::new() },
            "{query}"
        );
    }
    for wrong in ["state=gone", "standing=fine", "mode=off", "site=main", "tag=A"] {
        assert_eq!(
            front.get(front.in_tenant(&format!("hosts?{wrong}"))).await.code(),
            "invalid-value",
            "{wrong}"
        );
    }
    let csv = front
        .ask(Method::GET, front.in_tenant("hosts"), &front.local)
        .header("accept", "text/csv")
        .send()
        .await;
    let lines: Vec<_> = csv.text.lines().collect();
    assert!(
        lines[0].starts_with("id,name,site,state") && lines[1].contains("\"web-1\""),
        "{}",
        csv.text
    );
    let gone = front
        .ask(Method::DELETE, &host, &front.local)
        .version(edited.tag())
        .send()
        .await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    assert!(ids(&front.get(front.in_tenant("hosts")).await.json()).is_empty());
    assert_eq!(
        ids(&front.get(front.in_tenant("hosts?state=retired")).await.json()),
        mine
    );
}

#[tokio::test]
async fn a_moved_host_leaves_its_history_behind_and_checks_in_as_before() {
    let front = Front::new().await;
    let mut agent = front.world.agent(3).await;
    let other = front
        .post("/api/v1/tenants", json!({ "name": "other" }))
        .await
        .json()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let sites = format!("/api/v1/tenants/{other}/sites");
    let site = front.post(&sites, json!({ "name": "there" })).await.json()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    // Its check-in is held meanwhile: it must not hear of the entry that stays behind, which is retired.
    let mut message = agent.check_in(&front.world, &[]);
    message.hold_seconds = 55;
    let request = agent.seal(&front.world, Kind::CHECK_IN, &message.to_body());
    let Begun::Held(held) = agents::begin(&front.world.context, &request, peer()).await else {
        panic!("there is nothing new");
    };
    let path = front.in_tenant(&format!("hosts/{}/move", agent.host));
    let moved = front.post(&path, json!({ "tenant": other, "site": site })).await;
    assert_eq!(moved.status, 200, "{}", moved.text);
    let answer = held.finish(&front.world.context).await;
    let answer: CheckedIn = agent.read(&front.world, &request, &answer).expect("it is served");
    agent.link = answer.link;
    assert_eq!(moved.json()["was_moved"], true);
    let here = front.get(front.in_tenant(&format!("hosts/{}", agent.host))).await;
    assert_eq!(here.json()["state"], "retired");
    let there = front
        .get(format!("/api/v1/tenants/{other}/hosts/{}", agent.host))
        .await;
    assert_eq!(there.json()["state"], "active");
    let known = agent.checks_in(&front.world, &[]).await;
    assert!(known.is_ok(), "{known:?}");
}

#[tokio::test]
async fn each_change_leaves_one_record_and_a_refused_one_none() {
    let front = Front::new().await;
    let records = async || front.get(front.in_tenant("audit-records")).await.json()["items"].clone();
    assert_eq!(records().await, json!([]));
    let made = front
        .post(front.in_tenant("sites"), json!({ "name": "north" }))
        .await
        .json();
    let found = records().await;
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&found[0]["action"], &found[0]["noun"]),
        (&json!("create"), &json!("site"))
    );
    assert_eq!(found[0]["noun_id"], made["id"]);
    assert_eq!(found[0]["facts"], json!({ "name": "north" }));
    let refused = front
        .post(front.in_tenant("sites"), json!({ "name": "north" }))
        .await;
    assert_eq!(refused.status, 409);
    let site = front.in_tenant(&format!("sites/{}", made["id"].as_str().expect("an id")));
    let late = front
        .ask(Method::PATCH, &site, &front.local)
        .version("\"v9\"")
        .json(&json!({ "name": "x" }))
        .send()
        .await;
    assert_eq!(late.status, 412);
    assert_eq!(
        records().await.as_array().map(Vec::len),
        Some(1),
        "nothing was done, nothing is recorded"
    );
    assert_eq!(
        front.get("/api/v1/audit-records").await.json()["items"],
        json!([]),
        "a tenant's record is the tenant's"
    );
}

#[tokio::test]
async fn a_tenants_thing_is_not_found_under_another_tenant() {
    let front = Front::new().await;
    let agent = front.world.agent(4).await;
    let other = front
        .post("/api/v1/tenants", json!({ "name": "other" }))
        .await
        .json()["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    for path in [
        format!("hosts/{}", agent.host),
        format!("sites/{}", front.world.site),
        format!("hosts/{}/facts", agent.host),
    ] {
        let answer = front.get(format!("/api/v1/tenants/{other}/{path}")).await;
        assert_eq!(answer.code(), "not-found", "{path}: {}", answer.text);
    }
    let nobody = front
        .get("/api/v1/tenants/0198c0de-0000-7000-8000-00000000abcd/hosts")
        .await;
    assert_eq!(nobody.code(), "not-found");
}
