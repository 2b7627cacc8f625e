//! What the `Pin` field of a preference matches (apt_preferences(5)): versions by text, listings by the facts of their
//! release or their site. The odd corners are apt's: 299 bytes of a release text are read, at most 19 parts, unknown
//! letters are ignored, and a release text that says nothing matches no listing but dpkg's status.

use super::expression::ExpressionError;
use super::pattern::Pattern;
use crate::catalog::listing::Listing;
use crate::host::channels::PinMatcher;

/// Bytes of a release text with `=` that apt reads.
const RELEASE_TEXT_BYTES: usize = 299;

/// Parts of a release text with `=` from which apt gives up.
const TOO_MANY_PARTS: usize = 20;

/// What apt calls the "archive" of dpkg's status.
const STATUS_ARCHIVE: &str = "now";

/// A compiled `Pin` field.
#[derive(Clone, Debug)]
pub(super) enum Matcher {
    Version(VersionText),
    SourceVersion(VersionText),
    Release(Box<ReleaseText>),
    Site(Pattern),
}

/// A version, a prefix of one, or a pattern.
#[derive(Clone, Debug)]
pub(super) struct VersionText {
    text: String,
    extent: Extent,
    pattern: Pattern,
}

#[derive(Clone, Copy, Debug)]
enum Extent {
    Whole,
    Prefix,
}

/// The parts of a release text.
#[derive(Clone, Debug, Default)]
pub(super) struct ReleaseText {
    everything: bool,
    version: Option<VersionText>,
    origin: Option<Pattern>,
    archive: Option<Pattern>,
    codename: Option<Pattern>,
    archive_or_codename: Option<Pattern>,
    label: Option<Pattern>,
    component: Option<Pattern>,
    architecture: Option<Pattern>,
}

impl VersionText {
    fn new(text: &str, problems: &mut Vec<ExpressionError>) -> Self {
        let (text, extent) = match text.strip_suffix('*') {
            Some(prefix) => (prefix, Extent::Prefix),
            None => (text, Extent::Whole),
        };
        Self {
            text: text.to_owned(),
            extent,
            pattern: Pattern::new(text, problems),
        }
    }

    fn matches(&self, version: &str) -> bool {
        let literally = match self.extent {
            Extent::Whole => version.eq_ignore_ascii_case(&self.text),
            Extent::Prefix => version
                .as_bytes()
                .get(..self.text.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(self.text.as_bytes())),
        };
        literally || self.pattern.matches(version)
    }
}

impl ReleaseText {
    fn new(text: &str, problems: &mut Vec<ExpressionError>) -> Self {
        let mut parts = Self::default();
        if text == "*" {
            parts.everything = true;
        } else if text.is_empty() {
        } else if !text.contains('=') {
            if text.starts_with(|first: char| first.is_ascii_digit()) {
                parts.set_version(text, problems);
            } else {
                parts.archive_or_codename = Some(Pattern::new(text, problems));
            }
        } else {
            let end = text.len().min(RELEASE_TEXT_BYTES);
            let read = String::from_utf8_lossy(&text.as_bytes()[..end]);
            for part in split_parts(&read) {
                parts.set(part, problems);
            }
        }
        parts
    }

    fn set_version(&mut self, text: &str, problems: &mut Vec<ExpressionError>) {
        self.version = (!text.is_empty() && text != "*").then(|| VersionText::new(text, problems));
    }

    fn set(&mut self, part: &str, problems: &mut Vec<ExpressionError>) {
        if part.len() < 3 || part.as_bytes()[1] != b'=' {
            return;
        }
        let (letter, text) = (part.as_bytes()[0].to_ascii_lowercase(), &part[2..]);
        let field = match letter {
            b'v' => return self.set_version(text, problems),
            b'o' => &mut self.origin,
            b'a' => &mut self.archive,
            b'n' => &mut self.codename,
            b'l' => &mut self.label,
            b'c' => &mut self.component,
            b'b' => &mut self.architecture,
            _ => return,
        };
        *field = Some(Pattern::new(text, problems));
    }

    fn says_nothing(&self) -> bool {
        let patterns = [
            &self.origin,
            &self.archive,
            &self.codename,
            &self.archive_or_codename,
            &self.label,
            &self.component,
            &self.architecture,
        ];
        self.version.is_none() && patterns.iter().all(|pattern| pattern.is_none())
    }

    fn matches_listing(&self, listing: &Listing) -> bool {
        if self.everything {
            return true;
        }
        if self.says_nothing() {
            return false;
        }
        let release = &*listing.release;
        let (archive, codename) = (present(&release.suite), present(&release.codename));
        let version_matches = |text: &VersionText| present(&release.version).is_some_and(|v| text.matches(v));
        let either = |pattern: &Pattern| pattern.matches_field(archive) || pattern.matches_field(codename);
        let architecture = Some(listing.architecture.as_str()).filter(|text| !text.is_empty());
        self.version.as_ref().is_none_or(version_matches)
            && allows(&self.origin, present(&release.origin))
            && allows(&self.archive, archive)
            && allows(&self.codename, codename)
            && self.archive_or_codename.as_ref().is_none_or(either)
            && allows(&self.label, present(&release.label))
            && allows(&self.component, Some(&listing.component))
            && allows(&self.architecture, architecture)
    }

    fn matches_status(&self) -> bool {
        self.everything
            || (self.version.is_none()
                && self.origin.is_none()
                && self.label.is_none()
                && self.codename.is_none()
                && self.architecture.is_none()
                && allows(&self.archive, Some(STATUS_ARCHIVE))
                && allows(&self.archive_or_codename, Some(STATUS_ARCHIVE))
                && allows(&self.component, Some(STATUS_ARCHIVE)))
    }
}

impl Matcher {
    pub(super) fn new(pin: &PinMatcher, problems: &mut Vec<ExpressionError>) -> Self {
        match pin {
            PinMatcher::Version(text) => Self::Version(VersionText::new(text, problems)),
            PinMatcher::SourceVersion(text) => Self::SourceVersion(VersionText::new(text, problems)),
            PinMatcher::Release(text) => Self::release(text, problems),
            PinMatcher::Origin(text) => {
                let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                Self::Site(Pattern::new(quoted.unwrap_or(text), problems))
            }
        }
    }

    pub(super) fn release(text: &str, problems: &mut Vec<ExpressionError>) -> Self {
        Self::Release(Box::new(ReleaseText::new(text, problems)))
    }

    /// Whether it matches versions by their text, whoever lists them.
    pub(super) fn is_for_versions(&self) -> bool {
        matches!(self, Self::Version(_) | Self::SourceVersion(_))
    }

    pub(super) fn matches_version(&self, version: &str, source_version: &str) -> bool {
        match self {
            Self::Version(text) => text.matches(version),
            Self::SourceVersion(text) => text.matches(source_version),
            Self::Release(_) | Self::Site(_) => false,
        }
    }

    pub(super) fn matches_listing(&self, listing: &Listing) -> bool {
        match self {
            Self::Release(text) => text.matches_listing(listing),
            Self::Site(site) => site.matches(&listing.site),
            Self::Version(_) | Self::SourceVersion(_) => false,
        }
    }

    /// Whether it matches dpkg's status, the place where installed packages stand.
    pub(super) fn matches_status(&self) -> bool {
        matches!(self, Self::Release(text) if text.matches_status())
    }
}

fn present(field: &Option<String>) -> Option<&str> {
    field.as_deref().filter(|text| !text.is_empty())
}

fn allows(pattern: &Option<Pattern>, field: Option<&str>) -> bool {
    pattern
        .as_ref()
        .is_none_or(|pattern| pattern.matches_field(field))
}

/// Cuts at commas, drops the spaces and commas around the parts; none of them if there are too many.
fn split_parts(text: &str) -> Vec<&str> {
    let is_gap = |character: char| character == ',' || is_space(character);
    let mut parts = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = rest.find(',').unwrap_or(rest.len());
        parts.push(rest[..end].trim_end_matches(is_gap));
        if parts.len() >= TOO_MANY_PARTS {
            return Vec::new();
        }
        rest = rest[end..].trim_start_matches(is_gap);
    }
    parts
}

/// isspace(3) in the C locale.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}
