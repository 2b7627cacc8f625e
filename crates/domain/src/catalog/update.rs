//! An update: the unit that a vendor releases and an administrator approves.

/// The identity of an update. It never changes, wherever and however often the update is listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdateId {
    /// Who publishes it: the Release's Origin (with the signing keys, in [`Publisher`]).
    pub publisher: Publisher,
    /// Source package.
    pub source: String,
    /// Source version.
    pub source_version: String,
    /// The binary-rebuild suffix such as `+b1`; empty for a first build.
    pub build: String,
}

/// Who signs a source: its Origin and the set of keys that may sign for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publisher {
    /// The Release's `Origin`; empty where it has none.
    pub origin: String,
    /// Fingerprints of the certificates that may sign, sorted, upper-case hexadecimal.
    pub keys: Vec<String>,
}

/// What kind of update it is, from where it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Classification {
    /// Listed in a security suite, now or, on the same host's lists, in a version between installed and available.
    Security,
    /// Anything else a distribution publishes for its stable users.
    Other,
}
