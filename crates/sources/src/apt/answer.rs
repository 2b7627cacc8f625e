//! What a configured source answers when it is asked what it publishes: a verified release with its indexes, or the
//! reason why nothing in it may be believed. The same shape whether the host's own lists or a sync were read.

use super::decompress::DecompressError;
use super::freshness::Freshness;
use super::index::{BuildError, Index};
use super::keyring::KeyringError;
use super::openpgp::{GoodSignature, Refusal};
use super::release::{Release, ReleaseError};
use content::{Mapped, StoreError};
use domain::digest::Sha256Digest;
use std::io;
use std::path::PathBuf;

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
    /// The package indexes that the host uses of it, in apt's order.
    pub listings: Vec<ListingAnswer>,
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

/// An index that can be asked.
#[derive(Debug)]
pub struct ReadableIndex {
    /// Digest of the uncompressed Packages file.
    pub digest: Sha256Digest,
    /// The compiled form.
    pub index: Index<Mapped>,
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
    Unlisted(String),
    /// The release gives no digest of the uncompressed index, and the host keeps no other form.
    #[error("the release file names no digest for the form in which the host keeps it; 'patchyard scan --refresh' can verify it")]
    NoDigest,
    /// It is not what the release file says.
    #[error("its package list does not match the signed release file (apt may be updating it now; scan again)")]
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
