//! Hosts that never were: file trees with the parts of a Debian system that a scan reads, put together in a test.

use crate::archive::package::Package;
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::Path;

/// A host's file tree before it is written.
#[derive(Clone, Debug)]
pub struct HostTree {
    architecture: String,
    foreign: Vec<String>,
    status: String,
    files: BTreeMap<String, Vec<u8>>,
}

/// What dpkg and the administrator say of a package on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// `install ok installed`.
    Yes,
    /// `hold ok installed`.
    Held,
    /// `install reinstreq half-installed`.
    Half,
    /// `install ok unpacked`.
    Unpacked,
    /// `deinstall ok config-files`.
    ConfigFilesOnly,
}

impl Installed {
    /// The `Status` field.
    pub fn status(self) -> &'static str {
        match self {
            Installed::Yes => "install ok installed",
            Installed::Held => "hold ok installed",
            Installed::Half => "install reinstreq half-installed",
            Installed::Unpacked => "install ok unpacked",
            Installed::ConfigFilesOnly => "deinstall ok config-files",
        }
    }
}

impl Default for HostTree {
    fn default() -> Self {
        Self::new()
    }
}

impl HostTree {
    /// An amd64 host with Debian 12, named `host1`, with a machine-id, no sources, no keys and no packages.
    pub fn new() -> Self {
        let tree = Self {
            architecture: "amd64".to_owned(),
            foreign: Vec::new(),
            status: String::new(),
            files: BTreeMap::new(),
        };
        tree.os("debian", "12", "bookworm")
            .file("etc/hostname", "host1\n")
            .machine_id("3d6c5f0e9a8b47c2b1d0e4f3a2918070")
    }

    /// os-release(5) with that `ID`, `VERSION_ID` and `VERSION_CODENAME`.
    pub fn os(self, id: &str, version: &str, codename: &str) -> Self {
        let text = format!(
            "PRETTY_NAME=\"{id} {version} ({codename})\"\nNAME=\"{id}\"\nVERSION_ID=\"{version}\"\nVERSION=\"{version} \
             ({codename})\"\nVERSION_CODENAME={codename}\nID={id}\n"
        );
        self.file("etc/os-release", &text)
    }

    /// dpkg's own architecture.
    pub fn architecture(mut self, name: &str) -> Self {
        self.architecture = name.to_owned();
        self
    }

    /// A foreign architecture.
    pub fn foreign(mut self, name: &str) -> Self {
        self.foreign.push(name.to_owned());
        self
    }

    /// A deb822 file in sources.list.d; `name` without extension.
    pub fn stanza(self, name: &str, text: &str) -> Self {
        self.file(&format!("etc/apt/sources.list.d/{name}.sources"), text)
    }

    /// `/etc/apt/sources.list`.
    pub fn sources_list(self, text: &str) -> Self {
        self.file("etc/apt/sources.list", text)
    }

    /// A file in preferences.d.
    pub fn preferences(self, name: &str, text: &str) -> Self {
        self.file(&format!("etc/apt/preferences.d/{name}"), text)
    }

    /// A file in apt.conf.d.
    pub fn apt_conf(self, name: &str, text: &str) -> Self {
        self.file(&format!("etc/apt/apt.conf.d/{name}"), text)
    }

    /// machine-id(5).
    pub fn machine_id(self, id: &str) -> Self {
        self.file("etc/machine-id", &format!("{id}\n"))
    }

    /// A key file by its absolute path in the tree.
    pub fn key(mut self, path: &str, bytes: &[u8]) -> Self {
        self.files
            .insert(path.trim_start_matches('/').to_owned(), bytes.to_vec());
        self
    }

    /// Any text file, by its path in the tree.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.files
            .insert(path.trim_start_matches('/').to_owned(), text.as_bytes().to_vec());
        self
    }

    /// A package on the host.
    pub fn package(mut self, package: &Package, installed: Installed) -> Self {
        self.status.push_str(&package.status_stanza(installed.status()));
        self
    }

    /// Stanzas of a dpkg status, added as they are.
    pub fn status(mut self, text: &str) -> Self {
        self.status.push_str(text.trim_end_matches('\n'));
        self.status.push_str("\n\n");
        self
    }

    /// Writes the tree into an empty or missing folder.
    pub fn write_to(&self, root: &Path) -> anyhow::Result<()> {
        for folder in [
            "var/lib/apt/lists/partial",
            "etc/apt/sources.list.d",
            "var/lib/dpkg/info",
            "var/cache/apt",
        ] {
            let folder = root.join(folder);
            std::fs::create_dir_all(&folder)
                .with_context(|| format!("could not make {}", folder.display()))?;
        }
        let architectures: Vec<&str> = std::iter::once(&self.architecture)
            .chain(&self.foreign)
            .map(String::as_str)
            .collect();
        if !self.foreign.is_empty() || self.architecture != "amd64" {
            put(
                root,
                "var/lib/dpkg/arch",
                format!("{}\n", architectures.join("\n")).as_bytes(),
            )?;
        }
        put(root, "var/lib/dpkg/status", self.status.as_bytes())?;
        self.files
            .iter()
            .try_for_each(|(path, bytes)| put(root, path, bytes))
    }
}

fn put(root: &Path, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = root.join(path);
    let folder = path.parent().context("a file of a tree stands in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    std::fs::write(&path, bytes).with_context(|| format!("could not write {}", path.display()))
}
