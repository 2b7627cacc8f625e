//! Archives made of the shared inventories' packages, and hosts that use them. All that apt's answer depends on varies:
//! suites with default, NotAutomatic and ButAutomaticUpgrades priorities, a flat vendor repository, versions listed
//! twice, rebuilt ones, phased ones, foreign architectures, preferences, holds, states.

use crate::chance::Chance;
use crate::inventories;
use domain::deb822;
use std::path::Path;
use testkit::apt::Apt;
use testkit::archive::Archive;
use testkit::archive::package::Package;
use testkit::host::{HostTree, Installed};
use testkit::keys::SigningKey;
use testkit::server::Server;

/// What a package may require; copied from the inventories, because apt tells builds apart by some of them.
const RELATIONS: [&str; 7] = [
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Provides",
    "Recommends",
];
const KEY_FILE: &str = "/usr/share/keyrings/world.gpg";

/// A set of archives, served once, and the packages that its hosts may have.
pub struct World {
    codename: &'static str,
    key: SigningKey,
    sources: String,
    packages: Vec<Package>,
    /// A tree whose lists apt fetched; hosts get links to them.
    fetched: tempfile::TempDir,
    /// Serves the archives as long as the world is there.
    _served: (Server, tempfile::TempDir),
}

impl World {
    /// The world of that number.
    pub fn generate(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x0F0F_0F0F);
        let codename = if seed.is_multiple_of(2) {
            "bookworm"
        } else {
            "trixie"
        };
        let packages = known_packages(codename);
        let key = SigningKey::ed25519("World <world@archive.example>");
        let archives = archives(&packages, &mut chance, codename, &key);
        let served = tempfile::tempdir().unwrap();
        let server = Server::start(served.path()).unwrap();
        let mut sources = String::new();
        for archive in &archives {
            archive.write_to(served.path()).unwrap();
            sources.push_str(&archive.stanza(&server.uri(), &[&format!("Signed-By: {KEY_FILE}")]));
            sources.push('\n');
        }
        let fetched = tempfile::tempdir().unwrap();
        let mut world = Self {
            codename,
            key,
            sources,
            packages,
            fetched,
            _served: (server, served),
        };
        world
            .tree()
            .foreign("i386")
            .write_to(world.fetched.path())
            .unwrap();
        Apt::over(world.fetched.path()).unwrap().update().unwrap();
        // What an archive offers beyond the inventories may be installed too.
        let offered = archives
            .iter()
            .flat_map(Archive::all_packages)
            .map(|(_, package)| package);
        let mut foreign: Vec<&Package> = offered
            .filter(|package| package.architecture() == "i386")
            .step_by(3)
            .collect();
        // dpkg knows a package of one architecture once.
        foreign.sort_by_key(|package| package.name());
        foreign.dedup_by_key(|package| package.name());
        world.packages.extend(foreign.into_iter().cloned());
        world
    }

    /// A host of this world.
    pub fn host(&self, chance: &mut Chance) -> tempfile::TempDir {
        let mut tree = self.tree().machine_id(&chance.machine_id());
        let has_foreign = chance.happens(50);
        if has_foreign {
            tree = tree.foreign("i386");
        }
        if chance.happens(15) {
            let release = *chance.one_of(&[
                "stable",
                "stable-backports",
                self.codename,
                "experimental",
                "o=Vendor",
                "1.*",
            ]);
            tree = tree.apt_conf("10default", &format!("APT::Default-Release \"{release}\";\n"));
        }
        tree = tree.package(&Package::new("apt", &Apt::version().unwrap()), Installed::Yes);
        let share = chance.number(10..70);
        let mut names = Vec::new();
        for package in &self.packages {
            // Foreign packages stay where the architecture was removed: apt ignores no installed package.
            if chance.happens(share) && (has_foreign || package.architecture() != "i386") {
                names.push(package.name());
                tree = tree.package(&installed(package, chance), state(chance));
            }
        }
        for number in 0..chance.number(0..4) {
            tree = tree.package(&Package::new(&format!("local{number}"), "1.0"), Installed::Yes);
        }
        for number in 0..chance.number(0..5) {
            let text: String = (0..3).map(|_| preference(chance, &names)).collect();
            tree = tree.preferences(&format!("{number}"), &text);
        }
        let folder = tempfile::tempdir().unwrap();
        tree.write_to(folder.path()).unwrap();
        link_lists(self.fetched.path(), folder.path());
        folder
    }

    fn tree(&self) -> HostTree {
        let version = if self.codename == "bookworm" { "12" } else { "13" };
        let settings = "Acquire::Check-Valid-Until \"false\";\nAcquire::Check-Date \"false\";\n";
        HostTree::new()
            .os("debian", version, self.codename)
            .key(KEY_FILE, &self.key.certificate())
            .apt_conf("90clock", settings)
            .stanza("world", &self.sources)
    }
}

/// Links the lists of one tree into another.
pub fn link_lists(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from.join("var/lib/apt/lists")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::hard_link(entry.path(), to.join("var/lib/apt/lists").join(entry.file_name())).unwrap();
        }
    }
}

/// Every package of a suite's inventories, once.
fn known_packages(codename: &str) -> Vec<Package> {
    let mut known = std::collections::BTreeMap::new();
    for (_, status) in inventories::statuses(codename) {
        for stanza in deb822::stanzas(status.as_bytes()) {
            let stanza = stanza.unwrap();
            let field = |name: &str| stanza.text(name).unwrap();
            let mut package = Package::new(field("Package").unwrap(), field("Version").unwrap())
                .arch(field("Architecture").unwrap())
                .installed_size_kib(field("Installed-Size").map_or(0, |size| size.parse().unwrap()));
            if let Some(source) = field("Source") {
                package = package.source(source);
            }
            if let Some(multi_arch) = field("Multi-Arch") {
                package = package.multi_arch(multi_arch);
            }
            for name in RELATIONS {
                if let Some(text) = field(name) {
                    package = package.relation(name, text);
                }
            }
            // Which apt a host has decides on its rules: hosts get the one that they are compared with.
            if package.name() != "apt" {
                known.insert(package.name().to_owned(), package);
            }
        }
    }
    known.into_values().collect()
}

fn archives(packages: &[Package], chance: &mut Chance, codename: &str, key: &SigningKey) -> Vec<Archive> {
    let suite = |name: &str, label: &str| {
        Archive::new(&format!("{codename}{name}"))
            .origin("Debian")
            .label(label)
            .suite(&format!("stable{name}"))
            .version("1.0")
            .arch("amd64")
            .arch("i386")
            .sign(key)
    };
    let mut release = suite("", "Debian");
    let mut security = suite("-security", "Debian-Security");
    let mut updates = suite("-updates", "Debian");
    let mut backports = suite("-backports", "Debian Backports").but_automatic_upgrades();
    let mut experimental = suite("-experimental", "Debian")
        .suite("experimental")
        .not_automatic();
    let mut vendor = Archive::flat("vendor")
        .origin("Vendor")
        .label("Vendor tools")
        .sign(key);
    for package in packages {
        if chance.happens(95) {
            release = listed(release, package.clone());
        }
        if chance.happens(25) {
            let fixed = newer(package, chance);
            if chance.happens(30) {
                security = listed(security, newer(package, chance));
            }
            if chance.happens(20) {
                updates = listed(updates, fixed.clone());
            }
            security = listed(security, fixed);
        }
        if chance.happens(15) {
            let percent = chance.number(0..101) as u8;
            let fixed = newer(package, chance);
            updates = listed(
                updates,
                if chance.happens(50) {
                    fixed.phased(percent)
                } else {
                    fixed
                },
            );
        }
        if chance.happens(20) {
            let version = format!("{}+really2~bpo12+1", package.version());
            backports = listed(backports, package.clone().with_version(&version));
        }
        if chance.happens(10) {
            experimental = listed(
                experimental,
                package
                    .clone()
                    .with_version(&format!("{}+exp1", package.version())),
            );
        }
        if chance.happens(6) {
            vendor = vendor.package(match chance.number(0..3) {
                0 => package
                    .clone()
                    .with_version(&format!("{}+vendor1", package.version())),
                1 => package.clone().installed_size_kib(7).rebuilt("vendor"),
                _ => package.clone().size_bytes(123_456).rebuilt("vendor"),
            });
        }
    }
    vec![release, updates, security, backports, experimental, vendor]
}

/// Lists a package, and its i386 twin where both may be installed together.
fn listed(archive: Archive, package: Package) -> Archive {
    let twin =
        (package.index_stanza().contains("\nMulti-Arch: same\n")).then(|| package.clone().arch("i386"));
    archive.package(package).packages(twin)
}

fn newer(package: &Package, chance: &mut Chance) -> Package {
    let version = package.version();
    let version = match chance.number(0..6) {
        0 => format!("{version}+b1"),
        1 => format!("{version}.1"),
        2 => format!("9:{}", version.rsplit(':').next().unwrap()),
        3 => format!("{version}+deb12u9"),
        4 => format!("{version}ubuntu0.1"),
        _ => format!("{version}+security1~deb12u1"),
    };
    let package = package.clone().with_version(&version);
    if chance.happens(10) {
        package.relation("Suggests", "nothing")
    } else {
        package
    }
}

/// The package as a host has it.
fn installed(package: &Package, chance: &mut Chance) -> Package {
    let version = package.version();
    match chance.number(0..20) {
        0..4 => package.clone().with_version(&format!("{version}~rc1")),
        4 => package.clone().with_version(&format!("{version}+local1")),
        5 => package.clone().with_version(&format!("{version}+deb12u9")),
        6 => package.clone().installed_size_kib(11),
        7 => package.clone().relation("Conflicts", "nothing (= 1)"),
        8 => newer(package, chance),
        9 => package.clone().with_version("0"),
        _ => package.clone(),
    }
}

fn state(chance: &mut Chance) -> Installed {
    match chance.number(0..100) {
        0..6 => Installed::Held,
        6 => Installed::Half,
        7 => Installed::Unpacked,
        8..11 => Installed::ConfigFilesOnly,
        _ => Installed::Yes,
    }
}

/// A record of apt_preferences(5).
fn preference(chance: &mut Chance, names: &[&str]) -> String {
    let name = |chance: &mut Chance| {
        names
            .get(chance.number(0..names.len().max(1) as u64) as usize)
            .copied()
    };
    let some = name(chance).unwrap_or("none");
    let packages = match chance.number(0..9) {
        0..3 => "*".to_owned(),
        3 => format!("{} {some}", name(chance).unwrap_or("none")),
        4 => format!("{}*", &some[..some.len().min(4)]),
        5 => format!("/^{}/", &some[..some.len().min(3)].replace('+', ".")),
        6 => format!("src:{some}"),
        7 => format!("{some}:i386"),
        _ => format!("{some}:any"),
    };
    let matcher = *chance.one_of(&[
        "release a=stable-backports",
        "release a=stable-security",
        "release n=bookworm*, o=Debian",
        "release l=Debian-Security",
        "release o=Vendor",
        "release v=1.*",
        "release c=main, b=i386",
        "release /^experi/",
        "release *",
        "origin \"127.0.0.1\"",
        "origin \"\"",
        "version *+deb12u9",
        "version *",
        "version 9:*",
        "version /exp1$/",
    ]);
    // apt knows `never` for whole sources only.
    let priority = match packages.as_str() {
        "*" if chance.happens(8) => "never",
        _ => chance.one_of(&[
            "-1", "1", "99", "100", "101", "400", "500", "501", "990", "1000", "1001",
        ]),
    };
    format!("Package: {packages}\nPin: {matcher}\nPin-Priority: {priority}\n\n")
}
