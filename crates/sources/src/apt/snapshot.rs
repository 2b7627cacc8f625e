//! A source exactly as published at one sync: a verified release file and the digests of its package indexes. Everything
//! that it names is content of the store.

use super::openpgp::GoodSignature;
use super::release::Release;
use super::targets::{Target, Unlisted};
use domain::digest::Sha256Digest;

/// A verified, immutable snapshot of a source.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The release file, parsed from verified bytes.
    pub release: Release,
    /// Who signed it; never empty.
    pub signatures: Vec<GoodSignature>,
    /// Digest of the release file as published: of InRelease with its signature, or of Release.
    pub release_digest: Sha256Digest,
    /// The package indexes that the host uses and that were fetched, in apt's order.
    pub indexes: Vec<SnapshotIndex>,
    /// What the host is configured to use now and was not when this was fetched: a hole until the next sync.
    pub missing: Vec<Target>,
    /// What is configured and the release does not list.
    pub unlisted: Vec<Unlisted>,
}

/// One package index of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotIndex {
    /// Component; empty for a flat repository.
    pub component: String,
    /// Architecture; empty for a flat repository.
    pub architecture: String,
    /// Digest of the uncompressed Packages file: the name of its compiled form in the store.
    pub digest: Sha256Digest,
    /// Size of the uncompressed Packages file.
    pub size_bytes: u64,
    /// The file as published, which is in the store; absent for an empty index, of which nothing is fetched.
    pub published: Option<Published>,
}

/// An index file as its vendor publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Path below the folder of the release file, with the extension of its compression.
    pub path: String,
    /// Its digest.
    pub digest: Sha256Digest,
    /// Its size.
    pub size_bytes: u64,
}
