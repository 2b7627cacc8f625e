//! What indexes say besides: of every package what libapt says, and nothing of a file that is another one.

use crate::tools::{PYTHON, has_libapt, machine_lists, pipe, unpacked_by_apt};
use content::{Expected, Store};
use domain::digest::Sha256Digest;
use sources::apt::details::{Details, DetailsError};
use sources::apt::snapshot::{Published, SnapshotIndex};

/// What python3-apt says of a stanza, white space as it is.
const TAG_FILE: &str = r#"
import sys, apt_pkg
out = sys.stdout.buffer
for section in apt_pkg.TagFile(sys.stdin.buffer, bytes=True):
    get = lambda name: section.get(name) or b""
    fields = ["Package", "Architecture", "Version", "Filename", "Pre-Depends", "Depends", "Provides", "Size", "SHA256"]
    out.write(b"\t".join(b" ".join(get(name).split()) for name in fields) + b"\n")
"#;

/// An index whose published file, not packed, is in the store.
fn published(store: &Store, packages: &[u8]) -> SnapshotIndex {
    let limit = Expected::AtMost { size_bytes: 1 << 30 };
    let (digest, size_bytes) = store.insert(packages, limit).unwrap();
    SnapshotIndex {
        component: "main".to_owned(),
        architecture: "amd64".to_owned(),
        digest,
        size_bytes,
        published: Some(Published {
            path: "main/binary-amd64/Packages".to_owned(),
            digest,
            size_bytes,
        }),
    }
}

#[test]
fn every_package_of_this_machines_lists_is_detailed_as_libapt_reads_it() {
    if !has_libapt() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("content")).unwrap();
    for list in machine_lists() {
        let packages = unpacked_by_apt(&list);
        let expected = String::from_utf8(pipe(PYTHON, &["-c", TAG_FILE], &packages)).unwrap();
        let details = Details::of(&store, &published(&store, &packages)).unwrap();
        for line in expected.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [
                name,
                architecture,
                version,
                place,
                pre_depends,
                depends,
                provides,
                size,
                sha256,
            ] = *fields
            else {
                panic!("{line}")
            };
            let found = details
                .find(name, |detail| {
                    detail.architecture == architecture && detail.version == version
                })
                .unwrap_or_else(|| panic!("{name} {version} is left out"));
            let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(found.place, place);
            assert_eq!(plain(found.pre_depends), pre_depends, "{name}");
            assert_eq!(plain(found.depends), depends, "{name}");
            assert_eq!(plain(found.provides), provides, "{name}");
            assert_eq!(
                (found.size_bytes.to_string(), found.sha256.to_string()),
                (size.to_owned(), sha256.to_owned())
            );
        }
    }
}

#[test]
fn what_unpacks_to_another_file_than_was_signed_is_detailed_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("content")).unwrap();
    let sound = published(&store, b"Package: a\nVersion: 1\nArchitecture: all\nSize: 1\n");
    for index in [
        SnapshotIndex {
            digest: Sha256Digest([1; 32]),
            ..sound.clone()
        },
        SnapshotIndex {
            size_bytes: sound.size_bytes + 1,
            ..sound.clone()
        },
    ] {
        assert!(
            matches!(Details::of(&store, &index), Err(DetailsError::Other)),
            "{index:?}"
        );
    }
    let endless = [b"Package: a\nDescription: ".to_vec(), vec![b'x'; 3 << 20]].concat();
    let index = published(&store, &endless);
    assert!(matches!(Details::of(&store, &index), Err(DetailsError::TooLarge)));
    let gone = SnapshotIndex {
        published: sound.published.clone().map(|published| Published {
            digest: Sha256Digest([2; 32]),
            ..published
        }),
        digest: Sha256Digest([2; 32]),
        ..sound
    };
    assert!(matches!(Details::of(&store, &gone), Err(DetailsError::Gone)));
}
