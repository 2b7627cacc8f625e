//! The document of what else a host says of itself, and what stays the same until somebody changes something: system,
//! hardware, kernels, addresses, sockets, who else updates it, and what was changed lately.

pub mod history;
pub mod network;

use super::{Document, DocumentError, DocumentKind, Wire, wire_struct, wire_words};
use crate::limits;
use crate::wire::is_default;
use domain::host::facts::{Facts, HostFacts, Known, PackageDatabase, PendingRestart, RebootReason, Sight};
use domain::host::hardware::{Hardware, Virtualisation};
use domain::host::kernel::{KernelImage, Kernels, RunningKernel};
use domain::host::updater::{Updater, UpdaterEffect};
use history::WireHistory;
use network::{WireInterface, WireListening, WireNeighbours};
use serde::{Deserialize, Serialize};

/// Everything that a host says of itself besides packages and sources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactsDocument {
    /// Its operating system and identity.
    pub system: WireSystem,
    /// How it keeps its packages.
    pub packages: WirePackageDatabase,
    /// What it is made of.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hardware: WireHardware,
    /// Whether it is a machine of its own.
    pub virtualisation: WireVirtualisation,
    /// Its kernels.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kernels: WireKernels,
    /// What must be restarted.
    pub restart: WireKnown<WirePendingRestart>,
    /// Its network interfaces.
    pub interfaces: WireKnown<Vec<WireInterface>>,
    /// Hosts that it has spoken to.
    pub neighbours: WireKnown<WireNeighbours>,
    /// Sockets that wait for others.
    pub listening: WireKnown<Vec<WireListening>>,
    /// Who else updates it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub updaters: Vec<WireUpdater>,
    /// What was changed on it lately.
    #[serde(default, skip_serializing_if = "is_default")]
    pub history: WireHistory,
}

wire_struct!(
    FactsDocument = HostFacts {
        system,
        packages,
        hardware,
        virtualisation,
        kernels,
        restart,
        interfaces,
        neighbours,
        listening,
        updaters,
        history
    }
);

/// Something that was seen, or why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireKnown<T> {
    /// It was seen.
    Known(T),
    /// It was not, for this reason.
    Unknown(String),
}

impl<T: Wire> Wire for WireKnown<T> {
    type Domain = Known<T::Domain>;

    fn of(value: &Self::Domain) -> Self {
        match value {
            Known::Known(value) => Self::Known(T::of(value)),
            Known::Unknown { why } => Self::Unknown(why.clone()),
        }
    }

    fn into_domain(self) -> Self::Domain {
        match self {
            Self::Known(value) => Known::Known(value.into_domain()),
            Self::Unknown(why) => Known::Unknown { why },
        }
    }
}

/// Operating system and identity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireSystem {
    /// The host's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// os-release `ID`.
    pub os_id: String,
    /// os-release `PRETTY_NAME`.
    pub os_name: String,
    /// os-release `VERSION_ID`, or Debian's point release.
    pub os_version: String,
    /// os-release `VERSION_CODENAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_codename: Option<String>,
    /// machine-id(5), which decides which phased updates reach the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// The running kernel's release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_release: Option<String>,
}

wire_struct!(
    WireSystem = Facts {
        hostname,
        os_id,
        os_name,
        os_version,
        os_codename,
        machine_id,
        kernel_release
    }
);

/// How packages are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum WirePackageDatabase {
    /// By dpkg.
    Dpkg,
    /// By rpm, and its packages are unknown.
    Rpm {
        /// Why.
        why: String,
    },
    /// By nothing that we know.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Wire for WirePackageDatabase {
    type Domain = PackageDatabase;

    fn of(value: &PackageDatabase) -> Self {
        match value.clone() {
            PackageDatabase::Dpkg => Self::Dpkg,
            PackageDatabase::Rpm { why } => Self::Rpm { why },
            PackageDatabase::Unknown { why } => Self::Unknown { why },
        }
    }

    fn into_domain(self) -> PackageDatabase {
        match self {
            Self::Dpkg => PackageDatabase::Dpkg,
            Self::Rpm { why } => PackageDatabase::Rpm { why },
            Self::Unknown { why } => PackageDatabase::Unknown { why },
        }
    }
}

/// Processor, memory and nameplate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireHardware {
    /// The processor's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_count: Option<u32>,
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

wire_struct!(
    WireHardware = Hardware {
        cpu_model,
        cpu_count,
        memory_bytes,
        vendor,
        product,
        serial
    }
);

/// Whether the system has its hardware to itself; names are those of systemd-detect-virt(1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum WireVirtualisation {
    /// It has.
    Physical,
    /// It is a virtual machine.
    Machine {
        /// Of this hypervisor.
        kind: String,
    },
    /// It is a container.
    Container {
        /// Of this engine.
        kind: String,
    },
    /// It is not running.
    Unknown,
}

impl Wire for WireVirtualisation {
    type Domain = Virtualisation;

    fn of(value: &Virtualisation) -> Self {
        match value.clone() {
            Virtualisation::Physical => Self::Physical,
            Virtualisation::Machine { kind } => Self::Machine { kind },
            Virtualisation::Container { kind } => Self::Container { kind },
            Virtualisation::Unknown => Self::Unknown,
        }
    }

    fn into_domain(self) -> Virtualisation {
        match self {
            Self::Physical => Virtualisation::Physical,
            Self::Machine { kind } => Virtualisation::Machine { kind },
            Self::Container { kind } => Virtualisation::Container { kind },
            Self::Unknown => Virtualisation::Unknown,
        }
    }
}

/// Kernels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireKernels {
    /// What runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<WireRunningKernel>,
    /// Installed images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub installed: Vec<WireKernelImage>,
}

wire_struct!(WireKernels = Kernels { running, installed });

/// The running kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireRunningKernel {
    /// As `uname -r` gives it.
    pub release: String,
    /// The package's version, where its banner names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_version: Option<String>,
}

wire_struct!(
    WireRunningKernel = RunningKernel {
        release,
        package_version
    }
);

/// An installed kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireKernelImage {
    /// The release that it would run as.
    pub release: String,
    /// Its package.
    pub package: String,
    /// The package's version.
    pub version: String,
}

wire_struct!(
    WireKernelImage = KernelImage {
        release,
        package,
        version
    }
);

/// What must be restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WirePendingRestart {
    /// Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Programs in no service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<String>,
    /// Whether all processes could be looked at.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sight: WireSight,
    /// Why the host must be rebooted; empty if it need not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reboot: Vec<WireRebootReason>,
}

wire_struct!(
    WirePendingRestart = PendingRestart {
        services,
        programs,
        sight,
        reboot
    }
);

/// Whether all could be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireSight {
    /// All.
    #[default]
    Whole,
    /// Not what belongs to others.
    Partial,
}

wire_words!(WireSight = Sight { Whole, Partial });

/// Why a host waits for its reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum WireRebootReason {
    /// A newer kernel is installed.
    Kernel {
        /// What runs.
        running: String,
        /// What will.
        installed: String,
    },
    /// A package asked for it.
    Package {
        /// Its name.
        name: String,
    },
    /// Something asked for it.
    Asked,
}

impl Wire for WireRebootReason {
    type Domain = RebootReason;

    fn of(value: &RebootReason) -> Self {
        match value.clone() {
            RebootReason::Kernel { running, installed } => Self::Kernel { running, installed },
            RebootReason::Package(name) => Self::Package { name },
            RebootReason::Asked => Self::Asked,
        }
    }

    fn into_domain(self) -> RebootReason {
        match self {
            Self::Kernel { running, installed } => RebootReason::Kernel { running, installed },
            Self::Package { name } => RebootReason::Package(name),
            Self::Asked => RebootReason::Asked,
        }
    }
}

/// Something else that updates the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireUpdater {
    /// Its name.
    pub name: String,
    /// What it does and when.
    pub does: String,
    /// What that means.
    pub effect: WireUpdaterEffect,
}

wire_struct!(WireUpdater = Updater { name, does, effect });

/// What an updater does to packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireUpdaterEffect {
    /// Installs by itself.
    Installs,
    /// Installs none.
    InstallsNothing,
    /// May change some.
    Configures,
}

wire_words!(
    WireUpdaterEffect = UpdaterEffect {
        Installs,
        InstallsNothing,
        Configures
    }
);

impl From<&HostFacts> for FactsDocument {
    fn from(facts: &HostFacts) -> Self {
        Self::of(facts)
    }
}

impl From<FactsDocument> for HostFacts {
    fn from(document: FactsDocument) -> Self {
        document.into_domain()
    }
}

impl Document for FactsDocument {
    const KIND: DocumentKind = DocumentKind::Facts;

    fn check(&self) -> Result<(), DocumentError> {
        limits::within("bytes of facts", self.to_bytes().len(), limits::FACTS_BYTES)?;
        Ok(())
    }
}
