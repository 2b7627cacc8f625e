//! Hosts, their documents and their signs of life.

use crate::engines::{a_host, a_tenant, at, digest, host_id, new_host, numbers, on_both, site_id};
use roaring::RoaringBitmap;
use store::document::{Document, DocumentKind, Encoding};
use store::host::{HostEdit, HostFilter, HostMode, HostNames, HostState, Observed};
use store::host_document::HostDocument;
use store::{ByName, Change, Db, Error, Scope, document, host, host_document, site};

#[test]
fn hosts_are_numbered_densely_within_their_tenant() {
    on_both(async |db| {
        let (one, two) = (a_tenant(&db, 1).await, a_tenant(&db, 2).await);
        let mut hosts = Vec::new();
        for number in 0..3 {
            hosts.push(a_host(&db, one, 1, number, "web").await);
        }
        assert_eq!(numbers(&hosts), [0, 1, 2]);
        assert_eq!(a_host(&db, two, 2, 10, "web").await.host_no.0, 0);
    });
}

#[test]
fn a_host_stands_at_a_site_of_its_own_tenant_only() {
    on_both(async |db| {
        let one = a_tenant(&db, 1).await;
        a_tenant(&db, 2).await;
        let new = new_host(1, site_id(2), "lost");
        let failed = db.write(move |tx| host::create(tx, &one, &new, at(0))).await;
        assert!(matches!(failed, Err(Error::NoSuchRow(_))), "{failed:?}");
    });
}

async fn a_fleet(db: &Db) -> Scope {
    let scope = a_tenant(db, 1).await;
    db.write(move |tx| {
        site::create(tx, &scope, site_id(5), "far", at(0))?;
        for number in 0..40_u64 {
            let place = if number % 4 == 0 { site_id(5) } else { site_id(1) };
            // Names fall as numbers rise, so that the order of names is not that of numbers; some names are shared.
            let mut new = new_host(number, place, &format!("Web{:02}", (39 - number) / 2));
            if number % 8 == 1 {
                new.state = HostState::Pending;
            }
            if number % 5 == 0 {
                new.mode = HostMode::Install;
            }
            let made = host::create(tx, &scope, &new, at(1))?;
            if number % 3 == 0 {
                let tags = ["db".to_owned(), "prod".to_owned()];
                assert!(host::set_tags(tx, &scope, made.id, 1, &tags)?.is_changed());
            }
        }
        Ok(())
    })
    .await
    .expect("a fleet");
    scope
}

async fn listed(db: &Db, scope: Scope, filter: HostFilter) -> Vec<u32> {
    db.read(move |view| {
        let (mut hosts, mut after): (Vec<_>, Option<ByName<_>>) = (Vec::new(), None);
        loop {
            let page = host::page(view, &scope, &filter, after.as_ref(), 3)?;
            hosts.extend(page.rows);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(hosts.is_sorted_by(|a, b| (&a.name, a.id) < (&b.name, b.id)));
        assert_eq!(host::count(view, &scope, &filter)?, hosts.len() as u64);
        let mut numbers = numbers(&hosts);
        numbers.sort_unstable();
        Ok(numbers)
    })
    .await
    .expect("a list")
}

#[test]
fn each_filter_lets_through_the_hosts_that_it_names_and_no_others() {
    on_both(async |db| {
        let scope = a_fleet(&db).await;
        let of = |keep: &dyn Fn(u32) -> bool| (0..40).filter(|number| keep(*number)).collect::<Vec<u32>>();
        let any = HostFilter::default();
        assert_eq!(listed(&db, scope, any.clone()).await, of(&|_| true));
        let at_site = HostFilter {
            site: Some(site_id(5)),
            ..any.clone()
        };
        assert_eq!(listed(&db, scope, at_site.clone()).await, of(&|n| n % 4 == 0));
        let tagged = HostFilter {
            tag: Some("db".into()),
            ..any.clone()
        };
        assert_eq!(listed(&db, scope, tagged.clone()).await, of(&|n| n % 3 == 0));
        let both = HostFilter {
            tag: Some("db".into()),
            ..at_site
        };
        assert_eq!(listed(&db, scope, both).await, of(&|n| n % 12 == 0));
        let pending = HostFilter {
            state: Some(HostState::Pending),
            ..any.clone()
        };
        assert_eq!(listed(&db, scope, pending).await, of(&|n| n % 8 == 1));
        let mode = HostFilter {
            mode: Some(HostMode::Install),
            ..any.clone()
        };
        assert_eq!(listed(&db, scope, mode).await, of(&|n| n % 5 == 0));
        let named = |name| HostFilter {
            name: Some(name),
            ..any.clone()
        };
        let exact = named(HostNames::Exactly("Web03".into()));
        assert_eq!(listed(&db, scope, exact).await, [32, 33]);
        let beginning = named(HostNames::Beginning("Web1".into()));
        assert_eq!(listed(&db, scope, beginning).await, of(&|n| n < 20));
        let containing = named(HostNames::Containing("eB0".into()));
        assert_eq!(listed(&db, scope, containing).await, of(&|n| n >= 20));
        let wild = named(HostNames::Containing("%".into()));
        assert_eq!(listed(&db, scope, wild).await, Vec::<u32>::new());
        let some: RoaringBitmap = (3..9).chain(100..200).collect();
        let tagged = HostFilter {
            numbers: Some(some.clone()),
            ..tagged
        };
        assert_eq!(listed(&db, scope, tagged).await, [3, 6]);
        let many: RoaringBitmap = (3..9).chain(100..20_000).collect();
        let numbered = HostFilter {
            numbers: Some(many),
            ..any
        };
        assert_eq!(listed(&db, scope, numbered).await, [3, 4, 5, 6, 7, 8]);
    });
}

#[test]
fn a_renamed_host_is_found_under_its_tag_in_the_order_of_its_new_name() {
    on_both(async |db| {
        let scope = a_fleet(&db).await;
        let edit = HostEdit {
            name: "zebra".into(),
            site: site_id(1),
        };
        let done = db
            .write(move |tx| host::edit(tx, &scope, host_id(3), 2, &edit))
            .await
            .expect("write");
        assert!(done.is_changed());
        let filter = HostFilter {
            tag: Some("prod".into()),
            ..HostFilter::default()
        };
        let page = db
            .read(move |view| host::page(view, &scope, &filter, None, 100))
            .await;
        let page = page.expect("a page");
        assert_eq!(page.rows.last().map(|host| host.name.as_str()), Some("zebra"));
    });
}

#[test]
fn a_check_in_does_not_make_a_decision_stale() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let made = a_host(&db, scope, 1, 1, "web").await;
        let observed = Observed {
            mode: HostMode::Full,
            agent_version: "0.2.0".into(),
        };
        assert!(
            db.write(move |tx| host::note_observed(tx, &scope, made.id, &observed))
                .await
                .expect("write")
        );
        let retired = move |tx: &mut store::Tx| {
            host::set_state(tx, &scope, made.id, made.version, HostState::Retired, at(5))
        };
        let Change::Changed(now) = db.write(retired).await.expect("write") else {
            panic!("stale")
        };
        assert_eq!(
            (now.mode, now.retired_at, now.version),
            (HostMode::Full, Some(at(5)), 2)
        );
        assert!(!db.write(retired).await.expect("write").is_changed());
    });
}

fn a_document(number: u64, kind: DocumentKind) -> Document {
    Document {
        digest: digest(number),
        kind,
        encoding: Encoding::Deflated,
        size_bytes: 90_000,
        bytes: vec![number as u8; 2_000],
    }
}

#[test]
fn a_document_is_stored_once_a_tenant_and_seen_by_no_other() {
    on_both(async |db| {
        let (one, two) = (a_tenant(&db, 1).await, a_tenant(&db, 2).await);
        let put = |scope| {
            db.write(move |tx| document::put(tx, &scope, &a_document(1, DocumentKind::Inventory), at(0)))
        };
        assert!(put(one).await.expect("write"));
        assert!(!put(one).await.expect("write"));
        let known = |scope| db.read(move |view| document::known(view, &scope, &[digest(0), digest(1)]));
        assert_eq!(known(one).await.expect("read"), [digest(1)]);
        assert_eq!(known(two).await.expect("read"), []);
        let got = db.read(move |view| document::get(view, &one, digest(1))).await;
        assert_eq!(got.expect("read"), Some(a_document(1, DocumentKind::Inventory)));
    });
}

#[test]
fn what_a_host_had_is_answered_as_it_was_known_then() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        a_host(&db, scope, 1, 1, "web").await;
        let note = |number, observed, received| {
            db.write(move |tx| {
                document::put(
                    tx,
                    &scope,
                    &a_document(number, DocumentKind::Inventory),
                    at(received),
                )?;
                let noted = HostDocument {
                    host: host_id(1),
                    kind: DocumentKind::Inventory,
                    digest: digest(number),
                    observed_at: at(observed),
                    received_at: at(received),
                };
                host_document::note(tx, &scope, &noted)
            })
        };
        assert!(note(1, 10, 10).await.expect("write"));
        assert!(note(2, 20, 90).await.expect("write"));
        let then = |seconds| {
            db.read(move |view| {
                let kind = DocumentKind::Inventory;
                let found = host_document::as_of(view, &scope, host_id(1), kind, at(seconds))?;
                Ok(found.map(|document| document.digest))
            })
        };
        // What was observed at 20 was not known before 90.
        assert_eq!(then(9).await.expect("read"), None);
        assert_eq!(then(50).await.expect("read"), Some(digest(1)));
        assert_eq!(then(90).await.expect("read"), Some(digest(2)));
        let gone = db
            .write(move |tx| host_document::forget_before(tx, &scope, at(50), 100))
            .await;
        assert_eq!(gone.expect("write"), 0, "the document in force then is kept");
        let gone = db
            .write(move |tx| host_document::forget_before(tx, &scope, at(95), 100))
            .await;
        assert_eq!(gone.expect("write"), 1);
        let swept = db
            .write(move |tx| document::sweep(tx, &scope, at(100), 100))
            .await;
        assert_eq!(swept.expect("write"), (1, 2_000));
        assert_eq!(then(95).await.expect("read"), Some(digest(2)));
    });
}
