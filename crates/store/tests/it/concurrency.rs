//! Many at a time: two operators, two nodes, changes that cross, changes that share a commit.

use crate::engines::{WHOLE, a_host, a_tenant, at, host_id, on, on_both, open_file, runtime, site_id};
use domain::id::NodeId;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use store::host::{HostEdit, HostState};
use store::{Change, Db, Error, Tuning, Url, host, lease, site};
use tokio::sync::Barrier;

/// A database of the PostgreSQL server of this process.
fn a_server() -> Option<Url> {
    testkit::postgres::database().map(|url| Url::parse(&url).expect("an address"))
}

#[test]
fn of_two_operators_at_the_same_moment_one_changes_and_one_sees_it() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        a_host(&db, scope, 1, 1, "web").await;
        for round in 1..=10 {
            let operator = |name: String| {
                let db = db.clone();
                tokio::spawn(async move {
                    let edit = HostEdit {
                        name,
                        site: site_id(1),
                    };
                    db.write(move |tx| host::edit(tx, &scope, host_id(1), round, &edit))
                        .await
                })
            };
            let (one, two) = (operator(format!("one{round}")), operator(format!("two{round}")));
            let (one, two) = (one.await.expect("runs"), two.await.expect("runs"));
            match (one.expect("write"), two.expect("write")) {
                (Change::Changed(made), Change::Conflict(seen))
                | (Change::Conflict(seen), Change::Changed(made)) => {
                    assert_eq!((made.version, &made), (round + 1, &seen));
                }
                other => panic!("round {round}: {other:?}"),
            }
        }
    });
}

#[test]
fn of_nodes_that_race_for_a_lease_one_gets_it() {
    on_both(async |db| {
        for round in 0..10 {
            let now = at(round * 100);
            let nodes: Vec<_> = (1..=6_u8)
                .map(|node| {
                    let db = db.clone();
                    tokio::spawn(async move {
                        db.write(move |tx| {
                            lease::take(tx, &WHOLE, "work", NodeId([node; 16]), now, at(round * 100 + 30))
                        })
                        .await
                    })
                })
                .collect();
            let mut holders = 0;
            for node in nodes {
                if let Some(fence) = node.await.expect("runs").expect("write") {
                    assert_eq!(fence.token(), round + 1, "a token rises with each holder");
                    holders += 1;
                }
            }
            assert_eq!(holders, 1);
        }
    });
}

#[test]
fn a_holder_keeps_its_token_while_it_renews_and_gets_a_new_one_after_a_gap() {
    on_both(async |db| {
        let take = |node: u8, now, until| {
            let taken =
                db.write(move |tx| lease::take(tx, &WHOLE, "work", NodeId([node; 16]), at(now), at(until)));
            async { taken.await.expect("write").map(|fence| fence.token()) }
        };
        assert_eq!(take(1, 0, 30).await, Some(1));
        assert_eq!(take(1, 20, 50).await, Some(1));
        assert_eq!(take(2, 49, 80).await, None);
        assert_eq!(
            take(1, 50, 80).await,
            Some(2),
            "it ran out: somebody might have had it"
        );
        assert_eq!(take(2, 80, 99).await, Some(3));
        let fence = db
            .write(|tx| lease::take(tx, &WHOLE, "work", NodeId([2; 16]), at(81), at(200)))
            .await
            .expect("write")
            .expect("its own lease");
        db.write(move |tx| lease::give_back(tx, &WHOLE, &fence, at(82)))
            .await
            .expect("write");
        assert_eq!(take(1, 82, 90).await, Some(4));
    });
}

/// Who proves to hold the lease inside a transaction holds it until that ends: the taker waits.
#[test]
fn a_lease_cannot_be_taken_between_the_proof_and_the_commit() {
    let Some(url) = a_server() else { return };
    on(&url, async |db| {
        let take = |node: u8, now| {
            let db = db.clone();
            async move {
                db.write(move |tx| lease::take(tx, &WHOLE, "work", NodeId([node; 16]), at(now), at(now + 30)))
                    .await
            }
        };
        let fence = take(1, 0).await.expect("write").expect("the lease");
        let (proved, go_on) = std::sync::mpsc::channel::<()>();
        let (finish, end) = std::sync::mpsc::channel::<()>();
        let end = std::sync::Mutex::new(end);
        let writer = tokio::spawn({
            let db = db.clone();
            async move {
                db.write(move |tx| {
                    lease::hold(tx, &WHOLE, &fence, at(31))?;
                    proved.send(()).expect("the test waits");
                    end.lock()
                        .expect("unpoisoned")
                        .recv()
                        .expect("the test says when");
                    Ok(())
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || go_on.recv())
            .await
            .expect("runs")
            .expect("proved");
        let taker = tokio::spawn(take(2, 31));
        // Until the taker is seen to wait for the writer's row, nothing is shown.
        let server = testkit::postgres::shared().expect("the server of this process");
        let waits =
            "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%leases%'";
        tokio::task::spawn_blocking(move || {
            while server.sql("postgres", waits).expect("an answer") == "0" {
                std::thread::yield_now();
            }
        })
        .await
        .expect("the taker waits");
        assert!(!taker.is_finished());
        finish.send(()).expect("the writer waits");
        writer.await.expect("runs").expect("the holder's change is made");
        let taken = taker.await.expect("runs").expect("write");
        assert_eq!(taken.map(|fence| fence.token()), Some(2));
    });
}

/// Two changes that lock two rows in opposite order: PostgreSQL ends one of them (40P01), which is run again.
#[test]
fn a_change_that_crosses_another_is_run_again_until_it_succeeds() {
    let Some(url) = a_server() else { return };
    on(&url, async |db| {
        let scope = a_tenant(&db, 1).await;
        a_host(&db, scope, 1, 1, "one").await;
        a_host(&db, scope, 1, 2, "two").await;
        let runs = Arc::new(AtomicU32::new(0));
        let both_hold = Arc::new(std::sync::Barrier::new(2));
        let change = |first: u64, second: u64| {
            let (db, runs, both_hold) = (db.clone(), Arc::clone(&runs), Arc::clone(&both_hold));
            tokio::spawn(async move {
                db.write(move |tx| {
                    let touch = |tx: &mut store::Tx, number| {
                        let host = host::get(tx, &scope, host_id(number))?.expect("the host");
                        host::set_state(tx, &scope, host.id, host.version, HostState::Active, at(1))
                    };
                    let has_first = touch(tx, first)?.is_changed();
                    if runs.fetch_add(1, Ordering::SeqCst) < 2 {
                        assert!(has_first);
                        both_hold.wait();
                    }
                    // The other may have been faster by now; then it is read anew by the next run.
                    Ok(touch(tx, second)?.is_changed())
                })
                .await
            })
        };
        let (one, two) = (change(1, 2), change(2, 1));
        one.await.expect("runs").expect("made in the end");
        two.await.expect("runs").expect("made in the end");
        assert!(
            runs.load(Ordering::SeqCst) >= 3,
            "nothing was run again: they did not cross"
        );
    });
}

#[test]
fn a_change_that_fails_does_not_harm_those_it_shares_a_commit_with() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let together = Arc::new(Barrier::new(40));
        let changes: Vec<_> = (0..40_u64)
            .map(|number| {
                let (db, together) = (db.clone(), Arc::clone(&together));
                tokio::spawn(async move {
                    together.wait().await;
                    db.write(move |tx| {
                        site::create(
                            tx,
                            &scope,
                            site_id(100 + number),
                            &format!("site {number}"),
                            at(0),
                        )?;
                        match number % 4 {
                            1 => site::create(tx, &scope, site_id(1), "again", at(0)).map(drop),
                            _ => Ok(()),
                        }
                    })
                    .await
                })
            })
            .collect();
        for (number, change) in (0..).zip(changes) {
            let made = change.await.expect("runs");
            assert_eq!(made.is_ok(), number % 4 != 1, "{number}: {made:?}");
        }
        let page = db
            .read(move |view| site::page(view, &scope, None, 100))
            .await
            .expect("read");
        assert_eq!(
            page.rows.len(),
            1 + 30,
            "the tenant's own, and those that did not fail"
        );
    });
}

#[test]
fn a_change_that_panics_takes_nobody_with_it() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let panics = tokio::spawn({
            let db = db.clone();
            async move {
                db.write(move |tx| {
                    site::create(tx, &scope, site_id(5), "left over", at(0))?;
                    let found = site::get(tx, &scope, site_id(404))?;
                    Ok(found.expect("a mistake in the work"))
                })
                .await
            }
        });
        assert!(panics.await.expect_err("it panics").is_panic());
        let made = db
            .write(move |tx| site::create(tx, &scope, site_id(6), "next", at(0)))
            .await;
        assert!(made.is_ok(), "{made:?}");
        let left = db
            .read(move |view| site::get(view, &scope, site_id(5)))
            .await
            .expect("read");
        assert_eq!(left, None);
    });
}

#[test]
fn what_was_acknowledged_is_there_after_the_server_was_killed() {
    let Ok(server) = testkit::postgres::Postgres::start(testkit::postgres::Durability::OfTheProcess) else {
        testkit::skip::skip(&"no PostgreSQL server of its own");
        return;
    };
    let url = Url::parse(&server.database().expect("a database")).expect("an address");
    on(&url, async |db| {
        let scope = a_tenant(&db, 1).await;
        let made = a_host(&db, scope, 1, 1, "web").await;
        server.crash_and_restart().expect("the server comes up again");
        // Connections that broke meanwhile are replaced without anybody noticing.
        let found = db.read(move |view| host::get(view, &scope, host_id(1))).await;
        assert_eq!(found.expect("read"), Some(made));
        let edit = HostEdit {
            name: "after".into(),
            site: site_id(1),
        };
        let done = db
            .write(move |tx| host::edit(tx, &scope, host_id(1), 1, &edit))
            .await;
        assert!(done.expect("write").is_changed());
    });
}

#[test]
fn what_one_read_sees_is_of_one_moment() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        a_host(&db, scope, 1, 1, "before").await;
        let (looked, go_on) = std::sync::mpsc::channel::<()>();
        let (finish, changed) = std::sync::mpsc::channel::<()>();
        let reader = tokio::spawn({
            let db = db.clone();
            async move {
                db.read(move |view| {
                    let first = host::get(view, &scope, host_id(1))?;
                    looked.send(()).expect("the test waits");
                    changed.recv().expect("the test says when");
                    Ok((first, host::get(view, &scope, host_id(1))?))
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || go_on.recv())
            .await
            .expect("runs")
            .expect("looked");
        let edit = HostEdit {
            name: "after".into(),
            site: site_id(1),
        };
        db.write(move |tx| host::edit(tx, &scope, host_id(1), 1, &edit))
            .await
            .expect("write")
            .changed();
        finish.send(()).expect("the reader waits");
        let (first, second) = reader.await.expect("runs").expect("read");
        assert_eq!(first, second);
    });
}

#[test]
fn a_closed_database_says_so() {
    on_both(async |db| {
        db.close().await;
        let read = db.read(|view| store::tenant::by_name(view, &WHOLE, "x")).await;
        assert!(matches!(read, Err(Error::Closed)), "{read:?}");
        let written = db.write(|tx| store::tenant::by_name(tx, &WHOLE, "x")).await;
        assert!(matches!(written, Err(Error::Closed)), "{written:?}");
    });
}

#[test]
fn changes_that_wait_when_the_database_is_closed_are_made_first() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("a.db");
    runtime().block_on(async {
        let db: Db = open_file(&path, Tuning::default()).await.expect("open");
        let scope = a_tenant(&db, 1).await;
        let changes: Vec<_> = (0..50_u64)
            .map(|number| {
                let db = db.clone();
                tokio::spawn(async move {
                    let name = format!("site {number}");
                    db.write(move |tx| site::create(tx, &scope, site_id(10 + number), &name, at(0)))
                        .await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        db.close().await;
        let mut acknowledged = 0;
        for change in changes {
            acknowledged += usize::from(change.await.expect("runs").is_ok());
        }
        let db = open_file(&path, Tuning::default()).await.expect("open again");
        let page = db
            .read(move |view| site::page(view, &scope, None, 100))
            .await
            .expect("read");
        assert_eq!(page.rows.len(), 1 + acknowledged);
        db.close().await;
    });
}
