//! A transaction as it is kept: what a change takes on a host, one text with a digest, which many hosts share.

use super::RolloutError;
use crate::catalog::resolve::{Below, NeededFile, Resolved, WayBack};
use domain::digest::Sha256Digest;
use domain::id::SourceId;
use domain::order::{OrderedPackage, OrderedSnapshot, Removal};
use protocol::order::{WirePackage, WireRemoval, WireSnapshot};
use serde::{Deserialize, Serialize};

/// What a change takes on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    snapshots: Vec<WireSnapshot>,
    packages: Vec<WirePackage>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removals: Vec<WireRemoval>,
    files: Vec<File>,
    /// Files of what is replaced that are fetched too where they can be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<File>,
    /// Packages whose former version cannot be had again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    without_way_back: Vec<String>,
}

/// A file that it needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    sha256: String,
    size_bytes: u64,
    source: String,
    path: String,
    below: BelowWord,
    release: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BelowWord {
    Archive,
    Release,
}

impl Transaction {
    /// Of what was found out about a host.
    pub fn of(resolved: &Resolved) -> Self {
        Self {
            snapshots: resolved.snapshots.iter().map(WireSnapshot::of).collect(),
            packages: resolved.packages.iter().map(WirePackage::of).collect(),
            removals: resolved.removals.iter().map(WireRemoval::of).collect(),
            files: resolved.files.iter().map(File::of).collect(),
            former: resolved.former.iter().map(File::of).collect(),
            without_way_back: match &resolved.way_back {
                WayBack::Yes => Vec::new(),
                WayBack::No { packages } => packages.clone(),
            },
        }
    }

    /// Its text and the digest that it is known by.
    pub fn to_text(&self) -> (Sha256Digest, String) {
        let text = serde_json::to_string(self).expect("texts and numbers are JSON");
        (protocol::sha256(text.as_bytes()), text)
    }

    /// Reads what [`Self::to_text`] wrote.
    ///
    /// # Errors
    /// [`RolloutError::Transaction`].
    pub fn parse(text: &str) -> Result<Self, RolloutError> {
        serde_json::from_str(text).map_err(RolloutError::Transaction)
    }

    /// The snapshots that its packages come from.
    pub fn snapshots(&self) -> Vec<OrderedSnapshot> {
        let snapshots = self.snapshots.iter().cloned();
        snapshots.map(WireSnapshot::into_snapshot).collect()
    }

    /// What it installs.
    pub fn packages(&self) -> Vec<OrderedPackage> {
        let packages = self.packages.iter().cloned();
        packages.map(WirePackage::into_package).collect()
    }

    /// What it removes.
    pub fn removals(&self) -> Vec<Removal> {
        let removals = self.removals.iter().cloned();
        removals.map(WireRemoval::into_removal).collect()
    }

    /// The files that it needs.
    ///
    /// # Errors
    /// [`RolloutError::Gone`] for one that is not of this program's form.
    pub fn files(&self) -> Result<Vec<NeededFile>, RolloutError> {
        self.files.iter().map(File::needed).collect()
    }

    /// The files of what it replaces that are wanted beside them.
    ///
    /// # Errors
    /// As [`Self::files`].
    pub fn former(&self) -> Result<Vec<NeededFile>, RolloutError> {
        self.former.iter().map(File::needed).collect()
    }

    /// The size of the files that it needs, in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size_bytes).sum()
    }

    /// Packages whose former version cannot be had again.
    pub fn without_way_back(&self) -> &[String] {
        &self.without_way_back
    }

    /// The same with other packages: those that are left to be installed on a host that changed meanwhile.
    #[must_use]
    pub fn with_packages(self, packages: &[OrderedPackage]) -> Self {
        Self {
            packages: packages.iter().map(WirePackage::of).collect(),
            ..self
        }
    }
}

impl File {
    fn of(file: &NeededFile) -> Self {
        Self {
            sha256: file.sha256.to_string(),
            size_bytes: file.size_bytes,
            source: file.source.to_string(),
            path: file.path.clone(),
            below: match file.below {
                Below::Archive => BelowWord::Archive,
                Below::Release => BelowWord::Release,
            },
            release: file.release.to_string(),
        }
    }

    fn needed(&self) -> Result<NeededFile, RolloutError> {
        let no_digest = |_| RolloutError::Gone("a file's digest in a kept transaction");
        let digest = |text: &str| Sha256Digest::parse(text.as_bytes()).map_err(no_digest);
        Ok(NeededFile {
            sha256: digest(&self.sha256)?,
            size_bytes: self.size_bytes,
            source: SourceId::parse(&self.source)
                .map_err(|_no_id| RolloutError::Gone("a file's source in a kept transaction"))?,
            path: self.path.clone(),
            below: match self.below {
                BelowWord::Archive => Below::Archive,
                BelowWord::Release => Below::Release,
            },
            release: digest(&self.release)?,
        })
    }
}
