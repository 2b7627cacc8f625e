//! Files fetched, held against what was signed, scanned and recorded.

use super::Shop;
use content::Sweep;
use domain::digest::Sha256Digest;
use domain::id::{NodeId, SourceId};
use jiff::SignedDuration;
use server::catalog::acquire::{acquire, acquire_on};
use server::catalog::resolve::NeededFile;
use server::catalog::space::{KEPT_FREE_BYTES, Room, Space};
use server::operations::sweep::sweep;
use server::settings::Scanning;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use store::Whole;
use store::acquisition::{self, Acquisition, Scan, ScanState};
use store::lease;
use store::source::{self, NewSource, SourceEdit};
use testkit::archive::package::Package;
use testkit::server::Lie;

/// A shop whose host misses one update, and the files of that.
async fn shop() -> (Shop, Vec<NeededFile>, Package) {
    let new = Package::new("app", "2.0-1");
    let shop = Shop::new(&[Package::new("app", "1.0-1")], std::slice::from_ref(&new)).await;
    let resolved = shop
        .forward(&[shop.update("app", "2.0-1")])
        .await
        .expect("it can be");
    (shop, resolved.files, new)
}

fn digest(package: &Package) -> Sha256Digest {
    content::sha256(&package.deb())
}

async fn record(shop: &Shop, digest: Sha256Digest) -> Vec<Acquisition> {
    let (world, scope) = (&shop.fleet.world, shop.fleet.world.scope());
    let read = world
        .context
        .db
        .read(move |view| acquisition::of_digest(view, &scope, digest));
    read.await.expect("the database answers")
}

async fn scan(shop: &Shop, digest: Sha256Digest) -> Option<Scan> {
    let read = shop
        .fleet
        .world
        .context
        .db
        .read(move |view| acquisition::scan(view, &Whole::server(), digest));
    read.await.expect("the database answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_fetched_once_as_they_were_published_and_each_has_its_record() {
    let (shop, files, package) = shop().await;
    let archive = shop.fleet.archive();
    for _ in 0..2 {
        let acquired = shop.acquire(&files).await;
        assert_eq!(acquired.failed, []);
        let all: Vec<_> = files.iter().map(|file| file.sha256).collect();
        assert_eq!(acquired.done, all);
    }
    assert_eq!(archive.count(&package.filename()), 1);
    let context = &shop.fleet.world.context;
    let kept = context.content.map(&digest(&package)).expect("it can be read");
    assert_eq!(kept.expect("it is here")[..], package.deb());
    let record = record(&shop, digest(&package)).await;
    let [record] = &*record else { panic!("{record:?}") };
    let release = std::fs::read(shop.fleet.served().join("dists/stable/InRelease")).expect("it is served");
    assert_eq!(record.release, content::sha256(&release));
    assert_eq!(record.place, package.filename());
    let signed_by = shop.fleet.key().fingerprint().to_ascii_uppercase();
    assert_eq!(record.signed_by, format!("[\"{signed_by}\"]"));
    assert_eq!(scan(&shop, digest(&package)).await, None, "nobody scans");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_the_signed_file_is_not_kept_and_comes_when_the_archive_is_honest_again() {
    let (shop, files, package) = shop().await;
    let (archive, content) = (shop.fleet.archive(), &shop.fleet.world.context.content);
    for lie in [
        Lie::Tampered(100),
        Lie::Truncated(100),
        Lie::WrongLength(1 << 40),
        Lie::NotFound,
        Lie::Http500,
        Lie::RedirectLoop,
    ] {
        archive.lie(&package.filename(), lie.clone());
        let acquired = shop.acquire(&files).await;
        let failed: Vec<_> = acquired.failed.iter().map(|(digest, _)| *digest).collect();
        assert_eq!(failed, [digest(&package)], "{lie:?}: {:?}", acquired.failed);
        assert_eq!(
            acquired.done.len(),
            files.len() - 1,
            "{lie:?}: the others are here"
        );
        assert!(!content.contains(&digest(&package)), "{lie:?}");
        assert!(record(&shop, digest(&package)).await.is_empty(), "{lie:?}");
    }
    archive.be_honest();
    assert_eq!(shop.acquire(&files).await.failed, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_another_one_by_now_is_not_taken_for_the_one_that_was_approved() {
    let (shop, files, _) = shop().await;
    let content = &shop.fleet.world.context.content;
    let lists: Vec<_> = files
        .iter()
        .filter(|file| file.path.contains("Packages"))
        .cloned()
        .collect();
    let [list] = &*lists else { panic!("{lists:?}") };
    let kept = content.path(&list.sha256).expect("the sync fetched it");
    let approved = std::fs::read(&kept).expect("it can be read");
    std::fs::remove_file(&kept).expect("it was there");
    let served = shop.fleet.served().join("dists/stable").join(&list.path);
    shop.fleet.publish(&[Package::new("app", "9.0-1")]);
    let failed = shop.acquire(&lists).await.failed;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(!content.contains(&list.sha256));
    // Where the archive still has it by its digest, it is had.
    let by_hash = served.parent().expect("a folder").join("by-hash/SHA256");
    std::fs::create_dir_all(&by_hash).expect("a folder");
    std::fs::write(by_hash.join(list.sha256.to_string()), approved).expect("a file");
    assert_eq!(shop.acquire(&lists).await.failed, []);
    assert!(content.contains(&list.sha256));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_breaks_is_gone_on_with() {
    let (shop, files, package) = shop().await;
    let archive = shop.fleet.archive();
    let half = package.deb().len() / 2;
    archive.lie(&package.filename(), Lie::ClosesAfter(half));
    assert_eq!(shop.acquire(&files).await.failed, []);
    let asked = archive
        .requests()
        .into_iter()
        .filter(|request| request.path == package.filename());
    let ranges: Vec<_> = asked.map(|request| request.range).collect();
    assert!(ranges.len() > 1 && ranges[0].is_none(), "{ranges:?}");
    assert_eq!(ranges[1], Some(format!("bytes={half}-")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pinned_outlives_the_vendors_purge_and_every_sweep() {
    let (shop, files, package) = shop().await;
    assert_eq!(shop.acquire(&files).await.failed, []);
    shop.granted(1, shop.host, &files).await;
    std::fs::remove_file(shop.fleet.served().join(package.filename())).expect("it was served");
    shop.publish(&[package.with_version("3.0-1")]).await;
    shop.fleet.archive().forget_requests();
    let world = &shop.fleet.world;
    // What is swept is old by this machine's time, which files have.
    world.pass(SignedDuration::from_hours(24 * 400));
    sweep(&world.context, Sweep::Remove).await.expect("a sweep");
    for file in &files {
        assert!(world.context.content.contains(&file.sha256), "{file:?}");
    }
    assert_eq!(shop.acquire(&files).await.failed, []);
    assert_eq!(shop.fleet.archive().requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_want_a_file_at_once_cost_its_source_one_fetch() {
    let (shop, files, package) = shop().await;
    let (context, fence) = (shop.fleet.world.context.clone(), shop.fence().await);
    let files = Arc::new(files);
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let (context, fence, files) = (context.clone(), fence.clone(), Arc::clone(&files));
            tokio::spawn(async move { acquire(&context, &fence, &files).await })
        })
        .collect();
    for one in asking {
        assert_eq!(one.await.expect("it ends").failed, []);
    }
    assert_eq!(shop.fleet.archive().count(&package.filename()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_the_lease_records_nothing() {
    let (shop, files, package) = shop().await;
    let fence = shop.fence().await;
    let world = &shop.fleet.world;
    world.pass(SignedDuration::from_hours(1));
    let (now, until) = (world.now(), world.now() + SignedDuration::from_hours(1));
    let taken = world
        .context
        .db
        .write(move |tx| lease::take(tx, &Whole::server(), "stage", NodeId([8; 16]), now, until));
    assert!(taken.await.expect("the database answers").is_some());
    let acquired = acquire(&world.context, &fence, &files).await;
    assert_eq!(acquired.done, []);
    assert!(record(&shop, digest(&package)).await.is_empty());
}

/// A disk with this much room left.
#[derive(Debug)]
struct Left(u64);

impl Space for Left {
    fn room(&self) -> std::io::Result<Room> {
        Ok(Room {
            total_bytes: 1 << 40,
            free_bytes: self.0,
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_would_take_the_last_room_is_not_fetched_and_what_is_here_is_no_matter_of_room() {
    let (shop, files, package) = shop().await;
    let (context, fence) = (&shop.fleet.world.context, shop.fence().await);
    let size = package.deb().len() as u64;
    let full = acquire_on(
        context,
        &fence,
        &files,
        Arc::new(Left(KEPT_FREE_BYTES + size - 1)),
    )
    .await;
    let why = "only 1024 MiB are free on the disk of the content store".to_owned();
    assert_eq!(full.failed, [(digest(&package), why)]);
    assert_eq!(full.done.len(), files.len() - 1, "lists are here since the sync");
    assert_eq!(shop.fleet.archive().count(&package.filename()), 0);
    let room = acquire_on(context, &fence, &files, Arc::new(Left(KEPT_FREE_BYTES + size))).await;
    assert_eq!(room.failed, []);
    assert_eq!(
        acquire_on(context, &fence, &files, Arc::new(Left(0)))
            .await
            .failed,
        []
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_sources_publish_is_fetched_once_and_has_the_record_of_both() {
    let (shop, files, package) = shop().await;
    let (world, now) = (&shop.fleet.world, shop.fleet.world.now());
    let row = world.sources().await.remove(0);
    let edit = |addresses: &str| SourceEdit {
        kind: row.kind,
        state: row.state,
        name: "another".to_owned(),
        addresses: addresses.to_owned(),
        components: row.components.clone(),
        architectures: row.architectures.clone(),
        schedule: row.schedule.clone(),
        credentials_sealed: None,
        next_sync_at: None,
    };
    // One at the same place, and one that leads nowhere.
    let nowhere = row.addresses.replace("http://127.0.0.1:", "http://127.0.0.1:1/");
    let others = [edit(&row.addresses), edit(&nowhere)]
        .into_iter()
        .zip([21, 22])
        .map(|(edit, id)| NewSource {
            id: SourceId([id; 16]),
            identity: row.identity.clone(),
            identity_digest: Sha256Digest([id; 32]),
            edit,
        });
    for new in others {
        let made = world
            .context
            .db
            .write(move |tx| source::create_shared(tx, &Whole::server(), &new, now));
        assert!(made.await.expect("the database answers"));
    }
    let of = |source: SourceId| {
        let one = files
            .iter()
            .find(|file| file.is_package())
            .expect("a package")
            .clone();
        NeededFile { source, ..one }
    };
    let asked = [
        of(SourceId([22; 16])),
        of(files[0].source),
        of(SourceId([21; 16])),
    ];
    let acquired = shop.acquire(&asked).await;
    assert_eq!(
        (acquired.done, acquired.failed),
        (vec![digest(&package)], Vec::new())
    );
    assert_eq!(shop.fleet.archive().count(&package.filename()), 1);
    // Once it is here, it is what each of them publishes.
    assert_eq!(shop.acquire(&asked).await.failed, []);
    assert_eq!(record(&shop, digest(&package)).await.len(), 3);
}

/// A program that speaks INSTREAM as clamd(8) says, and finds what it is told.
fn scanner(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for line in listener.incoming().flatten() {
            let _gone = converse(line, answer);
        }
    });
    address
}

fn converse(mut line: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut command = Vec::new();
    loop {
        let mut byte = [0];
        line.read_exact(&mut byte)?;
        if byte == [0] {
            break;
        }
        command.extend(byte);
    }
    if command == b"zVERSION" {
        return line.write_all(b"ClamAV 1.0.7/27500/Fri Nov 20 2026\0");
    }
    assert_eq!(command, b"zINSTREAM");
    let mut stream = Vec::new();
    loop {
        let mut length = [0; 4];
        line.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 {
            break;
        }
        let start = stream.len();
        stream.resize(start + length, 0);
        line.read_exact(&mut stream[start..])?;
    }
    assert!(stream.starts_with(b"!<arch>\n"), "a package comes whole");
    line.write_all(answer.as_bytes())?;
    line.write_all(b"\0")
}

/// The same shop with a scanner.
fn scanned_by(shop: &mut Shop, clamd: String, serve_unscanned: Vec<String>) {
    let settings = Arc::make_mut(&mut shop.fleet.world.context.settings);
    settings.file.scan = Some(Scanning {
        clamd,
        serve_unscanned,
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_are_scanned_where_that_is_set_and_only_those() {
    let (mut shop, files, package) = shop().await;
    scanned_by(&mut shop, scanner("stream: OK"), Vec::new());
    assert_eq!(shop.acquire(&files).await.failed, []);
    let said = scan(&shop, digest(&package)).await.expect("it was scanned");
    assert_eq!((said.state, said.detail.as_str()), (ScanState::Clean, ""));
    assert_eq!(said.engine, "ClamAV 1.0.7/27500/Fri Nov 20 2026");
    for other in files.iter().filter(|file| !file.is_package()) {
        assert_eq!(scan(&shop, other.sha256).await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_scanner_finds_bad_is_never_ready_whatever_the_policy_and_whoever_scans_later() {
    let (mut shop, files, package) = shop().await;
    let source = files[0].source.to_string();
    scanned_by(
        &mut shop,
        scanner("stream: Eicar-Test-Signature FOUND"),
        vec![source.clone()],
    );
    for clamd in [None, Some(scanner("stream: OK")), Some("127.0.0.1:1".to_owned())] {
        if let Some(clamd) = clamd {
            scanned_by(&mut shop, clamd, vec![source.clone()]);
        }
        let acquired = shop.acquire(&files).await;
        let why = "the scanner found Eicar-Test-Signature in it".to_owned();
        assert_eq!(acquired.failed, [(digest(&package), why)]);
    }
    Arc::make_mut(&mut shop.fleet.world.context.settings).file.scan = None;
    assert_eq!(
        shop.acquire(&files).await.failed.len(),
        1,
        "nor where nobody scans any more"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_scanned_is_ready_only_where_the_sources_policy_says_so() {
    let (mut shop, files, package) = shop().await;
    let source = files[0].source.to_string();
    let too_large = scanner("INSTREAM size limit exceeded. ERROR");
    for clamd in [
        "127.0.0.1:1".to_owned(),
        "/nowhere/clamd.ctl".to_owned(),
        too_large,
    ] {
        scanned_by(&mut shop, clamd.clone(), Vec::new());
        let failed = shop.acquire(&files).await.failed;
        assert_eq!(failed.len(), 1, "{clamd}");
        assert!(failed[0].1.starts_with("it could not be scanned: "), "{failed:?}");
        let said = scan(&shop, digest(&package)).await.expect("it is noted");
        assert_eq!(said.state, ScanState::NotScanned);
        scanned_by(&mut shop, clamd, vec![source.clone()]);
        assert_eq!(shop.acquire(&files).await.failed, []);
    }
    scanned_by(&mut shop, scanner("stream: OK"), Vec::new());
    assert_eq!(shop.acquire(&files).await.failed, []);
}

/// Debian's clamd with one signature of our own, on a socket in a folder; none where it is not installed.
struct Clamd {
    child: Child,
    socket: String,
    _folder: tempfile::TempDir,
}

impl Clamd {
    fn start(found: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let (socket, signatures) = (folder.path().join("ctl"), folder.path().join("signatures"));
        std::fs::create_dir(&signatures).expect("a folder");
        let hex: String = found.bytes().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(signatures.join("own.ndb"), format!("Own-Test:0:*:{hex}\n")).expect("a file");
        let settings = format!(
            "LocalSocket {}\nDatabaseDirectory {}\nForeground yes\n",
            socket.display(),
            signatures.display()
        );
        let file = folder.path().join("clamd.conf");
        std::fs::write(&file, settings).expect("a file");
        let started = Command::new("clamd")
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                testkit::skip::skip(&format!("clamd cannot be started: {error}"));
                return None;
            }
        };
        // The last thing that it says before it waits for questions.
        let said = BufReader::new(child.stdout.take().expect("it is piped"));
        let is_up = said
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("Self checking"));
        assert!(is_up, "clamd ended");
        Some(Self {
            child,
            socket: socket.display().to_string(),
            _folder: folder,
        })
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debians_own_scanner_is_asked_as_it_wants_to_be() {
    let Some(clamd) = Clamd::start("this is what it looks for") else {
        return;
    };
    let (mut shop, files, package) = shop().await;
    scanned_by(&mut shop, clamd.socket.clone(), Vec::new());
    assert_eq!(shop.acquire(&files).await.failed, []);
    let said = scan(&shop, digest(&package)).await.expect("it was scanned");
    assert_eq!(said.state, ScanState::Clean);
    assert!(said.engine.starts_with("ClamAV "), "{}", said.engine);
    let bad = package
        .with_version("3.0-1")
        .field("X-Bad", "this is what it looks for");
    shop.publish(std::slice::from_ref(&bad)).await;
    let resolved = shop
        .forward(&[shop.update("app", "3.0-1")])
        .await
        .expect("it can be");
    let why = "the scanner found Own-Test.UNOFFICIAL in it".to_owned();
    assert_eq!(shop.acquire(&resolved.files).await.failed, [(digest(&bad), why)]);
}
