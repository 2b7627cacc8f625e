//! The lab's network: one bridge on this machine, and for each host a network namespace with one wire to it. Hosts reach
//! the bridge and each other, nothing else: they have no route beyond it. All names begin with the number of the process
//! that made them, so that what a killed test left behind is known and swept by the next.

use anyhow::{Context, bail};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

/// Every link and namespace of a lab begins so, then comes the process.
const MARK: &str = "pyl";

/// The bridge of one lab, gone with this value.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    network: [u8; 3],
}

/// A host's wire to the bridge.
#[derive(Debug)]
pub struct Wire {
    outer: String,
    namespace: String,
    address: Ipv4Addr,
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
        let bridge = Self { name, network };
        ip(&["link", "add", &bridge.name, "type", "bridge"])?;
        let address = format!("{}/24", bridge.address());
        ip(&["addr", "add", &address, "dev", &bridge.name])?;
        ip(&["link", "set", &bridge.name, "up"])?;
        Ok(bridge)
    }

    /// This machine's own address on the bridge.
    pub fn address(&self) -> Ipv4Addr {
        self.host(1)
    }

    fn host(&self, number: u8) -> Ipv4Addr {
        let [a, b, c] = self.network;
        Ipv4Addr::new(a, b, c, number)
    }

    /// A namespace with a wire to the bridge; `number` from 2 to 254 is the end of its address.
    pub fn wire(&self, number: u8) -> anyhow::Result<Wire> {
        let wire = Wire {
            outer: format!("{}h{number}", self.name),
            namespace: format!("{}h{number}", self.name),
            address: self.host(number),
        };
        let namespace = wire.namespace.as_str();
        ip(&["netns", "add", namespace])?;
        let peer = ["peer", "name", "host0", "netns", namespace];
        ip(&[&["link", "add", &wire.outer, "type", "veth"], peer.as_slice()].concat())?;
        ip(&["link", "set", &wire.outer, "master", &self.name, "up"])?;
        let address = format!("{}/24", wire.address);
        ip(&["-n", namespace, "addr", "add", &address, "dev", "host0"])?;
        ip(&["-n", namespace, "link", "set", "lo", "up"])?;
        ip(&["-n", namespace, "link", "set", "host0", "up"])?;
        Ok(wire)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.name]);
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
        ip(&["link", "set", &self.outer, state]).map(drop)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = ip(&["link", "del", &self.outer]);
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
