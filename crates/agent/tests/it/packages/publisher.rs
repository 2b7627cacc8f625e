//! Whose word counts: the vendor's, by the host's own keys and those that were approved, over the very release file that was.

use super::room::{ADDRESS, archive, key, ordered, room, room_of, update};
use agent::packages::Trouble;
use domain::rollout::deployment::Failure;
use std::fs;
use testkit::archive::package::Package;
use testkit::archive::{Archive, Format, Pool, Signatures};
use testkit::keys::SigningKey;

#[track_caller]
fn is_refused(found: Result<agent::packages::Simulated, Trouble>, kind: Failure, words: &str) {
    let trouble = found.expect_err("nobody vouches for it");
    assert_eq!(trouble.kind, kind, "{trouble}");
    assert!(trouble.detail.contains(words), "{trouble}");
}

#[test]
fn only_an_approved_update_of_an_approved_publisher_passes() {
    room(|room| {
        let tool = |version: &str| Package::new("tool", version);
        room.install(&tool("1"));
        let case = room.case(&archive([tool("2")]), &[(&tool("2"), Some("1"))]);
        room.prepare(&case).unwrap();

        let mut other = case.clone();
        other.approval.release.updates[0].source_version = "3".to_owned();
        is_refused(room.prepare(&other), Failure::Differs, "which was not approved");
        let mut other = case.clone();
        other.approval.release.updates[0].build = "+b1".to_owned();
        is_refused(room.prepare(&other), Failure::Differs, "which was not approved");
        let mut other = case.clone();
        other.approval.release.updates[0].publisher.origin = "Somebody".to_owned();
        is_refused(room.prepare(&other), Failure::Differs, "which was not approved");
        // Of that name, and signed by keys that the host trusts; but they are not the approved publisher's.
        let mut other = case.clone();
        let stranger = SigningKey::ed25519("Stranger <stranger@archive.example>");
        other.approval.release.updates[0].publisher.keys = vec![stranger.fingerprint()];
        is_refused(room.prepare(&other), Failure::Snapshot, "apt-get update");
        let mut other = case.clone();
        other.approval.release.updates[0].publisher.keys.clear();
        is_refused(room.prepare(&other), Failure::Differs, "which was not approved");
        // Another file under the name and version of an approved one.
        let mut other = case.clone();
        let rebuilt = tool("2").rebuilt("other");
        fs::write(room.file(&protocol::sha256(&rebuilt.deb())), rebuilt.deb()).unwrap();
        other.order.packages[0].sha256 = protocol::sha256(&rebuilt.deb());
        is_refused(
            room.prepare(&other),
            Failure::Content,
            "not, as ordered, in any index",
        );
        // One of several keys that were approved is enough.
        let mut other = case;
        other.approval.release.updates[0]
            .publisher
            .keys
            .push(stranger.fingerprint());
        room.prepare(&other).unwrap();
    });
}

#[test]
fn a_release_file_counts_by_its_digest_and_by_the_hosts_own_keys() {
    room(|room| {
        let (old, new) = (Package::new("tool", "1"), Package::new("tool", "2"));
        room.install(&old);
        let packages = [(&new, Some("1"))];

        // Past its date, it is still what was approved.
        let expired: Archive = archive([new.clone()]).valid_until("2026-06-08T00:00:00Z".parse().unwrap());
        room.prepare(&room.case(&expired, &packages)).unwrap();

        // Another release file than was approved, however well signed: an older one, for example.
        let mut case = room.case(&archive([new.clone()]), &packages);
        let older = room.fetch(&archive([old.clone()]).date("2026-05-01T00:00:00Z".parse().unwrap()));
        fs::copy(
            room.file(&older.release),
            room.file(&case.order.snapshots[0].release),
        )
        .unwrap();
        is_refused(
            room.prepare(&case),
            Failure::Snapshot,
            "not the one that was ordered",
        );
        // An older one that the order itself names does not have the package.
        case.order.snapshots[0] = older;
        is_refused(
            room.prepare(&case),
            Failure::Content,
            "not, as ordered, in any index",
        );

        // Signed by nobody, or by somebody whom this host does not know.
        let stranger = SigningKey::ed25519("Stranger <stranger@archive.example>");
        let foreign = Archive::new("stable")
            .arch("amd64")
            .package(new.clone())
            .pool(Pool::Written);
        let case = room.case(&foreign.clone().sign(&stranger), &packages);
        is_refused(room.prepare(&case), Failure::Snapshot, "apt-get update");

        // An index that is not the signed one.
        let case = room.case(&archive([new.clone()]), &packages);
        let index = room.file(&case.order.snapshots[0].indexes[0].sha256);
        let other = room.case(&archive([new.clone(), Package::new("more", "1")]), &packages);
        fs::copy(room.file(&other.order.snapshots[0].indexes[0].sha256), index).unwrap();
        is_refused(room.prepare(&case), Failure::Content, "apt-get update");

        // A source that this host does not use.
        let mut case = room.case(&archive([new.clone()]), &packages);
        case.order.snapshots[0].address = "http://other.example/debian/".into();
        is_refused(room.prepare(&case), Failure::HostChanged, "not configured to use");
        let mut case = room.case(&archive([new.clone()]), &packages);
        case.order.snapshots[0].suite = "../../../etc".into();
        is_refused(room.prepare(&case), Failure::HostChanged, "not configured to use");
    });
}

#[test]
fn indexes_are_taken_in_the_form_in_which_they_were_ordered() {
    room(|room| {
        let (old, new) = (Package::new("tool", "1:1"), Package::new("tool", "1:2~rc1"));
        room.install(&old);
        let source = "/etc/apt/sources.list.d/archive.sources";
        let base = || archive([new.clone()]);
        let packages = [(&new, Some("1:1"))];

        // Signed beside; packed by gzip although the release file names xz too.
        room.prepare(&room.case(&base().signatures(Signatures::Detached), &packages))
            .unwrap();
        let mut both = room.case(&base().formats(&[Format::Gzip, Format::Xz]), &packages);
        both.order.snapshots[0]
            .indexes
            .retain(|index| index.path.ends_with(".gz"));
        room.prepare(&both).unwrap();

        // Two sources, each packed in its own way, of which one release file names both.
        let by_key = ["Signed-By: /etc/apt/keyrings/archive.gpg"];
        let more = Package::new("more", "2");
        room.install(&more.clone().with_version("1"));
        let other = Archive::new("other")
            .arch("amd64")
            .package(more.clone())
            .pool(Pool::Written)
            .formats(&[Format::Plain, Format::Gzip])
            .sign(&key());
        let two = base().stanza(ADDRESS, &by_key) + "\n" + &other.stanza(ADDRESS, &by_key);
        fs::write(source, two).unwrap();
        let mut case = room.case(&base().formats(&[Format::Gzip, Format::Xz]), &packages);
        case.order.snapshots[0]
            .indexes
            .retain(|index| index.path.ends_with(".xz"));
        let mut second = room.fetch(&other);
        second.indexes.retain(|index| index.path.ends_with("/Packages"));
        case.order.snapshots.push(second);
        case.order.packages.insert(0, ordered(&more, Some("1")));
        case.approval.release.updates.insert(0, update(&more));
        assert_eq!(room.prepare(&case).unwrap().steps, 4);
    });
}

#[test]
fn keys_are_those_of_the_hosts_stanza_however_it_names_them() {
    room(|room| {
        let (old, new) = (Package::new("tool", "1:1"), Package::new("tool", "1:2~rc1"));
        room.install(&old);
        let source = "/etc/apt/sources.list.d/archive.sources";
        let base = || archive([new.clone()]);
        let packages = [(&new, Some("1:1"))];

        let armored = key().armored();
        let inline: String = armored
            .lines()
            .map(|line| format!(" {}\n", if line.is_empty() { "." } else { line }))
            .collect();
        fs::write(
            source,
            base().stanza(ADDRESS, &[&format!("Signed-By:\n{inline}")]),
        )
        .unwrap();
        room.prepare(&room.case(&base(), &packages)).unwrap();
        fs::write("/etc/apt/trusted.gpg.d/archive.asc", armored).unwrap();
        fs::write(
            source,
            base().stanza(ADDRESS, &[&format!("Signed-By: {}", key().fingerprint())]),
        )
        .unwrap();
        room.prepare(&room.case(&base(), &packages)).unwrap();
        fs::write(source, base().stanza(ADDRESS, &[])).unwrap();
        room.prepare(&room.case(&base(), &packages)).unwrap();

        // A flat repository, in a folder of the archive.
        let flat = Archive::flat("deb/12")
            .package(new.clone())
            .pool(Pool::Written)
            .sign(&key());
        fs::write(
            source,
            flat.stanza(ADDRESS, &["Signed-By: /etc/apt/keyrings/archive.gpg"]),
        )
        .unwrap();
        let case = room.case(&flat, &packages);
        room.prepare(&case).unwrap();
        room.carry_out_well(&case);
        assert_eq!(room.state("tool"), "1:2~rc1 installed");
    });
}

/// apt 3.0 verifies by another program, which knows of no key ring but those that it is given.
#[test]
fn a_newer_apt_believes_no_more_and_no_less() {
    room_of("trixie", |room| {
        let (old, new) = (Package::new("tool", "1"), Package::new("tool", "2"));
        room.install(&old);
        let packages = [(&new, Some("1"))];
        let stranger = SigningKey::ed25519("Stranger <stranger@archive.example>");

        let mut case = room.case(&archive([new.clone()]), &packages);
        case.approval.release.updates[0].publisher.keys = vec![stranger.fingerprint()];
        is_refused(room.prepare(&case), Failure::Snapshot, "apt-get update");
        let bare = Archive::new("stable")
            .arch("amd64")
            .package(new.clone())
            .pool(Pool::Written);
        is_refused(
            room.prepare(&room.case(&bare.clone().sign(&stranger), &packages)),
            Failure::Snapshot,
            "apt-get update",
        );
        is_refused(
            room.prepare(&room.case(&bare, &packages)),
            Failure::Snapshot,
            "apt-get update",
        );
        let case = room.case(&archive([new.clone()]), &packages);
        let index = room.file(&case.order.snapshots[0].indexes[0].sha256);
        let other = room.case(&archive([new.clone(), Package::new("more", "1")]), &packages);
        fs::copy(room.file(&other.order.snapshots[0].indexes[0].sha256), index).unwrap();
        is_refused(room.prepare(&case), Failure::Content, "apt-get update");

        let signed = archive([new.clone()]).valid_until("2026-06-08T00:00:00Z".parse().unwrap());
        let case = room.case(&signed, &packages);
        room.prepare(&case).unwrap();
        room.carry_out_well(&case);
        assert_eq!(room.state("tool"), "2 installed");
    });
}
