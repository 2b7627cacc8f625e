//! The journal: whole or not at all, its owner's alone, and a stop wherever that does not hold.

use agent::journal::{Journal, JournalError, look};
use agent::session::{Memory, Seed};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

fn memory(byte: u8) -> Memory {
    Memory {
        key: Some(Seed([byte; 32])),
        addresses: vec!["patchyard.example:8443".parse().unwrap()],
        sequence: u64::from(byte),
        ..Memory::default()
    }
}

fn written(folder: &Path) -> Journal {
    let journal = Journal::open(folder).unwrap();
    journal.write(&memory(7)).unwrap();
    journal
}

#[test]
fn what_was_written_is_read_back_and_nobody_else_may_read_it() {
    let folder = folder();
    let journal = Journal::open(folder.path()).unwrap();
    assert_eq!(journal.read().unwrap(), None);
    for byte in 1..4 {
        journal.write(&memory(byte)).unwrap();
        assert_eq!(journal.read().unwrap(), Some(memory(byte)));
    }
    let facts = std::fs::metadata(folder.path().join("journal")).unwrap();
    assert_eq!(facts.permissions().mode() & 0o777, 0o600);
    drop(journal);
    assert_eq!(look(folder.path()).unwrap(), Some(memory(3)));
}

#[test]
fn a_journal_cut_off_or_altered_at_any_byte_stops_the_agent() {
    let folder = folder();
    let journal = written(folder.path());
    let path = folder.path().join("journal");
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(
            matches!(journal.read(), Err(JournalError::Torn { .. })),
            "cut at {at}"
        );
        let mut altered = whole.clone();
        altered[at] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        let read = journal.read();
        assert!(
            matches!(
                read,
                Err(JournalError::Torn { .. } | JournalError::Foreign { .. })
            ),
            "altered at {at}: {read:?}"
        );
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(journal.read().unwrap(), Some(memory(7)));
}

#[test]
fn a_power_cut_before_the_new_journal_has_its_name_leaves_the_old_one() {
    let folder = folder();
    let journal = written(folder.path());
    std::fs::write(folder.path().join("journal.next"), b"half of a new").unwrap();
    assert_eq!(journal.read().unwrap(), Some(memory(7)));
    journal.write(&memory(8)).unwrap();
    assert_eq!(journal.read().unwrap(), Some(memory(8)));
}

#[test]
fn a_journal_of_a_newer_version_or_of_something_else_is_left_alone() {
    let folder = folder();
    let journal = written(folder.path());
    let path = folder.path().join("journal");
    for (bytes, why) in [
        (&b"patchyard-agent journal 2 00\n{}"[..], "newer version"),
        (b"[Unit]\nDescription=x\n", "does not begin as one"),
        (&[0; 100], "does not begin as one"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = journal.read().unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    std::fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
    assert!(matches!(journal.read(), Err(JournalError::Foreign { .. })));
}

#[test]
fn an_identity_that_others_could_read_or_put_there_is_not_used() {
    let folder = folder();
    let journal = written(folder.path());
    let path = folder.path().join("journal");
    for mode in [0o640, 0o604, 0o660] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let error = journal.read().unwrap_err();
        assert!(matches!(error, JournalError::Exposed { .. }), "{mode:o}: {error}");
    }
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    symlink("elsewhere", &path).unwrap();
    assert!(matches!(journal.read(), Err(JournalError::Exposed { .. })));
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    assert!(matches!(journal.read(), Err(JournalError::Exposed { .. })));
}

#[test]
fn two_processes_never_use_one_identity() {
    let folder = folder();
    let first = written(folder.path());
    assert!(matches!(
        Journal::open(folder.path()),
        Err(JournalError::InUse { .. })
    ));
    // Looking is allowed.
    assert_eq!(look(folder.path()).unwrap(), Some(memory(7)));
    drop(first);
    assert!(Journal::open(folder.path()).is_ok());
}

#[test]
fn a_key_stands_in_the_journal_and_nowhere_else() {
    let shown = format!("{:?}", memory(0xab));
    assert!(!shown.contains("abab") && !shown.contains("171, 171"), "{shown}");
}
