//! POSIX extended regular expressions in pins (`/.../`), matched without regard to case as regcomp(3) does with
//! `REG_EXTENDED | REG_ICASE`. They are translated for a matcher of linear time; what that cannot do (back-references)
//! is refused by name and then matches nothing.

use regex_lite::{Regex, RegexBuilder};

/// Longest expression that is read, in characters.
const MAX_EXPRESSION: usize = 1024;

/// Largest repetition count that glibc takes (`RE_DUP_MAX`).
const MAX_REPEAT: u32 = 32767;

/// Why an expression cannot be used. apt then warns, and the pin matches nothing; so it is here.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExpressionError {
    /// More than 1024 characters.
    #[error("the regular expression is longer than {MAX_EXPRESSION} characters")]
    TooLong,
    /// A repetition with nothing before it.
    #[error("a repetition stands at the beginning of the regular expression or a part of it")]
    NothingToRepeat,
    /// `{` without a proper count.
    #[error("the regular expression has a malformed repetition count")]
    BadCount,
    /// A bracket, group or escape that does not end, or an inverted range.
    #[error("the regular expression has an unbalanced or malformed bracket, group or escape")]
    Unbalanced,
    /// A back-reference such as `\1`.
    #[error("back-references in regular expressions are not supported")]
    BackReference,
    /// Nested too deeply, too large when expanded, or a form of glibc's own.
    #[error("the regular expression is too complex or of an unusual form")]
    Unsupported,
}

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Expression {
    regex: Regex,
}

impl Expression {
    /// Reads the text between the slashes.
    pub fn new(text: &str) -> Result<Self, ExpressionError> {
        let characters: Vec<char> = text.chars().take(MAX_EXPRESSION + 1).collect();
        if characters.len() > MAX_EXPRESSION {
            return Err(ExpressionError::TooLong);
        }
        let translated = Translator {
            text: &characters,
            at: 0,
            out: String::new(),
        }
        .translate()?;
        let regex = RegexBuilder::new(&translated)
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .size_limit(1 << 20)
            .nest_limit(200)
            .build()
            .map_err(|_| ExpressionError::Unsupported)?;
        Ok(Self { regex })
    }

    /// Whether the expression matches anywhere in `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

struct Translator<'text> {
    text: &'text [char],
    at: usize,
    out: String,
}

impl Translator<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += 1;
        Some(character)
    }

    /// `atom` is where the last repeatable piece begins in the output.
    fn translate(mut self) -> Result<String, ExpressionError> {
        let mut groups: Vec<usize> = Vec::new();
        let mut atom: Option<usize> = None;
        while let Some(character) = self.next() {
            let start = self.out.len();
            match character {
                '(' => {
                    groups.push(start);
                    self.out.push_str("(?:");
                    atom = None;
                }
                ')' if !groups.is_empty() => {
                    atom = groups.pop();
                    self.out.push(')');
                }
                '|' => {
                    self.out.push('|');
                    atom = None;
                }
                '^' | '$' => {
                    self.out.push(character);
                    atom = None;
                }
                '*' | '+' | '?' | '{' => {
                    let from = atom.ok_or(ExpressionError::NothingToRepeat)?;
                    self.repeat(character, from)?;
                }
                '[' => {
                    self.bracket()?;
                    atom = Some(start);
                }
                '\\' => atom = self.escape()?.then_some(start),
                '.' => {
                    self.out.push('.');
                    atom = Some(start);
                }
                other => {
                    push_literal(&mut self.out, other);
                    atom = Some(start);
                }
            }
        }
        if groups.is_empty() {
            Ok(self.out)
        } else {
            Err(ExpressionError::Unbalanced)
        }
    }

    /// Wraps the piece that begins at `from`, so that `a+?` stays a repetition of a repetition and is not a lazy one.
    fn repeat(&mut self, operator: char, from: usize) -> Result<(), ExpressionError> {
        let suffix = if operator == '{' {
            self.count()?
        } else {
            operator.to_string()
        };
        self.out.insert_str(from, "(?:");
        self.out.push_str(&suffix);
        self.out.push(')');
        if self.out.len() > 64 * MAX_EXPRESSION {
            Err(ExpressionError::Unsupported)
        } else {
            Ok(())
        }
    }

    fn count(&mut self) -> Result<String, ExpressionError> {
        let low = self.number()?;
        let (low, high) = match self.next() {
            Some('}') => {
                let exact = low.ok_or(ExpressionError::BadCount)?;
                return Ok(format!("{{{exact}}}"));
            }
            Some(',') => (low, self.number()?),
            _ => return Err(ExpressionError::BadCount),
        };
        if self.next() != Some('}') {
            return Err(ExpressionError::BadCount);
        }
        match (low.unwrap_or(0), high) {
            (low, Some(high)) if low > high => Err(ExpressionError::BadCount),
            (low, Some(high)) => Ok(format!("{{{low},{high}}}")),
            (low, None) => Ok(format!("{{{low},}}")),
        }
    }

    fn number(&mut self) -> Result<Option<u32>, ExpressionError> {
        let mut number: Option<u32> = None;
        while let Some(digit) = self.peek().and_then(|character| character.to_digit(10)) {
            let value = number.unwrap_or(0) * 10 + digit;
            if value > MAX_REPEAT {
                return Err(ExpressionError::BadCount);
            }
            number = Some(value);
            self.at += 1;
        }
        Ok(number)
    }

    /// Returns whether the escape can be repeated.
    fn escape(&mut self) -> Result<bool, ExpressionError> {
        let (text, repeatable) = match self.next().ok_or(ExpressionError::Unbalanced)? {
            '1'..='9' => return Err(ExpressionError::BackReference),
            'w' => ("[0-9A-Za-z_]", true),
            'W' => ("[^0-9A-Za-z_]", true),
            's' => ("[[:space:]]", true),
            'S' => ("[^[:space:]]", true),
            'b' => (r"\b", false),
            'B' => (r"\B", false),
            '<' => (r"\b{start}", false),
            '>' => (r"\b{end}", false),
            '`' => (r"\A", false),
            '\'' => (r"\z", false),
            // glibc compares an escaped letter with the text in upper case: nobody means that.
            letter if letter.is_alphabetic() => return Err(ExpressionError::Unsupported),
            other => {
                push_literal(&mut self.out, other);
                return Ok(true);
            }
        };
        self.out.push_str(text);
        Ok(repeatable)
    }

    fn bracket(&mut self) -> Result<(), ExpressionError> {
        self.out.push('[');
        if self.peek() == Some('^') {
            self.at += 1;
            self.out.push('^');
        }
        let start = self.at;
        loop {
            if self.peek() == Some(']') && self.at > start {
                self.at += 1;
                self.out.push(']');
                return Ok(());
            }
            let Some(low) = self.bracket_item()? else { continue };
            let is_range = self.peek() == Some('-') && self.text.get(self.at + 1) != Some(&']');
            if !is_range {
                push_literal(&mut self.out, low);
                continue;
            }
            self.at += 1;
            let high = self.bracket_item()?.ok_or(ExpressionError::Unbalanced)?;
            self.range(low.to_ascii_uppercase(), high.to_ascii_uppercase())?;
        }
    }

    /// Under `REG_ICASE` glibc compares upper case with upper case, ends of ranges included: a range never holds a
    /// lower-case letter of its own.
    fn range(&mut self, low: char, high: char) -> Result<(), ExpressionError> {
        if low > high {
            return Err(ExpressionError::Unbalanced);
        }
        let mut piece = |low: char, high: char| {
            push_literal(&mut self.out, low);
            self.out.push('-');
            push_literal(&mut self.out, high);
        };
        if low < 'a' && high > 'z' {
            piece(low, '`');
            piece('{', high);
        } else {
            piece(low, high);
        }
        Ok(())
    }

    /// One character of a bracket, or nothing if a whole class was written.
    fn bracket_item(&mut self) -> Result<Option<char>, ExpressionError> {
        let character = self.next().ok_or(ExpressionError::Unbalanced)?;
        let kind = match (character, self.peek()) {
            ('[', Some(kind @ (':' | '=' | '.'))) => kind,
            _ => return Ok(Some(character)),
        };
        self.at += 1;
        let mut name = String::new();
        loop {
            let character = self.next().ok_or(ExpressionError::Unbalanced)?;
            if character == kind && self.peek() == Some(']') {
                self.at += 1;
                break;
            }
            name.push(character);
        }
        if kind != ':' {
            let mut only = name.chars();
            return match (only.next(), only.next()) {
                (Some(character), None) => Ok(Some(character)),
                _ => Err(ExpressionError::Unbalanced),
            };
        }
        // Under REG_ICASE glibc reads `upper` and `lower` as `alpha`.
        let name = if matches!(name.as_str(), "upper" | "lower") {
            "alpha"
        } else {
            name.as_str()
        };
        let classes = [
            "alnum", "alpha", "blank", "cntrl", "digit", "graph", "print", "punct", "space", "xdigit",
        ];
        if !classes.contains(&name) {
            return Err(ExpressionError::Unbalanced);
        }
        self.out.push_str(&format!("[:{name}:]"));
        Ok(None)
    }
}

fn push_literal(out: &mut String, character: char) {
    if r"\.+*?()|[]{}^$#&-~".contains(character) {
        out.push('\\');
    }
    out.push(character);
}
