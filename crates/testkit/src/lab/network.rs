//! The lab's network: one bridge on this machine, and for each host a network namespace with one wire to it. Hosts reach
//! the bridge and each other, nothing else: they have no route beyond it. A bridge that stands apart is in a namespace of its
//! own: its hosts do not even reach this machine, but for sockets that were opened for them there. All names begin with the
//! number of the process that made them, so that what a killed test left behind is known and swept by the next.

use anyhow::{Context, anyhow, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

/// Every link and namespace of a lab begins so, then comes the process.
const MARK: &str = "pyl";

/// The bridge of one lab, gone with this value.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    network: [u8; 3],
    place: Place,
}

/// Where a bridge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On this machine, which has addresses on it.
    Here,
    /// In a namespace of the bridge's name.
    Apart,
}

/// A host's wire to the bridge.
#[derive(Debug)]
pub struct Wire {
    outer: String,
    namespace: String,
    address: Ipv4Addr,
    /// The namespace of the bridge, if it stands apart.
    apart: Option<String>,
}

/// Whether a wire is plugged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plug {
    /// Packets pass.
    In,
    /// Nothing passes, and neither side is told.
    Out,
}

impl Bridge {
    /// A bridge whose network no interface of this machine has.
    pub fn make(number: u32) -> anyhow::Result<Self> {
        let name = format!("{MARK}{}x{number}", std::process::id());
        let taken = ip(&["-4", "-o", "addr"])?;
        let first = std::process::id() as u8;
        let networks = (200..220_u8).flat_map(|second| (0..=255_u8).map(move |third| (second, third)));
        let network = networks
            .map(|(second, third)| [10, second, third.wrapping_add(first)])
            .find(|[a, b, c]| !taken.contains(&format!("inet {a}.{b}.{c}.")))
            .context("every network from 10.200.0.0 to 10.219.255.0 is in use here")?;
        let bridge = Self {
            name,
            network,
            place: Place::Here,
        };
        bridge.raise(&[bridge.address(), bridge.other_address()])?;
        Ok(bridge)
    }

    /// A bridge that this machine has no part in. Its network may be one that this machine has elsewhere: nobody could tell.
    pub fn make_apart(number: u32) -> anyhow::Result<Self> {
        let bridge = Self {
            name: format!("{MARK}{}x{number}", std::process::id()),
            network: [10, 199, 0],
            place: Place::Apart,
        };
        ip(&["netns", "add", &bridge.name])?;
        bridge.raise(&[bridge.address()])?;
        Ok(bridge)
    }

    fn raise(&self, addresses: &[Ipv4Addr]) -> anyhow::Result<()> {
        let name = self.name.as_str();
        let apart = self.apart();
        ip_in(apart, &["link", "add", name, "type", "bridge"])?;
        for address in addresses {
            ip_in(apart, &["addr", "add", &format!("{address}/24"), "dev", name])?;
        }
        ip_in(apart, &["link", "set", name, "up"]).map(drop)
    }

    /// The namespace that it is in, if it is not this machine's.
    fn apart(&self) -> Option<&str> {
        (self.place == Place::Apart).then_some(self.name.as_str())
    }

    /// The address on the bridge where servers and proxies listen: this machine's own, if the bridge is here.
    pub fn address(&self) -> Ipv4Addr {
        self.host(1)
    }

    /// A second one of this machine's: where a server goes on that was lost at the first.
    pub fn other_address(&self) -> Ipv4Addr {
        self.host(2)
    }

    /// A socket of this process that listens on the bridge's address, on a free port.
    pub fn listen(&self) -> anyhow::Result<TcpListener> {
        let address = (self.address(), 0);
        let Some(name) = self.apart() else {
            return Ok(TcpListener::bind(address)?);
        };
        let namespace = File::open(format!("/run/netns/{name}")).context("could not open the namespace")?;
        // A thread that has gone there ends there; its sockets stay.
        let there = std::thread::spawn(move || -> anyhow::Result<TcpListener> {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(TcpListener::bind(address)?)
        });
        there
            .join()
            .map_err(|_| anyhow!("opening a socket there panicked"))?
    }

    fn host(&self, number: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, number)
    }

    /// A namespace with a wire to the bridge; `number` from 3 to 254 is the end of its address.
    pub fn wire(&self, number: u8) -> anyhow::Result<Wire> {
        let wire = Wire {
            outer: format!("{}h{number}", self.name),
            namespace: format!("{}h{number}", self.name),
            address: self.host(number),
            apart: self.apart().map(str::to_owned),
        };
        let namespace = wire.namespace.as_str();
        let apart = self.apart();
        ip(&["netns", "add", namespace])?;
        let peer = ["peer", "name", "host0", "netns", namespace];
        ip_in(
            apart,
            &[&["link", "add", &wire.outer, "type", "veth"], peer.as_slice()].concat(),
        )?;
        ip_in(apart, &["link", "set", &wire.outer, "master", &self.name, "up"])?;
        let address = format!("{}/24", wire.address);
        ip_in(Some(namespace), &["addr", "add", &address, "dev", "host0"])?;
        ip_in(Some(namespace), &["link", "set", "lo", "up"])?;
        ip_in(Some(namespace), &["link", "set", "host0", "up"])?;
        Ok(wire)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = match self.place {
            Place::Here => ip(&["link", "del", &self.name]),
            Place::Apart => ip(&["netns", "del", &self.name]),
        };
    }
}

impl Wire {
    /// The host's address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The namespace's file.
    pub fn namespace(&self) -> String {
        format!("/run/netns/{}", self.namespace)
    }

    /// Plugs the wire in or out.
    pub fn plug(&self, plug: Plug) -> anyhow::Result<()> {
        let state = match plug {
            Plug::In => "up",
            Plug::Out => "down",
        };
        ip_in(self.apart.as_deref(), &["link", "set", &self.outer, state]).map(drop)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = ip_in(self.apart.as_deref(), &["link", "del", &self.outer]);
        let _ = ip(&["netns", "del", &self.namespace]);
    }
}

/// Whether a name was made by a process that no longer runs.
pub(super) fn is_left_behind(name: &str) -> bool {
    let digits = name
        .strip_prefix(MARK)
        .and_then(|rest| rest.split('x').next())
        .filter(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.is_some_and(|process| !Path::new("/proc").join(process).exists())
}

/// Removes links and namespaces of killed processes.
pub(super) fn sweep() -> anyhow::Result<()> {
    for line in ip(&["netns", "list"])?.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        if is_left_behind(name) {
            ip(&["netns", "del", name])?;
        }
    }
    for line in ip(&["-o", "link"])?.lines() {
        // `7: name@peer: <...>`
        let name = line.split(": ").nth(1).unwrap_or_default();
        let name = name.split('@').next().unwrap_or_default();
        if is_left_behind(name) {
            // The other end of a wire goes with it.
            let _ = ip(&["link", "del", name]);
        }
    }
    Ok(())
}

/// `ip`, in a namespace or here.
fn ip_in(namespace: Option<&str>, arguments: &[&str]) -> anyhow::Result<String> {
    match namespace {
        Some(name) => ip(&[&["-n", name], arguments].concat()),
        None => ip(arguments),
    }
}

fn ip(arguments: &[&str]) -> anyhow::Result<String> {
    let done = Command::new("ip")
        .args(arguments)
        .output()
        .context("could not run ip")?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        bail!("ip {}: {said}", arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
