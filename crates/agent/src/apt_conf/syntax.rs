//! The syntax of one apt.conf file: nested blocks, lists, directives, and comments of three kinds. It follows
//! libapt's reader line by line, because quotes and comments end at a line's end there, not at a statement's.

use super::{AptConf, NAME_BYTES, SetError};
use crate::words::{quoted_strings, quoted_word, strip};

/// Blocks within blocks beyond this are refused.
const NESTING: usize = 64;

/// A file that is not apt.conf's syntax. What stood before the fault counts all the same.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SyntaxError {
    #[error("a block starts with no name")]
    NamelessBlock,
    #[error("a name with an unclosed quote or bracket")]
    MalformedTag,
    #[error("something follows the value; is a semicolon missing?")]
    JunkAfterValue,
    #[error("the directive {0} stands inside a block; it belongs at the top level")]
    NestedDirective(String),
    #[error("the directive {0} does not exist")]
    UnknownDirective(String),
    #[error("#clear needs the name of a setting")]
    ClearWithoutName,
    #[error("the file ends inside a statement; is a semicolon missing?")]
    JunkAtEnd,
    #[error("blocks are nested more than {NESTING} deep")]
    TooNested,
    #[error("it holds a NUL byte")]
    Nul,
    #[error(transparent)]
    Set(#[from] SetError),
}

/// The line, from 1, and what is wrong there.
pub(crate) type Fault = (u32, SyntaxError);

/// What a directive asks the reader of files to do.
pub(crate) trait Include {
    /// Reads the file or, ending in a slash, the folder `name` into `conf`.
    fn include(&mut self, conf: &mut AptConf, name: &str, line: u32);
}

/// Reads one file's text into `conf`.
pub(crate) fn parse(conf: &mut AptConf, text: &str, include: &mut dyn Include) -> Result<(), Fault> {
    let mut parser = Parser {
        conf,
        include,
        above: Vec::new(),
        block: String::new(),
        pending: String::new(),
    };
    let mut comments = Comments { inside: false };
    let mut line_number = 0_u32;
    for line in text.split_terminator('\n') {
        line_number = line_number.saturating_add(1);
        let at_line = |error| (line_number, error);
        if line.contains('\0') {
            return Err(at_line(SyntaxError::Nul));
        }
        let expanded = line.replace('\t', "        ");
        let content = comments.strip(strip(&expanded));
        if !content.is_empty() {
            parser.line(&content, line_number).map_err(at_line)?;
        }
    }
    if parser.pending.is_empty() {
        Ok(())
    } else {
        Err((line_number, SyntaxError::JunkAtEnd))
    }
}

struct Parser<'conf> {
    conf: &'conf mut AptConf,
    include: &'conf mut dyn Include,
    /// Names of the blocks around the current one.
    above: Vec<String>,
    /// Full name of the current block; empty at the top.
    block: String,
    /// The start of a statement that goes on in the next line.
    pending: String,
}

impl Parser<'_> {
    fn line(&mut self, content: &str, line_number: u32) -> Result<(), SyntaxError> {
        let mut in_quote = false;
        let mut start = 0;
        for (at, byte) in content.bytes().enumerate() {
            in_quote ^= byte == b'"';
            if !in_quote && matches!(byte, b'{' | b';' | b'}') {
                self.append(&content[start..at]);
                start = at + 1;
                self.end(byte, line_number)?;
            }
        }
        self.append(&content[start..]);
        Ok(())
    }

    fn append(&mut self, fragment: &str) {
        let fragment = strip(fragment);
        if !fragment.is_empty() {
            if !self.pending.is_empty() {
                self.pending.push(' ');
            }
            self.pending.push_str(fragment);
        }
    }

    /// Ends the pending statement at `{`, `;` or `}`.
    fn end(&mut self, mark: u8, line_number: u32) -> Result<(), SyntaxError> {
        let statement = std::mem::take(&mut self.pending);
        if statement.is_empty() {
            match mark {
                b'{' => return Err(SyntaxError::NamelessBlock),
                b'}' => self.leave(),
                _ => {}
            }
            return Ok(());
        }
        let (mut tag, rest) = quoted_word(&statement).ok_or(SyntaxError::MalformedTag)?;
        let word = match quoted_strings(rest)
            .map(|word| (word, ""))
            .or_else(|| quoted_word(rest))
        {
            Some((_, junk)) if !junk.is_empty() => return Err(SyntaxError::JunkAfterValue),
            Some((word, _)) => Some(word),
            None if !rest.is_empty() => return Err(SyntaxError::JunkAfterValue),
            None if mark == b'{' => None,
            None => Some(std::mem::take(&mut tag)),
        };
        if mark == b'{' {
            self.enter(&std::mem::take(&mut tag))?;
        }
        if let Some(directive) = tag.strip_prefix('#') {
            self.directive(directive, word.as_deref().unwrap_or_default(), line_number)?;
        } else if let Some(word) = word {
            if tag.is_empty() && word == "#clear" {
                return Err(SyntaxError::ClearWithoutName);
            }
            let name = match (self.block.is_empty(), mark == b'{' && tag.is_empty()) {
                (true, _) => tag,
                (false, true) => self.block.clone(),
                (false, false) => format!("{}::{tag}", self.block),
            };
            self.conf.set(&name, &word)?;
        }
        if mark == b'}' {
            self.leave();
        }
        Ok(())
    }

    fn enter(&mut self, tag: &str) -> Result<(), SyntaxError> {
        if self.above.len() == NESTING {
            return Err(SyntaxError::TooNested);
        }
        let inner = if self.block.is_empty() {
            tag.to_owned()
        } else {
            format!("{}::{tag}", self.block)
        };
        if inner.len() > NAME_BYTES {
            return Err(SetError::TooLong.into());
        }
        self.above.push(std::mem::replace(&mut self.block, inner));
        Ok(())
    }

    fn leave(&mut self) {
        self.block = self.above.pop().unwrap_or_default();
    }

    fn directive(&mut self, directive: &str, word: &str, line_number: u32) -> Result<(), SyntaxError> {
        if !self.block.is_empty() {
            return Err(SyntaxError::NestedDirective(format!("#{directive}")));
        }
        match directive {
            "clear" => self.conf.clear(word),
            "include" => self.include.include(self.conf, word, line_number),
            // A list of known settings for apt's own checks; it sets none.
            "x-apt-configure-index" => {}
            other => return Err(SyntaxError::UnknownDirective(format!("#{other}"))),
        }
        Ok(())
    }
}

/// Takes comments out of lines.
struct Comments {
    /// A `/*` of an earlier line is still open.
    inside: bool,
}

/// What makes a `#` a directive instead of a comment.
const DIRECTIVES: [&str; 3] = ["clear", "include", "x-apt-configure-index"];

impl Comments {
    fn strip(&mut self, line: &str) -> String {
        let mut line = line;
        if self.inside {
            let Some(end) = line.find("*/") else {
                return String::new();
            };
            line = &line[end + 2..];
            self.inside = false;
        }
        line = cut(line, "//", |_| false);
        line = cut(line, "#", |after| {
            DIRECTIVES.iter().any(|directive| after.starts_with(directive))
        });
        self.without_blocks(line)
    }

    fn without_blocks(&mut self, mut line: &str) -> String {
        let mut content = String::with_capacity(line.len());
        let mut quotes = Quotes::default();
        let mut from = 0;
        while let Some(at) = line[from..].find("/*").map(|offset| from + offset) {
            if quotes.is_open_at(line, at) {
                from = at + 2;
                continue;
            }
            content.push_str(&line[..at]);
            let Some(end) = line[at + 2..].find("*/") else {
                self.inside = true;
                return content;
            };
            line = &line[at + 2 + end + 2..];
            quotes = Quotes::default();
            from = 0;
        }
        content.push_str(line);
        content
    }
}

/// The line up to the first `mark` outside quotes, unless what follows makes it none.
fn cut<'line>(line: &'line str, mark: &str, is_none: impl Fn(&str) -> bool) -> &'line str {
    let mut quotes = Quotes::default();
    let mut from = 0;
    while let Some(at) = line[from..].find(mark).map(|offset| from + offset) {
        if !quotes.is_open_at(line, at) && !is_none(&line[at + mark.len()..]) {
            return &line[..at];
        }
        from = at + 1;
    }
    line
}

/// Counts quotation marks from the left, each byte once.
#[derive(Default)]
struct Quotes {
    counted: usize,
    open: bool,
}

impl Quotes {
    /// Whether an odd number of quotation marks stands before `at`; `at` never decreases.
    fn is_open_at(&mut self, line: &str, at: usize) -> bool {
        let seen = line.as_bytes()[self.counted..at]
            .iter()
            .filter(|&&byte| byte == b'"')
            .count();
        self.open ^= seen % 2 == 1;
        self.counted = at;
        self.open
    }
}
