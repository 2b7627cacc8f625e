//! The embedded database gone, locked by another program, on a full disk, or with a damaged page: agents are told to come
//! again, people what is wrong, the doctor names it, and what was acknowledged is there afterwards.

use crate::api::Front;
use crate::world::{Agent, World, inventory, kind, settings, whole};
use protocol::document::DocumentKind;
use protocol::message::refused::{RefusalKind, Refused};
use server::operations::doctor::{self, Check, Wellness};
use server::start::{Ports, Server};
use std::path::{Path, PathBuf};
use std::process::Command;
use store::{Db, Url};

fn database(folder: &Path) -> PathBuf {
    folder.join("data/patchyard.db")
}

/// A host reports a new inventory of so many packages.
async fn reports(world: &World, agent: &mut Agent, packages: usize) -> Result<(), Refused> {
    let (_, bytes) = inventory(packages);
    let document = whole(DocumentKind::Inventory, bytes);
    let named = [(DocumentKind::Inventory, document.0.digest)];
    agent.checks_in(world, &named).await?;
    agent.hands_over(world, &[document]).await.map(drop)
}

async fn check(world: &World, name: &str) -> Check {
    let checks = doctor::examine(&world.context).await;
    let check = checks.into_iter().find(|check| check.name == name);
    check.expect("the doctor looks at it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_file_that_is_gone_is_noticed_before_anything_more_is_acknowledged() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    reports(&world, &mut agent, 3).await.expect("it is kept");
    let file = database(world.folder.path());
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).expect("somebody moves it away");
    assert_eq!(kind(reports(&world, &mut agent, 4).await), RefusalKind::Busy);
    let front = Front::of(world);
    let made = front
        .post(front.in_tenant("sites"), serde_json::json!({ "name": "annex" }))
        .await;
    assert_eq!(
        (made.status.as_u16(), made.code().as_str()),
        (503, "store-unavailable")
    );
    let database = check(&front.world, "database").await;
    assert_eq!(database.state, Wellness::Failed);
    assert!(!database.next_step.is_empty());
    std::fs::rename(&aside, &file).expect("and puts it back");
    reports(&front.world, &mut agent, 5).await.expect("it goes on");
    assert_eq!(check(&front.world, "database").await.state, Wellness::Ok);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_another_program_has_locked_makes_hosts_and_people_come_again() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    let url = Url::from(database(world.folder.path()).as_path());
    let other = Db::open(&url, world.now())
        .await
        .expect("another program opens it");
    let (inside, holds) = std::sync::mpsc::channel::<()>();
    let (finish, end) = std::sync::mpsc::channel::<()>();
    let end = std::sync::Mutex::new(end);
    let holding = tokio::spawn(async move {
        let held = other.write(move |tx| {
            // A writer has the lock from its beginning on.
            let _read = store::epoch::current(tx, &store::Whole::server())?;
            inside.send(()).expect("the test waits");
            end.lock()
                .expect("unpoisoned")
                .recv()
                .expect("the test says when");
            Ok(())
        });
        held.await.expect("nothing is changed");
        other.close().await;
    });
    tokio::task::spawn_blocking(move || holds.recv())
        .await
        .expect("runs")
        .expect("inside");
    let front = Front::of(world);
    let (sites, site) = (front.in_tenant("sites"), serde_json::json!({ "name": "annex" }));
    let (reported, made) = tokio::join!(reports(&front.world, &mut agent, 3), front.post(sites, site));
    assert_eq!(kind(reported), RefusalKind::Busy);
    assert_eq!(
        (made.status.as_u16(), made.code().as_str()),
        (503, "store-unavailable")
    );
    assert_eq!(
        front.get(front.in_tenant("hosts")).await.status,
        200,
        "reading goes on"
    );
    finish.send(()).expect("the other program waits");
    holding.await.expect("it ends");
    reports(&front.world, &mut agent, 3).await.expect("it goes on");
}

/// A small disk of its own (tmpfs(5)); gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Option<Self> {
        let place = folder.join("disk");
        std::fs::create_dir(&place).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs"])
            .arg(&place)
            .status();
        match mounted {
            Ok(status) if status.success() => Some(Self(place)),
            _ => {
                testkit::skip::skip(&"a file system of one's own can be mounted by root only");
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the database may still have it open. A leftover shows in the temporary folder.
        let _shown = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_nothing_acknowledged_is_lost_and_hosts_are_answered() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        return;
    };
    let world = World::in_folder(&disk.0).await;
    let mut agent = world.agent(1).await;
    let filler = disk.0.join("filler");
    let room = rustix::fs::statvfs(&disk.0).expect("a file system");
    let free = room.f_bavail * room.f_frsize;
    let filled = vec![0; usize::try_from(free).expect("it is small") - 600_000];
    std::fs::write(&filler, filled).expect("others fill the disk");
    let mut acknowledged = Vec::new();
    let refused = loop {
        let packages = 500 + acknowledged.len();
        match reports(&world, &mut agent, packages).await {
            Ok(()) => acknowledged.push(protocol::sha256(&inventory(packages).1)),
            Err(refused) => break refused,
        }
        assert!(acknowledged.len() < 500, "the disk never fills");
    };
    assert_eq!(refused.kind, RefusalKind::Busy);
    agent
        .checks_in(&world, &[])
        .await
        .expect("an unchanged check-in is answered");
    assert_eq!(check(&world, "disk").await.state, Wellness::Failed);
    let front = Front::of(world);
    let full = loop {
        let name = format!("site-{}", front.new_key());
        let made = front.post(front.in_tenant("sites"), serde_json::json!({ "name": name }));
        let made = made.await;
        if made.status != 201 {
            break made;
        }
    };
    assert_eq!(
        (full.status.as_u16(), full.code().as_str()),
        (507, "storage-full")
    );
    std::fs::remove_file(&filler).expect("somebody makes room");
    reports(&front.world, &mut agent, 400).await.expect("it goes on");
    let world = front.into_world().killed_and_started().await;
    let (scope, asked) = (world.scope(), acknowledged.clone());
    let known = world
        .context
        .db
        .read(move |view| store::document::known(view, &scope, &asked));
    assert_eq!(known.await.expect("it answers").len(), acknowledged.len());
    world.context.db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_stops_the_start_or_is_named_and_is_never_read_as_something_else() {
    let world = World::new().await;
    let mut agent = world.agent(1).await;
    for packages in [20, 30] {
        reports(&world, &mut agent, packages).await.expect("it is kept");
    }
    let (names, folder) = (host_names(&world.context).await, world.folder.path().to_owned());
    world.context.db.close().await;
    let file = database(&folder);
    let sound = std::fs::read(&file).expect("the file");
    let pages = sound.len() / 8192;
    // One of nine, and each page has its turn somewhere between the tables.
    for page in (0..pages).step_by(9) {
        let mut damaged = sound.clone();
        damaged[page * 8192..][..8192].fill(0xa5);
        let elsewhere = tempfile::tempdir().expect("a temporary folder");
        let settings = settings(elsewhere.path());
        let keys = settings.data.join("keys");
        std::fs::create_dir_all(&keys).expect("a folder");
        for folder in [&settings.data, &keys] {
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(folder, private).expect("chmod");
        }
        for key in std::fs::read_dir(folder.join("data/keys")).expect("the keys") {
            let key = key.expect("a key").path();
            std::fs::copy(&key, keys.join(key.file_name().expect("a name"))).expect("it is copied");
        }
        std::fs::write(database(elsewhere.path()), damaged).expect("it is written");
        let context = match Server::open(settings, Ports::default()).await {
            Ok(context) => context,
            Err(error) => {
                let why = server::reconcile::chain(&error);
                assert!(
                    why.contains("damaged") || why.contains("database"),
                    "page {page}: {why}"
                );
                continue;
            }
        };
        let checks = doctor::examine(&context).await;
        let database = checks.iter().find(|check| check.name == "database");
        let database = database.expect("the doctor looks at it");
        let is_free = read(&context).await;
        match database.state {
            Wellness::Failed => assert!(database.next_step.contains("restore"), "{database:?}"),
            // A page that holds nothing may be anything.
            _ => assert_eq!(is_free, Some(names.clone()), "page {page} is damaged unnoticed"),
        }
        if let Some(read) = is_free {
            assert_eq!(read, names, "page {page} is read as something else");
        }
        context.db.close().await;
    }
}

async fn host_names(context: &server::Context) -> Vec<String> {
    read(context).await.expect("it is sound")
}

/// The hosts' names; `None` where the database cannot say.
async fn read(context: &server::Context) -> Option<Vec<String>> {
    let scope = store::Scope::of_tenant(domain::id::TenantId([1; 16]));
    let hosts = context.db.read(move |view| {
        let mut ids = Vec::new();
        store::host::fleet(view, &scope, |row| {
            ids.push(row.id);
            Ok(())
        })?;
        let mut names = Vec::new();
        for id in ids {
            names.extend(store::host::get(view, &scope, id)?.map(|host| host.name));
        }
        Ok::<_, store::Error>(names)
    });
    hosts.await.ok()
}
