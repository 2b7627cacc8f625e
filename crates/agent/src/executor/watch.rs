//! Has anything changed on the host that its documents speak of? Looks at names, sizes and times of a few hundred files, and
//! reads none of them: a hundredth of the work of reading the host.

use ring::digest::{Context, SHA256};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How the watched files looked at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(pub [u8; 32]);

/// Files that say what is installed, where it comes from and what runs, relative to the root.
const FILES: [&str; 14] = [
    "var/lib/dpkg/status",
    "var/lib/dpkg/arch",
    "var/lib/dpkg/updates",
    "var/lib/apt/extended_states",
    "var/log/dpkg.log",
    "var/log/apt/history.log",
    "var/lib/rpm",
    "usr/lib/sysimage/rpm",
    "etc/os-release",
    "etc/machine-id",
    "etc/hostname",
    "run/reboot-required",
    "run/reboot-required.pkgs",
    "proc/sys/kernel/random/boot_id",
];
/// Folders of which every entry counts, and for those of apt the entries below.
const FOLDERS: [&str; 8] = [
    "etc/apt",
    "etc/yum.repos.d",
    "etc/zypp",
    "usr/share/keyrings",
    "var/lib/apt/lists",
    "boot",
    "lib/modules",
    "etc/cron.d",
];
/// Folders below a watched folder that are entered.
const DEPTH: usize = 2;
/// Entries that are looked at in all; a host with more is read once an hour only.
const ENTRIES: usize = 20_000;

/// How the files below `root` look now.
pub fn stamp(root: &Path) -> Stamp {
    let mut seen = Context::new(&SHA256);
    let mut left = ENTRIES;
    for file in FILES {
        add(&mut seen, &root.join(file));
    }
    for folder in FOLDERS {
        walk(&mut seen, &root.join(folder), DEPTH, &mut left);
    }
    let digest = seen.finish();
    Stamp(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

fn walk(seen: &mut Context, folder: &Path, depth: usize, left: &mut usize) {
    add(seen, folder);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<(PathBuf, bool)> = entries
        .flatten()
        .take(*left)
        .map(|entry| (entry.path(), entry.file_type().is_ok_and(|kind| kind.is_dir())))
        .collect();
    *left -= paths.len();
    paths.sort();
    for (path, is_folder) in paths {
        if is_folder && depth > 0 {
            walk(seen, &path, depth - 1, left);
        } else {
            add(seen, &path);
        }
    }
}

/// A file's name, place, size and times of change; links are not followed, and what is missing counts as that.
fn add(seen: &mut Context, path: &Path) {
    seen.update(path.as_os_str().as_bytes());
    seen.update(&[0]);
    let Ok(facts) = std::fs::symlink_metadata(path) else {
        return seen.update(&[0]);
    };
    seen.update(&[1]);
    let times = [
        facts.mtime(),
        facts.mtime_nsec(),
        facts.ctime(),
        facts.ctime_nsec(),
    ];
    for number in times {
        seen.update(&number.to_be_bytes());
    }
    for number in [facts.dev(), facts.ino(), facts.size()] {
        seen.update(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_added_or_removed_file_is_noticed_and_nothing_else() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |path: &str| root.path().join(path);
        for folder in ["var/lib/dpkg", "etc/apt/sources.list.d", "home"] {
            std::fs::create_dir_all(at(folder)).expect("a folder");
        }
        std::fs::write(at("var/lib/dpkg/status"), "Package: a").expect("a file");
        let mut last = stamp(root.path());
        assert_eq!(stamp(root.path()), last);
        std::fs::write(at("home/letter"), "nothing of ours").expect("a file");
        assert_eq!(stamp(root.path()), last);
        let mut changed = |what: &str| {
            let now = stamp(root.path());
            assert_ne!(now, last, "{what}");
            last = now;
        };
        std::fs::write(at("var/lib/dpkg/status.new"), "Package: b").expect("a file");
        std::fs::rename(at("var/lib/dpkg/status.new"), at("var/lib/dpkg/status")).expect("a new status");
        changed("another file of the same size");
        std::fs::write(at("etc/apt/sources.list.d/a.sources"), "").expect("a file");
        changed("a new source");
        std::fs::remove_file(at("etc/apt/sources.list.d/a.sources")).expect("it was there");
        changed("a source less");
    }
}
