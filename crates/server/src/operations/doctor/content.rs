//! Whether the files of the content store that something needs are there and are still what they were.

use super::{Check, Wellness, not_ok, ok};
use crate::Context;
use crate::catalog::row::{self, AddressesJson, BadRow};
use content::Store;
use domain::digest::Sha256Digest;
use std::collections::BTreeMap;
use store::source::{self, SourceState};
use store::{Whole, snapshot};

/// So many bytes are read at most; of what is beyond, it is only seen whether it is there.
const READ_BYTES: u64 = 4 << 30;
/// So many files are named.
const NAMED: usize = 5;

/// Files by digest, and what needs them.
type Needed = BTreeMap<Sha256Digest, String>;

/// Why it cannot be told what is needed.
#[derive(Debug, thiserror::Error)]
enum NeedsError {
    #[error("read what needs files")]
    Store(#[from] store::Error),
    #[error(transparent)]
    BadRow(#[from] BadRow),
}

/// Looks at every file that an adopted source needs.
pub(super) async fn check(ctx: &Context) -> Check {
    let needed = match ctx.db.attempt_read(needed).await {
        Ok(needed) => needed,
        Err(error) => {
            let why = crate::reconcile::chain(&error);
            let sentence = format!("Which files of the content store are needed cannot be told: {why}.");
            return not_ok(
                "content",
                Wellness::Failed,
                sentence,
                "See to the database first.",
            );
        }
    };
    let store = ctx.content.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let count = needed.len();
        (count, unsound(&store, needed))
    });
    let (count, unsound) = looking.await.expect("looking does not panic");
    if unsound.is_empty() {
        return ok(
            "content",
            format!("{count} files of vendors are there and whole."),
        );
    }
    let named: Vec<&str> = unsound.iter().take(NAMED).map(String::as_str).collect();
    let more = match unsound.len() > NAMED {
        true => ", and others",
        false => "",
    };
    let sentence = format!(
        "{} of {count} files of vendors are missing or altered: {}{more}.",
        unsound.len(),
        named.join(", ")
    );
    let next = "The next sync fetches them again (`patchyard source sync`); hosts that need them are unknown until then. \
                If it happens again, look at the disk.";
    not_ok("content", Wellness::Failed, sentence, next)
}

fn needed(view: &mut store::View) -> Result<Needed, NeedsError> {
    let whole = Whole::server();
    let mut needed = Needed::new();
    let mut names = BTreeMap::new();
    for source in source::all_of_server(view, &whole)? {
        if source.state != SourceState::Adopted {
            continue;
        }
        let addresses: AddressesJson = row::parse("the addresses", &source.addresses)?;
        for key_file in &addresses.key_files {
            // What is no digest is no file; a sweep says so.
            if let Ok(digest) = Sha256Digest::parse(key_file.as_bytes()) {
                needed.insert(digest, format!("a key file of {}", source.name));
            }
        }
        names.insert(source.id, source.name);
    }
    for snapshot in snapshot::in_force(view, &whole)? {
        let Some(name) = names.get(&snapshot.source) else {
            continue;
        };
        let kept = row::kept(&snapshot)?;
        needed.insert(kept.release_digest, format!("the release file of {name}"));
        if let Some(signature) = kept.signature_digest {
            needed.insert(signature, format!("the signature of {name}"));
        }
        for published in kept.indexes.into_iter().filter_map(|index| index.published) {
            needed.insert(published.digest, format!("a package list of {name}"));
        }
    }
    Ok(needed)
}

fn unsound(store: &Store, needed: Needed) -> Vec<String> {
    let mut left = READ_BYTES;
    let mut unsound = Vec::new();
    for (digest, what) in needed {
        let size = store
            .path(&digest)
            .and_then(|path| Some(path.metadata().ok()?.len()));
        let is_sound = match size {
            None => false,
            Some(size) if size > left => true,
            Some(size) => {
                left -= size;
                store.digest_of(&digest).is_ok_and(|found| found == Some(digest))
            }
        };
        if !is_sound {
            unsound.push(format!("{digest} ({what})"));
        }
    }
    unsound
}
