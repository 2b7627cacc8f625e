//! The schema: the same on both engines, made in steps, never of a program that is newer than this one.

use crate::engines::{at, on_both, open_file, runtime};
use std::collections::BTreeSet;
use std::path::Path;
use store::{Db, NEWEST, OpenError, Schema, Tuning, Url};

fn steps(engine: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("migrations")
        .join(engine);
    let names = std::fs::read_dir(folder).expect("migrations").flatten();
    names
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_step_has_its_twin_and_none_is_left_out() {
    assert_eq!(steps("sqlite"), steps("postgres"));
    assert_eq!(steps("sqlite").len(), NEWEST as usize);
    let numbers: Vec<String> = (1..=NEWEST).map(|step| format!("{step:04}_")).collect();
    for (name, number) in steps("sqlite").iter().zip(numbers) {
        assert!(name.starts_with(&number), "{name}");
    }
}

#[test]
fn both_engines_have_the_same_tables_with_the_same_columns() {
    let Some(url) = testkit::postgres::database() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    runtime().block_on(async {
        let file = open_file(&folder.path().join("a.db"), Tuning::default())
            .await
            .expect("open");
        let server = Db::open(&Url::parse(&url).expect("an address"), at(0))
            .await
            .expect("open");
        let mine = file.read(store::shape::columns).await.expect("read");
        let theirs = server.read(store::shape::columns).await.expect("read");
        assert!(mine.len() > 200, "found only {} columns", mine.len());
        assert_eq!(mine, theirs);
        file.close().await;
        server.close().await;
    });
}

#[test]
fn a_database_is_opened_again_as_it_was_left() {
    on_both(async |db| {
        let schema = db.attempt_read(store::shape::schema).await;
        assert_eq!(
            schema.map_err(|error: OpenError| error).expect("read"),
            Schema::Current
        );
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.db");
    runtime().block_on(async {
        assert_eq!(
            Db::schema(&Url::from(path.as_path()), Tuning::default())
                .await
                .expect("open"),
            Schema::Empty
        );
        for _ in 0..2 {
            open_file(&path, Tuning::default())
                .await
                .expect("open")
                .close()
                .await;
        }
        assert_eq!(
            Db::schema(&Url::from(path.as_path()), Tuning::default())
                .await
                .expect("open"),
            Schema::Current
        );
    });
}

#[test]
fn a_sound_database_shows_no_damage_and_says_its_size() {
    on_both(async |db| {
        crate::walls::world::a_world(&db).await;
        db.write(store::shape::refresh_statistics)
            .await
            .expect("statistics");
        assert_eq!(db.read(store::shape::damage).await.expect("a look"), [""; 0]);
        assert!(db.read(store::shape::size_bytes).await.expect("a size") > 500_000);
    });
}
