//! Full disks, two syncs at once, and a sync that is killed.

use super::world::{INDEX, World, adopted, assert_sound, day, entries, failure, now, packages};
use content::Store;
use content::disk::{Disk, LocalDisk};
use domain::host::channels::{Settings, Stanza};
use sources::apt::keyring::Keyring;
use sources::apt::sync::{Outcome, SourceRequest, SyncRequest, sync};
use sources::apt::targets::merge;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::archive::{Archive, Format};
use testkit::server::Lie;

/// A disk with room for so many bytes more.
#[derive(Debug)]
struct SmallDisk {
    room: AtomicU64,
}

impl Disk for SmallDisk {
    fn open_to_append(&self, path: &Path) -> io::Result<File> {
        LocalDisk.open_to_append(path)
    }
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let room = self.room.load(Ordering::Relaxed);
        let fits = bytes.len().min(room as usize);
        self.room.fetch_sub(fits as u64, Ordering::Relaxed);
        LocalDisk.write(file, &bytes[..fits])?;
        if fits < bytes.len() {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
    fn truncate(&self, file: &File) -> io::Result<()> {
        LocalDisk.truncate(file)
    }
    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        LocalDisk.sync(file, path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        LocalDisk.sync_folder(folder)
    }
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        LocalDisk.make_folder(folder)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }
}

#[test]
fn a_disk_that_is_full_at_any_byte_leaves_the_snapshot_in_force() {
    let world = World::new();
    let first = adopted(world.sync("one"));
    world.publish_second();
    let mut failures = 0;
    for room in (0..).step_by(700) {
        let disk = Arc::new(SmallDisk {
            room: AtomicU64::new(room),
        });
        let store = Store::open_on(&world.cache.path().join("store"), disk).unwrap();
        let outcome = world
            .sync_all(&store, &[world.stanza("one")], now())
            .remove(0)
            .outcome;
        if matches!(outcome, Outcome::Adopted(_)) {
            break;
        }
        failures += 1;
        let said = failure(outcome);
        assert!(
            said.contains("store") && said.contains("no storage space"),
            "room for {room}: {said}"
        );
        assert_eq!(world.current("one").unwrap().release_digest, first.release_digest);
        assert_sound(&store);
        assert_eq!(entries(&store.folder().join("partial")), 0, "room for {room}");
    }
    assert!(failures > 3, "the disk was full {failures} times only");
    assert_ne!(world.current("one").unwrap().release_digest, first.release_digest);
}

#[test]
fn two_syncs_at_once_on_one_store_fetch_once() {
    let world = World::new();
    world.server.lie(
        INDEX,
        Lie::Slow {
            bytes_per_second: 40 * 1024,
        },
    );
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| world.sync("one")));
        both.map(|sync| sync.join().unwrap()).into()
    });
    let adopted = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Adopted(_)))
        .count();
    let unchanged = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Unchanged { .. }))
        .count();
    assert_eq!((adopted, unchanged), (1, 1), "{outcomes:?}");
    assert_eq!(world.server.count(INDEX), 1);
    assert_sound(&world.store());
}

#[test]
fn two_sources_that_list_the_same_index_do_not_hinder_each_other() {
    let world = World::new();
    // Both archives were made of the same packages: the index has one digest.
    let stanzas = [world.stanza("one"), world.stanza("two")];
    assert_eq!(
        world.digest(INDEX),
        world.digest("dists/two/main/binary-amd64/Packages.xz")
    );
    world.server.lie(
        "*",
        Lie::Slow {
            bytes_per_second: 40 * 1024,
        },
    );
    for outcome in world.sync_all(&world.store(), &stanzas, now()) {
        adopted(outcome.outcome);
    }
}

const CHILD: &str = "PATCHYARD_TEST_SYNC_CHILD";

/// What a killed process does: a sync like any other. Does nothing in an ordinary run.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
fn a_process_that_will_be_killed() {
    let Ok(plan) = std::env::var(CHILD) else { return };
    let [uri, store, key] = &plan.split('\n').collect::<Vec<_>>()[..] else {
        panic!("{plan}")
    };
    let stanzas: [Stanza; 1] = [super::world::stanza(uri, "one")];
    let keyring = Keyring::parse(&fs::read(key).unwrap()).unwrap();
    let sources = merge(&stanzas)
        .into_iter()
        .map(|source| SourceRequest {
            source,
            keyring: &keyring,
        })
        .collect();
    let settings = Settings::default();
    let request = SyncRequest {
        sources,
        settings: &settings,
        fetch: Default::default(),
    };
    sync(&request, &Store::open(Path::new(store)).unwrap(), now());
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test is an edge, and looks until the other process has written"
)]
fn a_sync_that_is_killed_is_resumed_by_the_next_one() {
    let world = World::new();
    let archive = Archive::new("one")
        .arch("amd64")
        .formats(&[Format::Xz])
        .packages(packages("kill", 2000));
    world.publish(&archive.sign(&world.key).date(day(0)));
    world.server.lie(
        INDEX,
        Lie::Slow {
            bytes_per_second: 30 * 1024,
        },
    );
    let (store, key) = (world.cache.path().join("store"), world.cache.path().join("key"));
    fs::write(&key, world.key.certificate()).unwrap();
    let plan = format!("{}\n{}\n{}", world.server.uri(), store.display(), key.display());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["sync::faults::a_process_that_will_be_killed", "--exact"])
        .env(CHILD, plan)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let partial = store.join("partial").join(world.digest(INDEX).to_string());
    let begun = Instant::now();
    while fs::metadata(&partial).map_or(0, |file| file.len()) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "nothing was fetched");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(world.current("one").is_none(), "half a snapshot is none");
    assert_sound(&world.store());
    let left = fs::metadata(&partial).unwrap().len();

    world.server.be_honest();
    world.server.forget_requests();
    adopted(world.sync("one"));
    let resumed = world
        .server
        .requests()
        .into_iter()
        .find(|request| request.path == INDEX)
        .unwrap();
    assert_eq!(
        (resumed.range, resumed.status),
        (Some(format!("bytes={left}-")), 206)
    );
    assert_sound(&world.store());
}
