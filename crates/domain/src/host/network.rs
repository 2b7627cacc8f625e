//! How a host is reached, whom it has seen and what it offers.

use std::net::IpAddr;

/// A network interface that is up and has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its link-layer address as six or more bytes in lower-case hexadecimal with colons; absent for those without.
    pub link_address: Option<String>,
    /// Its addresses, sorted.
    pub addresses: Vec<InterfaceAddress>,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// How many bits of it name the network.
    pub prefix_length: u8,
}

/// Hosts seen on the local links. They come and go by themselves, so a host looks once in a while and repeats what it
/// saw until it looks again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// When the host looked, in microseconds since 1970 by its own clock.
    pub seen_at_micros: i64,
    /// What it saw, sorted.
    pub neighbours: Vec<Neighbour>,
    /// How many more there were than are listed.
    pub omitted: u32,
}

/// Another host on a link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address.
    pub link_address: String,
    /// The interface on which it was seen.
    pub interface: String,
}

/// How long what was seen of neighbours is repeated, in microseconds: a day.
pub const NEIGHBOURS_LAST_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// Whether it is time to look for neighbours again. A look that lies in the future was made by another clock.
pub fn neighbours_are_due(seen_at_micros: i64, now_micros: i64) -> bool {
    now_micros < seen_at_micros || now_micros.saturating_sub(seen_at_micros) >= NEIGHBOURS_LAST_MICROS
}

/// A socket that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    /// Its protocol.
    pub protocol: Transport,
    /// Its port.
    pub port: u16,
    /// The address that it is bound to; unspecified (`0.0.0.0`, `::`) means all.
    pub address: IpAddr,
    /// Who owns it: the program's name as the kernel gives it; absent where only root may see.
    pub program: Option<String>,
    /// The service that the program belongs to, with its suffix.
    pub service: Option<String>,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_looked_for_once_a_day_and_after_the_clock_was_set_back() {
        let seen = 1_700_000_000_000_000;
        assert!(!neighbours_are_due(seen, seen));
        assert!(!neighbours_are_due(seen, seen + NEIGHBOURS_LAST_MICROS - 1));
        assert!(neighbours_are_due(seen, seen + NEIGHBOURS_LAST_MICROS));
        assert!(neighbours_are_due(seen, seen - 1));
        assert!(neighbours_are_due(i64::MIN, i64::MAX));
    }
}
