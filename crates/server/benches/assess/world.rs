//! A fleet of testkit under real, signed sources: five distributions of 30,000 names, compiled as a sync compiles them.

use anyhow::{Context, Result};
use content::{Expected, Store};
use domain::assess::fleet::{ChannelsNo, PackageId, PackageKey, PackageSet, PackageVerdict};
use domain::catalog::listing::ListingNo;
use domain::catalog::source::{KnownSource, SourceIdentity};
use domain::catalog::update::Publisher;
use domain::digest::Sha256Digest;
use domain::host::channels::{ChannelConfig, Stanza};
use domain::host::inventory::BuildFingerprint;
use domain::id::{SnapshotId, SourceId};
use jiff::Timestamp;
use server::assess::channels::{HostChannels, StanzaKeys};
use server::assess::force::{InForce, SnapshotInForce, SourceInForce};
use sources::apt::channels::KeyFile;
use sources::apt::index::{COMPILED, Index, IndexBuilder};
use sources::apt::snapshot::{Kept, SnapshotIndex};
use std::collections::BTreeMap;
use std::fmt::Write;
use testkit::fleet::World;
use testkit::keys::SigningKey;

/// Packages of a host.
pub const PACKAGES: usize = 900;

/// The distributions of testkit's fleets, by the number of their channels.
pub const CODENAMES: [&str; 5] = ["bullseye", "bookworm", "trixie", "jammy", "noble"];

/// Sources and what hosts have of them.
pub struct Sourced {
    /// The fleet that never was.
    pub world: World,
    /// The packages by number, as the listed ones are built.
    pub keys: Vec<(PackageId, Owned)>,
    key: SigningKey,
    newest: Vec<BTreeMap<String, Newest>>,
    keyring: Vec<String>,
    now: Timestamp,
}

/// A package, owned.
pub struct Owned {
    name: String,
    architecture: String,
    version: String,
    source: String,
    fingerprint: BuildFingerprint,
}

impl Owned {
    /// As it is interned.
    pub fn key(&self) -> PackageKey<'_> {
        PackageKey {
            name: &self.name,
            architecture: &self.architecture,
            version: &self.version,
            source: &self.source,
            source_version: &self.version,
            fingerprint: self.fingerprint,
        }
    }
}

#[derive(Clone)]
struct Newest {
    architecture: String,
    version: String,
    source: String,
    /// Counts what was published after it.
    revision: u32,
}

/// A snapshot of each distribution.
pub struct Snapshots(Vec<Kept>);

impl Sourced {
    /// The fleet of that seed.
    pub fn new(seed: u64, now: Timestamp) -> Result<Self> {
        let world = World::new(seed, PACKAGES)?;
        let key = SigningKey::ed25519("Bench <bench@archive.example>");
        let mut newest: Vec<BTreeMap<String, Newest>> = vec![BTreeMap::new(); CODENAMES.len()];
        let mut keys = Vec::new();
        for (number, stated) in world.interner().all() {
            let place = CODENAMES
                .iter()
                .position(|codename| stated.version.contains(codename))
                .context("a package's version names its distribution")?;
            let is_listed = world.verdict(ChannelsNo(place as u32), number) != PackageVerdict::Unknown;
            keys.push((
                number,
                Owned {
                    name: stated.name.to_owned(),
                    architecture: stated.architecture.to_owned(),
                    version: stated.version.to_owned(),
                    source: stated.source.to_owned(),
                    fingerprint: BuildFingerprint::default(),
                },
            ));
            if is_listed {
                let listed = Newest {
                    architecture: stated.architecture.to_owned(),
                    version: stated.version.to_owned(),
                    source: stated.source.to_owned(),
                    revision: 0,
                };
                // Versions of one name follow each other, oldest first.
                newest[place].insert(stated.name.to_owned(), listed);
            }
        }
        let keyring = sources::apt::keyring::Keyring::parse(&key.certificate())?.fingerprints();
        let mut sourced = Self {
            world,
            keys,
            key,
            newest,
            keyring,
            now,
        };
        sourced.take_fingerprints()?;
        Ok(sourced)
    }

    /// Publishes another version of that many source packages of a distribution, three binaries each.
    pub fn release(&mut self, distribution: usize, updates: usize) {
        let sources: Vec<String> = {
            let all = self.newest[distribution].values();
            let mut sources: Vec<String> = all.map(|newest| newest.source.clone()).collect();
            sources.dedup();
            // Names that every host has come first: the hardest case.
            sources.into_iter().take(updates).collect()
        };
        for newest in self.newest[distribution].values_mut() {
            if sources.contains(&newest.source) {
                newest.revision += 1;
            }
        }
    }

    /// Puts everything that is published now into the content store.
    pub fn publish(&self, content: &Store) -> Result<Snapshots> {
        let of = |place: usize| self.publish_one(content, place);
        Ok(Snapshots((0..CODENAMES.len()).map(of).collect::<Result<_>>()?))
    }

    fn publish_one(&self, content: &Store, place: usize) -> Result<Kept> {
        let text = self.packages_file(place);
        let digest = content::sha256(text.as_bytes());
        let mut builder = IndexBuilder::new();
        builder.push(text.as_bytes())?;
        content.insert_derived(COMPILED, &digest, &builder.finish(digest)?.bytes)?;
        let codename = CODENAMES[place];
        let date = self.now.strftime("%a, %d %b %Y %H:%M:%S UTC");
        let size = text.len();
        let release = format!(
            "Origin: Bench\nLabel: Bench\nSuite: {codename}\nCodename: {codename}\nDate: {date}\nArchitectures: amd64\n\
             Components: main\nSHA256:\n {digest} {size} main/binary-amd64/Packages\n"
        );
        let limit = Expected::AtMost { size_bytes: 1 << 20 };
        let (release_digest, _) = content.insert(&*self.key.sign_inline(release.as_bytes()), limit)?;
        Ok(Kept {
            release_digest,
            signature_digest: None,
            indexes: vec![SnapshotIndex {
                component: "main".to_owned(),
                architecture: "amd64".to_owned(),
                digest,
                size_bytes: size as u64,
                published: None,
            }],
        })
    }

    fn packages_file(&self, place: usize) -> String {
        let mut text = String::new();
        for (name, newest) in &self.newest[place] {
            let Newest {
                architecture,
                version,
                source,
                revision,
            } = newest;
            let version = match revision {
                0 => version.clone(),
                more => format!("{version}+u{more}"),
            };
            let _ = write!(
                text,
                "Package: {name}\nSource: {source} (9-{}{revision})\nVersion: {version}\nArchitecture: {architecture}\n\
                 SHA256: {}\nSize: 1000\n\n",
                CODENAMES[place],
                content::sha256(format!("{name} {version}").as_bytes()),
            );
        }
        text
    }

    /// What is listed and what is installed of one version is one build.
    fn take_fingerprints(&mut self) -> Result<()> {
        for place in 0..CODENAMES.len() {
            let mut builder = IndexBuilder::new();
            builder.push(self.packages_file(place).as_bytes())?;
            let compiled = builder.finish(Sha256Digest([0; 32]))?;
            let index = Index::open(&*compiled.bytes)?;
            let mut of_version: BTreeMap<(&str, &str), BuildFingerprint> = BTreeMap::new();
            for offer in index.iter(ListingNo(0)) {
                of_version.insert((offer.name, offer.version), offer.fingerprint);
            }
            for (_, key) in &mut self.keys {
                if let Some(fingerprint) = of_version.get(&(&*key.name, &*key.version)) {
                    key.fingerprint = *fingerprint;
                }
            }
        }
        Ok(())
    }

    /// The sources with these snapshots in force.
    pub fn in_force(&self, snapshots: &Snapshots) -> InForce {
        let adopted = |(place, kept): (usize, &Kept)| SourceInForce {
            known: KnownSource {
                id: source_id(place),
                identity: identity(place),
                keys: self.keyring.iter().cloned().collect(),
            },
            publisher: Publisher {
                origin: "Bench".to_owned(),
                keys: self.keyring.clone(),
            },
            owner: store::Owner::Shared,
            snapshot: Some(SnapshotInForce {
                id: SnapshotId(kept.release_digest.0[..16].try_into().expect("16 bytes")),
                kept: kept.clone(),
            }),
            reached_at: Some(self.now),
        };
        snapshots.0.iter().enumerate().map(adopted).collect()
    }

    /// What a host of a distribution is configured to use.
    pub fn config(&self, place: usize) -> HostChannels {
        HostChannels {
            config: ChannelConfig {
                native_architecture: "amd64".to_owned(),
                stanzas: vec![Stanza::new(
                    "http://mirror.example/",
                    CODENAMES[place],
                    &["main"],
                    &["amd64"],
                )],
                ..ChannelConfig::default()
            },
            stanzas: vec![StanzaKeys {
                identity: Some(identity(place)),
                keys: Ok(vec![KeyFile {
                    path: "bench.gpg".to_owned(),
                    bytes: self.key.certificate().into(),
                }]),
            }],
        }
    }

    /// A host's distribution and packages; of a hundred hosts 95 have an inventory of their own.
    pub fn host(&self, host: u32) -> (usize, PackageSet) {
        let (channels, packages) = self.world.packages(host, 95);
        (channels.0 as usize, packages)
    }
}

fn source_id(place: usize) -> SourceId {
    SourceId([place as u8 + 1; 16])
}

fn identity(place: usize) -> SourceIdentity {
    SourceIdentity {
        origin: "Bench".to_owned(),
        label: "Bench".to_owned(),
        codename: CODENAMES[place].to_owned(),
        pocket: String::new(),
    }
}
