//! Room: what a sweep removes, what it leaves, and that freed bytes are free.

use content::{Expected, Kind, Store, Sweep, sha256};
use domain::digest::Sha256Digest;
use std::fs::{File, FileTimes};
use std::path::Path;
use std::time::{Duration, SystemTime};

const DAY: i64 = 86_400;

/// Some moment; files of these tests are a day older or a day younger.
const BEFORE: i64 = 1_700_000_000;

fn insert(store: &Store, bytes: &[u8]) -> Sha256Digest {
    let expected = Expected::Exactly {
        sha256: sha256(bytes),
        size_bytes: bytes.len() as u64,
    };
    store.insert(bytes, expected).expect("insert").0
}

fn set_age(path: &Path, at: i64) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at.unsigned_abs());
    let file = File::options().write(true).open(path).expect("open");
    file.set_times(FileTimes::new().set_modified(at))
        .expect("set its time");
}

#[test]
fn a_sweep_removes_what_nobody_refers_to_and_says_before_what_it_would_remove() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("store")).expect("open");
    let wanted = insert(&store, &[b'w'; 100_000]);
    let unwanted = insert(&store, &[b'u'; 100_000]);
    store
        .insert_derived("packages-1", &unwanted, &[1; 50_000])
        .expect("derive");
    let orphan = sha256(b"its file was never here");
    store
        .insert_derived("packages-1", &orphan, &[2; 50_000])
        .expect("derive");
    let path = |digest: &Sha256Digest| store.path(digest).expect("it is here");
    set_age(&path(&wanted), BEFORE - DAY);
    set_age(&path(&unwanted), BEFORE - DAY);
    let derived = |digest: &Sha256Digest| {
        let hex = digest.to_string();
        let folder = store.folder().join("files").join(&hex[..2]);
        folder.join(format!("{hex}.packages-1"))
    };
    set_age(&derived(&unwanted), BEFORE - DAY);
    set_age(&derived(&orphan), BEFORE - DAY);

    let usage = store.usage().expect("usage");
    assert_eq!(usage.files, 2);
    let sweep = |how| {
        store
            .sweep(|digest| *digest == wanted, BEFORE, how)
            .expect("sweep")
    };
    let would = sweep(Sweep::DryRun);
    assert_eq!(store.usage().expect("usage"), usage);
    let did = sweep(Sweep::Remove);
    assert_eq!(would, did);
    assert_eq!((did.files, did.kept), (1, 1));
    let after = store.usage().expect("usage");
    assert_eq!(
        usage.file_bytes + usage.derived_bytes - after.file_bytes - after.derived_bytes,
        did.bytes
    );
    assert_eq!(after.derived_bytes, 0);
    assert!(store.contains(&wanted) && !store.contains(&unwanted));
}

#[test]
fn what_was_stored_or_asked_for_lately_stays_though_nobody_refers_to_it_yet() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("store")).expect("open");
    let old = insert(&store, b"old");
    let asked_again = insert(&store, b"asked again");
    for digest in [&old, &asked_again] {
        set_age(&store.path(digest).expect("it is here"), BEFORE - DAY);
    }
    insert(&store, b"asked again");
    let young = insert(&store, b"young");
    let swept = store.sweep(|_| false, BEFORE, Sweep::Remove).expect("sweep");
    assert_eq!((swept.files, swept.kept), (1, 2));
    assert!(!store.contains(&old) && store.contains(&asked_again) && store.contains(&young));
}

#[test]
fn a_sweep_leaves_files_alone_that_are_not_of_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("store")).expect("open");
    insert(&store, b"ours");
    let shelf = store.path(&sha256(b"ours")).expect("it is here");
    let foreign = shelf.parent().expect("a shelf").join("notes.txt");
    std::fs::write(&foreign, "mine").expect("write");
    set_age(&foreign, BEFORE - DAY);
    store.sweep(|_| false, BEFORE, Sweep::Remove).expect("sweep");
    assert!(foreign.is_file());
}

#[test]
fn a_download_that_goes_on_is_left_and_one_that_was_given_up_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("store")).expect("open");
    let begin = |bytes: &[u8]| {
        let partial = store.partial(sha256(bytes), bytes.len() as u64).expect("open");
        let mut partial = partial.expect("nobody else fetches it");
        partial.write(&bytes[..bytes.len() / 2]).expect("a half");
        partial
    };
    let path = |bytes: &[u8]| store.folder().join("partial").join(sha256(bytes).to_string());
    let goes_on = begin(&[1; 20_000]);
    drop(begin(&[2; 20_000]));
    drop(begin(&[3; 20_000]));
    for bytes in [[1; 20_000], [2; 20_000]] {
        set_age(&path(&bytes), BEFORE - DAY);
    }
    let would = store.sweep(|_| true, BEFORE, Sweep::DryRun).expect("look");
    let did = store.sweep(|_| true, BEFORE, Sweep::Remove).expect("sweep");
    assert_eq!(would, did);
    let gone: Vec<_> = did.gone.iter().map(|gone| (gone.kind, gone.digest)).collect();
    assert_eq!(gone, [(Kind::Download, sha256(&[2; 20_000]))]);
    assert!(path(&[1; 20_000]).exists() && !path(&[2; 20_000]).exists() && path(&[3; 20_000]).exists());
    drop(goes_on);
}

#[test]
fn an_empty_file_is_told_when_it_goes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().join("store")).expect("open");
    let empty = insert(&store, b"");
    set_age(&store.path(&empty).expect("it is here"), BEFORE - DAY);
    let swept = store.sweep(|_| false, BEFORE, Sweep::Remove).expect("sweep");
    assert_eq!((swept.files, swept.kept), (1, 0));
    assert!(!store.contains(&empty));
}
