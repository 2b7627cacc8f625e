//! The database of a server with two tenants, filled as agents fill it, only faster: every row that the assessment reads is
//! there, the bytes of inventories that were numbered long ago are not.

use super::world::{CODENAMES, Sourced};
use anyhow::Result;
use domain::assess::fleet::{PackageId, PackageSet};
use domain::digest::Sha256Digest;
use domain::host::inventory::Inventory;
use domain::id::{HostId, SiteId, TenantId};
use jiff::Timestamp;
use protocol::document::Document as _;
use protocol::document::inventory::InventoryDocument;
use server::Context;
use std::collections::{BTreeMap, BTreeSet};
use store::document::{Document, DocumentKind, Encoding};
use store::host::{HostMode, HostState, NewHost};
use store::host_document::HostDocument;
use store::liveness::Liveness;
use store::{Scope, Whole};

/// A tenant, and how many hosts it has.
#[derive(Clone, Copy)]
pub struct Tenant {
    /// Its place among the tenants.
    pub number: u8,
    /// Its hosts.
    pub hosts: u32,
}

const HOSTS_A_TIME: u32 = 2_000;
const SITES: u32 = 20;

impl Tenant {
    /// Its scope.
    pub fn scope(self) -> Scope {
        Scope::of_tenant(TenantId([self.number; 16]))
    }

    /// One of its hosts.
    pub fn host(self, number: u32) -> HostId {
        let mut id = [self.number; 16];
        // Spread like random ids, so that an index is not filled from one end.
        id[..8].copy_from_slice(
            &u64::from(number + 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .to_be_bytes(),
        );
        HostId(id)
    }

    /// One of its sites.
    pub fn site(self, number: u32) -> SiteId {
        SiteId([self.number.wrapping_mul(16) + (number % SITES) as u8 + 1; 16])
    }
}

/// The numbers that the packages of all hosts have in the database.
pub type Numbers = BTreeMap<PackageId, PackageId>;

/// Stores the packages that the hosts of these tenants have.
pub async fn packages(context: &Context, sourced: &Sourced, hosts: u32) -> Result<Numbers> {
    let mut used = BTreeSet::new();
    for host in 0..hosts {
        used.extend(sourced.host(host).1.iter());
    }
    let used: Vec<PackageId> = used.into_iter().collect();
    let mut numbers = Numbers::new();
    for part in used.chunks(5_000) {
        let packages: Vec<_> = part
            .iter()
            .map(|number| sourced.keys[number.0 as usize].1.stored())
            .collect();
        let stored = context
            .db
            .write(move |tx| store::package::intern(tx, &Whole::server(), &packages));
        numbers.extend(part.iter().copied().zip(stored.await?));
    }
    Ok(numbers)
}

/// Adds a tenant and its first hosts, one for each distribution, so that there is something to propose.
pub async fn tenant(context: &Context, tenant: Tenant, now: Timestamp) -> Result<()> {
    let added = context.db.write(move |tx| {
        let name = format!("tenant {}", tenant.number);
        store::tenant::create(tx, &Whole::server(), tenant.scope().tenant(), &name, now)?;
        for number in 0..SITES {
            store::site::create(
                tx,
                &tenant.scope(),
                tenant.site(number),
                &format!("site {number}"),
                now,
            )?;
        }
        Ok(())
    });
    Ok(added.await?)
}

/// The documents that all hosts of a distribution have in common.
pub struct Common {
    configs: Vec<Document>,
    key_file: Document,
}

impl Common {
    /// For hosts that find the archive there.
    pub fn new(sourced: &Sourced, uri: &str) -> Self {
        Self {
            configs: (0..CODENAMES.len())
                .map(|place| document(DocumentKind::ChannelConfig, sourced.config(place, uri)))
                .collect(),
            key_file: document(DocumentKind::KeyFile, sourced.certificate()),
        }
    }
}

fn document(kind: DocumentKind, bytes: Vec<u8>) -> Document {
    Document {
        digest: content::sha256(&bytes),
        kind,
        encoding: Encoding::Plain,
        size_bytes: bytes.len() as u64,
        bytes,
    }
}

/// Adds hosts of a tenant, from one number to another, whose packages were numbered long ago.
pub async fn hosts(
    context: &Context,
    (sourced, numbers, common): (&Sourced, &Numbers, &Common),
    tenant: Tenant,
    (from, to): (u32, u32),
    now: Timestamp,
) -> Result<()> {
    for start in (from..to).step_by(HOSTS_A_TIME as usize) {
        let some: Vec<(u32, usize, PackageSet)> = (start..to.min(start + HOSTS_A_TIME))
            .map(|host| {
                let (place, packages) = sourced.host(host);
                (
                    host,
                    place,
                    packages.iter().map(|number| numbers[&number]).collect(),
                )
            })
            .collect();
        let (configs, key_file) = (common.configs.clone(), common.key_file.clone());
        let added = context.db.write(move |tx| {
            let scope = tenant.scope();
            store::document::put(tx, &scope, &key_file, now)?;
            for (host, place, packages) in &some {
                store::host::create(tx, &scope, &new_host(tenant, *host), now)?;
                if host.is_multiple_of(50) {
                    let tags = ["canary".to_owned(), format!("rack {}", host % 7)];
                    assert!(store::host::set_tags(tx, &scope, tenant.host(*host), 1, &tags)?.is_changed());
                }
                let inventory = Document {
                    digest: digest_of(packages),
                    kind: DocumentKind::Inventory,
                    encoding: Encoding::Plain,
                    size_bytes: 90_000,
                    bytes: vec![0],
                };
                for document in [&configs[*place], &inventory] {
                    store::document::put(tx, &scope, document, now)?;
                    store::host_document::note(tx, &scope, &noted(tenant.host(*host), document, now))?;
                }
                store::inventory_package::put(tx, &scope, inventory.digest, packages)?;
            }
            let signs: Vec<_> = some
                .iter()
                .map(|(host, ..)| (scope.tenant(), sign(tenant.host(*host), now)))
                .collect();
            store::liveness::note(tx, &Whole::server(), &signs)
        });
        added.await?;
    }
    Ok(())
}

fn new_host(tenant: Tenant, number: u32) -> NewHost {
    NewHost {
        id: tenant.host(number),
        name: format!(
            "host-{:06}.example",
            u64::from(number).wrapping_mul(7_919) % 1_000_000
        ),
        site: tenant.site(number),
        state: HostState::Active,
        mode: if number % 10 == 3 {
            HostMode::Install
        } else {
            HostMode::Monitor
        },
        agent_version: "0.1.0".to_owned(),
        machine: None,
        moved_from: None,
        copy_of: None,
    }
}

fn noted(host: HostId, document: &Document, now: Timestamp) -> HostDocument {
    HostDocument {
        host,
        kind: document.kind,
        digest: document.digest,
        observed_at: now,
        received_at: now,
    }
}

fn sign(host: HostId, now: Timestamp) -> Liveness {
    Liveness {
        host,
        seen_at: now,
        next_expected_at: now,
        address: "192.0.2.1".to_owned(),
        boot_id: None,
        measures: "{}".to_owned(),
    }
}

fn digest_of(packages: &PackageSet) -> Sha256Digest {
    let bytes: Vec<u8> = packages
        .iter()
        .flat_map(|package| package.0.to_be_bytes())
        .collect();
    content::sha256(&bytes)
}

/// Packages that a host upgrades at a time.
const UPGRADED: usize = 10;

/// Some hosts hand in what they have after they upgraded some packages, and one that nobody else has.
pub async fn changed(
    context: &Context,
    sourced: &Sourced,
    tenant: Tenant,
    (hosts, round): (u32, usize),
    now: Timestamp,
) -> Result<()> {
    let documents: Vec<(HostId, Document)> = (0..hosts)
        .map(|host| {
            let (_, packages) = sourced.host(host);
            let newer = |number: PackageId| {
                let next = PackageId(number.0 + 1);
                sourced.is_one_name(number, next).then_some(next)
            };
            let mut numbers: Vec<PackageId> = packages.iter().collect();
            let behind = numbers.iter_mut().filter_map(|own| Some((newer(*own)?, own)));
            for (newer, own) in behind.skip(round * UPGRADED).take(UPGRADED) {
                *own = newer;
            }
            let of_number = |number: &PackageId| sourced.keys[number.0 as usize].1.installed();
            let mut packages: Vec<_> = numbers.iter().map(of_number).collect();
            packages[0].version = format!("{}+{host}.{round}", packages[0].version).into();
            packages.sort_by(|a, b| (&a.name, &a.architecture).cmp(&(&b.name, &b.architecture)));
            let bytes = InventoryDocument::from(&Inventory { packages }).to_bytes();
            (tenant.host(host), document(DocumentKind::Inventory, bytes))
        })
        .collect();
    let ids: Vec<HostId> = documents.iter().map(|(host, _)| *host).collect();
    let written = context.db.write(move |tx| {
        for (host, document) in &documents {
            store::document::put(tx, &tenant.scope(), document, now)?;
            store::host_document::note(tx, &tenant.scope(), &noted(*host, document, now))?;
        }
        Ok(())
    });
    written.await?;
    for host in ids {
        context.fleets.note_news(tenant.scope().tenant(), host);
    }
    Ok(())
}
