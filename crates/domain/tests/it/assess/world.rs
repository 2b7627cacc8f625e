//! Small random worlds: sources with their releases and packages, preferences, settings and a dpkg status, written as
//! apt reads them and held as the domain's own values.

use crate::oracle::Chance;
use domain::catalog::listing::{Listing, ListingNo};
use domain::catalog::offer::Offer;
use domain::catalog::release::{Automatic, ReleaseFacts};
use domain::digest::Sha256Digest;
use domain::host::channels::{ChannelConfig, PhasedChoice, Pin, PinMatcher, PinPriority, Settings};
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, PackageState, ReinstallRequired, Selection, relations_hash,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const NAMES: &[&str] = &[
    "alpha",
    "alphabet",
    "beta",
    "lib-gamma1",
    "delta+x",
    "gimp2.0",
    "zeta",
];
const SOURCES: &[&str] = &["alpha", "beta-src", "gamma"];
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

/// One stanza of an index.
#[derive(Clone, Debug)]
pub struct Stanza {
    name: String,
    architecture: String,
    version: String,
    source: Option<(String, Option<String>)>,
    installed_size: usize,
    size: usize,
    multi_arch: usize,
    phased: Option<usize>,
    salt: u8,
}

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

const MULTI_ARCH: [&str; 4] = ["", "same", "foreign", "allowed"];

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

impl Stanza {
    fn new(chance: &mut Chance, name: &str, architecture: &str) -> Self {
        let version = chance.of(VERSIONS).to_owned();
        let architecture = match architecture {
            "" => *chance.of(&[&"amd64", &"i386", &"all"]),
            "all" => "all",
            one if maybe(chance, 30) && one != "all" => "all",
            one => one,
        };
        let source = maybe(chance, 40).then(|| {
            let own_version = maybe(chance, 50).then(|| chance.of(VERSIONS).to_owned());
            (chance.of(SOURCES).to_owned(), own_version)
        });
        Self {
            name: name.to_owned(),
            architecture: architecture.to_owned(),
            version,
            source,
            installed_size: 10 + 10 * chance.below(2),
            size: 1000 * chance.below(3),
            multi_arch: [0, 0, 0, 1, 2, 3][chance.below(6)],
            phased: maybe(chance, 20).then(|| chance.below(101)),
            salt: (chance.below(3) / 2) as u8,
        }
    }

    fn write_common(&self, out: &mut String) {
        if let Some((source, version)) = &self.source {
            match version {
                Some(version) => writeln!(out, "Source: {source} ({version})").expect("memory"),
                None => writeln!(out, "Source: {source}").expect("memory"),
            }
        }
        if self.multi_arch > 0 {
            writeln!(out, "Multi-Arch: {}", MULTI_ARCH[self.multi_arch]).expect("memory");
        }
        writeln!(out, "Version: {}", self.version).expect("memory");
    }

    fn text(&self) -> String {
        let mut out = format!(
            "Package: {}\nArchitecture: {}\nInstalled-Size: {}\nMaintainer: x\n",
            self.name, self.architecture, self.installed_size
        );
        self.write_common(&mut out);
        if self.size > 0 {
            writeln!(out, "Size: {}", self.size).expect("memory");
        }
        if let Some(phased) = self.phased {
            writeln!(out, "Phased-Update-Percentage: {phased}").expect("memory");
        }
        let digest = self.digest();
        writeln!(out, "Filename: x.deb\nSHA256: {digest}\nDescription: x\n").expect("memory");
        out
    }

    fn digest(&self) -> Sha256Digest {
        let mut digest = Sha256Digest([self.salt; 32]);
        digest.0[0] = self.installed_size as u8;
        digest.0[1] = (self.size / 1000) as u8;
        for (at, byte) in format!("{}{}{}", self.name, self.version, self.architecture)
            .bytes()
            .enumerate()
        {
            digest.0[2 + at % 20] = digest.0[2 + at % 20].wrapping_mul(31).wrapping_add(byte);
        }
        digest
    }

    fn offer(&self, listing: ListingNo) -> Offer<'_> {
        let installed_size = self.installed_size.to_string();
        let (source, source_version) = match &self.source {
            Some((source, version)) => (source.as_str(), version.as_deref()),
            None => (self.name.as_str(), None),
        };
        Offer {
            listing,
            name: &self.name,
            architecture: &self.architecture,
            version: &self.version,
            source,
            source_version: source_version.unwrap_or(&self.version),
            fingerprint: BuildFingerprint {
                relations: relations_hash([Some(installed_size.as_bytes()), None, None, None, None, None]),
                multi_arch: self.multi_arch as u8,
                size_bytes: self.size as u64,
            },
            sha256: Some(self.digest()),
            phased_percent: self.phased.unwrap_or(100) as u8,
        }
    }
}

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

fn settings(chance: &mut Chance) -> Settings {
    let releases = [
        "stable",
        "bookworm",
        "12*",
        "12",
        "a=stable*",
        "now",
        "/stab/",
        "nonsense",
        "*",
        "n=trixie, o=Debian",
        "noble-updates",
    ];
    let phased = [
        PhasedChoice::ByMachineId,
        PhasedChoice::ByMachineId,
        PhasedChoice::Always,
        PhasedChoice::Never,
    ];
    Settings {
        default_release: maybe(chance, 20).then(|| releases[chance.below(releases.len())].to_owned()),
        phased: phased[chance.below(4)],
        phase_policy: maybe(chance, 25),
        ignore_hold: maybe(chance, 10),
        ..Settings::default()
    }
}

fn pin(chance: &mut Chance, number: u32) -> Pin {
    let packages: Vec<&str> = match chance.below(10) {
        0..4 => vec!["*"],
        4..7 => vec![chance.of(NAMES)],
        7 => vec![chance.of(NAMES), chance.of(NAMES)],
        _ => vec![chance.of(&[
            "alpha*",
            "ALPHA",
            "Al*",
            "[a-c]*",
            "/^a/",
            "/(beta|zeta)$/",
            "beta:i386",
            "beta:any",
            "*:any",
            "*:i386",
            "*:linux-any",
            "alpha:all",
            "src:alpha",
            "src:al*",
            "src:beta-src:any",
            "src:/gam/",
            "beta:",
            "gimp?.0",
            "src:*",
            "delta+x:amd64",
            "/[[:digit:]]/",
            "beta:any-i386",
            "nothing",
            "* beta",
        ])],
    };
    let packages: Vec<String> = packages.join(" ").split(' ').map(str::to_owned).collect();
    let is_general = packages == ["*"];
    let priorities = [
        -10,
        -1,
        1,
        50,
        99,
        100,
        101,
        499,
        500,
        501,
        989,
        990,
        991,
        999,
        1000,
        1001,
        i16::MAX,
        i16::MIN,
    ];
    let priority = if is_general && maybe(chance, 15) {
        PinPriority::Never
    } else {
        PinPriority::Value(priorities[chance.below(priorities.len())])
    };
    Pin {
        file: "/preferences".to_owned(),
        line: 4 * number + 1,
        packages,
        matcher: matcher(chance, is_general),
        priority,
    }
}

fn matcher(chance: &mut Chance, is_general: bool) -> PinMatcher {
    let long = format!(
        "a=stable, {}o=Nobody",
        "x=1234567890123456789012345678901234567890, ".repeat(7)
    );
    let many = format!("a=stable{}", ", z=12".repeat(19));
    let releases = [
        "a=stable",
        "a=stable*",
        "o=Debian",
        "o=debian, l=Debian",
        "n=bookworm",
        "l=Debian-Security",
        "c=main",
        "c=contrib",
        "b=i386",
        "b=all",
        "v=12*",
        "v=12.5",
        "v=*",
        "stable",
        "bookworm",
        "12",
        "12.*",
        "*",
        "a=/stab.*ty/",
        "a=now",
        "now",
        "",
        "x=1",
        "c=now",
        "a=*-security",
        "A=stable , O=Debian",
        "o=Debian,l=*,",
        "l=My, label",
        long.as_str(),
        many.as_str(),
        "o=/(debian|tools)/",
        "a=[st]*",
        "/^bookworm/",
    ];
    let origins = [
        "\"\"",
        "archive.example",
        "\"archive.example\"",
        "*.example",
        "/^arch/",
        "",
        "nowhere.example",
        "\"",
    ];
    let versions = [
        "1.0-1",
        "1.0*",
        "*1*",
        "/^1/",
        "2:*",
        "1.1-1~bpo*",
        "*",
        "1.0-1+[bd]*",
        "/deb12u[0-9]+$/",
        "/(a|b){1,2}/",
        "2.0~RC1-1",
    ];
    match chance.below(10) {
        0..3 if !is_general => PinMatcher::Version(versions[chance.below(versions.len())].to_owned()),
        3..5 => PinMatcher::Origin(origins[chance.below(origins.len())].to_owned()),
        _ => PinMatcher::Release(releases[chance.below(releases.len())].to_owned()),
    }
}

fn pin_text(pin: &Pin) -> String {
    let (word, text) = match &pin.matcher {
        PinMatcher::Version(text) => ("version", text),
        PinMatcher::SourceVersion(text) => ("source-version", text),
        PinMatcher::Release(text) => ("release", text),
        PinMatcher::Origin(text) => ("origin", text),
    };
    let priority = match pin.priority {
        PinPriority::Never => "never".to_owned(),
        PinPriority::Value(value) => value.to_string(),
    };
    format!(
        "Package: {}\nPin: {word} {text}\nPin-Priority: {priority}\n\n",
        pin.packages.join(" ")
    )
}
