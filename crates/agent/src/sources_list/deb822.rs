//! The deb822 syntax: stanzas with `Types`, `URIs`, `Suites`, `Components` and options as fields.

use super::options::{FIELDS, Options};
use super::{Context, ENTRIES, Entry, EntryType};
use crate::problem::{Effect, Problem};
use crate::words::{split_spaces, truth};
use domain::deb822::{Field, Stanza, Uncommented};
use domain::host::address::archive_uri;

/// Why a stanza cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum StanzaError {
    #[error("the field Types is missing")]
    NoTypes,
    #[error("Types holds deb or deb-src, not “{0}”")]
    Type(String),
    #[error("the field {0} is missing or empty")]
    Missing(&'static str),
    #[error("“{0}” is no address")]
    Uri(String),
    #[error("a suite that ends in a slash takes no Components")]
    FlatComponent,
    #[error("more than {ENTRIES} sources in one stanza")]
    TooMany,
}

/// The entries of a file. deb-src and disabled stanzas are checked as far as apt does and left out.
pub(super) fn entries(
    file: &str,
    bytes: &[u8],
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Entry> {
    let uncommented = Uncommented::new(bytes);
    let mut entries = Vec::new();
    for stanza in uncommented.stanzas() {
        let stanza = match stanza {
            Ok(stanza) => stanza,
            Err(malformed) => {
                let what = malformed.why.to_string();
                problems.push(Problem::new(file, malformed.line, Effect::AptRefuses, what));
                continue;
            }
        };
        match parse(file, &stanza, context, problems) {
            Ok(more) if entries.len() + more.len() > ENTRIES => {
                let what = StanzaError::TooMany.to_string();
                problems.push(Problem::new(file, stanza.line(), Effect::Skipped, what));
                break;
            }
            Ok(more) => entries.extend(more),
            Err(error) => {
                problems.push(Problem::new(
                    file,
                    stanza.line(),
                    Effect::AptRefuses,
                    error.to_string(),
                ));
            }
        }
    }
    entries
}

fn parse(
    file: &str,
    stanza: &Stanza<'_>,
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Entry>, StanzaError> {
    let text = |name: &str| {
        stanza
            .value(name)
            .map(String::from_utf8_lossy)
            .unwrap_or_default()
    };
    let words = |name: &str| split_spaces(&text(name)).map(str::to_owned).collect::<Vec<_>>();
    if stanza.value("Types").is_none() {
        return Err(StanzaError::NoTypes);
    }
    let types = words("Types");
    let types = types
        .iter()
        .map(|word| EntryType::parse(word).ok_or_else(|| StanzaError::Type(word.clone())));
    let types = types.collect::<Result<Vec<_>, _>>()?;
    if truth(&text("Enabled")) == Some(false) && !text("Enabled").is_empty() {
        return Ok(Vec::new());
    }
    let (uris, components) = (words("URIs"), words("Components"));
    let native = &context.architectures.native;
    let suites: Vec<_> = words("Suites")
        .iter()
        .map(|suite| suite.replace("$(ARCH)", native))
        .collect();
    let pairs = places(&uris, &suites, &components, native)?;
    if types.len().saturating_mul(pairs.len()) > ENTRIES {
        return Err(StanzaError::TooMany);
    }
    let options = options(stanza);
    if types.contains(&EntryType::Deb) {
        note_unknown(file, stanza, problems);
    }
    let debs = types.iter().filter(|&&entry_type| entry_type == EntryType::Deb);
    let entry = |(uri, suite, component): &(String, String, String)| Entry {
        file: file.to_owned(),
        line: stanza.line(),
        uri: uri.clone(),
        suite: suite.clone(),
        component: component.clone(),
        options: options.clone(),
    };
    Ok(debs.flat_map(|_| pairs.iter().map(entry)).collect())
}

/// Each address with each suite and component, in apt's order.
fn places(
    uris: &[String],
    suites: &[String],
    components: &[String],
    native: &str,
) -> Result<Vec<(String, String, String)>, StanzaError> {
    if uris.is_empty() {
        return Err(StanzaError::Missing("URIs"));
    }
    if suites.is_empty() {
        return Err(StanzaError::Missing("Suites"));
    }
    if uris
        .len()
        .saturating_mul(suites.len())
        .saturating_mul(components.len().max(1))
        > ENTRIES
    {
        return Err(StanzaError::TooMany);
    }
    let mut places = Vec::new();
    for raw_uri in uris {
        let uri = archive_uri(raw_uri, native).ok_or_else(|| StanzaError::Uri(raw_uri.clone()))?;
        for suite in suites {
            if suite.ends_with('/') {
                if !components.is_empty() {
                    return Err(StanzaError::FlatComponent);
                }
                places.push((uri.clone(), suite.clone(), String::new()));
            } else if components.is_empty() {
                return Err(StanzaError::Missing("Components"));
            }
            if !suite.ends_with('/') {
                places.extend(components.iter().map(|c| (uri.clone(), suite.clone(), c.clone())));
            }
        }
    }
    Ok(places)
}

fn options(stanza: &Stanza<'_>) -> Options {
    let mut options = Options::default();
    for field in stanza.fields() {
        let Some((_, option, is_list)) = FIELDS.iter().find(|(name, ..)| field.is(name)) else {
            continue;
        };
        let value = String::from_utf8_lossy(field.value);
        if *is_list {
            options.set(option, &split_spaces(&value).collect::<Vec<_>>().join(","));
        } else {
            options.set(option, &value);
        }
    }
    options
}

/// Fields that are no options but belong to a stanza.
const OWN_FIELDS: [&str; 7] = [
    "Types",
    "URIs",
    "Suites",
    "Components",
    "Enabled",
    "Description",
    "Snapshot",
];

fn note_unknown(file: &str, stanza: &Stanza<'_>, problems: &mut Vec<Problem>) {
    let is_known = |field: &Field<'_>| {
        FIELDS.iter().any(|(name, ..)| field.is(name))
            || OWN_FIELDS.iter().any(|name| field.is(name))
            || field
                .name
                .get(..2)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"x-"))
    };
    for field in stanza.fields().filter(|field| !is_known(field)) {
        let shown = String::from_utf8_lossy(field.name);
        let what = format!("the field {shown} is not known; it is ignored");
        problems.push(Problem::new(file, field.line, Effect::Noted, what));
    }
}
