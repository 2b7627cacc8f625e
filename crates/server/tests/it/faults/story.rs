//! A server's life in a few steps, each told when it is acknowledged: hosts enrol and report, a source is adopted, synced
//! and assessed, a person changes something, a backup is made and restored.

use crate::api::Front;
use crate::world::{Agent, World, whole};
use domain::host::channels::{ChannelConfig, Stanza};
use domain::host::inventory::Inventory;
use jiff::{SignedDuration, Timestamp};
use protocol::document::channels::{ChannelConfigDocument, ReleaseClaim, StanzaEvidence};
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document as _, DocumentKind};
use protocol::message::check_in::{CheckedIn, Mode};
use protocol::message::orders::{FailureKind, GoAsked, OrderReport, Stage, Took};
use protocol::order::Bundle;
use server::clock::SeededChance;
use server::operations::backup::{self, Choice, ContentChoice, MasterKeyChoice, Restore};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use store::Whole;
use store::enrolment_token::Admits;
use testkit::archive::package::Package;
use testkit::archive::{Archive, Pool};
use testkit::keys::SigningKey;
use testkit::server::Server;

/// Something that was acknowledged: a word, and its particulars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact(pub Vec<String>);

impl Fact {
    /// Says it to whoever started this process.
    #[expect(
        clippy::print_stdout,
        reason = "what a process said last is what was acknowledged"
    )]
    pub fn say(words: &[&str]) {
        println!("fact\t{}", words.join("\t"));
    }

    /// Reads a line of what a process said.
    pub fn parse(line: &str) -> Option<Self> {
        let words = line.split("fact\t").nth(1)?;
        Some(Self(words.split('\t').map(str::to_owned).collect()))
    }

    /// Its word.
    pub fn is(&self, word: &str) -> bool {
        self.0[0] == word
    }

    /// A particular, counted from 1.
    pub fn part(&self, at: usize) -> &str {
        &self.0[at]
    }
}

/// An archive that the story's hosts use.
pub struct Upstream {
    pub key: SigningKey,
    pub archive: Server,
    pub folder: PathBuf,
}

impl Upstream {
    pub fn start(folder: &Path) -> Self {
        let folder = folder.join("served");
        std::fs::create_dir_all(&folder).expect("a folder");
        Self {
            key: SigningKey::ed25519("World <world@archive.example>"),
            archive: Server::start(&folder).expect("an archive server"),
            folder,
        }
    }

    /// Publishes these packages.
    pub fn publish(&self, now: Timestamp, packages: &[(&str, &str)]) {
        let packages = packages.iter().map(|(name, version)| Package::new(name, version));
        Archive::new("stable")
            .origin("World")
            .arch("amd64")
            .pool(Pool::Written)
            .date(now - SignedDuration::from_mins(1))
            .sign(&self.key)
            .packages(packages)
            .write_to(&self.folder)
            .expect("an archive");
        // What is published within one second of this machine's time has another time in the world's.
        let release = std::fs::File::options()
            .write(true)
            .open(self.folder.join("dists/stable/InRelease"))
            .expect("a release file");
        release.set_modified(now.into()).expect("its time is set");
    }

    /// The documents of a host that has these packages from here: channel config, inventory and key.
    pub fn documents(&self, packages: &[(&str, &str)]) -> [(DocumentKind, Vec<u8>); 3] {
        let config = ChannelConfig {
            native_architecture: "amd64".to_owned(),
            stanzas: vec![Stanza::new(&self.archive.uri(), "stable", &["main"], &["amd64"])],
            ..ChannelConfig::default()
        };
        let key = self.key.certificate();
        let evidence = StanzaEvidence {
            keys: vec![content::sha256(&key)],
            release: Some(ReleaseClaim {
                origin: Some("World".to_owned()),
                suite: Some("stable".to_owned()),
                codename: Some("stable".to_owned()),
                label: None,
            }),
        };
        let installed = packages
            .iter()
            .map(|(name, version)| crate::assess::installed(name, version));
        let inventory = Inventory {
            packages: installed.collect(),
        };
        [
            (
                DocumentKind::ChannelConfig,
                ChannelConfigDocument::of(&config, &[evidence]).to_bytes(),
            ),
            (
                DocumentKind::Inventory,
                InventoryDocument::from(&inventory).to_bytes(),
            ),
            (DocumentKind::KeyFile, key),
        ]
    }

    /// A host checks in and hands over what the server lacks. What was acknowledged, by kind and digest.
    pub async fn report(
        &self,
        world: &World,
        agent: &mut Agent,
        packages: &[(&str, &str)],
    ) -> Vec<(DocumentKind, String)> {
        let documents = self.documents(packages);
        let digest = |bytes: &[u8]| protocol::sha256(bytes);
        let named: Vec<_> = documents[..2]
            .iter()
            .map(|(kind, bytes)| (*kind, digest(bytes)))
            .collect();
        let mut wanted = agent.checks_in(world, &named).await.expect("it is heard").wanted;
        let mut acknowledged = Vec::new();
        while !wanted.is_empty() {
            let of = |one: &protocol::message::check_in::Wanted| {
                let (kind, bytes) = documents
                    .iter()
                    .find(|(_, bytes)| digest(bytes) == one.digest)
                    .expect("its own");
                whole(*kind, bytes.clone())
            };
            let parts: Vec<_> = wanted.iter().map(of).collect();
            let taken = agent.hands_over(world, &parts).await.expect("it is judged");
            assert!(taken.refused.is_empty(), "{:?}", taken.refused);
            for digest in taken.taken {
                let part = parts.iter().find(|(part, _)| part.digest == digest);
                acknowledged.push((part.expect("its own").0.kind, digest.to_string()));
            }
            wanted = taken.wanted;
        }
        acknowledged
    }
}

/// With what an agent goes on after its process, or the server's, was killed.
fn say_link(agent: &Agent, seed: u8) {
    let mac: String = agent.link.mac.iter().map(|byte| format!("{byte:02x}")).collect();
    Fact::say(&[
        "link",
        &seed.to_string(),
        &agent.host.to_string(),
        &agent.sequence.to_string(),
        &agent.link.count.to_string(),
        &mac,
    ]);
}

async fn reports(world: &World, upstream: &Upstream, agent: &mut Agent, seed: u8, packages: &[(&str, &str)]) {
    let acknowledged = upstream.report(world, agent, packages).await;
    say_link(agent, seed);
    for (kind, digest) in acknowledged {
        Fact::say(&["document", &agent.host.to_string(), kind.name(), &digest]);
    }
}

async fn assessed(world: &World) {
    world.run("assess").await;
    Fact::say(&["missing", &shown(&world.missing(None).await)]);
}

/// Who misses what, in one line.
pub fn shown(missing: &BTreeMap<String, roaring::RoaringBitmap>) -> String {
    let each = missing
        .iter()
        .map(|(update, hosts)| format!("{update}: {:?}", hosts.iter().collect::<Vec<_>>()));
    each.collect::<Vec<_>>().join("; ")
}

async fn synced(world: &World) {
    world.run("sync").await;
    let in_force = world
        .context
        .db
        .read(|view| store::snapshot::in_force(view, &Whole::server()));
    for snapshot in in_force.await.expect("the snapshots") {
        Fact::say(&["snapshot", &snapshot.digest.to_string()]);
    }
}

/// What is published in the story, first and then.
pub const PUBLISHED: [[(&str, &str); 2]; 2] = [
    [("hello", "1.0-2"), ("plain", "2.0-1")],
    [("hello", "1.0-3"), ("plain", "2.0-1")],
];

/// Lives the life in this folder, and says what is acknowledged.
pub async fn live(folder: &Path) {
    let world = World::in_folder(folder).await;
    Fact::say(&["opened", &world.context.authority.root_digest().to_string()]);
    let upstream = Upstream::start(folder);
    upstream.publish(world.now(), &PUBLISHED[0]);
    let mut agents = Vec::new();
    for seed in [1, 2] {
        let mut agent = Agent::new(seed);
        let secret = world.token(1, Admits::Active).await;
        agent.enrol(&world, secret).await.expect("it is let in");
        Fact::say(&["enrolled", &agent.host.to_string()]);
        say_link(&agent, seed);
        reports(&world, &upstream, &mut agent, seed, &[("hello", "1.0-1")]).await;
        agents.push(agent);
    }
    world.run("assess").await;
    world.adopt_sources().await;
    Fact::say(&["adopted"]);
    synced(&world).await;
    assessed(&world).await;
    // Never a version that is published: another build of it would be an update.
    reports(&world, &upstream, &mut agents[1], 2, &[("plain", "1.0-1")]).await;
    world.pass(SignedDuration::from_mins(5));
    upstream.publish(world.now(), &PUBLISHED[1]);
    world.ask_for_sync().await;
    synced(&world).await;
    assessed(&world).await;
    let world = decided(world).await;
    let world = ordered(world, &mut agents[0]).await;
    kept_elsewhere(&world).await;
}

/// A person adds a site, and the audit's chains are sealed.
async fn decided(world: World) -> World {
    let front = Front::of(world);
    let key = front.new_key();
    let path = front.in_tenant("sites");
    let body = serde_json::json!({ "name": "annex" });
    let asked = front.ask(axum::http::Method::POST, path, &front.local);
    let made = asked.key(&key).json(&body).send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    Fact::say(&["site", "annex", &id, &key]);
    front.world.run("seal-audit").await;
    Fact::say(&["sealed"]);
    front.world
}

/// What the first host misses is deployed: ordered, permitted, and failed in the end, so that it has what it had.
async fn ordered(world: World, agent: &mut Agent) -> World {
    let front = Front::of(world);
    let hello = front
        .get(front.in_tenant("updates?package=hello&state=listed"))
        .await
        .json();
    let mut request = serde_json::json!({
        "updates": [hello["items"][0]["id"]], "hosts": { "ids": [agent.host.to_string()] },
    });
    let seen = front
        .post(front.in_tenant("deployments/preview"), request.clone())
        .await;
    request["approval"] = seen.json()["approval"].clone();
    let made = front.post(front.in_tenant("deployments"), request).await;
    assert_eq!(made.status, 201, "{}", made.text);
    Fact::say(&["change", made.json()["id"].as_str().expect("an id")]);
    let world = &front.world;
    says(world, agent, &[], 0).await;
    for work in ["plan", "stage", "plan"] {
        world.run(work).await;
    }
    let offered = says(world, agent, &[], 0).await.orders;
    let [offered] = &*offered else {
        panic!("{offered:?}")
    };
    Fact::say(&["order", &offered.number.to_string()]);
    let bundle = world
        .context
        .content
        .map(&offered.bundle)
        .expect("read")
        .expect("here");
    let bundle = Bundle::parse(&bundle).expect("a bundle");
    let mut report = OrderReport {
        order: protocol::sha256(&bundle.order),
        number: offered.number,
        stage: Stage::Prepared,
        since: world.now(),
        failure: None,
        detail: String::new(),
        last_line: String::new(),
        output: None,
        asks: Some(GoAsked {
            boot: agent.bearer.boot,
            nonce: [1; 16],
        }),
        took: Took::default(),
    };
    let permitted = says(world, agent, &[report.clone()], offered.number).await;
    assert_eq!(permitted.goes.len(), 1);
    Fact::say(&["go", &offered.number.to_string()]);
    (report.stage, report.failure, report.asks) = (Stage::Failed, Some(FailureKind::DiskFull), None);
    let heard = says(world, agent, &[report.clone()], offered.number).await;
    assert_eq!(heard.heard, [report.order]);
    Fact::say(&["ended", &offered.number.to_string()]);
    front.into_world()
}

/// The first host checks in with what it has to say of orders.
async fn says(world: &World, agent: &mut Agent, reports: &[OrderReport], highest: u64) -> CheckedIn {
    let mut message = agent.check_in(world, &[]);
    message.mode = Mode::Install;
    message.orders = reports.to_vec();
    message.highest_order = highest;
    let seen = agent.sends(world, &message).await.expect("it is heard");
    say_link(agent, 1);
    seen
}

/// With everything, so that it can be restored by itself.
pub const WHOLE: Choice = Choice {
    content: ContentChoice::Included,
    master_key: MasterKeyChoice::Included,
};

/// Where the story's backup, its restored server and the copy of its database are.
pub fn places(folder: &Path) -> [PathBuf; 3] {
    ["backup", "elsewhere", "copy.db"].map(|name| folder.join(name))
}

/// Restores the story's backup.
pub async fn restore(world: &World) -> Result<(), backup::RestoreError> {
    let [backup, data, _] = places(world.folder.path());
    let request = Restore {
        backup: &backup,
        data: &data,
        master_key: None,
    };
    backup::restore(request, world.now(), &SeededChance::new(9))
        .await
        .map(drop)
}

/// A backup, a restore elsewhere, a copy of the database, and a sweep.
async fn kept_elsewhere(world: &World) {
    let [place, _, copy] = places(world.folder.path());
    backup::make(&world.context, &place, "story", WHOLE)
        .await
        .expect("a backup is made");
    Fact::say(&["backup"]);
    restore(world).await.expect("it is restored");
    Fact::say(&["restored"]);
    let (db, now) = (&world.context.db, world.now());
    db.copy_into_file(&copy, now)
        .await
        .expect("the database is copied");
    Fact::say(&["copied"]);
    let stray = world
        .context
        .content
        .insert(&b"stray"[..], content::Expected::AtMost { size_bytes: 9 });
    let path = world.context.content.path(&stray.expect("it is kept").0);
    let file = std::fs::File::options()
        .append(true)
        .open(path.expect("it is there"));
    file.expect("it opens")
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .expect("it is old");
    world.run("sweep-content").await;
    Fact::say(&["swept"]);
}
