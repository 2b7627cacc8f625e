//! Findings and coverage by generations: what is in force, what was known then, and who may write.

use crate::catalog::update_key;
use crate::engines::{WHOLE, a_host, a_tenant, at, host_id, on_both};
use domain::assess::fleet::{ChunkNo, Counts, HostNo};
use domain::id::NodeId;
use roaring::RoaringBitmap;
use store::coverage::Coverage;
use store::finding::{FindingChunk, Generation};
use store::host::{CountsBlock, HostFilter, HostStanding, Standing};
use store::lease::Fence;
use store::{Db, Error, Scope, coverage, finding, host, lease};

pub async fn a_fence(db: &Db, holder: u8, now: i64) -> Fence {
    db.write(move |tx| lease::take(tx, &WHOLE, "assess", NodeId([holder; 16]), at(now), at(now + 30)))
        .await
        .expect("write")
        .expect("the lease")
}

fn a_chunk(update: u64, chunk: u16, hosts: impl IntoIterator<Item = u32>) -> FindingChunk {
    FindingChunk {
        update: update_key(update),
        chunk: ChunkNo(chunk),
        hosts: hosts.into_iter().collect(),
    }
}

async fn found(
    db: &Db,
    scope: Scope,
    fence: &Fence,
    chunks: Vec<FindingChunk>,
    when: i64,
) -> Result<u64, Error> {
    let fence = fence.clone();
    db.write(move |tx| {
        let generation = finding::begin(tx, &scope, &fence, "{}", at(when))?;
        finding::write(tx, &scope, &fence, &generation, &chunks)?;
        Ok(generation.number)
    })
    .await
}

async fn hosts_at(db: &Db, scope: Scope, update: u64, when: i64) -> Vec<u32> {
    db.read(move |view| {
        let Some(then) = finding::generation(view, &scope, Some(at(when)))? else {
            return Ok(Vec::new());
        };
        Ok(finding::hosts(view, &scope, update_key(update), then.number)?
            .iter()
            .collect())
    })
    .await
    .expect("read")
}

#[test]
fn findings_are_answered_as_they_were_known_then() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let fence = a_fence(&db, 1, 0).await;
        let first = vec![a_chunk(1, 0, [1, 2]), a_chunk(1, 1, [65_536]), a_chunk(2, 0, [2])];
        assert_eq!(found(&db, scope, &fence, first, 10).await.expect("write"), 1);
        let second = vec![a_chunk(1, 0, [2]), a_chunk(2, 0, [])];
        assert_eq!(found(&db, scope, &fence, second, 20).await.expect("write"), 2);
        assert_eq!(hosts_at(&db, scope, 1, 9).await, [0; 0]);
        assert_eq!(hosts_at(&db, scope, 1, 19).await, [1, 2, 65_536]);
        assert_eq!(hosts_at(&db, scope, 1, 20).await, [2, 65_536]);
        assert_eq!(hosts_at(&db, scope, 2, 19).await, [2]);
        assert_eq!(hosts_at(&db, scope, 2, 20).await, [0; 0]);
        let asked = [1, 2].map(update_key);
        let counts = |generation| db.read(move |view| finding::counts(view, &scope, &asked, generation));
        let counted = |generation| async move {
            counts(generation)
                .await
                .expect("read")
                .into_iter()
                .collect::<Vec<_>>()
        };
        assert_eq!(counted(1).await, [(update_key(1), 3), (update_key(2), 1)]);
        assert_eq!(counted(2).await, [(update_key(1), 2)]);
        let chunk = db
            .read(move |view| finding::of_chunk(view, &scope, ChunkNo(0), 1))
            .await
            .expect("read");
        assert_eq!(chunk, [a_chunk(1, 0, [1, 2]), a_chunk(2, 0, [2])]);
        let gone = db
            .write(move |tx| finding::forget_before(tx, &scope, at(15), 10))
            .await
            .expect("write");
        assert_eq!(gone, 0, "what was known at that moment is kept");
        let gone = db
            .write(move |tx| finding::forget_before(tx, &scope, at(20), 10))
            .await
            .expect("write");
        assert_eq!(gone, 2);
        assert_eq!(hosts_at(&db, scope, 1, 20).await, [2, 65_536]);
    });
}

#[test]
fn an_assessor_that_lost_its_lease_writes_nothing() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        a_host(&db, scope, 1, 1, "web").await;
        let old = a_fence(&db, 1, 0).await;
        found(&db, scope, &old, vec![a_chunk(1, 0, [0])], 1)
            .await
            .expect("write");
        let new = a_fence(&db, 2, 31).await;
        let late = found(&db, scope, &old, vec![a_chunk(1, 0, [])], 32).await;
        assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
        let standing = |fence: Fence| {
            let standings = [Standing {
                host_no: HostNo(0),
                standing: HostStanding::UpToDate,
            }];
            db.write(move |tx| host::set_standings(tx, &scope, &fence, &standings, at(33)))
        };
        assert!(matches!(standing(old).await, Err(Error::Fenced { .. })));
        let stands =
            || db.read(move |view| Ok(host::get(view, &scope, host_id(1))?.map(|host| host.standing)));
        assert_eq!(stands().await.expect("read"), Some(HostStanding::Unknown));
        assert_eq!(hosts_at(&db, scope, 1, 99).await, [0]);
        standing(new.clone()).await.expect("the new holder writes");
        assert_eq!(stands().await.expect("read"), Some(HostStanding::UpToDate));
        assert_eq!(
            found(&db, scope, &new, vec![a_chunk(1, 0, [])], 34)
                .await
                .expect("write"),
            2
        );
    });
}

#[test]
fn how_much_hosts_miss_is_said_wherever_they_are_read() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        for number in 1..=3 {
            a_host(&db, scope, 1, number, "web").await;
        }
        let old = a_fence(&db, 1, 0).await;
        let counts = |missing: [u32; 3]| {
            let of = |missing| Counts {
                missing,
                security: missing / 2,
            };
            vec![(CountsBlock::of(HostNo(0)), missing.map(of).to_vec())]
        };
        let begin = |fence: Fence| db.write(move |tx| finding::begin(tx, &scope, &fence, "{}", at(1)));
        let (first, second) = (begin(old.clone()).await, begin(old.clone()).await);
        let (first, second) = (first.expect("begin"), second.expect("begin"));
        let write = |fence: Fence, generation: Generation, counts: Vec<(CountsBlock, Vec<Counts>)>| {
            db.write(move |tx| host::set_counts(tx, &scope, &fence, &generation, &counts))
        };
        write(old.clone(), first, counts([1, 2, 65_535]))
            .await
            .expect("write");
        write(old.clone(), second.clone(), counts([7, 7, 7]))
            .await
            .expect("write");
        write(old.clone(), second.clone(), counts([4, 0, 300]))
            .await
            .expect("write");
        let new = a_fence(&db, 2, 31).await;
        let late = write(old, second, counts([9, 9, 9])).await;
        assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
        drop(new);
        let read = db.read(move |view| {
            let page = host::page(view, &scope, &HostFilter::default(), None, 10)?;
            let one = host::get(view, &scope, host_id(3))?;
            let other = host::by_no(view, &scope, HostNo(0))?;
            Ok((page.rows, one, other))
        });
        let (page, one, other) = read.await.expect("read");
        let said = |host: &host::Host| (host.host_no.0, host.missing, host.missing_security);
        let mut listed: Vec<_> = page.iter().map(said).collect();
        listed.sort_unstable();
        assert_eq!(listed, [(0, 4, 2), (1, 0, 0), (2, 300, 150)]);
        assert_eq!(one.as_ref().map(said), Some((2, 300, 150)));
        assert_eq!(other.as_ref().map(said), Some((0, 4, 2)));
        let then = |generation| {
            let mut hosts: Vec<_> = one.iter().cloned().collect();
            db.read(move |view| {
                host::count_then(view, &scope, &mut hosts, generation)?;
                Ok(hosts.iter().map(said).collect::<Vec<_>>())
            })
        };
        assert_eq!(then(0).await.expect("read"), [(2, 0, 0)], "before the first");
        assert_eq!(then(1).await.expect("read"), [(2, 65_535, 32_767)]);
        assert_eq!(then(2).await.expect("read"), [(2, 300, 150)]);
        let forget = |generation| db.write(move |tx| host::forget_counts_before(tx, &scope, generation, 10));
        assert_eq!(forget(1).await.expect("forget"), 0, "what is in force is kept");
        assert_eq!(forget(2).await.expect("forget"), 1);
        assert_eq!(then(1).await.expect("read"), [(2, 0, 0)]);
        assert_eq!(then(2).await.expect("read"), [(2, 300, 150)]);
    });
}

#[test]
fn a_token_of_another_generation_of_writers_is_refused_by_each_statement_itself() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let old = a_fence(&db, 1, 0).await;
        let begun = {
            let old = old.clone();
            db.write(move |tx| finding::begin(tx, &scope, &old, "{}", at(1)))
                .await
                .expect("write")
        };
        a_fence(&db, 2, 31).await;
        // Whoever forgets to hold the lease first is still kept out by the statement that writes.
        let late = db
            .write(move |tx| finding::write(tx, &scope, &old, &begun, &[a_chunk(1, 0, [0])]))
            .await;
        assert!(matches!(late, Err(Error::Fenced { .. })), "{late:?}");
    });
}

#[test]
fn of_two_chunks_in_one_generation_the_second_counts() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let fence = a_fence(&db, 1, 0).await;
        found(&db, scope, &fence, vec![a_chunk(1, 0, [7])], 1)
            .await
            .expect("write");
        let twice = vec![
            a_chunk(1, 0, [1]),
            a_chunk(2, 0, [1]),
            a_chunk(1, 0, [2]),
            a_chunk(2, 0, []),
        ];
        found(&db, scope, &fence, twice, 2).await.expect("write");
        assert_eq!(hosts_at(&db, scope, 1, 1).await, [7]);
        assert_eq!(hosts_at(&db, scope, 1, 2).await, [2]);
        assert_eq!(hosts_at(&db, scope, 2, 2).await, [0; 0]);
    });
}

#[test]
fn a_bitmap_of_a_whole_chunk_reads_back() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        let fence = a_fence(&db, 1, 0).await;
        let whole: RoaringBitmap = (65_536..131_072).filter(|number| number % 3 != 0).collect();
        found(&db, scope, &fence, vec![a_chunk(1, 1, &whole)], 1)
            .await
            .expect("write");
        let read = db
            .read(move |view| finding::hosts(view, &scope, update_key(1), 1))
            .await;
        assert_eq!(read.expect("read"), whole);
    });
}

#[test]
fn coverage_is_answered_as_it_was_known_then_and_written_only_where_it_changed() {
    on_both(async |db| {
        let scope = a_tenant(&db, 1).await;
        a_host(&db, scope, 1, 1, "web").await;
        let fence = a_fence(&db, 1, 0).await;
        let covered = |holes: &str, standing| Coverage {
            host: host_id(1),
            standing,
            holes: holes.into(),
        };
        let write = |coverage: Coverage, when| {
            let fence = fence.clone();
            db.write(move |tx| {
                let generation = finding::begin(tx, &scope, &fence, "{}", at(when))?;
                coverage::write(tx, &scope, &fence, &generation, std::slice::from_ref(&coverage))
            })
        };
        let (holed, whole) = (
            covered("[\"x\"]", HostStanding::Unknown),
            covered("[]", HostStanding::UpToDate),
        );
        write(holed.clone(), 1).await.expect("write");
        write(holed.clone(), 2).await.expect("write");
        write(whole.clone(), 3).await.expect("write");
        let then = |generation| {
            db.read(move |view| {
                let found = coverage::of_hosts(view, &scope, &[host_id(1)], generation)?;
                Ok(found.into_values().next())
            })
        };
        assert_eq!(then(0).await.expect("read"), None);
        assert_eq!(then(2).await.expect("read"), Some(holed));
        assert_eq!(then(3).await.expect("read"), Some(whole));
        let standings = |generation| db.read(move |view| coverage::standings(view, &scope, generation));
        assert_eq!(standings(1).await.expect("read"), [(HostStanding::Unknown, 1)]);
        assert_eq!(standings(3).await.expect("read"), [(HostStanding::UpToDate, 1)]);
        let gone = db
            .write(move |tx| coverage::forget_before(tx, &scope, 3, 10))
            .await;
        assert_eq!(
            gone.expect("write"),
            1,
            "two generations that say the same are one row"
        );
    });
}
