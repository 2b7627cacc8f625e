//! Channel configs, and which of them mean the same.

use crate::assess::channels::HostChannels;
use domain::assess::fleet::Reading;
use domain::digest::Sha256Digest;
use std::sync::Arc;

/// A channel config that is kept.
#[derive(Clone, Debug)]
pub(super) struct Config {
    /// What it says.
    pub(super) host: Arc<HostChannels>,
    /// Digest of what it means: without the places in files, which change nothing.
    pub(super) meaning: Sha256Digest,
    /// Whether all of the host's files could be followed.
    pub(super) reading: Reading,
}

impl Config {
    pub(super) fn of(host: HostChannels, reading: Reading) -> Self {
        Self {
            meaning: meaning(&host),
            host: Arc::new(host),
            reading,
        }
    }
}

/// What a channel config means for verdicts, as a digest: two that differ in nothing but the files and lines that say it
/// are one.
fn meaning(host: &HostChannels) -> Sha256Digest {
    let mut config = host.config.clone();
    for stanza in &mut config.stanzas {
        stanza.file.clear();
        stanza.line = 0;
    }
    for pin in &mut config.pins {
        pin.file.clear();
        pin.line = 0;
    }
    let keys: Vec<_> = host
        .stanzas
        .iter()
        .map(|stanza| {
            let files = stanza.keys.as_ref().map(|files| {
                let digests = files.iter().map(|file| content::sha256(&file.bytes));
                digests.collect::<Vec<_>>()
            });
            (&stanza.identity, files)
        })
        .collect();
    content::sha256(format!("{config:?}\n{keys:?}").as_bytes())
}
