//! Package archives built in a test: Release files, indexes in several compressions, by-hash copies, pools, signatures.
//! What stands in one index is in [`package`]; how a package file is made is in [`deb`]. Serving an archive, and lying
//! about it, is [`crate::server`]'s work.

pub mod compress;
pub mod deb;
pub mod package;
mod release;

use crate::keys::packets::{self, Signature};
use crate::keys::{self, SigningKey};
use anyhow::Context;
use domain::catalog::release::Automatic;
use jiff::Timestamp;
use package::Package;
use std::collections::BTreeMap;
use std::path::Path;

pub use compress::Format;

/// The date of an archive that sets none: 2026-06-01 00:00 UTC.
pub const DEFAULT_DATE: &str = "2026-06-01T00:00:00Z";

/// A suite of a Debian-like archive, or a flat repository, before it is written.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: String,
    layout: Layout,
    origin: Option<String>,
    label: Option<String>,
    suite: Option<String>,
    codename: Option<String>,
    version: Option<String>,
    date: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    automatic: Automatic,
    architectures: Vec<String>,
    components: Vec<Component>,
    formats: Vec<Format>,
    by_hash: ByHash,
    all_index: AllIndex,
    pool: Pool,
    signatures: Signatures,
    keys: Vec<SigningKey>,
    extra_fields: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
struct Component {
    name: String,
    stanzas: Vec<Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Package(Package),
    Raw { architecture: String, text: String },
}

/// Where the files of an archive stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `dists/NAME/COMPONENT/binary-ARCHITECTURE/Packages`.
    Dists,
    /// `NAME/Packages` beside its Release file.
    Flat,
}

/// Whether indexes have copies named by their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHash {
    /// Under their names only.
    No,
    /// Both, and the Release file says so.
    Yes,
    /// By digest only: the named files answer "not found".
    Only,
}

/// Where packages of architecture `all` are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllIndex {
    /// In the index of every architecture, as Debian does for apt.
    InEvery,
    /// In `binary-all` alone.
    Separate,
    /// In both places; the Release file says `No-Support-for-Architecture-all: Packages`.
    Both,
}

/// Whether package files are written too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Indexes only; sizes and digests are nevertheless those of the real files.
    Absent,
    /// Installable `.deb` files.
    Written,
}

/// Which signature files are written when there is a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signatures {
    /// `InRelease`.
    Inline,
    /// `Release` and `Release.gpg`.
    Detached,
    /// All three.
    Both,
}

/// Signature types of RFC 9580 5.2.1.
#[derive(Clone, Copy)]
enum SignatureKind {
    Binary = 0,
    Text = 1,
}

impl Archive {
    /// An archive in `dists/NAME/`, with component `main` and no architecture yet. Suite and codename are its name.
    pub fn new(name: &str) -> Self {
        Self {
            directory: name.to_owned(),
            layout: Layout::Dists,
            origin: Some("Test".to_owned()),
            label: Some("Test".to_owned()),
            suite: Some(name.to_owned()),
            codename: Some(name.to_owned()),
            version: None,
            date: Some(DEFAULT_DATE.parse().expect("a constant date parses")),
            valid_until: None,
            automatic: Automatic::Yes,
            architectures: Vec::new(),
            components: vec![Component {
                name: "main".to_owned(),
                stanzas: Vec::new(),
            }],
            formats: vec![Format::Xz],
            by_hash: ByHash::No,
            all_index: AllIndex::InEvery,
            pool: Pool::Absent,
            signatures: Signatures::Inline,
            keys: Vec::new(),
            extra_fields: Vec::new(),
        }
    }

    /// A flat repository in the folder `NAME/`, or in the root of the tree for an empty name.
    pub fn flat(name: &str) -> Self {
        let mut archive = Self::new(name);
        archive.layout = Layout::Flat;
        archive.suite = None;
        archive.codename = None;
        archive.architectures = vec!["amd64".to_owned()];
        archive
    }

    /// `Origin`; empty leaves the field out, here and in the next ones.
    pub fn origin(mut self, text: &str) -> Self {
        self.origin = some(text);
        self
    }

    /// `Label`.
    pub fn label(mut self, text: &str) -> Self {
        self.label = some(text);
        self
    }

    /// `Suite`.
    pub fn suite(mut self, text: &str) -> Self {
        self.suite = some(text);
        self
    }

    /// `Codename`.
    pub fn codename(mut self, text: &str) -> Self {
        self.codename = some(text);
        self
    }

    /// `Version`.
    pub fn version(mut self, text: &str) -> Self {
        self.version = some(text);
        self
    }

    /// `Date`.
    pub fn date(mut self, date: Timestamp) -> Self {
        self.date = Some(date);
        self
    }

    /// Leaves `Date` out.
    pub fn without_date(mut self) -> Self {
        self.date = None;
        self
    }

    /// `Valid-Until`.
    pub fn valid_until(mut self, date: Timestamp) -> Self {
        self.valid_until = Some(date);
        self
    }

    /// `NotAutomatic: yes`.
    pub fn not_automatic(mut self) -> Self {
        self.automatic = Automatic::No;
        self
    }

    /// `NotAutomatic: yes` and `ButAutomaticUpgrades: yes`.
    pub fn but_automatic_upgrades(mut self) -> Self {
        self.automatic = Automatic::UpgradesOnly;
        self
    }

    /// Goes on with this component, which later packages belong to. An unused first `main` is replaced.
    pub fn component(mut self, name: &str) -> Self {
        let fresh = Component {
            name: name.to_owned(),
            stanzas: Vec::new(),
        };
        if let Some(at) = self.components.iter().position(|known| known.name == name) {
            let known = self.components.remove(at);
            self.components.push(known);
        } else if self.components.len() == 1 && self.components[0].stanzas.is_empty() {
            self.components[0] = fresh;
        } else {
            self.components.push(fresh);
        }
        self
    }

    /// An architecture that has indexes; named once more it changes nothing.
    pub fn arch(mut self, name: &str) -> Self {
        if !self.architectures.iter().any(|known| known == name) {
            self.architectures.push(name.to_owned());
        }
        self
    }

    /// A package in the current component. Its architecture gets an index.
    pub fn package(self, package: Package) -> Self {
        let mut archive = match package.architecture() {
            "all" => self,
            name => {
                let name = name.to_owned();
                self.arch(&name)
            }
        };
        archive.current().push(Entry::Package(package));
        archive
    }

    /// Several packages, as by [`Self::package`].
    pub fn packages(self, packages: impl IntoIterator<Item = Package>) -> Self {
        packages.into_iter().fold(self, Self::package)
    }

    /// A stanza in the index of that architecture exactly as given, however broken; a blank line follows.
    pub fn raw_stanza(self, architecture: &str, text: &str) -> Self {
        let mut archive = self.arch(architecture);
        archive.current().push(Entry::Raw {
            architecture: architecture.to_owned(),
            text: text.to_owned(),
        });
        archive
    }

    /// The forms in which indexes are served. `xz` alone is the default, as at Debian.
    pub fn formats(mut self, formats: &[Format]) -> Self {
        self.formats = formats.to_vec();
        self
    }

    /// Whether indexes are served by their digest.
    pub fn by_hash(mut self, choice: ByHash) -> Self {
        self.by_hash = choice;
        self
    }

    /// Where architecture-independent packages are listed.
    pub fn all_index(mut self, choice: AllIndex) -> Self {
        self.all_index = choice;
        self
    }

    /// Whether package files are written.
    pub fn pool(mut self, choice: Pool) -> Self {
        self.pool = choice;
        self
    }

    /// A field added to the end of the Release file's header.
    pub fn release_field(mut self, name: &str, value: &str) -> Self {
        self.extra_fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Signs with this key too.
    pub fn sign(mut self, key: &SigningKey) -> Self {
        self.keys.push(key.clone());
        self
    }

    /// Which signature files to write.
    pub fn signatures(mut self, choice: Signatures) -> Self {
        self.signatures = choice;
        self
    }

    /// The folder of its Release file inside a tree, with a trailing slash unless it is the tree's root.
    pub fn release_folder(&self) -> String {
        match self.layout {
            Layout::Dists => format!("dists/{}/", self.directory),
            Layout::Flat if self.directory.is_empty() => String::new(),
            Layout::Flat => format!("{}/", self.directory),
        }
    }

    /// The suite as sources.list(5) wants it.
    pub fn sources_suite(&self) -> String {
        match self.layout {
            Layout::Dists => self.directory.clone(),
            Layout::Flat if self.directory.is_empty() => "./".to_owned(),
            Layout::Flat => format!("{}/", self.directory),
        }
    }

    /// A deb822 stanza for this archive at that address. `options` are further lines such as `Signed-By: ...`.
    pub fn stanza(&self, uri: &str, options: &[&str]) -> String {
        let mut text = format!("Types: deb\nURIs: {uri}\nSuites: {}\n", self.sources_suite());
        if self.layout == Layout::Dists {
            let names: Vec<&str> = self
                .components
                .iter()
                .map(|component| component.name.as_str())
                .collect();
            text.push_str(&format!("Components: {}\n", names.join(" ")));
        }
        for option in options {
            text.push_str(option.trim_end());
            text.push('\n');
        }
        text
    }

    /// All files of the archive by their path inside the tree.
    pub fn files(&self) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
        let folder = self.release_folder();
        let mut files = BTreeMap::new();
        let mut listed = Vec::new();
        for (path, text) in self.indexes() {
            // The plain file is listed whether it is served or not: its digest is what a client checks after unpacking.
            listed.push(release::Listed::new(&path, &text));
            for &format in &self.formats {
                let bytes =
                    compress::pack(format, &text).with_context(|| format!("could not pack {path}"))?;
                let path = format!("{path}{}", format.extension());
                let entry = release::Listed::new(&path, &bytes);
                if self.by_hash != ByHash::No {
                    files.insert(format!("{folder}{}", entry.by_hash_path()), bytes.clone());
                }
                if self.by_hash != ByHash::Only {
                    files.insert(format!("{folder}{path}"), bytes);
                }
                if format != Format::Plain {
                    listed.push(entry);
                }
            }
        }
        if self.pool == Pool::Written {
            for (_, package) in self.all_packages() {
                files.insert(package.filename(), package.deb());
            }
        }
        self.sign_into(&mut files, &folder, release::text(self, &listed).into_bytes());
        Ok(files)
    }

    /// Writes all files below `root`, replacing those of an earlier version in place.
    pub fn write_to(&self, root: &Path) -> anyhow::Result<()> {
        for (path, bytes) in self.files()? {
            let path = root.join(path);
            let folder = path.parent().context("a file of an archive stands in a folder")?;
            std::fs::create_dir_all(folder)
                .with_context(|| format!("could not make {}", folder.display()))?;
            std::fs::write(&path, bytes).with_context(|| format!("could not write {}", path.display()))?;
        }
        Ok(())
    }

    /// The packages with their components, in the order in which they were added to each.
    pub fn all_packages(&self) -> impl Iterator<Item = (&str, &Package)> {
        self.components.iter().flat_map(|component| {
            component.stanzas.iter().filter_map(|entry| match entry {
                Entry::Package(package) => Some((component.name.as_str(), package)),
                Entry::Raw { .. } => None,
            })
        })
    }

    fn current(&mut self) -> &mut Vec<Entry> {
        let component = self
            .components
            .last_mut()
            .expect("an archive begins with a component and loses none");
        &mut component.stanzas
    }

    fn sign_into(&self, files: &mut BTreeMap<String, Vec<u8>>, folder: &str, release: Vec<u8>) {
        if self.keys.is_empty() {
            files.insert(format!("{folder}Release"), release);
            return;
        }
        if self.signatures != Signatures::Detached {
            let block = self.signature_block(SignatureKind::Text, &keys::canonical(&release));
            files.insert(
                format!("{folder}InRelease"),
                keys::clear_signed("SHA256", &release, &block),
            );
        }
        if self.signatures != Signatures::Inline {
            let block = self.signature_block(SignatureKind::Binary, &release);
            files.insert(format!("{folder}Release.gpg"), block.into_bytes());
            files.insert(format!("{folder}Release"), release);
        }
    }

    /// One armoured block with a signature by every key.
    fn signature_block(&self, kind: SignatureKind, signed: &[u8]) -> String {
        let sign = |key: &SigningKey| {
            let signature = Signature::plain(kind as u8, key.signer(), keys::SIGNED);
            packets::packet(2, &signature.sign(key.signer(), signed))
        };
        packets::armor("SIGNATURE", &self.keys.iter().flat_map(sign).collect::<Vec<u8>>())
    }

    /// Path below the Release file's folder and text of every index, plain.
    fn indexes(&self) -> Vec<(String, Vec<u8>)> {
        if self.layout == Layout::Flat {
            let entries = self.components.iter().flat_map(|component| &component.stanzas);
            return vec![(
                "Packages".to_owned(),
                entries.map(Entry::text).collect::<String>().into_bytes(),
            )];
        }
        let mut architectures: Vec<&str> = self.architectures.iter().map(String::as_str).collect();
        if self.all_index != AllIndex::InEvery {
            architectures.push("all");
        }
        let mut indexes = Vec::new();
        for component in &self.components {
            for architecture in &architectures {
                let entries = component
                    .stanzas
                    .iter()
                    .filter(|entry| self.lists(architecture, entry));
                let text: String = entries.map(Entry::text).collect();
                indexes.push((
                    format!("{}/binary-{architecture}/Packages", component.name),
                    text.into_bytes(),
                ));
            }
        }
        indexes
    }

    fn lists(&self, index: &str, entry: &Entry) -> bool {
        match entry.architecture() {
            "all" => index == "all" || self.all_index != AllIndex::Separate,
            other => index == other,
        }
    }
}

impl Entry {
    fn architecture(&self) -> &str {
        match self {
            Entry::Package(package) => package.architecture(),
            Entry::Raw { architecture, .. } => architecture,
        }
    }

    fn text(&self) -> String {
        match self {
            Entry::Package(package) => package.index_stanza(),
            Entry::Raw { text, .. } => format!("{}\n\n", text.trim_end_matches('\n')),
        }
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
