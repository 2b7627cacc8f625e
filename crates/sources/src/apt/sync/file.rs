//! One file of known digest and size, fetched into the store: once, however many ask for it at the same time.

use super::lock;
use crate::apt::fetch::{FetchError, Fetcher, Presence};
use content::{InsertError, Store};
use domain::digest::Sha256Digest;

/// Fetches a file from an address into the store, unless it is there. Who comes second waits for the first, a minute at most
/// each time; what was fetched of it before is gone on with. What does not have the digest is thrown away.
///
/// # Errors
/// [`FetchError`].
pub fn fetch_file(
    fetcher: &Fetcher,
    store: &Store,
    uri: &str,
    sha256: Sha256Digest,
    size_bytes: u64,
) -> Result<Presence, FetchError> {
    let begin = || {
        let partial = lock::patiently(|| match store.contains(&sha256) {
            true => Ok(Some(None)),
            false => Ok(store.partial(sha256, size_bytes)?.map(Some)),
        })?;
        partial.ok_or_else(|| InsertError::Disk(std::io::Error::from(std::io::ErrorKind::ResourceBusy)))
    };
    fetcher.into_store(uri, size_bytes, begin)
}
