//! How many updates hosts miss. A sync changes that of very many hosts at once: it stands in blocks of hosts, beside their rows.

use super::Host;
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

/// Writes how many updates the hosts of these blocks miss, each in the order of numbers, under the assessor's lease. More than
/// 65,535 are said to be as many.
///
/// # Errors
/// [`Error::Fenced`] if another took the lease.
pub fn set_counts(
    tx: &mut Tx,
    scope: &Scope,
    fence: &Fence,
    blocks: &[(CountsBlock, Vec<Counts>)],
) -> Result<(), Error> {
    let written = tx.execute_fenced(
        fence,
        [
            "INSERT INTO host_counts (tenant_id, block, counts) SELECT $1, v.column1, v.column2",
            "$1 IS NOT NULL",
            "ON CONFLICT (tenant_id, block) DO UPDATE SET counts = excluded.counts",
        ],
        values![scope],
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
    let wanted: BTreeSet<u32> = hosts.iter().map(|host| host.host_no.0 / BLOCK).collect();
    let wanted: Vec<u32> = wanted.into_iter().collect();
    let mut found: HashMap<u32, Vec<u8>> = HashMap::new();
    for blocks in wanted.chunks(256) {
        let sql = format!(
            "SELECT block, counts FROM host_counts WHERE tenant_id = $1 AND block IN ({})",
            crate::db::placeholders(2, blocks.len())
        );
        let mut values = values![scope];
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
