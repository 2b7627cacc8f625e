//! An archive on a loopback server, a store, and a host that uses the one with the other.

use content::Store;
use domain::digest::Sha256Digest;
use domain::host::channels::{Settings, Stanza};
use jiff::{Timestamp, ToSpan};
use sources::apt::fetch::{FetchConfig, FetchLimits};
use sources::apt::keyring::Keyring;
use sources::apt::snapshot::Snapshot;
use sources::apt::sync::{Outcome, SourceRequest, SyncOutcome, SyncRequest, current, sync};
use sources::apt::targets::merge;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use testkit::archive::package::Package;
use testkit::archive::{Archive, Format};
use testkit::keys::SigningKey;
use testkit::server::Server;

/// The path of the first archive's index below its root.
pub const INDEX: &str = "dists/one/main/binary-amd64/Packages.xz";
/// The path of its release file.
pub const INRELEASE: &str = "dists/one/InRelease";

pub struct World {
    pub tree: TempDir,
    pub cache: TempDir,
    pub key: SigningKey,
    pub server: Server,
    pub settings: Settings,
    pub limits: FetchLimits,
    published: AtomicU64,
}

/// The moment of all tests: a day after the archives' date.
pub fn now() -> Timestamp {
    "2026-06-02T00:00:00Z".parse().unwrap()
}

/// So many days after the archives' date.
pub fn day(days: i64) -> Timestamp {
    "2026-06-01T00:00:00Z".parse::<Timestamp>().unwrap() + (days * 24).hours()
}

/// A stanza as the host's configuration gives it.
pub fn stanza(uri: &str, suite: &str) -> Stanza {
    let components: &[&str] = if suite.ends_with('/') { &[] } else { &["main"] };
    Stanza::new(uri, suite, components, &["amd64"])
}

/// Packages whose index does not pack well, so that it is larger than what a test cuts off: about 40 bytes each.
pub fn packages(seed: &str, count: usize) -> impl Iterator<Item = Package> {
    (0..count).map(move |n| {
        let noise = content::sha256(format!("{seed}{n}").as_bytes());
        Package::new(&format!("p{n}"), "1.0").field("Noise", &noise.to_string())
    })
}

impl World {
    /// A server with two honest archives, `one` and `two`.
    pub fn new() -> Self {
        let (tree, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let server = Server::start(tree.path()).unwrap();
        let limits = FetchLimits {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(2),
            rate_window: Duration::from_millis(1500),
            total: Duration::from_secs(20),
            ..FetchLimits::default()
        };
        let key = SigningKey::ed25519("Archive <archive@archive.example>");
        let world = Self {
            tree,
            cache,
            key,
            server,
            settings: Settings::default(),
            limits,
            published: AtomicU64::new(0),
        };
        world.publish(&world.archive("one", "first").date(day(0)));
        world.publish(&world.archive("two", "first").date(day(0)));
        world
    }

    /// A signed archive with a hundred packages; another seed gives other bytes.
    pub fn archive(&self, name: &str, seed: &str) -> Archive {
        Archive::new(name)
            .arch("amd64")
            .formats(&[Format::Xz])
            .packages(packages(seed, 100))
            .sign(&self.key)
    }

    /// Publishes an archive, each time a minute later than the last, as its files' dates say: a server that tells
    /// changes by date and size would miss one within a second.
    pub fn publish(&self, archive: &Archive) {
        archive.write_to(self.tree.path()).unwrap();
        let minutes = self.published.fetch_add(1, Ordering::Relaxed);
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + 60 * minutes);
        for path in archive.files().unwrap().keys() {
            let file = fs::File::options()
                .write(true)
                .open(self.tree.path().join(path))
                .unwrap();
            file.set_modified(modified).unwrap();
        }
    }

    /// The second state of `one`, a day later.
    pub fn publish_second(&self) {
        self.publish(&self.archive("one", "second").date(day(1)));
    }

    pub fn store(&self) -> Store {
        Store::open(&self.cache.path().join("store")).unwrap()
    }

    pub fn keyring(&self) -> Keyring {
        Keyring::parse(&self.key.certificate()).unwrap()
    }

    pub fn config(&self) -> FetchConfig {
        FetchConfig {
            limits: self.limits,
            ..FetchConfig::default()
        }
    }

    pub fn stanza(&self, suite: &str) -> Stanza {
        stanza(&self.server.uri(), suite)
    }

    /// Syncs these stanzas at this moment into this store.
    pub fn sync_all(&self, store: &Store, stanzas: &[Stanza], now: Timestamp) -> Vec<SyncOutcome> {
        let keyring = self.keyring();
        let sources = merge(stanzas)
            .into_iter()
            .map(|source| SourceRequest {
                source,
                keyring: &keyring,
            })
            .collect();
        let request = SyncRequest {
            sources,
            settings: &self.settings,
            fetch: self.config(),
        };
        sync(&request, store, now)
    }

    /// Syncs one suite now.
    pub fn sync(&self, suite: &str) -> Outcome {
        self.sync_at(suite, now())
    }

    pub fn sync_at(&self, suite: &str, now: Timestamp) -> Outcome {
        let mut outcomes = self.sync_all(&self.store(), &[self.stanza(suite)], now);
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0).outcome
    }

    /// What a scan without network finds.
    pub fn current(&self, suite: &str) -> Option<Snapshot> {
        let stanzas = [self.stanza(suite)];
        current(&self.store(), &merge(&stanzas)[0], &self.keyring(), now()).unwrap()
    }

    /// Digest of a file that the archive serves.
    pub fn digest(&self, path: &str) -> Sha256Digest {
        content::sha256(&fs::read(self.tree.path().join(path)).unwrap())
    }
}

/// The snapshot that was adopted.
pub fn adopted(outcome: Outcome) -> Snapshot {
    match outcome {
        Outcome::Adopted(snapshot) => snapshot,
        other => panic!("not adopted: {other:?}"),
    }
}

/// Why it failed, with all causes, as one text.
pub fn failure(outcome: Outcome) -> String {
    let Outcome::Failed(error) = outcome else {
        panic!("it did not fail: {outcome:?}")
    };
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Names of the compiled packages of a snapshot's first index, by asking the store.
pub fn package_count(store: &Store, snapshot: &Snapshot) -> usize {
    let of = &snapshot.indexes[0].digest;
    let mapped = store
        .map_derived(sources::apt::index::COMPILED, of)
        .unwrap()
        .unwrap();
    sources::apt::index::Index::open(mapped).unwrap().len()
}

/// Every file of the store is what its name says, and nothing unfinished lies about but what can be resumed.
pub fn assert_sound(store: &Store) {
    for shelf in fs::read_dir(store.folder().join("files")).unwrap() {
        for file in fs::read_dir(shelf.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if let Ok(digest) = name.parse::<Sha256Digest>() {
                assert_eq!(content::sha256(&fs::read(&path).unwrap()), digest, "{name}");
            }
        }
    }
    assert_eq!(
        entries(&store.folder().join("temp")),
        0,
        "temporary files are left"
    );
}

/// How many entries a folder has.
pub fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}
