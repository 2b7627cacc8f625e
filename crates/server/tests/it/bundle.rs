//! The support bundle: what a person may give away without a thought. Every kind of secret and name is put wherever a server
//! could have it, and none comes out.

use crate::api::Front;
use axum::http::Method;
use domain::id::{BackupId, HostId, SiteId, SourceId, TenantId};
use serde_json::{Value, json};
use server::catalog::access::{AccessJson, CertificateJson, LoginJson};
use server::operations::bundle::{self, Bundle, LONGEST_FILE, Names};
use server::{Context, Settings};
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use store::host::{HostMode, HostState, NewHost};
use store::liveness::Liveness;
use store::source::{NewSource, SourceEdit, SourceKind, SourceState, SyncNote, Went};
use store::{Scope, Whole, backup_log, host, liveness, site, source, tenant};
use testkit::hostile;

/// Names of a plain kind, wherever the server keeps names.
const HOST: &str = "web-1.corp.internal";
const ADDRESS: &str = "192.0.2.77";
const NAMES: [&str; 6] = [
    HOST,
    ADDRESS,
    "Acme GmbH",
    "Basel",
    "in-house tools",
    "ada@corp.example",
];

const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHnotARealKeyButLongEnough00aa\n-----END PRIVATE KEY-----\n";

/// Texts that mean harm, a few of each kind.
fn hostile_names() -> Vec<String> {
    let mut of_kind = std::collections::BTreeMap::<_, usize>::new();
    let few = hostile::texts().into_iter().filter(|one| {
        let fits =
            (4..=60).contains(&one.text.len()) && !one.text.contains('\0') && !one.text.trim().is_empty();
        let count = of_kind.entry(one.harm).or_default();
        *count += usize::from(fits);
        fits && *count <= 3
    });
    few.map(|one| one.text).collect()
}

/// What nobody may learn from a bundle.
struct Planted {
    front: Front,
    context: Context,
    secrets: Vec<String>,
    hostile: Vec<String>,
}

impl Planted {
    async fn new() -> Self {
        let front = Front::new().await;
        let mut secrets = vec![front.local.clone()];
        let world = &front.world;
        let master = fs::read(world.folder.path().join("data/keys/master.key")).expect("the master key");
        secrets.push(master.iter().map(|byte| format!("{byte:02x}")).collect());
        secrets.push(
            front
                .token("server", &BTreeSet::from(["read:health".to_owned()]))
                .await,
        );
        secrets.push(
            world
                .context
                .local
                .new_link(world.now(), &*world.context.chance)
                .to_string(),
        );
        let enrolment = front
            .post(
                front.in_tenant("enrolment-tokens"),
                json!({ "site": world.site.to_string() }),
            )
            .await;
        secrets.push(enrolment.json()["text"].as_str().expect("a token").to_owned());
        secrets.extend(
            [
                "db-Passw0rd",
                "p0ol-pass!",
                "MC4CAQAwBQYDK2VwBCIEIHnotARealKeyButLongEnough00aa",
                "JBSWY3DPEHPK3PXPJBSWY3DP",
                "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$0kZPkNbGqvRmZPvM2bYxkQ",
                "hunter2",
                "c2Vzc2lvbi1zZWNyZXQtb2YtYS1wZXJzb24tMDE",
                "pys_q83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWe",
            ]
            .map(str::to_owned),
        );
        let hostile = hostile_names();
        assert!(hostile.len() >= 20, "{}", hostile.len());
        let mut context = world.context.clone();
        let mut settings = Settings::clone(&context.settings);
        settings.file.database = Some("postgres://ada:db-Passw0rd@db.corp.internal/patchyard".to_owned());
        context.settings = Arc::new(settings);
        let planted = Self {
            front,
            context,
            secrets,
            hostile,
        };
        planted.fill_database().await;
        planted.write_logs();
        planted
    }

    async fn fill_database(&self) {
        let world = &self.front.world;
        let (scope, site, now) = (world.scope(), world.site, world.now());
        let hosts: Vec<String> = self.hostile.iter().cloned().chain([HOST.to_owned()]).collect();
        let access = AccessJson {
            uri: "https://apt.corp.internal/".to_owned(),
            login: Some(LoginJson {
                username: "ada@corp.example".to_owned(),
                password: "p0ol-pass!".to_owned(),
            }),
            certificate: Some(CertificateJson {
                certificate: String::new(),
                key: PRIVATE_KEY.to_owned(),
            }),
            authorities: None,
        };
        let sealed = access.seal(&world.context);
        let detail = format!(
            "fetch https://ada:p0ol-pass!@apt.corp.internal/x?sig={}: refused by {ADDRESS}",
            self.secrets[1]
        );
        let reason = format!("asked for with password={}", "hunter2");
        let written = world.context.db.write(move |tx| {
            tenant::create(tx, &Whole::server(), TenantId([9; 16]), "Acme GmbH", now)?;
            let other = Scope::of_tenant(TenantId([9; 16]));
            site::create(tx, &other, SiteId([9; 16]), "Basel", now)?;
            for (number, name) in hosts.iter().enumerate() {
                let id = HostId([u8::try_from(number).unwrap_or(u8::MAX) + 20; 16]);
                let new = NewHost {
                    id,
                    name: name.clone(),
                    site,
                    state: HostState::Active,
                    mode: HostMode::Monitor,
                    agent_version: "0.1.0".to_owned(),
                    machine: None,
                    moved_from: None,
                    copy_of: None,
                };
                host::create(tx, &scope, &new, now)?;
                let sign = Liveness {
                    host: id,
                    seen_at: now,
                    next_expected_at: now,
                    address: ADDRESS.to_owned(),
                    boot_id: None,
                    measures: "{}".to_owned(),
                };
                liveness::note(tx, &Whole::server(), &[(scope.tenant(), sign)])?;
            }
            let new = NewSource {
                id: SourceId([7; 16]),
                identity: "{}".to_owned(),
                identity_digest: domain::digest::Sha256Digest([7; 32]),
                edit: SourceEdit {
                    kind: SourceKind::Apt,
                    state: SourceState::Adopted,
                    name: "in-house tools".to_owned(),
                    addresses: json!({ "places": [{ "uri": "https://apt.corp.internal/debian/", "suite": "stable" }], "key_files": [] })
                        .to_string(),
                    components: "[\"main\"]".to_owned(),
                    architectures: "[\"amd64\"]".to_owned(),
                    schedule: "{\"every_seconds\":14400}".to_owned(),
                    credentials_sealed: Some(sealed.clone()),
                    next_sync_at: None,
                },
            };
            source::create_shared(tx, &Whole::server(), &new, now)?;
            let note = SyncNote {
                at: now,
                went: Went::Wrong,
                outcome: json!({ "what": "failed", "detail": detail, "failures": 2 }).to_string(),
                next_sync_at: None,
            };
            source::note_sync(tx, &Whole::server(), new.id, &note)?;
            backup_log::begin(tx, &Whole::server(), BackupId([1; 16]), &reason, "/home/ada/backups", now)
        });
        written.await.expect("planted");
    }

    /// Logs with every secret in every form in which somebody could have written it down.
    fn write_logs(&self) {
        let folder = self.front.world.folder.path().join("data/logs");
        fs::create_dir_all(&folder).expect("a folder");
        let mut text = String::new();
        let mut line = |event: Value| text.push_str(&format!("{event}\n"));
        for secret in &self.secrets {
            line(json!({ "level": "INFO", "message": format!("password={secret} was tried") }));
            line(json!({ "level": "INFO", "message": format!("Authorization: Bearer {secret}") }));
            line(json!({ "level": "INFO", "message": "A token.", "token": secret }));
            line(
                json!({ "level": "WARN", "message": format!("GET https://x:{secret}@a.example/?k={secret}") }),
            );
        }
        for secret in self.secrets.iter().filter(|secret| secret.len() > 10) {
            line(json!({ "level": "INFO", "message": format!("there is {secret}, alone") }));
        }
        line(json!({ "level": "INFO", "message": format!("read {PRIVATE_KEY}") }));
        for name in NAMES
            .iter()
            .map(|name| (*name).to_owned())
            .chain(self.hostile.clone())
        {
            line(
                json!({ "level": "INFO", "message": format!("The host {name} was enrolled."), "host": name }),
            );
            line(json!({ "level": "INFO", "message": format!("{name} again") }));
        }
        text.push_str(&format!("no event: {} {HOST}\n", self.secrets[0]));
        fs::write(folder.join("server.log"), text).expect("a log");
        fs::write(
            folder.join("agent.log"),
            format!("{{\"message\":\"reached {ADDRESS}\"}}\n"),
        )
        .expect("a log");
    }

    async fn bundle(&self, names: Names) -> Bundle {
        bundle::collect(&self.context, names, self.context.metrics.exposition()).await
    }
}

/// All that stands in a bundle, as it is and as whoever reads its JSON sees it.
fn everything(bundle: &Bundle) -> String {
    let mut all = String::new();
    for file in &bundle.files {
        all.push_str(file.name);
        all.push_str(&file.text);
        for text in file.text.lines().chain([file.text.as_str()]) {
            if let Ok(value) = serde_json::from_str::<Value>(text) {
                unfold(&value, &mut all);
            }
        }
    }
    all
}

fn unfold(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(&format!("{text}\n")),
        Value::Array(items) => items.iter().for_each(|item| unfold(item, out)),
        Value::Object(members) => members.iter().for_each(|(name, member)| {
            out.push_str(&format!("{name}\n"));
            unfold(member, out);
        }),
        other => out.push_str(&format!("{other}\n")),
    }
}

#[tokio::test]
async fn no_secret_and_no_name_is_in_a_support_bundle() {
    let planted = Planted::new().await;
    let bundle = planted.bundle(Names::Hidden).await;
    let all = everything(&bundle);
    for secret in &planted.secrets {
        assert!(!all.contains(secret.as_str()), "{secret} is in it");
    }
    for name in NAMES
        .iter()
        .copied()
        .chain(planted.hostile.iter().map(String::as_str))
    {
        assert!(!all.contains(name), "{name:?} is in it");
    }
    assert!(
        !all.contains("corp.internal") && !all.contains("/ada/"),
        "parts of names"
    );
    // What is of use is there.
    for word in [
        "host-",
        "address-",
        "[secret]",
        "was enrolled",
        "last_outcome",
        "0001_tenants",
    ] {
        assert!(all.contains(word), "{word} is missing");
    }
}

#[tokio::test]
async fn with_names_a_bundle_has_them_and_still_no_secret() {
    let planted = Planted::new().await;
    let all = everything(&planted.bundle(Names::Shown).await);
    for secret in &planted.secrets {
        assert!(!all.contains(secret.as_str()), "{secret} is in it");
    }
    for name in [HOST, ADDRESS, "Acme GmbH", "in-house tools", "apt.corp.internal"] {
        assert!(all.contains(name), "{name} is not in it");
    }
}

#[tokio::test]
async fn a_bundle_is_bounded_plain_text_and_has_a_name_hidden_alike_each_time() {
    let planted = Planted::new().await;
    let long = format!("{}\n", json!({ "message": "x".repeat(3000) })).repeat(2000);
    let log = planted.front.world.folder.path().join("data/logs/server.log");
    let mut text = long.clone();
    text.push_str(&format!("{}\n", json!({ "message": "the last", "host": HOST })));
    fs::write(&log, &text).expect("a long log");
    let (first, second) = (
        planted.bundle(Names::Hidden).await,
        planted.bundle(Names::Hidden).await,
    );
    let names: Vec<&str> = first.files.iter().map(|file| file.name).collect();
    assert_eq!(
        names,
        [
            "README.txt",
            "background.json",
            "backups.json",
            "doctor.json",
            "logs/agent.log",
            "logs/server.log",
            "metrics.txt",
            "schema.json",
            "settings.json",
            "sources.json",
            "storage.json",
            "tables.json",
            "versions.json",
        ]
    );
    for file in &first.files {
        assert!(file.text.len() <= LONGEST_FILE, "{}", file.name);
        assert!(
            file.text
                .bytes()
                .all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)),
            "{}",
            file.name
        );
        assert!(!file.text.contains("not_told"), "{}: {}", file.name, file.text);
    }
    let last = |bundle: &Bundle| {
        let log = bundle
            .files
            .iter()
            .find(|file| file.name == "logs/server.log")
            .expect("a log");
        assert!(log.text.len() < text.len() / 10, "the end of it only");
        log.text.lines().last().expect("lines").to_owned()
    };
    assert!(last(&first).contains("the last") && last(&first).contains("host-"));
    assert_eq!(last(&first), last(&second));
}

#[tokio::test]
async fn where_names_cannot_be_read_no_free_text_gets_out() {
    let planted = Planted::new().await;
    planted.front.world.context.db.close().await;
    let all = everything(&planted.bundle(Names::Hidden).await);
    assert!(!all.contains("was enrolled") && !all.contains(HOST), "{all}");
    assert!(all.contains("the names that must be hidden could not be read"));
    assert!(
        all.contains("\"check_in_seconds\": 300"),
        "settings are told all the same"
    );
}

#[tokio::test]
async fn a_bundle_comes_over_the_api_with_names_only_to_who_may_see_hosts() {
    let front = Front::new().await;
    let told = front.get("/api/v1/support-bundle").await;
    assert_eq!(told.status, 200, "{}", told.text);
    assert_eq!(told.json()["names"], "hidden");
    assert!(
        told.json()["files"]
            .as_array()
            .is_some_and(|files| files.len() == 13)
    );
    let health = front
        .token("server", &BTreeSet::from(["read:health".to_owned()]))
        .await;
    let ask = |query: &str, token: &str| {
        front
            .ask(Method::GET, format!("/api/v1/support-bundle{query}"), token)
            .send()
    };
    assert_eq!(ask("", &health).await.status, 200);
    assert_eq!(ask("?names=shown", &health).await.status, 403);
    assert_eq!(ask("?names=shown", &front.local).await.json()["names"], "shown");
    assert!(ask("?names=all", &front.local).await.status.is_client_error());
    let hosts = front
        .token("server", &BTreeSet::from(["read:host".to_owned()]))
        .await;
    assert_eq!(ask("", &hosts).await.status, 403);
}
