//! Reading what was synced before, without a network: the bytes come from the store and are verified anew.

use super::SyncError;
use super::state::{SourceState, Standing};
use crate::apt::answer::ReadableIndex;
use crate::apt::keyring::Keyring;
use crate::apt::snapshot::{Kept, ReadError, Snapshot};
use crate::apt::targets::Merged;
use content::Store;
use jiff::Timestamp;

/// The snapshot in force of a source, or if none ever was, the stale one that was fetched last; `None` if it was never
/// synced. Its indexes are those that `source` uses now. Signatures are verified again at `now` with the keys that may sign
/// the source today; whether it is still fresh is the caller's question (`super::freshness`).
pub fn current(
    store: &Store,
    source: &Merged<'_>,
    keyring: &Keyring,
    now: Timestamp,
) -> Result<Option<Snapshot>, SyncError> {
    let adopted = SourceState::load(store, source, Standing::Adopted)?;
    let state = match adopted {
        Some(state) => Some(state),
        None => SourceState::load(store, source, Standing::Stale)?,
    };
    let Some(state) = state else { return Ok(None) };
    let kept = Kept {
        release_digest: state.release,
        signature_digest: state.form.signature(),
        indexes: state.indexes,
    };
    Ok(kept.read(store, source, keyring, now)?)
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

impl From<ReadError> for SyncError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Refused(refusal) => Self::Refused(refusal),
            ReadError::BadRelease(error) => Self::BadRelease(error),
            ReadError::Store(error) => Self::Store(error),
        }
    }
}
