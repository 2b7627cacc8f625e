//! The host's interfaces and their addresses, and the neighbours that the kernel knows.

use super::NOT_RUNNING;
use super::netlink::{NetlinkError, Row, Table, rows};
use crate::facts::fact;
use crate::tree::Tree;
use domain::host::facts::Known;
use domain::host::network::{Interface, InterfaceAddress, Neighbour, Neighbours};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Interfaces that are reported.
const INTERFACES: usize = 256;
/// Addresses of one interface that are reported.
const ADDRESSES: usize = 64;
/// Neighbours that are reported.
const NEIGHBOURS: usize = 1_024;

// if_link.h, if_addr.h, neighbour.h, net/if.h
const LINK_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ADDRESS_FLAGS: u16 = 8;
const TEMPORARY: u32 = 1;
const NEIGHBOUR_ADDRESS: u16 = 1;
const NEIGHBOUR_LINK_ADDRESS: u16 = 2;
const UP: u32 = 1;
const LOOPBACK: u32 = 8;
/// Reachable, stale, delay, probe, permanent: the kernel has an answer. Not incomplete, failed or "needs none".
const ANSWERED: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;

/// The kernel's tables, read at once.
pub(super) struct Links {
    tables: Result<Tables, String>,
}

struct Tables {
    links: Vec<Row>,
    addresses: Vec<Row>,
    neighbours: Vec<Row>,
}

impl Links {
    pub(super) fn read(tree: &Tree) -> Self {
        let tables = match tree.is_live() {
            true => Tables::read().map_err(|error| crate::problem::chain(&error)),
            false => Err(NOT_RUNNING.to_owned()),
        };
        Self { tables }
    }

    /// Interfaces that are up and have an address by which others may reach them: no loopback, no link-local ones, and
    /// not the addresses that a host makes up for a day (RFC 8981).
    pub(super) fn interfaces(&self) -> Known<Vec<Interface>> {
        match &self.tables {
            Ok(tables) => Known::Known(tables.interfaces()),
            Err(why) => Known::unknown(why),
        }
    }

    pub(super) fn neighbours(&self, now_micros: i64) -> Known<Neighbours> {
        match &self.tables {
            Ok(tables) => Known::Known(tables.neighbours(now_micros)),
            Err(why) => Known::unknown(why),
        }
    }
}

impl Tables {
    fn read() -> Result<Self, NetlinkError> {
        Ok(Self {
            links: rows(Table::Links)?,
            addresses: rows(Table::Addresses)?,
            neighbours: rows(Table::Neighbours)?,
        })
    }

    fn names(&self) -> BTreeMap<u32, String> {
        let name = |row: &Row| {
            let bytes = row.attribute(LINK_NAME)?;
            let text = String::from_utf8_lossy(bytes);
            Some((row.number(4), fact(text.trim_end_matches('\0'))?))
        };
        self.links.iter().filter_map(name).collect()
    }

    fn interfaces(&self) -> Vec<Interface> {
        let names = self.names();
        let mut by_index: BTreeMap<u32, Vec<InterfaceAddress>> = BTreeMap::new();
        for row in &self.addresses {
            if let Some(address) = lasting_address(row) {
                by_index.entry(row.number(4)).or_default().push(address);
            }
        }
        let mut interfaces: Vec<Interface> = self
            .links
            .iter()
            .filter(|row| row.number(8) & UP != 0 && row.number(8) & LOOPBACK == 0)
            .filter_map(|row| {
                let mut addresses = by_index.remove(&row.number(4))?;
                addresses.sort();
                addresses.dedup();
                addresses.truncate(ADDRESSES);
                Some(Interface {
                    name: names.get(&row.number(4))?.clone(),
                    link_address: row.attribute(LINK_ADDRESS).and_then(link_address),
                    addresses,
                })
            })
            .collect();
        interfaces.sort_by(|one, other| one.name.cmp(&other.name));
        interfaces.truncate(INTERFACES);
        interfaces
    }

    fn neighbours(&self, seen_at_micros: i64) -> Neighbours {
        let names = self.names();
        let mut neighbours: Vec<Neighbour> = self
            .neighbours
            .iter()
            .filter(|row| (row.number(8) & 0xffff) as u16 & ANSWERED != 0)
            .filter_map(|row| {
                Some(Neighbour {
                    address: address(row.attribute(NEIGHBOUR_ADDRESS)?)?,
                    link_address: row.attribute(NEIGHBOUR_LINK_ADDRESS).and_then(link_address)?,
                    interface: names.get(&row.number(4))?.clone(),
                })
            })
            .filter(|neighbour| !neighbour.address.is_multicast())
            .collect();
        neighbours.sort();
        neighbours.dedup();
        let omitted = neighbours.len().saturating_sub(NEIGHBOURS);
        neighbours.truncate(NEIGHBOURS);
        Neighbours {
            seen_at_micros,
            neighbours,
            omitted: u32::try_from(omitted).unwrap_or(u32::MAX),
        }
    }
}

fn lasting_address(row: &Row) -> Option<InterfaceAddress> {
    let [_, prefix_length, short_flags, ..] = *row.fixed else {
        return None;
    };
    let flags = row
        .attribute(ADDRESS_FLAGS)
        .and_then(|bytes| bytes.try_into().ok().map(u32::from_ne_bytes))
        .unwrap_or(u32::from(short_flags));
    // On a point-to-point link the other one is the peer's.
    let address = address(row.attribute(ADDRESS_LOCAL).or_else(|| row.attribute(ADDRESS))?)?;
    let is_temporary = address.is_ipv6() && flags & TEMPORARY != 0;
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    (!is_temporary && !is_link_local && !address.is_loopback()).then_some(InterfaceAddress {
        address,
        prefix_length,
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).into());
    }
    <[u8; 16]>::try_from(bytes)
        .ok()
        .map(|sixteen| Ipv6Addr::from(sixteen).into())
}

/// `52:54:00:12:34:56`; none for links without one (tunnels have an IP address there, loopback noughts).
fn link_address(bytes: &[u8]) -> Option<String> {
    let is_one = bytes.len() >= 6 && bytes.len() != 16 && bytes.iter().any(|&byte| byte != 0);
    let text: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    is_one.then(|| text.join(":"))
}
