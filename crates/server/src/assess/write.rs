//! What changed in a fleet, written: bitmaps and how hosts stand, under the assessor's lease.

use super::keep::{Stored, TenantFleet};
use crate::clock::draw;
use crate::context::Context;
use crate::start::millis;
use domain::assess::coverage::SourceState;
use domain::assess::fleet::{Changes, ChunkNo, HostNo, Reading, UpdateNo, chunks_of, of_chunk};
use domain::catalog::update::Classification;
use domain::id::UpdateKey;
use roaring::RoaringBitmap;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use store::coverage::{self, Coverage};
use store::finding::{self, FindingChunk, Generation};
use store::host::{self, HostStanding, Standing};
use store::lease::Fence;
use store::update::{self, UpdateClass, UpdateIdentity};
use store::{Error, Owner, Scope, Whole};

/// Hosts whose standing one transaction writes.
const HOSTS_A_TIME: usize = 1_000;

/// An update as its row is made.
type NewUpdate = (UpdateKey, UpdateIdentity, UpdateClass);

/// Writes what changed. How many bitmaps and hosts that were.
pub(super) async fn write(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    kept: &mut TenantFleet,
) -> Result<(usize, usize), Error> {
    name_updates(context, kept).await?;
    let mut changes = kept.fleet.take_changes();
    let mut chunks = Vec::new();
    if kept.stored == Stored::Unknown {
        chunks = compare(context, scope, kept, &mut changes).await?;
        changes.hosts = kept.fleet.hosts().map(|host| host.0).collect();
    }
    chunks.extend(changes.missing.iter().map(|at| chunk(kept, *at)));
    if chunks.is_empty() && changes.hosts.is_empty() {
        kept.stored = Stored::Known;
        return Ok((0, 0));
    }
    // Until all of it is written, it is not known what is stored.
    kept.stored = Stored::Unknown;
    let now = context.clock.now();
    let basis = basis(kept);
    let count = chunks.len();
    let holder = fence.clone();
    let generation = context
        .db
        .write(move |tx| {
            let generation = finding::begin(tx, &scope, &holder, &basis, now)?;
            finding::write(tx, &scope, &holder, &generation, &chunks)?;
            Ok(generation)
        })
        .await?;
    let hosts: Vec<HostNo> = changes.hosts.iter().map(HostNo).collect();
    for part in hosts.chunks(HOSTS_A_TIME) {
        write_standings(context, fence, scope, kept, &generation, part).await?;
    }
    kept.stored = Stored::Known;
    Ok((count, hosts.len()))
}

/// Gives every update that somebody misses its row.
async fn name_updates(context: &Context, kept: &mut TenantFleet) -> Result<(), Error> {
    let first = kept.keys.len();
    let all = kept.fleet.updates().len();
    if first == all {
        return Ok(());
    }
    let now = context.clock.now();
    let mut by_owner: BTreeMap<Owner, Vec<(usize, NewUpdate)>> = BTreeMap::new();
    for number in first..all {
        let update = UpdateNo(number as u32);
        let id = kept.fleet.updates().id(update);
        let owner = kept
            .fleet
            .in_force()
            .owner_of(&id.publisher)
            .unwrap_or(Owner::Shared);
        let class = match kept.fleet.updates().class(update) {
            Classification::Security => UpdateClass::Security,
            Classification::Other => UpdateClass::Other,
        };
        let identity = UpdateIdentity {
            origin: id.publisher.origin.clone(),
            signing_keys: crate::catalog::row::json(&id.publisher.keys),
            source: id.source.clone(),
            source_version: id.source_version.clone(),
            build: id.build.clone(),
        };
        let key = UpdateKey::new(millis(now), draw(&*context.chance));
        by_owner
            .entry(owner)
            .or_default()
            .push((number, (key, identity, class)));
    }
    let mut keys = vec![UpdateKey([0; 16]); all - first];
    for (owner, updates) in by_owner {
        let (numbers, rows): (Vec<usize>, Vec<_>) = updates.into_iter().unzip();
        let noted = context
            .db
            .write(move |tx| update::note(tx, &Whole::server(), owner, &rows, now))
            .await?;
        for (number, key) in numbers.into_iter().zip(noted) {
            keys[number - first] = key;
        }
    }
    kept.keys.extend(keys);
    Ok(())
}

/// Finds out where what is stored differs from what is in memory, and gives what is stored of updates that are not met in
/// memory at all, emptied.
async fn compare(
    context: &Context,
    scope: Scope,
    kept: &TenantFleet,
    changes: &mut Changes,
) -> Result<Vec<FindingChunk>, Error> {
    let stored = context
        .db
        .read(move |view| {
            let mut stored = Vec::new();
            if let Some(generation) = finding::generation(view, &scope, None)? {
                finding::each(view, &scope, generation.number, |chunk| {
                    stored.push(chunk);
                    Ok(())
                })?;
            }
            Ok::<_, Error>(stored)
        })
        .await?;
    let numbers: BTreeMap<UpdateKey, UpdateNo> = kept
        .keys
        .iter()
        .enumerate()
        .map(|(number, key)| (*key, UpdateNo(number as u32)))
        .collect();
    let mut wanted: BTreeSet<(UpdateNo, ChunkNo)> = BTreeSet::new();
    for (update, hosts) in kept.fleet.ledger().updates() {
        wanted.extend(chunks_of(hosts).map(|chunk| (update, chunk)));
    }
    changes.missing.clear();
    let mut gone = Vec::new();
    for found in stored {
        match numbers.get(&found.update) {
            Some(update) => {
                wanted.remove(&(*update, found.chunk));
                if chunk(kept, (*update, found.chunk)).hosts != found.hosts {
                    changes.missing.insert((*update, found.chunk));
                }
            }
            None => gone.push(FindingChunk {
                hosts: RoaringBitmap::new(),
                ..found
            }),
        }
    }
    changes.missing.extend(wanted);
    Ok(gone)
}

fn chunk(kept: &TenantFleet, (update, chunk): (UpdateNo, ChunkNo)) -> FindingChunk {
    let hosts = kept.fleet.ledger().missing(update);
    FindingChunk {
        update: kept.keys[update.0 as usize],
        chunk,
        hosts: hosts.map(|hosts| of_chunk(hosts, chunk)).unwrap_or_default(),
    }
}

/// The snapshots that findings were found from.
fn basis(kept: &TenantFleet) -> String {
    let snapshots = kept.fleet.in_force().sources();
    let mut ids: Vec<String> = snapshots
        .filter_map(|source| Some(source.snapshot.as_ref()?.id.to_string()))
        .collect();
    ids.sort();
    json!({ "snapshots": ids }).to_string()
}

async fn write_standings(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    kept: &TenantFleet,
    generation: &Generation,
    hosts: &[HostNo],
) -> Result<(), Error> {
    let there = hosts.iter().filter(|host| kept.fleet.row(**host).is_some());
    let found: Vec<(Standing, Option<Coverage>)> = there
        .map(|host| {
            let standing = standing(kept, *host);
            let coverage = kept.id(*host).map(|id| Coverage {
                host: id,
                standing: standing.standing,
                holes: holes(kept, *host),
            });
            (standing, coverage)
        })
        .collect();
    let (standings, covered): (Vec<Standing>, Vec<Option<Coverage>>) = found.into_iter().unzip();
    let covered: Vec<Coverage> = covered.into_iter().flatten().collect();
    let (fence, generation, now) = (fence.clone(), generation.clone(), context.clock.now());
    context
        .db
        .write(move |tx| {
            host::set_standings(tx, &scope, &fence, &standings, now)?;
            coverage::write(tx, &scope, &fence, &generation, &covered)
        })
        .await
}

fn standing(kept: &TenantFleet, host: HostNo) -> Standing {
    let ledger = kept.fleet.ledger();
    let updates = ledger.updates_of(host);
    let is_security = |update: &&UpdateNo| kept.fleet.updates().class(**update) == Classification::Security;
    Standing {
        host_no: host,
        standing: match (ledger.unknown().contains(host.0), updates.len()) {
            (true, _) => HostStanding::Unknown,
            (false, 0) => HostStanding::UpToDate,
            (false, _) => HostStanding::UpdatesMissing,
        },
        missing: updates.len() as u32,
        missing_security: updates.iter().filter(is_security).count() as u32,
    }
}

/// What is not known of a host, in short: the sources that do not answer, how many packages nobody answers for, and
/// whether its own files could be followed. Which packages is said where one host is looked at.
fn holes(kept: &TenantFleet, host: HostNo) -> String {
    let Some(told) = kept.fleet.ledger().told(host) else {
        return json!({ "silent": true }).to_string();
    };
    let channels = kept.fleet.channels_of(host);
    let sources: Vec<String> = channels
        .iter()
        .flat_map(|channels| &channels.sources)
        .filter(|source| !matches!(source.report.state, SourceState::Verified { .. }))
        .map(|source| {
            let why = source.report.state.doubt().unwrap_or_default();
            format!("{}: {why}", source.report.name)
        })
        .collect();
    json!({
        "sources": sources,
        "packages": kept.fleet.ledger().unanswered(host),
        "host": told.reading == Reading::Holed,
    })
    .to_string()
}
