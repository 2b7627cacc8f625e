//! How many updates hosts miss, by generations of findings. A sync changes that of very many hosts at once: it stands in blocks
//! of hosts, beside their rows.

use super::Host;
use crate::finding::Generation;
use crate::lease::Fence;
use crate::value::values;
use crate::{Error, Scope, Tx, View};
use domain::assess::fleet::{Counts, HostNo};
use std::collections::{BTreeSet, HashMap};

/// Hosts of a block.
const BLOCK: u32 = 256;
/// Bytes of a host in a block: two numbers of 16 bits, the lower byte first. No inventory has more packages.
const BYTES: usize = 4;

/// The hosts whose numbers have all but their last eight bits in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountsBlock(u32);

impl CountsBlock {
    /// The block that a host is in.
    pub const fn of(host: HostNo) -> Self {
        Self(host.0 / BLOCK)
    }

    /// The numbers of its hosts.
    pub fn hosts(self) -> impl Iterator<Item = HostNo> {
        (0..BLOCK).map(move |place| HostNo(self.0 * BLOCK + place))
    }
}

fn encode(counts: &[Counts]) -> Vec<u8> {
    let bytes_of = |number: u32| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
    let counts = counts.iter().take(BLOCK as usize);
    counts
        .flat_map(|counts| [bytes_of(counts.missing), bytes_of(counts.security)])
        .flatten()
        .collect()
}

fn decode(bytes: &[u8], host: HostNo) -> Option<Counts> {
    let at = (host.0 % BLOCK) as usize * BYTES;
    let [a, b, c, d] = *bytes.get(at..)?.first_chunk()?;
    Some(Counts {
        missing: u16::from_le_bytes([a, b]).into(),
        security: u16::from_le_bytes([c, d]).into(),
    })
}

/// What stands for the end of what is in force.
const OPEN: i64 = i64::MAX;

/// Writes how many updates the hosts of these blocks miss, each in the order of numbers, to a generation that was begun in this
/// transaction. More than 65,535 are said to be as many.
///
/// # Errors
/// [`Error::Fenced`] if another took the lease.
pub fn set_counts(
    tx: &mut Tx,
    scope: &Scope,
    fence: &Fence,
    generation: &Generation,
    blocks: &[(CountsBlock, Vec<Counts>)],
) -> Result<(), Error> {
    tx.execute_fenced(
        fence,
        [
            "UPDATE host_counts SET until_generation = $2",
            "tenant_id = $1 AND block = v.column1 AND until_generation = $3 AND generation < $2",
            "",
        ],
        values![scope, generation.number, OPEN],
        blocks.iter().map(|(block, _)| values![block.0]),
    )?;
    let written = tx.execute_fenced(
        fence,
        [
            "INSERT INTO host_counts (tenant_id, generation, until_generation, block, counts)
             SELECT $1, $2, $3, v.column1, v.column2",
            "$2 > 0",
            "ON CONFLICT (tenant_id, block, generation) DO UPDATE SET counts = excluded.counts",
        ],
        values![scope, generation.number, OPEN],
        blocks
            .iter()
            .map(|(block, counts)| values![block.0, encode(counts)]),
    )?;
    match written == blocks.len() as u64 {
        true => Ok(()),
        false => Err(Error::Fenced {
            lease: fence.name().to_owned().into(),
        }),
    }
}

/// Says of these hosts how many updates they miss.
pub(super) fn fill(view: &mut View, scope: &Scope, hosts: &mut [Host]) -> Result<(), Error> {
    fill_of(view, scope, hosts, OPEN - 1)
}

/// Says of these hosts how many updates they missed in a generation: none in generation 0, before the first.
///
/// # Errors
/// Of the database.
pub fn count_then(view: &mut View, scope: &Scope, hosts: &mut [Host], generation: u64) -> Result<(), Error> {
    for host in &mut *hosts {
        (host.missing, host.missing_security) = (0, 0);
    }
    let generation = i64::try_from(generation).unwrap_or(OPEN - 1);
    fill_of(view, scope, hosts, generation)
}

fn fill_of(view: &mut View, scope: &Scope, hosts: &mut [Host], generation: i64) -> Result<(), Error> {
    let wanted: BTreeSet<u32> = hosts.iter().map(|host| host.host_no.0 / BLOCK).collect();
    let wanted: Vec<u32> = wanted.into_iter().collect();
    let mut found: HashMap<u32, Vec<u8>> = HashMap::new();
    for blocks in wanted.chunks(256) {
        let sql = format!(
            "SELECT block, counts FROM host_counts
             WHERE tenant_id = $1 AND generation <= $2 AND until_generation > $2 AND block IN ({})",
            crate::db::placeholders(3, blocks.len())
        );
        let mut values = values![scope, generation];
        values.extend(blocks.iter().map(|block| (*block).into()));
        found.extend(view.list(sql, values, |row| Ok((row.get(0)?, row.get(1)?)))?);
    }
    for host in hosts {
        let Some(bytes) = found.get(&(host.host_no.0 / BLOCK)) else {
            continue;
        };
        let counts = decode(bytes, host.host_no).ok_or(Error::Decode {
            what: "numbers of updates that hosts miss",
        })?;
        (host.missing, host.missing_security) = (counts.missing, counts.security);
    }
    Ok(())
}

/// Forgets what ended up to this generation; how many blocks, at most `limit`.
///
/// # Errors
/// Of the database.
pub fn forget_counts_before(tx: &mut Tx, scope: &Scope, generation: u64, limit: u32) -> Result<u64, Error> {
    tx.execute(
        "DELETE FROM host_counts WHERE (tenant_id, block, generation) IN (
             SELECT tenant_id, block, generation FROM host_counts
             WHERE tenant_id = $1 AND until_generation <= $2 LIMIT $3)",
        values![scope, generation, limit],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_block_read_back_and_what_is_too_many_is_the_most() {
        let block = CountsBlock::of(HostNo(70_000));
        let of = |host: HostNo| Counts {
            missing: host.0,
            security: host.0 % 7,
        };
        let bytes = encode(&block.hosts().map(of).collect::<Vec<_>>());
        for host in block.hosts() {
            let counts = decode(&bytes, host).expect("it is there");
            assert_eq!(counts.missing, host.0.min(65_535));
            assert_eq!(counts.security, host.0 % 7);
        }
        assert_eq!(decode(&bytes[..1_023], HostNo(70_143)), None);
        assert!(block.hosts().any(|host| host == HostNo(70_000)));
    }
}
