//! Which hosts miss an update, as bitmaps of host numbers by chunks of 65,536 and generations. A generation is what the
//! assessor knew at one moment; what it replaces stays, so that a question about the past is answered as it was known then.

use crate::lease::{self, Fence};
use crate::value::{Row, values};
use crate::{Error, Scope, Tx, View, Whole};
use domain::assess::fleet::ChunkNo;
use domain::id::UpdateKey;
use jiff::Timestamp;
use roaring::RoaringBitmap;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// What stands for the end of what is in force.
const OPEN: i64 = i64::MAX;

/// Chunks with their bitmaps, each looked up by its whole key.
const CHUNKS: &str = "finding_chunks f CROSS JOIN finding_bitmaps b WHERE b.tenant_id = f.tenant_id
    AND b.update_id = f.update_id AND b.chunk = f.chunk AND b.generation = f.generation AND";

/// What the assessor knew at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Counts generations of the tenant, from 1.
    pub number: u64,
    /// When it was written.
    pub received_at: Timestamp,
    /// What it was found from (snapshots in force), as JSON.
    pub basis: String,
}

fn read_generation(row: &Row) -> Result<Generation, Error> {
    let mut columns = row.columns();
    Ok(Generation {
        number: columns.next()?,
        received_at: columns.next()?,
        basis: columns.next()?,
    })
}

/// Begins the tenant's next generation, under the assessor's lease. What is written to it becomes visible with this
/// transaction; what is not written stays as it was.
///
/// # Errors
/// [`Error::Fenced`] if another took the lease.
pub fn begin(
    tx: &mut Tx,
    scope: &Scope,
    fence: &Fence,
    basis: &str,
    now: Timestamp,
) -> Result<Generation, Error> {
    lease::hold(tx, &Whole::server(), fence, now)?;
    let begun = tx.find(
        "INSERT INTO finding_generations (tenant_id, number, received_at, basis, fencing)
         SELECT $1, COALESCE((SELECT MAX(number) FROM finding_generations WHERE tenant_id = $1), 0) + 1, $2, $3, $4
         WHERE EXISTS (SELECT 1 FROM leases WHERE name = $5 AND fencing = $4)
         RETURNING number, received_at, basis",
        values![scope, now, basis, fence.token(), fence.name()],
        read_generation,
    )?;
    begun.ok_or_else(|| Error::Fenced {
        lease: fence.name().to_owned().into(),
    })
}

/// The hosts of one chunk that miss an update.
#[derive(Clone, Debug, PartialEq)]
pub struct FindingChunk {
    /// The update.
    pub update: UpdateKey,
    /// The chunk.
    pub chunk: ChunkNo,
    /// Whole host numbers; empty where no host of the chunk misses it any more.
    pub hosts: RoaringBitmap,
}

/// Writes chunks to a generation that was begun in this transaction, each in the place of what was in force; of two for the
/// same update and chunk the second counts.
///
/// # Errors
/// [`Error::Fenced`] if another took the lease.
pub fn write(
    tx: &mut Tx,
    scope: &Scope,
    fence: &Fence,
    generation: &Generation,
    chunks: &[FindingChunk],
) -> Result<(), Error> {
    let last: BTreeMap<(UpdateKey, ChunkNo), &RoaringBitmap> = chunks
        .iter()
        .map(|found| ((found.update, found.chunk), &found.hosts))
        .collect();
    let places = |(update, chunk): &(UpdateKey, ChunkNo)| values![*update, chunk.0];
    tx.execute_fenced(
        fence,
        [
            "UPDATE finding_chunks SET until_generation = $2",
            "tenant_id = $1 AND update_id = v.column1 AND chunk = v.column2 AND until_generation = $3 AND generation < $2",
            "",
        ],
        values![scope, generation.number, OPEN],
        last.keys().map(places),
    )?;
    let (gone, there): (Vec<_>, Vec<_>) = last.into_iter().partition(|(_, hosts)| hosts.is_empty());
    for ((update, chunk), _) in gone {
        // It may have been written to this very generation before.
        tx.execute(
            "DELETE FROM finding_chunks
             WHERE tenant_id = $1 AND update_id = $2 AND chunk = $3 AND generation = $4
               AND EXISTS (SELECT 1 FROM leases WHERE name = $5 AND fencing = $6)",
            values![
                scope,
                update,
                chunk.0,
                generation.number,
                fence.name(),
                fence.token()
            ],
        )?;
    }
    let written = tx.execute_fenced(
        fence,
        [
            "INSERT INTO finding_chunks (tenant_id, generation, until_generation, update_id, chunk, hosts)
             SELECT $1, $2, $3, v.column1, v.column2, v.column3",
            "$2 > 0",
            "ON CONFLICT (tenant_id, update_id, chunk, generation) DO UPDATE SET hosts = excluded.hosts",
        ],
        values![scope, generation.number, OPEN],
        there
            .iter()
            .map(|((update, chunk), hosts)| values![*update, chunk.0, hosts.len()]),
    )?;
    let bitmaps = there
        .iter()
        .map(|((update, chunk), hosts)| Ok(values![*update, chunk.0, bytes_of(hosts)?]));
    let bitmaps = bitmaps.collect::<Result<Vec<_>, Error>>()?;
    let bitmaps = tx.execute_fenced(
        fence,
        [
            "INSERT INTO finding_bitmaps (tenant_id, generation, update_id, chunk, bitmap)
             SELECT $1, $2, v.column1, v.column2, v.column3",
            "$2 > 0",
            "ON CONFLICT (tenant_id, update_id, chunk, generation) DO UPDATE SET bitmap = excluded.bitmap",
        ],
        values![scope, generation.number],
        bitmaps,
    )?;
    match written == there.len() as u64 && bitmaps == written {
        true => Ok(()),
        false => Err(Error::Fenced {
            lease: fence.name().to_owned().into(),
        }),
    }
}

fn bytes_of(hosts: &RoaringBitmap) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(hosts.serialized_size());
    hosts
        .serialize_into(&mut bytes)
        .map_err(|_| Error::Decode { what: "bitmap" })?;
    Ok(bytes)
}

/// The generation that was known at this moment, or the last one.
///
/// # Errors
/// Of the database.
pub fn generation(
    view: &mut View,
    scope: &Scope,
    at: Option<Timestamp>,
) -> Result<Option<Generation>, Error> {
    view.find(
        "SELECT number, received_at, basis FROM finding_generations
         WHERE tenant_id = $1 AND received_at <= $2 ORDER BY number DESC LIMIT 1",
        values![scope, at.unwrap_or(Timestamp::MAX)],
        read_generation,
    )
}

fn bitmap(row: &Row, at: usize) -> Result<RoaringBitmap, Error> {
    RoaringBitmap::deserialize_from(row.get::<Vec<u8>>(at)?.as_slice())
        .map_err(|_| Error::Decode { what: "bitmap" })
}

/// The hosts that missed an update in a generation.
///
/// # Errors
/// Of the database.
pub fn hosts(
    view: &mut View,
    scope: &Scope,
    update: UpdateKey,
    generation: u64,
) -> Result<RoaringBitmap, Error> {
    let chunks = view.list(
        format!(
            "SELECT b.bitmap FROM {CHUNKS}
             f.tenant_id = $1 AND f.update_id = $2 AND f.generation <= $3 AND +f.until_generation > $3"
        ),
        values![scope, update, generation],
        |row| bitmap(row, 0),
    )?;
    Ok(chunks
        .into_iter()
        .fold(RoaringBitmap::new(), |all, chunk| all | chunk))
}

/// How many hosts missed each of these updates in a generation, for those that any missed.
///
/// # Errors
/// Of the database.
pub fn counts(
    view: &mut View,
    scope: &Scope,
    updates: &[UpdateKey],
    generation: u64,
) -> Result<BTreeMap<UpdateKey, u64>, Error> {
    let mut counts = BTreeMap::new();
    for updates in updates.chunks(256) {
        let sql = format!(
            "SELECT update_id, CAST(SUM(hosts) AS BIGINT) FROM finding_chunks
             WHERE tenant_id = $1 AND generation <= $2 AND +until_generation > $2 AND update_id IN ({})
             GROUP BY update_id",
            crate::db::placeholders(3, updates.len())
        );
        let mut values = values![scope, generation];
        values.extend(updates.iter().map(|update| (*update).into()));
        let found: Vec<(UpdateKey, u64)> = view.list(sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        counts.extend(found);
    }
    Ok(counts)
}

/// What the hosts of one chunk missed in a generation.
///
/// # Errors
/// Of the database.
pub fn of_chunk(
    view: &mut View,
    scope: &Scope,
    chunk: ChunkNo,
    generation: u64,
) -> Result<Vec<FindingChunk>, Error> {
    view.list(
        format!(
            "SELECT f.update_id, b.bitmap FROM {CHUNKS}
             f.tenant_id = $1 AND f.until_generation > $2 AND f.generation <= $2 AND f.chunk = $3
             ORDER BY f.update_id"
        ),
        values![scope, generation, chunk.0],
        |row| {
            Ok(FindingChunk {
                update: row.get(0)?,
                chunk,
                hosts: bitmap(row, 1)?,
            })
        },
    )
}

/// Hands over every chunk of a generation: for filling a cache.
///
/// # Errors
/// Of the database, or what `take` fails with.
pub fn each(
    view: &mut View,
    scope: &Scope,
    generation: u64,
    mut take: impl FnMut(FindingChunk) -> Result<(), Error>,
) -> Result<(), Error> {
    view.each(
        format!(
            "SELECT f.update_id, f.chunk, b.bitmap FROM {CHUNKS}
             f.tenant_id = $1 AND f.until_generation > $2 AND f.generation <= $2
             ORDER BY f.update_id, f.chunk"
        ),
        values![scope, generation],
        |row| {
            take(FindingChunk {
                update: row.get(0)?,
                chunk: ChunkNo(row.get(1)?),
                hosts: bitmap(row, 2)?,
            })?;
            Ok(ControlFlow::Continue(()))
        },
    )
}

/// Forgets what ended before the generation that was known at this moment; how many chunks, at most `limit`.
///
/// # Errors
/// Of the database.
pub fn forget_before(tx: &mut Tx, scope: &Scope, before: Timestamp, limit: u32) -> Result<u64, Error> {
    let Some(oldest) = generation(tx, scope, Some(before))? else {
        return Ok(0);
    };
    tx.execute(
        "DELETE FROM finding_chunks WHERE (tenant_id, update_id, chunk, generation) IN (
             SELECT tenant_id, update_id, chunk, generation FROM finding_chunks
             WHERE tenant_id = $1 AND until_generation <= $2 LIMIT $3)",
        values![scope, oldest.number, limit],
    )
}
