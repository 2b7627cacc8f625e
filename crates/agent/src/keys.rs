//! The keys with which a host trusts its sources, as bytes of files. Whether they are keys at all, and whether a
//! signature is theirs, is decided where signatures are verified.

use crate::apt_conf::AptConf;
use crate::config_dir;
use crate::problem::{Effect, Problem};
use crate::tree::{Kind, ReadError, Tree, join};
use domain::host::channels::{SignedBy, Stanza};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A key file larger than this is not read: Debian's whole archive keyring has 60 kB.
const FILE_BYTES: u64 = 4 << 20;

/// One file of keys, binary or armoured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// Its path inside the tree; for a key inside a stanza the file and line of that stanza.
    pub path: String,
    /// What it holds.
    pub bytes: Arc<[u8]>,
}

/// Keys that a source names and that cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum KeyProblem {
    /// A named file cannot be read.
    #[error("the key file that this source names in Signed-By cannot be read: {why}")]
    Unreadable {
        /// The path inside the tree.
        path: String,
        /// Why, in words.
        why: Arc<str>,
    },
    /// The source names no key and the host has no common ones.
    #[error("this source names no key (Signed-By), and {folder} holds none for all sources")]
    NoCommonKeys {
        /// The folder of common keys.
        folder: String,
    },
}

/// A named file's bytes, or why there are none.
type ReadKeys = Result<Arc<[u8]>, KeyProblem>;

/// The keys of a host, each file read once, when first asked for.
#[derive(Debug)]
pub struct HostKeys {
    tree: Arc<Tree>,
    common: Vec<KeyFile>,
    common_folder: String,
    named: Mutex<BTreeMap<String, ReadKeys>>,
}

impl HostKeys {
    /// Reads the common keys (`Dir::Etc::trusted` and `Dir::Etc::trustedparts`); those that cannot be read are
    /// problems. `single` says whether this host's apt reads `trusted.gpg` without being told to.
    pub(crate) fn read(tree: Arc<Tree>, conf: &AptConf, single: SingleKeyring) -> (Self, Vec<Problem>) {
        let folder = conf.folder("Dir::Etc::trustedparts");
        let mut problems = Vec::new();
        let mut files = Vec::new();
        let trusted = match (conf.text("Dir::Etc::trusted"), single) {
            (Some(_), _) => Some(conf.file("Dir::Etc::trusted")),
            (None, SingleKeyring::Used) => Some(join(&conf.folder("Dir::Etc"), "trusted.gpg")),
            (None, SingleKeyring::Ignored) => None,
        };
        files.extend(trusted.filter(|path| matches!(tree.kind(path), Ok(Some(Kind::File)))));
        match config_dir::files(&tree, &folder, &["gpg", "asc"]) {
            Ok(more) => files.extend(more),
            Err(error) if error.is_not_found() => {}
            Err(error) => problems.push(Problem::new(
                &folder,
                0,
                Effect::Skipped,
                crate::problem::chain(&error),
            )),
        }
        let mut common = Vec::new();
        for path in files {
            match tree.read(&path, FILE_BYTES) {
                Ok(bytes) if bytes.is_empty() => {}
                // A link to a keyring that was removed: the sources that it was for say so.
                Err(error) if error.is_not_found() => {}
                Ok(bytes) => common.push(KeyFile {
                    path,
                    bytes: bytes.into(),
                }),
                Err(error) => {
                    problems.push(Problem::new(
                        &path,
                        0,
                        Effect::Skipped,
                        crate::problem::chain(&error),
                    ));
                }
            }
        }
        let keys = Self {
            tree,
            common,
            common_folder: folder,
            named: Mutex::default(),
        };
        (keys, problems)
    }

    /// The files with the keys that may sign for a stanza. Fingerprints in its `Signed-By` limit which keys in
    /// these files count; that is for the verifier. A stanza that names files gets those alone.
    ///
    /// # Errors
    /// One file that cannot be read is an error even if another can: which of them signs is not known here.
    pub fn for_stanza(&self, stanza: &Stanza) -> Result<Vec<KeyFile>, KeyProblem> {
        match &stanza.signed_by {
            SignedBy::Inline(text) => {
                let path = format!("{}:{}", stanza.file, stanza.line);
                Ok(vec![KeyFile {
                    path,
                    bytes: text.as_bytes().into(),
                }])
            }
            SignedBy::Named { files, .. } if !files.is_empty() => {
                files.iter().map(|path| self.named(path)).collect()
            }
            SignedBy::Common | SignedBy::Named { .. } if self.common.is_empty() => {
                Err(KeyProblem::NoCommonKeys {
                    folder: self.common_folder.clone(),
                })
            }
            SignedBy::Common | SignedBy::Named { .. } => Ok(self.common.clone()),
        }
    }

    /// The keys that count for every source without `Signed-By`.
    pub fn common(&self) -> &[KeyFile] {
        &self.common
    }

    fn named(&self, path: &str) -> Result<KeyFile, KeyProblem> {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || match self.tree.read(path, FILE_BYTES) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(unreadable(path, &error)),
        };
        let bytes = named.entry(path.to_owned()).or_insert_with(read).clone()?;
        Ok(KeyFile {
            path: path.to_owned(),
            bytes,
        })
    }
}

/// Whether the host's apt reads the one keyring `trusted.gpg` besides the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SingleKeyring {
    Used,
    Ignored,
}

fn unreadable(path: &str, error: &ReadError) -> KeyProblem {
    KeyProblem::Unreadable {
        path: path.to_owned(),
        why: crate::problem::chain(error).into(),
    }
}

impl KeyFile {
    /// Its path as seen from outside the tree; meaningless for a key inside a stanza.
    pub fn outside(&self, tree: &Tree) -> PathBuf {
        tree.outside(&self.path)
    }
}
