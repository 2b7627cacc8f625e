//! Sources and findings on a real database: proposed by hosts, adopted, synced, assessed, asked of now and of then.

use crate::world::{NODE, World};
use domain::host::channels::{ChannelConfig, Stanza};
use domain::host::inventory::{InstalledPackage, Inventory};
use domain::id::{HostId, NodeId, SourceId};
use jiff::{SignedDuration, Timestamp};
use protocol::document::Document as _;
use protocol::document::channels::{ChannelConfigDocument, ReleaseClaim, StanzaEvidence};
use protocol::document::inventory::InventoryDocument;
use roaring::RoaringBitmap;
use server::app::finding::{self, AtRisk, AtRiskPackage};
use server::app::{source as sources_app, update as updates_app};
use server::catalog::space::{Room, Space};
use server::{assess, catalog};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use store::document::{Document, DocumentKind, Encoding};
use store::host::{HostMode, HostStanding, HostState, NewHost};
use store::host_document::HostDocument;
use store::source::SourceState;
use store::update::UpdateFilter;
use store::{Error, Whole, host, host_document, lease, source};
use testkit::archive::package::Package;
use testkit::archive::{Archive, Pool};
use testkit::keys::SigningKey;
use testkit::server::Server;

/// A server, an archive that it can reach, and hosts that are only rows.
pub struct Fleet {
    pub world: World,
    key: SigningKey,
    served: PathBuf,
    archive: Server,
}

impl Fleet {
    pub async fn new() -> Self {
        let world = World::new().await;
        let served = world.folder.path().join("served");
        std::fs::create_dir_all(&served).expect("a folder");
        let archive = Server::start(&served).expect("an archive server");
        Self {
            world,
            key: SigningKey::ed25519("World <world@archive.example>"),
            served,
            archive,
        }
    }

    pub fn publish(&self, packages: &[Package]) {
        Archive::new("stable")
            .origin("World")
            .arch("amd64")
            .arch("i386")
            .pool(Pool::Written)
            .date(self.world.now() - SignedDuration::from_mins(1))
            .sign(&self.key)
            .packages(packages.iter().cloned())
            .write_to(&self.served)
            .expect("an archive");
        // What is published within one second of this machine's time has another time in the world's.
        let release = self.served.join("dists/stable/InRelease");
        let file = std::fs::File::options()
            .write(true)
            .open(release)
            .expect("a release file");
        file.set_modified(self.world.now().into())
            .expect("its time is set");
    }

    /// A host that reported these packages, from the archive.
    pub async fn host(&self, number: u8, packages: &[(&str, &str)]) -> HostId {
        let id = HostId([number; 16]);
        let (scope, site, now) = (self.world.scope(), self.world.site, self.world.now());
        let new = NewHost {
            id,
            name: format!("host{number}"),
            site,
            state: HostState::Active,
            mode: HostMode::Monitor,
            agent_version: "0.1.0".to_owned(),
            machine: None,
            moved_from: None,
            copy_of: None,
        };
        let created = self
            .world
            .context
            .db
            .write(move |tx| host::create(tx, &scope, &new, now).map(drop));
        created.await.expect("a host");
        self.report(id, packages).await;
        id
    }

    /// What is served, as files.
    pub fn served(&self) -> &Path {
        &self.served
    }

    /// Who serves it.
    pub fn archive(&self) -> &Server {
        &self.archive
    }

    /// Who signs it.
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// A host hands in what it has.
    pub async fn report(&self, id: HostId, packages: &[(&str, &str)]) {
        let packages = packages.iter();
        let installed = packages.map(|(name, version)| crate::assess::installed(name, version));
        self.report_inventory(id, installed.collect()).await;
    }

    /// The same of packages with all that is known of them, on a host that takes packages for i386 too.
    pub async fn report_inventory(&self, id: HostId, packages: Vec<InstalledPackage>) {
        let stanza = Stanza::new(&self.archive.uri(), "stable", &["main"], &["amd64", "i386"]);
        let config = ChannelConfig {
            native_architecture: "amd64".to_owned(),
            foreign_architectures: vec!["i386".to_owned()],
            stanzas: vec![stanza],
            ..ChannelConfig::default()
        };
        let key = self.key.certificate();
        let evidence = StanzaEvidence {
            keys: vec![content::sha256(&key)],
            release: Some(ReleaseClaim {
                origin: Some("World".to_owned()),
                label: None,
                suite: Some("stable".to_owned()),
                codename: Some("stable".to_owned()),
            }),
        };
        let inventory = Inventory { packages };
        let documents = [
            (DocumentKind::KeyFile, key),
            (
                DocumentKind::ChannelConfig,
                ChannelConfigDocument::of(&config, &[evidence]).to_bytes(),
            ),
            (
                DocumentKind::Inventory,
                InventoryDocument::from(&inventory).to_bytes(),
            ),
        ];
        for (kind, bytes) in documents {
            self.hand_in(id, kind, bytes).await;
        }
        self.world.context.fleets.note_news(self.world.tenant, id);
    }

    async fn hand_in(&self, host: HostId, kind: DocumentKind, bytes: Vec<u8>) {
        let (scope, now) = (self.world.scope(), self.world.now());
        let document = Document {
            digest: content::sha256(&bytes),
            kind,
            encoding: Encoding::Plain,
            size_bytes: bytes.len() as u64,
            bytes,
        };
        let noted = self.world.context.db.write(move |tx| {
            store::document::put(tx, &scope, &document, now)?;
            let note = HostDocument {
                host,
                kind,
                digest: document.digest,
                observed_at: now,
                received_at: now,
            };
            host_document::note(tx, &scope, &note)
        });
        assert!(noted.await.expect("it is stored"));
    }

    pub async fn run(&self, name: &str) {
        self.world.run(name).await;
    }

    async fn sources(&self) -> Vec<source::Source> {
        let scope = self.world.scope();
        let all = self
            .world
            .context
            .db
            .read(move |view| source::all(view, &scope, None));
        all.await.expect("the sources")
    }

    /// Adopts everything that is proposed.
    pub async fn adopt(&self) {
        let (scope, now) = (self.world.scope(), self.world.now());
        for row in self.sources().await {
            let adopted = self.world.context.db.attempt(move |tx| {
                let state = SourceState::Adopted;
                sources_app::set_state(tx, &scope, row.id, row.version, state, now)
            });
            adopted.await.expect("it is adopted");
        }
    }

    /// Makes every adopted source due.
    pub async fn ask_for_sync(&self) {
        let (scope, now) = (self.world.scope(), self.world.now());
        for row in self.sources().await {
            let asked = self
                .world
                .context
                .db
                .attempt(move |tx| sources_app::ask_for_sync(tx, &scope, row.id, now));
            asked.await.expect("it is asked for");
        }
    }

    /// Who misses what, by source and version, as stored: of a moment, or now.
    async fn missing(&self, as_of: Option<Timestamp>) -> BTreeMap<String, RoaringBitmap> {
        let (context, scope) = (&self.world.context, self.world.scope());
        let page = updates_app::page(context, scope, UpdateFilter::default(), as_of, None, 100)
            .await
            .expect("the updates");
        let mut missing = BTreeMap::new();
        for update in page.items {
            let id = update.id.0.parse().expect("an id");
            let hosts = updates_app::hosts(context, scope, id, as_of)
                .await
                .expect("the hosts");
            assert_eq!(hosts.len(), update.hosts);
            if !hosts.is_empty() {
                missing.insert(format!("{} {}", update.source, update.source_version), hosts);
            }
        }
        missing
    }

    async fn standing(&self, id: HostId) -> (HostStanding, u32) {
        let row = self.world.host(id).await;
        (row.standing, row.missing)
    }
}

fn hosts(numbers: &[u32]) -> RoaringBitmap {
    numbers.iter().copied().collect()
}

/// A server whose two hosts' source was adopted and synced.
async fn assessed() -> (Fleet, [HostId; 2]) {
    let fleet = Fleet::new().await;
    fleet.publish(&[Package::new("hello", "1.0-2"), Package::new("plain", "2.0-1")]);
    let first = fleet.host(10, &[("hello", "1.0-1")]).await;
    let second = fleet.host(11, &[("hello", "1.0-1"), ("plain", "1.9-1")]).await;
    fleet.run("assess").await;
    fleet.adopt().await;
    fleet.run("sync").await;
    fleet.run("assess").await;
    (fleet, [first, second])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hosts_use_is_proposed_and_once_adopted_and_synced_it_answers() {
    let fleet = Fleet::new().await;
    fleet.publish(&[Package::new("hello", "1.0-2"), Package::new("plain", "2.0-1")]);
    let first = fleet.host(10, &[("hello", "1.0-1")]).await;
    let second = fleet.host(11, &[("hello", "1.0-1"), ("plain", "1.9-1")]).await;
    fleet.run("assess").await;
    assert_eq!(fleet.standing(first).await, (HostStanding::Unknown, 0));
    let proposed = fleet.sources().await;
    assert_eq!(proposed.len(), 1, "two hosts of one archive propose one source");
    assert_eq!(proposed[0].state, SourceState::Proposed);

    fleet.adopt().await;
    fleet.run("sync").await;
    fleet.run("assess").await;
    let expected = BTreeMap::from([
        ("hello 1.0-2".to_owned(), hosts(&[0, 1])),
        ("plain 2.0-1".to_owned(), hosts(&[1])),
    ]);
    assert_eq!(fleet.missing(None).await, expected);
    assert_eq!(fleet.standing(first).await, (HostStanding::UpdatesMissing, 1));
    assert_eq!(fleet.standing(second).await, (HostStanding::UpdatesMissing, 2));

    // Nothing new: nothing is written.
    let generation = generation(&fleet).await;
    fleet.run("assess").await;
    assert_eq!(self::generation(&fleet).await, generation);
}

async fn generation(fleet: &Fleet) -> u64 {
    let scope = fleet.world.scope();
    let context = &fleet.world.context;
    let found = context
        .db
        .read(move |view| store::finding::generation(view, &scope, None));
    found
        .await
        .expect("a generation")
        .map_or(0, |generation| generation.number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_about_the_past_is_answered_as_it_was_known_then() {
    let (fleet, [first, _]) = assessed().await;
    let before = fleet.world.now();
    fleet.world.pass(SignedDuration::from_hours(1));
    fleet.report(first, &[("hello", "1.0-2")]).await;
    fleet.publish(&[Package::new("hello", "1.0-2"), Package::new("plain", "3.0-1")]);
    fleet.ask_for_sync().await;
    fleet.run("sync").await;
    fleet.run("assess").await;
    let now = fleet.missing(None).await;
    assert_eq!(now["plain 3.0-1"], hosts(&[1]));
    assert!(!now.contains_key("plain 2.0-1"), "{now:?}");
    let then = fleet.missing(Some(before)).await;
    assert_eq!(then["hello 1.0-2"], hosts(&[0, 1]));
    assert_eq!(then["plain 2.0-1"], hosts(&[1]));
    assert!(!then.contains_key("plain 3.0-1"));
    // The host itself, looked at as it was known then.
    let (context, scope) = (&fleet.world.context, fleet.world.scope());
    let of_then = finding::of_host(context, scope, first, Some(before))
        .await
        .expect("findings of then");
    assert_eq!(of_then.packages[0].installed, "1.0-1");
    let of_now = finding::of_host(context, scope, first, None)
        .await
        .expect("findings of now");
    assert_ne!(
        of_now.packages.first().map(|package| &*package.installed),
        Some("1.0-1")
    );
    // What left its source is withdrawn.
    let filter = UpdateFilter {
        package: Some("plain".to_owned()),
        ..UpdateFilter::default()
    };
    let page = updates_app::page(context, scope, filter, None, None, 10)
        .await
        .expect("updates");
    let states: BTreeMap<String, &str> = page
        .items
        .into_iter()
        .map(|update| (update.source_version, update.state))
        .collect();
    assert_eq!(states["2.0-1"], "withdrawn");
    assert_eq!(states["3.0-1"], "listed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wiping_what_is_in_memory_changes_no_answer() {
    let (fleet, [first, _]) = assessed().await;
    let (missing, generation) = (fleet.missing(None).await, generation(&fleet).await);
    fleet.world.context.fleets.wipe();
    fleet.run("assess").await;
    assert_eq!(fleet.missing(None).await, missing);
    assert!(missing.len() == 2 && generation > 0);
    // What changed while nothing was in memory is found too.
    fleet.world.context.fleets.wipe();
    fleet.report(first, &[("plain", "1.0-1")]).await;
    fleet.world.context.fleets.wipe();
    fleet.run("assess").await;
    let after = fleet.missing(None).await;
    assert_eq!(after["plain 2.0-1"], hosts(&[0, 1]));
    assert_eq!(after["hello 1.0-2"], hosts(&[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assessor_that_lost_its_lease_writes_nothing() {
    let (fleet, [first, _]) = assessed().await;
    let context = &fleet.world.context;
    let missing = fleet.missing(None).await;
    let now = fleet.world.now();
    let take = |node: NodeId, at: Timestamp| {
        context.db.write(move |tx| {
            let until = at + SignedDuration::from_mins(1);
            lease::take(tx, &Whole::server(), "assess", node, at, until)
        })
    };
    let late = now + SignedDuration::from_hours(1);
    let lost = take(NodeId([7; 16]), late)
        .await
        .expect("a lease")
        .expect("it is free");
    let later = late + SignedDuration::from_hours(1);
    take(NodeId([8; 16]), later)
        .await
        .expect("a lease")
        .expect("it is free again");
    fleet
        .report(first, &[("hello", "1.0-2"), ("plain", "1.0-1")])
        .await;
    let refused = assess::run(context, &lost)
        .await
        .expect_err("the lease is another's");
    let cause = refused.downcast_ref::<Error>();
    assert!(matches!(cause, Some(Error::Fenced { .. })), "{refused:?}");
    assert_eq!(fleet.missing(None).await, missing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_keeps_its_snapshot_and_says_why() {
    let (fleet, [first, _]) = assessed().await;
    let missing = fleet.missing(None).await;
    for file in ["InRelease", "Release", "Release.gpg"] {
        let _ = std::fs::remove_file(fleet.served.join("dists/stable").join(file));
    }
    fleet.ask_for_sync().await;
    fleet.run("sync").await;
    fleet.run("assess").await;
    let row = &fleet.sources().await[0];
    assert!(row.last_outcome.contains("failed"), "{}", row.last_outcome);
    assert!(row.last_success_at < row.last_sync_at);
    assert!(
        row.next_sync_at > Some(fleet.world.now()),
        "it is tried again later"
    );
    assert_eq!(fleet.missing(None).await, missing);
    assert_eq!(fleet.standing(first).await.0, HostStanding::UpdatesMissing);
    // Not for ever: what nobody could ask for days proves nothing.
    fleet.world.pass(assess::channels::UNREACHED);
    fleet.run("assess").await;
    assert_eq!(fleet.standing(first).await, (HostStanding::Unknown, 1));
    assert_eq!(fleet.missing(None).await, missing);
}

/// A disk with little room.
struct Full;

impl Space for Full {
    fn room(&self) -> std::io::Result<Room> {
        Ok(Room {
            total_bytes: 100 << 30,
            free_bytes: (1 << 30) - 1,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn syncs_rest_before_the_disk_is_full() {
    let (fleet, _) = assessed().await;
    let before = fleet.sources().await;
    fleet.ask_for_sync().await;
    let now = fleet.world.now();
    let until = now + SignedDuration::from_mins(30);
    let context = &fleet.world.context;
    let fence = context
        .db
        .write(move |tx| lease::take(tx, &Whole::server(), "sync", NODE, now, until));
    let fence = fence.await.expect("a lease").expect("it is ours");
    let refused = catalog::sync_with(context, &fence, &Full)
        .await
        .expect_err("there is no room");
    assert!(refused.to_string().contains("1023 MiB"), "{refused}");
    assert_eq!(fleet.sources().await[0].last_sync_at, before[0].last_sync_at);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_a_package_is_missing_an_update_and_who_is_at_risk_is_said() {
    let (fleet, [first, _]) = assessed().await;
    let (context, scope) = (&fleet.world.context, fleet.world.scope());
    let sentences = finding::explain(context, scope, first, "hello", None)
        .await
        .expect("it is known");
    assert!(
        sentences.iter().any(|sentence| sentence.contains("1.0-2")),
        "{sentences:?}"
    );
    finding::explain(context, scope, first, "nonsense", None)
        .await
        .expect_err("nobody knows it");
    let asked = AtRisk {
        name: "CVE-2026-0001".to_owned(),
        packages: vec![AtRiskPackage {
            package: None,
            source: Some("plain".to_owned()),
            from: None,
            fixed: Some("2.0-1".to_owned()),
            codename: None,
        }],
    };
    let warning = asked.warning().expect("a range");
    let at_risk = finding::at_risk(context, scope, &warning)
        .await
        .expect("an answer");
    assert_eq!(at_risk, hosts(&[1]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tenant_sees_anothers_findings_or_sources() {
    let (fleet, [first, _]) = assessed().await;
    let context = &fleet.world.context;
    let other = store::Scope::of_tenant(domain::id::TenantId([9; 16]));
    finding::of_host(context, other, first, None)
        .await
        .expect_err("it is another's host");
    assert!(
        sources_app::list(context, other, None, None, 10)
            .await
            .expect("a list")
            .items
            .is_empty()
    );
    let page = updates_app::page(context, other, UpdateFilter::default(), None, None, 10).await;
    assert!(page.expect("a list").items.is_empty());
    let id: SourceId = fleet.sources().await[0].id;
    sources_app::get(context, other, id)
        .await
        .expect_err("it is another's source");
}
