//! Who the host is and what runs on it: what stays the same until somebody changes something. What changes by itself
//! (free space, clocks, load) is in [`super::measures`].

use super::change::History;
use super::hardware::{Hardware, Virtualisation};
use super::kernel::Kernels;
use super::network::{Interface, Listening, Neighbours};
use super::updater::Updater;

/// What os-release(5), the kernel and dpkg say about the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The host's own name; absent for a file tree without `/etc/hostname`.
    pub hostname: Option<String>,
    /// os-release `ID`, such as `debian`.
    pub os_id: String,
    /// os-release `PRETTY_NAME`, such as `Debian GNU/Linux 12 (bookworm)`.
    pub os_name: String,
    /// os-release `VERSION_ID`, or Debian's point release from `/etc/debian_version` where it says more (`12.15`).
    pub os_version: String,
    /// os-release `VERSION_CODENAME`.
    pub os_codename: Option<String>,
    /// machine-id(5), or `APT::Machine-ID`: decides which phased updates reach the host.
    pub machine_id: Option<String>,
    /// The running kernel's release as `uname -r` gives it; absent for a file tree or a container.
    pub kernel_release: Option<String>,
}

/// Everything that a host says about itself besides its packages and sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Its operating system and identity.
    pub system: Facts,
    /// What kind of package database it has, and whether that could be read.
    pub packages: PackageDatabase,
    /// What it is made of.
    pub hardware: Hardware,
    /// Whether it is a machine of its own.
    pub virtualisation: Virtualisation,
    /// Kernels; unknown without a running system, none in a container.
    pub kernels: Kernels,
    /// When the running system booted is no fact (its clock may be set); which boot it is stands in the measures.
    pub restart: Known<PendingRestart>,
    /// Its network interfaces that are up, by name.
    pub interfaces: Known<Vec<Interface>>,
    /// Other hosts that it has spoken to lately.
    pub neighbours: Known<Neighbours>,
    /// Sockets that wait for others, by protocol, port and address.
    pub listening: Known<Vec<Listening>>,
    /// Who else updates it.
    pub updaters: Vec<Updater>,
    /// What was changed on it lately, and by whom.
    pub history: History,
}

/// Something that can be seen, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known<T> {
    /// It was seen.
    Known(T),
    /// It was not: never to be read as "nothing there".
    Unknown {
        /// Why, as a sentence for people that stays the same while its cause does.
        why: String,
    },
}

impl<T> Known<T> {
    /// What could not be seen, and why.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown { why: why.into() }
    }

    /// What was seen.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown { .. } => None,
        }
    }
}

/// How the host keeps its installed packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageDatabase {
    /// dpkg's status: the inventory is its content.
    Dpkg,
    /// An rpm database; its packages are unknown until something on the host lists them.
    Rpm {
        /// Why the packages are unknown.
        why: String,
    },
    /// None that we know, or one that cannot be read.
    Unknown {
        /// Why.
        why: String,
    },
}

/// What has been replaced on disk and still runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PendingRestart {
    /// Services that run replaced or deleted files, with their suffix, sorted: `ssh.service`.
    pub services: Vec<String>,
    /// Programs in no service that do, by the name that the kernel gives them, sorted.
    pub programs: Vec<String>,
    /// Whether all processes could be looked at.
    pub sight: Sight,
    /// Why the whole host must be rebooted; empty if it need not. Sorted.
    pub reboot: Vec<RebootReason>,
}

/// Whether all of something could be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// All of it.
    #[default]
    Whole,
    /// Only what belongs to the user who looked: there may be more.
    Partial,
}

/// Why a host waits for its reboot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RebootReason {
    /// A newer kernel than the running one is installed.
    Kernel {
        /// What runs.
        running: String,
        /// What will.
        installed: String,
    },
    /// A package asked for it (`/run/reboot-required.pkgs`).
    Package(String),
    /// Something asked for it without a name (`/run/reboot-required`).
    Asked,
}
