//! The texts that pins compare with: a shell pattern, or a regular expression between slashes (apt_preferences(5)).

use super::expression::{Expression, ExpressionError};
use super::glob::{Case, Glob};

/// A text of a pin, compiled.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Glob(Glob),
    Expression(Expression),
    /// An expression that cannot be read: it matches nothing, as in apt.
    Nothing,
}

impl Pattern {
    /// Compiles `text`; an expression that cannot be read is reported through `problems`.
    pub(super) fn new(text: &str, problems: &mut Vec<ExpressionError>) -> Self {
        match text.strip_prefix('/') {
            Some("") => Self::Nothing,
            Some(rest) if rest.ends_with('/') => match Expression::new(&rest[..rest.len() - 1]) {
                Ok(expression) => Self::Expression(expression),
                Err(why) => {
                    problems.push(why);
                    Self::Nothing
                }
            },
            _ => Self::Glob(Glob::new(text, Case::Fold)),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.matches(text),
            Self::Expression(expression) => expression.matches(text),
            Self::Nothing => false,
        }
    }

    /// A field that a release does not have matches nothing, not even `*`.
    pub(super) fn matches_field(&self, field: Option<&str>) -> bool {
        field.is_some_and(|field| self.matches(field))
    }
}
