//! A fleet in memory brought up to date from stored rows.

use super::documents::{ReadConfig, keys_named, read_config};
use super::fleet::HostRow;
use super::keep::TenantFleet;
use crate::agents::stored_bytes;
use crate::catalog::row::{self, ForceError};
use crate::context::Context;
use domain::assess::fleet::{Full, HostNo, PackageId, PackageKey, PackageSet};
use domain::digest::Sha256Digest;
use domain::host::inventory::Inventory;
use jiff::{SignedDuration, Timestamp};
use protocol::document::channels::ChannelConfigDocument;
use protocol::document::inventory::InventoryDocument;
use protocol::document::{Document as _, DocumentError};
use std::collections::HashMap;
use std::sync::Arc;
use store::document::{self};
use store::host::{self, FleetHost, HostState};
use store::package::{self, Package};
use store::{Scope, View, Whole, inventory_package, snapshot};
use tokio::sync::OwnedMutexGuard;

/// How often all rows are compared with what is in memory, in case that news were lost.
const COMPARED_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// Inventories whose packages are numbered in one transaction.
const NUMBERED_AT_ONCE: usize = 50;

/// Why a fleet could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The database.
    #[error("read the rows of a fleet")]
    Store(#[from] store::Error),
    /// The sources in force.
    #[error("read the sources in force")]
    Force(#[from] ForceError),
    /// A document that was kept.
    #[error("read the document {digest}")]
    Document {
        /// Its digest.
        digest: Sha256Digest,
        /// Why.
        #[source]
        cause: DocumentError,
    },
    /// A kept document's bytes cannot be had.
    #[error("unpack a document")]
    Bytes(#[source] store::Error),
    /// Too many packages.
    #[error(transparent)]
    Full(#[from] Full),
}

/// Brings a tenant's fleet up to date: sources in force, hosts with news told, time passed. What costs processor time runs
/// beside the async tasks: a large tenant holds nobody up.
pub async fn catch_up(
    context: &Context,
    scope: Scope,
    mut kept: OwnedMutexGuard<TenantFleet>,
) -> Result<OwnedMutexGuard<TenantFleet>, LoadError> {
    let now = context.clock.now();
    let in_force = context
        .db
        .attempt_read(move |view| {
            let snapshots = snapshot::in_force(view, &Whole::server())?;
            row::in_force(view, &scope, snapshots)
        })
        .await?;
    kept = beside(context, kept, move |kept, content| {
        kept.fleet.set_in_force(in_force, content, now);
    })
    .await;
    let is_due = kept
        .next_comparison
        .is_none_or(|at| at <= now || at > now + COMPARED_EVERY);
    let news = context.fleets.take_news(scope.tenant());
    let rows = if is_due {
        all_rows(context, scope).await.map(Rows::All)
    } else {
        let news = news.iter().copied().collect();
        rows_of(context, scope, news).await.map(Rows::WithNews)
    };
    let told = match rows {
        Ok(rows) => tell(context, scope, kept, rows, now).await,
        Err(error) => Err(error.into()),
    };
    kept = told.inspect_err(|_| context.fleets.give_back_news(scope.tenant(), news))?;
    if is_due {
        kept.next_comparison = Some(now + COMPARED_EVERY);
    }
    learn_late_keys(context, scope, &mut kept, now).await?;
    kept = beside(context, kept, move |kept, content| {
        kept.fleet.pass_time(content, now);
    })
    .await;
    Ok(kept)
}

/// Runs work on a fleet where it keeps nobody waiting.
async fn beside(
    context: &Context,
    mut kept: OwnedMutexGuard<TenantFleet>,
    work: impl FnOnce(&mut TenantFleet, &content::Store) + Send + 'static,
) -> OwnedMutexGuard<TenantFleet> {
    let content = context.content.clone();
    let working = tokio::task::spawn_blocking(move || {
        work(&mut kept, &content);
        kept
    });
    match working.await {
        Ok(kept) => kept,
        Err(failed) => std::panic::resume_unwind(failed.into_panic()),
    }
}

async fn rows_of(
    context: &Context,
    scope: Scope,
    hosts: Vec<domain::id::HostId>,
) -> Result<Vec<FleetHost>, store::Error> {
    if hosts.is_empty() {
        return Ok(Vec::new());
    }
    let read = context.db.read(move |view| host::fleet_of(view, &scope, &hosts));
    read.await
}

async fn all_rows(context: &Context, scope: Scope) -> Result<Vec<FleetHost>, store::Error> {
    context
        .db
        .read(move |view| {
            let mut rows = Vec::new();
            host::fleet(view, &scope, |row| {
                rows.push(row);
                Ok(())
            })?;
            Ok(rows)
        })
        .await
}

fn forget_the_gone(kept: &mut TenantFleet, rows: &[FleetHost]) {
    let there: std::collections::HashSet<HostNo> = rows.iter().map(|row| row.host_no).collect();
    let gone: Vec<HostNo> = kept.fleet.hosts().filter(|host| !there.contains(host)).collect();
    for host in gone {
        kept.forget(host);
    }
}

/// Numbers the packages of inventories. Any node may: it comes out the same.
async fn number_packages(
    context: &Context,
    scope: Scope,
    kept: &mut TenantFleet,
    inventories: &[Sha256Digest],
    sets: &mut HashMap<Sha256Digest, PackageSet>,
) -> Result<(), LoadError> {
    for some in inventories.chunks(NUMBERED_AT_ONCE) {
        let some = some.to_vec();
        let read = context.db.attempt_read(move |view| {
            let documents = some.into_iter().map(|digest| {
                let inventory = match bytes_of(view, &scope, digest)? {
                    Some(bytes) => read_inventory(digest, &bytes)?,
                    None => Inventory::default(),
                };
                let packages: Vec<Package> = inventory.packages.into_iter().map(stored).collect();
                Ok((digest, packages))
            });
            documents.collect::<Result<Vec<_>, LoadError>>()
        });
        let read = read.await?;
        learn_packages(context, kept).await?;
        let known = known_packages(kept, &read);
        let numbered = context.db.write(move |tx| {
            let mut sets = Vec::with_capacity(read.len());
            for ((digest, packages), known) in read.iter().zip(&known) {
                let new: Vec<Package> = packages
                    .iter()
                    .zip(known)
                    .filter(|(_, known)| known.is_none())
                    .map(|(package, _)| package.clone())
                    .collect();
                let numbered = package::intern(tx, &Whole::server(), &new)?;
                let set: PackageSet = known.iter().flatten().copied().chain(numbered).collect();
                inventory_package::put(tx, &scope, *digest, &set)?;
                sets.push((*digest, set));
            }
            Ok(sets)
        });
        sets.extend(numbered.await?);
    }
    Ok(())
}

/// The numbers that packages of inventories have already.
fn known_packages(
    kept: &TenantFleet,
    inventories: &[(Sha256Digest, Vec<Package>)],
) -> Vec<Vec<Option<PackageId>>> {
    let known = kept.fleet.packages();
    let of_inventory = |(_, packages): &(Sha256Digest, Vec<Package>)| {
        let numbers = packages.iter().map(|package| known.find(key(package)));
        numbers.collect()
    };
    inventories.iter().map(of_inventory).collect()
}

fn stored(package: domain::host::inventory::InstalledPackage) -> Package {
    Package {
        name: package.name.into(),
        architecture: package.architecture.into(),
        version: package.version.into(),
        source: package.source.into(),
        source_version: package.source_version.into(),
        fingerprint: package.fingerprint,
    }
}

fn key(package: &Package) -> PackageKey<'_> {
    PackageKey {
        name: &package.name,
        architecture: &package.architecture,
        version: &package.version,
        source: &package.source,
        source_version: &package.source_version,
        fingerprint: package.fingerprint,
    }
}

/// Takes over the numbers of packages that were met since the last time.
async fn learn_packages(context: &Context, kept: &mut TenantFleet) -> Result<(), LoadError> {
    let from = kept.fleet.packages().next_number();
    let new = context
        .db
        .read(move |view| {
            let mut new = Vec::new();
            package::all_from(view, &Whole::server(), from, |number, package| {
                new.push((number, package));
                Ok(())
            })?;
            Ok::<_, store::Error>(new)
        })
        .await?;
    let mut packages = kept.fleet.packages_mut();
    for (number, package) in new {
        packages.assign(number, key(&package))?;
    }
    Ok(())
}

/// Rows of hosts.
enum Rows {
    /// Of all that the tenant has.
    All(Vec<FleetHost>),
    /// Of those of which something is new.
    WithNews(Vec<FleetHost>),
}

/// What was loaded for the hosts with news.
#[derive(Default)]
struct Loaded {
    sets: HashMap<Sha256Digest, PackageSet>,
    configs: HashMap<Sha256Digest, ChannelConfigDocument>,
    key_files: HashMap<Sha256Digest, Arc<[u8]>>,
}

async fn tell(
    context: &Context,
    scope: Scope,
    mut kept: OwnedMutexGuard<TenantFleet>,
    rows: Rows,
    now: Timestamp,
) -> Result<OwnedMutexGuard<TenantFleet>, LoadError> {
    let rows = match rows {
        Rows::WithNews(rows) => rows,
        Rows::All(rows) => {
            forget_the_gone(&mut kept, &rows);
            rows
        }
    };
    let mut changed: Vec<(FleetHost, HostRow)> = Vec::new();
    for row in rows {
        match assessed(&row) {
            None => kept.forget(row.host_no),
            Some(documents) => {
                let is_known = kept.fleet.row(row.host_no) == Some(documents);
                if !is_known || !kept.fleet.is_told(row.host_no) {
                    changed.push((row, documents));
                }
            }
        }
    }
    if changed.is_empty() {
        return Ok(kept);
    }
    let mut inventories: Vec<Sha256Digest> = Vec::new();
    let mut configs: Vec<Sha256Digest> = Vec::new();
    for (_, row) in &changed {
        let needs = kept.fleet.needs(row);
        inventories.extend(needs.inventory);
        configs.extend(needs.channel_config);
    }
    for digests in [&mut inventories, &mut configs] {
        digests.sort_unstable();
        digests.dedup();
    }
    let known_keys: Vec<Sha256Digest> = kept.key_files.keys().copied().collect();
    let wanted = inventories.clone();
    let loaded = context
        .db
        .attempt_read(move |view| load(view, &scope, &wanted, &configs, &known_keys))
        .await?;
    let mut sets = loaded.sets;
    inventories.retain(|digest| !sets.contains_key(digest));
    number_packages(context, scope, &mut kept, &inventories, &mut sets).await?;
    learn_packages(context, &mut kept).await?;
    kept.key_files.extend(loaded.key_files);
    for (digest, document) in loaded.configs {
        learn_config(&mut kept, digest, document);
    }
    let told = beside(context, kept, move |kept, content| {
        let learned = sets
            .into_iter()
            .map(|(digest, set)| kept.fleet.learn_set(digest, set));
        let sets: Vec<_> = learned.collect();
        for (row, documents) in changed {
            kept.note_id(row.host_no, row.id);
            kept.fleet.tell(row.host_no, documents, content, now);
        }
        // They had to live until the hosts that have them were told.
        drop(sets);
    });
    Ok(told.await)
}

fn learn_config(kept: &mut TenantFleet, digest: Sha256Digest, document: ChannelConfigDocument) {
    let is_missing = |key: &Sha256Digest| !kept.key_files.contains_key(key);
    let missing: Vec<Sha256Digest> = keys_named(&document).into_iter().filter(is_missing).collect();
    let ReadConfig { host, reading, .. } = read_config(document, &kept.key_files);
    kept.fleet.learn_config(digest, host, reading);
    if missing.is_empty() {
        kept.lacking.remove(&digest);
    } else {
        kept.lacking.insert(digest, missing);
    }
}

/// Key files come after the channel configs that name them: looks whether some are here by now.
async fn learn_late_keys(
    context: &Context,
    scope: Scope,
    kept: &mut TenantFleet,
    now: Timestamp,
) -> Result<(), LoadError> {
    if kept.lacking.is_empty() {
        return Ok(());
    }
    let lacking = kept.lacking.clone();
    let came = context
        .db
        .attempt_read(move |view| {
            let mut came = Vec::new();
            for (config, keys) in lacking {
                let mut files = Vec::new();
                for key in keys {
                    if let Some(bytes) = bytes_of(view, &scope, key)? {
                        files.push((key, Arc::from(bytes)));
                    }
                }
                if !files.is_empty()
                    && let Some(bytes) = bytes_of(view, &scope, config)?
                {
                    came.push((config, read_channel_config(config, &bytes)?, files));
                }
            }
            Ok::<_, LoadError>(came)
        })
        .await?;
    for (digest, document, files) in came {
        kept.key_files.extend(files);
        learn_config(kept, digest, document);
        for (host, row) in kept.fleet.hosts_using(digest) {
            kept.fleet.tell(host, row, &context.content, now);
        }
    }
    Ok(())
}

/// The documents by which a host is assessed; `None` for one that is not. What a host in quarantine says is not believed.
fn assessed(row: &FleetHost) -> Option<HostRow> {
    match row.state {
        HostState::Active => Some(HostRow {
            inventory: row.inventory,
            channel_config: row.channel_config,
        }),
        HostState::Quarantined => Some(HostRow {
            inventory: None,
            channel_config: None,
        }),
        HostState::Pending | HostState::Retired => None,
    }
}

fn load(
    view: &mut View,
    scope: &Scope,
    inventories: &[Sha256Digest],
    configs: &[Sha256Digest],
    known_keys: &[Sha256Digest],
) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded {
        sets: inventory_package::get_many(view, scope, inventories)?
            .into_iter()
            .collect(),
        ..Loaded::default()
    };
    for digest in configs {
        let Some(bytes) = bytes_of(view, scope, *digest)? else {
            continue;
        };
        let document = read_channel_config(*digest, &bytes)?;
        for key in keys_named(&document) {
            if !known_keys.contains(&key)
                && !loaded.key_files.contains_key(&key)
                && let Some(bytes) = bytes_of(view, scope, key)?
            {
                loaded.key_files.insert(key, bytes.into());
            }
        }
        loaded.configs.insert(*digest, document);
    }
    Ok(loaded)
}

/// The bytes of a document of the tenant.
pub(crate) fn bytes_of(
    view: &mut View,
    scope: &Scope,
    digest: Sha256Digest,
) -> Result<Option<Vec<u8>>, LoadError> {
    let Some(document) = document::get(view, scope, digest)? else {
        return Ok(None);
    };
    stored_bytes(&document).map(Some).map_err(LoadError::Bytes)
}

/// An inventory that was kept.
pub(crate) fn read_inventory(digest: Sha256Digest, bytes: &[u8]) -> Result<Inventory, LoadError> {
    let document =
        InventoryDocument::parse_kept(bytes).map_err(|cause| LoadError::Document { digest, cause })?;
    Ok(document.into())
}

/// A channel config that was kept.
pub(crate) fn read_channel_config(
    digest: Sha256Digest,
    bytes: &[u8],
) -> Result<ChannelConfigDocument, LoadError> {
    ChannelConfigDocument::parse_kept(bytes).map_err(|cause| LoadError::Document { digest, cause })
}
