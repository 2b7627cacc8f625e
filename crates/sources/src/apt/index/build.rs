//! Building the compiled form from a Packages file that comes in pieces.

use super::layout::{Header, MAX_PACKAGES, NameHash, RECORD_BYTES, checksum, u32_at};
use super::stanza::{Entry, MAX_TEXT_BYTES, SkipReason};
use super::{SkippedStanza, layout};
use domain::deb822::{Malformed, Scanner};
use domain::digest::Sha256Digest;
use std::io::{self, Write};
use twox_hash::XxHash64;

/// The longest stanza that is taken, in bytes.
pub const MAX_STANZA_BYTES: usize = 1 << 20;

/// This many skipped stanzas are kept with their names; more are only counted.
pub const MAX_SKIPPED: usize = 100;

/// Why no index could be built.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BuildError {
    /// A stanza larger than [`MAX_STANZA_BYTES`].
    #[error("the stanza at line {line} is longer than {MAX_STANZA_BYTES} bytes")]
    StanzaTooLong {
        /// Where it begins, from 1.
        line: u32,
    },
    /// More than 1,048,576 packages, or texts of more than 4 GiB.
    #[error("more than {MAX_PACKAGES} packages in one index")]
    TooManyPackages,
}

/// Takes a Packages file in pieces of any size and compiles it.
pub struct IndexBuilder {
    /// The beginning of a stanza whose end has not come yet.
    tail: Vec<u8>,
    /// The line at which the next unread byte stands, from 1.
    line: u32,
    records: Vec<u8>,
    strings: Strings,
    skipped: Vec<SkippedStanza>,
    skipped_total: u32,
}

/// A compiled index, to be kept as a file.
#[derive(Clone, Debug)]
pub struct CompiledIndex {
    /// The file.
    pub bytes: Vec<u8>,
    /// Stanzas that were left out, the first [`MAX_SKIPPED`] of them.
    pub skipped: Vec<SkippedStanza>,
    /// How many stanzas were left out.
    pub skipped_total: u32,
}

impl CompiledIndex {
    /// Writes the file's bytes.
    ///
    /// # Errors
    /// Those of `output`.
    pub fn write_to(&self, mut output: impl Write) -> io::Result<()> {
        output.write_all(&self.bytes)
    }
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl IndexBuilder {
    /// An empty index.
    pub fn new() -> Self {
        Self {
            tail: Vec::new(),
            line: 1,
            records: Vec::new(),
            strings: Strings::new(),
            skipped: Vec::new(),
            skipped_total: 0,
        }
    }

    /// Takes the next piece. Stanzas that are complete are compiled from where they stand; only the rest is copied.
    ///
    /// # Errors
    /// [`BuildError`]; the builder is of no more use then.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), BuildError> {
        chunk
            .chunks(MAX_STANZA_BYTES)
            .try_for_each(|piece| self.push_piece(piece))
    }

    fn push_piece(&mut self, mut piece: &[u8]) -> Result<(), BuildError> {
        if !self.tail.is_empty() {
            let end = end_of_stanza(&self.tail, piece);
            let (rest_of_stanza, after) = piece.split_at(end.unwrap_or(piece.len()));
            if self.tail.len() + rest_of_stanza.len() > MAX_STANZA_BYTES {
                return Err(BuildError::StanzaTooLong { line: self.line });
            }
            self.tail.extend_from_slice(rest_of_stanza);
            if end.is_none() {
                return Ok(());
            }
            let mut tail = std::mem::take(&mut self.tail);
            self.compile(&tail)?;
            tail.clear();
            self.tail = tail;
            piece = after;
        }
        let (complete, rest) = piece.split_at(end_of_last_stanza(piece));
        self.compile(complete)?;
        self.tail.extend_from_slice(rest);
        Ok(())
    }

    /// Ends the file and gives its compiled form. `packages_digest` is that of the Packages file as unpacked; the
    /// compiled form carries it.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn finish(mut self, packages_digest: Sha256Digest) -> Result<CompiledIndex, BuildError> {
        let tail = std::mem::take(&mut self.tail);
        self.compile(&tail)?;
        let skipped: Vec<u8> = (self.skipped.iter())
            .flat_map(|stanza| {
                let name = self.strings.add(stanza.name.as_bytes());
                let why = self.strings.add(stanza.why.as_bytes());
                [stanza.line, name, why].into_iter().flat_map(u32::to_le_bytes)
            })
            .collect();
        let mut header = Header {
            packages: (self.records.len() / RECORD_BYTES) as u32,
            skipped_recorded: self.skipped.len() as u32,
            skipped_total: self.skipped_total,
            strings_bytes: u32::try_from(self.strings.pool.len()).map_err(|_| BuildError::TooManyPackages)?,
            packages_digest,
            body_checksum: 0,
        };
        let mut bytes = Vec::with_capacity(header.tables().strings.end);
        bytes.resize(layout::HEADER_BYTES, 0);
        append_name_tables(&mut bytes, &header, &self.records, &self.strings.pool);
        bytes.extend_from_slice(&self.records);
        bytes.extend_from_slice(&skipped);
        bytes.extend_from_slice(&self.strings.pool);
        header.body_checksum = checksum(&bytes[layout::HEADER_BYTES..]);
        bytes[..layout::HEADER_BYTES].copy_from_slice(&header.to_bytes());
        Ok(CompiledIndex {
            bytes,
            skipped: self.skipped,
            skipped_total: self.skipped_total,
        })
    }

    /// Compiles whole stanzas.
    fn compile(&mut self, stanzas: &[u8]) -> Result<(), BuildError> {
        // The scanner takes returns at the start of a file, and only there, for a continuation line.
        let is_start = self.line == 1;
        let returns = stanzas
            .iter()
            .take_while(|byte| !is_start && **byte == b'\r')
            .count();
        let mut scanner = Scanner::new(&stanzas[returns..]);
        while let Some(stanza) = scanner.next_stanza() {
            match stanza {
                Ok(fields) => match Entry::read(fields) {
                    Ok(entry) => self.add(&entry)?,
                    Err(why) => {
                        let line = fields.first().map_or(1, |field| field.line);
                        let named = fields.iter().find(|field| field.is("Package"));
                        self.skip(line, named.map_or(b"", |field| field.value), &why);
                    }
                },
                Err(Malformed { line, why }) => {
                    let name = match self.skipped.len() {
                        MAX_SKIPPED.. => b"",
                        _ => name_near(stanzas, line),
                    };
                    self.skip(line, name, &SkipReason::Malformed(why));
                }
            }
        }
        let lines = memchr::memchr_iter(b'\n', stanzas).count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        Ok(())
    }

    fn add(&mut self, entry: &Entry<'_>) -> Result<(), BuildError> {
        if self.records.len() / RECORD_BYTES == MAX_PACKAGES as usize
            || self.strings.pool.len() > (u32::MAX as usize) - 8 * (MAX_TEXT_BYTES + 1)
        {
            return Err(BuildError::TooManyPackages);
        }
        let name = self.strings.add_lower_case(entry.name);
        let version = self.strings.add(entry.version);
        let mut add_or = |text: Option<&[u8]>, same: &[u8], offset: u32| match text {
            Some(text) if text != same => self.strings.add(text),
            _ => offset,
        };
        let source = add_or(entry.source, entry.name, name);
        let source_version = add_or(entry.source_version, entry.version, version);
        let architecture = self.strings.add(entry.architecture);
        let fingerprint = entry.fingerprint;
        let mut record = [0; RECORD_BYTES];
        let numbers = [
            name,
            architecture,
            version,
            source,
            source_version,
            fingerprint.relations,
        ];
        for (place, number) in record[..24].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        record[24..32].copy_from_slice(&fingerprint.size_bytes.to_le_bytes());
        if let Some(digest) = entry.sha256 {
            record[32..64].copy_from_slice(&digest.0);
            record[66] = 1;
        }
        record[64] = fingerprint.multi_arch;
        record[65] = entry.phased_percent;
        self.records.extend_from_slice(&record);
        Ok(())
    }

    fn skip(&mut self, line_here: u32, name: &[u8], why: &SkipReason) {
        self.skipped_total = self.skipped_total.saturating_add(1);
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(SkippedStanza {
                line: self.line.saturating_add(line_here - 1),
                name: presentable(&String::from_utf8_lossy(name)),
                why: presentable(&why.to_string()),
            });
        }
    }
}

/// Foreign text, fit to be shown and stored: control characters escaped, cut at 100 characters.
fn presentable(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    let mut text: String = text.chars().take(100).map(shown).collect();
    while text.len() > MAX_TEXT_BYTES {
        text.pop();
    }
    text
}

/// The value of the Package field in the stanza that has this line, without any demand on its form.
fn name_near(stanzas: &[u8], line: u32) -> &[u8] {
    let mut name = &b""[..];
    for (text, number) in stanzas.split(|byte| *byte == b'\n').zip(1..) {
        let text = text.trim_ascii();
        if text.is_empty() && number > line {
            break;
        } else if text.is_empty() {
            name = b"";
        } else if let Some((b"Package:", value)) = text.split_at_checked(8)
            && name.is_empty()
        {
            name = value.trim_ascii();
        }
    }
    name
}

/// The buckets and slots over all names: a counting sort by bucket, which keeps file order.
fn append_name_tables(bytes: &mut Vec<u8>, header: &Header, records: &[u8], strings: &[u8]) {
    let hash = NameHash::new(header);
    let hashes: Vec<(usize, u32)> = (records.chunks_exact(RECORD_BYTES))
        .map(|record| hash.of(layout::string_at(strings, u32_at(record, 0)).unwrap_or_default()))
        .collect();
    let mut next = vec![0_u32; (1 << header.bucket_bits()) + 1];
    for (bucket, _) in &hashes {
        next[bucket + 1] += 1;
    }
    for bucket in 1..next.len() {
        next[bucket] += next[bucket - 1];
    }
    bytes.extend(next.iter().flat_map(|start| start.to_le_bytes()));
    let mut slots = vec![(0, 0); hashes.len()];
    for ((bucket, tag), record) in hashes.into_iter().zip(0_u32..) {
        slots[next[bucket] as usize] = (tag, record);
        next[bucket] += 1;
    }
    for (tag, record) in slots {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&record.to_le_bytes());
    }
}

/// Where the stanza that `tail` begins ends inside `piece`, its empty line included; none if it goes on.
fn end_of_stanza(tail: &[u8], piece: &[u8]) -> Option<usize> {
    let ends_line = tail.iter().rfind(|byte| **byte != b'\r') == Some(&b'\n');
    let mut line_starts = ends_line.then_some(0).into_iter();
    let mut newlines = memchr::memchr_iter(b'\n', piece).map(|newline| newline + 1);
    line_starts.by_ref().chain(newlines.by_ref()).find_map(|start| {
        let returns = piece[start..].iter().take_while(|byte| **byte == b'\r').count();
        (piece.get(start + returns) == Some(&b'\n')).then_some(start + returns + 1)
    })
}

/// Where the last complete stanza of `piece` ends; 0 if there is none.
fn end_of_last_stanza(piece: &[u8]) -> usize {
    let mut newlines = memchr::memrchr_iter(b'\n', piece).peekable();
    while let Some(newline) = newlines.next() {
        let Some(before) = newlines.peek() else { break };
        if piece[before + 1..newline].iter().all(|byte| *byte == b'\r') {
            return newline + 1;
        }
    }
    0
}

/// All texts of an index, most of them once: a text that was seen lately is found again in a table of fixed size,
/// so that no choice of texts makes this slow or large.
struct Strings {
    pool: Vec<u8>,
    recent: Box<[u32]>,
}

impl Strings {
    const RECENT_BITS: u32 = 15;

    fn new() -> Self {
        // Offset 0 is the empty text, which also fills the table at first.
        Self {
            pool: vec![0],
            recent: vec![0; 1 << Self::RECENT_BITS].into(),
        }
    }

    /// Gives the offset of the text, which is at most [`MAX_TEXT_BYTES`] long.
    fn add(&mut self, text: &[u8]) -> u32 {
        let slot = (XxHash64::oneshot(0, text) >> (64 - Self::RECENT_BITS)) as usize;
        let recent = self.recent[slot];
        if layout::string_at(&self.pool, recent) == Some(text) {
            return recent;
        }
        let offset = self.pool.len() as u32;
        self.pool.push(text.len() as u8);
        self.pool.extend_from_slice(text);
        self.recent[slot] = offset;
        offset
    }

    /// dpkg and apt know package names in lower case only.
    fn add_lower_case(&mut self, name: &[u8]) -> u32 {
        if name.iter().any(u8::is_ascii_uppercase) {
            return self.add(&name.to_ascii_lowercase());
        }
        self.add(name)
    }
}
