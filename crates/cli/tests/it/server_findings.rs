//! What a server finds out about a host from its documents and its own syncs, against a scan of the same host by the command:
//! the same updates, packages, states, kinds and counts. The scan itself is held against apt by the tests beside this one.

use crate::chance::Chance;
use crate::generated::world::World;
use crate::inventories::{SUITES, statuses, tree_with_lists};
use crate::product::{Scan, assert_same, scan, text};
use agent::documents::{self, HostDocument};
use agent::host::ReadOptions;
use agent::survey::Look;
use domain::id::{HostId, SiteId, TenantId};
use jiff::Timestamp;
use serde_json::Value;
use server::app::finding;
use server::reconcile::{ALL, node, run_once};
use server::start::{Ports, Server};
use server::{Context, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use store::document::{Document, DocumentKind, Encoding};
use store::host::{HostMode, HostStanding, HostState, NewHost};
use store::source::SourceState;
use store::{Scope, Whole, host_document};
use testkit::skip::cases;

/// Hosts of one world that one server is asked about.
const HOSTS_A_WORLD: u64 = 10;

/// The identity of an update: its publisher's origin and keys, source, version, build.
type Update = [String; 5];

/// A server that hosts hand their documents to.
struct Fleet {
    context: Context,
    runtime: tokio::runtime::Runtime,
    hosts: u8,
    _folder: tempfile::TempDir,
}

const SITE: SiteId = SiteId([2; 16]);

fn scope() -> Scope {
    Scope::of_tenant(TenantId([1; 16]))
}

impl Fleet {
    fn new(beside: Option<&Path>) -> Self {
        let folder = match beside {
            Some(folder) => tempfile::tempdir_in(folder).unwrap(),
            None => tempfile::tempdir().unwrap(),
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let settings = Settings::defaults_in(&folder.path().join("data"));
        let context = runtime
            .block_on(Server::open(settings, Ports::default()))
            .unwrap();
        let now = context.clock.now();
        let added = context.db.write(move |tx| {
            store::tenant::create(tx, &Whole::server(), scope().tenant(), "main", now)?;
            store::site::create(tx, &scope(), SITE, "main", now)
        });
        runtime.block_on(added).unwrap();
        Self {
            context,
            runtime,
            hosts: 0,
            _folder: folder,
        }
    }

    /// A host hands in what its agent reads of this tree.
    fn enrol(&mut self, root: &Path) -> HostId {
        self.hosts += 1;
        let id = HostId([self.hosts; 16]);
        let now = self.context.clock.now();
        let look = Look {
            now_micros: now.as_microsecond(),
            neighbours: None,
        };
        let read = documents::read(root, ReadOptions::default(), &look).unwrap();
        let new = NewHost {
            id,
            name: format!("host{}", self.hosts),
            site: SITE,
            state: HostState::Active,
            mode: HostMode::Monitor,
            agent_version: "0.1.0".to_owned(),
            machine: None,
            moved_from: None,
            copy_of: None,
        };
        let all: Vec<(Document, bool)> = read
            .key_files
            .iter()
            .map(|file| (stored(file), false))
            .chain(read.named().map(|own| (stored(own), true)))
            .collect();
        let written = self.context.db.write(move |tx| {
            store::host::create(tx, &scope(), &new, now)?;
            for (document, is_named) in &all {
                store::document::put(tx, &scope(), document, now)?;
                let note = host_document::HostDocument {
                    host: id,
                    kind: document.kind,
                    digest: document.digest,
                    observed_at: now,
                    received_at: now,
                };
                if *is_named {
                    host_document::note(tx, &scope(), &note)?;
                }
            }
            Ok(())
        });
        self.runtime.block_on(written).unwrap();
        self.context.fleets.note_news(scope().tenant(), id);
        id
    }

    fn run(&self, name: &str) {
        let work = ALL.iter().find(|work| work.name == name).unwrap();
        let ran = run_once(&self.context, work, node(&self.context));
        assert!(self.runtime.block_on(ran));
        let standing = &self.context.board.all()[name];
        assert_eq!(standing.failures, 0, "{standing:?}");
    }

    /// Adopts whatever the hosts propose, syncs it and assesses them.
    fn assess(&self) {
        self.run("assess");
        let adopted = self.context.db.write(|tx| {
            for source in store::source::all(tx, &scope(), Some(SourceState::Proposed))? {
                let edit = store::source::SourceEdit {
                    kind: source.kind,
                    state: SourceState::Adopted,
                    name: source.name,
                    addresses: source.addresses,
                    components: source.components,
                    architectures: source.architectures,
                    schedule: source.schedule,
                    credentials_sealed: None,
                    next_sync_at: Some(Timestamp::UNIX_EPOCH),
                };
                assert!(store::source::edit(tx, &scope(), source.id, source.version, &edit)?.is_changed());
            }
            Ok(())
        });
        self.runtime.block_on(adopted).unwrap();
        self.run("sync");
        self.run("assess");
    }

    /// What is found of a host when it is looked at.
    fn look(&self, id: HostId) -> Value {
        let found = finding::of_host(&self.context, scope(), id, None);
        serde_json::to_value(self.runtime.block_on(found).unwrap()).unwrap()
    }

    /// How it stands in the list of hosts, and the updates of its bitmaps.
    fn row(&self, id: HostId) -> (store::host::Host, BTreeSet<Update>) {
        let read = self.context.db.read(move |view| {
            let host = store::host::get(view, &scope(), id)?.expect("the host is there");
            let keys = finding::updates_of(view, &scope(), host.host_no, None)?;
            Ok((host, store::update::get_many(view, &scope(), &keys)?))
        });
        let (host, updates) = self.runtime.block_on(read).unwrap();
        let updates = updates.into_iter().map(|update| update.identity);
        let updates = updates.map(|update| {
            [
                update.origin,
                update.signing_keys,
                update.source,
                update.source_version,
                update.build,
            ]
        });
        (host, updates.collect())
    }

    /// Compares everything that both say of a host; how many updates that are.
    fn compare(&self, what: &str, id: HostId, scan: &Scan) -> usize {
        let found = self.look(id);
        let ours: BTreeSet<String> = found["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(package)
            .collect();
        let theirs: BTreeSet<String> = scan.packages().map(package).collect();
        assert_same(&format!("{what}: packages"), &ours, &theirs);
        let standing = text(&scan.0, "standing");
        assert_eq!(found["standing"], standing, "{what}: {}", found["not_assessed"]);
        let (row, updates) = self.row(id);
        let listed = scan.0["updates"].as_array().unwrap();
        let mut is_security: BTreeMap<Update, bool> = BTreeMap::new();
        for update in listed {
            let publisher = &update["publisher"];
            let key = [
                text(publisher, "origin"),
                publisher["keys"].to_string(),
                text(update, "source"),
                text(update, "source_version"),
                text(update, "build"),
            ];
            *is_security.entry(key).or_default() |= update["classification"] == "security";
        }
        let all: BTreeSet<_> = is_security.keys().cloned().collect();
        assert_same(&format!("{what}: updates"), &updates, &all);
        let security = is_security.values().filter(|is_security| **is_security).count();
        assert_eq!(
            row.missing as usize,
            all.len(),
            "{what}: updates in the list of hosts"
        );
        assert_eq!(
            row.missing_security as usize, security,
            "{what}: security updates"
        );
        let stands = match row.standing {
            HostStanding::Unknown => "unknown",
            HostStanding::UpdatesMissing => "updates_missing",
            HostStanding::UpToDate => "up_to_date",
        };
        assert_eq!(stands, standing, "{what}: standing in the list of hosts");
        all.len()
    }
}

fn stored(document: &HostDocument) -> Document {
    use protocol::document::DocumentKind as Wire;
    Document {
        digest: document.digest,
        kind: match document.kind {
            Wire::Inventory => DocumentKind::Inventory,
            Wire::ChannelConfig => DocumentKind::ChannelConfig,
            Wire::Facts => DocumentKind::Facts,
            _ => DocumentKind::KeyFile,
        },
        encoding: Encoding::Plain,
        size_bytes: document.bytes.len() as u64,
        bytes: document.bytes.to_vec(),
    }
}

/// All that both say of a package, in one line.
fn package(package: &Value) -> String {
    let members = [
        "name",
        "architecture",
        "installed",
        "available",
        "source",
        "source_version",
        "classification",
        "state",
    ];
    members.map(|name| text(package, name)).join(" ")
}

#[test]
fn a_server_finds_on_generated_hosts_what_a_scan_of_them_finds() {
    let worlds = cases("PATCHYARD_HOSTS", 2 * HOSTS_A_WORLD, 10 * HOSTS_A_WORLD).div_ceil(HOSTS_A_WORLD);
    let (mut updates, mut states) = (0, BTreeSet::new());
    for seed in 0..worlds {
        let world = World::generate(seed);
        let (mut fleet, caches) = (Fleet::new(None), tempfile::tempdir().unwrap());
        let hosts: Vec<_> = (0..HOSTS_A_WORLD)
            .map(|number| {
                let tree = world.host(&mut Chance::new(seed * 1_000_000 + number));
                (fleet.enrol(tree.path()), tree)
            })
            .collect();
        fleet.assess();
        for (number, (id, tree)) in hosts.iter().enumerate() {
            let scanned = scan(tree.path(), caches.path(), &[]);
            updates += fleet.compare(&format!("host {number} of world {seed}"), *id, &scanned);
            states.extend(scanned.packages().map(|package| text(package, "state")));
        }
    }
    assert!(updates > 500, "only {updates} updates were compared");
    for state in ["missing", "held", "phased"] {
        assert!(states.contains(state), "no package was {state}");
    }
}

#[test]
fn a_server_finds_on_the_shared_inventories_what_a_scan_of_them_finds() {
    for suite in SUITES {
        let Some(tree) = tree_with_lists(suite, &[]) else {
            return;
        };
        let caches = tempfile::tempdir_in(testkit::lab::cache()).unwrap();
        let mut fleet = Fleet::new(Some(caches.path()));
        let status = tree.path().join("var/lib/dpkg/status");
        let hosts: Vec<_> = statuses(suite)
            .into_iter()
            .map(|(name, packages)| {
                std::fs::write(&status, &packages).unwrap();
                (name, packages, fleet.enrol(tree.path()))
            })
            .collect();
        fleet.assess();
        for (name, packages, id) in hosts {
            std::fs::write(&status, packages).unwrap();
            let scanned = scan(tree.path(), caches.path(), &[]);
            assert!(fleet.compare(&name, id, &scanned) > 0, "{name} misses nothing");
        }
    }
}
