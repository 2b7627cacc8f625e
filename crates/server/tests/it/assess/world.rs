//! Archives that are really synced, and hosts that are only told of.

use content::Store;
use domain::assess::fleet::{HostNo, Reading};
use domain::catalog::source::{KnownSource, SourceIdentity};
use domain::catalog::update::Publisher;
use domain::host::channels::{ChannelConfig, Stanza};
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, Inventory, PackageState, ReinstallRequired, Selection,
};
use domain::id::{SnapshotId, SourceId};
use jiff::Timestamp;
use server::assess::channels::{HostChannels, StanzaKeys};
use server::assess::fleet::{Fleet, HostRow};
use server::assess::force::{InForce, SnapshotInForce, SourceInForce};
use server::catalog::fetching::{News, Place, Wanted, fetch};
use sources::apt::channels::KeyFile;
use sources::apt::keyring::Keyring;
use sources::apt::snapshot::Kept;
use std::collections::{BTreeMap, BTreeSet};
use testkit::archive::Archive;
use testkit::archive::package::Package;
use testkit::keys::SigningKey;
use testkit::server::Server;

/// Where archives are published and synced to.
pub struct World {
    pub content: Store,
    pub key: SigningKey,
    pub now: Timestamp,
    folder: tempfile::TempDir,
}

/// A snapshot of a source.
pub struct Published {
    pub suite: String,
    pub identity: SourceIdentity,
    pub kept: Kept,
    keys: Vec<String>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("the world can be made");
        Self {
            content: Store::open(&folder.path().join("content")).expect("the world can be made"),
            key: SigningKey::ed25519("World <world@archive.example>"),
            now: "2026-03-01T12:00:00Z".parse().expect("the world can be made"),
            folder,
        }
    }

    /// Publishes a suite with these packages and syncs it.
    pub fn publish(&self, suite: &str, key: &SigningKey, packages: &[Package]) -> Published {
        let served = tempfile::tempdir_in(self.folder.path()).expect("the world can be made");
        Archive::new(suite)
            .origin("World")
            .arch("amd64")
            .date(self.now - jiff::SignedDuration::from_hours(1))
            .sign(key)
            .packages(packages.iter().cloned())
            .write_to(served.path())
            .expect("the world can be made");
        let server = Server::start(served.path()).expect("the world can be made");
        let keyring = Keyring::parse(&key.certificate()).expect("the world can be made");
        let keys = keyring.fingerprints();
        let wanted = Wanted {
            places: vec![Place {
                uri: server.uri(),
                suite: suite.to_owned(),
            }],
            components: vec!["main".to_owned()],
            architectures: vec!["amd64".to_owned()],
            keyring,
            access: None,
            carried: None,
        };
        let fetched = fetch(&self.content, &wanted, self.now);
        let News::InTime(snapshot) = fetched.outcome.expect("the world can be made") else {
            panic!("what is published is in time");
        };
        Published {
            suite: suite.to_owned(),
            identity: SourceIdentity::of((&**snapshot.release.facts()).into())
                .expect("the world can be made"),
            kept: Kept {
                release_digest: snapshot.release_digest,
                signature_digest: snapshot.signature_digest,
                indexes: snapshot.indexes,
            },
            keys,
        }
    }

    /// These sources adopted, each with this snapshot in force and reached a moment ago.
    pub fn in_force(&self, published: &[&Published]) -> InForce {
        let adopted = |(place, published): (usize, &&Published)| SourceInForce {
            known: KnownSource {
                id: SourceId([place as u8 + 1; 16]),
                identity: published.identity.clone(),
                keys: published.keys.iter().cloned().collect(),
            },
            publisher: Publisher {
                origin: published.identity.origin.clone(),
                keys: published.keys.clone(),
            },
            owner: store::Owner::Shared,
            snapshot: Some(SnapshotInForce {
                id: SnapshotId([place as u8 + 1; 16]),
                kept: published.kept.clone(),
            }),
            reached_at: Some(self.now),
        };
        published.iter().enumerate().map(adopted).collect()
    }

    /// A fleet without hosts that goes by these sources.
    pub fn fleet(&self, published: &[&Published]) -> Fleet {
        let mut fleet = Fleet::default();
        fleet.set_in_force(self.in_force(published), &self.content, self.now);
        fleet
    }

    /// A channel config with these sources at these addresses.
    pub fn config(&self, sources: &[(&str, &Published)]) -> HostChannels {
        self.config_with_key(sources, &self.key)
    }

    /// The same on a host that trusts another key.
    pub fn config_with_key(&self, sources: &[(&str, &Published)], key: &SigningKey) -> HostChannels {
        let stanza =
            |(uri, published): &(&str, &Published)| Stanza::new(uri, &published.suite, &["main"], &["amd64"]);
        let said = |(_, published): &(&str, &Published)| StanzaKeys {
            identity: Some(published.identity.clone()),
            keys: Ok(vec![KeyFile {
                path: key.fingerprint(),
                bytes: key.certificate().into(),
            }]),
        };
        HostChannels {
            config: ChannelConfig {
                native_architecture: "amd64".to_owned(),
                stanzas: sources.iter().map(stanza).collect(),
                ..ChannelConfig::default()
            },
            stanzas: sources.iter().map(said).collect(),
        }
    }

    /// A host says what it has and where that comes from.
    pub fn tell(
        &self,
        fleet: &mut Fleet,
        host: HostNo,
        config: &HostChannels,
        packages: &[InstalledPackage],
    ) {
        self.tell_at(fleet, host, config, packages, self.now);
    }

    /// The same at another time.
    pub fn tell_at(
        &self,
        fleet: &mut Fleet,
        host: HostNo,
        config: &HostChannels,
        packages: &[InstalledPackage],
        now: Timestamp,
    ) {
        let inventory = Inventory {
            packages: packages.to_vec(),
        };
        let row = HostRow {
            inventory: Some(content::sha256(format!("{inventory:?}").as_bytes())),
            channel_config: Some(content::sha256(format!("{config:?}").as_bytes())),
        };
        let needed = fleet.needs(&row);
        let kept = needed.inventory.map(|digest| {
            fleet
                .learn_inventory(digest, &inventory)
                .expect("the world can be made")
        });
        if let Some(digest) = needed.channel_config {
            fleet.learn_config(digest, config.clone(), Reading::Whole);
        }
        fleet.tell(host, row, &self.content, now);
        drop(kept);
    }

    /// A host is there and has said nothing.
    pub fn tell_nothing(&self, fleet: &mut Fleet, host: HostNo) {
        let row = HostRow {
            inventory: None,
            channel_config: None,
        };
        fleet.tell(host, row, &self.content, self.now);
    }
}

/// A package as dpkg has it, its own source.
pub fn installed(name: &str, version: &str) -> InstalledPackage {
    InstalledPackage {
        name: name.into(),
        architecture: "amd64".into(),
        version: version.into(),
        source: name.into(),
        source_version: version.into(),
        selection: Selection::Install,
        state: PackageState::Installed,
        reinstall_required: ReinstallRequired::No,
        fingerprint: BuildFingerprint::default(),
    }
}

/// Who misses which update, and who is unknown.
pub fn found(fleet: &Fleet) -> (BTreeMap<String, BTreeSet<u32>>, BTreeSet<u32>) {
    let ledger = fleet.ledger();
    let missing = ledger.updates().map(|(update, hosts)| {
        let id = fleet.updates().id(update);
        (
            format!("{} {}", id.source, id.source_version),
            hosts.iter().collect(),
        )
    });
    (missing.collect(), ledger.unknown().iter().collect())
}
