//! Taking a clear-signed file apart (RFC 9580 §7): the signed text exactly as apt would write it out, and the armoured
//! signatures. Nothing is verified here and nothing may be read from the text before it is: see [`super::openpgp`].

use memchr::memchr;

/// Largest InRelease that is looked at, in bytes.
pub const MAX_INRELEASE_BYTES: usize = 1 << 20;
/// Longest line in bytes. GnuPG cuts lines at 19,995 bytes when it hashes a text; a longer one would not mean the same
/// to everyone who reads it.
pub const MAX_LINE_BYTES: usize = 16_384;

const BEGIN_MESSAGE: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
const BEGIN_SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END_SIGNATURE: &[u8] = b"-----END PGP SIGNATURE-----";

/// One clear-signed text, taken apart. Not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClearSigned<'file> {
    text: Vec<u8>,
    digests: Vec<DigestName>,
    signature: &'file [u8],
}

/// A digest as the `Hash` header names it (RFC 9580 §9.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestName {
    /// `MD5`.
    Md5,
    /// `SHA1`.
    Sha1,
    /// `RIPEMD160`.
    Ripemd160,
    /// `SHA224`.
    Sha224,
    /// `SHA256`.
    Sha256,
    /// `SHA384`.
    Sha384,
    /// `SHA512`.
    Sha512,
}

/// Why a file is not exactly one clear-signed text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClearSignError {
    /// Larger than [`MAX_INRELEASE_BYTES`].
    #[error("it has {size_bytes} bytes, more than the {MAX_INRELEASE_BYTES} allowed")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
    },
    /// The first line does not begin a signed message: unsigned, or text was put before it.
    #[error(
        "it does not begin with {}: a captive portal or a proxy may have answered instead",
        "-----BEGIN PGP SIGNED MESSAGE-----"
    )]
    NotAtStart,
    /// A header other than `Hash`, or one that names an unknown digest.
    #[error("line {line} is no header of a signed text; only Hash with known digests is allowed")]
    Header {
        /// The line, from 1.
        line: usize,
    },
    /// No `Hash` header, which meant MD5 once.
    #[error("it has no Hash header")]
    NoHashHeader,
    /// A NUL byte.
    #[error("line {line} contains a NUL byte")]
    Nul {
        /// The line, from 1.
        line: usize,
    },
    /// A carriage return that does not end a line.
    #[error("line {line} contains a carriage return")]
    CarriageReturn {
        /// The line, from 1.
        line: usize,
    },
    /// Longer than [`MAX_LINE_BYTES`].
    #[error("line {line} is longer than {MAX_LINE_BYTES} bytes")]
    LineTooLong {
        /// The line, from 1.
        line: usize,
    },
    /// A line of the text begins with a dash that is not escaped: a second message, or an attempt to confuse readers.
    #[error("line {line} begins with a dash that is not escaped")]
    UnescapedDash {
        /// The line, from 1.
        line: usize,
    },
    /// A line of the text, its escape taken off, begins another OpenPGP block: no release file has one, and whoever reads
    /// the text once more would be led astray.
    #[error("line {line} hides the beginning of another OpenPGP block in the text")]
    HiddenBlock {
        /// The line, from 1.
        line: usize,
    },
    /// The signature block contains something else.
    #[error("line {line} does not belong to the signature")]
    InSignature {
        /// The line, from 1.
        line: usize,
    },
    /// Something follows the signature.
    #[error("line {line} follows the signature and is not signed")]
    AfterSignature {
        /// The line, from 1.
        line: usize,
    },
    /// The file ends early.
    #[error("it ends before its signature does: the download was cut")]
    Truncated,
}

impl<'file> ClearSigned<'file> {
    /// The signed text as apt writes it out: lines without trailing blanks and without dash escapes, joined by a newline,
    /// none after the last.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The text, without a copy.
    pub fn into_text(self) -> Vec<u8> {
        self.text
    }

    /// The text in the form that a text signature is computed over: CR LF between lines (RFC 9580 §5.2.1.2).
    pub fn canonical(&self) -> Vec<u8> {
        let mut canonical = Vec::with_capacity(self.text.len() + self.text.len() / 32);
        let mut rest = &self.text[..];
        while let Some(end) = memchr(b'\n', rest) {
            canonical.extend_from_slice(&rest[..end]);
            canonical.extend_from_slice(b"\r\n");
            rest = &rest[end + 1..];
        }
        canonical.extend_from_slice(rest);
        canonical
    }

    /// The digests that the `Hash` headers announce, at least one.
    pub fn digests(&self) -> &[DigestName] {
        &self.digests
    }

    /// The armoured signature block, from its first line to its last.
    pub fn signature(&self) -> &'file [u8] {
        self.signature
    }
}

/// Takes a clear-signed file apart. As strict as apt (`SplitClearSignedFile`) and stricter: one signature block, no
/// header but `Hash`, no line that programs may read in different ways.
pub fn split(file: &[u8]) -> Result<ClearSigned<'_>, ClearSignError> {
    if file.len() > MAX_INRELEASE_BYTES {
        return Err(ClearSignError::TooLarge {
            size_bytes: file.len(),
        });
    }
    let mut lines = Lines {
        file,
        position: 0,
        number: 0,
    };
    match lines.next()? {
        Some(line) if line.content == BEGIN_MESSAGE => {}
        _ => return Err(ClearSignError::NotAtStart),
    }
    let digests = headers(&mut lines)?;
    let (text, start) = message(&mut lines)?;
    let end = signature(&mut lines)?;
    Ok(ClearSigned {
        text,
        digests,
        signature: &file[start..end],
    })
}

fn headers(lines: &mut Lines<'_>) -> Result<Vec<DigestName>, ClearSignError> {
    let mut digests = Vec::new();
    loop {
        let line = lines.expect()?;
        if line.content.is_empty() {
            break;
        }
        let names = line.content.strip_prefix(b"Hash: ").and_then(digest_names);
        digests.extend(names.ok_or(ClearSignError::Header { line: line.number })?);
    }
    if digests.is_empty() {
        Err(ClearSignError::NoHashHeader)
    } else {
        Ok(digests)
    }
}

fn digest_names(list: &[u8]) -> Option<Vec<DigestName>> {
    let name = |name: &[u8]| match name.trim_ascii() {
        b"MD5" => Some(DigestName::Md5),
        b"SHA1" => Some(DigestName::Sha1),
        b"RIPEMD160" => Some(DigestName::Ripemd160),
        b"SHA224" => Some(DigestName::Sha224),
        b"SHA256" => Some(DigestName::Sha256),
        b"SHA384" => Some(DigestName::Sha384),
        b"SHA512" => Some(DigestName::Sha512),
        _ => None,
    };
    list.split(|byte| *byte == b',').map(name).collect()
}

/// The text, and where the signature block begins.
fn message(lines: &mut Lines<'_>) -> Result<(Vec<u8>, usize), ClearSignError> {
    let mut text = Vec::with_capacity(lines.file.len());
    let mut is_first = true;
    loop {
        let line = lines.expect()?;
        if line.content == BEGIN_SIGNATURE {
            return Ok((text, line.start));
        }
        let content = match line.content.strip_prefix(b"- ") {
            Some(escaped) if escaped.starts_with(b"-----BEGIN PGP") => {
                return Err(ClearSignError::HiddenBlock { line: line.number });
            }
            Some(escaped) => escaped,
            None if line.content.starts_with(b"-") => {
                return Err(ClearSignError::UnescapedDash { line: line.number });
            }
            None => line.content,
        };
        if !is_first {
            text.push(b'\n');
        }
        text.extend_from_slice(content);
        is_first = false;
    }
}

/// Where the signature block ends, which must be the end of the file.
fn signature(lines: &mut Lines<'_>) -> Result<usize, ClearSignError> {
    loop {
        let line = lines.expect()?;
        if line.content == END_SIGNATURE {
            break;
        }
        if line.content.starts_with(b"-") {
            return Err(ClearSignError::InSignature { line: line.number });
        }
    }
    let end = lines.position;
    match lines.next()? {
        Some(line) => Err(ClearSignError::AfterSignature { line: line.number }),
        None => Ok(end),
    }
}

struct Lines<'file> {
    file: &'file [u8],
    position: usize,
    number: usize,
}

struct Line<'file> {
    /// Without the line's end and the blanks before it.
    content: &'file [u8],
    start: usize,
    number: usize,
}

impl<'file> Lines<'file> {
    fn expect(&mut self) -> Result<Line<'file>, ClearSignError> {
        self.next()?.ok_or(ClearSignError::Truncated)
    }

    fn next(&mut self) -> Result<Option<Line<'file>>, ClearSignError> {
        let start = self.position;
        let rest = &self.file[start..];
        if rest.is_empty() {
            return Ok(None);
        }
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        self.position = self.file.len().min(start + length + 1);
        self.number += 1;
        let line = self.number;
        if length > MAX_LINE_BYTES {
            return Err(ClearSignError::LineTooLong { line });
        }
        let content = rest[..length].strip_suffix(b"\r").unwrap_or(&rest[..length]);
        if memchr(b'\r', content).is_some() {
            return Err(ClearSignError::CarriageReturn { line });
        }
        if memchr(0, content).is_some() {
            return Err(ClearSignError::Nul { line });
        }
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let kept = content
            .iter()
            .rposition(|byte| !blank(byte))
            .map_or(0, |last| last + 1);
        Ok(Some(Line {
            content: &content[..kept],
            start,
            number: line,
        }))
    }
}
