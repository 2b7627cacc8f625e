//! A source exactly as published at one sync: a verified release file and the digests of its package indexes. Everything
//! that it names is content of the store.

use super::MAX_RELEASE_BYTES;
use super::keyring::Keyring;
use super::openpgp::{self, GoodSignature, Refusal};
use super::release::{Release, ReleaseError};
use super::targets::{Merged, Target, Unlisted, merged_targets, unlisted};
use content::{Mapped, Store, StoreError};
use domain::digest::Sha256Digest;
use jiff::Timestamp;

/// A verified, immutable snapshot of a source.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The release file, parsed from verified bytes.
    pub release: Release,
    /// Who signed it; never empty.
    pub signatures: Vec<GoodSignature>,
    /// Digest of the release file as published: of InRelease with its signature, or of Release.
    pub release_digest: Sha256Digest,
    /// Digest of `Release.gpg`, where the release file is not signed in itself.
    pub signature_digest: Option<Sha256Digest>,
    /// The package indexes that the host uses and that were fetched, in apt's order.
    pub indexes: Vec<SnapshotIndex>,
    /// What the host is configured to use now and was not when this was fetched: a hole until the next sync.
    pub missing: Vec<Target>,
    /// What is configured and the release does not list.
    pub unlisted: Vec<Unlisted>,
}

/// One package index of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotIndex {
    /// Component; empty for a flat repository.
    pub component: String,
    /// Architecture; empty for a flat repository.
    pub architecture: String,
    /// Digest of the uncompressed Packages file: the name of its compiled form in the store.
    pub digest: Sha256Digest,
    /// Size of the uncompressed Packages file.
    pub size_bytes: u64,
    /// The file as published, which is in the store; absent for an empty index, of which nothing is fetched.
    pub published: Option<Published>,
}

/// An index file as its vendor publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Path below the folder of the release file, with the extension of its compression.
    pub path: String,
    /// Its digest.
    pub digest: Sha256Digest,
    /// Its size.
    pub size_bytes: u64,
}

/// What is kept of a snapshot besides its content: enough to read it again and verify it anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Digest of the release file as published.
    pub release_digest: Sha256Digest,
    /// Digest of `Release.gpg`, where the release file is not signed in itself.
    pub signature_digest: Option<Sha256Digest>,
    /// The package indexes that were fetched.
    pub indexes: Vec<SnapshotIndex>,
}

/// Why a kept snapshot could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The signature does not hold, or not any more, or not with these keys.
    #[error("the release file is refused")]
    Refused(#[from] Refusal),
    /// Signed, but not a release file.
    #[error("the release file is signed but cannot be used")]
    BadRelease(#[from] ReleaseError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Kept {
    /// The snapshot as these stanzas use it, its signatures verified again at `now` with the keys that may sign for them;
    /// `None` if its release file or signature is not in the store any more.
    pub fn read(
        &self,
        store: &Store,
        source: &Merged<'_>,
        keyring: &Keyring,
        now: Timestamp,
    ) -> Result<Option<Snapshot>, ReadError> {
        let Some(bytes) = map(store, &self.release_digest)? else {
            return Ok(None);
        };
        let verified = match &self.signature_digest {
            None => openpgp::verify_inrelease(&bytes, keyring, now)?,
            Some(signature) => {
                let Some(signature) = map(store, signature)? else {
                    return Ok(None);
                };
                openpgp::verify_detached(&bytes, &signature, keyring, now)?
            }
        };
        let release = Release::parse(&verified)?;
        let is_listed = |path: &str| release.file(path).is_some();
        let (mut indexes, mut missing) = (Vec::new(), Vec::new());
        for target in merged_targets(source, release.facts(), is_listed) {
            let is_it = |index: &&SnapshotIndex| {
                index.component == target.component && index.architecture == target.architecture
            };
            match self.indexes.iter().find(is_it) {
                Some(index) => indexes.push(index.clone()),
                None => missing.push(target),
            }
        }
        let unlisted = unlisted(source, release.facts(), is_listed);
        Ok(Some(Snapshot {
            signatures: verified.signatures().to_vec(),
            release_digest: self.release_digest,
            signature_digest: self.signature_digest,
            release,
            indexes,
            missing,
            unlisted,
        }))
    }
}

fn map(store: &Store, digest: &Sha256Digest) -> Result<Option<Mapped>, StoreError> {
    Ok(store
        .map(digest)?
        .filter(|bytes| bytes.len() as u64 <= MAX_RELEASE_BYTES))
}
