//! What a configured source answers when it is asked what it publishes: a verified release with its indexes, or the
//! reason why nothing in it may be believed. The same shape whether the host's own lists or a sync were read.

use super::decompress::DecompressError;
use super::freshness::Freshness;
use super::index::{BuildError, COMPILED, Index};
use super::keyring::{Keyring, KeyringError};
use super::openpgp::{GoodSignature, Refusal};
use super::release::{Release, ReleaseError};
use super::snapshot::{Published, Snapshot, SnapshotIndex};
use super::targets::{Merged, Target, Unlisted, WhyUnlisted};
use content::{Mapped, Store, StoreError};
use domain::catalog::release::ReleaseFacts;
use domain::digest::Sha256Digest;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A verified source as it stands.
#[derive(Debug)]
pub struct Answer {
    /// The release file, parsed from verified bytes.
    pub release: Release,
    /// Who signed it; never empty.
    pub signatures: Vec<GoodSignature>,
    /// Digest of the release file as published (with its clear signature, where it has one).
    pub release_digest: Sha256Digest,
    /// Fingerprints of the certificates that may sign for it, sorted.
    pub keys: Vec<String>,
    /// Whether it is still what the vendor vouches for.
    pub freshness: Freshness,
    /// Why newer things may have been published than these, besides freshness: a sync that failed, another suite
    /// than the one configured.
    pub doubt: Option<String>,
    /// The package indexes that the host uses of it, in apt's order.
    pub listings: Vec<ListingAnswer>,
}

impl Answer {
    /// The doubt about a release that is another suite than the one configured.
    pub fn doubt_of_suite(source: &Merged<'_>, release: &ReleaseFacts) -> Option<String> {
        let is = source.other_suite(release)?;
        Some(format!(
            "it calls itself {is} and not {}: the mirror may serve the wrong suite; if it is the right one, name it so \
             in the stanza",
            source.stanzas[0].suite
        ))
    }

    /// What a snapshot of the store answers.
    pub fn of_snapshot(store: &Store, snapshot: Snapshot, keyring: &Keyring, freshness: Freshness) -> Self {
        let listing = |index: SnapshotIndex| {
            let outcome = ReadableIndex::open(store, index.digest)
                .and_then(|readable| readable.ok_or(NoListing::Missing))
                .map(|readable| ReadableIndex {
                    published: index.published,
                    ..readable
                });
            ListingAnswer {
                component: index.component,
                architecture: index.architecture,
                outcome,
            }
        };
        let missing = snapshot.missing.into_iter().map(
            |Target {
                 component,
                 architecture,
                 ..
             }| ListingAnswer {
                component,
                architecture,
                outcome: Err(NoListing::Missing),
            },
        );
        let unlisted = snapshot
            .unlisted
            .into_iter()
            .filter_map(ListingAnswer::of_unlisted);
        let holes = missing.chain(unlisted);
        Self {
            listings: snapshot.indexes.into_iter().map(listing).chain(holes).collect(),
            release: snapshot.release,
            signatures: snapshot.signatures,
            release_digest: snapshot.release_digest,
            keys: keyring.fingerprints(),
            freshness,
            doubt: None,
        }
    }
}

/// One package index.
#[derive(Debug)]
pub struct ListingAnswer {
    /// Component; empty for a flat repository.
    pub component: String,
    /// Architecture; empty for a flat repository.
    pub architecture: String,
    /// The index, or why there is none.
    pub outcome: Result<ReadableIndex, NoListing>,
}

impl ListingAnswer {
    /// The hole that a configured index without a listing is; an architecture without packages is none.
    pub fn of_unlisted(unlisted: Unlisted) -> Option<Self> {
        let why = match unlisted.why {
            WhyUnlisted::NoPackages => return None,
            WhyUnlisted::NoSuchComponent => "the source has no such component; is it misspelt?",
            WhyUnlisted::NoSuchArchitecture => {
                "the source has nothing for this architecture; [arch=...] in its stanza leaves it out"
            }
            WhyUnlisted::NotProvided => "the source does not provide it",
        };
        let Target {
            component,
            architecture,
            ..
        } = unlisted.target;
        Some(Self {
            component,
            architecture,
            outcome: Err(NoListing::Unlisted(why)),
        })
    }
}

/// An index that can be asked.
#[derive(Debug)]
pub struct ReadableIndex {
    /// Digest of the uncompressed Packages file.
    pub digest: Sha256Digest,
    /// The compiled form.
    pub index: Arc<Index<Mapped>>,
    /// The file as published, where it is in the store: for synced sources.
    pub published: Option<Published>,
}

impl ReadableIndex {
    /// The compiled form of the index with this digest, if the store has one that is sound.
    pub fn open(store: &Store, digest: Sha256Digest) -> Result<Option<Self>, NoListing> {
        let index = store
            .map_derived(COMPILED, &digest)?
            .and_then(|mapped| Index::open(mapped).ok());
        let sound = index.filter(|index| index.packages_digest() == digest);
        Ok(sound.map(|index| Self {
            digest,
            index: Arc::new(index),
            published: None,
        }))
    }
}

/// Why a source answers nothing.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Never fetched, or removed.
    #[error("its lists are missing; 'apt update' or 'patchyard scan --refresh' fetches them")]
    ListsMissing,
    /// A file of it cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The release file is longer than [`super::MAX_RELEASE_BYTES`].
    #[error("its release file is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// Release without Release.gpg: nobody vouches for it.
    #[error("it is not signed")]
    NotSigned,
    /// `trusted=yes` and no good signature: the host believes it, Patchyard has nothing to check.
    #[error("it is marked trusted=yes and not signed, so there is nothing to verify")]
    TrustedUnsigned,
    /// `trusted=no`.
    #[error("the host is told never to trust it (trusted=no)")]
    DistrustedByHost,
    /// The keys it names cannot be had.
    #[error("{0}")]
    NoKeys(String),
    /// A key file is not one.
    #[error("its key file {file} cannot be used")]
    BadKeys {
        /// The file.
        file: String,
        /// Why.
        #[source]
        cause: KeyringError,
    },
    /// The signature does not hold.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Signed, but not a release file.
    #[error("its release file is signed but cannot be used")]
    BadRelease(#[from] ReleaseError),
    /// A sync could not fetch or accept it.
    #[error("{0}")]
    NotFetched(String),
}

/// Why an index answers nothing.
#[derive(Debug, thiserror::Error)]
pub enum NoListing {
    /// The host has no such file.
    #[error("its package list is missing; 'apt update' or 'patchyard scan --refresh' fetches it")]
    Missing,
    /// The release does not have what is configured.
    #[error("{0}")]
    Unlisted(&'static str),
    /// It is not what the release file says.
    #[error(
        "its package list does not match the signed release file (apt may be updating it now; scan again)"
    )]
    Mismatch,
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It does not unpack.
    #[error("its package list cannot be unpacked")]
    Packed(#[from] DecompressError),
    /// It cannot be indexed.
    #[error("its package list cannot be indexed")]
    NotIndexed(#[from] BuildError),
    /// The compiled form cannot be kept.
    #[error("the compiled index cannot be kept")]
    NotKept(#[from] StoreError),
}
