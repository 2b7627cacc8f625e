//! Sockets that wait for others, from `/proc/net/{tcp,tcp6,udp,udp6}` (proc_net_tcp(5)). UDP sockets on ports that the
//! kernel hands out for a short while are left out: they are somebody's questions, not an offer.

use super::NOT_RUNNING;
use super::proc::Running;
use crate::tree::Tree;
use domain::host::facts::Known;
use domain::host::network::{Listening, Transport};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// What is read of one table: the kernel lists what listens first.
const TABLE_BYTES: u64 = 4 << 20;
/// Sockets that are reported.
const SOCKETS: usize = 1_024;
/// Linux's own range where the setting cannot be read.
const SHORT_LIVED: RangeInclusive<u16> = 32_768..=60_999;

/// One waiting socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) protocol: Transport,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) inode: u64,
}

pub(super) fn read(tree: &Tree) -> Known<Vec<Socket>> {
    if !tree.is_live() {
        return Known::unknown(NOT_RUNNING);
    }
    let short_lived = super::proc::head(tree, "/proc/sys/net/ipv4/ip_local_port_range")
        .and_then(|text| range(&text))
        .unwrap_or(SHORT_LIVED);
    let mut sockets = Vec::new();
    let mut is_seen = false;
    for (file, protocol) in [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ] {
        let Ok(table) = tree.open_file(&format!("/proc/net/{file}")) else {
            continue;
        };
        is_seen = true;
        let lines = BufReader::new(table.take(TABLE_BYTES))
            .lines()
            .skip(1)
            .map_while(Result::ok);
        sockets.extend(lines.filter_map(|line| parse(&line, protocol)));
    }
    let is_offer = |socket: &Socket| socket.protocol == Transport::Tcp || !short_lived.contains(&socket.port);
    sockets.retain(is_offer);
    match is_seen {
        true => Known::Known(sockets),
        false => Known::unknown("/proc/net is not there or closed"),
    }
}

/// The sockets with who owns them, each offer once.
pub(super) fn owned(sockets: Vec<Socket>, running: &Known<Running>) -> Vec<Listening> {
    let owner = |inode: u64| running.known().and_then(|running| running.owners.get(&inode));
    let mut listening: Vec<Listening> = sockets
        .into_iter()
        .map(|socket| Listening {
            protocol: socket.protocol,
            port: socket.port,
            address: socket.address,
            program: owner(socket.inode).map(|owner| owner.program.clone()),
            service: owner(socket.inode).and_then(|owner| owner.service.clone()),
        })
        .collect();
    listening.sort();
    listening.dedup();
    listening.truncate(SOCKETS);
    listening
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

/// A line of the table, if the socket waits: TCP in state LISTEN, UDP without a peer.
fn parse(line: &str, protocol: Transport) -> Option<Socket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let waiting = match protocol {
        Transport::Tcp => "0A",
        Transport::Udp => "07",
    };
    if *state != waiting {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    Some(Socket {
        protocol,
        address: self::address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode: inode.parse().ok()?,
    })
}

/// An address as the kernel prints it: each 32 bits as one number of the machine's own byte order.
fn address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = hex.get(at..at + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0; 16];
            for (place, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(place * 8)?);
            }
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_wait_are_offers_and_a_line_of_nonsense_is_none() {
        let listening = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1060 1 0";
        let socket = parse(listening, Transport::Tcp).map(|socket| (socket.port, socket.inode));
        assert_eq!(socket, Some((8080, 1060)));
        assert_eq!(parse(&listening.replace(" 0A ", " 01 "), Transport::Tcp), None);
        assert_eq!(parse("", Transport::Tcp), None);
        assert_eq!(
            parse(&listening.replace("00000000:1F90", "xx:1F90"), Transport::Tcp),
            None
        );
        assert_eq!(
            parse(&listening.replace("00000000:1F90", "äöüä:1F90"), Transport::Tcp),
            None
        );
    }
}
