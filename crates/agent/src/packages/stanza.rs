//! The source list of a private world: the ordered snapshots as folders, with the keys that the host's own stanza for that
//! address and suite names, and no others.

use super::Trouble;
use crate::host::Host;
use domain::host::address::without_login;
use domain::host::channels::{SignedBy, Stanza, Subkeys};
use domain::order::OrderedSnapshot;
use domain::rollout::deployment::Failure;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Whose signatures count for a snapshot on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    /// The host's key files, as bytes; the file name says whether they are armoured.
    pub(super) files: Vec<Vec<u8>>,
    /// Fingerprints that the host restricts them to, as apt writes them; empty for all of them.
    pub(super) fingerprints: Vec<String>,
}

/// The stanza of the host that a snapshot comes from.
pub(super) fn stanza_of<'a>(host: &'a Host, snapshot: &OrderedSnapshot) -> Result<&'a Stanza, Trouble> {
    let mut own = host.channel_config.stanzas.iter();
    let found = own.find(|stanza| {
        *stanza.suite == *snapshot.suite && without_login(&stanza.uri) == without_login(&snapshot.address)
    });
    found.ok_or_else(|| {
        let OrderedSnapshot { address, suite, .. } = snapshot;
        let detail = format!("this host is not configured to use {suite} of {address} any more");
        Trouble::new(Failure::HostChanged, &detail)
    })
}

/// The keys of a stanza, as its host has them.
pub(super) fn keys_of(host: &Host, stanza: &Stanza) -> Result<Keys, Trouble> {
    let files = host
        .keys
        .for_stanza(stanza)
        .map_err(|error| Trouble::new(Failure::Snapshot, &error.to_string()))?;
    let fingerprints = match &stanza.signed_by {
        SignedBy::Named { fingerprints, .. } => fingerprints
            .iter()
            .map(|choice| {
                let mark = if choice.subkeys == Subkeys::Excluded {
                    "!"
                } else {
                    ""
                };
                format!("{}{mark}", choice.fingerprint)
            })
            .collect(),
        SignedBy::Common | SignedBy::Inline(_) => Vec::new(),
    };
    Ok(Keys {
        files: files.into_iter().map(|file| file.bytes.to_vec()).collect(),
        fingerprints,
    })
}

/// Whether a suite may become a folder and a word of a source list: what is_inside asks of index paths, and a slash at the end for
/// a flat repository.
pub(super) fn is_plain_suite(suite: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._~".contains(&byte);
    let path = suite.trim_end_matches('/');
    let parts = || path.split('/');
    let stays = parts().all(|part| part == "." || !part.starts_with('.') && !part.is_empty());
    suite == "/" || (stays && parts().all(|part| part.bytes().all(is_plain)))
}

/// Where a snapshot's files stand below its own folder; empty for a flat repository: in the folder itself.
pub(super) fn release_folder(suite: &str) -> String {
    if suite.ends_with('/') {
        return String::new();
    }
    format!("dists/{suite}")
}

/// The stanzas of a snapshot, one for each component, so that apt asks for the ordered indexes and no others. `folder` holds the
/// snapshot, `keys` are the files and fingerprints of `Signed-By`.
pub(super) fn text_of(snapshot: &OrderedSnapshot, folder: &Path, keys: &[String]) -> Result<String, Trouble> {
    let mut components: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let is_flat = snapshot.suite.ends_with('/');
    for index in &snapshot.indexes {
        if is_flat {
            components.entry("").or_default();
            continue;
        }
        let (component, architecture) = place_of(&index.path).ok_or_else(|| {
            let detail = format!("{} is no place of a package index", index.path);
            Trouble::new(Failure::Refused, &detail)
        })?;
        components.entry(component).or_default().insert(architecture);
    }
    let mut text = String::new();
    for (component, architectures) in components {
        let uri = folder.display();
        let suite = if is_flat { "./" } else { &*snapshot.suite };
        text.push_str(&format!("Types: deb\nURIs: file:{uri}/\nSuites: {suite}\n"));
        if !is_flat {
            text.push_str(&format!("Components: {component}\n"));
        }
        // Of `all`, apt thinks by itself.
        let own: Vec<_> = architectures.into_iter().filter(|name| *name != "all").collect();
        if !own.is_empty() {
            text.push_str(&format!("Architectures: {}\n", own.join(" ")));
        }
        let keys = keys.join(" ");
        text.push_str(&format!(
            "Signed-By: {keys}\nTargets: Packages\nBy-Hash: no\nPDiffs: no\nLanguages: none\n\
             Check-Valid-Until: no\nCheck-Date: no\n\n"
        ));
    }
    Ok(text)
}

/// Component and architecture of `COMPONENT/binary-ARCHITECTURE/Packages.FORM`; a component may have slashes.
fn place_of(path: &str) -> Option<(&str, &str)> {
    let (place, name) = path.rsplit_once('/')?;
    let (component, last) = place.rsplit_once('/')?;
    let architecture = last.strip_prefix("binary-")?;
    let is_index = name == "Packages" || name.starts_with("Packages.");
    (is_index && !component.is_empty() && !architecture.is_empty()).then_some((component, architecture))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_stays_below_its_snapshot_and_a_place_is_read_from_the_end() {
        for suite in ["bookworm-security", "stable/updates", "./", "/", "deb/12/"] {
            assert!(is_plain_suite(suite), "{suite}");
        }
        for suite in ["../x", "a/../b", "", "a b", "a\nURIs: x", "a//b", ".hidden"] {
            assert!(!is_plain_suite(suite), "{suite}");
        }
        assert_eq!(
            place_of("main/debian-installer/binary-amd64/Packages.xz"),
            Some(("main/debian-installer", "amd64"))
        );
        assert_eq!(place_of("main/source/Sources.xz"), None);
        assert_eq!(place_of("binary-amd64/Packages"), None);
    }
}
