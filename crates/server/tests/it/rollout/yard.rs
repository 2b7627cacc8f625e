//! A server with an archive and hosts that carry out orders in words: each order is verified as a host verifies it, and what it
//! would install stands in the next inventory.

use crate::api::{Answer, Front};
use crate::faults::story::Upstream;
use crate::world::{Agent, World, whole};
use axum::http::Method;
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::HostId;
use domain::order::acceptance::{Addressee, take};
use domain::order::{Go, Order};
use jiff::{SignedDuration, Timestamp};
use protocol::document::DocumentKind;
use protocol::message::check_in::{self, CheckedIn, DocumentName};
use protocol::message::orders::{FailureKind, GoAsked, OfferedOrder, OrderReport, Stage, Took};
use protocol::order::{ApprovalDocument, Bundle, GoDocument, OrderDocument};
use protocol::statement::Unread;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// A server, its archive, and its API.
pub struct Yard {
    pub front: Front,
    pub upstream: Upstream,
    /// Requests made so far, each with a key of its own: also after a restart.
    requests: AtomicU64,
}

/// A host that carries out orders in words.
pub struct Hand {
    pub agent: Agent,
    pub mode: check_in::Mode,
    pub packages: Vec<(String, String)>,
    pub reports: Vec<OrderReport>,
    pub highest: u64,
    pub outputs: Vec<Vec<u8>>,
    /// How old its reading of itself is when it checks in.
    pub age: SignedDuration,
}

/// An order that a host took, with the digest that it is known by.
#[derive(Clone, Debug)]
pub struct Taken {
    pub order: Order,
    pub digest: Sha256Digest,
}

impl Yard {
    /// An archive that publishes `app` in version 2, and hosts that have version 1 of it; all assessed.
    pub async fn new(hosts: u8) -> (Self, Vec<Hand>) {
        Self::of(World::new().await, hosts).await
    }

    pub async fn of(world: World, hosts: u8) -> (Self, Vec<Hand>) {
        let upstream = Upstream::start(world.folder.path());
        upstream.publish(world.now(), &[("app", "2.0-1"), ("other", "2.0-1")]);
        let mut yard = Self {
            front: Front::of(world),
            upstream,
            requests: AtomicU64::new(0),
        };
        let mut hands = Vec::new();
        for seed in 1..=hosts {
            let agent = yard.world().agent(seed).await;
            let mut hand = Hand {
                agent,
                mode: check_in::Mode::Install,
                packages: vec![("app".to_owned(), "1.0-1".to_owned())],
                reports: Vec::new(),
                highest: 0,
                outputs: Vec::new(),
                age: SignedDuration::ZERO,
            };
            hand.comes(&yard).await;
            hands.push(hand);
        }
        let world = yard.world();
        server::agents::flush(&world.context)
            .await
            .expect("it is written");
        world.run("assess").await;
        world.adopt_sources().await;
        world.run("sync").await;
        world.run("assess").await;
        yard.settle().await;
        (yard, hands)
    }

    pub fn world(&self) -> &World {
        &self.front.world
    }

    /// The same server after it was killed.
    pub async fn killed_and_started(self) -> Self {
        let Self {
            front,
            upstream,
            requests,
        } = self;
        let world = front.into_world().killed_and_started().await;
        Self {
            front: Front::of(world),
            upstream,
            requests,
        }
    }

    /// All that the server does by itself: planned, fetched and planned again.
    pub async fn settle(&mut self) {
        for work in ["plan", "stage", "plan"] {
            self.world().run(work).await;
        }
    }

    /// The id of the update of a package.
    pub async fn update(&self, package: &str) -> String {
        let list = self
            .front
            .get(
                self.front
                    .in_tenant(&format!("updates?package={package}&state=listed")),
            )
            .await;
        let items = list.json()["items"].as_array().cloned().unwrap_or_default();
        let [one] = &*items else { panic!("{}", list.text) };
        one["id"].as_str().expect("an id").to_owned()
    }

    /// A request for `app` on all hosts.
    pub async fn request(&self) -> Value {
        json!({ "updates": [self.update("app").await], "hosts": { "all": true } })
    }

    pub async fn preview(&self, request: &Value) -> Answer {
        self.post("deployments/preview", request).await
    }

    /// Makes the change that was previewed; its id.
    pub async fn deploy(&self, request: &Value) -> String {
        let seen = self.preview(request).await;
        assert_eq!(seen.status, 200, "{}", seen.text);
        let mut request = request.clone();
        request["approval"] = seen.json()["approval"].clone();
        let made = self.post("deployments", &request).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["id"].as_str().expect("an id").to_owned()
    }

    pub async fn change(&self, id: &str) -> Value {
        let found = self
            .front
            .get(self.front.in_tenant(&format!("changes/{id}")))
            .await;
        assert_eq!(found.status, 200, "{}", found.text);
        found.json()
    }

    /// The deployments of a change, in the order of hosts as they were enrolled.
    pub async fn deployments(&self, id: &str) -> Vec<Value> {
        let path = self.front.in_tenant(&format!("changes/{id}/deployments"));
        let found = self.front.get(path).await;
        assert_eq!(found.status, 200, "{}", found.text);
        let mut items = found.json()["items"].as_array().expect("items").clone();
        items.sort_by_key(|item| item["host"].to_string());
        items
    }

    /// The deployment of a change on a host.
    pub async fn deployment(&self, id: &str, host: HostId) -> Value {
        let all = self.deployments(id).await;
        let found = all.into_iter().find(|item| item["host"] == host.to_string());
        found.expect("the host is in the change")
    }

    /// How a change is shown on each host, in the order in which they were enrolled.
    pub async fn shown(&self, id: &str) -> Vec<String> {
        let all = self.deployments(id).await;
        all.iter()
            .map(|item| item["shown"].as_str().expect("a word").to_owned())
            .collect()
    }

    /// What somebody decides about something of the tenant's.
    pub async fn decide(&self, path: &str) -> Answer {
        self.post(path, &json!({})).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let key = format!("yard-{}", self.requests.fetch_add(1, Ordering::Relaxed));
        let front = &self.front;
        let asked = front.ask(Method::POST, front.in_tenant(path), &front.local);
        asked.key(&key).json(body).send().await
    }

    pub fn pass(&self, span: SignedDuration) {
        self.world().pass(span);
    }
}

impl Hand {
    fn documents(&self, yard: &Yard) -> [(DocumentKind, Vec<u8>); 3] {
        let packages: Vec<(&str, &str)> = self
            .packages
            .iter()
            .map(|(name, version)| (name.as_str(), version.as_str()))
            .collect();
        yard.upstream.documents(&packages)
    }

    /// Checks in with all that it has to say, and hands over what is wanted.
    pub async fn comes(&mut self, yard: &Yard) -> CheckedIn {
        let documents = self.documents(yard);
        let seen = self.asks(yard, &documents).await;
        let mut wanted = seen.wanted.clone();
        while !wanted.is_empty() {
            let parts: Vec<_> = wanted
                .iter()
                .map(|one| {
                    let digest = |bytes: &Vec<u8>| protocol::sha256(bytes) == one.digest;
                    let own = documents.iter().find(|(_, bytes)| digest(bytes));
                    let own = own.map(|(kind, bytes)| (*kind, bytes.clone()));
                    let output = || self.outputs.iter().find(|bytes| digest(bytes)).cloned();
                    let output = || output().map(|bytes| (DocumentKind::Output, bytes));
                    let (kind, bytes) = own.or_else(output).expect("it has what it named");
                    whole(kind, bytes)
                })
                .collect();
            let taken = self
                .agent
                .hands_over(yard.world(), &parts)
                .await
                .expect("it is judged");
            assert!(taken.refused.is_empty(), "{:?}", taken.refused);
            wanted = taken.wanted;
        }
        let is_heard = |report: &OrderReport| seen.heard.contains(&report.order);
        self.reports.retain(|report| !is_heard(report));
        seen
    }

    async fn asks(&mut self, yard: &Yard, documents: &[(DocumentKind, Vec<u8>); 3]) -> CheckedIn {
        yard.pass(SignedDuration::from_secs(1));
        let world = yard.world();
        let mut message = self.agent.check_in(world, &[]);
        message.documents = documents[..2]
            .iter()
            .map(|(kind, bytes)| DocumentName {
                kind: *kind,
                digest: protocol::sha256(bytes),
                observed_at: world.now() - self.age,
            })
            .collect();
        message.mode = self.mode;
        message.orders.clone_from(&self.reports);
        message.highest_order = self.highest;
        self.agent.sends(world, &message).await.expect("it is heard")
    }

    /// Comes and takes the one order that waits for it.
    pub async fn takes(&mut self, yard: &Yard) -> Taken {
        let seen = self.comes(yard).await;
        let [offered] = &*seen.orders else {
            let changes = yard.front.get(yard.front.in_tenant("changes")).await;
            let work = yard.world().context.board.all();
            panic!("{:?} {} {work:?}", seen.orders, changes.text)
        };
        assert!(seen.ticket.is_some(), "with an order comes a ticket");
        self.accept(yard, offered)
    }

    /// Verifies an order as a host does, and takes it.
    pub fn accept(&mut self, yard: &Yard, offered: &OfferedOrder) -> Taken {
        let world = yard.world();
        let bytes = world.context.content.map(&offered.bundle).expect("it is read");
        let bytes = bytes.expect("the bundle is here");
        assert_eq!(bytes.len() as u64, offered.size_bytes);
        let bundle = Bundle::parse(&bytes).expect("a bundle");
        let key = world.context.authority.orders_key().verifying();
        let stated = Unread::parse(&bundle.order).expect("a statement");
        let stated = stated.open::<OrderDocument>(&key).expect("signed");
        let order = stated.says.into_order();
        let addressee = Addressee {
            host: self.agent.host,
            tenant: world.tenant,
            highest_number: self.highest,
            epoch: 1,
            mode: mode_of(self.mode),
        };
        take(&order, &addressee, world.now()).expect("it is for this host, now");
        assert_eq!(order.number, offered.number);
        let approved = ApprovalDocument::parse(&bundle.approval).expect("an approval");
        assert_eq!(approved.digest, order.approved);
        let scope = approved.approval.scope;
        let in_scope = match bundle.inclusion.proves(self.agent.host, scope) {
            true => domain::change::InScope::Proved,
            false => domain::change::InScope::NotProved,
        };
        approved
            .approval
            .covers(&order, in_scope)
            .expect("it was approved");
        self.highest = order.number;
        let taken = Taken {
            order,
            digest: stated.digest,
        };
        self.says(yard, &taken, Stage::Taken);
        taken
    }

    /// Will say from now on that an order is so far.
    pub fn says(&mut self, yard: &Yard, taken: &Taken, stage: Stage) -> &mut OrderReport {
        let report = OrderReport {
            order: taken.digest,
            number: taken.order.number,
            stage,
            since: yard.world().now(),
            failure: None,
            detail: String::new(),
            last_line: String::new(),
            output: None,
            asks: None,
            took: Took::default(),
        };
        self.reports.retain(|other| other.order != taken.digest);
        self.reports.push(report);
        self.reports.last_mut().expect("it was just put there")
    }

    /// Is ready and asks to begin; the go, if it comes.
    pub async fn asks_to_begin(&mut self, yard: &Yard, taken: &Taken) -> Option<Go> {
        let asked = GoAsked {
            boot: self.agent.bearer.boot,
            nonce: [9; 16],
        };
        self.says(yard, taken, Stage::Prepared).asks = Some(asked);
        let seen = self.comes(yard).await;
        let go = seen.goes.first()?;
        let key = yard.world().context.authority.orders_key().verifying();
        let go = Unread::parse(&go.0).expect("a statement");
        let go = go.open::<GoDocument>(&key).expect("signed").says.into_go();
        let boot = domain::identity::BootId(asked.boot);
        go.allows(taken.digest, boot, asked.nonce, yard.world().now())
            .expect("it answers the question");
        Some(go)
    }

    /// Installs what was ordered.
    pub fn installs(&mut self, taken: &Taken) {
        for package in &taken.order.packages {
            let has = self.packages.iter_mut().find(|(name, _)| **name == *package.name);
            match has {
                Some(has) => has.1 = package.version.to_string(),
                None => self
                    .packages
                    .push((package.name.to_string(), package.version.to_string())),
            }
        }
    }

    /// Says that it ended badly.
    pub fn fails(&mut self, yard: &Yard, taken: &Taken, why: FailureKind) {
        let report = self.says(yard, taken, Stage::Failed);
        report.failure = Some(why);
        report.detail = "as the test says".to_owned();
    }

    /// Carries an order out to its end, and is heard.
    pub async fn carries_out(&mut self, yard: &Yard, taken: &Taken) {
        assert!(self.asks_to_begin(yard, taken).await.is_some(), "it may begin");
        self.says(yard, taken, Stage::Installing);
        self.comes(yard).await;
        self.installs(taken);
        self.says(yard, taken, Stage::Succeeded);
        // The first hands over the inventory, the second is judged by it.
        self.comes(yard).await;
        self.comes(yard).await;
        assert!(self.reports.is_empty(), "its end is kept");
    }
}

fn mode_of(mode: check_in::Mode) -> Mode {
    match mode {
        check_in::Mode::Monitor => Mode::Monitor,
        check_in::Mode::Download => Mode::Download,
        check_in::Mode::Install => Mode::Install,
        check_in::Mode::Full => Mode::Full,
    }
}

/// The moment in an answer.
pub fn moment(value: &Value) -> Timestamp {
    value.as_str().expect("a time").parse().expect("a time")
}
