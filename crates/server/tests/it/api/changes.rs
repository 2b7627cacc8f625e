//! What was changed on a host and by whom: told by its agent, kept once, answered over the API.

use super::Front;
use crate::world::{Agent, whole};
use domain::host::change::{Author, History, PackageChange, Transaction};
use domain::host::facts::{Facts, HostFacts, Known, PackageDatabase};
use domain::host::hardware::{Hardware, Virtualisation};
use jiff::SignedDuration;
use protocol::document::facts::FactsDocument;
use protocol::document::{Document as _, DocumentKind};
use serde_json::Value;

fn change(package: &str, from: Option<&str>, to: Option<&str>) -> PackageChange {
    PackageChange {
        package: package.into(),
        architecture: "amd64".into(),
        from: from.map(Into::into),
        to: to.map(Into::into),
    }
}

fn transaction(seconds: i64, by: Author, command: Option<&str>, changes: Vec<PackageChange>) -> Transaction {
    Transaction {
        at_micros: seconds * 1_000_000,
        by,
        command: command.map(str::to_owned),
        changes,
        omitted: 0,
    }
}

/// The facts of a host whose logs say this.
fn facts(transactions: Vec<Transaction>) -> Vec<u8> {
    let facts = HostFacts {
        system: Facts::default(),
        packages: PackageDatabase::Dpkg,
        hardware: Hardware::default(),
        virtualisation: Virtualisation::Physical,
        kernels: Default::default(),
        restart: Known::unknown("not looked at"),
        interfaces: Known::unknown("not looked at"),
        neighbours: Known::unknown("not looked at"),
        listening: Known::unknown("not looked at"),
        updaters: Vec::new(),
        history: History {
            transactions,
            unread: Vec::new(),
        },
    };
    FactsDocument::from(&facts).to_bytes()
}

async fn tells(front: &Front, agent: &mut Agent, bytes: Vec<u8>) {
    let document = whole(DocumentKind::Facts, bytes);
    let name = [(DocumentKind::Facts, document.0.digest)];
    let heard = agent.checks_in(&front.world, &name).await.expect("it is heard");
    if !heard.wanted.is_empty() {
        let taken = agent
            .hands_over(&front.world, &[document])
            .await
            .expect("it is taken");
        assert_eq!(taken.taken.len(), 1, "{taken:?}");
    }
}

async fn changes(front: &Front, agent: &Agent, query: &str) -> Value {
    let path = front.in_tenant(&format!("hosts/{}/changes{query}", agent.host));
    let answer = front.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// Package, what was done, by whom, and how, of each.
fn told(page: &Value) -> Vec<[String; 4]> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rows = page["items"].as_array().expect("items").iter();
    rows.map(|row| ["package", "action", "changed_by", "detail"].map(|name| text(row, name)))
        .collect()
}

fn row(package: &str, action: &str, by: &str, detail: &str) -> [String; 4] {
    [package, action, by, detail].map(str::to_owned)
}

#[tokio::test]
async fn each_change_is_told_once_with_who_made_it_however_often_the_host_repeats_it() {
    let front = Front::new().await;
    let mut agent = front.world.agent(1).await;
    let base = front.world.now().as_second() - 10_000;
    let first = vec![
        transaction(
            base,
            Author::Tool {
                name: "unattended-upgrades".to_owned(),
            },
            Some("/usr/bin/unattended-upgrade"),
            vec![change("openssl", Some("3.0.17-1"), Some("3.0.20-1"))],
        ),
        transaction(
            base + 100,
            Author::Person {
                login: "ada".to_owned(),
                program: "apt-get".to_owned(),
            },
            Some("apt-get install nginx"),
            vec![
                change("nginx", None, Some("1.22.1-9")),
                change("zlib1g", Some("1:1.3-1"), Some("1:1.2-1")),
            ],
        ),
    ];
    let mut second = first.clone();
    second.push(transaction(
        base + 200,
        Author::Patchyard {
            order: "42".to_owned(),
        },
        None,
        vec![change("bash", Some("5.2-1"), Some("5.2-1+b1"))],
    ));
    second.push(transaction(
        base + 300,
        Author::Unrecorded,
        None,
        vec![change("cruft", Some("1"), None)],
    ));
    tells(&front, &mut agent, facts(first)).await;
    front.world.pass(SignedDuration::from_mins(5));
    tells(&front, &mut agent, facts(second.clone())).await;
    front.world.pass(SignedDuration::from_mins(5));
    second[0].omitted = 7;
    tells(&front, &mut agent, facts(second)).await;

    let all = changes(&front, &agent, "").await;
    assert_eq!(
        told(&all),
        [
            row("cruft", "removed", "unknown", "dpkg, which records nobody"),
            row("bash", "upgraded", "patchyard", "order 42"),
            row(
                "zlib1g",
                "downgraded",
                "person",
                "ada, with apt-get: apt-get install nginx"
            ),
            row(
                "nginx",
                "installed",
                "person",
                "ada, with apt-get: apt-get install nginx"
            ),
            row(
                "openssl",
                "upgraded",
                "tool",
                "unattended-upgrades: /usr/bin/unattended-upgrade"
            ),
        ]
    );
    assert_eq!(all["items"][4]["version_before"], "3.0.17-1");
    assert_eq!(all["items"][0]["version_after"], Value::Null);
    assert!(all["items"][0]["received_at"].as_str() > all["items"][4]["received_at"].as_str());

    let page = changes(&front, &agent, "?limit=3").await;
    assert_eq!(told(&page), told(&all)[..3]);
    let cursor = page["next"].as_str().expect("there is more");
    let rest = changes(&front, &agent, &format!("?limit=3&cursor={cursor}")).await;
    assert_eq!(told(&rest), told(&all)[3..]);
    assert!(rest["next"].is_null());
}

#[tokio::test]
async fn the_past_of_another_tenants_host_and_what_was_forgotten_are_not_told() {
    let front = Front::new().await;
    let mut agent = front.world.agent(1).await;
    let days = i64::from(front.world.context.settings.file.retention.document_days);
    let old = front.world.now().as_second() - (days + 1) * 24 * 60 * 60;
    let root = || Author::Root {
        program: "apt".to_owned(),
    };
    let history = vec![
        transaction(old, root(), None, vec![change("ancient", None, Some("1"))]),
        transaction(
            old + 2 * 24 * 60 * 60,
            root(),
            Some(&"x".repeat(2_000)),
            vec![change("recent", None, Some("1"))],
        ),
    ];
    tells(&front, &mut agent, facts(history)).await;
    let page = changes(&front, &agent, "").await;
    let names: Vec<String> = told(&page).into_iter().map(|[package, ..]| package).collect();
    assert_eq!(names, ["recent"]);
    let detail = page["items"][0]["detail"].as_str().expect("a detail");
    assert!(detail.starts_with("root, with apt: xxx") && detail.chars().count() <= 500);
    let nobody = front.in_tenant("hosts/0198c0de-0000-7000-8000-00000000abcd/changes");
    assert_eq!(front.get(nobody).await.status, 404);
    let csv = front
        .ask(
            axum::http::Method::GET,
            front.in_tenant(&format!("hosts/{}/changes", agent.host)),
            &front.local,
        )
        .header("accept", "text/csv");
    let csv = csv.send().await.text;
    assert_eq!(csv.lines().count(), 2, "{csv}");
}
