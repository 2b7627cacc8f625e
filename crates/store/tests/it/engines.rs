//! Runs a promise on each engine, in a database of its own, and what such promises have in common: ids, times, a tenant
//! with a site and hosts.

use domain::assess::fleet::HostNo;
use domain::digest::Sha256Digest;
use domain::id::{HostId, SiteId, TenantId};
use jiff::Timestamp;
use std::path::Path;
use store::host::{Host, HostMode, HostState, NewHost};
use store::{Db, Scope, Tuning, Url, Whole, host, site, tenant};

/// Where the server stands over everything.
pub const WHOLE: Whole = Whole::server();

/// Seconds after some moment in 2026.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + seconds).expect("a time of this century")
}

/// Sixteen bytes that differ by kind and number.
pub fn bytes(kind: u8, number: u64) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

pub fn tenant_id(number: u64) -> TenantId {
    TenantId(bytes(1, number))
}

pub fn site_id(number: u64) -> SiteId {
    SiteId(bytes(2, number))
}

pub fn host_id(number: u64) -> HostId {
    HostId(bytes(3, number))
}

pub fn digest(number: u64) -> Sha256Digest {
    let mut bytes = [9; 32];
    bytes[24..].copy_from_slice(&number.to_be_bytes());
    Sha256Digest(bytes)
}

/// Runs the promise once on SQLite and once on PostgreSQL.
pub fn on_both<F: Future<Output = ()>>(promise: impl Fn(Db) -> F) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    on(&Url::from(folder.path().join("a.db").as_path()), &promise);
    if let Some(url) = testkit::postgres::database() {
        on(&Url::parse(&url).expect("an address"), &promise);
    }
}

/// Runs the promise on the engine that the address names.
pub fn on<F: Future<Output = ()>>(url: &Url, promise: impl Fn(Db) -> F) {
    runtime().block_on(async {
        let db = Db::open(url, at(0))
            .await
            .unwrap_or_else(|error| panic!("{url}: {error:?}"));
        promise(db.clone()).await;
        db.close().await;
    });
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// An open file with these settings.
pub async fn open_file(path: &Path, tuning: Tuning) -> Result<Db, store::OpenError> {
    Db::open_tuned(&Url::from(path), tuning, at(0)).await
}

/// A tenant with a site of the same number.
pub async fn a_tenant(db: &Db, number: u64) -> Scope {
    let scope = Scope::of_tenant(tenant_id(number));
    db.write(move |tx| {
        tenant::create(tx, &WHOLE, tenant_id(number), &format!("tenant {number}"), at(0))?;
        site::create(tx, &scope, site_id(number), "main", at(0))
    })
    .await
    .expect("a tenant and its site");
    scope
}

pub fn new_host(number: u64, site: SiteId, name: &str) -> NewHost {
    NewHost {
        id: host_id(number),
        name: name.to_owned(),
        site,
        state: HostState::Active,
        mode: HostMode::Monitor,
        agent_version: "0.1.0".into(),
        machine: None,
        moved_from: None,
        copy_of: None,
    }
}

/// A host of the tenant `scope` whose site has this number.
pub async fn a_host(db: &Db, scope: Scope, site: u64, number: u64, name: &str) -> Host {
    let new = new_host(number, site_id(site), name);
    db.write(move |tx| host::create(tx, &scope, &new, at(1)))
        .await
        .expect("a host")
}

pub fn numbers(hosts: &[Host]) -> Vec<u32> {
    hosts
        .iter()
        .map(|host| host.host_no)
        .map(|HostNo(number)| number)
        .collect()
}
