//! A database of an earlier version: backed up before it is changed, changed as a whole or not at all; one of a later version
//! is left alone.

use crate::world::World;
use server::clock::SeededChance;
use server::operations::backup::{self, Restore};
use server::operations::upgrade::{self, Opening, UpgradeError};
use server::start::{Ports, Server, StartError};
use server::{Context, Settings};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::copy::{self, Copied};
use store::{Db, Migrations, NEWEST, OpenError, Schema, Step, Tuning, Url, Whole, backup_log};

/// A step of a version that is not there yet.
const LATER: Step = Step {
    name: "0999_later",
    sqlite: "CREATE TABLE later (id INTEGER NOT NULL PRIMARY KEY) STRICT;
             ALTER TABLE hosts ADD COLUMN nickname TEXT NOT NULL DEFAULT 'none'",
    postgres: "CREATE TABLE later (id BIGINT NOT NULL PRIMARY KEY);
             ALTER TABLE hosts ADD COLUMN nickname TEXT NOT NULL DEFAULT 'none'",
};
/// One that begins well and fails in its middle.
const BROKEN: Step = Step {
    name: "1000_broken",
    sqlite: "DROP TABLE liveness; INSERT INTO no_such_table VALUES (1)",
    postgres: "DROP TABLE liveness; INSERT INTO no_such_table VALUES (1)",
};

fn to(migrations: Migrations) -> Tuning {
    Tuning {
        migrations,
        ..Tuning::default()
    }
}

/// A server with a host, on SQLite, stopped; what its database holds.
async fn stopped(folder: &tempfile::TempDir) -> (World, Url, Vec<Copied>) {
    let world = World::in_folder(folder.path()).await;
    let mut agent = world.agent(1).await;
    agent.checks_in(&world, &[]).await.expect("a check-in");
    let held = copy::verify(&world.context.db).await.expect("digests");
    world.context.db.close().await;
    let url = Url::from(world.folder.path().join("data/patchyard.db").as_path());
    (world, url, held)
}

async fn opened(world: &World, url: &Url, migrations: Migrations) -> Result<Db, UpgradeError> {
    let data = world.folder.path().join("data");
    let opening = Opening {
        url,
        data: &data,
        content: &world.context.content,
    };
    upgrade::open(opening, to(migrations), world.now(), &SeededChance::new(3)).await
}

/// What a database of this version's schema holds.
async fn held(url: &Url) -> Vec<Copied> {
    let db = Db::open_as_it_is(url)
        .await
        .expect("open")
        .expect("a schema that is known");
    let held = copy::verify(&db).await.expect("digests");
    db.close().await;
    held
}

fn backups(world: &World) -> Vec<PathBuf> {
    let folder = world.folder.path().join("data/backups");
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

async fn restored(world: &World, backup: &Path) -> Context {
    let (data, key) = (
        world.folder.path().join("elsewhere"),
        world.folder.path().join("data/keys/master.key"),
    );
    let request = Restore {
        backup,
        data: &data,
        master_key: Some(&key),
    };
    backup::restore(request, world.now(), &SeededChance::new(9))
        .await
        .expect("restored");
    started(world, &data).await.expect("the restored server opens")
}

async fn started(world: &World, data: &Path) -> Result<Context, StartError> {
    let ports = Ports {
        clock: Arc::clone(&world.clock) as _,
        chance: Arc::new(SeededChance::new(77)),
    };
    Server::open(Settings::defaults_in(data), ports).await
}

#[tokio::test]
async fn a_database_is_backed_up_before_a_later_version_changes_it_and_nothing_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let (world, url, before) = stopped(&folder).await;
    let later = Migrations::default().and(LATER);
    let db = opened(&world, &url, later.clone())
        .await
        .expect("brought up to date");
    let noted = db
        .read(|view| backup_log::latest(view, &Whole::server(), 10))
        .await
        .expect("read");
    assert_eq!(noted.len(), 1);
    assert_eq!(
        noted[0].reason,
        format!("before the upgrade to schema {}", NEWEST + 1)
    );
    let after = copy::verify(&db).await.expect("digests");
    assert!(after.iter().any(|table| table.table == "later"));
    for table in &before {
        let now = after
            .iter()
            .find(|other| other.table == table.table)
            .expect("it is there");
        match table.table.as_str() {
            "backups" => assert_eq!(now.rows, table.rows + 1),
            "hosts" => assert_eq!(now.rows, table.rows, "with a new column"),
            _ => assert_eq!(now, table),
        }
    }
    db.close().await;

    let backups = backups(&world);
    assert_eq!(backups.len(), 1);
    let verified = backup::verify(&backups[0]).expect("it is whole");
    assert_eq!(verified.manifest.schema, NEWEST);
    let copied = Url::from(backups[0].join("database.sqlite").as_path());
    assert_eq!(held(&copied).await, before);
    // The version before goes on with it.
    let context = restored(&world, &backups[0]).await;
    assert_eq!(
        context.authority.root_digest(),
        world.context.authority.root_digest()
    );
    // A second start finds nothing to do.
    opened(&world, &url, later)
        .await
        .expect("as it was left")
        .close()
        .await;
    assert_eq!(self::backups(&world).len(), 1);
}

#[tokio::test]
async fn an_upgrade_that_fails_in_its_middle_leaves_the_database_to_the_version_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let (world, url, before) = stopped(&folder).await;
    let later = Migrations::default().and(LATER).and(BROKEN);
    let failed = opened(&world, &url, later)
        .await
        .expect_err("the last step fails");
    let UpgradeError::Migrate { backup, cause } = &failed else {
        panic!("{failed:?}")
    };
    let step = NEWEST + 2;
    assert!(
        matches!(cause, OpenError::Step { step: at, .. } if *at == step),
        "{cause:?}"
    );
    backup::verify(backup).expect("the backup is whole");
    assert!(failed.to_string().contains("it is as it was"), "{failed}");
    assert_eq!(
        Db::schema(&url, Tuning::default()).await.expect("read"),
        Schema::Current
    );
    assert_eq!(held(&url).await, before);
    opened(&world, &url, Migrations::default())
        .await
        .expect("the version before")
        .close()
        .await;
}

#[tokio::test]
async fn nothing_is_changed_where_the_backup_cannot_be_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let (world, url, before) = stopped(&folder).await;
    // A file stands where the folder of backups would be.
    fs::write(world.folder.path().join("data/backups"), "mine").expect("write");
    let failed = opened(&world, &url, Migrations::default().and(LATER))
        .await
        .expect_err("no backup");
    assert!(
        matches!(failed, UpgradeError::Backup { schema: NEWEST, .. }),
        "{failed:?}"
    );
    assert!(failed.to_string().contains("nothing was changed"), "{failed}");
    assert_eq!(held(&url).await, before);
}

#[tokio::test]
async fn a_server_brings_the_database_of_an_earlier_version_up_to_date_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::in_folder(folder.path()).await;
    let data = folder.path().join("earlier");
    fs::create_dir_all(data.join("keys")).expect("a folder");
    fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("chmod");
    let url = Url::from(data.join("patchyard.db").as_path());
    let earlier = Migrations::default().up_to(NEWEST - 1);
    let db = Db::open_tuned(&url, to(earlier), world.now())
        .await
        .expect("an earlier schema");
    db.write(|tx| {
        store::tenant::create(
            tx,
            &Whole::server(),
            domain::id::TenantId([7; 16]),
            "kept",
            jiff::Timestamp::UNIX_EPOCH,
        )
    })
    .await
    .expect("a tenant");
    db.close().await;
    let context = started(&world, &data).await.expect("it starts");
    let kept = context
        .db
        .read(|view| store::tenant::by_name(view, &Whole::server(), "kept"))
        .await;
    assert!(kept.expect("read").is_some());
    let made: Vec<_> = fs::read_dir(data.join("backups"))
        .expect("backups")
        .flatten()
        .collect();
    assert_eq!(made.len(), 1);
    let verified = backup::verify(&made[0].path()).expect("whole");
    assert_eq!(verified.manifest.schema, NEWEST - 1);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_in_a_sentence_and_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (world, url, _) = stopped(&folder).await;
    opened(&world, &url, Migrations::default().and(LATER))
        .await
        .expect("a newer version was here")
        .close()
        .await;
    let file = world.folder.path().join("data/patchyard.db");
    let before = fs::read(&file).expect("read");
    let refused = opened(&world, &url, Migrations::default())
        .await
        .expect_err("it is newer");
    let UpgradeError::Open { cause, .. } = &refused else {
        panic!("{refused:?}")
    };
    let sentence = cause.to_string();
    for part in [
        &format!("schema {}", NEWEST + 1),
        &format!("schema {NEWEST}"),
        "install the newer version",
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
    assert_eq!(fs::read(&file).expect("read"), before);
    assert_eq!(
        backups(&world).len(),
        1,
        "nothing is backed up that is not changed"
    );
}

#[test]
fn the_last_three_backups_of_upgrades_are_kept_and_those_of_people_all() {
    let data = tempfile::tempdir().expect("a folder");
    let folder = data.path().join("backups");
    let names = [
        "upgrade-from-schema-9-2026-01-01T000000-000000Z",
        "upgrade-from-schema-10-2026-01-02T000000-000000Z",
        "upgrade-from-schema-10-2026-01-03T000000-000000Z",
        "upgrade-from-schema-11-2026-01-04T000000-000000Z",
        "upgrade-by-ada",
        "2020-01-01T000000Z",
    ];
    for name in names {
        fs::create_dir_all(folder.join(name)).expect("a folder");
    }
    let gone = upgrade::forget_old_backups(data.path()).expect("removed");
    assert_eq!(gone, 1);
    assert!(!folder.join(names[0]).exists());
    assert!(names[1..].iter().all(|name| folder.join(name).exists()));
}
