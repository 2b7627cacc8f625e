//! Control data in the deb822(5) format, scanned without copying: package indexes, dpkg's status, release files,
//! and, with their comments taken out first, source lists and preferences. What the fields mean is not known here.
//!
//! Stanzas are cut and values trimmed as libapt's `pkgTagFile` does it: only an empty line (carriage returns aside)
//! ends a stanza, a line of spaces continues the field above, and names are compared without regard to case. Where
//! libapt reads on over damage (a line without a colon joins its neighbour, a second field of one name wins), the
//! stanza is refused by name and line instead, and scanning goes on with the next.

use std::fmt;

/// A stanza has at most this many fields.
pub const MAX_FIELDS: usize = 256;

/// The stanzas of a whole file, comments not known: a line that starts with `#` is malformed.
pub fn stanzas(bytes: &[u8]) -> Stanzas<'_> {
    Stanzas {
        scanner: Scanner::new(bytes),
    }
}

/// A file whose comment lines (those that start with `#`) are taken out, as apt does for source lists and
/// preferences. Line numbers stay those of the original.
#[derive(Clone, Debug)]
pub struct Uncommented {
    kept: Vec<u8>,
    lines: Vec<u32>,
}

impl Uncommented {
    /// Copies what is no comment.
    pub fn new(bytes: &[u8]) -> Self {
        let mut kept = Vec::with_capacity(bytes.len());
        let mut lines = Vec::new();
        for (line, number) in bytes.split_inclusive(|byte| *byte == b'\n').zip(1..) {
            if !line.starts_with(b"#") {
                kept.extend_from_slice(line);
                lines.push(number);
            }
        }
        Self { kept, lines }
    }

    /// The stanzas that are left.
    pub fn stanzas(&self) -> Stanzas<'_> {
        Stanzas {
            scanner: Scanner {
                lines: LineNumbers(Some(&self.lines)),
                ..Scanner::new(&self.kept)
            },
        }
    }
}

/// Why a stanza was left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Malformed {
    /// The line at fault, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub why: Damage,
}

/// What can be wrong with a stanza.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A line that neither continues a field nor begins one.
    #[error("a field without a colon")]
    NoColon,
    /// A name that the Policy Manual's section 5.1 does not allow: empty, begun with `#` or `-`, or holding spaces,
    /// control characters or anything outside ASCII.
    #[error("a field name that is empty or holds a forbidden character")]
    BadName,
    /// A line that continues nothing.
    #[error("a continuation line before any field")]
    NothingToContinue,
    /// A name for the second time.
    #[error("the field {0} for the second time")]
    Duplicate(String),
    /// More than [`MAX_FIELDS`].
    #[error("more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// A value that was asked for as text and is none.
    #[error("the field {0} is not UTF-8")]
    NotUtf8(String),
}

/// A field of a stanza.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name as written: printable ASCII without spaces.
    pub name: &'a [u8],
    /// Its value without the white space around it, continuation lines included with their line ends.
    pub value: &'a [u8],
    /// The line at which it begins, from 1.
    pub line: u32,
}

impl<'a> Field<'a> {
    /// Whether this is the field of that name, in either case.
    #[inline]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Its name as text.
    pub fn name(&self) -> &'a str {
        std::str::from_utf8(self.name).expect("a name is ASCII, or the stanza is malformed")
    }

    /// The value as text.
    ///
    /// # Errors
    /// [`Damage::NotUtf8`].
    #[inline]
    pub fn text(&self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.value).map_err(|_| Malformed {
            line: self.line,
            why: Damage::NotUtf8(self.name().to_owned()),
        })
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {:?}",
            self.line,
            self.name(),
            String::from_utf8_lossy(self.value)
        )
    }
}

/// A well-formed stanza. It holds no list of fields: each question walks its bytes.
#[derive(Clone, Copy)]
pub struct Stanza<'a> {
    start: Position,
    bytes: &'a [u8],
    lines: LineNumbers<'a>,
}

impl<'a> Stanza<'a> {
    /// The line at which it begins, from 1.
    pub fn line(&self) -> u32 {
        self.lines.original(self.start.line)
    }

    /// Its fields in their order.
    pub fn fields(&self) -> Fields<'a> {
        Fields {
            walker: Walker {
                bytes: self.bytes,
                at: self.start,
            },
            lines: self.lines,
        }
    }

    /// The field of that name, in either case.
    pub fn field(&self, name: &str) -> Option<Field<'a>> {
        self.fields().find(|field| field.is(name))
    }

    /// The value of the field of that name, as bytes.
    pub fn value(&self, name: &str) -> Option<&'a [u8]> {
        self.field(name).map(|field| field.value)
    }

    /// The value of the field of that name as text; `None` where there is no such field.
    ///
    /// # Errors
    /// [`Damage::NotUtf8`].
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Malformed> {
        self.field(name).map(|field| field.text()).transpose()
    }

    /// Its bytes, from its first line on to the end of its last, as they stand in the file.
    pub fn bytes(&self) -> &'a [u8] {
        &self.bytes[self.start.byte..]
    }
}

impl fmt::Debug for Stanza<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fields()).finish()
    }
}

/// The fields of one [`Stanza`].
#[derive(Clone)]
pub struct Fields<'a> {
    walker: Walker<'a>,
    lines: LineNumbers<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        match self.walker.step() {
            Step::Field(field) => Some(Field {
                line: self.lines.original(field.line),
                ..field
            }),
            Step::End | Step::Damage(..) => None,
        }
    }
}

/// The stanzas of a file; a malformed one is an error in its place.
pub struct Stanzas<'a> {
    scanner: Scanner<'a>,
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<Stanza<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.scanner.seek()?;
        if let Err(malformed) = self.scanner.take(start) {
            return Some(Err(malformed));
        }
        let Walker { bytes, at: end } = self.scanner.walker;
        Some(Ok(Stanza {
            start,
            bytes: &bytes[..end.byte],
            lines: self.scanner.lines,
        }))
    }
}

/// The fast way through a large index: each stanza's fields are collected once, in a list that the next one reuses.
pub struct Scanner<'a> {
    walker: Walker<'a>,
    lines: LineNumbers<'a>,
    fields: Vec<Field<'a>>,
    seen: Seen,
}

impl<'a> Scanner<'a> {
    /// Begins at the start of a file, comments not known.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            walker: Walker {
                bytes,
                at: Position { byte: 0, line: 1 },
            },
            lines: LineNumbers(None),
            fields: Vec::with_capacity(64),
            seen: Seen::new(),
        }
    }

    /// The fields of the next stanza, in their order, never none; `None` at the end of the file.
    pub fn next_stanza(&mut self) -> Option<Result<&[Field<'a>], Malformed>> {
        let start = self.seek()?;
        Some(self.take(start))
    }

    /// The place of the next stanza: past lines of nothing but white space, and past carriage returns at the start
    /// of its own line unless that is the first of the file (there, libapt takes them for a continuation).
    fn seek(&mut self) -> Option<Position> {
        let bytes = self.walker.bytes;
        let mut start = self.walker.at;
        let mut ahead = start;
        while let Some(byte) = bytes.get(ahead.byte) {
            if !is_space(*byte) {
                return Some(start);
            }
            ahead.byte += 1;
            ahead.line = ahead.line.saturating_add(u32::from(*byte == b'\n'));
            if *byte == b'\n' || (*byte == b'\r' && start.byte + 1 == ahead.byte && start.byte > 0) {
                start = ahead;
            }
        }
        None
    }

    fn take(&mut self, start: Position) -> Result<&[Field<'a>], Malformed> {
        self.fields.clear();
        self.seen.begin_stanza();
        self.walker.at = start;
        let (line, why) = loop {
            match self.walker.step() {
                Step::Field(field) if self.fields.len() == MAX_FIELDS => {
                    break (field.line, Damage::TooManyFields);
                }
                Step::Field(field) if self.seen.is_second(&self.fields, field.name) => {
                    break (field.line, Damage::Duplicate(field.name().to_owned()));
                }
                Step::Field(field) => {
                    self.fields.push(Field {
                        line: self.lines.original(field.line),
                        ..field
                    });
                }
                Step::End => return Ok(&self.fields),
                Step::Damage(line, why) => break (line, why),
            }
        };
        self.walker.skip_stanza();
        Err(Malformed {
            line: self.lines.original(line),
            why,
        })
    }
}

/// The original numbers of lines, where some were taken out.
#[derive(Clone, Copy)]
struct LineNumbers<'a>(Option<&'a [u32]>);

impl LineNumbers<'_> {
    #[inline]
    fn original(self, line: u32) -> u32 {
        match self.0 {
            None => line,
            Some(lines) => lines.get(line as usize - 1).copied().unwrap_or(line),
        }
    }
}

#[derive(Clone, Copy)]
struct Position {
    byte: usize,
    line: u32,
}

enum Step<'a> {
    Field(Field<'a>),
    End,
    Damage(u32, Damage),
}

/// Walks the fields from a place inside a stanza to the stanza's end.
#[derive(Clone, Copy)]
struct Walker<'a> {
    bytes: &'a [u8],
    at: Position,
}

impl<'a> Walker<'a> {
    /// The next field; stays where it is at the end of the stanza or at damage.
    #[inline]
    fn step(&mut self) -> Step<'a> {
        let bytes = self.bytes;
        let Position { byte: start, line } = self.at;
        let end = start + name_length(&bytes[start..]);
        let mut colon = end;
        while matches!(bytes.get(colon), Some(b' ' | b'\t' | 0x0b | 0x0c)) {
            colon += 1;
        }
        match bytes.get(colon) {
            Some(b':') if end > start && !matches!(bytes[start], b'#' | b'-') => {}
            _ => return self.without_field(),
        }
        let value_end = self.end_of_value(colon + 1);
        let value = trim_value(&bytes[colon + 1..value_end]);
        let name = &bytes[start..end];
        Step::Field(Field { name, value, line })
    }

    /// Moves to the line after the value that starts here, and gives the place where its last line ends.
    #[inline]
    fn end_of_value(&mut self, mut from: usize) -> usize {
        let bytes = self.bytes;
        loop {
            let Some(length) = memchr::memchr(b'\n', &bytes[from..]) else {
                self.at.byte = bytes.len();
                return bytes.len();
            };
            let end = from + length;
            self.at.line = self.at.line.saturating_add(1);
            from = end + 1;
            while bytes.get(from) == Some(&b'\r') {
                from += 1;
            }
            if !matches!(bytes.get(from), Some(b' ' | b'\t' | 0x0b | 0x0c)) {
                self.at.byte = from;
                return end;
            }
        }
    }

    /// What stands here, where no field does.
    #[cold]
    fn without_field(&mut self) -> Step<'a> {
        let rest = &self.bytes[self.at.byte..];
        let first = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if first.iter().all(|byte| *byte == b'\r') {
            return Step::End;
        }
        let why = if is_space(first[0]) {
            Damage::NothingToContinue
        } else if first.contains(&b':') {
            Damage::BadName
        } else {
            Damage::NoColon
        };
        Step::Damage(self.at.line, why)
    }

    /// Moves past the rest of a stanza.
    #[cold]
    fn skip_stanza(&mut self) {
        while !matches!(self.bytes.get(self.at.byte), None | Some(b'\n')) {
            self.end_of_value(self.at.byte);
        }
    }
}

/// The value without white space at its end and start. A value that begins on the next line keeps that line end
/// unless a space follows it, as libapt has it.
#[inline]
fn trim_value(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value {
        if !is_space(*first) || (*first == b'\n' && rest.first() != Some(&b' ')) {
            break;
        }
        value = rest;
    }
    while let [rest @ .., last] = value {
        if !is_space(*last) {
            break;
        }
        value = rest;
    }
    value
}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// How many bytes stand before the first that no name holds: a colon, white space, a control character or one outside
/// ASCII. Looks at eight bytes at once; a word's lowest byte is the first in the file.
#[inline]
fn name_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 0xff;
    const TOPS: u64 = ONES * 0x80;
    let mut length = 0;
    while let Some((chunk, _)) = bytes[length..].split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        // Each term has a top bit for every byte that it looks for, and below the first such bit no other: a borrow
        // or carry only goes upwards.
        let colon = word ^ (ONES * u64::from(b':'));
        let colon = colon.wrapping_sub(ONES) & !colon;
        let blank = word.wrapping_sub(ONES * 0x21) & !word;
        let delete = word ^ (ONES * 0x7f);
        let delete = delete.wrapping_sub(ONES) & !delete;
        let found = (colon | blank | delete | word) & TOPS;
        if found != 0 {
            return length + found.trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    let is_name = |byte: &&u8| matches!(byte, 0x21..0x7f) && **byte != b':';
    length + bytes[length..].iter().take_while(is_name).count()
}

/// Finds a field name for the second time. A slot holds the stanza's number and the field's, so that nothing needs
/// clearing between stanzas.
struct Seen {
    slots: Box<[(u32, u32)]>,
    stanza: u32,
}

impl Seen {
    const SLOTS: usize = 4 * MAX_FIELDS;

    fn new() -> Self {
        Self {
            slots: vec![(0, 0); Self::SLOTS].into(),
            stanza: 0,
        }
    }

    fn begin_stanza(&mut self) {
        self.stanza = self.stanza.checked_add(1).unwrap_or_else(|| {
            self.slots.fill((0, 0));
            1
        });
    }

    /// Whether one of the fields has this name; remembers it as the name of the field that comes next.
    #[inline]
    fn is_second(&mut self, fields: &[Field<'_>], name: &[u8]) -> bool {
        let letter = |at: usize| usize::from(name[at] | 0x20);
        let mut slot =
            letter(0) * 7 + letter(name.len() / 2) * 37 + letter(name.len() - 1) * 211 + name.len() * 131;
        loop {
            let entry = &mut self.slots[slot % Self::SLOTS];
            if entry.0 != self.stanza {
                *entry = (self.stanza, fields.len() as u32);
                return false;
            }
            if fields[entry.1 as usize].name.eq_ignore_ascii_case(name) {
                return true;
            }
            slot += 1;
        }
    }
}
