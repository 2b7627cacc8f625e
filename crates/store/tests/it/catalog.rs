//! Sources, snapshots, updates, and the content that they grant.

use crate::engines::{WHOLE, a_host, a_tenant, at, bytes, digest, on_both};
use crate::packages::reported;
use domain::id::{SnapshotId, SourceId, UpdateKey};
use store::acquisition::{Scan, ScanState};
use store::channel_match::ChannelMatch;
use store::content_grant::{ContentGrant, GrantReason};
use store::document::DocumentKind;
use store::snapshot::{Adopted, NewSnapshot};
use store::source::{NewSource, SourceEdit, SourceKind, SourceState, SyncNote, Went};
use store::update::{Listing, UpdateClass, UpdateFilter, UpdateIdentity, UpdateState};
use store::{Owner, acquisition, channel_match, content_grant, snapshot, source, update};

pub fn source_id(number: u64) -> SourceId {
    SourceId(bytes(12, number))
}

pub fn a_source(number: u64, state: SourceState) -> NewSource {
    NewSource {
        id: source_id(number),
        identity: format!("{{\"n\":{number}}}"),
        identity_digest: digest(number),
        edit: SourceEdit {
            kind: SourceKind::Apt,
            state,
            name: format!("source {number}"),
            addresses: "[\"https://deb.example/\"]".into(),
            components: "[\"main\"]".into(),
            architectures: "[\"amd64\"]".into(),
            schedule: "{}".into(),
            credentials_sealed: None,
            next_sync_at: Some(at(10)),
        },
    }
}

#[test]
fn a_source_of_one_identity_is_there_once_for_an_owner_and_seen_by_who_may() {
    on_both(async |db| {
        let (one, two) = (a_tenant(&db, 1).await, a_tenant(&db, 2).await);
        let added = db
            .write(move |tx| {
                let shared = source::create_shared(tx, &WHOLE, &a_source(1, SourceState::Adopted), at(0))?;
                let again = NewSource {
                    id: source_id(9),
                    ..a_source(1, SourceState::Adopted)
                };
                let again = source::create_shared(tx, &WHOLE, &again, at(0))?;
                let own = source::create(tx, &one, &a_source(2, SourceState::Proposed), at(0))?;
                Ok((shared, again, own))
            })
            .await;
        assert_eq!(added.expect("write"), (true, false, true));
        let seen = |scope, state| {
            db.read(move |view| {
                let sources = source::all(view, &scope, state)?;
                Ok(sources.into_iter().map(|source| source.id).collect::<Vec<_>>())
            })
        };
        assert_eq!(seen(one, None).await.expect("read"), [source_id(1), source_id(2)]);
        assert_eq!(seen(two, None).await.expect("read"), [source_id(1)]);
        assert_eq!(
            seen(one, Some(SourceState::Proposed)).await.expect("read"),
            [source_id(2)]
        );
        let edit = a_source(1, SourceState::Paused).edit;
        let done = db
            .write(move |tx| source::edit(tx, &one, source_id(1), 1, &edit))
            .await
            .expect("write");
        assert!(
            !done.is_changed(),
            "everybody's source is not the tenant's to change"
        );
    });
}

#[test]
fn a_failed_sync_keeps_the_last_success_and_is_due_when_it_says() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let note = |when, went, next| {
            let note = SyncNote {
                at: at(when),
                went,
                outcome: "{}".into(),
                next_sync_at: Some(at(next)),
            };
            db.write(move |tx| source::note_sync(tx, &WHOLE, source_id(1), &note))
        };
        db.write(|tx| source::create_shared(tx, &WHOLE, &a_source(1, SourceState::Adopted), at(0)))
            .await
            .expect("a source");
        let due = |when| db.read(move |view| source::due(view, &WHOLE, at(when), 10).map(|due| due.len()));
        assert_eq!(
            (due(9).await.expect("read"), due(10).await.expect("read")),
            (0, 1)
        );
        assert!(note(10, Went::Well, 100).await.expect("write"));
        assert!(note(100, Went::Wrong, 200).await.expect("write"));
        let found = db.read(move |view| source::get(view, &scope, source_id(1))).await;
        let found = found.expect("read").expect("the source");
        assert_eq!(
            (found.last_sync_at, found.last_success_at, found.version),
            (Some(at(100)), Some(at(10)), 1)
        );
        assert_eq!(due(150).await.expect("read"), 0);
        assert!(
            db.write(move |tx| source::ask_for_sync(tx, &scope, source_id(1), at(150)))
                .await
                .expect("write")
        );
        assert_eq!(due(150).await.expect("read"), 1);
    });
}

fn a_snapshot(number: u64, published: i64) -> NewSnapshot {
    NewSnapshot {
        id: SnapshotId(bytes(13, number)),
        digest: digest(number),
        release: "{}".into(),
        indexes: "[]".into(),
        published_at: at(published),
        valid_until: None,
    }
}

#[test]
fn another_architecture_of_the_same_release_is_another_snapshot() {
    on_both(async |db| {
        db.write(|tx| source::create_shared(tx, &WHOLE, &a_source(1, SourceState::Adopted), at(0)))
            .await
            .expect("a source");
        let adopt = |number, indexes: &str, when| {
            let new = NewSnapshot {
                digest: digest(1),
                indexes: indexes.to_owned(),
                ..a_snapshot(number, 100)
            };
            db.write(move |tx| snapshot::adopt(tx, &WHOLE, source_id(1), &new, at(when)))
        };
        assert_eq!(adopt(1, "[1]", 1_000).await.expect("write"), Adopted::Now);
        assert_eq!(adopt(2, "[1]", 2_000).await.expect("write"), Adopted::Already);
        assert_eq!(adopt(3, "[1,2]", 3_000).await.expect("write"), Adopted::Now);
        let in_force = db.read(|view| snapshot::in_force(view, &WHOLE)).await;
        let in_force = in_force.expect("read");
        assert_eq!((in_force.len(), in_force[0].indexes.as_str()), (1, "[1,2]"));
    });
}

#[test]
fn an_older_snapshot_never_takes_the_place_of_a_newer_one() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        db.write(|tx| source::create_shared(tx, &WHOLE, &a_source(1, SourceState::Adopted), at(0)))
            .await
            .expect("a source");
        let adopt = |number, published, when| {
            let new = a_snapshot(number, published);
            db.write(move |tx| snapshot::adopt(tx, &WHOLE, source_id(1), &new, at(when)))
        };
        assert_eq!(adopt(1, 100, 1_000).await.expect("write"), Adopted::Now);
        assert_eq!(adopt(2, 200, 2_000).await.expect("write"), Adopted::Now);
        assert_eq!(adopt(2, 200, 2_500).await.expect("write"), Adopted::Already);
        assert_eq!(adopt(3, 150, 3_000).await.expect("write"), Adopted::Older);
        let missing = db
            .write(|tx| snapshot::adopt(tx, &WHOLE, source_id(77), &a_snapshot(5, 1), at(1)))
            .await;
        assert_eq!(missing.expect("write"), Adopted::NoSource);
        let then = |when| {
            db.read(move |view| {
                let found = snapshot::as_of(view, &scope, at(when))?;
                Ok(found
                    .into_iter()
                    .map(|snapshot| snapshot.digest)
                    .collect::<Vec<_>>())
            })
        };
        assert_eq!(then(999).await.expect("read"), []);
        assert_eq!(then(1_999).await.expect("read"), [digest(1)]);
        assert_eq!(then(2_000).await.expect("read"), [digest(2)]);
        let in_force = db
            .read(|view| snapshot::in_force(view, &WHOLE))
            .await
            .expect("read");
        assert_eq!(
            in_force
                .iter()
                .map(|snapshot| snapshot.digest)
                .collect::<Vec<_>>(),
            [digest(2)]
        );
    });
}

#[test]
fn a_channel_config_means_the_sources_that_were_found_last() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        a_host(&db, scope, 1, 1, "web").await;
        reported(&db, scope, 1, 50, DocumentKind::ChannelConfig).await;
        db.write(move |tx| {
            source::create_shared(tx, &WHOLE, &a_source(1, SourceState::Adopted), at(0))?;
            source::create(tx, &scope, &a_source(2, SourceState::Adopted), at(0))
        })
        .await
        .expect("sources");
        let shared = ChannelMatch {
            stanza: 0,
            owner: Owner::Shared,
            source: source_id(1),
        };
        let own = ChannelMatch {
            stanza: 1,
            owner: scope.owner(),
            source: source_id(2),
        };
        let set = |matches: Vec<ChannelMatch>| {
            db.write(move |tx| channel_match::set(tx, &scope, digest(50), &matches))
        };
        set(vec![own, shared]).await.expect("write");
        let of = || db.read(move |view| channel_match::of(view, &scope, digest(50)));
        assert_eq!(of().await.expect("read"), [shared, own]);
        let users = |source| db.read(move |view| channel_match::users_of(view, &WHOLE, source));
        assert_eq!(
            users(source_id(2)).await.expect("read"),
            [(scope.tenant(), digest(50))]
        );
        set(vec![shared]).await.expect("write");
        assert_eq!(of().await.expect("read"), [shared]);
        assert_eq!(users(source_id(2)).await.expect("read"), []);
        assert_eq!(
            db.read(move |view| channel_match::in_use(view, &scope))
                .await
                .expect("read"),
            [digest(50)]
        );
    });
}

pub fn update_key(number: u64) -> UpdateKey {
    UpdateKey(bytes(14, number))
}

pub fn an_update(number: u64, class: UpdateClass) -> (UpdateKey, UpdateIdentity, UpdateClass) {
    let identity = UpdateIdentity {
        origin: "Debian".into(),
        signing_keys: "[\"AA\"]".into(),
        source: format!("package{}", number % 3),
        source_version: number.to_string(),
        build: String::new(),
    };
    (update_key(number), identity, class)
}

fn a_listing(source: u64, component: &str, when: i64) -> Listing {
    Listing {
        source_owner: Owner::Shared,
        source: source_id(source),
        component: component.into(),
        architecture: "amd64".into(),
        suite: "stable".into(),
        first_snapshot: SnapshotId(bytes(13, 1)),
        listed_at: at(when),
        delisted_at: None,
    }
}

#[test]
fn an_update_keeps_its_key_and_stays_security_once_it_was() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let note = |key: u64, class| {
            let (_, identity, _) = an_update(1, class);
            let updates = vec![(update_key(key), identity, class)];
            db.write(move |tx| update::note(tx, &WHOLE, Owner::Shared, &updates, at(0)))
        };
        assert_eq!(note(1, UpdateClass::Other).await.expect("write"), [update_key(1)]);
        assert_eq!(
            note(2, UpdateClass::Security).await.expect("write"),
            [update_key(1)]
        );
        assert_eq!(note(3, UpdateClass::Other).await.expect("write"), [update_key(1)]);
        let found = db
            .read(move |view| update::get(view, &scope, update_key(1)))
            .await;
        assert_eq!(
            found.expect("read").map(|update| update.class),
            Some(UpdateClass::Security)
        );
    });
}

#[test]
fn an_update_that_left_its_last_source_is_withdrawn_and_comes_back() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let (first, second) = (a_listing(1, "main", 1), a_listing(2, "main", 1));
        let (one, two) = (first.clone(), second.clone());
        db.write(move |tx| {
            for number in 1..=2 {
                source::create_shared(tx, &WHOLE, &a_source(number, SourceState::Adopted), at(0))?;
            }
            update::note(
                tx,
                &WHOLE,
                Owner::Shared,
                &[an_update(1, UpdateClass::Other)],
                at(0),
            )?;
            let listings = [
                (update_key(1), one.clone()),
                (update_key(1), two.clone()),
                (update_key(1), one.clone()),
            ];
            update::list(tx, &WHOLE, Owner::Shared, &listings)
        })
        .await
        .expect("a listed update");
        let delist = |source, listing: &Listing, when| {
            let gone = vec![(update_key(1), listing.clone())];
            db.write(move |tx| update::delist(tx, &WHOLE, source_id(source), &gone, at(when)))
        };
        assert_eq!(delist(1, &first, 5).await.expect("write"), []);
        assert_eq!(delist(2, &second, 6).await.expect("write"), [update_key(1)]);
        let state = || {
            db.read(move |view| {
                Ok(update::get(view, &scope, update_key(1))?
                    .map(|update| (update.state, update.withdrawn_at)))
            })
        };
        assert_eq!(
            state().await.expect("read"),
            Some((UpdateState::Withdrawn, Some(at(6))))
        );
        db.write(move |tx| {
            update::note(
                tx,
                &WHOLE,
                Owner::Shared,
                &[an_update(1, UpdateClass::Other)],
                at(7),
            )?;
            let again = Listing {
                listed_at: at(7),
                ..a_listing(1, "main", 7)
            };
            update::list(tx, &WHOLE, Owner::Shared, &[(update_key(1), again)])
        })
        .await
        .expect("listed again");
        assert_eq!(state().await.expect("read"), Some((UpdateState::Listed, None)));
        let listings = db
            .read(move |view| update::listings(view, &scope, update_key(1)))
            .await;
        let ends: Vec<_> = listings
            .expect("read")
            .into_iter()
            .map(|listing| listing.delisted_at)
            .collect();
        assert_eq!(ends, [Some(at(5)), Some(at(6)), None]);
        let now = db
            .read(|view| update::listed_by(view, &WHOLE, source_id(1)))
            .await
            .expect("read");
        assert_eq!(now.len(), 1);
    });
}

#[test]
fn updates_are_listed_newest_first_by_package_class_and_owner() {
    on_both(async |db| {
        let (one, two) = (a_tenant(&db, 1).await, a_tenant(&db, 2).await);
        db.write(move |tx| {
            for number in 1..=6 {
                let class = if number % 2 == 0 {
                    UpdateClass::Security
                } else {
                    UpdateClass::Other
                };
                let owner = if number == 4 { one.owner() } else { Owner::Shared };
                let when = at(i64::try_from(number / 2).expect("small"));
                update::note(tx, &WHOLE, owner, &[an_update(number, class)], when)?;
            }
            Ok(())
        })
        .await
        .expect("updates");
        let pages = |scope, filter: UpdateFilter| {
            db.read(move |view| {
                let (mut keys, mut before): (Vec<_>, Option<UpdateKey>) = (Vec::new(), None);
                loop {
                    let page = update::page(view, &scope, &filter, before, 2)?;
                    keys.extend(page.rows.into_iter().map(|update| update.id));
                    before = page.next;
                    if before.is_none() {
                        return Ok(keys);
                    }
                }
            })
        };
        let keys = |numbers: &[u64]| numbers.iter().copied().map(update_key).collect::<Vec<_>>();
        let all = UpdateFilter::default();
        assert_eq!(
            pages(one, all.clone()).await.expect("read"),
            keys(&[6, 5, 4, 3, 2, 1])
        );
        assert_eq!(
            pages(two, all.clone()).await.expect("read"),
            keys(&[6, 5, 3, 2, 1])
        );
        let security = UpdateFilter {
            class: Some(UpdateClass::Security),
            ..all.clone()
        };
        assert_eq!(pages(one, security).await.expect("read"), keys(&[6, 4, 2]));
        let package = UpdateFilter {
            package: Some("package1".into()),
            ..all
        };
        assert_eq!(pages(one, package).await.expect("read"), keys(&[4, 1]));
    });
}

#[test]
fn content_is_served_by_grant_and_kept_while_one_stands() {
    on_both(async |db| {
        let (one, two) = (a_tenant(&db, 1).await, a_tenant(&db, 2).await);
        let grant = |owner, number, reference: u8| ContentGrant {
            owner,
            digest: digest(number),
            reason: GrantReason::Snapshot,
            reference: [reference; 16],
            size_bytes: 10,
        };
        let grants = vec![
            grant(Owner::Shared, 1, 1),
            grant(one.owner(), 2, 2),
            grant(one.owner(), 2, 3),
        ];
        db.write(move |tx| content_grant::give(tx, &WHOLE, &grants, at(0)))
            .await
            .expect("write");
        let may =
            |scope, number| db.read(move |view| content_grant::is_granted(view, &scope, digest(number)));
        assert!(may(one, 1).await.expect("read") && may(two, 1).await.expect("read"));
        assert!(may(one, 2).await.expect("read") && !may(two, 2).await.expect("read"));
        let take_back = |reference: u8| {
            let owner = one.owner();
            let reason = GrantReason::Snapshot;
            db.write(move |tx| content_grant::take_back(tx, &WHOLE, owner, reason, [reference; 16]))
        };
        assert_eq!(take_back(2).await.expect("write"), 1);
        assert!(may(one, 2).await.expect("read"), "another grant stands");
        assert_eq!(take_back(3).await.expect("write"), 1);
        assert!(!may(one, 2).await.expect("read"));
    });
}

#[test]
fn what_a_scan_found_bad_is_served_for_nothing_and_stays_bad() {
    on_both(async |db| {
        let one = a_tenant(&db, 1).await;
        let grant = |number| ContentGrant {
            owner: one.owner(),
            digest: digest(number),
            reason: GrantReason::PackageFile,
            reference: [9; 16],
            size_bytes: 10,
        };
        let grants = vec![grant(1), grant(2), grant(3)];
        db.write(move |tx| content_grant::give(tx, &WHOLE, &grants, at(0)))
            .await
            .expect("write");
        let scanned = |number, state| {
            let scan = Scan {
                digest: digest(number),
                state,
                detail: "Eicar-Test-Signature".into(),
                engine: "ClamAV 1.0.7/27500".into(),
                scanned_at: at(1),
            };
            db.write(move |tx| acquisition::note_scan(tx, &WHOLE, &scan))
        };
        scanned(1, ScanState::NotScanned).await.expect("write");
        scanned(1, ScanState::Clean).await.expect("write");
        scanned(2, ScanState::Infected).await.expect("write");
        scanned(2, ScanState::Clean).await.expect("write");
        let served = db
            .read(move |view| content_grant::served_for(view, &one, GrantReason::PackageFile, [9; 16]))
            .await
            .expect("read");
        assert_eq!(served, [digest(1), digest(3)]);
        for (number, state) in [(1, ScanState::Clean), (2, ScanState::Infected)] {
            let scan = db
                .read(move |view| acquisition::scan(view, &WHOLE, digest(number)))
                .await;
            assert_eq!(scan.expect("read").map(|scan| scan.state), Some(state));
        }
    });
}
