//! Whether updates need a reboot before they count. The rule, in order:
//!
//! 1. A kernel image counts if it replaces what runs: `linux-image-RELEASE` of the running kernel, or a package such
//!    as `linux-image-amd64` that brings the next kernel of the running flavour. Other installed kernels do not
//!    count, and in a container no kernel does.
//! 2. A package counts if its own maintainer scripts on the host ask for a reboot when they run: they name
//!    `reboot-required`, the file that Debian's and Ubuntu's tools watch (dbus; on Ubuntu also libc6, libssl3 ...).
//! 3. Microcode counts on real machines: it is loaded at boot.
//!
//! A library that merely runs somewhere does not count: its services restart, see [`super::Restarts`].

use super::info::Info;
use crate::problem::printable;
use crate::tree::Tree;
use std::collections::BTreeSet;

/// The longest list of packages that wait for a reboot that is read.
const PENDING_BYTES: u64 = 1 << 20;

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

/// What of the host the rule depends on.
#[derive(Debug)]
pub(super) struct Rule<'host> {
    pub(super) kernel_release: Option<&'host str>,
    pub(super) is_container: bool,
}

/// Whether one package asks for a reboot.
pub(super) enum Need {
    No,
    Yes,
    /// Why that cannot be seen here, for people.
    Unclear(String),
}

impl Rule<'_> {
    /// Whether replacing this package does.
    pub(super) fn need(&self, package: &str, info: &Info<'_>) -> Need {
        match kernel_need(package, self.kernel_release) {
            Kernel::Replaced => Need::Yes,
            Kernel::Other => Need::No,
            Kernel::Unclear if self.is_container => Need::No,
            Kernel::Unclear => Need::Unclear(format!(
                "{} may be the kernel that runs, which files do not tell",
                printable(package)
            )),
            Kernel::None if is_microcode(package) && !self.is_container => Need::Yes,
            Kernel::None => scripts_need(info),
        }
    }
}

/// The packages that ask for a reboot.
#[derive(Default)]
pub(super) struct Asking {
    packages: BTreeSet<String>,
    unclear: Option<String>,
}

impl Asking {
    /// Adds what one package asks for.
    pub(super) fn add(&mut self, package: &str, need: Need) {
        match need {
            Need::No => {}
            Need::Yes => drop(self.packages.insert(printable(package))),
            Need::Unclear(why) => drop(self.unclear.get_or_insert(why)),
        }
    }

    /// What all of them ask for together.
    pub(super) fn need(self) -> RebootNeed {
        match self.unclear {
            _ if !self.packages.is_empty() => RebootNeed::Yes {
                packages: self.packages.into_iter().collect(),
            },
            Some(why) => RebootNeed::Unknown { why },
            None => RebootNeed::No,
        }
    }
}

/// The packages for which the running system already waits for a reboot (`/run/reboot-required.pkgs`); `None` if it
/// does not wait.
pub fn pending(tree: &Tree) -> Option<Vec<String>> {
    if !tree.is_live() || !matches!(tree.kind("/run/reboot-required"), Ok(Some(_))) {
        return None;
    }
    let bytes = tree
        .read("/run/reboot-required.pkgs", PENDING_BYTES)
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

fn scripts_need(info: &Info<'_>) -> Need {
    for script in ["postinst", "preinst"] {
        match info.script(script) {
            Ok(Some(text)) if mentions(&crate::words::readable(&text), "reboot-required") => {
                return Need::Yes;
            }
            Ok(_) => {}
            Err(error) => return Need::Unclear(crate::problem::chain(&error)),
        }
    }
    Need::No
}

/// Whether a line that is no comment holds the words.
fn mentions(text: &str, words: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    // Nearly no script holds them anywhere, which is much quicker to see.
    text.contains(words) && lines.any(|line| line.contains(words))
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
