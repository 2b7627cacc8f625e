//! A host's pins, apt_preferences(5), in apt's order: the file `preferences` first, then those of the folder.

use crate::apt_conf::AptConf;
use crate::config_dir;
use crate::problem::chain;
use crate::problem::{Effect, Problem};
use crate::tree::{Kind, Tree};
use crate::words::{is_space, split_spaces};
use domain::deb822::{Stanza, Uncommented};
use domain::host::channels::{Pin, PinMatcher, PinPriority};

/// A preferences file larger than this is not read.
const FILE_BYTES: u64 = 1 << 20;

/// Whether the host's apt knows pins by the source package's version; apt before 2.9.9 passes them over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceVersionPins {
    /// It does.
    Known,
    /// It does not.
    Unknown,
}

/// Why a record cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum PinError {
    #[error("the record has no Package field")]
    NoPackage,
    #[error("the pin type “{0}” is not understood; version, release and origin are")]
    Type(String),
    #[error("a version can be pinned for named packages only, not for Package: *")]
    VersionOfAll,
    #[error("Pin-Priority: never is for Package: * only")]
    NeverForNamed,
    #[error("Pin-Priority {0} is not between -32768 and 32767")]
    Range(String),
    #[error("Pin-Priority is missing or zero")]
    NoPriority,
}

impl PinError {
    fn effect(&self) -> Effect {
        match self {
            Self::Type(_) | Self::VersionOfAll => Effect::Skipped,
            _ => Effect::AptRefuses,
        }
    }
}

/// Reads the preferences that `conf` names in `tree`. A malformed record is left out and named.
pub fn read(tree: &Tree, conf: &AptConf, source_version: SourceVersionPins) -> (Vec<Pin>, Vec<Problem>) {
    let (mut pins, mut problems) = (Vec::new(), Vec::new());
    let main = conf.file("Dir::Etc::preferences");
    let mut files = Vec::new();
    match tree.kind(&main) {
        Ok(Some(Kind::File)) => files.push(main),
        Ok(None) if tree.is_broken_link(&main) => files.push(main),
        Ok(_) => {}
        Err(error) => problems.push(Problem::new(&main, 0, Effect::Skipped, chain(&error))),
    }
    let parts = conf.folder("Dir::Etc::preferencesparts");
    match config_dir::files(tree, &parts, &["pref", ""]) {
        Ok(more) => files.extend(more),
        Err(error) if error.is_not_found() || parts.ends_with("/dev/null") => {}
        Err(error) => problems.push(Problem::new(&parts, 0, Effect::AptRefuses, chain(&error))),
    }
    for file in files {
        match tree.read(&file, FILE_BYTES) {
            Ok(bytes) => {
                let (more_pins, more_problems) = parse(&file, &bytes, source_version);
                pins.extend(more_pins);
                problems.extend(more_problems);
            }
            Err(error) => problems.push(Problem::unreadable(&file, &error)),
        }
    }
    (pins, problems)
}

/// Reads one file's bytes; `file` is for messages.
pub fn parse(file: &str, bytes: &[u8], source_version: SourceVersionPins) -> (Vec<Pin>, Vec<Problem>) {
    let (mut pins, mut problems) = (Vec::new(), Vec::new());
    for stanza in Uncommented::new(bytes).stanzas() {
        let stanza = match stanza {
            Ok(stanza) => stanza,
            Err(malformed) => {
                let what = malformed.why.to_string();
                problems.push(Problem::new(file, malformed.line, Effect::AptRefuses, what));
                continue;
            }
        };
        match record(file, &stanza, source_version) {
            Ok(pin) => pins.extend(pin),
            Err(error) => {
                problems.push(Problem::new(
                    file,
                    stanza.line(),
                    error.effect(),
                    error.to_string(),
                ));
            }
        }
    }
    (pins, problems)
}

/// One record; none where the `Pin` field is missing, which apt passes over in silence.
fn record(
    file: &str,
    stanza: &Stanza<'_>,
    source_version: SourceVersionPins,
) -> Result<Option<Pin>, PinError> {
    let text = |name: &str| stanza.value(name).map(String::from_utf8_lossy);
    let packages = text("Package")
        .filter(|text| !text.is_empty())
        .ok_or(PinError::NoPackage)?;
    let packages: Vec<String> = split_spaces(&packages).map(str::to_owned).collect();
    let is_for_all = packages == ["*"];
    let Some(pin) = text("Pin") else { return Ok(None) };
    let matcher = matcher(&pin, is_for_all, source_version)?;
    let priority = text("Pin-Priority").unwrap_or_default();
    let priority = if priority != "never" {
        number(&priority)?
    } else if is_for_all {
        PinPriority::Never
    } else {
        return Err(PinError::NeverForNamed);
    };
    Ok(Some(Pin {
        file: file.to_owned(),
        line: stanza.line(),
        packages,
        matcher,
        priority,
    }))
}

fn matcher(pin: &str, is_for_all: bool, source_version: SourceVersionPins) -> Result<PinMatcher, PinError> {
    let end = pin.bytes().position(is_space).unwrap_or(pin.len());
    let (word, rest) = pin.split_at(end);
    let rest = rest
        .trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8))
        .to_owned();
    match word.to_ascii_lowercase().as_str() {
        "source-version" if source_version == SourceVersionPins::Unknown => {
            Err(PinError::Type(word.to_owned()))
        }
        "version" | "source-version" if is_for_all => Err(PinError::VersionOfAll),
        "source-version" => Ok(PinMatcher::SourceVersion(rest)),
        "version" => Ok(PinMatcher::Version(rest)),
        "release" => Ok(PinMatcher::Release(rest)),
        "origin" => Ok(PinMatcher::Origin(rest)),
        _ => Err(PinError::Type(word.to_owned())),
    }
}

/// `strtol`'s reading of a priority: digits at its start count. The lowest number is `never`'s and gives way by one.
fn number(text: &str) -> Result<PinPriority, PinError> {
    match i16::try_from(crate::words::decimal(text)) {
        Ok(0) => Err(PinError::NoPriority),
        Ok(value) => Ok(PinPriority::Value(value.max(-i16::MAX))),
        Err(_) => Err(PinError::Range(text.to_owned())),
    }
}
