//! What Debian itself has published since its last release, on a real root, all in one order.

use super::room::{Case, Room, room_as_it_is};
use domain::catalog::update::{Publisher, UpdateId};
use domain::digest::Sha256Digest;
use domain::order::{OrderedIndex, OrderedPackage, OrderedSnapshot};
use domain::version::deb::split_rebuild;
use protocol::sha256;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use testkit::skip;

/// A package file and what dpkg-deb says of it.
struct Deb {
    package: OrderedPackage,
    update: UpdateId,
}

#[test]
fn all_that_a_real_debian_misses_is_installed_by_one_order() {
    room_as_it_is("bookworm", |room| {
        let said = room.try_run(&[
            "apt-get",
            "-q",
            "-y",
            "--download-only",
            "--no-install-recommends",
            "upgrade",
        ]);
        if let Err(why) = said {
            return skip::skip(&why);
        }
        let case = pending(room);
        assert!(
            case.order.packages.len() >= 10,
            "{} are pending",
            case.order.packages.len()
        );
        let _ = fs::remove_file("/var/log/dpkg.log");
        let simulated = room.prepare(&case).unwrap();
        assert_eq!(simulated.steps, 2 * case.order.packages.len());
        room.carry_out_well(&case);
        let expected = case.order.packages.iter().map(|package| {
            let OrderedPackage {
                name,
                architecture,
                version,
                ..
            } = package;
            let from = package.from.as_deref().unwrap();
            format!("upgrade {name}:{architecture} {from} {version}")
        });
        let (mut expected, mut unpacked) = (expected.collect::<Vec<_>>(), room.unpacked());
        expected.sort();
        unpacked.sort();
        assert_eq!(unpacked, expected);
        assert_eq!(room.run(&["dpkg", "--audit"]), "");
        assert!(
            room.run(&["apt-get", "-s", "upgrade"])
                .contains("\n0 upgraded, 0 newly installed")
        );
    });
}

/// The order for all that was downloaded, from the lists that the root has.
fn pending(room: &Room) -> Case {
    let keys = signers();
    let debs: Vec<_> = fs::read_dir("/var/cache/apt/archives")
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|form| form == "deb"))
        .map(|path| deb(room, &path, &keys))
        .collect();
    let mut case = room.empty_case();
    case.order.snapshots = snapshots_of(room);
    case.approval.snapshots = case
        .order
        .snapshots
        .iter()
        .map(|snapshot| snapshot.release)
        .collect();
    let mut updates: Vec<_> = debs.iter().map(|deb| deb.update.clone()).collect();
    updates.sort();
    updates.dedup();
    case.approval.release.updates = updates;
    case.order.packages = debs.into_iter().map(|deb| deb.package).collect();
    case.order
        .packages
        .sort_by(|one, next| (&one.name, &one.architecture).cmp(&(&next.name, &next.architecture)));
    case
}

/// The certificates that signed the root's lists, as gpgv names them.
fn signers() -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for (_, list) in lists("InRelease") {
        let keyring = testkit::lab::DEBIAN_KEYS;
        let said = std::process::Command::new("gpgv")
            .args(["--status-fd", "1", "--keyring", keyring])
            .arg(list)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let valid = said.lines().filter(|line| line.starts_with("[GNUPG:] VALIDSIG "));
        keys.extend(
            valid
                .filter_map(|line| line.split(' ').next_back())
                .map(str::to_owned),
        );
    }
    keys.sort();
    keys.dedup();
    keys
}

/// Files of apt's lists with this end, by what stands before it.
fn lists(end: &str) -> BTreeMap<String, std::path::PathBuf> {
    let entries = fs::read_dir("/var/lib/apt/lists").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            let start = name.strip_suffix(end)?.to_owned();
            Some((start, entry.path()))
        })
        .collect()
}

fn snapshots_of(room: &Room) -> Vec<OrderedSnapshot> {
    let words = [
        "apt-get",
        "indextargets",
        "--format",
        "$(REPO_URI) $(RELEASE) $(FILENAME)",
        "Created-By: Packages",
    ];
    let targets = room.run(&words);
    let keep = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        let digest = sha256(&bytes);
        fs::write(room.file(&digest), &bytes).unwrap();
        (digest, bytes.len() as u64)
    };
    targets
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [address, suite, list] = words[..] else {
                panic!("{line}")
            };
            let (release, _) = keep(Path::new(
                &list.replace("main_binary-amd64_Packages", "InRelease"),
            ));
            let (digest, size_bytes) = keep(Path::new(list));
            OrderedSnapshot {
                address: address.into(),
                suite: suite.into(),
                release,
                signature: None,
                indexes: vec![OrderedIndex {
                    path: "main/binary-amd64/Packages".into(),
                    sha256: digest,
                    size_bytes,
                }],
            }
        })
        .collect()
}

fn deb(room: &Room, path: &Path, keys: &[String]) -> Deb {
    let field = |name: &str| {
        room.run(&["dpkg-deb", "--field", path.to_str().unwrap(), name])
            .trim()
            .to_owned()
    };
    let (name, version) = (field("Package"), field("Version"));
    let bytes = fs::read(path).unwrap();
    let digest: Sha256Digest = sha256(&bytes);
    fs::write(room.file(&digest), &bytes).unwrap();
    let source = field("Source");
    let (source, source_version) = match source.split_once(" (") {
        Some((source, version)) => (source.to_owned(), version.trim_end_matches(')').to_owned()),
        None if source.is_empty() => (name.clone(), version.clone()),
        None => (source, version.clone()),
    };
    let from = room.state(&name).strip_suffix(" installed").unwrap().to_owned();
    Deb {
        package: OrderedPackage {
            name: name.into(),
            architecture: field("Architecture").into(),
            version: version.as_str().into(),
            from: Some(from.into()),
            sha256: digest,
            size_bytes: bytes.len() as u64,
        },
        update: UpdateId {
            publisher: Publisher {
                origin: "Debian".to_owned(),
                keys: keys.to_vec(),
            },
            source,
            source_version,
            build: split_rebuild(&version).1.to_owned(),
        },
    }
}
