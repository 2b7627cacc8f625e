//! The document of installed packages: sorted by name, then architecture, in byte order; no two alike.

use super::{Document, DocumentError, DocumentKind};
use crate::limits;
use crate::wire::is_default;
use domain::host::inventory::{
    BuildFingerprint, InstalledPackage, Inventory, PackageState, ReinstallRequired, Selection,
};
use serde::{Deserialize, Serialize};

/// All packages of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InventoryDocument {
    /// The packages, at most [`limits::INVENTORY_PACKAGES`].
    pub packages: Vec<Package>,
}

/// One package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Binary package name.
    pub name: Box<str>,
    /// Architecture, `all` included.
    pub architecture: Box<str>,
    /// Installed version.
    pub version: Box<str>,
    /// Source package; absent if it has the binary's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<str>>,
    /// Source version; absent if it is the binary's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<Box<str>>,
    /// What the administrator wants of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub selection: WireSelection,
    /// How far dpkg got with it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub state: WireState,
    /// Whether dpkg demands that it be installed again.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reinstall: bool,
    /// apt's hash over its relations, low 32 bits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub relations: u32,
    /// The Multi-Arch field: 0 none, 1 `same`, 2 `foreign`, 3 `allowed`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub multi_arch: u8,
    /// Size of the .deb in bytes; 0 where unknown.
    #[serde(default, skip_serializing_if = "is_default")]
    pub size_bytes: u64,
}

/// dpkg's selection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireSelection {
    /// To be installed.
    #[default]
    Install,
    /// Not decided.
    Unknown,
    /// On hold.
    Hold,
    /// To be removed.
    Deinstall,
    /// To be removed with its configuration.
    Purge,
}

/// dpkg's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WireState {
    /// Unpacked and configured.
    #[default]
    Installed,
    /// Unpacking was not completed.
    HalfInstalled,
    /// Not configured.
    Unpacked,
    /// Configuring was not completed.
    HalfConfigured,
    /// Waits for another's trigger.
    TriggersAwaited,
    /// Its own trigger has not run.
    TriggersPending,
}

super::wire_words!(
    WireSelection = Selection {
        Unknown,
        Install,
        Hold,
        Deinstall,
        Purge
    }
);
super::wire_words!(
    WireState = PackageState {
        Installed,
        HalfInstalled,
        Unpacked,
        HalfConfigured,
        TriggersAwaited,
        TriggersPending
    }
);

/// The number of Multi-Arch values.
const MULTI_ARCH_VALUES: u8 = 4;

impl Package {
    /// The order of packages in an inventory.
    pub(crate) fn key(&self) -> (&str, &str) {
        (&self.name, &self.architecture)
    }

    pub(crate) fn check(&self) -> Result<(), DocumentError> {
        if self.source.as_deref() == Some(&*self.name) {
            return Err(DocumentError::NotCanonical(
                "a source is named that is the package's own name",
            ));
        }
        if self.source_version.as_deref() == Some(&*self.version) {
            return Err(DocumentError::NotCanonical(
                "a source version is named that is the package's own",
            ));
        }
        if self.multi_arch >= MULTI_ARCH_VALUES {
            return Err(DocumentError::NotCanonical(
                "a package has a Multi-Arch value that does not exist",
            ));
        }
        Ok(())
    }
}

impl From<&InstalledPackage> for Package {
    fn from(package: &InstalledPackage) -> Self {
        use super::Wire as _;
        let unless = |text: &str, usual: &str| (text != usual).then(|| text.into());
        Self {
            name: package.name.clone(),
            architecture: package.architecture.clone(),
            version: package.version.clone(),
            source: unless(&package.source, &package.name),
            source_version: unless(&package.source_version, &package.version),
            selection: WireSelection::of(&package.selection),
            state: WireState::of(&package.state),
            reinstall: package.reinstall_required == ReinstallRequired::Yes,
            relations: package.fingerprint.relations,
            multi_arch: package.fingerprint.multi_arch,
            size_bytes: package.fingerprint.size_bytes,
        }
    }
}

impl From<Package> for InstalledPackage {
    fn from(package: Package) -> Self {
        use super::Wire as _;
        Self {
            source: package.source.unwrap_or_else(|| package.name.clone()),
            source_version: package.source_version.unwrap_or_else(|| package.version.clone()),
            name: package.name,
            architecture: package.architecture,
            version: package.version,
            selection: package.selection.into_domain(),
            state: package.state.into_domain(),
            reinstall_required: match package.reinstall {
                true => ReinstallRequired::Yes,
                false => ReinstallRequired::No,
            },
            fingerprint: BuildFingerprint {
                relations: package.relations,
                multi_arch: package.multi_arch,
                size_bytes: package.size_bytes,
            },
        }
    }
}

impl From<&Inventory> for InventoryDocument {
    fn from(inventory: &Inventory) -> Self {
        Self {
            packages: inventory.packages.iter().map(Package::from).collect(),
        }
    }
}

impl From<InventoryDocument> for Inventory {
    fn from(document: InventoryDocument) -> Self {
        Self {
            packages: document
                .packages
                .into_iter()
                .map(InstalledPackage::from)
                .collect(),
        }
    }
}

impl Document for InventoryDocument {
    const KIND: DocumentKind = DocumentKind::Inventory;

    fn check(&self) -> Result<(), DocumentError> {
        limits::within("packages", self.packages.len(), limits::INVENTORY_PACKAGES)?;
        if !self.packages.is_sorted_by(|one, next| one.key() < next.key()) {
            return Err(DocumentError::NotCanonical(
                "its packages are not sorted, or one is there twice",
            ));
        }
        self.packages.iter().try_for_each(Package::check)
    }
}
