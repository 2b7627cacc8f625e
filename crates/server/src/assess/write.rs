//! What changed in a fleet, written: bitmaps and how hosts stand, under the assessor's lease.

use super::keep::{Noted, Stored, TenantFleet};
use crate::clock::draw;
use crate::context::Context;
use crate::start::millis;
use domain::assess::fleet::{
    Changes, ChannelsNo, ChunkNo, Counts, HostNo, Reading, UpdateNo, chunks_of, of_chunk,
};
use domain::catalog::update::Classification;
use domain::id::UpdateKey;
use failpoint::{Point, reach};
use roaring::RoaringBitmap;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use store::coverage::{self, Coverage};
use store::finding::{self, FindingChunk, Generation};
use store::host::{self, CountsBlock, HostStanding, Standing};
use store::lease::Fence;
use store::update::{self, UpdateClass, UpdateIdentity};
use store::{Error, Owner, Scope, Whole};

/// Hosts whose standing one transaction writes, and bitmaps: others have their turn between two.
const HOSTS_A_TIME: usize = 1_000;
const BITMAPS_A_TIME: usize = 1_000;

/// An update as its row is made.
type NewUpdate = (UpdateKey, UpdateIdentity, UpdateClass);

/// Writes what changed. How many bitmaps and hosts that were.
///
/// What is too much for one transaction becomes several generations; no update is torn apart by that. A host's standing comes
/// last: one of which nothing was written yet is unknown.
pub(super) async fn write(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    kept: &mut TenantFleet,
) -> Result<(usize, usize), Error> {
    name_updates(context, kept).await?;
    let mut changes = kept.fleet.take_changes();
    let mut gone = Vec::new();
    if kept.stored == Stored::Unknown {
        gone = compare(context, scope, kept, &mut changes).await?;
        changes.hosts = kept.fleet.hosts().map(|host| host.0).collect();
        kept.noted.clear();
    }
    if gone.is_empty() && changes.missing.is_empty() && changes.hosts.is_empty() {
        kept.stored = Stored::Known;
        return Ok((0, 0));
    }
    // Until all of it is written, it is not known what is stored.
    kept.stored = Stored::Unknown;
    let count = gone.len() + changes.missing.len();
    let generation = write_findings(context, fence, scope, kept, &changes, gone).await?;
    let hosts = write_standings(context, fence, scope, kept, &generation, &changes).await?;
    kept.stored = Stored::Known;
    Ok((count, hosts))
}

/// Writes bitmaps and with the last of them how many updates hosts miss; the last generation.
async fn write_findings(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    kept: &TenantFleet,
    changes: &Changes,
    mut gone: Vec<FindingChunk>,
) -> Result<Generation, Error> {
    let (basis, now) = (basis(kept), context.clock.now());
    let blocks: BTreeSet<CountsBlock> = changes
        .hosts
        .iter()
        .map(|host| CountsBlock::of(HostNo(host)))
        .collect();
    let counts = blocks.into_iter().map(|block| {
        let counts: Vec<Counts> = block
            .hosts()
            .map(|host| kept.fleet.ledger().counts(host))
            .collect();
        (block, counts)
    });
    let mut counts: Option<Vec<(CountsBlock, Vec<Counts>)>> = Some(counts.collect());
    let mut missing = changes.missing.iter().peekable();
    loop {
        let mut chunks = std::mem::take(&mut gone);
        let mut last = None;
        while let Some(at) =
            missing.next_if(|(update, _)| chunks.len() < BITMAPS_A_TIME || last == Some(*update))
        {
            last = Some(at.0);
            chunks.push(chunk(kept, *at));
        }
        let is_last = missing.peek().is_none();
        let counts = if is_last { counts.take() } else { None }.unwrap_or_default();
        let (holder, basis) = (fence.clone(), basis.clone());
        let written = context.db.write(move |tx| {
            let generation = finding::begin(tx, &scope, &holder, &basis, now)?;
            finding::write(tx, &scope, &holder, &generation, &chunks)?;
            host::set_counts(tx, &scope, &holder, &generation, &counts)?;
            Ok(generation)
        });
        let generation = written.await?;
        reach(Point::FindingsStored);
        if is_last {
            return Ok(generation);
        }
    }
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
    // Ids of one moment are in no order by themselves; in order, rows of neighbours come to lie beside each other.
    let mut free: Vec<UpdateKey> = (first..all)
        .map(|_| UpdateKey::new(millis(now), draw(&*context.chance)))
        .collect();
    free.sort_unstable();
    let mut free = free.iter();
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
        by_owner.entry(owner).or_default().push((
            number,
            (*free.next().expect("there is one for each"), identity, class),
        ));
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

/// Writes how hosts stand and what is not known of them, where that is otherwise than it was written last; of how many hosts.
async fn write_standings(
    context: &Context,
    fence: &Fence,
    scope: Scope,
    kept: &mut TenantFleet,
    generation: &Generation,
    changes: &Changes,
) -> Result<usize, Error> {
    let mut doubts = HashMap::new();
    let there = changes.hosts.iter().map(HostNo);
    let changed: Vec<(HostNo, Noted)> = there
        .filter(|host| kept.fleet.row(*host).is_some())
        .map(|host| (host, noted(kept, host, &mut doubts)))
        .filter(|(host, noted)| kept.noted.get(host) != Some(noted))
        .collect();
    for part in changed.chunks(HOSTS_A_TIME) {
        let standings: Vec<Standing> = part
            .iter()
            .map(|(host, noted)| Standing {
                host_no: *host,
                standing: noted.standing,
            })
            .collect();
        let covered = part.iter().filter_map(|(host, noted)| {
            Some(Coverage {
                host: kept.id(*host)?,
                standing: noted.standing,
                holes: holes(kept, *host, noted),
            })
        });
        let covered: Vec<Coverage> = covered.collect();
        let (fence, generation, now) = (fence.clone(), generation.clone(), context.clock.now());
        let written = context.db.write(move |tx| {
            host::set_standings(tx, &scope, &fence, &standings, now)?;
            coverage::write(tx, &scope, &fence, &generation, &covered)
        });
        written.await?;
        reach(Point::StandingsStored);
        kept.noted.extend(part.iter().copied());
    }
    Ok(changed.len())
}

fn noted(kept: &TenantFleet, host: HostNo, doubts: &mut HashMap<ChannelsNo, u64>) -> Noted {
    let ledger = kept.fleet.ledger();
    let told = ledger.told(host);
    let hash = |channels: ChannelsNo| {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(kept.fleet.doubts(channels))
    };
    Noted {
        standing: match (ledger.unknown().contains(host.0), ledger.counts(host).missing) {
            (true, _) => HostStanding::Unknown,
            (false, 0) => HostStanding::UpToDate,
            (false, _) => HostStanding::UpdatesMissing,
        },
        doubts: told.map(|told| *doubts.entry(told.channels).or_insert_with(|| hash(told.channels))),
        unanswered: ledger.unanswered(host),
        reading: told.map_or(Reading::Whole, |told| told.reading),
    }
}

/// What is not known of a host, in short: the sources that do not answer, how many packages nobody answers for, and
/// whether its own files could be followed. Which packages is said where one host is looked at.
fn holes(kept: &TenantFleet, host: HostNo, noted: &Noted) -> String {
    let Some(told) = kept.fleet.ledger().told(host) else {
        return json!({ "silent": true }).to_string();
    };
    json!({
        "sources": kept.fleet.doubts(told.channels),
        "packages": noted.unanswered,
        "host": noted.reading == Reading::Holed,
    })
    .to_string()
}
