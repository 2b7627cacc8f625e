//! Exactly what was ordered, or nothing.

use super::room::{Case, Room, archive, removal, room};
use agent::packages::hook::{Refusal, judge};
use agent::packages::{End, Trouble};
use domain::order::Direction;
use domain::rollout::deployment::Failure;
use protocol::message::orders::FailureKind;
use std::fs;
use testkit::archive::package::Package;
use testkit::archive::{Archive, Pool};

fn kind(found: Result<agent::packages::Simulated, Trouble>) -> Failure {
    found.expect_err("it is not what was ordered").kind
}

/// Why nothing of it was begun.
fn refused(room: &Room, case: &Case) -> (FailureKind, String) {
    match room.carry_out(case).end {
        End::NotBegun { kind, detail } => (kind, detail),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_ordered_is_installed_and_nothing_else_of_the_host_changes() {
    room(|room| {
        let tool = |version: &str| Package::new("tool", version).conffile("etc/tool.conf", version);
        let library = |version: &str| Package::new("library", version);
        let (added, bystander) = (Package::new("added", "2"), Package::new("bystander", "1"));
        let new_tool = tool("2")
            .depends("library (= 2), added")
            .relation("Recommends", "extra");
        for package in [&tool("1"), &library("1"), &bystander] {
            room.install(package);
        }
        room.run(&["apt-mark", "auto", "library"]);
        fs::write("/etc/tool.conf", "of the administrator").unwrap();
        let _ = fs::remove_file("/var/log/dpkg.log");
        let lists = room.run(&["ls", "-lR", "--full-time", "/var/lib/apt/lists"]);
        let published = archive([
            new_tool.clone(),
            library("2"),
            added.clone(),
            bystander.clone().with_version("2"),
            Package::new("extra", "1"),
        ]);
        let case = room.case(
            &published,
            &[(&new_tool, Some("1")), (&library("2"), Some("1")), (&added, None)],
        );
        let simulated = room.prepare(&case).unwrap();
        assert_eq!(simulated.steps, 6, "three packages, unpacked and configured");

        room.carry_out_well(&case);

        let mut unpacked = room.unpacked();
        unpacked.sort();
        let expected = [
            "install added:amd64 <none> 2",
            "upgrade library:amd64 1 2",
            "upgrade tool:amd64 1 2",
        ];
        assert_eq!(unpacked, expected);
        assert_eq!(room.state("bystander"), "1 installed");
        assert_eq!(room.state("extra"), "", "a recommendation is not ordered");
        let automatic = room.run(&["apt-mark", "showauto", "tool", "library", "added"]);
        assert_eq!(
            automatic, "added\nlibrary\n",
            "a dependency stays one, what a person wanted stays wanted"
        );
        assert_eq!(
            fs::read_to_string("/etc/tool.conf").unwrap(),
            "of the administrator"
        );
        assert_eq!(
            room.run(&["ls", "-lR", "--full-time", "/var/lib/apt/lists"]),
            lists
        );
        assert!(
            fs::read_to_string("/var/log/apt/history.log")
                .unwrap()
                .contains("Patchyard::Order=7")
        );
        assert_eq!(room.run(&["dpkg", "--audit"]), "");
        assert_eq!(
            room.prepare(&case).unwrap().steps,
            0,
            "a second time there is nothing left to do"
        );
    });
}

#[test]
fn one_package_more_or_another_one_before_is_seen_by_the_simulation() {
    room(|room| {
        let (old, bystander) = (Package::new("tool", "1"), Package::new("bystander", "1"));
        let dependency = Package::new("dependency", "1");
        room.install(&old);
        room.install(&bystander);

        let needing = Package::new("tool", "2").depends("dependency");
        let case = room.case(&archive([needing.clone(), dependency]), &[(&needing, Some("1"))]);
        assert_eq!(
            kind(room.prepare(&case)),
            Failure::Differs,
            "a dependency that was not ordered"
        );

        let hostile = Package::new("tool", "3").relation("Conflicts", "bystander");
        let mut case = room.case(&archive([hostile.clone()]), &[(&hostile, Some("1"))]);
        assert_eq!(
            kind(room.prepare(&case)),
            Failure::Differs,
            "a removal that was not approved"
        );
        case.order.removals = vec![removal(&old)];
        assert_eq!(
            kind(room.prepare(&case)),
            Failure::Differs,
            "another removal than was approved"
        );
        case.order.removals = vec![removal(&bystander)];
        assert_eq!(room.prepare(&case).unwrap().steps, 3);

        let new = Package::new("tool", "2");
        let other = room.case(&archive([new.clone()]), &[(&new, Some("1.5"))]);
        assert_eq!(
            kind(room.prepare(&other)),
            Failure::HostChanged,
            "another version is replaced"
        );
        room.run(&["apt-mark", "hold", "tool"]);
        let held = room.case(&archive([new.clone()]), &[(&new, Some("1"))]);
        assert_eq!(
            kind(room.prepare(&held)),
            Failure::HostChanged,
            "the host holds it"
        );
        room.run(&["apt-mark", "unhold", "tool"]);

        // The approved removal is carried out, and no other.
        room.prepare(&case).unwrap();
        room.carry_out_well(&case);
        assert_eq!(room.state("bystander"), "");
        assert_eq!(room.state("tool"), "3 installed");
    });
}

#[test]
fn the_hook_is_the_last_word_on_files_versions_and_packages() {
    room(|room| {
        let (old, new) = (Package::new("tool", "1"), Package::new("tool", "2"));
        room.install(&old);
        let case = room.case(&archive([new.clone()]), &[(&new, Some("1"))]);
        let archives = room.folder(&case).join("world/archives");

        // A file that was swapped after all was verified: of the same size, as apt looks at nothing else here.
        room.prepare(&case).unwrap();
        let file = archives.join("tool_2_amd64.deb");
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        let (kind, why) = refused(room, &case);
        assert_eq!(kind, FailureKind::Differs, "{why}");
        assert!(why.contains("not the one that was ordered"), "{why}");

        // Somebody else was quicker.
        room.prepare(&case).unwrap();
        room.install(&Package::new("tool", "1.1"));
        let (kind, why) = refused(room, &case);
        assert_eq!(kind, FailureKind::HostChanged, "{why}");
        assert!(why.contains("1.1"), "{why}");

        assert_eq!(room.state("tool"), "1.1 installed");
        assert_eq!(
            room.unpacked().len(),
            2,
            "what was there before, and nothing of an order"
        );
    });
}

#[test]
fn the_hook_refuses_whatever_is_late_elsewhere_missing_or_not_understood() {
    room(|room| {
        let new = Package::new("tool", "2");
        room.install(&Package::new("tool", "1.1"));
        let second = Package::new("second", "2");
        let packages = [(&new, Some("1.1")), (&second, None)];
        let mut more = room.case(&archive([new.clone(), second.clone()]), &packages);
        let archives = room.folder(&more).join("world/archives");
        room.prepare(&more).unwrap();
        room.start(&more, 0);
        assert!(matches!(room.outcome(&more).end, End::Late { .. }));
        let late = |text: &str| judge(&room.folder(&more), &mut text.as_bytes());
        let files = archives.display();
        let exact = format!(
            "VERSION 3\n\nsecond - - none < 2 amd64 none {files}/second_2_amd64.deb\n\
             tool 1.1 amd64 none < 2 amd64 none {files}/tool_2_amd64.deb\n"
        );
        assert!(
            matches!(late(&exact), Err(Refusal::Late)),
            "the last moment counts, not the first"
        );
        let elsewhere = exact.replace(&format!("{files}/second"), "/room/second");
        let Err(Refusal::Refused(trouble)) = late(&elsewhere) else {
            panic!("a file that others could change");
        };
        assert_eq!(trouble.kind, Failure::Content, "{trouble}");
        for nonsense in ["", "VERSION 2\n\n", "VERSION 3\n", "VERSION 3\n\ntool\n"] {
            assert!(matches!(late(nonsense), Err(Refusal::Refused(_))), "{nonsense:?}");
        }

        // One package is new to the host that was ordered as an upgrade; one file is not there.
        let whole = more.order.clone();
        more.order.packages[0].from = Some("1".into());
        let (kind, why) = refused(room, &more);
        assert_eq!(kind, FailureKind::HostChanged, "{why}");
        more.order = whole.clone();
        let file = archives.join("second_2_amd64.deb");
        fs::rename(&file, "/room/second.deb").unwrap();
        let (kind, why) = refused(room, &more);
        assert_eq!(kind, FailureKind::Differs, "{why}");
        fs::rename("/room/second.deb", &file).unwrap();
        let unpacked: Vec<_> = room
            .unpacked()
            .into_iter()
            .filter(|act| act.ends_with(" 2"))
            .collect();
        assert_eq!(unpacked, [""; 0], "nothing of any of it was begun");
        assert_eq!(room.state("tool"), "1.1 installed");
    });
}

#[test]
fn an_update_is_taken_back_only_by_an_order_that_says_so() {
    room(|room| {
        let (old, new) = (Package::new("tool", "1"), Package::new("tool", "2"));
        room.install(&new);
        let mut case = room.case(&archive([old.clone(), new.clone()]), &[(&old, Some("2"))]);
        assert_eq!(
            kind(room.prepare(&case)),
            Failure::HostChanged,
            "a downgrade that nobody wanted"
        );
        case.order.direction = Direction::BackOut;
        case.approval.direction = Direction::BackOut;
        room.prepare(&case).unwrap();
        room.carry_out_well(&case);
        assert_eq!(room.state("tool"), "1 installed");
    });
}

#[test]
fn packages_of_other_architectures_and_of_none_move_as_they_were_ordered() {
    room(|room| {
        room.run(&["dpkg", "--add-architecture", "i386"]);
        let library = |architecture: &str, version: &str| {
            let package = Package::new("library", version).arch(architecture);
            package
                .multi_arch("same")
                .file(&format!("usr/lib/{architecture}/library"), version.as_bytes())
        };
        let data = |version: &str| Package::new("data", version).arch("all");
        for package in [library("amd64", "1"), library("i386", "1"), data("1")] {
            room.install(&package);
        }
        room.run(&["apt-mark", "auto", "library:i386", "data"]);
        let _ = fs::remove_file("/var/log/dpkg.log");
        let new = [library("amd64", "2"), library("i386", "2"), data("2")];
        let packages = new.each_ref().map(|package| (package, Some("1")));
        let case = room.case(&archive(new.clone()).arch("i386"), &packages);
        assert_eq!(room.prepare(&case).unwrap().steps, 6);

        // One without the other is not what apt would do.
        let mut half = case.clone();
        half.order
            .packages
            .retain(|package| &*package.architecture != "i386");
        assert_eq!(kind(room.prepare(&half)), Failure::Differs);

        room.prepare(&case).unwrap();
        room.carry_out_well(&case);
        let mut unpacked = room.unpacked();
        unpacked.sort();
        let expected = [
            "upgrade data:all 1 2",
            "upgrade library:amd64 1 2",
            "upgrade library:i386 1 2",
        ];
        assert_eq!(unpacked, expected);
        let automatic = room.run(&["apt-mark", "showauto", "library", "library:i386", "data"]);
        assert_eq!(automatic, "data\nlibrary:i386\n");
    });
}

#[test]
fn an_approved_removal_alone_needs_no_source() {
    room(|room| {
        let (gone, stays) = (Package::new("gone", "1"), Package::new("stays", "1"));
        room.install(&gone);
        room.install(&stays);
        let mut case = room.empty_case();
        case.order.removals = vec![removal(&gone)];
        case.approval.release.rules.removals = case.order.removals.clone();
        assert_eq!(room.prepare(&case).unwrap().steps, 1);
        room.carry_out_well(&case);
        assert_eq!(
            (room.state("gone"), room.state("stays")),
            (String::new(), "1 installed".to_owned())
        );
        assert_eq!(room.prepare(&case).unwrap().steps, 0);
    });
}

#[test]
fn settings_and_hooks_of_the_host_change_nothing_of_what_was_ordered() {
    room(|room| {
        let (old, new) = (Package::new("tool", "1"), Package::new("tool", "2"));
        let new = new.relation("Recommends", "extra");
        room.install(&old);
        let hostile = "APT::Update::Post-Invoke-Success { \"touch /room/updated\"; };\n\
                       DPkg::Post-Invoke { \"touch /room/invoked; exit 1\"; };\n\
                       APT::Install-Recommends \"true\";\nAPT::Get::AutomaticRemove \"true\";\n\
                       APT::Get::AllowUnauthenticated \"true\";\nAPT::Default-Release \"other\";\n\
                       Acquire::AllowInsecureRepositories \"true\";\nAcquire::GzipIndexes \"true\";\n";
        fs::write("/etc/apt/apt.conf.d/99host", hostile).unwrap();
        let never = "Package: *\nPin: release *\nPin-Priority: -1\n";
        fs::write("/etc/apt/preferences.d/never", never).unwrap();
        let published = archive([new.clone(), Package::new("extra", "1")]);
        let case = room.case(&published, &[(&new, Some("1"))]);
        room.prepare(&case).unwrap();
        let outcome = room.carry_out(&case);
        assert_eq!(outcome.end, End::Installed {}, "{outcome:?}");
        assert!(
            outcome.notes.iter().any(|note| note.contains("Post-Invoke")),
            "{outcome:?}"
        );
        assert!(
            fs::exists("/room/invoked").unwrap(),
            "what the host does after dpkg is its own matter"
        );
        assert!(
            !fs::exists("/room/updated").unwrap(),
            "its own lists were not updated"
        );
        assert_eq!(
            (room.state("tool"), room.state("extra")),
            ("2 installed".to_owned(), String::new())
        );

        // And what nobody signed stays out.
        let unsigned = Archive::new("stable")
            .arch("amd64")
            .package(new.clone())
            .pool(Pool::Written);
        let case = room.case(&unsigned, &[(&new, Some("1"))]);
        assert_eq!(kind(room.prepare(&case)), Failure::Snapshot);
    });
}
