//! Bringing a host's sources up to date in the content store. Each source is on its own: one failure stops no other.
//! A source becomes a new snapshot only as a whole: release file fetched, verified, not older, not expired, and every
//! index that the host uses fetched and verified by its digest.
//!
//! Fetching and judging a release file is in `release`, indexes in `index`, what was adopted in `state`, reading it
//! again without a network in `current`.

mod current;
mod file;
mod index;
mod lock;
mod release;
mod source;
mod state;

pub use current::{current, last_known};
pub use file::fetch_file;

use super::fetch::{FetchConfig, FetchError, Fetcher};
use super::freshness::FreshnessRules;
use super::index::BuildError;
use super::keyring::Keyring;
use super::openpgp::Refusal;
use super::release::ReleaseError;
use super::snapshot::Snapshot;
use super::targets::{Merged, Unlisted};
use content::{InsertError, Store, StoreError};
use domain::catalog::release::ReleaseFacts;
use domain::digest::Sha256Digest;
use domain::host::channels::Settings;
use jiff::Timestamp;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Sources that are synced at the same time, at most.
const MAX_PARALLEL: usize = 8;

/// What to sync.
#[derive(Debug)]
pub struct SyncRequest<'a> {
    /// The sources, each with the keys that may sign it.
    pub sources: Vec<SourceRequest<'a>>,
    /// Settings of the host that decide how old a release may be.
    pub settings: &'a Settings,
    /// How to fetch, and what it may cost.
    pub fetch: FetchConfig,
}

/// One source.
#[derive(Debug)]
pub struct SourceRequest<'a> {
    /// Its stanzas, as [`super::targets::merge`] groups them.
    pub source: Merged<'a>,
    /// The keys that may sign it.
    pub keyring: &'a Keyring,
}

/// What became of one source.
#[derive(Debug)]
pub struct SyncOutcome {
    /// Its address, without a password.
    pub uri: String,
    /// Its suite.
    pub suite: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What is worth a word although it stopped nothing.
    pub notes: Vec<Note>,
}

/// What became of one source.
#[derive(Debug)]
pub enum Outcome {
    /// There is a new snapshot, and it is in force.
    Adopted(Snapshot),
    /// Nothing was published since the last sync; the snapshot in force stays.
    Unchanged {
        /// Digest of its release file.
        release_digest: Sha256Digest,
    },
    /// What is published is past its date. It was verified and can be read, each finding marked stale, but it replaces
    /// no snapshot in force.
    Expired {
        /// Its last moment.
        since: Timestamp,
        /// What is published.
        snapshot: Snapshot,
    },
    /// The source was refused or could not be fetched whole. A snapshot in force stays.
    Failed(SyncError),
}

/// Something worth a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A configured index that the release does not list.
    Unlisted(Unlisted),
    /// The release says that it is another suite than the one configured; a mirror may serve the wrong one.
    OtherSuite {
        /// What it calls itself, suite or codename.
        is: String,
    },
    /// Malformed stanzas in an index were left out.
    Skipped {
        /// The index's path.
        path: String,
        /// How many.
        count: u32,
    },
}

/// Why a source was not synced.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Neither InRelease nor Release is there.
    #[error("{uri} has neither InRelease nor Release: no such suite, or no apt repository")]
    NoRelease {
        /// The folder in which they were looked for.
        uri: String,
    },
    /// There is a Release, and no signature.
    #[error("{uri} is not signed: it has neither InRelease nor Release.gpg")]
    NotSigned {
        /// The folder in which they were looked for.
        uri: String,
    },
    /// The signature does not hold.
    #[error("the release file is refused")]
    Refused(#[from] Refusal),
    /// Signed, but not a release file.
    #[error("the release file is signed but cannot be used")]
    BadRelease(#[from] ReleaseError),
    /// The host marks the source `trusted=no`.
    #[error("the host is told never to trust it (trusted=no)")]
    DistrustedByHost,
    /// Two stanzas of one source name different keys; apt refuses all sources then.
    #[error(
        "its stanzas name different keys (Signed-By); give all stanzas of one address and suite the same"
    )]
    ConflictingKeys,
    /// Somebody offers an older release than the one that is known: a rollback, or a mirror that lags behind.
    #[error("it offers a release of {got} although one of {have} is known; an older one is never taken")]
    Older {
        /// The date of the snapshot in force.
        have: Timestamp,
        /// The date of what is offered.
        got: Timestamp,
    },
    /// The known release had a date, this one has none.
    #[error("it offers a release without a date although one of {have} is known")]
    Undated {
        /// The date of the snapshot in force.
        have: Timestamp,
    },
    /// Dated in the future: the vendor's clock or this computer's is wrong.
    #[error("its release is not in force before {until}; check this computer's clock")]
    FromTheFuture {
        /// Its first moment.
        until: Timestamp,
    },
    /// The release lists an index that cannot be fetched.
    #[error("its release lists {path}, but the archive does not have it; the mirror may be incomplete")]
    Incomplete {
        /// The index's path, without extension.
        path: String,
    },
    /// An index does not unpack, within its limits, to what the release says.
    #[error("{path} does not unpack to what the release says")]
    Unpack {
        /// The index's path.
        path: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// An index unpacks to something else than the release says.
    #[error("{path} unpacks to other bytes than the release lists")]
    WrongPackages {
        /// The index's path.
        path: String,
    },
    /// An index larger than the limit.
    #[error("{path} is listed with {size_bytes} bytes; {limit_bytes} are allowed")]
    TooLarge {
        /// The index's path.
        path: String,
        /// Its size as listed.
        size_bytes: u64,
        /// The limit.
        limit_bytes: u64,
    },
    /// An index cannot be compiled.
    #[error("{path} cannot be indexed")]
    Build {
        /// The index's path.
        path: String,
        /// Why.
        #[source]
        cause: BuildError,
    },
    /// Something could not be stored: a full disk, for example.
    #[error("store it")]
    Insert(#[from] InsertError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file that says what was adopted is damaged.
    #[error(
        "what was adopted of it is not readable; remove state/{name} in the content store to begin anew: {why}"
    )]
    DamagedState {
        /// Name of the state file.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Somebody emptied the store during the sync.
    #[error("what is known of it was removed from the content store meanwhile; try again")]
    Vanished,
    /// Another process syncs the same source, and took too long.
    #[error("another process is syncing it")]
    Busy,
}

impl SyncError {
    /// Whether a mirror that was being updated just now could be the reason, so that one more try may help.
    fn may_be_mid_update(&self) -> bool {
        match self {
            Self::Fetch(error) => error.is_wrong_content(),
            Self::Incomplete { .. } | Self::WrongPackages { .. } => true,
            _ => false,
        }
    }
}

/// What all sources of one sync share.
struct Context<'a> {
    store: &'a Store,
    fetcher: Fetcher,
    settings: &'a Settings,
    now: Timestamp,
    /// One index is compiled at a time, so that memory does not grow with the number of sources.
    compiling: Mutex<()>,
}

impl Context<'_> {
    fn rules(&self, source: &Merged<'_>) -> FreshnessRules {
        FreshnessRules::new(source.stanzas[0], self.settings)
    }
}

/// Syncs the sources, several at a time. The outcomes stand in the order of the request.
pub fn sync(request: &SyncRequest<'_>, store: &Store, now: Timestamp) -> Vec<SyncOutcome> {
    let context = Context {
        store,
        fetcher: Fetcher::new(request.fetch.clone()),
        settings: request.settings,
        now,
        compiling: Mutex::new(()),
    };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        while let Some((place, source)) = take(&request.sources, &next) {
            outcomes.push((place, source::sync_source(&context, source)));
        }
        outcomes
    };
    let mut outcomes: Vec<(usize, SyncOutcome)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..request.sources.len().min(MAX_PARALLEL))
            .map(|_| scope.spawn(work))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("a sync does not panic"))
            .collect()
    });
    outcomes.sort_by_key(|(place, _)| *place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Fetches, verifies and judges the release file of a source alone, and gives what it says of itself: for a person who adds
/// a source and wants to know at once whether it is the right one. Nothing is adopted.
///
/// # Errors
/// As a sync of it would fail. A release past its date is none.
pub fn look(
    source: &SourceRequest<'_>,
    fetch: FetchConfig,
    store: &Store,
    now: Timestamp,
) -> Result<Arc<ReleaseFacts>, SyncError> {
    let context = Context {
        store,
        fetcher: Fetcher::new(fetch),
        settings: &Settings::default(),
        now,
        compiling: Mutex::new(()),
    };
    release::look(&context, source)
}

/// The next source that nobody works on.
fn take<'s, 'a>(
    sources: &'s [SourceRequest<'a>],
    next: &AtomicUsize,
) -> Option<(usize, &'s SourceRequest<'a>)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    sources.get(place).map(|source| (place, source))
}
