//! Random stanzas of package indexes, and how they are written.

use super::{VERSIONS, maybe};
use crate::oracle::Chance;
use domain::catalog::listing::ListingNo;
use domain::catalog::offer::Offer;
use domain::digest::Sha256Digest;
use domain::host::inventory::{BuildFingerprint, relations_hash};
use std::fmt::Write as _;

const SOURCES: &[&str] = &["alpha", "beta-src", "gamma"];

const MULTI_ARCH: [&str; 4] = ["", "same", "foreign", "allowed"];

/// One stanza of an index.
#[derive(Clone, Debug)]
pub struct Stanza {
    pub(super) name: String,
    pub(super) architecture: String,
    pub(super) version: String,
    pub(super) source: Option<(String, Option<String>)>,
    pub(super) installed_size: usize,
    pub(super) size: usize,
    pub(super) multi_arch: usize,
    pub(super) phased: Option<usize>,
    pub(super) salt: u8,
}

impl Stanza {
    pub(super) fn new(chance: &mut Chance, name: &str, architecture: &str) -> Self {
        let version = chance.of(VERSIONS).to_owned();
        let architecture = match architecture {
            "" => *chance.of(&[&"amd64", &"i386", &"all"]),
            "all" => "all",
            one if maybe(chance, 30) && one != "all" => "all",
            one => one,
        };
        let source = maybe(chance, 40).then(|| {
            let own_version = maybe(chance, 50).then(|| chance.of(VERSIONS).to_owned());
            (chance.of(SOURCES).to_owned(), own_version)
        });
        Self {
            name: name.to_owned(),
            architecture: architecture.to_owned(),
            version,
            source,
            installed_size: 10 + 10 * chance.below(2),
            size: 1000 * chance.below(3),
            multi_arch: [0, 0, 0, 1, 2, 3][chance.below(6)],
            phased: maybe(chance, 20).then(|| chance.below(101)),
            salt: (chance.below(3) / 2) as u8,
        }
    }

    pub(super) fn write_common(&self, out: &mut String) {
        if let Some((source, version)) = &self.source {
            match version {
                Some(version) => writeln!(out, "Source: {source} ({version})").expect("memory"),
                None => writeln!(out, "Source: {source}").expect("memory"),
            }
        }
        if self.multi_arch > 0 {
            writeln!(out, "Multi-Arch: {}", MULTI_ARCH[self.multi_arch]).expect("memory");
        }
        writeln!(out, "Version: {}", self.version).expect("memory");
    }

    pub(super) fn text(&self) -> String {
        let mut out = format!(
            "Package: {}\nArchitecture: {}\nInstalled-Size: {}\nMaintainer: x\n",
            self.name, self.architecture, self.installed_size
        );
        self.write_common(&mut out);
        if self.size > 0 {
            writeln!(out, "Size: {}", self.size).expect("memory");
        }
        if let Some(phased) = self.phased {
            writeln!(out, "Phased-Update-Percentage: {phased}").expect("memory");
        }
        let digest = self.digest();
        writeln!(out, "Filename: x.deb\nSHA256: {digest}\nDescription: x\n").expect("memory");
        out
    }

    fn digest(&self) -> Sha256Digest {
        let mut digest = Sha256Digest([self.salt; 32]);
        digest.0[0] = self.installed_size as u8;
        digest.0[1] = (self.size / 1000) as u8;
        for (at, byte) in format!("{}{}{}", self.name, self.version, self.architecture)
            .bytes()
            .enumerate()
        {
            digest.0[2 + at % 20] = digest.0[2 + at % 20].wrapping_mul(31).wrapping_add(byte);
        }
        digest
    }

    pub(super) fn offer(&self, listing: ListingNo) -> Offer<'_> {
        let installed_size = self.installed_size.to_string();
        let (source, source_version) = match &self.source {
            Some((source, version)) => (source.as_str(), version.as_deref()),
            None => (self.name.as_str(), None),
        };
        Offer {
            listing,
            name: &self.name,
            architecture: &self.architecture,
            version: &self.version,
            source,
            source_version: source_version.unwrap_or(&self.version),
            fingerprint: BuildFingerprint {
                relations: relations_hash([Some(installed_size.as_bytes()), None, None, None, None, None]),
                multi_arch: self.multi_arch as u8,
                size_bytes: self.size as u64,
            },
            sha256: Some(self.digest()),
            phased_percent: self.phased.unwrap_or(100) as u8,
        }
    }
}
