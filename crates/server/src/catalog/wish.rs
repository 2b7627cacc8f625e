//! What hosts want of sources: which they name that nobody adopted yet, and which addresses, components and architectures
//! of the adopted ones they use.

use super::fetching::Place;
use crate::assess::channels::Channels;
use domain::catalog::source::{Match, SourceIdentity};
use domain::digest::Sha256Digest;
use domain::host::address::without_login;
use domain::id::SourceId;
use std::collections::BTreeSet;

/// What one host's channels want of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The source that it means, if it is known.
    pub matched: Match<SourceId>,
    /// What its releases call themselves, as the host's lists have it.
    pub identity: SourceIdentity,
    /// Fingerprints of the certificates that the host lets sign it.
    pub keys: BTreeSet<String>,
    /// The key files that hold them.
    pub key_files: BTreeSet<Sha256Digest>,
    /// Where the host finds it.
    pub place: Place,
    /// The components that it uses.
    pub components: BTreeSet<String>,
    /// The architectures that it uses.
    pub architectures: BTreeSet<String>,
}

/// What these channels want. A stanza of which nobody can tell what it is wants nothing that could be given.
pub fn wishes(channels: &Channels) -> Vec<Wish> {
    let stanzas = &channels.host.config.stanzas;
    let of_source = |source: &crate::assess::channels::Resolved| {
        let first = source.stanzas[0];
        let said = &channels.host.stanzas[first];
        let identity = said.identity.clone()?;
        let files = said.keys.as_ref().ok()?;
        let own = || source.stanzas.iter().map(|place| &stanzas[*place]);
        Some(Wish {
            matched: source.matched.clone(),
            identity,
            keys: source.keys.clone(),
            key_files: files.iter().map(|file| content::sha256(&file.bytes)).collect(),
            place: Place {
                uri: without_login(&stanzas[first].uri),
                suite: stanzas[first].suite.clone(),
            },
            components: own().flat_map(|stanza| stanza.components.clone()).collect(),
            architectures: own().flat_map(|stanza| stanza.architectures.clone()).collect(),
        })
    };
    channels.sources.iter().filter_map(of_source).collect()
}
