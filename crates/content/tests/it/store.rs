//! What the store takes and gives, on a disk that works.

use content::{Expected, InsertError, Store, StoreError, sha256};
use domain::digest::Sha256Digest;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("made/with/parents")).unwrap();
    (folder, store)
}

fn exactly(bytes: &[u8]) -> Expected {
    Expected::Exactly {
        sha256: sha256(bytes),
        size_bytes: bytes.len() as u64,
    }
}

/// Everything below a folder that is a file, except locks.
fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false if path.ends_with("in-use") => {}
            false => found.push(path.display().to_string()),
        }
    }
    found
}

#[test]
fn what_is_stored_is_found_by_its_digest_and_nothing_else_is() {
    let (_folder, store) = store();
    assert_eq!(
        store.insert(&b"one"[..], exactly(b"one")).unwrap(),
        (sha256(b"one"), 3)
    );
    assert_eq!(
        store
            .insert(&b"two"[..], Expected::AtMost { size_bytes: 3 })
            .unwrap(),
        (sha256(b"two"), 3)
    );
    assert_eq!(&store.map(&sha256(b"one")).unwrap().unwrap()[..], b"one");
    assert_eq!(&store.map(&sha256(b"two")).unwrap().unwrap()[..], b"two");
    assert!(store.map(&sha256(b"three")).unwrap().is_none());
    assert!(store.contains(&sha256(b"one")) && !store.contains(&sha256(b"three")));
}

#[test]
fn an_empty_file_can_be_stored_and_mapped() {
    let (_folder, store) = store();
    store.insert(io::empty(), exactly(b"")).unwrap();
    assert!(store.map(&sha256(b"")).unwrap().unwrap().is_empty());
}

#[test]
fn short_long_and_other_bytes_are_refused_and_leave_nothing() {
    let (_folder, store) = store();
    let expected = exactly(b"right");
    let short = store.insert(&b"righ"[..], expected);
    assert!(matches!(
        short,
        Err(InsertError::TooShort {
            expected_bytes: 5,
            got_bytes: 4
        })
    ));
    let long = store.insert(&b"right!"[..], expected);
    assert!(matches!(long, Err(InsertError::TooLong { limit_bytes: 5 })));
    let endless = store.insert(io::repeat(b'x'), Expected::AtMost { size_bytes: 1 << 20 });
    assert!(matches!(
        endless,
        Err(InsertError::TooLong {
            limit_bytes: 1_048_576
        })
    ));
    let wrong = store.insert(&b"wrong"[..], expected);
    assert!(matches!(wrong, Err(InsertError::WrongDigest { got, .. }) if got == sha256(b"wrong")));
    let broken = store.insert(Breaks, expected);
    assert!(matches!(broken, Err(InsertError::Read(_))));
    assert_eq!(files_below(store.folder()), Vec::<String>::new());
}

#[test]
fn a_file_that_is_here_is_not_read_again() {
    let (_folder, store) = store();
    store.insert(&b"once"[..], exactly(b"once")).unwrap();
    store.insert(Breaks, exactly(b"once")).unwrap();
}

#[test]
fn a_derived_form_stands_beside_its_file_and_is_replaced_as_a_whole() {
    let (_folder, store) = store();
    let of = sha256(b"original");
    assert!(store.map_derived("index-1", &of).unwrap().is_none());
    store.insert_derived("index-1", &of, b"old form").unwrap();
    let old = store.map_derived("index-1", &of).unwrap().unwrap();
    store.insert_derived("index-1", &of, b"new").unwrap();
    assert_eq!(&old[..], b"old form", "who has mapped the old form keeps it");
    assert_eq!(&store.map_derived("index-1", &of).unwrap().unwrap()[..], b"new");
    assert!(!store.contains(&of), "a derived form is not the file");
    assert!(store.contains_derived("index-1", &of) && !store.contains_derived("index-2", &of));
}

#[test]
fn a_state_file_reads_back_up_to_its_limit() {
    let (_folder, store) = store();
    assert_eq!(store.read_state("source", 10).unwrap(), None);
    store.write_state("source", b"0123456789").unwrap();
    assert_eq!(store.read_state("source", 10).unwrap().unwrap(), b"0123456789");
    assert!(matches!(
        store.read_state("source", 9),
        Err(StoreError::TooLong { limit_bytes: 9, .. })
    ));
}

#[test]
fn no_name_leaves_its_folder() {
    let (_folder, store) = store();
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        ".hidden",
        "a\0b",
        "a b",
        &"x".repeat(201),
    ] {
        assert!(
            matches!(store.write_state(name, b""), Err(StoreError::BadName { .. })),
            "{name:?}"
        );
        assert!(
            matches!(store.read_state(name, 9), Err(StoreError::BadName { .. })),
            "{name:?}"
        );
        assert!(
            matches!(store.try_lock(name), Err(StoreError::BadName { .. })),
            "{name:?}"
        );
        let derived = store.insert_derived(name, &sha256(b""), b"");
        assert!(matches!(derived, Err(StoreError::BadName { .. })), "{name:?}");
    }
}

#[test]
fn the_folder_is_made_for_its_owner_alone() {
    let (folder, store) = store();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("made")), 0o700);
    assert_eq!(mode(store.folder()), 0o700);
    store.insert(&b"one"[..], exactly(b"one")).unwrap();
    for file in files_below(store.folder()) {
        assert_eq!(mode(Path::new(&file)), 0o600, "{file}");
    }
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o770)).unwrap();
    let refused = Store::open(folder.path()).unwrap_err();
    assert!(
        matches!(refused, StoreError::NotOursAlone { mode: 0o770, .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("chmod 700"), "{refused}");
}

#[test]
fn a_symbolic_link_in_a_files_place_is_not_followed() {
    let (folder, store) = store();
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, b"secret").unwrap();
    std::os::unix::fs::symlink(&elsewhere, store.folder().join("state/link")).unwrap();
    assert!(matches!(
        store.read_state("link", 100),
        Err(StoreError::Read { .. })
    ));
}

#[test]
fn a_lock_has_one_holder_until_it_is_dropped() {
    let (_folder, store) = store();
    let again = Store::open(store.folder()).unwrap();
    let held = store.try_lock("source").unwrap();
    assert!(held.is_some());
    assert!(again.try_lock("source").unwrap().is_none());
    assert!(again.try_lock("other").unwrap().is_some());
    drop(held);
    assert!(again.try_lock("source").unwrap().is_some());
}

#[test]
fn a_partial_file_is_resumed_by_the_next_who_opens_the_store() {
    let (_folder, store) = store();
    let digest = sha256(b"first second");
    let mut partial = store.partial(digest, 12).unwrap().unwrap();
    partial.write(b"first ").unwrap();
    assert!(store.partial(digest, 12).unwrap().is_none(), "one at a time");
    drop(partial);
    let again = Store::open(store.folder()).unwrap();
    let mut partial = again.partial(digest, 12).unwrap().unwrap();
    assert_eq!(partial.size_bytes(), 6);
    partial.write(b"second").unwrap();
    partial.finish().unwrap();
    assert_eq!(&store.map(&digest).unwrap().unwrap()[..], b"first second");
    assert_eq!(files_below(&store.folder().join("partial")), Vec::<String>::new());
}

#[test]
fn a_short_partial_file_stays_and_a_wrong_or_long_one_goes() {
    let (_folder, store) = store();
    let digest = sha256(b"right");
    let begin = |bytes: &[u8]| {
        let mut partial = store.partial(digest, 5).unwrap().unwrap();
        partial.restart().unwrap();
        partial.write(bytes).unwrap();
        partial
    };
    assert!(matches!(
        begin(b"rig").finish(),
        Err(InsertError::TooShort { .. })
    ));
    assert_eq!(store.partial(digest, 5).unwrap().unwrap().size_bytes(), 3);
    assert!(matches!(
        begin(b"wrong").finish(),
        Err(InsertError::WrongDigest { .. })
    ));
    assert_eq!(store.partial(digest, 5).unwrap().unwrap().size_bytes(), 0);
    let mut partial = begin(b"right");
    assert!(matches!(
        partial.write(b"!"),
        Err(InsertError::TooLong { limit_bytes: 5 })
    ));
    drop(partial);
    assert_eq!(files_below(&store.folder().join("partial")), Vec::<String>::new());
    assert!(!store.contains(&digest));
}

#[test]
fn two_who_insert_the_same_file_at_once_both_succeed() {
    let (_folder, store) = store();
    let bytes = vec![7; 3 << 20];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| store.insert(&bytes[..], exactly(&bytes)).unwrap());
        }
    });
    let found: Sha256Digest = sha256(&store.map(&sha256(&bytes)).unwrap().unwrap());
    assert_eq!(found, sha256(&bytes));
    assert_eq!(files_below(&store.folder().join("temp")), Vec::<String>::new());
}

/// A reader that gives one byte, then fails.
struct Breaks;

impl Read for Breaks {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the line broke"))
    }
}
