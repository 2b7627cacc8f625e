//! Shell patterns as the C library's fnmatch(3) reads them, because apt's pins are read by it: `*`, `?`, brackets with
//! ranges and classes, backslash escapes, an unclosed bracket as itself. The corners (a bad class name,
//! a collating symbol) follow glibc in the C locale; text is compared by Unicode scalar.

/// Longest pattern that is read, in characters; a longer one matches nothing.
pub const MAX_PATTERN: usize = 4096;

/// Longest name of a character class that glibc reads.
const MAX_CLASS_NAME: usize = 64;

/// Whether upper and lower case are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// ASCII letters of either case match (`FNM_CASEFOLD`).
    Fold,
    /// Every character matches only itself.
    Exact,
}

/// A pattern, ready to be matched. Any text is a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    pattern: Vec<char>,
    case: Case,
    too_long: bool,
    /// What every matching text begins with.
    prefix: String,
}

/// What one element of a pattern says of one character.
enum Step {
    /// It takes the character; the pattern goes on there.
    Takes(usize),
    /// It does not.
    Refuses,
}

impl Glob {
    /// Takes `pattern` as it stands.
    pub fn new(pattern: &str, case: Case) -> Self {
        let too_long = pattern.chars().nth(MAX_PATTERN).is_some();
        let prefix = pattern
            .split(['*', '?', '[', '\\'])
            .next()
            .unwrap_or_default()
            .to_owned();
        let pattern = if too_long {
            Vec::new()
        } else {
            pattern.chars().collect()
        };
        Self {
            pattern,
            case,
            too_long,
            prefix,
        }
    }

    /// Whether the whole of `text` matches. Time is at most the product of the two lengths.
    pub fn matches(&self, text: &str) -> bool {
        if self.too_long || !self.begins(text) {
            return false;
        }
        let text: Vec<char> = text.chars().collect();
        let (mut at, mut position) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            if self.pattern.get(at) == Some(&'*') {
                at += 1;
                star = Some((at, position));
                continue;
            }
            let step = match text.get(position) {
                None if at == self.pattern.len() => return true,
                None => return false,
                Some(&character) => self.step(at, character),
            };
            match (step, star) {
                (Step::Takes(next), _) => (at, position) = (next, position + 1),
                (Step::Refuses, Some((after_star, from))) => {
                    star = Some((after_star, from + 1));
                    (at, position) = (after_star, from + 1);
                }
                (Step::Refuses, None) => return false,
            }
        }
    }

    /// Most names fall here, before anything is set up.
    fn begins(&self, text: &str) -> bool {
        let (prefix, start) = (self.prefix.as_bytes(), text.as_bytes().get(..self.prefix.len()));
        start.is_some_and(|start| match self.case {
            Case::Fold => start.eq_ignore_ascii_case(prefix),
            Case::Exact => start == prefix,
        })
    }

    fn fold(&self, character: char) -> char {
        match self.case {
            Case::Fold => character.to_ascii_lowercase(),
            Case::Exact => character,
        }
    }

    fn literal(&self, element: char, character: char, next: usize) -> Step {
        if self.fold(element) == self.fold(character) {
            Step::Takes(next)
        } else {
            Step::Refuses
        }
    }

    fn step(&self, at: usize, character: char) -> Step {
        match self.pattern.get(at) {
            None => Step::Refuses,
            Some('?') => Step::Takes(at + 1),
            Some('\\') => match self.pattern.get(at + 1) {
                Some(&escaped) => self.literal(escaped, character, at + 2),
                None => Step::Refuses,
            },
            Some('[') => match (Bracket {
                glob: self,
                at: at + 1,
                character,
            })
            .read()
            {
                Found::Matched(next) => Step::Takes(next),
                Found::Unmatched => Step::Refuses,
                Found::Unclosed => self.literal('[', character, at + 1),
            },
            Some(&element) => self.literal(element, character, at + 1),
        }
    }
}

/// What a bracket expression says of one character.
enum Found {
    /// It takes the character and ends before this place.
    Matched(usize),
    /// It does not take it, or is ill-formed before anything matched.
    Unmatched,
    /// There is no end: the bracket stands for itself.
    Unclosed,
}

/// A reader of one bracket expression against one character.
struct Bracket<'glob> {
    glob: &'glob Glob,
    at: usize,
    character: char,
}

/// One element inside a bracket, and where reading goes on.
enum Element {
    Char { raw: char, collating: bool },
    Class(bool),
    Equivalent(bool),
    IllFormed,
    End,
}

impl Bracket<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.glob.pattern.get(self.at + ahead).copied()
    }

    fn read(mut self) -> Found {
        let negated = matches!(self.peek(0), Some('!' | '^'));
        if negated {
            self.at += 1;
        }
        let start = self.at;
        let folded = self.glob.fold(self.character);
        loop {
            if self.peek(0) == Some(']') && self.at > start {
                self.at += 1;
                return if negated {
                    Found::Matched(self.at)
                } else {
                    Found::Unmatched
                };
            }
            let matched = match self.element() {
                Element::End => return Found::Unclosed,
                Element::IllFormed => return Found::Unmatched,
                Element::Class(matched) | Element::Equivalent(matched) => matched,
                Element::Char { raw, collating } => {
                    let low = if collating { raw } else { self.glob.fold(raw) };
                    match self.range_end() {
                        Err(found) => return found,
                        Ok(Some(high)) => low <= folded && folded <= self.glob.fold(high),
                        Ok(None) if collating => self.character == raw,
                        Ok(None) => low == folded,
                    }
                }
            };
            if matched {
                return self.skip_rest(negated);
            }
        }
    }

    fn element(&mut self) -> Element {
        let Some(raw) = self.peek(0) else {
            return Element::End;
        };
        self.at += 1;
        match (raw, self.peek(0)) {
            ('\\', None) => Element::IllFormed,
            ('\\', Some(escaped)) => {
                self.at += 1;
                Element::Char {
                    raw: escaped,
                    collating: false,
                }
            }
            ('[', Some(':')) => self.class(),
            ('[', Some('=')) => match (self.peek(1), self.peek(2), self.peek(3)) {
                (Some(only), Some('='), Some(']')) => {
                    self.at += 4;
                    Element::Equivalent(self.character == only)
                }
                _ => Element::Char {
                    raw,
                    collating: false,
                },
            },
            ('[', Some('.')) => self.symbol(),
            _ => Element::Char {
                raw,
                collating: false,
            },
        }
    }

    /// `[:name:]`, standing at the first colon. What cannot be a name is a plain `[`; an unknown name is ill-formed.
    fn class(&mut self) -> Element {
        let mut name = String::new();
        let mut ahead = 1;
        loop {
            if name.len() == MAX_CLASS_NAME {
                return Element::IllFormed;
            }
            match (self.peek(ahead), self.peek(ahead + 1)) {
                (Some(':'), Some(']')) => break,
                (Some(letter @ 'a'..='y'), _) => name.push(letter),
                _ => {
                    return Element::Char {
                        raw: '[',
                        collating: false,
                    };
                }
            }
            ahead += 1;
        }
        self.at += ahead + 2;
        match in_class(&name, self.character) {
            Some(matched) => Element::Class(matched),
            None => Element::IllFormed,
        }
    }

    /// `[.x.]`, standing at the first full stop: one character, compared without folding.
    fn symbol(&mut self) -> Element {
        match (self.peek(1), self.peek(2), self.peek(3)) {
            (Some(only), Some('.'), Some(']')) => {
                self.at += 4;
                Element::Char {
                    raw: only,
                    collating: true,
                }
            }
            _ => Element::IllFormed,
        }
    }

    /// The end of a range if one begins here.
    fn range_end(&mut self) -> Result<Option<char>, Found> {
        if self.peek(0) != Some('-') || matches!(self.peek(1), Some(']') | None) {
            return Ok(None);
        }
        self.at += 1;
        let raw = self.peek(0).ok_or(Found::Unclosed)?;
        self.at += 1;
        match (raw, self.peek(0)) {
            ('[', Some('.')) => match self.symbol() {
                Element::Char { raw, .. } => Ok(Some(raw)),
                _ => Err(Found::Unmatched),
            },
            ('\\', None) => Err(Found::Unmatched),
            ('\\', Some(escaped)) => {
                self.at += 1;
                Ok(Some(escaped))
            }
            _ => Ok(Some(raw)),
        }
    }

    /// Goes to the end of a bracket that already matched.
    fn skip_rest(mut self, negated: bool) -> Found {
        loop {
            if self.peek(0) == Some(']') {
                self.at += 1;
                return if negated {
                    Found::Unmatched
                } else {
                    Found::Matched(self.at)
                };
            }
            match self.element() {
                Element::End => return Found::Unclosed,
                Element::IllFormed if self.peek(0).is_none() => return Found::Unmatched,
                _ => {}
            }
        }
    }
}

fn in_class(name: &str, character: char) -> Option<bool> {
    Some(match name {
        "alnum" => character.is_ascii_alphanumeric(),
        "alpha" => character.is_ascii_alphabetic(),
        "blank" => matches!(character, ' ' | '\t'),
        "cntrl" => character.is_ascii_control(),
        "digit" => character.is_ascii_digit(),
        "graph" => character.is_ascii_graphic(),
        "lower" => character.is_ascii_lowercase(),
        "print" => character.is_ascii_graphic() || character == ' ',
        "punct" => character.is_ascii_punctuation(),
        "space" => character.is_ascii_whitespace() || character == '\x0b',
        "upper" => character.is_ascii_uppercase(),
        "xdigit" => character.is_ascii_hexdigit(),
        _ => return None,
    })
}
