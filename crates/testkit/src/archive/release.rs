//! The text of a Release file (wiki.debian.org/DebianRepository/Format), before it is signed.

use super::{AllIndex, Archive, ByHash, Layout};
use domain::catalog::release::Automatic;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A file as the Release file lists it.
pub(super) struct Listed {
    path: String,
    size_bytes: usize,
    sha256: String,
}

impl Listed {
    pub(super) fn new(path: &str, bytes: &[u8]) -> Self {
        Self {
            path: path.to_owned(),
            size_bytes: bytes.len(),
            sha256: hexadecimal(bytes),
        }
    }

    pub(super) fn by_hash_path(&self) -> String {
        let folder = self
            .path
            .rsplit_once('/')
            .map_or(String::new(), |(folder, _)| format!("{folder}/"));
        format!("{folder}by-hash/SHA256/{}", self.sha256)
    }
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes everything");
            text
        })
}

pub(super) fn text(archive: &Archive, listed: &[Listed]) -> String {
    let mut text = String::new();
    let mut field = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            text.push_str(&format!("{name}: {value}\n"));
        }
    };
    field("Origin", archive.origin.as_deref());
    field("Label", archive.label.as_deref());
    field("Suite", archive.suite.as_deref());
    field("Version", archive.version.as_deref());
    field("Codename", archive.codename.as_deref());
    field("Date", archive.date.map(date).as_deref());
    field("Valid-Until", archive.valid_until.map(date).as_deref());
    field(
        "NotAutomatic",
        (archive.automatic != Automatic::Yes).then_some("yes"),
    );
    field(
        "ButAutomaticUpgrades",
        (archive.automatic == Automatic::UpgradesOnly).then_some("yes"),
    );
    field(
        "Acquire-By-Hash",
        (archive.by_hash != ByHash::No).then_some("yes"),
    );
    if archive.layout == Layout::Dists {
        let all = (archive.all_index != AllIndex::InEvery).then_some("all");
        field(
            "No-Support-for-Architecture-all",
            (archive.all_index == AllIndex::Both).then_some("Packages"),
        );
        let names: Vec<&str> = all
            .into_iter()
            .chain(archive.architectures.iter().map(String::as_str))
            .collect();
        field("Architectures", Some(&names.join(" ")));
        let names: Vec<&str> = archive
            .components
            .iter()
            .map(|component| component.name.as_str())
            .collect();
        field("Components", Some(&names.join(" ")));
    }
    for (name, value) in &archive.extra_fields {
        field(name, Some(value));
    }
    text.push_str("SHA256:\n");
    for Listed {
        path,
        size_bytes,
        sha256,
    } in listed
    {
        text.push_str(&format!(" {sha256} {size_bytes:>8} {path}\n"));
    }
    text
}

/// A date as Release files have it, in UTC.
fn date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S UTC").to_string()
}
