//! A package as one listing offers it.

use super::listing::ListingNo;
use crate::digest::Sha256Digest;
use crate::host::inventory::BuildFingerprint;

/// One stanza of a package index. Borrowed from the index, which outlives the assessment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer<'index> {
    /// Where it stands.
    pub listing: ListingNo,
    /// Binary package name.
    pub name: &'index str,
    /// Its architecture, `all` included.
    pub architecture: &'index str,
    /// Its version.
    pub version: &'index str,
    /// Source package; the binary's own name where the stanza names none.
    pub source: &'index str,
    /// Source version; the binary's own version where the stanza names none.
    pub source_version: &'index str,
    /// What tells two builds of one version apart.
    pub fingerprint: BuildFingerprint,
    /// `SHA256` of the package file; absent in indexes that give none.
    pub sha256: Option<Sha256Digest>,
    /// `Phased-Update-Percentage`, 0 to 100; 100 where absent.
    pub phased_percent: u8,
}
