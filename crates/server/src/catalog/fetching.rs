//! One source fetched and verified: from the archive's addresses in turn, or out of what an agent carried here. Blocking;
//! what is found goes to the content store, and nothing to the database.

use content::Store;
use domain::catalog::release::ReleaseFacts;
use domain::host::channels::{Settings, Stanza};
use jiff::Timestamp;
use sources::apt::fetch::access::Access;
use sources::apt::fetch::local::LocalFiles;
use sources::apt::fetch::{FetchConfig, FetchLimits};
use sources::apt::keyring::Keyring;
use sources::apt::snapshot::Snapshot;
use sources::apt::sync::{self, Note, Outcome, SourceRequest, SyncError, SyncRequest};
use sources::apt::targets::Merged;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a person waits at most for the first look at a source.
const LOOK_LIMIT: Duration = Duration::from_secs(40);

/// One address under which a source is published.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The archive, with a slash at its end; without a login.
    pub uri: String,
    /// The suite as it is called there.
    pub suite: String,
}

/// What to fetch of a source, and how.
#[derive(Debug)]
pub struct Wanted {
    /// Where to look, best first.
    pub places: Vec<Place>,
    /// The components that hosts use; none of a flat repository.
    pub components: Vec<String>,
    /// The architectures that hosts have.
    pub architectures: Vec<String>,
    /// The keys that may sign it.
    pub keyring: Keyring,
    /// What opens a private archive among the places.
    pub access: Option<Access>,
    /// Where it is out of the network's reach: the files that agents carried, by their address.
    pub carried: Option<HashMap<String, domain::digest::Sha256Digest>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Fetched {
    /// The place that answered, or was tried last.
    pub place: Option<Place>,
    /// What is published; absent where it is what was known.
    pub outcome: Result<News, FetchFailure>,
    /// What is worth a word although it stopped nothing.
    pub notes: Vec<Note>,
}

/// What is published now.
#[derive(Debug)]
pub enum News {
    /// This, in time.
    InTime(Box<Snapshot>),
    /// This, past its date.
    Late {
        /// Its last moment.
        since: Timestamp,
        /// What is published.
        snapshot: Box<Snapshot>,
    },
}

/// Why nothing is known now of what is published.
#[derive(Debug, thiserror::Error)]
pub enum FetchFailure {
    /// It has no address that the server could ask.
    #[error("it has no address to fetch it from")]
    NoPlace,
    /// It was refused or could not be fetched whole.
    #[error(transparent)]
    Sync(#[from] Box<SyncError>),
}

/// Fetches a source from the first of its places that answers well.
pub fn fetch(content: &Store, wanted: &Wanted, now: Timestamp) -> Fetched {
    let mut last = Fetched {
        place: None,
        outcome: Err(FetchFailure::NoPlace),
        notes: Vec::new(),
    };
    for place in &wanted.places {
        last = fetch_from(content, wanted, place, now);
        if last.outcome.is_ok() {
            break;
        }
    }
    last
}

fn fetch_from(content: &Store, wanted: &Wanted, place: &Place, now: Timestamp) -> Fetched {
    let stanza = stanza(wanted, place);
    let source = SourceRequest {
        source: Merged {
            stanzas: vec![&stanza],
        },
        keyring: &wanted.keyring,
    };
    let request = SyncRequest {
        sources: vec![source],
        settings: &Settings::default(),
        fetch: fetch_config(content, wanted),
    };
    let synced = sync::sync(&request, content, now)
        .pop()
        .expect("one source was asked for");
    let news = match synced.outcome {
        Outcome::Adopted(snapshot) => Ok(News::InTime(Box::new(snapshot))),
        Outcome::Expired { since, snapshot } => Ok(News::Late {
            since,
            snapshot: Box::new(snapshot),
        }),
        Outcome::Unchanged { .. } => known(content, &request.sources[0], now).map(News::InTime),
        Outcome::Failed(error) => Err(error),
    };
    Fetched {
        place: Some(place.clone()),
        outcome: news.map_err(|error| Box::new(error).into()),
        notes: synced.notes,
    }
}

/// The snapshot that is in force already.
fn known(content: &Store, request: &SourceRequest<'_>, now: Timestamp) -> Result<Box<Snapshot>, SyncError> {
    let known = sync::current(content, &request.source, request.keyring, now)?;
    known.map(Box::new).ok_or(SyncError::Vanished)
}

/// What the releases of a source call themselves that a person adds, out of its first place: fetched within
/// [`LOOK_LIMIT`], verified, and not adopted.
///
/// # Errors
/// As a sync of it would fail.
pub fn look(content: &Store, wanted: &Wanted, now: Timestamp) -> Result<Arc<ReleaseFacts>, FetchFailure> {
    let place = wanted.places.first().ok_or(FetchFailure::NoPlace)?;
    let stanza = stanza(wanted, place);
    let source = SourceRequest {
        source: Merged {
            stanzas: vec![&stanza],
        },
        keyring: &wanted.keyring,
    };
    let mut config = fetch_config(content, wanted);
    config.limits = FetchLimits {
        total: LOOK_LIMIT,
        ..config.limits
    };
    sync::look(&source, config, content, now).map_err(|error| Box::new(error).into())
}

/// The source as a stanza of the server's own.
fn stanza(wanted: &Wanted, place: &Place) -> Stanza {
    let uri = match wanted.carried {
        Some(_) => carried_uri(place),
        None => place.uri.clone(),
    };
    Stanza {
        components: wanted.components.clone(),
        architectures: wanted.architectures.clone(),
        ..Stanza::new(&uri, &place.suite, &[], &[])
    }
}

/// The address under which carried files of a place stand: one that leads nowhere but into [`fetch_config`]'s table.
pub fn carried_uri(place: &Place) -> String {
    let name = content::sha256(format!("{}\n{}", place.uri, place.suite).as_bytes());
    format!("file:/carried/{name}/")
}

/// Files of this computer are never read, whatever an address says: addresses come from hosts.
pub(super) fn fetch_config(content: &Store, wanted: &Wanted) -> FetchConfig {
    let files = Arc::new(wanted.carried.clone().unwrap_or_default());
    let content = content.clone();
    FetchConfig {
        access: wanted.access.clone(),
        files: LocalFiles::opened_by(move |path| -> io::Result<Option<File>> {
            let Some(digest) = files.get(path) else {
                return Ok(None);
            };
            content.path(digest).map(File::open).transpose()
        }),
        ..FetchConfig::default()
    }
}
