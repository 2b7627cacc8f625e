//! What was adopted of a source: a small text in deb822(5) form in the store, written last, when everything that it
//! names is there. It says where things are; signatures are verified again whenever a snapshot is read.

use super::SyncError;
use crate::apt::fetch::Validators;
use crate::apt::fetch::address::shown;
use crate::apt::snapshot::{Published, SnapshotIndex};
use crate::apt::targets::Merged;
use content::Store;
use domain::catalog::release::ReleaseFacts;
use domain::deb822::{Stanza, stanzas};
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use std::fmt::Write;

/// The first field's value; another format is not read.
const FORMAT: &str = "1";
/// State files are a few kilobytes.
const LIMIT_BYTES: u64 = 1 << 20;

/// Which of the two records of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The snapshot in force.
    Adopted,
    /// Past its date when it was fetched, and nothing better known.
    Stale,
}

/// How a release file is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `InRelease`.
    Inline,
    /// `Release` and, by this digest, `Release.gpg`.
    Detached { signature: Sha256Digest },
}

impl Form {
    /// The digest of a signature beside the release file.
    pub(super) fn signature(self) -> Option<Sha256Digest> {
        match self {
            Self::Inline => None,
            Self::Detached { signature } => Some(signature),
        }
    }
}

/// What is known of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceState {
    pub(super) form: Form,
    pub(super) release: Sha256Digest,
    pub(super) validators: Validators,
    /// Dates of the release, so that an unchanged one is judged without reading it.
    pub(super) date: Option<Timestamp>,
    pub(super) valid_until: Option<Timestamp>,
    /// The keyring with which it was verified.
    pub(super) keys: Sha256Digest,
    /// What the host used of it.
    pub(super) wanted: Sha256Digest,
    pub(super) adopted: Timestamp,
    pub(super) indexes: Vec<SnapshotIndex>,
}

/// A source's name in the store: the digest of its address and suite.
pub(super) fn key(source: &Merged<'_>) -> String {
    let stanza = source.stanzas[0];
    content::sha256(format!("{}\n{}", stanza.uri, stanza.suite).as_bytes()).to_string()
}

/// What a host uses of a source, as one digest: another choice of components needs other indexes.
pub(super) fn wanted(source: &Merged<'_>) -> Sha256Digest {
    let mut text = String::new();
    for stanza in &source.stanzas {
        let (components, architectures) = (stanza.components.join(" "), stanza.architectures.join(" "));
        text += &format!("{components}\n{architectures}\n");
    }
    content::sha256(text.as_bytes())
}

fn file_name(source: &Merged<'_>, standing: Standing) -> String {
    let word = match standing {
        Standing::Adopted => "apt",
        Standing::Stale => "apt-stale",
    };
    format!("{word}-{}", key(source))
}

impl SourceState {
    /// The facts that decide about freshness.
    pub(super) fn dates(&self) -> ReleaseFacts {
        ReleaseFacts {
            date: self.date,
            valid_until: self.valid_until,
            ..ReleaseFacts::default()
        }
    }

    /// Reads what is known of a source; `None` if nothing is.
    pub(super) fn load(
        store: &Store,
        source: &Merged<'_>,
        standing: Standing,
    ) -> Result<Option<Self>, SyncError> {
        let name = file_name(source, standing);
        let Some(bytes) = store.read_state(&name, LIMIT_BYTES)? else {
            return Ok(None);
        };
        Self::parse(&bytes)
            .map(Some)
            .map_err(|why| SyncError::DamagedState { name, why })
    }

    pub(super) fn save(
        &self,
        store: &Store,
        source: &Merged<'_>,
        standing: Standing,
    ) -> Result<(), SyncError> {
        Ok(store.write_state(&file_name(source, standing), self.to_text(source).as_bytes())?)
    }

    fn to_text(&self, source: &Merged<'_>) -> String {
        let stanza = source.stanzas[0];
        let mut text = format!("Format: {FORMAT}\n");
        let mut field = |name: &str, value: &str| {
            let plain: String = value.chars().filter(|letter| !letter.is_control()).collect();
            let _ = writeln!(text, "{name}: {plain}");
        };
        field("Uri", &shown(&stanza.uri));
        field("Suite", &stanza.suite);
        field("Release", &self.release.to_string());
        if let Form::Detached { signature } = self.form {
            field("Signature", &signature.to_string());
        }
        for (name, value) in [
            ("Etag", &self.validators.etag),
            ("Last-Modified", &self.validators.last_modified),
        ] {
            if let Some(value) = value {
                field(name, value);
            }
        }
        for (name, value) in [
            ("Date", self.date),
            ("Valid-Until", self.valid_until),
            ("Adopted", Some(self.adopted)),
        ] {
            if let Some(value) = value {
                field(name, &value.to_string());
            }
        }
        field("Keys", &self.keys.to_string());
        field("Wanted", &self.wanted.to_string());
        text += "Indexes:\n";
        for index in &self.indexes {
            let word = |word: &str| {
                if word.is_empty() {
                    "-".to_owned()
                } else {
                    word.to_owned()
                }
            };
            let (component, architecture) = (word(&index.component), word(&index.architecture));
            let _ = write!(
                text,
                " {component} {architecture} {} {}",
                index.digest, index.size_bytes
            );
            if let Some(published) = &index.published {
                let _ = write!(
                    text,
                    " {} {} {}",
                    published.digest, published.size_bytes, published.path
                );
            }
            text.push('\n');
        }
        text
    }

    fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let stanza = stanzas(bytes)
            .next()
            .ok_or("it is empty")?
            .map_err(|_| "it is malformed")?;
        let text = |name| stanza.text(name).map_err(|_| "it is not UTF-8");
        if text("Format")? != Some(FORMAT) {
            return Err("it is of another format");
        }
        let signature = text("Signature")?
            .map(str::parse)
            .transpose()
            .map_err(|_| "a digest is damaged")?;
        let owned = |name| text(name).map(|value| value.map(str::to_owned));
        Ok(Self {
            form: signature.map_or(Form::Inline, |signature| Form::Detached { signature }),
            release: digest(&stanza, "Release")?,
            validators: Validators {
                etag: owned("Etag")?,
                last_modified: owned("Last-Modified")?,
            },
            date: moment(&stanza, "Date")?,
            valid_until: moment(&stanza, "Valid-Until")?,
            keys: digest(&stanza, "Keys")?,
            wanted: digest(&stanza, "Wanted")?,
            adopted: moment(&stanza, "Adopted")?.ok_or("a date is missing")?,
            indexes: text("Indexes")?
                .ok_or("its indexes are missing")?
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(|line| index(line).ok_or("an index is damaged"))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn digest(stanza: &Stanza<'_>, name: &str) -> Result<Sha256Digest, &'static str> {
    let value = stanza.value(name).ok_or("a digest is missing")?;
    Sha256Digest::parse(value).map_err(|_| "a digest is damaged")
}

fn moment(stanza: &Stanza<'_>, name: &str) -> Result<Option<Timestamp>, &'static str> {
    let value = stanza.text(name).map_err(|_| "a date is damaged")?;
    value.map(str::parse).transpose().map_err(|_| "a date is damaged")
}

fn index(line: &str) -> Option<SnapshotIndex> {
    let mut words = line.split_whitespace();
    let mut name = || {
        words.next().map(|word| {
            if word == "-" {
                String::new()
            } else {
                word.to_owned()
            }
        })
    };
    let (component, architecture) = (name()?, name()?);
    let digest = words.next()?.parse().ok()?;
    let size_bytes = words.next()?.parse().ok()?;
    let published = match words.next() {
        None => None,
        Some(digest) => {
            let digest = digest.parse().ok()?;
            let size_bytes = words.next()?.parse().ok()?;
            Some(Published {
                digest,
                size_bytes,
                path: words.next()?.to_owned(),
            })
        }
    };
    Some(SnapshotIndex {
        component,
        architecture,
        digest,
        size_bytes,
        published,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::host::channels::Stanza;

    fn stanza() -> Stanza {
        Stanza::new(
            "https://user:secret@deb.example/debian/",
            "sid\nRelease: forged",
            &["main"],
            &["amd64"],
        )
    }

    #[test]
    fn a_state_reads_back_as_it_was_written_and_holds_no_password() {
        let digest = |byte| Sha256Digest([byte; 32]);
        let published = Published {
            path: "main/binary-amd64/Packages.xz".to_owned(),
            digest: digest(5),
            size_bytes: 9,
        };
        let state = SourceState {
            form: Form::Detached { signature: digest(1) },
            release: digest(2),
            validators: Validators {
                etag: Some("\"a b\"".to_owned()),
                last_modified: None,
            },
            date: Some(Timestamp::from_second(1_700_000_000).expect("in range")),
            valid_until: None,
            keys: digest(3),
            wanted: digest(4),
            adopted: Timestamp::UNIX_EPOCH,
            indexes: vec![
                SnapshotIndex {
                    component: "main".to_owned(),
                    architecture: "amd64".to_owned(),
                    digest: digest(6),
                    size_bytes: 10,
                    published: Some(published),
                },
                SnapshotIndex {
                    component: String::new(),
                    architecture: String::new(),
                    digest: digest(7),
                    size_bytes: 0,
                    published: None,
                },
            ],
        };
        let stanza = stanza();
        let text = state.to_text(&Merged {
            stanzas: vec![&stanza],
        });
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(SourceState::parse(text.as_bytes()), Ok(state));
        for cut in 0..text.rfind("Indexes").expect("it has indexes") {
            assert!(
                SourceState::parse(&text.as_bytes()[..cut]).is_err(),
                "cut at {cut}"
            );
        }
    }
}
