//! Something is wrong: one sentence that says what, one that says what to do next.

use serde::{Deserialize, Serialize};

/// What a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What is wrong, one sentence.
    pub sentence: String,
    /// What to do next, one sentence.
    pub next_step: String,
}

impl Trouble {
    /// Trouble with these words.
    pub fn new(sentence: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            next_step: next_step.into(),
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} Next: {}", self.sentence, self.next_step)
    }
}
