//! Room: years of syncs on a small disk, a disk that is nearly full, and what a sweep says before it removes.

use crate::api::Front;
use crate::faults::story::Upstream;
use crate::world::{Agent, NODE, World, inventory, whole};
use content::{Expected, Kind};
use jiff::SignedDuration;
use protocol::document::DocumentKind;
use serde_json::{Value, json};
use server::catalog;
use server::catalog::space::{Room, Space};
use server::operations::sweep;
use server::reconcile::Outcome;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use store::{Whole, lease};

/// The whole of it, in bytes.
const DISK_BYTES: u64 = 96 << 20;

/// A disk of its own in memory where the tests run as root, else a folder whose bytes are counted.
struct SmallDisk {
    folder: tempfile::TempDir,
    is_mounted: bool,
}

impl SmallDisk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let size = format!("size={DISK_BYTES},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "patchyard-test"])
            .arg(folder.path())
            .output();
        let is_mounted = mounted.is_ok_and(|mounted| mounted.status.success());
        Self { folder, is_mounted }
    }

    fn used(&self) -> u64 {
        DISK_BYTES - self.room().expect("it is there").free_bytes
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.is_mounted {
            // Files of a server that is just closing may be open still: it goes with the last of them.
            let _ = Command::new("umount")
                .arg("--lazy")
                .arg(self.folder.path())
                .status();
        }
    }
}

impl Space for SmallDisk {
    fn room(&self) -> io::Result<Room> {
        if self.is_mounted {
            let facts = rustix::fs::statvfs(self.folder.path())?;
            return Ok(Room {
                total_bytes: facts.f_blocks * facts.f_frsize,
                free_bytes: facts.f_bavail * facts.f_frsize,
            });
        }
        Ok(Room {
            total_bytes: DISK_BYTES,
            free_bytes: DISK_BYTES.saturating_sub(bytes_below(self.folder.path())?),
        })
    }
}

/// Bytes on the disk of all that stands in a folder.
fn bytes_below(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let facts = fs::symlink_metadata(&path)?;
        bytes += if facts.is_dir() {
            bytes_below(&path)?
        } else {
            facts.blocks() * 512
        };
    }
    Ok(bytes)
}

/// A server on that disk whose only host has a source, adopted and synced; the archive stands elsewhere.
struct Fleet {
    world: World,
    upstream: Upstream,
    agent: Agent,
    _elsewhere: tempfile::TempDir,
}

impl Fleet {
    async fn on(disk: &SmallDisk) -> Self {
        let elsewhere = tempfile::tempdir().expect("a folder");
        let world = World::in_folder(disk.folder.path()).await;
        // Files have the time of this machine: the world's must not be before it, or all of them are young for months.
        let probe = fs::metadata(disk.folder.path().join("data/lock")).expect("the lock");
        let ahead = probe.mtime() - world.now().as_second();
        world.pass(SignedDuration::from_secs(ahead.max(0)));
        let upstream = Upstream::start(elsewhere.path());
        upstream.publish(world.now(), &[("hello", "1.0-2")]);
        let mut agent = world.agent(1).await;
        upstream.report(&world, &mut agent, &[("hello", "1.0-1")]).await;
        world.run("assess").await;
        world.adopt_sources().await;
        world.run("sync").await;
        Self {
            world,
            upstream,
            agent,
            _elsewhere: elsewhere,
        }
    }

    /// Publishes so many packages in other versions than before, and has them synced.
    async fn sync(&self, disk: &SmallDisk, number: usize, packages: usize) -> Outcome {
        let (names, version) = (names(packages), format!("1.{number}-1"));
        let published: Vec<(&str, &str)> = names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.as_str(), if at == 0 { version.as_str() } else { "1.0-1" }))
            .collect();
        self.upstream.publish(self.world.now(), &published);
        self.world.ask_for_sync().await;
        let context = &self.world.context;
        let now = self.world.now();
        let until = now + SignedDuration::from_mins(30);
        let fence = context
            .db
            .write(move |tx| lease::take(tx, &Whole::server(), "sync", NODE, now, until));
        let fence = fence.await.expect("a lease").expect("it is ours");
        catalog::sync_with(context, &fence, disk).await
    }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("package-{number:05}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn years_of_syncs_stay_inside_a_small_disk_and_freed_bytes_are_free() {
    let syncs = usize::try_from(testkit::skip::cases("PATCHYARD_SYNCS", 240, 2000)).expect("a few thousand");
    let disk = SmallDisk::new();
    let fleet = Fleet::on(&disk).await;
    let (mut most, mut swept, mut kept) = (0, 0, 0);
    for number in 1..=syncs {
        let outcome = fleet.sync(&disk, number, 300).await;
        assert!(
            outcome
                .as_ref()
                .is_ok_and(|said| said.contains("1 new snapshots")),
            "{number}: {outcome:?}"
        );
        fleet.world.pass(SignedDuration::from_hours(4));
        if number % 6 == 0 {
            fleet.world.run("retain").await;
            let (before, context) = (disk.used(), &fleet.world.context);
            let gone = sweep::sweep(context, content::Sweep::Remove)
                .await
                .expect("swept");
            let freed = before.saturating_sub(disk.used());
            assert!(
                freed.abs_diff(gone.bytes) <= 64 << 10,
                "{number}: {} bytes went, and {freed} are free",
                gone.bytes
            );
            (swept, kept) = (swept + gone.bytes, kept.max(gone.kept));
        }
        most = most.max(disk.used());
    }
    let room = disk.room().expect("the disk");
    assert!(
        most < DISK_BYTES * 9 / 10 && room.allows_syncs(),
        "{most} of {DISK_BYTES} bytes at most"
    );
    // Six snapshots a day for thirty days, and no more.
    assert!(kept < 3 * 6 * 32 + 20, "{kept} files were kept");
    assert!(swept > 0, "nothing was swept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_disk_that_is_nearly_full_syncs_rest_and_check_ins_go_on() {
    let disk = SmallDisk::new();
    let mut fleet = Fleet::on(&disk).await;
    let before = fleet.world.sources().await;
    let room = disk.room().expect("the disk");
    let filler = disk.folder.path().join("filler");
    let left = 4 << 20;
    fs::write(
        &filler,
        vec![1; usize::try_from(room.free_bytes - left).expect("a few MiB")],
    )
    .expect("a full disk");
    assert!(!disk.room().expect("the disk").allows_syncs());
    let refused = fleet.sync(&disk, 1, 300).await.expect_err("there is no room");
    assert!(refused.to_string().starts_with("syncs rest"), "{refused}");
    assert_eq!(
        fleet.world.sources().await[0].last_sync_at,
        before[0].last_sync_at
    );

    let (_, bytes) = inventory(900);
    let document = whole(DocumentKind::Inventory, bytes);
    let digest = document.0.digest;
    let named = [(DocumentKind::Inventory, digest)];
    fleet
        .agent
        .checks_in(&fleet.world, &named)
        .await
        .expect("it is heard");
    let taken = fleet
        .agent
        .hands_over(&fleet.world, &[document])
        .await
        .expect("it is judged");
    assert_eq!(taken.taken, [digest]);
    let history = fleet
        .world
        .history(fleet.agent.host, store::document::DocumentKind::Inventory)
        .await;
    assert_eq!(history[0], digest, "it is kept");

    fs::remove_file(filler).expect("there is room again");
    fleet.sync(&disk, 1, 300).await.expect("syncs go on");
    assert!(fleet.world.sources().await[0].last_sync_at > before[0].last_sync_at);
}

fn age(path: &Path, days: u64) {
    let file = fs::File::options().write(true).open(path).expect("open it");
    let stored = u64::try_from(crate::world::START).expect("after 1970") - days * 86_400;
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(stored))
        .expect("make it older");
}

/// Every file under its digest, and every download.
fn files_of(content: &content::Store) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for part in ["files", "partial"] {
        files_below(&content.folder().join(part), &mut found);
    }
    found
}

/// Every file below a folder.
fn files_below(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        match entry.path() {
            path if path.is_dir() => files_below(&path, found),
            path => {
                found.insert(path);
            }
        }
    }
}

#[tokio::test]
async fn a_dry_run_names_exactly_what_a_sweep_then_removes() {
    let front = Front::new().await;
    let content = &front.world.context.content;
    let limit = Expected::AtMost { size_bytes: 100_000 };
    let mut aged = Vec::new();
    for (number, days) in [(1_u8, 2), (2, 2), (3, 0)] {
        let (digest, _) = content.insert(&[number; 50_000][..], limit).expect("kept");
        content
            .insert_derived("packages-1", &digest, &[number; 9_000])
            .expect("derived");
        aged.push((digest, days));
    }
    let (empty, _) = content.insert(&b""[..], limit).expect("kept");
    aged.push((empty, 2));
    for number in [4_u8, 5] {
        let digest = content::sha256(&[number; 70_000]);
        let mut download = content
            .partial(digest, 70_000)
            .expect("begun")
            .expect("nobody else fetches it");
        download.write(&[number; 60_000]).expect("a part of it");
    }
    let partial = content.folder().join("partial");
    age(&partial.join(content::sha256(&[4; 70_000]).to_string()), 2);
    let before = files_of(content);
    for (digest, days) in aged.iter().filter(|(_, days)| *days > 0) {
        for path in before
            .iter()
            .filter(|path| path.to_string_lossy().contains(&digest.to_string()))
        {
            age(path, *days);
        }
    }
    let sweep = async |dry_run: bool| {
        let answer = front
            .post("/api/v1/storage/gc", json!({ "dry_run": dry_run }))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    };
    let dry = sweep(true).await;
    assert_eq!(files_of(content), before, "a dry run removes nothing");
    let swept = sweep(false).await;
    assert_eq!(swept, dry);
    let after = files_of(content);
    let named: BTreeSet<(String, String)> = swept["gone"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|gone| (word(gone, "kind"), word(gone, "digest")))
        .collect();
    let gone: BTreeSet<(String, String)> = before.difference(&after).map(|path| told(path)).collect();
    assert_eq!(named, gone);
    assert_eq!((swept["files"].as_u64(), gone.len()), (Some(3), 6));
    let bytes: u64 = swept["gone"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|gone| gone["bytes"].as_u64())
        .sum();
    assert_eq!(swept["bytes"].as_u64(), Some(bytes));
}

fn word(value: &Value, name: &str) -> String {
    value[name].as_str().expect("a word").to_owned()
}

/// What a file of the store is, by its place.
fn told(path: &Path) -> (String, String) {
    let name = path.file_name().expect("a name").to_string_lossy().into_owned();
    let kind = match (path.to_string_lossy().contains("/partial/"), name.len() > 64) {
        (true, _) => "download",
        (_, true) => "derived",
        _ => "file",
    };
    (kind.to_owned(), name[..64].to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_comes_back_unchanged_after_months_keeps_its_files_from_a_sweep() {
    let disk = SmallDisk::new();
    let fleet = Fleet::on(&disk).await;
    let content = &fleet.world.context.content;
    let mut files = BTreeSet::new();
    files_below(&content.folder().join("files"), &mut files);
    for path in &files {
        age(path, 60);
    }
    fleet.world.ask_for_sync().await;
    fleet.world.run("sync").await;
    let row = &fleet.world.sources().await[0];
    assert!(row.last_outcome.contains("unchanged"), "{}", row.last_outcome);
    // A sweep that had looked for references before the source came back: it knows of none.
    let before = crate::world::START - 86_400;
    let swept = content
        .sweep(|_| false, before, content::Sweep::Remove)
        .expect("swept");
    assert!(
        swept.gone.iter().all(|gone| gone.kind == Kind::File),
        "{:?}",
        swept.gone
    );
    let in_force = fleet
        .world
        .context
        .db
        .read(|view| store::snapshot::in_force(view, &Whole::server()));
    let in_force = in_force.await.expect("the snapshots");
    assert_eq!(in_force.len(), 1);
    assert!(content.contains(&in_force[0].digest), "the release file");
    for index in catalog::row::indexes(&in_force[0]).expect("its indexes") {
        let published = index.published.expect("it was published packed");
        assert!(content.contains(&published.digest), "the index");
        assert!(
            content.contains_derived(sources::apt::index::COMPILED, &index.digest),
            "its compiled form"
        );
    }
}
