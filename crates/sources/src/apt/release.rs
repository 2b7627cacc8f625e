//! Reading a verified Release: its facts and the files that it lists (Debian repository format). Whether it is still in
//! force is [`super::freshness`]'s question.

mod date;

use super::openpgp::Verified;
use domain::catalog::release::{Automatic, ReleaseFacts};
use domain::deb822::{Field, Malformed, Stanza, stanzas};
use domain::digest::Sha256Digest;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A release file that some allowed key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    facts: Arc<ReleaseFacts>,
    /// Sorted by path.
    files: Vec<(Box<str>, FileEntry)>,
}

/// What a release says of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its size.
    pub size_bytes: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
}

/// Why a signed text is no usable release file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Not in deb822 form.
    #[error("the release file is malformed")]
    Malformed(#[source] Malformed),
    /// Nothing in it.
    #[error("the release file is empty")]
    Empty,
    /// More than one paragraph, of which programs read different ones.
    #[error("the release file has more than one paragraph, the second at line {line}")]
    SecondStanza {
        /// Where the second begins.
        line: u32,
    },
    /// A `Valid-Until` that cannot be read; apt stops here too.
    #[error("the release file's Valid-Until is no date in UTC")]
    ValidUntil,
    /// No list of files with SHA-256 digests.
    #[error("the release file lists no SHA-256 digests, only {}", listed(.sections))]
    NoSha256 {
        /// The lists that it has instead.
        sections: Vec<&'static str>,
    },
    /// A line of the file list that is not digest, size, path.
    #[error("entry {entry} of the release file's SHA256 list is not a digest, a size and a path")]
    Entry {
        /// Its number, from 1.
        entry: usize,
    },
    /// A path that leaves the archive's folder or cannot be shown.
    #[error("entry {entry} of the release file's SHA256 list has a path that is not allowed")]
    Path {
        /// Its number, from 1.
        entry: usize,
    },
    /// One path with two digests or sizes.
    #[error("the release file lists {path} twice, with different content")]
    Conflict {
        /// The path.
        path: String,
    },
}

fn listed(sections: &[&str]) -> String {
    if sections.is_empty() {
        "nothing".to_owned()
    } else {
        sections.join(", ")
    }
}

impl Release {
    /// Reads a verified release file.
    pub fn parse(verified: &Verified) -> Result<Self, ReleaseError> {
        let mut paragraphs = stanzas(verified.text());
        let stanza = paragraphs
            .next()
            .ok_or(ReleaseError::Empty)?
            .map_err(ReleaseError::Malformed)?;
        match paragraphs.next() {
            None => {}
            Some(Ok(second)) => return Err(ReleaseError::SecondStanza { line: second.line() }),
            Some(Err(malformed)) => return Err(ReleaseError::Malformed(malformed)),
        }
        let fields = Fields::collect(&stanza);
        let files = match fields.get("SHA256") {
            Some(field) => files(field.value)?,
            None => {
                return Err(ReleaseError::NoSha256 {
                    sections: fields.digest_sections(),
                });
            }
        };
        Ok(Self {
            facts: Arc::new(fields.facts()?),
            files,
        })
    }

    /// What it says of itself.
    pub fn facts(&self) -> &Arc<ReleaseFacts> {
        &self.facts
    }

    /// What it says of the file at this path, relative to its own folder.
    pub fn file(&self, path: &str) -> Option<FileEntry> {
        let place = self
            .files
            .binary_search_by(|(known, _)| (**known).cmp(path))
            .ok()?;
        Some(self.files[place].1)
    }

    /// All files by path.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&str, FileEntry)> {
        self.files.iter().map(|(path, entry)| (&**path, *entry))
    }
}

/// The fields of the paragraph by lower-case name.
struct Fields<'text>(BTreeMap<String, Field<'text>>);

impl<'text> Fields<'text> {
    fn collect(stanza: &Stanza<'text>) -> Self {
        Self(
            stanza
                .fields()
                .map(|field| (field.name().to_ascii_lowercase(), field))
                .collect(),
        )
    }

    fn get(&self, name: &str) -> Option<&Field<'text>> {
        self.0.get(&name.to_ascii_lowercase())
    }

    fn text(&self, name: &str) -> Result<Option<&'text str>, ReleaseError> {
        self.get(name)
            .map(Field::text)
            .transpose()
            .map_err(ReleaseError::Malformed)
    }

    fn owned(&self, name: &str) -> Result<Option<String>, ReleaseError> {
        Ok(self
            .text(name)?
            .filter(|text| !text.is_empty())
            .map(str::to_owned))
    }

    fn words(&self, name: &str) -> Result<Vec<String>, ReleaseError> {
        Ok(self
            .text(name)?
            .into_iter()
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect())
    }

    /// A yes/no field as apt reads it (`StringToBool`).
    fn is_yes(&self, name: &str) -> Result<bool, ReleaseError> {
        let yes = ["yes", "true", "with", "on", "enable", "1"];
        Ok(self
            .text(name)?
            .is_some_and(|text| yes.iter().any(|word| text.eq_ignore_ascii_case(word))))
    }

    fn facts(&self) -> Result<ReleaseFacts, ReleaseError> {
        let valid_until = match self.text("Valid-Until")?.filter(|text| !text.is_empty()) {
            Some(text) => Some(date::parse(text).ok_or(ReleaseError::ValidUntil)?),
            None => None,
        };
        let automatic = match (self.is_yes("NotAutomatic")?, self.is_yes("ButAutomaticUpgrades")?) {
            (false, _) => Automatic::Yes,
            (true, false) => Automatic::No,
            (true, true) => Automatic::UpgradesOnly,
        };
        Ok(ReleaseFacts {
            origin: self.owned("Origin")?,
            label: self.owned("Label")?,
            suite: self.owned("Suite")?,
            codename: self.owned("Codename")?,
            version: self.owned("Version")?,
            // Without a date that can be read, apt goes on as if there were none, and so do we.
            date: self.text("Date")?.and_then(date::parse),
            valid_until,
            components: self.words("Components")?,
            architectures: self.words("Architectures")?,
            automatic,
            acquire_by_hash: self.is_yes("Acquire-By-Hash")?,
            no_support_for_all: self
                .words("No-Support-for-Architecture-all")?
                .iter()
                .any(|word| word == "Packages"),
        })
    }

    fn digest_sections(&self) -> Vec<&'static str> {
        ["MD5Sum", "SHA1", "SHA512"]
            .into_iter()
            .filter(|name| self.get(name).is_some())
            .collect()
    }
}

/// The entries of a `SHA256` field, sorted by path.
fn files(section: &[u8]) -> Result<Vec<(Box<str>, FileEntry)>, ReleaseError> {
    let mut files = Vec::with_capacity(section.len() / 128);
    let lines = section
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.trim_ascii().is_empty());
    for (line, entry) in lines.zip(1..) {
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let (Some(digest), Some(size), Some(path), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(ReleaseError::Entry { entry });
        };
        let sha256 = Sha256Digest::parse(digest).map_err(|_| ReleaseError::Entry { entry })?;
        let size_bytes = number(size).ok_or(ReleaseError::Entry { entry })?;
        let path = plain_path(path).ok_or(ReleaseError::Path { entry })?;
        files.push((path.into(), FileEntry { size_bytes, sha256 }));
    }
    files.sort_by(|(one, _): &(Box<str>, _), (other, _)| one.cmp(other));
    if let Some([(path, _), _]) = files
        .windows(2)
        .map(|pair| [&pair[0], &pair[1]])
        .find(|[a, b]| a.0 == b.0 && a.1 != b.1)
    {
        return Err(ReleaseError::Conflict {
            path: path.to_string(),
        });
    }
    files.dedup();
    Ok(files)
}

/// Decimal digits, up to 64 bits.
fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// A relative path that stays below its folder and has no control characters.
fn plain_path(path: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(path).ok()?;
    let is_plain = !text.starts_with('/')
        && (text.bytes().all(|byte| byte.is_ascii_graphic()) || !text.chars().any(char::is_control))
        && !text.split('/').any(|part| part == ".." || part.is_empty());
    is_plain.then_some(text)
}
