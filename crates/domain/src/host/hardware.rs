//! What a host is made of, and whether it is a machine of its own.

/// Processor, memory and nameplate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hardware {
    /// The processor's own name; absent for a file tree, and where the kernel tells none.
    pub cpu_model: Option<String>,
    /// Processors that the system may use.
    pub cpu_count: Option<u32>,
    /// Memory in bytes as the kernel counts it (`MemTotal`), less what firmware and kernel keep.
    pub memory_bytes: Option<u64>,
    /// Who made it (DMI `sys_vendor`). Absent in a container: the nameplate is its machine's.
    pub vendor: Option<String>,
    /// What it is (DMI `product_name`).
    pub product: Option<String>,
    /// Its serial number (DMI `product_serial`); only root may read it.
    pub serial: Option<String>,
}

/// Whether the system has its hardware to itself. Names are those of systemd-detect-virt(1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Virtualisation {
    /// A real machine.
    Physical,
    /// A virtual one: `kvm`, `qemu`, `vmware`, `microsoft`, `xen`, `oracle`, `amazon` ...
    Machine {
        /// The hypervisor's name.
        kind: String,
    },
    /// A container, which shares its machine's kernel: `lxc`, `docker`, `podman`, `systemd-nspawn`, `wsl` ...
    Container {
        /// The engine's name.
        kind: String,
    },
    /// A file tree is not running anywhere.
    Unknown,
}

impl Virtualisation {
    /// Whether the kernel, the clock and the nameplate belong to somebody else.
    pub fn is_container(&self) -> bool {
        matches!(self, Self::Container { .. })
    }
}
