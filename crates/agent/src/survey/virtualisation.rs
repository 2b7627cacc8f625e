//! Whether the system is a machine of its own, decided as systemd-detect-virt(1) does: containers first, from the marks
//! of their engines, then hypervisors, from DMI, the processor's own answer and `/sys/hypervisor`.

use super::proc::head;
use crate::tree::Tree;
use domain::host::hardware::Virtualisation;

/// What a running system is. Without root the environment of the first process stays closed; its engine's other marks do
/// not.
pub fn virtualisation(tree: &Tree) -> Virtualisation {
    if !tree.is_live() {
        return Virtualisation::Unknown;
    }
    if let Some(kind) = container(tree) {
        return Virtualisation::Container { kind };
    }
    match machine(tree) {
        Some(kind) => Virtualisation::Machine {
            kind: kind.to_owned(),
        },
        None => Virtualisation::Physical,
    }
}

fn exists(tree: &Tree, path: &str) -> bool {
    matches!(tree.kind(path), Ok(Some(_)))
}

/// systemd's `detect_container`.
fn container(tree: &Tree) -> Option<String> {
    if exists(tree, "/proc/vz") && !exists(tree, "/proc/bc") {
        return Some("openvz".to_owned());
    }
    let release = head(tree, "/proc/sys/kernel/osrelease").unwrap_or_default();
    if release.contains("Microsoft") || release.contains("WSL") {
        return Some("wsl".to_owned());
    }
    let environment = || {
        let environment = head(tree, "/proc/1/environ")?;
        environment
            .split('\0')
            .find_map(|entry| entry.strip_prefix("container="))
            .map(str::to_owned)
    };
    let named = head(tree, "/run/host/container-manager")
        .or_else(|| head(tree, "/run/systemd/container"))
        .or_else(environment)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty());
    match named.as_deref() {
        None | Some("oci") => by_files(tree).or(named.map(|_| "container-other".to_owned())),
        Some(
            known @ ("lxc" | "lxc-libvirt" | "systemd-nspawn" | "docker" | "podman" | "rkt" | "wsl" | "proot"
            | "pouch"),
        ) => Some(known.to_owned()),
        Some(_) => Some("container-other".to_owned()),
    }
}

fn by_files(tree: &Tree) -> Option<String> {
    let marks = [("/run/.containerenv", "podman"), ("/.dockerenv", "docker")];
    let mark = marks.iter().find(|(path, _)| exists(tree, path));
    mark.map(|(_, kind)| (*kind).to_owned())
}

/// systemd's `detect_vm`: some hypervisors pretend in the processor's answer to be others, so DMI counts first for them.
fn machine(tree: &Tree) -> Option<&'static str> {
    let dmi = dmi(tree);
    if let Some("oracle" | "xen" | "amazon" | "parallels" | "google") = dmi {
        return dmi;
    }
    let cpuinfo = head(tree, "/proc/cpuinfo").unwrap_or_default();
    let is_vendor = |line: &str| line.starts_with("vendor_id") && line.ends_with(": User Mode Linux");
    if cpuinfo.lines().any(is_vendor) {
        return Some("uml");
    }
    // The first domain of Xen is the machine's own system.
    let capabilities = head(tree, "/proc/xen/capabilities").unwrap_or_default();
    if capabilities.contains("control_d") {
        return None;
    }
    processor()
        .or(dmi)
        .or_else(|| hypervisor(tree))
        .or_else(|| device_tree(tree))
}

/// Beginnings of what DMI says, in systemd's order.
const DMI: [(&str, &str); 16] = [
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Amazon EC2", "amazon"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VMW", "vmware"),
    ("innotek GmbH", "oracle"),
    ("VirtualBox", "oracle"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Hyper-V", "microsoft"),
    ("Apple Virtualization", "apple"),
    ("Google Compute Engine", "google"),
];

fn dmi(tree: &Tree) -> Option<&'static str> {
    let files = [
        "product_name",
        "sys_vendor",
        "board_vendor",
        "bios_vendor",
        "product_version",
    ];
    files.into_iter().find_map(|file| {
        let text = head(tree, &format!("/sys/class/dmi/id/{file}"))?;
        let found = DMI.iter().find(|(start, _)| text.trim().starts_with(start));
        found.map(|(_, kind)| *kind)
    })
}

/// What the processor answers under a hypervisor: its twelve letters (CPUID leaf 0x40000000).
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn processor() -> Option<&'static str> {
    #[cfg(target_arch = "x86")]
    use std::arch::x86::__cpuid;
    #[cfg(target_arch = "x86_64")]
    use std::arch::x86_64::__cpuid;

    const UNDER_A_HYPERVISOR: u32 = 1 << 31;
    if __cpuid(1).ecx & UNDER_A_HYPERVISOR == 0 {
        return None;
    }
    let answer = __cpuid(0x4000_0000);
    let letters: Vec<u8> = [answer.ebx, answer.ecx, answer.edx]
        .into_iter()
        .flat_map(u32::to_le_bytes)
        .collect();
    Some(by_letters(&letters))
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn processor() -> Option<&'static str> {
    None
}

/// The hypervisor that signs itself so; one that nobody knows is one all the same.
#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn by_letters(letters: &[u8]) -> &'static str {
    match letters {
        b"XenVMMXenVMM" => "xen",
        b"KVMKVMKVM\0\0\0" | b"Linux KVM Hv" => "kvm",
        b"TCGTCGTCGTCG" => "qemu",
        b"VMwareVMware" => "vmware",
        b"Microsoft Hv" => "microsoft",
        b"bhyve bhyve " => "bhyve",
        b"QNXQVMBSQG\0\0" => "qnx",
        b"ACRNACRNACRN" => "acrn",
        b"SRESRESRESRE" => "sre",
        _ => "vm-other",
    }
}

fn hypervisor(tree: &Tree) -> Option<&'static str> {
    let kind = head(tree, "/sys/hypervisor/type")?;
    Some(if kind.trim() == "xen" { "xen" } else { "vm-other" })
}

/// ARM and PowerPC: the device tree names the hypervisor.
fn device_tree(tree: &Tree) -> Option<&'static str> {
    let compatible = head(tree, "/proc/device-tree/hypervisor/compatible");
    match compatible.as_deref().map(|text| text.trim_end_matches('\0')) {
        Some("linux,kvm") => Some("kvm"),
        Some(xen) if xen.contains("xen") => Some("xen"),
        Some(vmware) if vmware.contains("vmware") => Some("vmware"),
        Some(_) => Some("vm-other"),
        None if exists(tree, "/proc/device-tree/ibm,partition-name") => Some("powervm"),
        None if exists(tree, "/proc/device-tree/fw-cfg") => Some("qemu"),
        None => None,
    }
}
