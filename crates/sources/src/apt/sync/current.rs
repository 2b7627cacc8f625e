//! Reading what was synced before, without a network: the bytes come from the store and are verified anew.

use super::state::{Form, SourceState, Standing};
use super::{SyncError, release::MAX_RELEASE_BYTES};
use crate::apt::answer::ReadableIndex;
use crate::apt::keyring::Keyring;
use crate::apt::openpgp;
use crate::apt::release::Release;
use crate::apt::snapshot::{Snapshot, SnapshotIndex};
use crate::apt::targets::{Merged, merged_targets, unlisted};
use content::{Mapped, Store};
use domain::digest::Sha256Digest;
use jiff::Timestamp;

/// Why a snapshot could not be read: the same reasons as for a sync.
pub type CurrentError = SyncError;

/// The snapshot in force of a source, or if none ever was, the stale one that was fetched last; `None` if it was never
/// synced. Its indexes are those that `source` uses now. Signatures are verified again at `now` with the keys that may sign the source today; whether it is still
/// fresh is the caller's question (`super::freshness`).
pub fn current(
    store: &Store,
    source: &Merged<'_>,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Option<Snapshot>, CurrentError> {
    let adopted = SourceState::load(store, source, Standing::Adopted)?;
    let state = match adopted {
        Some(state) => Some(state),
        None => SourceState::load(store, source, Standing::Stale)?,
    };
    let Some(state) = state else { return Ok(None) };
    let Some(bytes) = map(store, &state.release)? else {
        return Ok(None);
    };
    let verified = match state.form {
        Form::Inline => openpgp::verify_inrelease(&bytes, keyring, now)?,
        Form::Detached { signature } => {
            let Some(signature) = map(store, &signature)? else {
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
        match state.indexes.iter().find(is_it) {
            Some(index) => indexes.push(index.clone()),
            None => missing.push(target),
        }
    }
    let unlisted = unlisted(source, release.facts(), is_listed);
    let signatures = verified.signatures().to_vec();
    Ok(Some(Snapshot {
        release_digest: state.release,
        release,
        signatures,
        indexes,
        missing,
        unlisted,
    }))
}

/// The indexes that a source had when it was last synced, without asking whether its signature still holds. They say
/// whose a package is likely to be, never what it is missing.
pub fn last_known(store: &Store, source: &Merged<'_>) -> Vec<ReadableIndex> {
    let state = SourceState::load(store, source, Standing::Adopted).ok().flatten();
    let indexes = state.map(|state| state.indexes).unwrap_or_default();
    indexes
        .iter()
        .filter_map(|index| ReadableIndex::open(store, index.digest).ok().flatten())
        .collect()
}

fn map(store: &Store, digest: &Sha256Digest) -> Result<Option<Mapped>, SyncError> {
    Ok(store
        .map(digest)?
        .filter(|bytes| bytes.len() as u64 <= MAX_RELEASE_BYTES))
}
