//! A Debian for one test: a root of the lab under a layer that is thrown away, with processes and mounts of its own. The test
//! itself runs inside, as its first process: it begins outside, starts itself there, and reports how that ended.

use agent::packages::{Begun, End, Outcome, Simulated, Start, Trouble, World, WorldPlaces};
use agent::service::ROOT_STATE;
use domain::catalog::update::{Publisher, UpdateId};
use domain::change::{Approval, Release, Rules, Scope};
use domain::digest::Sha256Digest;
use domain::host::mode::Mode;
use domain::id::{ChangeId, DeploymentId, HostId, TenantId};
use domain::order::{
    Direction, Order, OrderedIndex, OrderedPackage, OrderedSnapshot, RebootRule, Removal, Start as Needs,
    Window,
};
use jiff::Timestamp;
use protocol::sha256;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::archive::package::Package;
use testkit::archive::{Archive, Pool};
use testkit::keys::SigningKey;
use testkit::{lab, skip};

/// Set inside, to the release of Debian.
const INSIDE: &str = "PATCHYARD_ROOM";
/// Where files lie under their digests, as the executor keeps them.
const STORE: &str = "/var/lib/patchyard-agent/store";
/// The address of the archive, as the host's source list has it.
pub const ADDRESS: &str = "http://archive.example/debian/";
/// Ten minutes, in microseconds.
pub const LEASE: u64 = 600_000_000;

const DOOR: &str = r#"set -e
mount -t tmpfs -o size=512m,mode=755 room "$BOX"
mkdir "$BOX/upper" "$BOX/work" "$BOX/root"
mount -t overlay -o "lowerdir=$ROOT,upperdir=$BOX/upper,workdir=$BOX/work" overlay "$BOX/root"
mount -t proc proc "$BOX/root/proc"
mount --rbind /dev "$BOX/root/dev"
mkdir "$BOX/root/room"
: >"$BOX/root/room/it"
mount --bind "$TEST" "$BOX/root/room/it"
: >"$BOX/root/usr/bin/patchyard-agent"
mount --bind "$AGENT" "$BOX/root/usr/bin/patchyard-agent"
cp --dereference /etc/resolv.conf /etc/hosts "$BOX/root/etc"
exec chroot "$BOX/root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "PATCHYARD_ROOM=$SUITE" \
    ${PATCHYARD_KILLS:+"PATCHYARD_KILLS=$PATCHYARD_KILLS"} ${CI:+"CI=$CI"} \
    /room/it --exact "$NAME" --nocapture --test-threads=1
"#;

/// Runs a test in a room of its own, of Debian 12.
pub fn room<F: FnOnce(&Room)>(test: F) {
    room_of("bookworm", test);
}

/// Runs a test in a room of its own, of this release of Debian.
pub fn room_of<F: FnOnce(&Room)>(suite: &str, test: F) {
    match suite_inside() {
        Some(inside) if inside == suite => test(&Room::furnished()),
        Some(_) => {}
        None => enter(suite, &test),
    }
}

/// The same, with the sources and lists of Debian, and this machine's way to them.
pub fn room_as_it_is<F: FnOnce(&Room)>(suite: &str, test: F) {
    if suite_inside().is_none() {
        return enter(suite, &test);
    }
    fs::create_dir_all(STORE).unwrap();
    test(&Room(()));
}

fn enter<F: FnOnce(&Room)>(suite: &str, test: &F) {
    let root = match lab::root(suite) {
        Ok(root) => root,
        Err(missing) => return skip::skip_for(&missing),
    };
    let name = name_of(test);
    let place = tempfile::tempdir().unwrap();
    let done = Command::new("unshare")
        .args([
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--propagation",
            "private",
        ])
        .args(["sh", "-c", DOOR])
        .env("BOX", place.path())
        .env("ROOT", root)
        .env("TEST", std::env::current_exe().unwrap())
        .env("AGENT", env!("CARGO_BIN_EXE_patchyard-agent"))
        .env("NAME", name)
        .env("SUITE", suite)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        done.status.success() && said.contains("1 passed"),
        "{}\n{said}",
        done.status
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test that starts itself inside tells itself so"
)]
pub fn suite_inside() -> Option<String> {
    std::env::var(INSIDE).ok()
}

/// The room, seen from inside.
pub struct Room(());

/// The name by which the test program knows a test, from that of something within it.
pub fn name_of<T>(_: &T) -> &'static str {
    let name = std::any::type_name::<T>();
    name.strip_prefix("it::")
        .unwrap()
        .strip_suffix("::{{closure}}")
        .unwrap()
}

/// The key that signs the archive.
pub fn key() -> SigningKey {
    SigningKey::ed25519("Archive <archive@archive.example>")
}

/// An archive with these packages, signed, with their files.
pub fn archive(packages: impl IntoIterator<Item = Package>) -> Archive {
    Archive::new("stable")
        .arch("amd64")
        .packages(packages)
        .pool(Pool::Written)
        .sign(&key())
}

/// An order with what was approved of it.
#[derive(Clone)]
pub struct Case {
    pub order: Order,
    pub approval: Approval,
}

impl Room {
    /// A room that was furnished before.
    pub fn entered() -> Self {
        Self(())
    }

    /// The host's only source is the test's archive.
    pub fn furnished() -> Self {
        let at = |path: &str, bytes: &[u8]| {
            fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        fs::write("/etc/apt/sources.list", "").unwrap();
        for entry in fs::read_dir("/etc/apt/sources.list.d").unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        at("/etc/apt/keyrings/archive.gpg", &key().certificate());
        let stanza = archive([]).stanza(ADDRESS, &["Signed-By: /etc/apt/keyrings/archive.gpg"]);
        at("/etc/apt/sources.list.d/archive.sources", stanza.as_bytes());
        fs::create_dir_all(STORE).unwrap();
        // dpkg's log tells what happened here alone.
        let _ = fs::remove_file("/var/log/dpkg.log");
        Self(())
    }

    /// What a program of this room says.
    pub fn run(&self, words: &[&str]) -> String {
        self.try_run(words)
            .unwrap_or_else(|said| panic!("{words:?}: {said}"))
    }

    /// The same, or what it says when it fails.
    pub fn try_run(&self, words: &[&str]) -> Result<String, String> {
        let done = Command::new(words[0]).args(&words[1..]).output().unwrap();
        let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
        if done.status.success() {
            Ok(said)
        } else {
            Err(said)
        }
    }

    /// Installs a package as somebody else did before.
    pub fn install(&self, package: &Package) {
        let path = format!("/room/{}.deb", package.name());
        fs::write(&path, package.deb()).unwrap();
        self.run(&["dpkg", "--install", &path]);
    }

    /// Puts an archive's files where the executor has those that it verified, and says what an order names of it.
    pub fn fetch(&self, archive: &Archive) -> OrderedSnapshot {
        let files = archive.files().unwrap();
        for bytes in files.values() {
            fs::write(self.file(&sha256(bytes)), bytes).unwrap();
        }
        let folder = archive.release_folder();
        let digest = |name: &str| files.get(&format!("{folder}{name}")).map(|bytes| sha256(bytes));
        let indexes = files
            .iter()
            .filter(|(path, _)| path.contains("/Packages") || path.starts_with("Packages"));
        let (release, signature) = match digest("InRelease") {
            Some(release) => (release, None),
            None => (digest("Release").unwrap(), digest("Release.gpg")),
        };
        OrderedSnapshot {
            address: ADDRESS.into(),
            suite: archive.sources_suite().into(),
            release,
            signature,
            indexes: indexes
                .map(|(path, bytes)| OrderedIndex {
                    path: path.strip_prefix(&folder).unwrap().into(),
                    sha256: sha256(bytes),
                    size_bytes: bytes.len() as u64,
                })
                .collect(),
        }
    }

    /// Where the file of a digest lies.
    pub fn file(&self, digest: &Sha256Digest) -> PathBuf {
        Path::new(STORE).join(digest.to_string())
    }

    /// An order number 7 for these packages of an archive, each with the version that it replaces, and their approval.
    pub fn case(&self, archive: &Archive, packages: &[(&Package, Option<&str>)]) -> Case {
        let mut case = self.empty_case();
        let snapshot = self.fetch(archive);
        let ordered = packages.iter().map(|(package, from)| ordered(package, *from));
        case.order.packages = ordered.collect();
        (case.order.packages)
            .sort_by(|one, next| (&one.name, &one.architecture).cmp(&(&next.name, &next.architecture)));
        let mut updates: Vec<_> = packages.iter().map(|(package, _)| update(package)).collect();
        updates.sort();
        updates.dedup();
        case.approval.release.updates = updates;
        case.approval.snapshots = vec![snapshot.release];
        case.order.snapshots = vec![snapshot];
        case
    }

    /// An order number 7 for nothing, and its approval.
    pub fn empty_case(&self) -> Case {
        let opens: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let closes: Timestamp = "2027-06-01T00:00:00Z".parse().unwrap();
        let order = Order {
            number: 7,
            epoch: 1,
            tenant: TenantId([1; 16]),
            host: HostId([2; 16]),
            change: ChangeId([3; 16]),
            deployment: DeploymentId([4; 16]),
            approved: Sha256Digest([5; 32]),
            direction: Direction::Forward,
            snapshots: Vec::new(),
            packages: Vec::new(),
            removals: Vec::new(),
            window: Window { opens, closes },
            needs: Mode::Install,
            start: Needs::OfflineOk,
            reboot: RebootRule::Never,
        };
        let approval = Approval {
            tenant: order.tenant,
            release: Release {
                updates: Vec::new(),
                rules: Rules {
                    needs: Mode::Install,
                    start: Needs::OfflineOk,
                    reboot: RebootRule::Never,
                    removals: Vec::new(),
                },
            },
            snapshots: Vec::new(),
            scope: Scope {
                root: Sha256Digest([6; 32]),
                hosts: 1,
            },
            not_after: closes,
            direction: Direction::Forward,
        };
        Case { order, approval }
    }

    /// The order's own folder.
    pub fn folder(&self, case: &Case) -> PathBuf {
        let folder = Path::new(ROOT_STATE).join(format!("work/{}", case.order.number));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .unwrap();
        folder
    }

    /// Builds the world, and simulates in it.
    pub fn prepare(&self, case: &Case) -> Result<Simulated, Trouble> {
        let folder = self.folder(case);
        let world = World::build(&WorldPlaces { folder }, &case.order, &|digest| self.file(digest))?;
        world.simulate(&case.order, &case.approval)
    }

    /// Starts a transaction that may begin for so long, in microseconds.
    pub fn start(&self, case: &Case, lease: u64) -> Begun {
        let folder = self.folder(case);
        let start = Start {
            number: case.order.number,
            folder: &folder,
            order: &case.order,
            program: Path::new("/usr/bin/patchyard-agent"),
            words: &[],
            latest_boot_micros: agent::network::boot_clock().micros + lease,
        };
        agent::packages::start(&start).unwrap()
    }

    /// Waits until no transaction of this order is at work: no process holds its lock any more.
    pub fn wait(&self, case: &Case) {
        let lock = self.folder(case).join("running");
        self.run(&[
            "timeout",
            "60",
            "flock",
            "--shared",
            lock.to_str().unwrap(),
            "true",
        ]);
    }

    /// Waits until a script says that it is at work.
    pub fn wait_for_script(&self) {
        assert_eq!(
            self.run(&["timeout", "60", "cat", "/room/ready"]),
            "configuring\n"
        );
    }

    /// Lets that script go on.
    pub fn let_go(&self) {
        self.run(&["timeout", "60", "sh", "-c", "echo on >/room/go"]);
    }

    /// Its outcome, once it has one.
    pub fn outcome(&self, case: &Case) -> Outcome {
        self.wait(case);
        let folder = self.folder(case);
        let outcome = agent::packages::outcome(&folder);
        outcome.unwrap_or_else(|| panic!("it left no word: {}", agent::packages::output(&folder)))
    }

    /// Carries an order out that was prepared.
    pub fn carry_out(&self, case: &Case) -> Outcome {
        assert_eq!(self.start(case, LEASE), Begun::Now);
        self.outcome(case)
    }

    /// The same; it has to be installed.
    pub fn carry_out_well(&self, case: &Case) {
        let outcome = self.carry_out(case);
        let said = agent::packages::output(&self.folder(case));
        assert_eq!(outcome.end, End::Installed {}, "{outcome:?}\n{said}");
        assert_eq!(outcome.left, [], "{outcome:?}");
    }

    /// A package's version and state, as dpkg has it; empty if it has none.
    pub fn state(&self, name: &str) -> String {
        let format = "--showformat=${Version} ${db:Status-Status}";
        let done = Command::new("dpkg-query")
            .args(["--show", format, name])
            .output()
            .unwrap();
        let state = String::from_utf8(done.stdout).unwrap();
        if state == " not-installed" {
            String::new()
        } else {
            state
        }
    }

    /// What dpkg's log says that it unpacked: `install NAME OLD NEW` and `upgrade NAME OLD NEW`.
    pub fn unpacked(&self) -> Vec<String> {
        let log = fs::read_to_string("/var/log/dpkg.log").unwrap_or_default();
        let acts = log.lines().map(|line| line.splitn(3, ' ').nth(2).unwrap());
        acts.filter(|act| act.starts_with("install ") || act.starts_with("upgrade "))
            .map(str::to_owned)
            .collect()
    }
}

/// A package as an order names it.
pub fn ordered(package: &Package, from: Option<&str>) -> OrderedPackage {
    let deb = package.deb();
    OrderedPackage {
        name: package.name().into(),
        architecture: package.architecture().into(),
        version: package.version().into(),
        from: from.map(Into::into),
        sha256: sha256(&deb),
        size_bytes: deb.len() as u64,
    }
}

/// The update of a package that is its own source.
pub fn update(package: &Package) -> UpdateId {
    UpdateId {
        publisher: Publisher {
            origin: "Test".to_owned(),
            keys: vec![key().fingerprint()],
        },
        source: package.name().to_owned(),
        source_version: package.version().to_owned(),
        build: String::new(),
    }
}

/// The removal of a package, approved by name.
pub fn removal(package: &Package) -> Removal {
    Removal {
        name: package.name().into(),
        architecture: package.architecture().into(),
    }
}
