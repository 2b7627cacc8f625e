//! What goes wrong beneath: locked, read-only, full and damaged databases, and servers that are not there. Each is a typed
//! error that says what to do, and costs nothing that was acknowledged.

use crate::engines::{a_host, a_tenant, at, digest, open_file, runtime, site_id};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;
use store::document::{Document, DocumentKind, Encoding};
use store::{Db, Error, OpenError, Tuning, Url, document, site};

/// Waits for no lock.
fn hasty() -> Tuning {
    Tuning {
        patience: Duration::ZERO,
        ..Tuning::default()
    }
}

#[test]
fn a_locked_database_is_named_so_and_works_again_when_it_is_free() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.db");
    runtime().block_on(async {
        let (one, two) = (
            open_file(&path, hasty()).await.expect("open"),
            open_file(&path, hasty()).await.expect("open"),
        );
        let scope = a_tenant(&one, 1).await;
        let (inside, holds) = std::sync::mpsc::channel::<()>();
        let (finish, end) = std::sync::mpsc::channel::<()>();
        let end = std::sync::Mutex::new(end);
        let long = tokio::spawn({
            let one = one.clone();
            async move {
                one.write(move |tx| {
                    site::create(tx, &scope, site_id(2), "long", at(0))?;
                    inside.send(()).expect("the test waits");
                    end.lock()
                        .expect("unpoisoned")
                        .recv()
                        .expect("the test says when");
                    Ok(())
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || holds.recv())
            .await
            .expect("runs")
            .expect("inside");
        let refused = two
            .write(move |tx| site::create(tx, &scope, site_id(3), "other", at(0)))
            .await;
        let Err(error @ Error::Locked(_)) = refused else {
            panic!("{refused:?}")
        };
        assert!(error.next_step().contains("other program"));
        finish.send(()).expect("the writer waits");
        long.await.expect("runs").expect("the first change is made");
        two.write(move |tx| site::create(tx, &scope, site_id(3), "other", at(0)))
            .await
            .expect("free again");
        one.close().await;
        two.close().await;
    });
}

#[test]
fn a_file_that_may_only_be_read_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.db");
    runtime().block_on(async {
        open_file(&path, Tuning::default())
            .await
            .expect("open")
            .close()
            .await;
    });
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).expect("a mode");
    if std::fs::OpenOptions::new().write(true).open(&path).is_ok() {
        again_without_the_right_to_write_everywhere();
        return;
    }
    let refused = runtime().block_on(open_file(&path, Tuning::default()));
    assert!(
        matches!(refused, Err(OpenError::Database(Error::ReadOnly(_)))),
        "{refused:?}"
    );
}

/// Root may write to every file by one capability of capabilities(7). The same test in a process of root's without it.
fn again_without_the_right_to_write_everywhere() {
    let done = Command::new("setpriv")
        .args(["--bounding-set=-dac_override", "--inh-caps=-all", "--"])
        .arg(std::env::current_exe().expect("the tests have a file"))
        .args([
            "--exact",
            "faults::a_file_that_may_only_be_read_is_refused_with_what_to_do",
        ])
        .output()
        .expect("util-linux is installed");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_reader_may_not_write_even_by_mistake() {
    let Some(url) = testkit::postgres::database() else {
        return;
    };
    runtime().block_on(async {
        let db = Db::open(&Url::parse(&url).expect("an address"), at(0))
            .await
            .expect("open");
        db.close().await;
        let server = testkit::postgres::shared().expect("the server of this process");
        let name = url
            .split('/')
            .nth(3)
            .and_then(|rest| rest.split('?').next())
            .expect("a name");
        server
            .sql(
                "postgres",
                &format!("ALTER DATABASE {name} SET default_transaction_read_only = on"),
            )
            .expect("set");
        let db = Db::open(&Url::parse(&url).expect("an address"), at(0)).await;
        let db = db.expect("nothing is to be migrated");
        let refused = db.write(|tx| {
            store::tenant::create(
                tx,
                &crate::engines::WHOLE,
                crate::engines::tenant_id(1),
                "t",
                at(0),
            )
        });
        let refused = refused.await;
        let Err(error @ Error::ReadOnly(_)) = refused else {
            panic!("{refused:?}")
        };
        assert!(error.next_step().contains("primary"));
        db.close().await;
    });
}

fn a_document(number: u64) -> Document {
    let mut bytes = vec![0; 20_000];
    bytes[0] = number as u8;
    Document {
        digest: digest(number),
        kind: DocumentKind::Inventory,
        encoding: Encoding::Plain,
        size_bytes: 20_000,
        bytes,
    }
}

#[test]
fn a_full_database_keeps_what_it_acknowledged_and_takes_more_when_there_is_room() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.db");
    let stored = runtime().block_on(async {
        let db = open_file(
            &path,
            Tuning {
                max_pages: Some(260),
                ..Tuning::default()
            },
        )
        .await
        .expect("open");
        let scope = a_tenant(&db, 1).await;
        let changes: Vec<_> = (0..200_u64)
            .map(|number| {
                let db = db.clone();
                tokio::spawn(async move {
                    db.write(move |tx| document::put(tx, &scope, &a_document(number), at(0)))
                        .await
                })
            })
            .collect();
        let (mut stored, mut refused) = (Vec::new(), 0);
        for (number, change) in (0..).zip(changes) {
            match change.await.expect("runs") {
                Ok(_) => stored.push(digest(number)),
                Err(error @ Error::Full(_)) => {
                    assert!(error.next_step().contains("storage"));
                    refused += 1;
                }
                Err(other) => panic!("{other:?}"),
            }
        }
        assert!(
            !stored.is_empty() && refused > 0,
            "{} stored, {refused} refused",
            stored.len()
        );
        let known = digests_of(&db, &stored).await;
        assert_eq!(known, stored.len());
        db.close().await;
        stored
    });
    runtime().block_on(async {
        let db = open_file(&path, Tuning::default()).await.expect("open with room");
        assert_eq!(digests_of(&db, &stored).await, stored.len());
        let scope = store::Scope::of_tenant(crate::engines::tenant_id(1));
        assert!(
            db.write(move |tx| document::put(tx, &scope, &a_document(999), at(0)))
                .await
                .expect("write")
        );
        db.close().await;
    });
}

async fn digests_of(db: &Db, stored: &[domain::digest::Sha256Digest]) -> usize {
    let scope = store::Scope::of_tenant(crate::engines::tenant_id(1));
    let stored = stored.to_vec();
    db.read(move |view| document::known(view, &scope, &stored))
        .await
        .expect("read")
        .len()
}

#[test]
fn a_damaged_page_is_an_error_and_never_an_answer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.db");
    runtime().block_on(async {
        let db = open_file(&path, Tuning::default()).await.expect("open");
        let scope = a_tenant(&db, 1).await;
        for number in 0..200 {
            a_host(&db, scope, 1, number, &format!("web{number}")).await;
        }
        db.close().await;
        let mut bytes = std::fs::read(&path).expect("the file");
        // Every page but the first, which holds the schema's root.
        for page in bytes.chunks_mut(8192).skip(1) {
            page[..64].fill(0xff);
        }
        std::fs::write(&path, bytes).expect("the damaged file");
        let opened = open_file(&path, Tuning::default()).await;
        let error = match opened {
            Err(OpenError::Database(error)) => error,
            Err(other) => panic!("{other:?}"),
            Ok(db) => db
                .read(move |view| site::page(view, &scope, None, 10))
                .await
                .expect_err("damaged"),
        };
        assert!(matches!(error, Error::Corrupt(_)), "{error:?}");
        assert!(error.next_step().contains("restore"));
    });
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.db");
    std::fs::write(&path, b"#!/bin/sh\necho no database\n".repeat(1_000)).expect("a file");
    runtime().block_on(async {
        let refused = open_file(&path, Tuning::default()).await;
        assert!(
            matches!(refused, Err(OpenError::Database(Error::Corrupt(_)))),
            "{refused:?}"
        );
        let missing = open_file(&folder.path().join("no/such/a.db"), Tuning::default()).await;
        assert!(
            matches!(missing, Err(OpenError::Database(Error::Unavailable(_)))),
            "{missing:?}"
        );
    });
}

#[test]
fn a_server_that_is_not_there_is_named_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    runtime().block_on(async {
        let url = format!(
            "postgres://user:secret@localhost/db?host={}",
            folder.path().display()
        );
        let refused = Db::open(&Url::parse(&url).expect("an address"), at(0)).await;
        let Err(OpenError::Database(error @ Error::Unavailable(_))) = refused else {
            panic!("{refused:?}")
        };
        assert!(!format!("{error:?}").contains("secret"));
    });
}

#[test]
fn text_that_a_database_cannot_hold_is_refused_alike() {
    crate::engines::on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let refused = db
            .write(move |tx| site::create(tx, &scope, site_id(2), "a\0b", at(0)))
            .await;
        assert!(matches!(refused, Err(Error::Nul)), "{refused:?}");
        let hostile = "\u{202e}';DROP TABLE sites;--\u{1b}[2J\u{fffd}\u{10ffff}";
        db.write(move |tx| site::create(tx, &scope, site_id(3), hostile, at(0)))
            .await
            .expect("only text");
        let found = db
            .read(move |view| site::by_name(view, &scope, hostile))
            .await
            .expect("read");
        assert_eq!(found.map(|site| site.name).as_deref(), Some(hostile));
    });
}

#[test]
fn an_address_is_shown_without_its_password() {
    for (url, shown) in [
        (
            "postgres://ada:secret@db.example:5432/patchyard?sslmode=require",
            "postgres://ada@db.example:5432/patchyard",
        ),
        (
            "postgresql://db.example/patchyard",
            "postgres://db.example/patchyard",
        ),
        (
            "sqlite:/var/lib/patchyard/patchyard.db",
            "sqlite:/var/lib/patchyard/patchyard.db",
        ),
    ] {
        let url = Url::parse(url).expect("an address");
        assert_eq!(
            (url.to_string(), format!("{url:?}")),
            (shown.to_owned(), shown.to_owned())
        );
    }
    for wrong in ["", "sqlite:", "mysql://x", "postgres:x", "/var/lib/a.db"] {
        assert!(Url::parse(wrong).is_err(), "{wrong}");
    }
}
