//! What goes wrong on a host is told as it is, and by its right name.

use super::room::{LEASE, archive, room};
use agent::packages::{Begun, End};
use protocol::message::orders::FailureKind;
use rustix::fs::{FlockOperation, fcntl_lock};
use std::fs::{self, OpenOptions};
use testkit::archive::package::Package;

#[test]
fn a_script_that_fails_is_named_and_what_is_left_is_told() {
    room(|room| {
        let (old, new) = (
            Package::new("tool", "1"),
            Package::new("tool", "2").script("postinst", "exit 3"),
        );
        let other = Package::new("other", "2");
        room.install(&old);
        room.install(&other.clone().with_version("1"));
        let case = room.case(
            &archive([new.clone(), other.clone()]),
            &[(&new, Some("1")), (&other, Some("1"))],
        );
        room.prepare(&case).unwrap();
        let outcome = room.carry_out(&case);
        let End::Failed { kind, detail } = &outcome.end else {
            panic!("{outcome:?}");
        };
        assert_eq!(*kind, FailureKind::Script, "{detail}");
        assert!(
            detail.contains("tool") && detail.contains("exit status 3"),
            "{detail}"
        );
        let [left] = &outcome.left[..] else {
            panic!("{outcome:?}");
        };
        assert_eq!(left.package, "tool:amd64");
        assert_eq!(
            (left.version.as_deref(), left.is_whole),
            (Some("2"), false),
            "dpkg has: {}",
            room.state("tool")
        );
        assert_eq!(room.state("tool"), "2 half-configured");
        assert_eq!(room.state("other"), "2 installed");
        assert!(agent::packages::output(&room.folder(&case)).contains("post-installation script"));
    });
}

#[test]
fn a_script_that_asks_gets_no_answer_and_waits_for_nobody() {
    room(|room| {
        let asking =
            "printf 'Continue? '; if read answer; then exit 9; fi; [ \"$DEBIAN_FRONTEND\" = noninteractive ]";
        let new = Package::new("tool", "2").script("postinst", asking);
        let old = Package::new("tool", "1").conffile("etc/tool.conf", "1");
        let new = new.conffile("etc/tool.conf", "2");
        room.install(&old);
        fs::write("/etc/tool.conf", "of the administrator").unwrap();
        // Not even if the host would have it so.
        fs::write(
            "/etc/apt/apt.conf.d/99new",
            "DPkg::Options:: \"--force-confnew\";\n",
        )
        .unwrap();
        let case = room.case(&archive([new.clone()]), &[(&new, Some("1"))]);
        room.prepare(&case).unwrap();
        room.carry_out_well(&case);
        assert_eq!(
            fs::read_to_string("/etc/tool.conf").unwrap(),
            "of the administrator"
        );
    });
}

#[test]
fn a_disk_that_is_full_is_called_so_and_the_old_version_stays() {
    room(|room| {
        let noise: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let (old, new) = (
            Package::new("tool", "1"),
            Package::new("tool", "2").file("opt/small/noise", &noise),
        );
        room.install(&old);
        fs::create_dir_all("/opt/small").unwrap();
        room.run(&["mount", "-t", "tmpfs", "-o", "size=64k", "small", "/opt/small"]);
        let case = room.case(&archive([new.clone()]), &[(&new, Some("1"))]);
        room.prepare(&case).unwrap();
        let outcome = room.carry_out(&case);
        let End::Failed { kind, detail } = &outcome.end else {
            panic!("{outcome:?}");
        };
        assert_eq!(*kind, FailureKind::DiskFull, "{detail}");
        assert_eq!(
            outcome.left[0].version.as_deref(),
            Some("1"),
            "dpkg has: {}",
            room.state("tool")
        );
        // With room, the same order goes on where it was.
        room.run(&["umount", "/opt/small"]);
        room.carry_out_well(&case);
        assert_eq!(room.state("tool"), "2 installed");
    });
}

#[test]
fn another_program_at_work_with_dpkg_is_waited_for_by_name_and_not_beyond_the_time() {
    room(|room| {
        let (old, new) = (Package::new("tool", "1"), Package::new("tool", "2"));
        room.install(&old);
        let case = room.case(&archive([new.clone()]), &[(&new, Some("1"))]);
        room.prepare(&case).unwrap();
        let lock = OpenOptions::new()
            .write(true)
            .open("/var/lib/dpkg/lock-frontend")
            .unwrap();
        fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
        room.start(&case, 300_000);
        let outcome = room.outcome(&case);
        let End::Late { detail } = &outcome.end else {
            panic!("{outcome:?}");
        };
        let own = fs::read_to_string("/proc/self/comm").unwrap();
        assert!(detail.contains(own.trim()), "{detail} names {own}");
        assert!(agent::packages::output(&room.folder(&case)).contains("Waiting for"));
        assert_eq!(room.unpacked().len(), 1, "only the first installation");
        drop(lock);
        assert_eq!(room.start(&case, LEASE), Begun::Now);
        assert_eq!(room.outcome(&case).end, End::Installed {});
    });
}

#[test]
fn what_somebody_left_unfinished_is_finished_first_and_told() {
    room(|room| {
        let (old, new) = (Package::new("tool", "1"), Package::new("tool", "2"));
        let broken = Package::new("broken", "1").script("postinst", "[ -e /room/mended ]");
        room.install(&old);
        fs::write("/room/broken.deb", broken.deb()).unwrap();
        let done = std::process::Command::new("dpkg")
            .args(["--install", "/room/broken.deb"])
            .output()
            .unwrap();
        assert!(!done.status.success(), "its script fails");
        let case = room.case(&archive([new.clone()]), &[(&new, Some("1"))]);
        room.prepare(&case).unwrap();
        let outcome = room.carry_out(&case);
        assert!(
            matches!(&outcome.end, End::NotBegun { kind: FailureKind::Script, detail } if detail.contains("broken")),
            "{outcome:?}"
        );
        assert_eq!(room.state("tool"), "1 installed");
        fs::write("/room/mended", "").unwrap();
        let outcome = room.carry_out(&case);
        assert_eq!(outcome.end, End::Installed {}, "{outcome:?}");
        assert!(
            outcome.notes.iter().any(|note| note.contains("broken:amd64")),
            "{outcome:?}"
        );
        assert_eq!(room.state("broken"), "1 installed");
    });
}
