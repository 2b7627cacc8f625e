//! The built command, run, and what it prints as JSON, read.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use testkit::apt::Pending;

/// What `patchyard scan --json` printed.
pub struct Scan(pub Value);

/// Scans a tree, with compiled indexes kept in `cache`.
pub fn scan(root: &Path, cache: &Path, options: &[&str]) -> Scan {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchyard"));
    command
        .args(["scan", "--json", "--root"])
        .arg(root)
        .arg("--cache-dir")
        .arg(cache)
        .args(options);
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "patchyard scan of {} ended with {}: {said}",
        root.display(),
        done.status
    );
    Scan(serde_json::from_slice(&done.stdout).unwrap())
}

/// What `--explain` says of a package of a tree.
pub fn explanation(root: &Path, cache: &Path, name: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_patchyard"));
    command
        .args(["scan", "--explain", name, "--root"])
        .arg(root)
        .arg("--cache-dir")
        .arg(cache);
    let done = command.output().unwrap();
    String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned()
}

impl Scan {
    /// Every package of every update, in whatever state.
    pub fn packages(&self) -> impl Iterator<Item = &Value> {
        let updates = self.0["updates"].as_array().unwrap();
        updates
            .iter()
            .flat_map(|update| update["packages"].as_array().unwrap())
    }

    /// What apt would list as upgradable.
    pub fn pending(&self) -> BTreeSet<Pending> {
        self.packages()
            .map(|package| Pending {
                name: text(package, "name"),
                architecture: text(package, "architecture"),
                installed: text(package, "installed"),
                candidate: text(package, "available"),
            })
            .collect()
    }

    /// Names of the packages in that state; with `:architecture` where that is foreign to `native`.
    pub fn names_in_state(&self, state: &str, native: &str) -> BTreeSet<String> {
        let packages = self.packages().filter(|package| package["state"] == state);
        packages.map(|package| pretty_name(package, native)).collect()
    }
}

/// A field's text.
pub fn text(value: &Value, field: &str) -> String {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text in {field}: {value}"))
        .to_owned()
}

/// The name as apt prints it.
pub fn pretty_name(package: &Value, native: &str) -> String {
    match package["architecture"].as_str().unwrap() {
        architecture if architecture == native || architecture == "all" => text(package, "name"),
        architecture => format!("{}:{architecture}", text(package, "name")),
    }
}

/// Fails with the differences alone: the sets have hundreds of members.
pub fn assert_same<T: Ord + std::fmt::Debug>(what: &str, ours: &BTreeSet<T>, theirs: &BTreeSet<T>) {
    let only_ours: Vec<_> = ours.difference(theirs).collect();
    let only_theirs: Vec<_> = theirs.difference(ours).collect();
    assert!(
        only_ours.is_empty() && only_theirs.is_empty(),
        "{what}: {} equal; only we say {only_ours:#?}; only apt says {only_theirs:#?}",
        ours.intersection(theirs).count()
    );
}
