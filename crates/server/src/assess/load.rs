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

/// How often all rows are compared with what is in memory, in case that news were lost.
const COMPARED_EVERY: SignedDuration = SignedDuration::from_mins(10);
/// Inventories whose packages are numbered in one transaction.
const NUMBERED_AT_ONCE: u32 = 50;

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

/// Brings a tenant's fleet up to date: packages numbered, sources in force, hosts with news told, time passed.
pub async fn catch_up(context: &Context, scope: Scope, kept: &mut TenantFleet) -> Result<(), LoadError> {
    let now = context.clock.now();
    number_packages(context, scope, kept).await?;
    learn_packages(context, kept).await?;
    let in_force = context
        .db
        .attempt_read(move |view| {
            let snapshots = snapshot::in_force(view, &Whole::server())?;
            row::in_force(view, &scope, snapshots)
        })
        .await?;
    kept.fleet.set_in_force(in_force, &context.content, now);
    let is_due = kept
        .next_comparison
        .is_none_or(|at| at <= now || at > now + COMPARED_EVERY);
    let news = context.fleets.take_news(scope.tenant());
    let rows = if is_due {
        kept.next_comparison = Some(now + COMPARED_EVERY);
        let rows = all_rows(context, scope).await?;
        forget_the_gone(kept, &rows);
        rows
    } else {
        let news: Vec<_> = news.into_iter().collect();
        context
            .db
            .read(move |view| host::fleet_of(view, &scope, &news))
            .await?
    };
    tell(context, scope, kept, rows, now).await?;
    learn_late_keys(context, scope, kept, now).await?;
    kept.fleet.pass_time(&context.content, now);
    Ok(())
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
        kept.fleet.remove(host);
        kept.ids.remove(&host);
    }
}

/// Numbers the packages of inventories that arrived lately. Any node may: it comes out the same.
async fn number_packages(context: &Context, scope: Scope, kept: &mut TenantFleet) -> Result<(), LoadError> {
    loop {
        let inventories = context
            .db
            .attempt_read(move |view| {
                let digests = inventory_package::to_do(view, &scope, NUMBERED_AT_ONCE)?;
                let documents = digests.into_iter().map(|digest| {
                    let bytes = bytes_of(view, &scope, digest)?;
                    Ok((digest, bytes))
                });
                documents.collect::<Result<Vec<_>, LoadError>>()
            })
            .await?;
        if inventories.is_empty() {
            return Ok(());
        }
        let mut read: Vec<(Sha256Digest, Vec<Package>)> = Vec::with_capacity(inventories.len());
        for (digest, bytes) in inventories {
            let inventory = match bytes {
                Some(bytes) => read_inventory(digest, &bytes)?,
                None => Inventory::default(),
            };
            read.push((digest, inventory.packages.into_iter().map(stored).collect()));
        }
        learn_packages(context, kept).await?;
        let known: Vec<Vec<Option<PackageId>>> = read
            .iter()
            .map(|(_, packages)| {
                packages
                    .iter()
                    .map(|package| kept.fleet.packages().find(key(package)))
                    .collect()
            })
            .collect();
        context
            .db
            .write(move |tx| {
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
                }
                Ok(())
            })
            .await?;
    }
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
    let from = kept.next_package;
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
    for (number, package) in new {
        kept.fleet.packages_mut().assign(number, key(&package))?;
        kept.next_package = PackageId(number.0 + 1);
    }
    Ok(())
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
    kept: &mut TenantFleet,
    rows: Vec<FleetHost>,
    now: Timestamp,
) -> Result<(), LoadError> {
    let mut changed: Vec<(FleetHost, HostRow)> = Vec::new();
    for row in rows {
        match assessed(&row) {
            None => {
                kept.fleet.remove(row.host_no);
                kept.ids.remove(&row.host_no);
            }
            Some(documents) => {
                let is_known = kept.fleet.row(row.host_no) == Some(documents);
                if !is_known || !kept.fleet.is_told(row.host_no) {
                    changed.push((row, documents));
                }
            }
        }
    }
    if changed.is_empty() {
        return Ok(());
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
    let loaded = context
        .db
        .attempt_read(move |view| load(view, &scope, &inventories, &configs, &known_keys))
        .await?;
    kept.key_files.extend(loaded.key_files);
    for (digest, document) in loaded.configs {
        learn_config(kept, digest, document);
    }
    let sets: Vec<_> = loaded
        .sets
        .into_iter()
        .map(|(digest, set)| kept.fleet.learn_set(digest, set))
        .collect();
    for (row, documents) in changed {
        kept.ids.insert(row.host_no, row.id);
        kept.fleet.tell(row.host_no, documents, &context.content, now);
    }
    // They had to live until the hosts that have them were told.
    drop(sets);
    Ok(())
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

/// More inventories than this are read in one go, all that are in force.
const MANY: usize = 200;

fn load(
    view: &mut View,
    scope: &Scope,
    inventories: &[Sha256Digest],
    configs: &[Sha256Digest],
    known_keys: &[Sha256Digest],
) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded::default();
    if inventories.len() > MANY {
        inventory_package::in_force(view, scope, |digest, set| {
            loaded.sets.insert(digest, set);
            Ok(())
        })?;
    } else {
        for digest in inventories {
            if let Some(set) = inventory_package::get(view, scope, *digest)? {
                loaded.sets.insert(*digest, set);
            }
        }
    }
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
