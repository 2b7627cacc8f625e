//! Who the host is: its operating system, architectures and identity.

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
