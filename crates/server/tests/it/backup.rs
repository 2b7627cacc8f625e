//! Backups: made while the server runs, whole or none, and restored into a server that its hosts go on with.

use crate::catalog::Fleet;
use crate::world::{Agent, World};
use jiff::SignedDuration;
use server::clock::SeededChance;
use server::operations::backup::{
    self, BackupError, Choice, ContentChoice, MasterKeyChoice, Restore, RestoreError,
};
use server::start::{Ports, Server};
use server::{Context, Settings};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Db, Whole, backup_log, epoch, source};
use testkit::archive::package::Package;

const WHOLE: Choice = Choice {
    content: ContentChoice::Included,
    master_key: MasterKeyChoice::Included,
};
const APART: Choice = Choice {
    content: ContentChoice::Listed,
    master_key: MasterKeyChoice::Apart,
};

async fn backed_up(world: &World, choice: Choice) -> PathBuf {
    let folder = world.folder.path().join("backup");
    let made = backup::make(&world.context, &folder, "test", choice).await;
    made.expect("a backup is made while the server runs");
    folder
}

async fn open(world: &World, data: &Path) -> Context {
    let ports = Ports {
        clock: Arc::clone(&world.clock) as _,
        chance: Arc::new(SeededChance::new(77)),
    };
    let settings = Settings::defaults_in(data);
    Server::open(settings, ports)
        .await
        .expect("the restored server opens")
}

async fn restored(world: &World, backup: &Path, master_key: Option<&Path>) -> Result<PathBuf, RestoreError> {
    let data = world.folder.path().join("elsewhere");
    let request = Restore {
        backup,
        data: &data,
        master_key,
    };
    backup::restore(request, world.now(), &SeededChance::new(9)).await?;
    Ok(data)
}

#[tokio::test]
async fn a_server_restored_elsewhere_begins_a_new_epoch_and_its_hosts_go_on_by_themselves() {
    let mut world = World::new().await;
    let mut agent = world.agent(1).await;
    agent.checks_in(&world, &[]).await.expect("before the backup");
    let folder = backed_up(&world, WHOLE).await;
    world.pass(SignedDuration::from_mins(5));
    // The host goes on with the old server: its link is newer than what the backup knows.
    for _ in 0..3 {
        agent.checks_in(&world, &[]).await.expect("after the backup");
    }
    let before = agent.host;
    let data = restored(&world, &folder, None).await.expect("restored");
    world.context.db.close().await;
    world.context = open(&world, &data).await;
    agent
        .checks_in(&world, &[])
        .await
        .expect("the host is known and not taken for a copy");
    agent.checks_in(&world, &[]).await.expect("and goes on");
    assert_eq!(world.host(before).await.id, before);
    let lives = world
        .context
        .db
        .read(|view| epoch::all(view, &Whole::server()))
        .await;
    let lives = lives.expect("the database answers");
    assert_eq!(lives.len(), 2);
    assert!(lives[1].reason.contains("restored"), "{}", lives[1].reason);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_source_of_a_restored_server_is_due_at_once() {
    let fleet = Fleet::new().await;
    fleet.publish(&[Package::new("hello", "1.0-2")]);
    fleet.host(1, &[("hello", "1.0-1")]).await;
    fleet.run("assess").await;
    fleet.adopt().await;
    fleet.run("sync").await;
    let (world, now) = (&fleet.world, fleet.world.now());
    let due = async |db: &Db| {
        let due = db.read(move |view| source::due(view, &Whole::server(), now, 10));
        due.await.expect("the database answers").len()
    };
    assert_eq!(due(&world.context.db).await, 0, "it was just synced");
    let folder = backed_up(world, APART).await;
    let keys = world.context.data.path().join("keys/master.key");
    let data = restored(world, &folder, Some(&keys)).await.expect("restored");
    assert_eq!(due(&open(world, &data).await.db).await, 1);
}

#[tokio::test]
async fn a_backup_notes_itself_and_what_it_holds_is_verified() {
    let world = World::new().await;
    let file = world
        .context
        .content
        .insert(&b"an index"[..], content::Expected::AtMost { size_bytes: 100 })
        .expect("kept");
    let folder = backed_up(&world, WHOLE).await;
    let verified = backup::verify(&folder).expect("it is whole");
    let paths: Vec<&str> = verified
        .manifest
        .files
        .iter()
        .map(|file| file.path.as_str())
        .collect();
    let content = format!("content/{}", file.0);
    for expected in [
        "database.sqlite",
        "keys/master.key",
        "content.list",
        content.as_str(),
    ] {
        assert!(paths.contains(&expected), "{expected} is not in {paths:?}");
    }
    let noted = world
        .context
        .db
        .read(|view| backup_log::latest(view, &Whole::server(), 10))
        .await;
    let noted = noted.expect("the database answers");
    assert_eq!(noted.len(), 1);
    assert_eq!(noted[0].size_bytes, verified.size_bytes);
    assert!(matches!(
        backup::make(&world.context, &folder, "test", WHOLE).await,
        Err(BackupError::Exists { .. })
    ));
    let data = restored(&world, &folder, None).await.expect("restored");
    let kept = open(&world, &data).await;
    assert!(kept.content.contains(&file.0));
}

#[tokio::test]
async fn a_backup_that_was_cut_short_or_changed_anywhere_is_none() {
    let world = World::new().await;
    let folder = backed_up(&world, WHOLE).await;
    let files = backup::verify(&folder).expect("whole").manifest.files;
    for file in &files {
        let path = folder.join(&file.path);
        let good = fs::read(&path).expect("read");
        let mut changed = good.clone();
        match changed.last_mut() {
            Some(last) => *last ^= 1,
            None => changed.push(0),
        }
        let short = &good[..good.len().saturating_sub(1)];
        for bad in [
            Some(changed.as_slice()),
            Some(short).filter(|short| short.len() < good.len()),
            None,
        ] {
            match bad {
                Some(bad) => fs::write(&path, bad).expect("write"),
                None => fs::remove_file(&path).expect("remove"),
            }
            assert!(
                matches!(backup::verify(&folder), Err(BackupError::Damaged { .. })),
                "{} was not missed",
                file.path
            );
            assert!(restored(&world, &folder, None).await.is_err());
            fs::write(&path, &good).expect("put back");
        }
    }
    backup::verify(&folder).expect("whole again");
    fs::remove_file(folder.join("manifest.json")).expect("remove");
    assert!(matches!(
        backup::verify(&folder),
        Err(BackupError::NotWhole { .. })
    ));
}

#[tokio::test]
async fn a_backup_of_a_newer_version_or_one_that_names_files_outside_is_refused() {
    let world = World::new().await;
    let folder = backed_up(&world, APART).await;
    let path = folder.join("manifest.json");
    let text = fs::read_to_string(&path).expect("read");
    let manifest = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        change(&mut manifest);
        fs::write(&path, manifest.to_string()).expect("write");
        backup::verify(&folder)
    };
    let newer = manifest(&|manifest| manifest["schema"] = (store::NEWEST + 1).into());
    assert!(matches!(newer, Err(BackupError::Newer { .. })));
    let newer = manifest(&|manifest| manifest["format"] = (backup::FORMAT + 1).into());
    assert!(matches!(newer, Err(BackupError::Newer { .. })));
    for outside in ["../escape", "/etc/passwd", "keys/../../escape", ""] {
        let escaped = manifest(&|manifest| manifest["files"][0]["path"] = outside.into());
        assert!(matches!(escaped, Err(BackupError::Damaged { .. })), "{outside}");
    }
    assert!(matches!(
        manifest(&|manifest| *manifest = "x".into()),
        Err(BackupError::Manifest { .. })
    ));
}

#[tokio::test]
async fn a_restore_needs_the_master_key_and_an_empty_place() {
    let world = World::new().await;
    let folder = backed_up(&world, APART).await;
    assert!(!folder.join("keys/master.key").exists());
    assert!(matches!(
        restored(&world, &folder, None).await,
        Err(RestoreError::NoMasterKey)
    ));
    assert!(
        !world.folder.path().join("elsewhere").exists(),
        "nothing is left behind"
    );
    let kept = world.folder.path().join("data/keys/master.key");
    let data = restored(&world, &folder, Some(&kept)).await.expect("restored");
    assert!(matches!(
        restored(&world, &folder, Some(&kept)).await,
        Err(RestoreError::NotEmpty { .. })
    ));
    let context = open(&world, &data).await;
    assert_eq!(
        context.authority.root_digest(),
        world.context.authority.root_digest()
    );
}

#[tokio::test]
async fn a_host_that_came_after_the_backup_is_unknown_and_asked_to_enrol_again() {
    let mut world = World::new().await;
    let folder = backed_up(&world, WHOLE).await;
    let mut late: Agent = world.agent(2).await;
    let data = restored(&world, &folder, None).await.expect("restored");
    world.context.db.close().await;
    world.context = open(&world, &data).await;
    let refused = late.checks_in(&world, &[]).await;
    assert_eq!(
        crate::world::kind(refused),
        protocol::message::refused::RefusalKind::Unknown
    );
}
