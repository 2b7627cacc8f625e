//! Logging in, second factors, users, roles and tokens.

use super::{Answer, Front};
use axum::http::Method;
use jiff::SignedDuration;
use serde_json::json;
use server::http::auth::SESSION_COOKIE;
use std::collections::BTreeSet;

pub const PASSWORD: &str = "four words by chance";

/// The code of now, computed apart from the server (RFC 4226, 5.3; RFC 6238): `secret` is base32.
pub fn code(front: &Front, secret: &str) -> String {
    use ring::hmac;
    let bits: String = secret
        .chars()
        .map(|letter| {
            format!(
                "{:05b}",
                "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(letter).expect("base32")
            )
        })
        .collect();
    let bytes: Vec<u8> = (0..bits.len() / 8)
        .map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).expect("bits"))
        .collect();
    let step = u64::try_from(front.world.now().as_second() / 30).expect("after 1970");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let word = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().expect("four bytes")) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

/// Posts the form of the page, as a browser does from our own page.
pub async fn form(front: &Front, fields: &str) -> Answer {
    let ask = front
        .ask(Method::POST, "/login", "")
        .header("origin", "https://patchyard.example");
    ask.bytes("application/x-www-form-urlencoded", fields.as_bytes().to_vec())
        .send()
        .await
}

pub fn field(page: &str) -> String {
    page.split("<code>")
        .nth(1)
        .and_then(|rest| rest.split("</code>").next())
        .expect("the secret is shown")
        .to_owned()
}

/// The first administrator: the secret of the second factor.
pub async fn first_administrator(front: &Front) -> String {
    let link = front
        .world
        .context
        .local
        .new_link(front.world.now(), &*front.world.context.chance);
    let welcome = form(
        front,
        &format!("link={}&name=ada&password=four+words+by+chance", *link),
    )
    .await;
    assert_eq!(welcome.status, 200, "{}", welcome.text);
    field(&welcome.text)
}

async fn log_in(front: &Front, name: &str, password: &str, code: &str) -> Answer {
    let body = json!({ "name": name, "password": password, "code": code });
    front
        .ask(Method::POST, "/api/v1/session", "")
        .json(&body)
        .send()
        .await
}

pub async fn session(front: &Front, name: &str, secret: &str) -> String {
    front.world.pass(SignedDuration::from_secs(60));
    let answer = log_in(front, name, PASSWORD, &code(front, secret)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["session"].as_str().expect("a session").to_owned()
}

#[tokio::test]
async fn the_first_administrator_comes_by_a_link_once_and_within_half_an_hour() {
    let front = Front::new().await;
    let context = &front.world.context;
    let link = context.local.new_link(front.world.now(), &*context.chance);
    let page = front
        .ask(Method::GET, format!("/login?link={}", *link), "")
        .send()
        .await;
    assert!(page.status == 200 && page.text.contains(&*link));
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(policy.contains("default-src 'none'") && !page.text.contains("<script"));
    for weak in [
        "name=ada&password=short",
        "name=ada&password=aaaaaaaaaaaaaaaa",
        "name=&password=four+words+by+chance",
    ] {
        assert_eq!(
            form(&front, &format!("link={}&{weak}", *link)).await.status,
            422,
            "{weak}"
        );
    }
    let good = format!("link={}&name=ada&password=four+words+by+chance", *link);
    let welcome = form(&front, &good).await;
    assert!(
        welcome.status == 200 && welcome.text.contains("otpauth://totp/Patchyard:ada"),
        "{}",
        welcome.text
    );
    assert_eq!(form(&front, &good).await.status, 410, "spent");
    assert_eq!(
        front
            .ask(Method::GET, format!("/login?link={}", *link), "")
            .send()
            .await
            .status,
        410
    );
    let late = context.local.new_link(front.world.now(), &*context.chance);
    front.world.pass(SignedDuration::from_mins(31));
    assert_eq!(
        form(
            &front,
            &format!("link={}&name=bob&password=four+words+by+chance", *late)
        )
        .await
        .status,
        410
    );
    let session = session(&front, "ada", &field(&welcome.text)).await;
    let me = front
        .ask(Method::GET, "/api/v1/session", &session)
        .send()
        .await
        .json();
    assert_eq!((&me["kind"], &me["name"]), (&json!("user"), &json!("ada")));
    let all = server::app::permission::Permission::all().count();
    assert_eq!(me["rights"].as_array().map(Vec::len), Some(all));
}

#[tokio::test]
async fn a_code_counts_once_and_every_wrong_log_in_gets_the_same_answer() {
    let front = Front::new().await;
    let secret = first_administrator(&front).await;
    front.world.pass(SignedDuration::from_secs(60));
    let now = code(&front, &secret);
    let good = log_in(&front, "ada", PASSWORD, &now).await;
    assert_eq!(good.status, 200);
    let mut answers = BTreeSet::new();
    for (name, password, code) in [
        ("ada", PASSWORD, now.as_str()),
        ("ada", PASSWORD, "000000"),
        ("ada", PASSWORD, ""),
        ("ada", "four words by chanc", "123456"),
        ("nobody", PASSWORD, "123456"),
        ("", "", ""),
    ] {
        front.world.pass(SignedDuration::from_mins(16));
        let answer = log_in(&front, name, password, code).await;
        answers.insert((answer.status.as_u16(), answer.text));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers.first().map(|answer| answer.0), Some(401));
    for _ in 0..10 {
        log_in(&front, "ada", "wrong wrong wrong", "").await;
    }
    let slow = log_in(&front, "ada", PASSWORD, &code(&front, &secret)).await;
    assert_eq!(
        slow.code(),
        "too-many-requests",
        "even the right password waits after ten failures"
    );
    assert!(slow.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_session_ends_idle_at_log_out_and_after_twelve_hours() {
    let front = Front::new().await;
    let secret = first_administrator(&front).await;
    let idle = session(&front, "ada", &secret).await;
    let status = async |token: &str| {
        front
            .ask(Method::GET, "/api/v1/session", token)
            .send()
            .await
            .status
            .as_u16()
    };
    front.world.pass(SignedDuration::from_mins(59));
    assert_eq!(status(&idle).await, 200);
    front.world.pass(SignedDuration::from_mins(61));
    assert_eq!(status(&idle).await, 401);
    let left = session(&front, "ada", &secret).await;
    assert_eq!(
        front
            .ask(Method::POST, "/api/v1/session/end", &left)
            .send()
            .await
            .status,
        204
    );
    assert_eq!(status(&left).await, 401);
    let long = session(&front, "ada", &secret).await;
    for _ in 0..23 {
        front.world.pass(SignedDuration::from_mins(30));
        assert_eq!(status(&long).await, 200);
    }
    front.world.pass(SignedDuration::from_mins(31));
    assert_eq!(status(&long).await, 401);
}

#[tokio::test]
async fn what_asks_for_a_fresh_factor_is_done_after_it_is_shown_again() {
    let front = Front::new().await;
    let secret = first_administrator(&front).await;
    let session = session(&front, "ada", &secret).await;
    let make = async |key: &str| {
        let body = json!({ "name": "ci", "permissions": ["read:health"] });
        front
            .ask(Method::POST, "/api/v1/tokens", &session)
            .key(key)
            .json(&body)
            .send()
            .await
    };
    assert_eq!(make("a").await.status, 201);
    front.world.pass(SignedDuration::from_mins(11));
    assert_eq!(make("b").await.code(), "second-factor-needed");
    let show = async |code: &str| {
        front
            .ask(Method::POST, "/api/v1/session/factor", &session)
            .json(&json!({ "code": code }))
            .send()
            .await
            .status
            .as_u16()
    };
    assert_eq!(show("000000").await, 401);
    let now = code(&front, &secret);
    assert_eq!(show(&now).await, 204);
    assert_eq!(show(&now).await, 401, "spent");
    assert_eq!(make("b").await.status, 201);
}

#[tokio::test]
async fn a_cookie_changes_something_only_from_our_own_page() {
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
    assert_eq!(
        front
            .ask(Method::GET, "/api/v1/session", "")
            .header("cookie", &*cookie)
            .send()
            .await
            .status,
        200
    );
    for foreign in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "http://patchyard.example")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[
            ("origin", "https://patchyard.example"),
            ("sec-fetch-site", "cross-site"),
        ],
    ] {
        assert_eq!(post(foreign).await.code(), "foreign-request", "{foreign:?}");
    }
    assert_eq!(post(&[("origin", "https://patchyard.example")]).await.status, 201);
    assert_eq!(post(&[("sec-fetch-site", "same-origin")]).await.status, 201);
    let foreign_form = front
        .ask(Method::POST, "/login", "")
        .header("origin", "https://evil.example");
    let answer = foreign_form
        .bytes("application/x-www-form-urlencoded", b"name=ada".to_vec())
        .send()
        .await;
    assert_eq!(answer.code(), "foreign-request");
}

#[tokio::test]
async fn an_invited_user_may_do_what_is_granted_and_loses_it_with_the_grant() {
    let front = Front::new().await;
    let made = front
        .post(front.in_tenant("users"), json!({ "name": "grace" }))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let invited = made.json();
    let invitation = invited["invitation"].as_str().expect("an invitation").to_owned();
    let user = invited["user"]["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        log_in(&front, "grace", PASSWORD, "").await.status,
        401,
        "no password yet"
    );
    let welcome = form(
        &front,
        &format!("invitation={invitation}&password=four+words+by+chance"),
    )
    .await;
    assert_eq!(welcome.status, 200, "{}", welcome.text);
    assert_eq!(
        form(
            &front,
            &format!("invitation={invitation}&password=four+words+by+chance")
        )
        .await
        .status,
        410
    );
    let session = session(&front, "grace", &field(&welcome.text)).await;
    let hosts = async |token: &str| {
        front
            .ask(Method::GET, front.in_tenant("hosts"), token)
            .send()
            .await
            .status
            .as_u16()
    };
    assert_eq!(hosts(&session).await, 404, "she may not even know of the tenant");
    let role = server::app::role::built_in()
        .into_iter()
        .find(|(_, name, _)| *name == "tenant-administrator")
        .expect("built in")
        .0;
    let granted = front
        .post(
            front.in_tenant("grants"),
            json!({ "user": user, "role": role.to_string() }),
        )
        .await;
    assert_eq!(granted.status, 201, "{}", granted.text);
    assert_eq!(hosts(&session).await, 200);
    let body = json!({ "name": "hers", "permissions": ["read:host"] });
    let made = front
        .ask(Method::POST, front.in_tenant("tokens"), &session)
        .key("t")
        .json(&body)
        .send()
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let token = made.json()["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(hosts(&token).await, 200);
    let above = json!({ "name": "above", "permissions": ["read:health"] });
    let refused = front
        .ask(Method::POST, front.in_tenant("tokens"), &session)
        .key("u")
        .json(&above)
        .send()
        .await;
    assert_eq!(
        refused.status, 201,
        "a permission of the server gives nothing in a tenant: {}",
        refused.text
    );
    let above = front
        .ask(
            Method::GET,
            "/api/v1/roles",
            refused.json()["secret"].as_str().expect("a secret"),
        )
        .send()
        .await;
    assert_eq!(above.status, 200);
    let everywhere = json!({ "name": "everywhere", "permissions": ["read:host"] });
    let refused = front
        .ask(Method::POST, "/api/v1/tokens", &session)
        .key("v")
        .json(&everywhere)
        .send()
        .await;
    assert_eq!(refused.code(), "not-allowed");
    let grant = granted.json()["id"].as_str().expect("an id").to_owned();
    let gone = front
        .post(front.in_tenant(&format!("grants/{grant}/take-back")), json!({}))
        .await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    assert_eq!(
        (hosts(&session).await, hosts(&token).await),
        (404, 404),
        "the token goes with its maker's role"
    );
}

#[tokio::test]
async fn a_disabled_users_sessions_and_tokens_end_at_once() {
    let front = Front::new().await;
    first_administrator(&front).await;
    let made = front
        .post("/api/v1/users", json!({ "name": "grace" }))
        .await
        .json();
    let invitation = made["invitation"].as_str().expect("an invitation");
    let fields = format!("invitation={invitation}&password=four+words+by+chance");
    let secret = field(&form(&front, &fields).await.text);
    let id = made["user"]["id"].as_str().expect("an id");
    let role = server::app::role::DUAL_ROLE_ADMINISTRATOR.to_string();
    let given = front
        .post("/api/v1/grants", json!({ "user": id, "role": role }))
        .await;
    assert_eq!(given.status, 201, "{}", given.text);
    let session = session(&front, "grace", &secret).await;
    let body = json!({ "name": "hers", "permissions": ["read:health"] });
    let made = front
        .ask(Method::POST, "/api/v1/tokens", &session)
        .key("t")
        .json(&body)
        .send()
        .await
        .json();
    let token = made["secret"].as_str().expect("a secret").to_owned();
    let path = format!("/api/v1/users/{id}");
    let tag = front.get(&path).await;
    let disable = front
        .ask(Method::PATCH, &path, &front.local)
        .version(tag.tag())
        .json(&json!({ "state": "disabled" }));
    assert_eq!(disable.send().await.json()["state"], "disabled");
    for credential in [session, token] {
        assert_eq!(
            front
                .ask(Method::GET, "/api/v1/session", &credential)
                .send()
                .await
                .status,
            401
        );
    }
    front.world.pass(SignedDuration::from_secs(60));
    assert_eq!(
        log_in(&front, "grace", PASSWORD, &code(&front, &secret))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn nobody_gives_away_or_takes_over_more_than_he_has() {
    let front = Front::new().await;
    let manager = front
        .token(
            "tenant",
            &[
                "read:user",
                "change:user",
                "create:user",
                "read:role",
                "create:role",
                "change:role",
            ]
            .map(String::from)
            .into(),
        )
        .await;
    let user = front
        .post(front.in_tenant("users"), json!({ "name": "grace" }))
        .await
        .json()["user"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let dual = server::app::role::DUAL_ROLE_ADMINISTRATOR.to_string();
    let post = async |path: String, body: serde_json::Value| {
        front
            .ask(Method::POST, path, &manager)
            .key(&front.new_key())
            .json(&body)
            .send()
            .await
    };
    let wanted = json!({ "user": user, "role": dual });
    assert_eq!(
        post(front.in_tenant("grants"), wanted.clone()).await.code(),
        "not-allowed"
    );
    let role = json!({ "name": "more", "permissions": ["read:user", "remove:host"] });
    assert_eq!(post(front.in_tenant("roles"), role).await.code(), "not-allowed");
    let role = json!({ "name": "less", "permissions": ["read:user"] });
    assert_eq!(post(front.in_tenant("roles"), role).await.status, 201);
    assert_eq!(
        post(front.in_tenant(&format!("users/{user}/invite")), json!({}))
            .await
            .status,
        201
    );
    assert_eq!(
        front.post("/api/v1/grants", wanted).await.status,
        201,
        "the administrator may"
    );
    let taken_over = post(front.in_tenant(&format!("users/{user}/invite")), json!({})).await;
    assert_eq!(
        taken_over.code(),
        "not-allowed",
        "a link for somebody with more rights would be those rights"
    );
}
