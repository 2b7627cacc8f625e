//! Files of one source fetched into the content store: from its addresses in turn, a few at a time, while the disk has room.

use super::Trouble;
use crate::Context;
use crate::catalog::fetching::{Place, Wanted, fetch_config};
use crate::catalog::resolve::{Below, NeededFile};
use crate::catalog::space::{KEPT_FREE_BYTES, Space};
use crate::catalog::sync::wanted;
use crate::reconcile::chain;
use content::Store;
use domain::digest::Sha256Digest;
use domain::host::address::release_uri;
use sources::apt::fetch::{Fetcher, Presence};
use sources::apt::sync::fetch_file;
use std::sync::{Arc, Mutex, PoisonError};
use store::source::{Source, SourceKind};

/// Files of one source that are fetched at the same time.
const AT_ONCE: usize = 4;

/// What is here now, and what is not and why.
pub(super) async fn fetch(
    context: &Context,
    source: &Source,
    files: &[NeededFile],
    disk: &Arc<dyn Space>,
) -> Result<(Vec<NeededFile>, Vec<(Sha256Digest, String)>), Trouble> {
    let (content, files, disk) = (context.content.clone(), files.to_vec(), Arc::clone(disk));
    let wanted = wanted(context, source).await?;
    let is_carried = source.kind == SourceKind::Carried;
    let fetching = tokio::task::spawn_blocking(move || {
        let from = From {
            fetcher: Fetcher::new(fetch_config(&content, &wanted)),
            content: &content,
            wanted: &wanted,
            disk: &*disk,
            is_carried,
        };
        from.all(&files)
    });
    Ok(fetching.await.expect("fetching does not panic"))
}

struct From<'a> {
    fetcher: Fetcher,
    content: &'a Store,
    wanted: &'a Wanted,
    disk: &'a dyn Space,
    is_carried: bool,
}

impl From<'_> {
    fn all(&self, files: &[NeededFile]) -> (Vec<NeededFile>, Vec<(Sha256Digest, String)>) {
        let next = Mutex::new(files.iter());
        let results = Mutex::new((Vec::new(), Vec::new()));
        let work = || {
            loop {
                let file = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(file) = file else { return };
                let outcome = self.one(file);
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                match outcome {
                    Ok(()) => results.0.push(file.clone()),
                    Err(why) => results.1.push((file.sha256, why)),
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(files.len()) {
                scope.spawn(work);
            }
        });
        results.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the file is not here, if it is not.
    fn one(&self, file: &NeededFile) -> Result<(), String> {
        let in_words = |error: &(dyn std::error::Error + 'static)| chain(error);
        if self
            .content
            .holds(&file.sha256)
            .map_err(|error| in_words(&error))?
        {
            return Ok(());
        }
        if self.is_carried {
            return Err("only hosts reach its source, and agents carry lists and no packages".to_owned());
        }
        let room = self.disk.room().map_err(|error| in_words(&error))?;
        let kept = KEPT_FREE_BYTES.min(room.total_bytes / 20);
        if room.free_bytes < kept.saturating_add(file.size_bytes) {
            let free = room.free_bytes >> 20;
            return Err(format!(
                "only {free} MiB are free on the disk of the content store"
            ));
        }
        let mut last = "its source has no address to fetch it from".to_owned();
        for uri in self.wanted.places.iter().flat_map(|place| addresses(place, file)) {
            match fetch_file(&self.fetcher, self.content, &uri, file.sha256, file.size_bytes) {
                Ok(Presence::Fetched) => return Ok(()),
                Ok(Presence::Missing) => last = format!("{uri} is not there any more"),
                Err(error) => last = in_words(&error),
            }
        }
        Err(last)
    }
}

/// Where a file may stand at a place, best first.
fn addresses(place: &Place, file: &NeededFile) -> Vec<String> {
    let path = encoded(&file.path);
    match file.below {
        Below::Archive => vec![format!("{}{path}", place.uri)],
        Below::Release => {
            let base = release_uri(&place.uri, &place.suite);
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let slash = if folder.is_empty() { "" } else { "/" };
            let by_hash = format!("{base}{folder}{slash}by-hash/SHA256/{}", file.sha256);
            vec![by_hash, format!("{base}{path}")]
        }
    }
}

/// A path as it stands in an address: what RFC 3986, section 2.3, does not reserve stays, and so does the slash.
fn encoded(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_its_slashes_and_nothing_in_it_ends_it_early() {
        assert_eq!(
            encoded("pool/main/g/gcc/libstdc++6_12~rc1%3a#?x_amd64.deb"),
            "pool/main/g/gcc/libstdc%2B%2B6_12~rc1%253a%23%3Fx_amd64.deb"
        );
    }
}
