//! A lab: a folder, a bridge and the hosts that are booted on it, and islands that nobody leaves but through a proxy. When it goes, everything goes: also what an earlier
//! process left behind that was killed before it could clean up.

use super::booted::{Birth, BootedHost};
use super::network::{self, Bridge, Wire};
use super::proxy::Proxy;
use super::{LabMissing, cache, root};
use anyhow::Context;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Labs of this process.
static LABS: AtomicU32 = AtomicU32::new(1);

/// Programs that the lab runs, and the packages that bring them.
const TOOLS: [(&str, &str); 5] = [
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
];

/// Real hosts on one bridge.
#[derive(Debug)]
pub struct Lab {
    folder: PathBuf,
    bridge: Bridge,
    hosts: u8,
}

/// A network that nobody leaves but through a proxy: this machine has no part in it.
#[derive(Debug)]
pub struct Island {
    bridge: Bridge,
}

impl Island {
    /// The only way out: passes bytes on from a port on the island to an address that this machine reaches.
    pub fn proxy(&self, target: SocketAddr) -> anyhow::Result<Proxy> {
        Ok(Proxy::on(self.bridge.listen()?, target)?)
    }
}

impl Lab {
    /// An empty lab.
    pub fn start() -> Result<Self, LabMissing> {
        if !rustix::process::geteuid().is_root() {
            return Err(LabMissing::NotRoot);
        }
        for (tool, package) in TOOLS {
            if Command::new(tool).arg("--version").output().is_err() {
                return Err(LabMissing::Tool { package });
            }
        }
        Self::build().map_err(|why| LabMissing::Failed {
            what: "a lab".to_owned(),
            why,
        })
    }

    fn build() -> anyhow::Result<Self> {
        fs::create_dir_all(cache())?;
        // Choosing a network and sweeping are for one process at a time.
        let lock = fs::File::create(cache().join("labs.lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
        sweep_folders()?;
        network::sweep()?;
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let bridge = Bridge::make(number)?;
        let folder = folders().join(format!("pyl{}x{number}", std::process::id()));
        fs::create_dir_all(&folder).context("could not make the lab's folder")?;
        Ok(Self {
            folder,
            bridge,
            hosts: 0,
        })
    }

    /// This machine's address as the hosts see it: where servers and proxies listen.
    pub fn address(&self) -> Ipv4Addr {
        self.bridge.address()
    }

    /// Another address of this machine that the hosts see: where a server goes on that was lost.
    pub fn other_address(&self) -> Ipv4Addr {
        self.bridge.other_address()
    }

    /// A network apart.
    pub fn island(&self) -> Result<Island, LabMissing> {
        let bridge = Bridge::make_apart(LABS.fetch_add(1, Ordering::Relaxed));
        let bridge = bridge.map_err(|why| LabMissing::Failed {
            what: "a network apart".to_owned(),
            why,
        })?;
        Ok(Island { bridge })
    }

    /// Where the lab keeps its hosts' changes and consoles.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Boots an outdated host of a Debian suite, with its own name, machine-id and address, and waits until systemd says
    /// that it is up. Its root is a clone of the cached one, with the package lists of the day on which that was built.
    pub fn boot(&mut self, name: &str, suite: &str) -> Result<BootedHost, LabMissing> {
        let (server, number) = (self.address(), self.next());
        let wire = self.bridge.wire(number);
        self.boot_at(wire, server, name, suite)
    }

    /// The same on an island; the name `server` is that of the island's side of its proxies.
    pub fn boot_on(&mut self, island: &Island, name: &str, suite: &str) -> Result<BootedHost, LabMissing> {
        let wire = island.bridge.wire(self.next());
        self.boot_at(wire, island.bridge.address(), name, suite)
    }

    /// A host made from a copy of another one's disk, which must have no power; neither has the copy yet.
    pub fn copy(&mut self, other: &BootedHost) -> Result<BootedHost, LabMissing> {
        let number = self.next();
        let folder = self.folder.join(format!("{}-{number}", other.name()));
        let wire = self.bridge.wire(number);
        wire.and_then(|wire| BootedHost::copy_of(other, folder, wire))
            .map_err(|why| LabMissing::Failed {
                what: format!("a copy of {}", other.name()),
                why,
            })
    }

    fn next(&mut self) -> u8 {
        self.hosts += 1;
        self.hosts + 9
    }

    fn boot_at(
        &self,
        wire: anyhow::Result<Wire>,
        server: Ipv4Addr,
        name: &str,
        suite: &str,
    ) -> Result<BootedHost, LabMissing> {
        let image = root(suite)?;
        let birth = |wire| Birth {
            name: name.to_owned(),
            image,
            folder: self.folder.join(name),
            wire,
            server,
        };
        wire.and_then(|wire| BootedHost::boot(birth(wire)))
            .map_err(|why| LabMissing::Failed {
                what: format!("the host {name}"),
                why,
            })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Hosts that outlive their lab keep their folders; the next sweep takes what is left.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn folders() -> PathBuf {
    cache().join("labs")
}

/// Unmounts and removes what killed processes left.
fn sweep_folders() -> anyhow::Result<()> {
    let Ok(labs) = fs::read_dir(folders()) else {
        return Ok(());
    };
    for lab in labs.flatten() {
        if !network::is_left_behind(&lab.file_name().to_string_lossy()) {
            continue;
        }
        for host in fs::read_dir(lab.path()).into_iter().flatten().flatten() {
            super::booted::unmount(&host.path().join("root"));
        }
        fs::remove_dir_all(lab.path())
            .with_context(|| format!("could not remove {}", lab.path().display()))?;
    }
    Ok(())
}
