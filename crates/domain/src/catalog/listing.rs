//! A place where packages are published: one index of one source.

use super::release::ReleaseFacts;
use std::sync::Arc;

/// The number of a listing in the channels at hand, in apt's order of index files: an equal answer goes to the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListingNo(pub u16);

/// One package index of one source, with the facts by which pins match it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The release that lists it.
    pub release: Arc<ReleaseFacts>,
    /// Host name of the source's address, as apt's `origin` pins compare it; empty for local files.
    pub site: String,
    /// Component such as `main`; empty for a flat repository.
    pub component: String,
    /// Architecture of the index; `all` for a separate index of architecture-independent packages.
    pub architecture: String,
}

impl Listing {
    /// Whether updates listed here are security updates: a Debian or Ubuntu security suite by Suite, Codename or
    /// Label. Classification belongs to a listing and may change; identity never does.
    pub fn is_security(&self) -> bool {
        let release = &*self.release;
        let ends = |text: &Option<String>| {
            text.as_deref()
                .is_some_and(|text| text.ends_with("-security") || text.ends_with("/updates"))
        };
        ends(&release.suite)
            || ends(&release.codename)
            || release
                .label
                .as_deref()
                .is_some_and(|label| label == "Debian-Security")
    }
}
