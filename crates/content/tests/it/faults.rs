//! A disk that fails, or loses its power, at every step in turn. The oracle is not the store: after each fault the
//! folder is opened again on the real disk and every file in it is hashed anew.

use content::disk::{Disk, LocalDisk};
use content::{Expected, InsertError, Store, StoreError, sha256};
use domain::digest::Sha256Digest;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const NEW: &[u8] = b"what shall be stored, long enough to be cut in half";

/// When the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// One step says that the disk is full; the process goes on.
    Full { at: usize },
    /// From this step on nothing reaches the disk any more, as if the process were killed.
    Kill { at: usize },
    /// The disk works; the power goes afterwards.
    None,
}

#[derive(Debug)]
struct FaultyDisk {
    fault: Fault,
    memory: Mutex<Memory>,
}

/// What a power cut would take.
#[derive(Debug, Default)]
struct Memory {
    steps: usize,
    unsynced_files: Vec<PathBuf>,
    unsynced_names: Vec<(PathBuf, Option<Vec<u8>>)>,
    unsynced_folders: Vec<PathBuf>,
}

impl FaultyDisk {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            fault,
            memory: Mutex::default(),
        })
    }

    fn step(&self) -> io::Result<()> {
        let mut memory = self.memory.lock().unwrap();
        memory.steps += 1;
        let step = memory.steps - 1;
        match self.fault {
            Fault::Full { at } if step == at => Err(io::ErrorKind::StorageFull.into()),
            Fault::Kill { at } if step >= at => Err(io::Error::other("killed")),
            _ => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        let steps = self.memory.lock().unwrap().steps;
        match self.fault {
            Fault::Full { at } | Fault::Kill { at } => steps <= at,
            Fault::None => true,
        }
    }

    /// Takes what was never flushed: names come off, contents are gone.
    fn cut_power(&self) {
        let mut memory = self.memory.lock().unwrap();
        for (path, before) in std::mem::take(&mut memory.unsynced_names).into_iter().rev() {
            match before {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => drop(fs::remove_file(&path)),
            }
        }
        for path in std::mem::take(&mut memory.unsynced_files) {
            if path.exists() {
                fs::write(&path, b"").unwrap();
            }
        }
        for folder in std::mem::take(&mut memory.unsynced_folders) {
            drop(fs::remove_dir_all(folder));
        }
    }
}

impl Disk for FaultyDisk {
    fn open_to_append(&self, path: &Path) -> io::Result<File> {
        self.step()?;
        LocalDisk.open_to_append(path)
    }

    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let result = self.step();
        let bytes = if result.is_err() {
            &bytes[..bytes.len() / 2]
        } else {
            bytes
        };
        let path = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)))?;
        self.memory.lock().unwrap().unsynced_files.push(path);
        LocalDisk.write(file, bytes)?;
        result
    }

    fn truncate(&self, file: &File) -> io::Result<()> {
        self.step()?;
        LocalDisk.truncate(file)
    }

    fn sync(&self, file: &File, path: &Path) -> io::Result<()> {
        self.step()?;
        LocalDisk.sync(file, path)?;
        self.memory
            .lock()
            .unwrap()
            .unsynced_files
            .retain(|unsynced| unsynced != path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let before = fs::read(to).ok();
        LocalDisk.rename(from, to)?;
        let mut memory = self.memory.lock().unwrap();
        for unsynced in &mut memory.unsynced_files {
            if unsynced == from {
                *unsynced = to.to_owned();
            }
        }
        memory.unsynced_names.push((to.to_owned(), before));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        LocalDisk.sync_folder(folder)?;
        let mut memory = self.memory.lock().unwrap();
        memory
            .unsynced_names
            .retain(|(path, _)| path.parent() != Some(folder));
        memory
            .unsynced_folders
            .retain(|path| path.parent() != Some(folder));
        Ok(())
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.step()?;
        LocalDisk.make_folder(folder)?;
        self.memory
            .lock()
            .unwrap()
            .unsynced_folders
            .push(folder.to_owned());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        LocalDisk.remove(path)
    }
}

/// Makes a store with an old state, does `work` on it with a fault at each step in turn and cuts the power each time;
/// `judge` sees the reopened store, how the work ended, and whether the fault was met.
fn with_a_fault_at_every_step<R>(
    fault: impl Fn(usize) -> Fault,
    work: impl Fn(&Store) -> R,
    judge: impl Fn(&Store, R, Fault),
) {
    for at in 0..100 {
        let folder = tempfile::tempdir().unwrap();
        let before = Store::open(folder.path()).unwrap();
        before.write_state("state", b"old").unwrap();
        drop(before);
        let disk = FaultyDisk::new(fault(at));
        let store = Store::open_on(folder.path(), disk.clone()).unwrap();
        let result = work(&store);
        if disk.fault != Fault::None && !matches!(disk.fault, Fault::Kill { .. }) {
            let left = fs::read_dir(folder.path().join("temp")).unwrap().count();
            assert_eq!(left, 0, "a full disk at step {at} leaves a temporary file");
        }
        drop(store);
        disk.cut_power();
        let reopened = Store::open(folder.path()).unwrap();
        assert_eq!(
            fs::read_dir(folder.path().join("temp")).unwrap().count(),
            0,
            "step {at}"
        );
        assert_every_file_is_what_its_name_says(folder.path());
        judge(&reopened, result, disk.fault);
        if disk.is_over() {
            assert!(at > 3 || disk.fault == Fault::None, "the work has several steps");
            return;
        }
    }
    panic!("the work never came to its end");
}

fn assert_every_file_is_what_its_name_says(folder: &Path) {
    for shelf in fs::read_dir(folder.join("files")).unwrap() {
        for file in fs::read_dir(shelf.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            match name.parse::<Sha256Digest>() {
                Ok(digest) => assert_eq!(sha256(&fs::read(&path).unwrap()), digest),
                Err(_) => assert_eq!(fs::read(&path).unwrap(), NEW, "a derived form is whole"),
            }
        }
    }
}

fn exactly() -> Expected {
    Expected::Exactly {
        sha256: sha256(NEW),
        size_bytes: NEW.len() as u64,
    }
}

#[test]
fn an_insert_on_a_full_disk_is_an_error_that_leaves_nothing_and_can_be_repeated() {
    with_a_fault_at_every_step(
        |at| Fault::Full { at },
        |store| store.insert(NEW, exactly()),
        |store, result, _| {
            if let Err(error) = result {
                assert!(matches!(error, InsertError::Disk(_)), "{error}");
            } else {
                assert!(store.contains(&sha256(NEW)));
            }
            store.insert(NEW, exactly()).unwrap();
            assert_eq!(&store.map(&sha256(NEW)).unwrap().unwrap()[..], NEW);
        },
    );
}

#[test]
fn an_insert_that_is_killed_leaves_the_whole_file_or_none_and_one_that_returned_outlives_a_power_cut() {
    with_a_fault_at_every_step(
        |at| Fault::Kill { at },
        |store| store.insert(NEW, exactly()).is_ok(),
        |store, returned, _| {
            assert!(
                !returned || store.contains(&sha256(NEW)),
                "an insert that returned is there after a power cut"
            );
            store.insert(NEW, exactly()).unwrap();
        },
    );
}

#[test]
fn a_state_file_is_the_old_or_the_new_one_whenever_the_power_goes() {
    for fault in [|at| Fault::Kill { at }, |at| Fault::Full { at }] {
        with_a_fault_at_every_step(
            fault,
            |store| store.write_state("state", b"new"),
            |store, result, _| {
                let found = store.read_state("state", 100).unwrap().unwrap();
                match result {
                    Ok(()) => assert_eq!(found, b"new"),
                    Err(error) => {
                        assert!(matches!(error, StoreError::Write { .. }), "{error}");
                        assert!(found == b"old" || found == b"new", "{found:?}");
                    }
                }
            },
        );
    }
}

#[test]
fn a_derived_form_is_whole_or_absent_whenever_the_power_goes() {
    with_a_fault_at_every_step(
        |at| Fault::Kill { at },
        |store| store.insert_derived("index", &sha256(b"x"), NEW).is_ok(),
        |store, returned, _| assert!(!returned || store.contains_derived("index", &sha256(b"x"))),
    );
}

#[test]
fn a_partial_file_that_met_a_fault_is_resumed_right_or_begun_again() {
    for fault in [|at| Fault::Kill { at }, |at| Fault::Full { at }] {
        with_a_fault_at_every_step(
            fault,
            |store| {
                let mut partial = store.partial(sha256(NEW), NEW.len() as u64).ok()??;
                partial.write(&NEW[..20]).ok()?;
                partial.write(&NEW[20..]).ok()?;
                partial.finish().ok()
            },
            |store, returned, _| {
                assert!(returned.is_none() || store.contains(&sha256(NEW)));
                let mut partial = store.partial(sha256(NEW), NEW.len() as u64).unwrap().unwrap();
                let have = partial.size_bytes() as usize;
                partial.write(&NEW[have..]).unwrap();
                if partial.finish().is_err() {
                    let mut again = store.partial(sha256(NEW), NEW.len() as u64).unwrap().unwrap();
                    assert_eq!(again.size_bytes(), 0, "a wrong rest is forgotten");
                    again.write(NEW).unwrap();
                    again.finish().unwrap();
                }
                assert_eq!(&store.map(&sha256(NEW)).unwrap().unwrap()[..], NEW);
            },
        );
    }
}
