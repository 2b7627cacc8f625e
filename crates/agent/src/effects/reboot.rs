//! Whether updates need a reboot before they count. The rule, in order:
//!
//! 1. A kernel image counts if it replaces what runs: `linux-image-RELEASE` of the running kernel, or a package such
//!    as `linux-image-amd64` that brings the next kernel of the running flavour. Other installed kernels do not
//!    count, and in a container no kernel does.
//! 2. A package counts if its own maintainer scripts on the host ask for a reboot when they run: they name
//!    `reboot-required`, the file that Debian's and Ubuntu's tools watch (dbus; on Ubuntu also libc6, libssl3 ...).
//! 3. Microcode counts on real machines: it is loaded at boot.
//!
//! A library that merely runs somewhere does not count: its services restart, see [`super::restarts`].

use super::PackageRef;
use crate::facts::is_container;
use crate::problem::printable;
use crate::tree::{Tree, join};
use domain::host::facts::Facts;

/// Maintainer scripts larger than this are not read.
const SCRIPT_BYTES: u64 = 1 << 20;

/// Whether a reboot is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebootNeed {
    /// No package asks for one.
    No,
    /// These packages do. Sorted.
    Yes {
        /// Their names.
        packages: Vec<String>,
    },
    /// It depends on what cannot be seen here.
    Unknown {
        /// Why, for people.
        why: String,
    },
}

/// Whether replacing `packages` needs a reboot. `dpkg` is the folder of dpkg's status inside `tree`.
pub fn reboot(tree: &Tree, dpkg: &str, facts: &Facts, packages: &[PackageRef<'_>]) -> RebootNeed {
    let is_container = tree.is_live() && is_container(tree);
    let mut asking = Vec::new();
    let mut unclear = None;
    for package in packages {
        match kernel_need(package.name, facts.kernel_release.as_deref()) {
            Kernel::Replaced => asking.push(printable(package.name)),
            Kernel::Unclear if !is_container => {
                unclear = unclear.or_else(|| {
                    Some(format!(
                        "{} may be the kernel that runs, which files do not tell",
                        printable(package.name)
                    ))
                });
            }
            Kernel::None if is_microcode(package.name) && !is_container => {
                asking.push(printable(package.name))
            }
            Kernel::None => match scripts_ask(tree, dpkg, *package) {
                Ok(true) => asking.push(printable(package.name)),
                Ok(false) => {}
                Err(why) => unclear = unclear.or(Some(why)),
            },
            Kernel::Other | Kernel::Unclear => {}
        }
    }
    asking.sort();
    asking.dedup();
    match (asking.is_empty(), unclear) {
        (false, _) => RebootNeed::Yes { packages: asking },
        (true, Some(why)) => RebootNeed::Unknown { why },
        (true, None) => RebootNeed::No,
    }
}

/// The packages for which the running system already waits for a reboot (`/run/reboot-required.pkgs`); `None` if it
/// does not wait.
pub fn pending(tree: &Tree) -> Option<Vec<String>> {
    if !tree.is_live() || !matches!(tree.kind("/run/reboot-required"), Ok(Some(_))) {
        return None;
    }
    let bytes = tree
        .read("/run/reboot-required.pkgs", SCRIPT_BYTES)
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut packages: Vec<String> = text
        .lines()
        .map(printable)
        .filter(|name| !name.is_empty())
        .collect();
    packages.sort();
    packages.dedup();
    Some(packages)
}

enum Kernel {
    /// Not a kernel.
    None,
    /// A kernel that does not run.
    Other,
    /// The one that runs, or its successor.
    Replaced,
    /// What runs is not known.
    Unclear,
}

fn kernel_need(package: &str, running: Option<&str>) -> Kernel {
    let Some(image) = package.strip_prefix("linux-image-") else {
        return Kernel::None;
    };
    if image.ends_with("-dbg") || image.ends_with("-dbgsym") {
        return Kernel::Other;
    }
    let Some(running) = running else {
        return Kernel::Unclear;
    };
    let image = image
        .strip_prefix("unsigned-")
        .unwrap_or(image)
        .trim_end_matches("-unsigned");
    let is_flavour = !image.starts_with(|c: char| c.is_ascii_digit());
    let is_running = image == running || (is_flavour && running.ends_with(&format!("-{image}")));
    if is_running {
        Kernel::Replaced
    } else {
        Kernel::Other
    }
}

fn is_microcode(package: &str) -> bool {
    matches!(package, "intel-microcode" | "amd64-microcode")
}

fn scripts_ask(tree: &Tree, dpkg: &str, package: PackageRef<'_>) -> Result<bool, String> {
    let PackageRef { name, architecture } = package;
    if name.contains('/') || architecture.contains('/') {
        return Ok(false);
    }
    let info = join(dpkg, "info");
    for script in ["postinst", "preinst"] {
        for base in [name.to_owned(), format!("{name}:{architecture}")] {
            match tree.read(&join(&info, &format!("{base}.{script}")), SCRIPT_BYTES) {
                Ok(text) if mentions(&text, b"reboot-required") => return Ok(true),
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(crate::problem::chain(&error)),
            }
        }
    }
    Ok(false)
}

/// Whether a line that is no comment holds the words.
fn mentions(text: &[u8], words: &[u8]) -> bool {
    text.split(|&byte| byte == b'\n')
        .filter(|line| !line.trim_ascii_start().starts_with(b"#"))
        .any(|line| line.windows(words.len()).any(|window| window == words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaces(package: &str, running: &str) -> bool {
        matches!(kernel_need(package, Some(running)), Kernel::Replaced)
    }

    #[test]
    fn only_the_running_kernel_and_its_successor_need_a_reboot() {
        assert!(replaces("linux-image-6.1.0-25-amd64", "6.1.0-25-amd64"));
        assert!(replaces("linux-image-6.1.0-25-amd64-unsigned", "6.1.0-25-amd64"));
        assert!(replaces(
            "linux-image-unsigned-6.8.0-31-generic",
            "6.8.0-31-generic"
        ));
        assert!(replaces("linux-image-amd64", "6.1.0-25-amd64"));
        assert!(replaces("linux-image-cloud-amd64", "6.1.0-25-cloud-amd64"));
        assert!(!replaces("linux-image-6.1.0-24-amd64", "6.1.0-25-amd64"));
        assert!(!replaces("linux-image-cloud-amd64", "6.1.0-25-amd64"));
        assert!(!replaces("linux-image-rt-amd64", "6.1.0-25-amd64"));
        assert!(!replaces("linux-image-6.1.0-25-amd64-dbg", "6.1.0-25-amd64"));
        assert!(!replaces("linux-libc-dev", "6.1.0-25-amd64"));
    }
}
