//! The 14 shared hosts against the lists of their suite, as the archive has them today.

use crate::product::{assert_same, scan};
use std::path::{Path, PathBuf};
use testkit::apt::Apt;
use testkit::archive::Format;
use testkit::archive::compress::unpack;
use testkit::{lab, skip};

/// Suites of the inventories.
pub const SUITES: [&str; 2] = ["bookworm", "trixie"];

/// dpkg statuses of one suite by role.
pub fn statuses(suite: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/inventories");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name.starts_with(suite) {
            let status = unpack(Format::Xz, &std::fs::read(&path).unwrap()).unwrap();
            found.push((name, String::from_utf8(status).unwrap()));
        }
    }
    found.sort();
    assert_eq!(found.len(), 7, "inventories of {suite}");
    found
}

/// A tree of its own with the real lists of a suite, linked, or a skip.
pub fn tree_with_lists(suite: &str, foreign: &[&str]) -> Option<tempfile::TempDir> {
    let lists = match lab::lists(suite, foreign) {
        Ok(lists) => lists,
        Err(missing) => {
            skip::skip_for(&missing);
            return None;
        }
    };
    let tree = tempfile::Builder::new()
        .prefix("tree-")
        .tempdir_in(lab::cache())
        .unwrap();
    lab::debian_tree(suite, foreign)
        .unwrap()
        .write_to(tree.path())
        .unwrap();
    let from: PathBuf = lists.join("var/lib/apt/lists");
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::hard_link(
                entry.path(),
                tree.path().join("var/lib/apt/lists").join(entry.file_name()),
            )
            .unwrap();
        }
    }
    Some(tree)
}

#[test]
fn every_shared_inventory_is_missing_what_apt_would_upgrade() {
    for suite in SUITES {
        let Some(tree) = tree_with_lists(suite, &[]) else {
            return;
        };
        let caches = tempfile::tempdir_in(lab::cache()).unwrap();
        for (name, status) in statuses(suite) {
            std::fs::write(tree.path().join("var/lib/dpkg/status"), status).unwrap();
            let apt = Apt::over_with_cache(tree.path(), &caches.path().join("apt")).unwrap();
            let theirs = apt.upgradable().unwrap();
            assert!(
                !theirs.is_empty(),
                "apt finds nothing to upgrade on {name}: the lists are not the release's"
            );
            let ours = scan(tree.path(), &caches.path().join("patchyard"), &[]);
            assert_same(&name, &ours.pending(), &theirs);
        }
    }
}
