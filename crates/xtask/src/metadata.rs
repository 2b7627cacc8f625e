//! What `cargo metadata` says about the workspace and what it links.

use crate::command;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// The packages that a resolution of the lock file contains, the workspace's own among them.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// Every package of the resolution.
    pub packages: Vec<Package>,
}

/// One package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence as an SPDX expression; absent where it names only a file.
    pub license: Option<String>,
    /// Where it comes from; absent for the workspace's own.
    pub source: Option<String>,
    /// What it asks for.
    pub dependencies: Vec<Dependency>,
}

/// One line of a manifest's dependencies.
#[derive(Debug, Deserialize)]
pub struct Dependency {
    /// The package that is asked for.
    pub name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    pub kind: Option<String>,
    /// The versions that would do, such as `^1.2` or `*`.
    pub req: String,
    /// Folder of a dependency inside the workspace.
    pub path: Option<String>,
}

impl Metadata {
    /// Asks cargo about the workspace at `root`, as the lock file resolves it for every target.
    pub fn of(root: &Path) -> Result<Self> {
        let text = command::output(
            Command::new("cargo")
                .args(["metadata", "--format-version", "1", "--locked"])
                .current_dir(root),
        )?;
        serde_json::from_str(&text).context("read what cargo metadata printed")
    }

    /// The workspace's own packages.
    pub fn own(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.source.is_none())
    }
}
