//! How the facts document says what a host is connected to: interfaces, hosts that it has spoken to, sockets that wait.

use crate::document::{wire_struct, wire_words};
use crate::wire::is_default;
use domain::host::network::{Interface, InterfaceAddress, Listening, Neighbour, Neighbours, Transport};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireInterface {
    /// Its name.
    pub name: String,
    /// Its link-layer address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_address: Option<String>,
    /// Its addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<WireInterfaceAddress>,
}

wire_struct!(
    WireInterface = Interface {
        name,
        link_address,
        addresses
    }
);

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireInterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// How many bits of it name the network.
    pub prefix_length: u8,
}

wire_struct!(
    WireInterfaceAddress = InterfaceAddress {
        address,
        prefix_length
    }
);

/// Hosts seen on the local links.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireNeighbours {
    /// When, in microseconds since 1970 by the host's own clock.
    pub seen_at_micros: i64,
    /// Who.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub neighbours: Vec<WireNeighbour>,
    /// How many more.
    #[serde(default, skip_serializing_if = "is_default")]
    pub omitted: u32,
}

wire_struct!(
    WireNeighbours = Neighbours {
        seen_at_micros,
        neighbours,
        omitted
    }
);

/// Another host on a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireNeighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its link-layer address.
    pub link_address: String,
    /// The interface.
    pub interface: String,
}

wire_struct!(
    WireNeighbour = Neighbour {
        address,
        link_address,
        interface
    }
);

/// A socket that waits for others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireListening {
    /// Its protocol.
    pub protocol: WireTransport,
    /// Its port.
    pub port: u16,
    /// The address that it is bound to.
    pub address: IpAddr,
    /// The program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Its service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

wire_struct!(
    WireListening = Listening {
        protocol,
        port,
        address,
        program,
        service
    }
);

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireTransport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

wire_words!(WireTransport = Transport { Tcp, Udp });
