//! What is wrong with a host's own configuration, said so that a person can repair it.

use crate::tree::ReadError;
use std::fmt;

/// A fault in a file of the host. The rest of that file was used all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as seen from inside the host's tree.
    pub file: String,
    /// The line, from 1; 0 where the whole file is meant.
    pub line: u32,
    /// What is wrong and what to do, free of control characters.
    pub what: String,
    /// What follows from it.
    pub effect: Effect,
}

/// What a problem leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// apt ignores it too; worth knowing.
    Noted,
    /// The entry counts as it is written, but the truth may be another.
    Doubted,
    /// The entry was left out of the answer.
    Skipped,
    /// As `Skipped`, and apt itself refuses to work until it is repaired.
    AptRefuses,
}

impl Problem {
    pub(crate) fn new(file: &str, line: u32, effect: Effect, what: impl AsRef<str>) -> Self {
        Self {
            file: printable(file),
            line,
            what: printable(what.as_ref()),
            effect,
        }
    }
}

impl Problem {
    /// A file of the configuration that cannot be read. apt passes over a link that leads nowhere; all else stops it.
    pub(crate) fn unreadable(file: &str, error: &ReadError) -> Self {
        if error.is_not_found() {
            let what = "it is a link to something that is not there; mount or restore it, or remove the link";
            return Self::new(file, 0, Effect::Skipped, what);
        }
        Self::new(file, 0, Effect::AptRefuses, chain(error))
    }

    /// What is wrong and what follows from it, without the place.
    pub fn sentence(&self) -> String {
        let follows = match self.effect {
            Effect::Noted | Effect::Doubted => "",
            Effect::Skipped => " (this entry is left out)",
            Effect::AptRefuses => {
                " (this entry is left out; apt itself refuses to work until it is repaired)"
            }
        };
        format!("{}{follows}", self.what)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line != 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.sentence())
    }
}

/// The longest text from a host's file that is repeated in a message, in characters.
const QUOTED_CHARS: usize = 200;

/// The text without control characters and not longer than a message may be: what comes from a host is hostile
/// wherever it is shown.
pub(crate) fn printable(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(QUOTED_CHARS)
        .map(|c| {
            if domain::text::is_steering(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    if text.chars().nth(QUOTED_CHARS).is_some() {
        shown.push('…');
    }
    shown
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
