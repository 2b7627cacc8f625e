//! Documents of hosts as the assessment takes them.

use super::channels::{HostChannels, StanzaKeys};
use domain::assess::fleet::Reading;
use domain::catalog::source::{Claim, SourceIdentity};
use domain::digest::Sha256Digest;
use domain::host::channels::SignedBy;
use protocol::document::channels::{ChannelConfigDocument, ProblemEffect, ReleaseClaim, StanzaEvidence};
use sources::apt::channels::KeyFile;
use std::collections::HashMap;
use std::sync::Arc;

/// A channel config as the assessment takes it.
#[derive(Clone, Debug)]
pub struct ReadConfig {
    /// Stanzas with their keys, pins, settings.
    pub host: HostChannels,
    /// Whether all of the host's own files could be followed.
    pub reading: Reading,
    /// What could not be, in sentences for people.
    pub doubts: Vec<String>,
}

/// The key files that a channel config names by digest.
pub fn keys_named(document: &ChannelConfigDocument) -> Vec<Sha256Digest> {
    let mut digests: Vec<Sha256Digest> = document
        .stanzas
        .iter()
        .flat_map(|stanza| stanza.keys.iter().map(|digest| digest.0))
        .collect();
    digests.sort_unstable();
    digests.dedup();
    digests
}

/// Puts a channel config together with the key files that the server has.
pub fn read_config(
    document: ChannelConfigDocument,
    key_files: &HashMap<Sha256Digest, Arc<[u8]>>,
) -> ReadConfig {
    let doubts: Vec<String> = document
        .problems
        .iter()
        .filter(|problem| problem.effect != ProblemEffect::Noted)
        .map(|problem| match problem.line {
            0 => format!("{}: {}", problem.file, problem.what),
            line => format!("{}:{line}: {}", problem.file, problem.what),
        })
        .collect();
    let (config, evidence) = document.into_domain();
    let stanzas = config
        .stanzas
        .iter()
        .zip(evidence)
        .map(|(stanza, evidence)| StanzaKeys {
            identity: evidence.release.as_ref().and_then(identity),
            keys: files(&stanza.signed_by, &evidence, key_files),
        })
        .collect();
    ReadConfig {
        host: HostChannels { config, stanzas },
        reading: match doubts.is_empty() {
            true => Reading::Whole,
            false => Reading::Holed,
        },
        doubts,
    }
}

/// What the releases that a host has of a stanza call themselves.
pub fn identity(claim: &ReleaseClaim) -> Option<SourceIdentity> {
    SourceIdentity::of(Claim {
        origin: claim.origin.as_deref(),
        label: claim.label.as_deref(),
        suite: claim.suite.as_deref(),
        codename: claim.codename.as_deref(),
    })
}

/// The key files of a stanza. All of them have to be here: which of them signs is not known yet.
fn files(
    signed_by: &SignedBy,
    evidence: &StanzaEvidence,
    key_files: &HashMap<Sha256Digest, Arc<[u8]>>,
) -> Result<Vec<KeyFile>, String> {
    if let SignedBy::Inline(text) = signed_by {
        let bytes: Arc<[u8]> = text.as_bytes().into();
        let path = format!("the stanza itself ({})", content::sha256(&bytes));
        return Ok(vec![KeyFile { path, bytes }]);
    }
    if evidence.keys.is_empty() {
        return Err("the host has no key file for it that can be read".to_owned());
    }
    evidence
        .keys
        .iter()
        .map(|digest| match key_files.get(digest) {
            Some(bytes) => Ok(KeyFile {
                path: digest.to_string(),
                bytes: Arc::clone(bytes),
            }),
            None => Err("a key file that the host names has not arrived yet".to_owned()),
        })
        .collect()
}
