//! How fast the store is at what a fleet asks of it, beside what a program does that commits row by row: full inventories
//! acknowledged after they are durable, signs of life in batches, every filter of the host list at 100,000 hosts.
//! `cargo bench -p store` measures SQLite; with `-- postgres` a PostgreSQL server of its own. One JSON object a line: what,
//! figure, unit.

use domain::digest::Sha256Digest;
use domain::id::{HostId, SiteId, TenantId};
use jiff::Timestamp;
use roaring::RoaringBitmap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::document::{Document, DocumentKind, Encoding};
use store::host::{HostFilter, HostMode, HostNames, HostStanding, HostState, NewHost};
use store::host_document::HostDocument;
use store::liveness::Liveness;
use store::{
    ByName, Db, Scope, Tuning, Tx, Url, Whole, document, host, host_document, liveness, site, tenant,
};

const WHOLE: Whole = Whole::server();
const HOSTS: u64 = 100_000;
/// An inventory of 900 packages, deflated.
const INVENTORY_BYTES: usize = 20_000;

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}

#[expect(clippy::print_stdout, reason = "a bench speaks to the person who runs it")]
fn say(name: &str, value: f64, unit: &str) {
    println!(
        "{}",
        serde_json::json!({ "name": name, "value": value, "unit": unit })
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).expect("a time of this century")
}

fn bytes(kind: u8, number: u64) -> [u8; 16] {
    let mut bytes = [kind; 16];
    // Spread like random ids, so that an index is not filled from one end.
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn scope() -> Scope {
    Scope::of_tenant(TenantId([1; 16]))
}

fn site_id(number: u64) -> SiteId {
    SiteId(bytes(2, number))
}

fn host_id(number: u64) -> HostId {
    HostId(bytes(3, number))
}

fn a_host(tx: &mut Tx, number: u64) -> Result<(), store::Error> {
    let new = NewHost {
        id: host_id(number),
        name: format!("host-{:06}.example", number.wrapping_mul(7_919) % HOSTS),
        site: site_id(number % 20),
        state: if number % 100 == 7 {
            HostState::Pending
        } else {
            HostState::Active
        },
        mode: if number % 10 == 3 {
            HostMode::Install
        } else {
            HostMode::Monitor
        },
        agent_version: "0.1.0".into(),
        machine: None,
        moved_from: None,
        copy_of: None,
    };
    host::create(tx, &scope(), &new, at(0))?;
    if number.is_multiple_of(50) {
        let made = host::set_tags(tx, &scope(), host_id(number), 1, &["canary".to_owned()])?;
        assert!(made.is_changed());
    }
    Ok(())
}

async fn fill(db: &Db, hosts: u64) {
    db.write(|tx| {
        tenant::create(tx, &WHOLE, scope().tenant(), "bench", at(0))?;
        (0..20).try_for_each(|number| {
            site::create(tx, &scope(), site_id(number), &format!("site {number}"), at(0)).map(drop)
        })
    })
    .await
    .expect("a tenant");
    for batch in 0..hosts.div_ceil(5_000) {
        db.write(move |tx| {
            (batch * 5_000..(batch * 5_000 + 5_000).min(hosts)).try_for_each(|number| a_host(tx, number))
        })
        .await
        .expect("hosts");
    }
}

fn inventory(number: u64) -> Document {
    let mut seed = number.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1;
    let bytes = (0..INVENTORY_BYTES / 8).flat_map(|_| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_be_bytes()
    });
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(&self::bytes(9, number));
    Document {
        digest: Sha256Digest(digest),
        kind: DocumentKind::Inventory,
        encoding: Encoding::Deflated,
        size_bytes: 90_000,
        bytes: bytes.collect(),
    }
}

/// Takes an inventory in: the document, the host's history, the host's row.
async fn take_in(db: &Db, number: u64, hosts: u64) {
    let document = inventory(number);
    let noted = HostDocument {
        host: host_id(number % hosts),
        kind: DocumentKind::Inventory,
        digest: document.digest,
        observed_at: at(1),
        received_at: at(1 + i64::try_from(number).expect("small")),
    };
    db.write(move |tx| {
        document::put(tx, &scope(), &document, at(1))?;
        host_document::note(tx, &scope(), &noted)
    })
    .await
    .expect("taken in");
}

/// Inventories from many connections at a time; each waits until its own is durable.
async fn inventories(db: &Db, from: u64, count: u64, at_a_time: u64, hosts: u64) -> (f64, Duration) {
    let next = Arc::new(AtomicU64::new(from));
    let start = clock();
    let workers: Vec<_> = (0..at_a_time)
        .map(|_| {
            let (db, next) = (db.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut waits = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= from + count {
                        return waits;
                    }
                    let begun = clock();
                    take_in(&db, number, hosts).await;
                    waits.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut waits = Vec::new();
    for worker in workers {
        waits.extend(worker.await.expect("a worker"));
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    waits.sort_unstable();
    (rate, waits[waits.len() * 99 / 100])
}

async fn signs(db: &Db, agents: u64, in_one: usize) -> Duration {
    let signs: Vec<_> = (0..agents)
        .map(|number| {
            let sign = Liveness {
                host: host_id(number),
                seen_at: at(10),
                next_expected_at: at(310),
                address: "192.0.2.1".into(),
                boot_id: Some(bytes(5, number)),
                measures: "{\"disk_free\":[[\"/\",123456789]],\"clock_offset\":12}".into(),
            };
            (scope().tenant(), sign)
        })
        .collect();
    let start = clock();
    for batch in signs.chunks(in_one) {
        let batch = batch.to_vec();
        db.write(move |tx| liveness::note(tx, &WHOLE, &batch))
            .await
            .expect("noted");
    }
    start.elapsed()
}

fn filters() -> Vec<(&'static str, HostFilter)> {
    let any = HostFilter::default();
    let with = |name, change: &dyn Fn(&mut HostFilter)| {
        let mut filter = any.clone();
        change(&mut filter);
        (name, filter)
    };
    let every = |step: u32| {
        (0..HOSTS as u32)
            .step_by(step as usize)
            .collect::<RoaringBitmap>()
    };
    vec![
        with("all", &|_| {}),
        with("site", &|filter| filter.site = Some(site_id(3))),
        with("tag", &|filter| filter.tag = Some("canary".into())),
        with("tag and site", &|filter| {
            filter.tag = Some("canary".into());
            filter.site = Some(site_id(10));
        }),
        with("state", &|filter| filter.state = Some(HostState::Pending)),
        with("mode", &|filter| filter.mode = Some(HostMode::Install)),
        with("standing, none", &|filter| {
            filter.standing = Some(HostStanding::UpToDate)
        }),
        with("name", &|filter| {
            filter.name = Some(HostNames::Exactly("host-012345.example".into()))
        }),
        with("name begins", &|filter| {
            filter.name = Some(HostNames::Beginning("host-09".into()))
        }),
        with("name contains, rare", &|filter| {
            filter.name = Some(HostNames::Containing("99999".into()))
        }),
        with("name contains, none", &|filter| {
            filter.name = Some(HostNames::Containing("zebra".into()))
        }),
        with("missing an update, 60 %", &|filter| {
            filter.numbers = Some(every(2) | every(5))
        }),
        with("missing an update, 2,001 hosts", &|filter| {
            filter.numbers = Some(every(50).iter().take(2_001).collect());
        }),
        with("missing an update, 500 hosts", &|filter| {
            filter.numbers = Some(every(200))
        }),
        with("missing an update and site", &|filter| {
            filter.numbers = Some(every(50));
            filter.site = Some(site_id(3));
        }),
    ]
}

/// Pages from the beginning, the middle and near the end, each a new question; the 95th percentile.
async fn list(db: &Db, filter: &HostFilter) -> (Duration, usize) {
    let places = [None, Some("host-03"), Some("host-06"), Some("host-098")];
    let (mut waits, mut rows) = (Vec::new(), 0);
    for round in 0..10 {
        for place in places {
            let filter = filter.clone();
            let after = place.map(|name| ByName {
                name: format!("{name}{round}"),
                id: HostId([0; 16]),
            });
            let begun = clock();
            let page = db
                .read(move |view| host::page(view, &scope(), &filter, after.as_ref(), 50))
                .await;
            waits.push(begun.elapsed());
            rows = rows.max(page.expect("a page").rows.len());
        }
    }
    waits.sort_unstable();
    (waits[waits.len() * 95 / 100], rows)
}

fn main() {
    let wants_postgres = std::env::args().any(|argument| argument == "postgres");
    let folder = tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.expect("a folder on the disk that is measured");
    let server = wants_postgres.then(|| {
        let durability = testkit::postgres::Durability::OfTheDisk;
        testkit::postgres::Postgres::start(durability).expect("a PostgreSQL server")
    });
    let url = |name: &str| match &server {
        Some(server) => Url::parse(&server.database().expect("a database")).expect("an address"),
        None => Url::from(folder.path().join(name).as_path()),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let engine = if wants_postgres { "PostgreSQL" } else { "SQLite" };
    runtime.block_on(async {
        let db = Db::open(&url("small.db"), at(0)).await.expect("open");
        fill(&db, 20_000).await;
        let (rate, p99) = inventories(&db, 0, 6_000, 64, 20_000).await;
        say(
            &format!("inventories, {engine}, 64 at a time, acknowledged after the commit"),
            rate,
            "per s",
        );
        say(&format!("inventories, {engine}, p99"), ms(p99), "ms");
        for what in [
            "signs of life of 20,000 agents, one batch",
            "the same signs again",
        ] {
            say(
                &format!("{what}, {engine}"),
                ms(signs(&db, 20_000, 20_000).await),
                "ms",
            );
        }
        db.close().await;

        let alone = Tuning {
            group: 1,
            ..Tuning::default()
        };
        let db = Db::open_tuned(&url("peer.db"), alone, at(0)).await.expect("open");
        fill(&db, 1_000).await;
        let (rate, p99) = inventories(&db, 0, 1_000, 64, 1_000).await;
        say(&format!("inventories, {engine}, one commit each"), rate, "per s");
        say(
            &format!("inventories, {engine}, one commit each, p99"),
            ms(p99),
            "ms",
        );
        db.close().await;

        let db = Db::open(&url("large.db"), at(0)).await.expect("open");
        fill(&db, HOSTS).await;
        for (name, filter) in filters() {
            let (p95, rows) = list(&db, &filter).await;
            let counting = clock();
            let count = db
                .read(move |view| host::count(view, &scope(), &filter))
                .await
                .expect("a count");
            say(
                &format!("hosts by {name}, {engine}, p95 ({rows} rows of {count})"),
                ms(p95),
                "ms",
            );
            say(
                &format!("counting hosts by {name}, {engine}"),
                ms(counting.elapsed()),
                "ms",
            );
        }
        db.close().await;
    });
}
