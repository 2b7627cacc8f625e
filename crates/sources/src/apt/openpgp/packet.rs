//! The framing of OpenPGP packets (RFC 9580 §4.2) and of signature subpackets (§5.2.3.7): lengths only, every one
//! checked against what is there.

/// Why bytes are not a sequence of packets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// A byte that begins no packet.
    #[error("byte {at} begins no OpenPGP packet")]
    NoPacket {
        /// Offset in bytes.
        at: usize,
    },
    /// A length that reaches past the end.
    #[error("the OpenPGP packet at byte {at} is cut short")]
    Truncated {
        /// Offset in bytes.
        at: usize,
    },
    /// A length of partial or indeterminate form, which neither keys nor signatures may have.
    #[error("the OpenPGP packet at byte {at} does not say how long it is")]
    NoLength {
        /// Offset in bytes.
        at: usize,
    },
}

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet<'bytes> {
    /// Packet type (RFC 9580 §5).
    pub(crate) tag: u8,
    /// What follows the header.
    pub(crate) body: &'bytes [u8],
}

/// Packet types that matter here.
pub(crate) mod tag {
    pub(crate) const SIGNATURE: u8 = 2;
    pub(crate) const SECRET_KEY: u8 = 5;
    pub(crate) const PUBLIC_KEY: u8 = 6;
    pub(crate) const SECRET_SUBKEY: u8 = 7;
    pub(crate) const MARKER: u8 = 10;
    pub(crate) const TRUST: u8 = 12;
    pub(crate) const USER_ID: u8 = 13;
    pub(crate) const PUBLIC_SUBKEY: u8 = 14;
    pub(crate) const USER_ATTRIBUTE: u8 = 17;
}

/// The packets in `bytes`, one after the other; after an error nothing follows.
pub(crate) fn packets(bytes: &[u8]) -> impl Iterator<Item = Result<Packet<'_>, PacketError>> {
    let mut position = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(position..).filter(|rest| !rest.is_empty())?;
        let at = position;
        let found = one_packet(rest).map_err(|problem| problem(at));
        position = found
            .as_ref()
            .map_or(bytes.len(), |(_, length)| position + length);
        Some(found.map(|(packet, _)| packet))
    })
}

type Problem = fn(usize) -> PacketError;

/// The packet at the start of `bytes` and how many bytes it takes.
fn one_packet(bytes: &[u8]) -> Result<(Packet<'_>, usize), Problem> {
    let truncated: Problem = |at| PacketError::Truncated { at };
    let no_length: Problem = |at| PacketError::NoLength { at };
    let (first, rest) = bytes.split_first().ok_or(truncated)?;
    let (tag, length) = match first >> 6 {
        2 => {
            let width = match first & 3 {
                0 => 1,
                1 => 2,
                2 => 4,
                _ => return Err(no_length),
            };
            let number = rest.get(..width).ok_or(truncated)?;
            (
                first >> 2 & 15,
                (
                    number.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
                    width,
                ),
            )
        }
        3 if matches!(rest.first(), Some(224..=254)) => return Err(no_length),
        3 => (first & 63, new_length(rest).ok_or(truncated)?),
        _ => return Err(|at| PacketError::NoPacket { at }),
    };
    let (length, width) = length;
    let body = rest[width..].get(..length).ok_or(truncated)?;
    Ok((Packet { tag, body }, 1 + width + length))
}

/// A length in the new format and how many bytes it takes (RFC 9580 §4.2.1); partial lengths read as two bytes, as they
/// are in subpackets.
fn new_length(bytes: &[u8]) -> Option<(usize, usize)> {
    match *bytes.first()? {
        short @ 0..=191 => Some((usize::from(short), 1)),
        255 => {
            let number: [u8; 4] = bytes.get(1..5)?.try_into().ok()?;
            Some((usize::try_from(u32::from_be_bytes(number)).ok()?, 5))
        }
        high => Some((
            (usize::from(high) - 192) * 256 + usize::from(*bytes.get(1)?) + 192,
            2,
        )),
    }
}

/// One subpacket of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subpacket<'bytes> {
    /// Its type without the critical bit (RFC 9580 §5.2.3.7).
    pub(crate) kind: u8,
    /// Whether who does not understand it must not accept the signature.
    pub(crate) criticality: Criticality,
    /// Its content.
    pub(crate) body: &'bytes [u8],
}

/// The critical bit of a subpacket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Criticality {
    Critical,
    Ignorable,
}

/// All subpackets of one area, or nothing if it is malformed.
pub(crate) fn subpackets(mut area: &[u8]) -> Option<Vec<Subpacket<'_>>> {
    let mut found = Vec::new();
    while !area.is_empty() {
        let (length, width) = new_length(area)?;
        let whole = area[width..].get(..length)?;
        let (kind, body) = whole.split_first()?;
        let criticality = if kind & 0x80 == 0 {
            Criticality::Ignorable
        } else {
            Criticality::Critical
        };
        found.push(Subpacket {
            kind: kind & 0x7f,
            criticality,
            body,
        });
        area = &area[width + length..];
    }
    Some(found)
}
