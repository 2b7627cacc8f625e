//! Whole databases copied from either engine to either, and into a file while they are used.

use crate::engines::{WHOLE, a_tenant, at, on_both, open_file, runtime};
use crate::packages::a_document;
use crate::walls::world::a_world;
use domain::id::EpochId;
use store::copy::{self, CopyError};
use store::document::{Document, DocumentKind};
use store::{Db, OpenError, Tuning, Url, document, epoch};

async fn an_empty_file(folder: &tempfile::TempDir, name: &str) -> Db {
    open_file(&folder.path().join(name), Tuning::default())
        .await
        .expect("open")
}

#[test]
fn a_database_comes_back_from_the_other_engine_row_for_row() {
    let Some(url) = testkit::postgres::database() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    runtime().block_on(async {
        let file = an_empty_file(&folder, "a.db").await;
        a_world(&file).await;
        file.write(|tx| epoch::begin(tx, &WHOLE, EpochId([1; 16]), "start", at(0)))
            .await
            .expect("a life");
        let server = Db::open(&Url::parse(&url).expect("an address"), at(5))
            .await
            .expect("open");
        let there = copy::copy(&file, &server).await.expect("copy");
        assert!(there.iter().map(|table| table.rows).sum::<u64>() > 30);
        let back = an_empty_file(&folder, "b.db").await;
        assert_eq!(copy::copy(&server, &back).await.expect("copy back"), there);
        assert_eq!(copy::verify(&file).await.expect("digests"), there);
        for db in [file, server, back] {
            db.close().await;
        }
    });
}

#[test]
fn a_copy_never_mixes_with_what_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    runtime().block_on(async {
        let (from, to) = (
            an_empty_file(&folder, "a.db").await,
            an_empty_file(&folder, "b.db").await,
        );
        a_tenant(&from, 1).await;
        a_tenant(&to, 2).await;
        let refused = copy::copy(&from, &to).await;
        assert!(matches!(refused, Err(CopyError::NotEmpty { table }) if table == "tenants"));
        from.close().await;
        to.close().await;
    });
}

#[test]
fn a_copy_that_was_cut_off_is_refused_at_the_next_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    runtime().block_on(async {
        let from = an_empty_file(&folder, "a.db").await;
        let scope = a_tenant(&from, 1).await;
        let put = move |tx: &mut store::Tx| {
            (0..100).try_for_each(|number| {
                let bytes = vec![7; 20_000];
                let document = Document {
                    bytes,
                    ..a_document(number, DocumentKind::Inventory)
                };
                document::put(tx, &scope, &document, at(0)).map(drop)
            })
        };
        from.write(put).await.expect("documents");
        // Room for the schema and some of the rows.
        let path = folder.path().join("b.db");
        let small = Tuning {
            max_pages: Some(200),
            ..Tuning::default()
        };
        let to = open_file(&path, small).await.expect("open");
        let cut = copy::copy(&from, &to).await;
        assert!(
            matches!(cut, Err(CopyError::Database(store::Error::Full(_)))),
            "{cut:?}"
        );
        to.close().await;
        let again = open_file(&path, Tuning::default()).await;
        assert!(matches!(again, Err(OpenError::Unfinished)), "{again:?}");
        from.close().await;
    });
}

#[test]
fn a_database_is_copied_into_a_file_while_it_is_used() {
    on_both(async |db| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        a_world(&db).await;
        let path = folder.path().join("backup.db");
        db.copy_into_file(&path, at(9)).await.expect("copy");
        let copied = open_file(&path, Tuning::default()).await.expect("a database");
        let sides = (copy::verify(&copied).await, copy::verify(&db).await);
        assert_eq!(sides.0.expect("digests"), sides.1.expect("digests"));
        copied.close().await;
        assert!(
            db.copy_into_file(&path, at(9)).await.is_err(),
            "a backup never overwrites"
        );
    });
}
