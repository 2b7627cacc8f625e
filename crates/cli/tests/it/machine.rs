//! This machine itself, with its own lists.

use crate::product::{assert_same, scan};
use std::path::Path;
use testkit::apt::output::{LIST_FORMAT, parse_list};
use testkit::skip;

#[test]
fn this_machine_is_missing_what_its_apt_would_upgrade() {
    let lists = std::fs::read_dir("/var/lib/apt/lists").map(|entries| {
        entries
            .filter_map(Result::ok)
            .any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
    });
    if !lists.unwrap_or(false) {
        skip::skip(&"this machine has no package lists; apt-get update fetches them");
        return;
    }
    let cache = tempfile::tempdir().unwrap();
    let format = format!("APT::Cmd::format={LIST_FORMAT}");
    let listed = std::process::Command::new("apt")
        .args([
            "list",
            "--upgradable",
            "-o",
            "APT::Cmd::use-format=true",
            "-o",
            &format,
        ])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let theirs = parse_list(&String::from_utf8(listed.stdout).unwrap()).unwrap();
    let ours = scan(Path::new("/"), cache.path(), &[]);
    assert_same("this machine", &ours.pending(), &theirs);
    let again = scan(Path::new("/"), cache.path(), &[]);
    assert_same(
        "the second scan, from compiled indexes",
        &again.pending(),
        &theirs,
    );
}
