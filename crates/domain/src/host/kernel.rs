//! Which kernels a host has, and whether the one that runs is the one that the next boot would start.

use super::inventory::{Inventory, PackageState};
use crate::version::deb;
use std::cmp::Ordering;

/// Kernels of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernels {
    /// What runs; absent in a container and for a file tree.
    pub running: Option<RunningKernel>,
    /// Installed images, by release in Debian's version order.
    pub installed: Vec<KernelImage>,
}

/// The kernel that the system booted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunningKernel {
    /// As `uname -r` gives it: `6.1.0-25-amd64`.
    pub release: String,
    /// The version of the package that it was built from, where its banner names one (`Debian 6.1.106-3`).
    pub package_version: Option<String>,
}

/// An installed kernel image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelImage {
    /// The release that it would run as: `6.1.0-25-amd64`.
    pub release: String,
    /// Its package.
    pub package: String,
    /// The package's version.
    pub version: String,
}

/// The installed images: packages `linux-image-RELEASE` (with `-unsigned` or `unsigned-`) that are unpacked at least.
/// Those that only depend on the newest image, such as `linux-image-amd64`, have no release.
pub fn installed_images(inventory: &Inventory) -> Vec<KernelImage> {
    let image = |name: &str| {
        let release = name.strip_prefix("linux-image-")?;
        let release = release.strip_prefix("unsigned-").unwrap_or(release);
        let release = release.strip_suffix("-unsigned").unwrap_or(release);
        let is_release = release.starts_with(|first: char| first.is_ascii_digit());
        let is_symbols = release.ends_with("-dbg") || release.ends_with("-dbgsym");
        (is_release && !is_symbols).then(|| release.to_owned())
    };
    let mut images: Vec<KernelImage> = inventory
        .packages
        .iter()
        .filter(|package| package.state != PackageState::HalfInstalled)
        .filter_map(|package| {
            Some(KernelImage {
                release: image(&package.name)?,
                package: package.name.to_string(),
                version: package.version.to_string(),
            })
        })
        .collect();
    images.sort_by(|one, other| {
        deb::compare(&one.release, &other.release).then_with(|| one.package.cmp(&other.package))
    });
    images
}

/// The version of the package in the kernel's banner (`/proc/version`): Debian writes `Debian 6.1.106-3` near its end.
/// Others name none there.
pub fn banner_version(banner: &str) -> Option<&str> {
    let (_, after) = banner.rsplit_once(" Debian ")?;
    let version = after
        .split(|c: char| c.is_whitespace() || c == ')')
        .next()
        .unwrap_or_default();
    version
        .starts_with(|first: char| first.is_ascii_digit())
        .then_some(version)
}

/// The image that the next boot would start instead of the running kernel: the newest installed one of the running
/// flavour, if that is newer, or the running release itself where its package was replaced since the boot.
pub fn successor<'host>(
    running: &RunningKernel,
    installed: &'host [KernelImage],
) -> Option<&'host KernelImage> {
    let flavour = flavour(&running.release)?;
    let newest = installed
        .iter()
        .filter(|image| self::flavour(&image.release) == Some(flavour))
        .max_by(|one, other| deb::compare(&one.release, &other.release))?;
    match deb::compare(&newest.release, &running.release) {
        Ordering::Greater => Some(newest),
        Ordering::Equal => {
            let built_from = running.package_version.as_deref()?;
            (deb::compare(&newest.version, built_from) == Ordering::Greater).then_some(newest)
        }
        Ordering::Less => None,
    }
}

/// What follows the numbers of a release: `amd64`, `cloud-amd64`, `generic`; none for a kernel of one's own.
fn flavour(release: &str) -> Option<&str> {
    let at = release
        .match_indices('-')
        .map(|(at, _)| at + 1)
        .find(|&at| release[at..].starts_with(|c: char| c.is_ascii_alphabetic()))?;
    Some(&release[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(release: &str, version: &str) -> KernelImage {
        KernelImage {
            release: release.to_owned(),
            package: format!("linux-image-{release}"),
            version: version.to_owned(),
        }
    }

    fn next(running: &str, built_from: Option<&str>, installed: &[KernelImage]) -> Option<String> {
        let running = RunningKernel {
            release: running.to_owned(),
            package_version: built_from.map(str::to_owned),
        };
        successor(&running, installed).map(|image| image.package.clone())
    }

    #[test]
    fn the_next_boot_starts_the_newest_installed_kernel_of_the_running_flavour() {
        let installed = [
            image("6.1.0-9-amd64", "6.1.27-1"),
            image("6.1.0-25-amd64", "6.1.106-3"),
            image("6.1.0-31-rt-amd64", "6.1.128-1"),
        ];
        assert_eq!(
            next("6.1.0-9-amd64", None, &installed).as_deref(),
            Some("linux-image-6.1.0-25-amd64")
        );
        assert_eq!(next("6.1.0-25-amd64", None, &installed), None);
        assert_eq!(next("6.1.0-26-amd64", None, &installed), None);
        assert_eq!(next("6.18.44", None, &installed), None);
        assert_eq!(next("6.1.0-9-cloud-amd64", None, &installed), None);
    }

    #[test]
    fn a_running_kernel_whose_package_was_replaced_is_its_own_successor() {
        let installed = [image("5.10.0-28-amd64", "5.10.209-2")];
        let next = |built_from| next("5.10.0-28-amd64", built_from, &installed);
        assert_eq!(
            next(Some("5.10.209-1")).as_deref(),
            Some("linux-image-5.10.0-28-amd64")
        );
        assert_eq!(next(Some("5.10.209-2")), None);
        assert_eq!(next(None), None);
    }

    #[test]
    fn the_banner_names_the_package_version_on_debian_only() {
        let debian = "Linux version 6.1.0-25-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) 12.2.0, \
                      GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.106-3 (2024-08-26)";
        assert_eq!(banner_version(debian), Some("6.1.106-3"));
        assert_eq!(
            banner_version("Linux version 6.18.44 (builder@x) (gcc (GCC) 15.3.0) #1 SMP"),
            None
        );
    }
}
