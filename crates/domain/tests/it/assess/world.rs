//! Small random worlds: sources with their releases and packages, preferences, settings and a dpkg status, written as
//! apt reads them and held as the domain's own values.

mod stanza;
mod wishes;

use crate::oracle::Chance;
use domain::catalog::listing::{Listing, ListingNo};
use domain::catalog::offer::Offer;
use domain::catalog::release::{Automatic, ReleaseFacts};
use domain::host::channels::{ChannelConfig, PhasedChoice};
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, PackageState, ReinstallRequired, Selection,
};
use stanza::Stanza;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use wishes::{pin, pin_text, settings};

const NAMES: &[&str] = &[
    "alpha",
    "alphabet",
    "beta",
    "lib-gamma1",
    "delta+x",
    "gimp2.0",
    "zeta",
];
const VERSIONS: &[&str] = &[
    "1.0-1",
    "1.0-1+b1",
    "1.0-1+deb12u1",
    "1.1-1~bpo12+1",
    "1.1-1",
    "2:0.9-1",
    "1.0",
    "1.00-1",
    "1.0-0",
    "2.0~rc1-1",
];
const SITES: &[&str] = &["archive.example", "security.archive.example", "tools.example"];

/// An index and what stands in it.
#[derive(Clone, Debug)]
pub struct Index {
    /// As the rules see it.
    pub listing: Listing,
    /// What apt calls the file.
    pub file: String,
    stanzas: Vec<Stanza>,
}

/// A whole world.
#[derive(Clone, Debug)]
pub struct World {
    /// What the host is configured to use; its stanzas are not filled in.
    pub config: ChannelConfig,
    /// Its indexes, in the order of the sources.
    pub indexes: Vec<Index>,
    /// What is installed.
    pub installed: Vec<InstalledPackage>,
    /// machine-id.
    pub machine_id: Option<String>,
    /// Whether all packages are in order and none is installed twice: then `apt-get upgrade` is foreseeable.
    pub is_plain: bool,
    any_names: BTreeSet<String>,
    sources: String,
    releases: Vec<(String, String)>,
    status: String,
}

fn maybe(chance: &mut Chance, percent: usize) -> bool {
    chance.below(100) < percent
}

fn some_text(chance: &mut Chance, texts: &[&'static str]) -> Option<String> {
    maybe(chance, 85).then(|| chance.of(texts).to_owned())
}

impl World {
    /// The world of a number.
    pub fn new(number: usize) -> Self {
        let mut chance = Chance(0x9e37_79b9_7f4a_7c15 ^ ((number as u64 + 1) << 20));
        for _ in 0..8 {
            chance.below(2);
        }
        let mut world = Self {
            config: ChannelConfig {
                native_architecture: "amd64".to_owned(),
                foreign_architectures: vec!["i386".to_owned()],
                ..ChannelConfig::default()
            },
            indexes: Vec::new(),
            installed: Vec::new(),
            machine_id: maybe(&mut chance, 85).then(|| format!("{:032x}", chance.below(1 << 30))),
            is_plain: maybe(&mut chance, 50),
            any_names: BTreeSet::new(),
            sources: String::new(),
            releases: Vec::new(),
            status: String::new(),
        };
        for place in 0..1 + chance.below(5) {
            world.add_source(&mut chance, place);
        }
        world.add_installed(&mut chance);
        world.config.settings = settings(&mut chance);
        for line in 0..chance.below(7) {
            world.config.pins.push(pin(&mut chance, line as u32));
        }
        world
    }

    /// All offers of a name, as an index would give them, in the order of `files`.
    pub fn offers<'a>(&'a self, name: &str, order: &[usize]) -> Vec<Offer<'a>> {
        let in_order = order
            .iter()
            .zip(0..)
            .map(|(index, no)| (&self.indexes[*index], ListingNo(no)));
        let stanzas = in_order.flat_map(|(index, no)| index.stanzas.iter().map(move |stanza| (stanza, no)));
        stanzas
            .filter(|(stanza, _)| stanza.name == name)
            .map(|(stanza, no)| stanza.offer(no))
            .collect()
    }

    /// The names for which apt's cache holds a package `NAME:any`.
    pub fn any_names(&self) -> BTreeSet<String> {
        self.any_names.clone()
    }

    /// Every name that an index or the status has.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().copied()
    }

    fn add_source(&mut self, chance: &mut Chance, place: usize) {
        let site = chance.of(SITES);
        let release = release(chance);
        let is_flat = maybe(chance, 12);
        let base = format!("{site}_repo{place}");
        let components: &[&str] = if maybe(chance, 50) {
            &["main"]
        } else {
            &["main", "contrib"]
        };
        let with_all = !is_flat && maybe(chance, 30);
        let mut text = release_text(&release);
        let list = if is_flat {
            writeln!(self.sources, "deb [trusted=yes] http://{site}/repo{place} ./").expect("memory");
            self.add_index(chance, &release, site, "", "", format!("{base}_._Packages"));
            format!("{base}_._Release")
        } else {
            let words = components.join(" ");
            writeln!(
                self.sources,
                "deb [trusted=yes] http://{site}/repo{place} d{place} {words}"
            )
            .expect("memory");
            let architectures: &[&str] = if with_all {
                &["all", "amd64", "i386"]
            } else {
                &["amd64", "i386"]
            };
            writeln!(
                text,
                "Components: {words}\nArchitectures: {}",
                architectures.join(" ")
            )
            .expect("memory");
            text.push_str("SHA256:\n");
            for component in components {
                for architecture in architectures {
                    let index = format!("{component}/binary-{architecture}/Packages");
                    writeln!(text, " {:064x} 1 {index}", 1).expect("memory");
                    let file = format!("{base}_dists_d{place}_{}", index.replace('/', "_"));
                    self.add_index(chance, &release, site, component, architecture, file);
                }
            }
            format!("{base}_dists_d{place}_Release")
        };
        self.releases.push((list, text));
    }

    fn add_index(
        &mut self,
        chance: &mut Chance,
        release: &Arc<ReleaseFacts>,
        site: &str,
        component: &str,
        architecture: &str,
        file: String,
    ) {
        let mut stanzas = Vec::new();
        for name in NAMES {
            for _ in 0..[0, 1, 1, 1, 2][chance.below(5)] {
                stanzas.push(Stanza::new(chance, name, architecture));
            }
        }
        // What another index already says, word for word, is the same build.
        for index in &self.indexes {
            let copied = index.stanzas.iter().filter(|_| maybe(chance, 25)).cloned();
            let fitting = copied.filter(|stanza| architecture != "all" || stanza.architecture == "all");
            stanzas.extend(fitting.collect::<Vec<_>>());
        }
        let allowed = stanzas.iter().filter(|stanza| stanza.multi_arch == 3);
        self.any_names.extend(allowed.map(|stanza| stanza.name.clone()));
        let listing = Listing {
            release: Arc::clone(release),
            site: site.to_owned(),
            component: component.to_owned(),
            architecture: architecture.to_owned(),
        };
        self.indexes.push(Index {
            listing,
            file,
            stanzas,
        });
    }

    fn add_installed(&mut self, chance: &mut Chance) {
        for name in NAMES {
            let kinds = if self.is_plain { 8 } else { 10 };
            let (first, second) = match chance.below(kinds) {
                0..5 => (Some("amd64"), None),
                5..7 => (Some("all"), None),
                7 => (Some("i386"), None),
                8 => (Some("amd64"), Some("i386")),
                _ => (None, None),
            };
            for architecture in first.into_iter().chain(second) {
                let known: Vec<Stanza> = self
                    .indexes
                    .iter()
                    .flat_map(|index| &index.stanzas)
                    .filter(|stanza| stanza.name == *name && stanza.architecture == architecture)
                    .cloned()
                    .collect();
                let stanza = if !known.is_empty() && maybe(chance, 60) {
                    known[chance.below(known.len())].clone()
                } else {
                    Stanza {
                        architecture: architecture.to_owned(),
                        ..Stanza::new(chance, name, architecture)
                    }
                };
                self.install(chance, &stanza);
            }
        }
    }

    fn install(&mut self, chance: &mut Chance, stanza: &Stanza) {
        let (text, selection, reinstall_required, state) =
            STATES[chance.below(if self.is_plain { PLAIN_STATES } else { STATES.len() })];
        if stanza.multi_arch == 3 {
            self.any_names.insert(stanza.name.clone());
        }
        let status = &mut self.status;
        writeln!(status, "Package: {}\nStatus: {text}", stanza.name).expect("memory");
        writeln!(
            status,
            "Installed-Size: {}\nMaintainer: x\nArchitecture: {}",
            stanza.installed_size, stanza.architecture
        )
        .expect("memory");
        stanza.write_common(status);
        status.push_str("Description: x\n\n");
        let Some(state) = state else { return };
        let offer = stanza.offer(ListingNo(0));
        self.installed.push(InstalledPackage {
            name: offer.name.into(),
            architecture: offer.architecture.into(),
            version: offer.version.into(),
            source: offer.source.into(),
            source_version: offer.source_version.into(),
            selection,
            state,
            reinstall_required,
            fingerprint: BuildFingerprint {
                size_bytes: 0,
                ..offer.fingerprint
            },
        });
    }

    /// Writes the world for apt.
    pub fn write(&self, folder: &Path) {
        let lists = folder.join("lists");
        fs::create_dir_all(lists.join("partial")).expect("writable");
        let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("writable");
        write("sources.list", &self.sources);
        write("status", &self.status);
        write(
            "preferences",
            &self.config.pins.iter().map(pin_text).collect::<String>(),
        );
        write(
            "machine-id",
            &self.machine_id.clone().map(|id| id + "\n").unwrap_or_default(),
        );
        write("apt.conf", &self.apt_conf(folder));
        for (name, text) in &self.releases {
            fs::write(lists.join(name), text).expect("writable");
        }
        for index in &self.indexes {
            let text: String = index.stanzas.iter().map(Stanza::text).collect();
            fs::write(lists.join(&index.file), text).expect("writable");
        }
    }

    fn apt_conf(&self, folder: &Path) -> String {
        let settings = &self.config.settings;
        let folder = folder.display();
        let mut text = format!(
            "Dir \"{folder}\";\nDir::State::Lists \"{folder}/lists\";\nDir::State::status \"{folder}/status\";\n\
             Dir::State::extended_states \"{folder}/extended\";\nDir::Etc::sourcelist \"{folder}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\nDir::Etc::preferences \"{folder}/preferences\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\nDir::Etc::machine-id \"{folder}/machine-id\";\n\
             Dir::Cache \"{folder}\";\nDir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\n\
             Dir::Bin::ischroot \"/bin/false\";\nDir::Bin::dpkg \"/bin/false\";\nAPT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; \"i386\"; }};\nAcquire::Languages \"none\";\n"
        );
        if let Some(release) = &settings.default_release {
            writeln!(text, "APT::Default-Release \"{release}\";").expect("memory");
        }
        let phased = match settings.phased {
            PhasedChoice::ByMachineId => "",
            PhasedChoice::Always => "APT::Get::Always-Include-Phased-Updates \"true\";\n",
            PhasedChoice::Never => "APT::Get::Never-Include-Phased-Updates \"true\";\n",
        };
        text.push_str(phased);
        writeln!(text, "APT::Get::Phase-Policy \"{}\";", settings.phase_policy).expect("memory");
        writeln!(text, "APT::Ignore-Hold \"{}\";", settings.ignore_hold).expect("memory");
        text
    }
}

type Status = (&'static str, Selection, ReinstallRequired, Option<PackageState>);

const PLAIN_STATES: usize = 5;

const STATES: &[Status] = &[
    (
        "install ok installed",
        Selection::Install,
        ReinstallRequired::No,
        Some(PackageState::Installed),
    ),
    (
        "install ok installed",
        Selection::Install,
        ReinstallRequired::No,
        Some(PackageState::Installed),
    ),
    (
        "install ok installed",
        Selection::Install,
        ReinstallRequired::No,
        Some(PackageState::Installed),
    ),
    (
        "hold ok installed",
        Selection::Hold,
        ReinstallRequired::No,
        Some(PackageState::Installed),
    ),
    (
        "deinstall ok config-files",
        Selection::Deinstall,
        ReinstallRequired::No,
        None,
    ),
    (
        "install reinstreq half-installed",
        Selection::Install,
        ReinstallRequired::Yes,
        Some(PackageState::HalfInstalled),
    ),
    (
        "install ok unpacked",
        Selection::Install,
        ReinstallRequired::No,
        Some(PackageState::Unpacked),
    ),
    (
        "install ok triggers-pending",
        Selection::Install,
        ReinstallRequired::No,
        Some(PackageState::TriggersPending),
    ),
];

fn release(chance: &mut Chance) -> Arc<ReleaseFacts> {
    let suites: &[&str] = &[
        "stable",
        "stable-security",
        "stable-updates",
        "stable-backports",
        "testing",
        "noble-security",
        "noble-updates",
    ];
    Arc::new(ReleaseFacts {
        origin: some_text(chance, &["Debian", "Ubuntu", "Tools Ltd", "Debian Backports"]),
        label: some_text(chance, &["Debian", "Debian-Security", "Tools", "My, label"]),
        suite: some_text(chance, suites),
        codename: some_text(chance, &["bookworm", "bookworm-security", "trixie", "noble"]),
        version: some_text(chance, &["12", "12.5", "12.15", "13"]),
        automatic: [
            Automatic::Yes,
            Automatic::Yes,
            Automatic::No,
            Automatic::UpgradesOnly,
        ][chance.below(4)],
        ..ReleaseFacts::default()
    })
}

fn release_text(release: &ReleaseFacts) -> String {
    let mut text = String::new();
    let fields = [
        ("Origin", &release.origin),
        ("Label", &release.label),
        ("Suite", &release.suite),
        ("Codename", &release.codename),
        ("Version", &release.version),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            writeln!(text, "{name}: {value}").expect("memory");
        }
    }
    text.push_str(match release.automatic {
        Automatic::Yes => "",
        Automatic::No => "NotAutomatic: yes\n",
        Automatic::UpgradesOnly => "NotAutomatic: yes\nButAutomaticUpgrades: yes\n",
    });
    text.push_str("Date: Sat, 01 Aug 2026 00:00:00 UTC\n");
    text
}
