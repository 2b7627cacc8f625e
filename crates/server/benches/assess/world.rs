//! A fleet of testkit under real, signed sources: five distributions of 30,000 names, published as vendors publish.

use anyhow::{Context, Result};
use domain::assess::fleet::{ChannelsNo, PackageId, PackageSet, PackageVerdict};
use domain::catalog::listing::ListingNo;
use domain::digest::Sha256Digest;
use domain::host::channels::{ChannelConfig, Stanza};
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, PackageState, ReinstallRequired, Selection,
};
use jiff::Timestamp;
use protocol::document::Document as _;
use protocol::document::channels::{ChannelConfigDocument, ReleaseClaim, StanzaEvidence};
use sources::apt::index::{Index, IndexBuilder};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
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
    /// As it is stored.
    pub fn stored(&self) -> store::package::Package {
        store::package::Package {
            name: self.name.clone(),
            architecture: self.architecture.clone(),
            version: self.version.clone(),
            source: self.source.clone(),
            source_version: self.version.clone(),
            fingerprint: self.fingerprint,
        }
    }

    /// As a host reports it.
    pub fn installed(&self) -> InstalledPackage {
        InstalledPackage {
            name: self.name.as_str().into(),
            architecture: self.architecture.as_str().into(),
            version: self.version.as_str().into(),
            source: self.source.as_str().into(),
            source_version: self.version.as_str().into(),
            selection: Selection::Install,
            state: PackageState::Installed,
            reinstall_required: ReinstallRequired::No,
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

impl Sourced {
    /// The fleet of that seed.
    pub fn new(seed: u64) -> Result<Self> {
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
        let mut sourced = Self {
            world,
            keys,
            key,
            newest,
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
            newest.revision += u32::from(sources.contains(&newest.source));
        }
    }

    /// Publishes everything as of that time.
    pub fn publish(&self, served: &Path, at: Timestamp) -> Result<()> {
        for (place, codename) in CODENAMES.into_iter().enumerate() {
            let text = self.packages_file(place);
            let folder = served.join("dists").join(codename);
            std::fs::create_dir_all(folder.join("main/binary-amd64"))?;
            std::fs::write(folder.join("main/binary-amd64/Packages"), &text)?;
            let date = at.strftime("%a, %d %b %Y %H:%M:%S UTC");
            let release = format!(
                "Origin: Bench\nLabel: Bench\nSuite: {codename}\nCodename: {codename}\nDate: {date}\n\
                 Architectures: amd64\nComponents: main\nSHA256:\n {} {} main/binary-amd64/Packages\n",
                content::sha256(text.as_bytes()),
                text.len(),
            );
            std::fs::write(
                folder.join("InRelease"),
                &*self.key.sign_inline(release.as_bytes()),
            )?;
        }
        Ok(())
    }

    /// Whether two packages are versions of one name in one distribution.
    pub fn is_one_name(&self, one: PackageId, other: PackageId) -> bool {
        let (Some((_, one)), Some((_, other))) =
            (self.keys.get(one.0 as usize), self.keys.get(other.0 as usize))
        else {
            return false;
        };
        one.name == other.name
    }

    /// The key that signs all of it.
    pub fn certificate(&self) -> Vec<u8> {
        self.key.certificate()
    }

    /// The channel config of a host of a distribution, as it travels.
    pub fn config(&self, place: usize, uri: &str) -> Vec<u8> {
        let codename = CODENAMES[place];
        let config = ChannelConfig {
            native_architecture: "amd64".to_owned(),
            stanzas: vec![Stanza::new(uri, codename, &["main"], &["amd64"])],
            ..ChannelConfig::default()
        };
        let evidence = StanzaEvidence {
            keys: vec![content::sha256(&self.key.certificate())],
            release: Some(ReleaseClaim {
                origin: Some("Bench".to_owned()),
                label: Some("Bench".to_owned()),
                suite: Some(codename.to_owned()),
                codename: Some(codename.to_owned()),
            }),
        };
        ChannelConfigDocument::of(&config, &[evidence]).to_bytes()
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

    /// A host's distribution and packages; of a hundred hosts 95 have an inventory of their own.
    pub fn host(&self, host: u32) -> (usize, PackageSet) {
        let (channels, packages) = self.world.packages(host, 95);
        (channels.0 as usize, packages)
    }
}
