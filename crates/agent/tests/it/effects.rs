//! What updates would restart and reboot, from files and from this very process.

use crate::oracle::put;
use agent::effects::processes::{ProcessError, Processes};
use agent::effects::reboot::RebootNeed;
use agent::effects::{Blind, PackageRef, ProcessView, Restarts, Surroundings};
use agent::tree::Tree;
use domain::host::facts::Facts;
use std::os::unix::fs::symlink;
use std::path::Path;

const DPKG: &str = "/var/lib/dpkg";

fn package(name: &str) -> PackageRef<'_> {
    PackageRef {
        name,
        architecture: "amd64",
    }
}

fn restarts(tree: &Tree, packages: &[PackageRef<'_>], view: ProcessView<'_>) -> Restarts {
    Surroundings::new(tree, DPKG, &Facts::default(), view)
        .effects(packages)
        .restarts
}

#[test]
fn in_a_file_tree_the_enabled_services_of_the_packages_restart() {
    let root = tempfile::tempdir().unwrap();
    let info = "var/lib/dpkg/info";
    put(
        root.path(),
        &format!("{info}/web.list"),
        "/.\n/usr\n/lib/systemd/system/web.service\n/lib/systemd/system/web@.service\n",
    );
    put(
        root.path(),
        &format!("{info}/lib:amd64.list"),
        "/usr/lib/systemd/system/off.service\n/usr/lib/systemd/system/also.service\n",
    );
    put(
        root.path(),
        &format!("{info}/other.list"),
        "/lib/systemd/system/other.service\n",
    );
    let wants = root.path().join("etc/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&wants).unwrap();
    for unit in ["web.service", "also.service", "other.service", "web@x.service"] {
        symlink(format!("/lib/systemd/system/{unit}"), wants.join(unit)).unwrap();
    }
    let tree = Tree::open(root.path()).unwrap();
    let found = restarts(&tree, &[package("web"), package("lib")], ProcessView::Unseen);
    assert_eq!(found.services, ["also", "web"]);
    assert_eq!((found.programs.len(), found.blind.len()), (0, 0));
    let found = restarts(
        &tree,
        &[package("gone"), package("../../../etc/passwd")],
        ProcessView::Unseen,
    );
    assert_eq!(found.services.len(), 0);
    assert!(matches!(
        found.blind.as_slice(),
        [Blind::Files { .. }, Blind::Files { .. }]
    ));
    assert!(matches!(Processes::read(&tree), Err(ProcessError::NotLive)));
}

#[test]
fn a_running_program_that_uses_an_updated_file_is_found() {
    let tree = Tree::open(Path::new("/")).unwrap();
    let listed = ["libc6:amd64", "libc6"].iter().any(|name| {
        std::fs::read_to_string(format!("/var/lib/dpkg/info/{name}.list"))
            .is_ok_and(|list| list.contains("libc.so.6"))
    });
    if !listed {
        return testkit::skip::skip(&"this is no Debian amd64 system");
    }
    let processes = Processes::read(&tree).unwrap();
    let found = restarts(&tree, &[package("libc6")], ProcessView::Seen(&processes));
    let own = std::fs::read_to_string("/proc/self/comm").unwrap();
    let all: Vec<&String> = found.programs.iter().chain(&found.services).collect();
    let service = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    assert!(
        all.iter()
            .any(|name| **name == own.trim() || service.contains(&format!("{name}.service"))),
        "{found:?}"
    );
    let nothing = restarts(&tree, &[package("tzdata")], ProcessView::Seen(&processes));
    assert!(!nothing.programs.contains(&own.trim().to_owned()));
}

#[test]
fn a_reboot_is_needed_for_the_running_kernel_and_for_packages_whose_scripts_ask_for_it() {
    let root = tempfile::tempdir().unwrap();
    let info = "var/lib/dpkg/info";
    put(
        root.path(),
        &format!("{info}/dbus.postinst"),
        "#!/bin/sh\ntouch /run/reboot-required\n",
    );
    put(
        root.path(),
        &format!("{info}/curl.postinst"),
        "#!/bin/sh\n  # no /run/reboot-required here\n",
    );
    put(root.path(), &format!("{info}/libc6:amd64.list"), "/.\n");
    put(
        root.path(),
        &format!("{info}/libc6:amd64.postinst"),
        "/usr/share/update-notifier/notify-reboot-required\n",
    );
    let tree = Tree::open(root.path()).unwrap();
    let running = Facts {
        kernel_release: Some("6.1.0-25-amd64".to_owned()),
        ..Facts::default()
    };
    let need = |names: &[&str], facts: &Facts| {
        let packages: Vec<_> = names.iter().map(|name| package(name)).collect();
        Surroundings::new(&tree, DPKG, facts, ProcessView::Unseen)
            .effects(&packages)
            .reboot
    };
    let yes = |names: &[&str]| RebootNeed::Yes {
        packages: names.iter().map(|&name| name.to_owned()).collect(),
    };
    assert_eq!(need(&["curl"], &running), RebootNeed::No);
    assert_eq!(
        need(&["libc6", "curl", "dbus"], &running),
        yes(&["dbus", "libc6"])
    );
    assert_eq!(
        need(&["linux-image-6.1.0-25-amd64"], &running),
        yes(&["linux-image-6.1.0-25-amd64"])
    );
    assert_eq!(need(&["linux-image-6.1.0-24-amd64"], &running), RebootNeed::No);
    assert!(matches!(
        need(&["linux-image-amd64"], &Facts::default()),
        RebootNeed::Unknown { .. }
    ));
    assert_eq!(
        need(&["linux-image-amd64", "dbus"], &Facts::default()),
        yes(&["dbus"])
    );
    assert_eq!(need(&["intel-microcode"], &running), yes(&["intel-microcode"]));
}
