//! The one-line syntax: `deb [option=value ...] uri suite component ...`.

use super::options::Options;
use super::{Context, ENTRIES, Entry, EntryType};
use crate::problem::{Effect, Problem};
use crate::words::{is_space, quoted_word};
use domain::host::address::archive_uri;

/// Why a line cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum LineError {
    #[error("a line starts with deb or deb-src, this one with “{0}”")]
    Type(String),
    #[error("an option in brackets is unreadable: {0}")]
    Option(&'static str),
    #[error("the address is missing or malformed")]
    Uri,
    #[error("the suite is missing or malformed")]
    Suite,
    #[error("the components are missing; for a repository without components end the suite in a slash")]
    Component,
    #[error("a suite that ends in a slash takes no components")]
    FlatComponent,
}

/// The entries of a file. deb-src lines are checked and left out.
pub(super) fn entries(
    file: &str,
    bytes: &[u8],
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (raw, number) in bytes.split(|&byte| byte == b'\n').zip(1_u32..) {
        let text = String::from_utf8_lossy(raw);
        let line = without_comment(&text).trim_matches([' ', '\t', '\r']);
        if line.is_empty() {
            continue;
        }
        match parse(file, number, line, context, problems) {
            Ok(more) if entries.len() + more.len() > ENTRIES => {
                let what = format!("more than {ENTRIES} sources; the rest of the file was not read");
                problems.push(Problem::new(file, number, Effect::Skipped, what));
                break;
            }
            Ok(more) => entries.extend(more),
            Err(error) => problems.push(Problem::new(file, number, Effect::AptRefuses, error.to_string())),
        }
    }
    entries
}

/// The line up to a `#` that stands outside brackets.
fn without_comment(line: &str) -> &str {
    let mut depth = 0_i64;
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            b'#' if depth <= 0 => return &line[..at],
            _ => {}
        }
    }
    line
}

fn parse(
    file: &str,
    number: u32,
    line: &str,
    context: &Context<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Vec<Entry>, LineError> {
    let (word, rest) = match line.find([' ', '\t', '\x0b']) {
        Some(end) => (&line[..end], &line[end..]),
        None => return Err(LineError::Type(line.to_owned())),
    };
    let entry_type = EntryType::parse(word).ok_or_else(|| LineError::Type(word.to_owned()))?;
    let (options, rest) = options(skip_spaces(rest))?;
    let (raw_uri, rest) = quoted_word(rest).ok_or(LineError::Uri)?;
    let (suite, rest) = quoted_word(rest).ok_or(LineError::Suite)?;
    let native = &context.architectures.native;
    let uri = archive_uri(&raw_uri, native).ok_or(LineError::Uri)?;
    let (suite, components) = if suite.ends_with('/') {
        if quoted_word(rest).is_some() {
            return Err(LineError::FlatComponent);
        }
        (suite.replace("$(ARCH)", native), vec![String::new()])
    } else {
        (suite, components(rest)?)
    };
    if entry_type == EntryType::DebSrc {
        return Ok(Vec::new());
    }
    for name in options.unknown(context.conf) {
        let what = format!("the option {name} is not known; it is ignored");
        problems.push(Problem::new(file, number, Effect::Noted, what));
    }
    let entry = |component| Entry {
        file: file.to_owned(),
        line: number,
        uri: uri.clone(),
        suite: suite.clone(),
        component,
        options: options.clone(),
    };
    Ok(components.into_iter().map(entry).collect())
}

fn components(mut rest: &str) -> Result<Vec<String>, LineError> {
    let mut components = Vec::new();
    while let Some((component, after)) = quoted_word(rest) {
        components.push(component);
        rest = after;
    }
    if components.is_empty() {
        Err(LineError::Component)
    } else {
        Ok(components)
    }
}

/// The options in brackets, and what follows the bracket.
fn options(text: &str) -> Result<(Options, &str), LineError> {
    let mut options = Options::default();
    let Some(inner) = text.strip_prefix('[') else {
        return Ok((options, text));
    };
    let mut rest = skip_spaces(inner);
    while !rest.starts_with(']') {
        let (mut option, after) = quoted_word(rest).ok_or(LineError::Option("the bracket is not closed"))?;
        if option.len() < 3 {
            return Err(LineError::Option("it is too short"));
        }
        if option.ends_with(']') {
            // The bracket closes without a space before it: go on at the bracket itself.
            let consumed = rest.len() - after.len();
            let end = rest
                .as_bytes()
                .iter()
                .take(consumed + 1)
                .rposition(|&byte| byte == b']');
            rest = &rest[end.ok_or(LineError::Option("the bracket is not closed"))?..];
            option.pop();
        } else {
            rest = after;
        }
        let (name, value) = option
            .split_once('=')
            .ok_or(LineError::Option("it has no equals sign"))?;
        if name.is_empty() {
            return Err(LineError::Option("it has no name"));
        }
        if value.is_empty() {
            return Err(LineError::Option("it has no value"));
        }
        options.set(name, value);
    }
    Ok((options, skip_spaces(&rest[1..])))
}

fn skip_spaces(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii() && is_space(c as u8))
}
