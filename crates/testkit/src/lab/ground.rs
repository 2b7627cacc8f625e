//! A lab: a folder, a bridge and the hosts that are booted on it. When it goes, everything goes: also what an earlier
//! process left behind that was killed before it could clean up.

use super::booted::{Birth, BootedHost};
use super::network::{self, Bridge};
use super::{LabMissing, cache, root};
use anyhow::Context;
use std::fs;
use std::net::Ipv4Addr;
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

    /// Where the lab keeps its hosts' changes and consoles.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Boots an outdated host of a Debian suite, with its own name, machine-id and address, and waits until systemd says
    /// that it is up. Its root is a clone of the cached one, with the package lists of the day on which that was built.
    pub fn boot(&mut self, name: &str, suite: &str) -> Result<BootedHost, LabMissing> {
        let image = root(suite)?;
        self.hosts += 1;
        let failed = |why| LabMissing::Failed {
            what: format!("the host {name}"),
            why,
        };
        let wire = self.bridge.wire(self.hosts + 9).map_err(failed)?;
        BootedHost::boot(Birth {
            name: name.to_owned(),
            image,
            folder: self.folder.join(name),
            wire,
            machine: self.address(),
        })
        .map_err(failed)
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
