//! Which files of a lists folder were hashed before, so that an unchanged file is not hashed at every scan. A file
//! counts as unchanged while device, inode, size, modification and change time are the same.

use content::{Store, StoreError};
use domain::digest::Sha256Digest;
use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;

/// A state file longer than this is started anew.
const LIMIT_BYTES: u64 = 4 << 20;

/// What makes a file the same file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp([i64; 7]);

impl Stamp {
    /// The stamp of an open file.
    pub fn of(facts: &Metadata) -> Self {
        Self([
            facts.dev().cast_signed(),
            facts.ino().cast_signed(),
            facts.size().cast_signed(),
            facts.mtime(),
            facts.mtime_nsec(),
            facts.ctime(),
            facts.ctime_nsec(),
        ])
    }
}

/// The files hashed before, by name, with the digest of what they unpack to.
#[derive(Debug)]
pub struct Stamps {
    state_name: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: BTreeMap<String, (Stamp, Sha256Digest)>,
    changed: bool,
}

impl Stamps {
    /// Reads what is known of the folder called `folder`. A state that cannot be read is as good as none.
    pub fn load(store: &Store, folder: &str) -> Self {
        let state_name = format!("lists-{}", content::sha256(folder.as_bytes()));
        let text = store
            .read_state(&state_name, LIMIT_BYTES)
            .ok()
            .flatten()
            .unwrap_or_default();
        let files = String::from_utf8_lossy(&text).lines().filter_map(parse).collect();
        Self {
            state_name,
            known: Mutex::new(Known {
                files,
                changed: false,
            }),
        }
    }

    /// The digest that this file had, if it is still that file.
    pub fn digest(&self, name: &str, stamp: Stamp) -> Option<Sha256Digest> {
        let known = self.known.lock().expect("no holder of this lock panics");
        known
            .files
            .get(name)
            .filter(|(known, _)| *known == stamp)
            .map(|(_, digest)| *digest)
    }

    /// What a file unpacked to when it was last verified, whatever it is now.
    pub fn last_digest(&self, name: &str) -> Option<Sha256Digest> {
        let known = self.known.lock().expect("no holder of this lock panics");
        known.files.get(name).map(|(_, digest)| *digest)
    }

    /// Remembers what a file unpacks to.
    pub fn remember(&self, name: &str, stamp: Stamp, digest: Sha256Digest) {
        let mut known = self.known.lock().expect("no holder of this lock panics");
        known.files.insert(name.to_owned(), (stamp, digest));
        known.changed = true;
    }

    /// Keeps what was learned.
    pub fn save(&self, store: &Store) -> Result<(), StoreError> {
        let known = self.known.lock().expect("no holder of this lock panics");
        if !known.changed {
            return Ok(());
        }
        let mut text = String::new();
        for (name, (Stamp(numbers), digest)) in &known.files {
            text.push_str(&digest.to_string());
            numbers
                .iter()
                .for_each(|number| text.push_str(&format!(" {number}")));
            text.push_str(&format!(" {name}\n"));
        }
        store.write_state(&self.state_name, text.as_bytes())
    }
}

fn parse(line: &str) -> Option<(String, (Stamp, Sha256Digest))> {
    let mut words = line.splitn(9, ' ');
    let digest = words.next()?.parse().ok()?;
    let mut numbers = [0; 7];
    for number in &mut numbers {
        *number = words.next()?.parse().ok()?;
    }
    Some((words.next()?.to_owned(), (Stamp(numbers), digest)))
}
