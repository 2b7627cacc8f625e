//! Audit records: written with what they tell of, ordered into chains, erasable where they concern a person.

use crate::engines::{WHOLE, a_tenant, at, bytes, on_both, site_id};
use domain::id::{AuditId, KeyId, NodeId};
use store::audit::{ActorKind, Checkpoint, NewRecord, Personal, RecordFilter};
use store::lease::Fence;
use store::{Db, Error, Scope, audit, lease, site};

fn record(number: u64) -> NewRecord {
    NewRecord {
        id: AuditId(bytes(11, number)),
        actor_kind: ActorKind::User,
        actor: Some(bytes(4, 1)),
        action: "rename".into(),
        noun: "site".into(),
        noun_id: Some(site_id(number % 2).0),
        body: format!("{{\"n\":{number}}}"),
        personal: Some(Personal {
            salt: [5; 16],
            data: "{\"address\":\"192.0.2.1\"}".into(),
        }),
    }
}

async fn a_fence(db: &Db, holder: u8, now: i64) -> Option<Fence> {
    db.write(move |tx| lease::take(tx, &WHOLE, "sealer", NodeId([holder; 16]), at(now), at(now + 30)))
        .await
        .expect("write")
}

#[test]
fn a_record_stands_only_with_what_it_tells_of() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let failed: Result<(), Error> = db
            .write(move |tx| {
                audit::write(tx, &scope, &record(1), at(0))?;
                site::create(tx, &scope, site_id(1), "again", at(0)).map(drop)
            })
            .await;
        assert!(matches!(failed, Err(Error::Taken { .. })));
        let page = db
            .read(move |view| audit::page(view, &scope, &RecordFilter::default(), None, 10))
            .await;
        assert_eq!(page.expect("read").rows, []);
    });
}

/// What an outsider does who has the records and nothing else.
fn follow(records: &[audit::Linked]) -> Option<[u8; 32]> {
    let mut before = [0; 32];
    for (audit::Linked { record, personal }, number) in records.iter().zip(1..) {
        if personal
            .as_ref()
            .is_some_and(|personal| Some(personal.hash()) != record.personal_hash)
        {
            return None;
        }
        before = record.link(number, before);
        if (record.number, record.chain_hash) != (Some(number), Some(before)) {
            return None;
        }
    }
    Some(before)
}

#[test]
fn each_owner_has_a_chain_that_breaks_where_a_record_is_changed() {
    on_both(async |db| {
        let (one, two) = (a_tenant(&db, 1).await, a_tenant(&db, 2).await);
        db.write(move |tx| {
            for number in 1..=5 {
                audit::write(tx, if number == 3 { &two } else { &one }, &record(number), at(0))?;
            }
            audit::write_shared(tx, &WHOLE, &record(6), at(0))
        })
        .await
        .expect("records");
        let fence = a_fence(&db, 1, 0).await.expect("the lease");
        for sealed in [4, 2, 0] {
            let fence = fence.clone();
            let count = db
                .write(move |tx| audit::seal(tx, &WHOLE, &fence, 4, at(1)))
                .await;
            assert_eq!(count.expect("write"), sealed);
        }
        let chain = |scope: Scope| db.read(move |view| audit::chain(view, &scope, 0, 100));
        let (ones, twos) = (chain(one).await.expect("read"), chain(two).await.expect("read"));
        assert_eq!((ones.len(), twos.len()), (4, 1));
        let heads = db.read(|view| audit::heads(view, &WHOLE)).await.expect("read");
        assert_eq!(heads.len(), 3);
        let head = heads
            .iter()
            .find(|head| head.owner == one.owner())
            .expect("the chain of the first");
        assert_eq!((head.number, Some(head.chain_hash)), (4, follow(&ones)));
        let changed = |change: fn(&mut audit::Record)| {
            let mut ones = ones.clone();
            ones[1].personal = None;
            change(&mut ones[1].record);
            follow(&ones)
        };
        assert_eq!(changed(|_| ()), follow(&ones), "erasing changes nothing");
        assert_eq!(changed(|record| record.body.push(' ')), None);
        assert_eq!(changed(|record| record.at = at(9)), None);
        assert_eq!(changed(|record| record.actor = None), None);
        assert_eq!(changed(|record| record.personal_hash = None), None);
        assert_eq!(follow(&[ones[0].clone(), ones[2].clone()]), None);
    });
}

#[test]
fn a_sealer_that_lost_its_lease_seals_nothing() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        db.write(move |tx| audit::write(tx, &scope, &record(1), at(0)))
            .await
            .expect("a record");
        let old = a_fence(&db, 1, 0).await.expect("the lease");
        a_fence(&db, 2, 31).await.expect("the lease after its end");
        let sealed = db
            .write(move |tx| audit::seal(tx, &WHOLE, &old, 10, at(32)))
            .await;
        assert!(matches!(sealed, Err(Error::Fenced { .. })), "{sealed:?}");
        assert_eq!(
            db.read(move |view| audit::chain(view, &scope, 0, 10))
                .await
                .expect("read"),
            []
        );
    });
}

#[test]
fn a_person_can_be_erased_without_breaking_the_chain() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        db.write(move |tx| audit::write(tx, &scope, &record(1), at(0)))
            .await
            .expect("a record");
        let fence = a_fence(&db, 1, 0).await.expect("the lease");
        db.write(move |tx| audit::seal(tx, &WHOLE, &fence, 10, at(1)))
            .await
            .expect("seal");
        let id = record(1).id;
        let personal = || db.read(move |view| audit::personal(view, &scope, id));
        assert_eq!(personal().await.expect("read"), record(1).personal);
        assert!(
            db.write(move |tx| audit::erase_personal(tx, &scope, id))
                .await
                .expect("write")
        );
        assert_eq!(personal().await.expect("read"), None);
        let chain = db
            .read(move |view| audit::chain(view, &scope, 0, 10))
            .await
            .expect("read");
        assert!(follow(&chain).is_some());
    });
}

#[test]
fn records_are_listed_newest_first_by_what_they_are_about() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        db.write(move |tx| (1..=6).try_for_each(|number| audit::write(tx, &scope, &record(number), at(0))))
            .await
            .expect("records");
        let filter = RecordFilter {
            noun: Some("site".into()),
            noun_id: Some(site_id(1).0),
            actor: None,
        };
        let ids = db
            .read(move |view| {
                let first = audit::page(view, &scope, &filter, None, 2)?;
                let second = audit::page(view, &scope, &filter, first.next, 2)?;
                assert_eq!(second.next, None);
                Ok(first
                    .rows
                    .into_iter()
                    .chain(second.rows)
                    .map(|record| record.id)
                    .collect::<Vec<_>>())
            })
            .await;
        assert_eq!(ids.expect("read"), [record(5).id, record(3).id, record(1).id]);
    });
}

#[test]
fn checkpoints_are_kept_in_their_order() {
    on_both(async |db| {
        let point = |number| Checkpoint {
            number,
            at: at(0),
            heads: "[]".into(),
            key_id: KeyId([1; 16]),
            signature: vec![9; 64],
        };
        db.write(move |tx| (1..=3).try_for_each(|n| audit::keep_checkpoint(tx, &WHOLE, &point(n))))
            .await
            .expect("checkpoints");
        let last = db
            .read(|view| audit::checkpoints(view, &WHOLE, 2))
            .await
            .expect("read");
        assert_eq!(last, [point(3), point(2)]);
    });
}

#[test]
fn of_old_checkpoints_the_last_of_each_day_stays() {
    on_both(async |db| {
        let hour = 3_600;
        let point = |number: u64, at_hour: i64| Checkpoint {
            number,
            at: at(at_hour * hour),
            heads: "[]".into(),
            key_id: KeyId([1; 16]),
            signature: vec![9; 64],
        };
        // Days by the calendar (UTC), whatever hour the tests' time begins at.
        let begin = at(0).as_second() / 86_400 * 24 - at(0).as_second() / hour;
        let hours = [1, 5, 23, 24, 30, 49];
        let points: Vec<Checkpoint> = (1..).zip(hours).map(|(n, hour)| point(n, begin + hour)).collect();
        let before = points[5].at;
        let left = db
            .write(move |tx| {
                points
                    .iter()
                    .try_for_each(|point| audit::keep_checkpoint(tx, &WHOLE, point))?;
                assert_eq!(audit::thin_checkpoints(tx, &WHOLE, before)?, 3);
                audit::checkpoints(tx, &WHOLE, 10)
            })
            .await
            .expect("write");
        let numbers: Vec<u64> = left.iter().map(|point| point.number).collect();
        assert_eq!(numbers, [6, 5, 3], "the last of both days, and what is young");
    });
}

#[test]
fn what_records_say_of_a_person_is_found_and_erased_in_every_chain() {
    on_both(async |db| {
        let (one, two) = (a_tenant(&db, 1).await, a_tenant(&db, 2).await);
        let outcome = db
            .write(move |tx| {
                audit::write(tx, &one, &record(1), at(0))?;
                audit::write(tx, &one, &record(2), at(0))?;
                audit::write(tx, &two, &record(3), at(0))?;
                let about = |tx: &mut store::Tx| {
                    Ok::<_, Error>(audit::personal_about(tx, &WHOLE, "site", site_id(1).0)?.len())
                };
                let before = about(tx)?;
                let erased = audit::erase_personal_about(tx, &WHOLE, "site", site_id(1).0)?;
                let other = audit::personal(tx, &one, record(2).id)?.is_some();
                let by = audit::done_by(tx, &WHOLE, bytes(4, 1), 10)?.len();
                Ok((before, erased, about(tx)?, other, by))
            })
            .await;
        assert_eq!(outcome.expect("write"), (2, 2, 0, true, 3));
    });
}

#[test]
fn a_chains_end_and_what_waits_for_it_are_told_apart() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        db.write(move |tx| (1..=3).try_for_each(|number| audit::write(tx, &scope, &record(number), at(0))))
            .await
            .expect("records");
        let fence = a_fence(&db, 1, 0).await.expect("the lease");
        let told = db
            .write(move |tx| {
                audit::seal(tx, &WHOLE, &fence, 2, at(1))?;
                let end = audit::end_of(tx, &WHOLE, scope.owner())?;
                Ok((end.number, audit::waiting(tx, &WHOLE, scope.owner())?))
            })
            .await;
        assert_eq!(told.expect("write"), (2, 1));
    });
}
