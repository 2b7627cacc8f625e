//! The kernel's tables of links, addresses and neighbours over rtnetlink(7): three questions, their answers read within
//! limits. Looking only; nothing here can change a table.

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use std::time::Duration;

/// A table that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Links,
    Addresses,
    Neighbours,
}

/// One row of a table: its fixed part and its attributes, as the kernel gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) fixed: Vec<u8>,
    pub(super) attributes: Vec<(u16, Vec<u8>)>,
}

/// A table that cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum NetlinkError {
    #[error("the kernel's network tables are closed")]
    Closed(#[source] rustix::io::Errno),
    #[error("the kernel refuses to list its network tables (error {0})")]
    Refused(i32),
}

/// Rows of one table that are taken.
const ROWS: usize = 16_384;
/// The kernel fills at most this much at a time (`NLMSG_GOODSIZE`, rounded up).
const PIECE_BYTES: usize = 64 << 10;
const HEADER_BYTES: usize = 16;
const REQUEST_AND_DUMP: u16 = 0x301;
const DONE: u16 = 3;
const ERROR: u16 = 2;

impl Table {
    /// Message type of the question; the answers' is two less.
    fn question(self) -> u16 {
        match self {
            Self::Links => 18,
            Self::Addresses => 22,
            Self::Neighbours => 30,
        }
    }

    /// Bytes of a row before its attributes.
    fn fixed_bytes(self) -> usize {
        match self {
            Self::Links => 16,
            Self::Addresses => 8,
            Self::Neighbours => 12,
        }
    }
}

impl Row {
    /// The first attribute of a kind.
    pub(super) fn attribute(&self, kind: u16) -> Option<&[u8]> {
        let found = self.attributes.iter().find(|(own, _)| *own == kind);
        found.map(|(_, bytes)| bytes.as_slice())
    }

    /// A number of the fixed part; 0 beyond its end.
    pub(super) fn number(&self, at: usize) -> u32 {
        word(&self.fixed, at).unwrap_or(0)
    }
}

/// All rows of a table, in this network namespace.
pub(super) fn rows(table: Table) -> Result<Vec<Row>, NetlinkError> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags,
        // NETLINK_ROUTE is number 0, which is what none means.
        None,
    )
    .map_err(NetlinkError::Closed)?;
    let patience = Some(Duration::from_secs(1));
    set_socket_timeout(&socket, Timeout::Recv, patience).map_err(NetlinkError::Closed)?;
    send(&socket, &question(table), SendFlags::empty()).map_err(NetlinkError::Closed)?;
    let mut rows = Vec::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let (_, length) =
            recv(&socket, piece.as_mut_slice(), RecvFlags::empty()).map_err(NetlinkError::Closed)?;
        let piece = piece.get(..length).unwrap_or_default();
        match take(table, piece, &mut rows)? {
            More::Yes if length > 0 && rows.len() < ROWS => {}
            _ => return Ok(rows),
        }
    }
}

fn question(table: Table) -> Vec<u8> {
    let length = HEADER_BYTES + table.fixed_bytes();
    let mut message = Vec::with_capacity(length);
    message.extend_from_slice(&u32::try_from(length).unwrap_or(0).to_ne_bytes());
    message.extend_from_slice(&table.question().to_ne_bytes());
    message.extend_from_slice(&REQUEST_AND_DUMP.to_ne_bytes());
    message.resize(length, 0);
    message
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    Yes,
    No,
}

/// The messages of one piece. What does not fit its own length ends the reading: the kernel does not write such.
fn take(table: Table, piece: &[u8], rows: &mut Vec<Row>) -> Result<More, NetlinkError> {
    let mut rest = piece;
    while rest.len() >= HEADER_BYTES {
        let length = word(rest, 0).unwrap_or(0) as usize;
        let Some(body) = rest.get(HEADER_BYTES..length) else {
            return Ok(More::No);
        };
        match half(rest, 4).unwrap_or(0) {
            DONE => return Ok(More::No),
            ERROR => {
                let code = word(body, 0).unwrap_or(0).cast_signed();
                return Err(NetlinkError::Refused(code.saturating_neg()));
            }
            kind if kind + 2 == table.question() => rows.extend(row(table, body)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(More::Yes)
}

fn row(table: Table, body: &[u8]) -> Option<Row> {
    let (fixed, mut rest) = body.split_at_checked(table.fixed_bytes())?;
    let mut attributes = Vec::new();
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let Some(value) = rest.get(4..usize::from(length)) else {
            break;
        };
        attributes.push((kind & 0x3fff, value.to_vec()));
        rest = rest
            .get(usize::from(length).next_multiple_of(4)..)
            .unwrap_or_default();
    }
    Some(Row {
        fixed: fixed.to_vec(),
        attributes,
    })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng as _, SeedableRng as _};

    #[test]
    fn any_bytes_are_read_to_an_end_without_a_fault() {
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        for _ in 0..20_000 {
            let mut piece: Vec<u8> = (0..random.gen_range(0..200)).map(|_| random.r#gen()).collect();
            // Half of them begin like a message of the right kind.
            if piece.len() >= HEADER_BYTES && random.r#gen() {
                let length = random.gen_range(0_u32..220);
                piece[..4].copy_from_slice(&length.to_ne_bytes());
                piece[4..6].copy_from_slice(&20_u16.to_ne_bytes());
            }
            let mut rows = Vec::new();
            let _ = take(Table::Addresses, &piece, &mut rows);
            assert!(rows.len() <= piece.len() / HEADER_BYTES);
        }
    }

    #[test]
    fn a_message_of_length_nought_ends_the_reading() {
        let mut rows = Vec::new();
        assert_eq!(take(Table::Links, &[0; 64], &mut rows).ok(), Some(More::No));
        assert_eq!(rows, []);
    }
}
