//! ASCII armour (RFC 9580 §6), read strictly: what is not armour is an error, never skipped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Why a text is not ASCII armour of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    /// A line outside of any block.
    #[error("line {line} of it stands outside of the armour")]
    Outside {
        /// The line, from 1.
        line: usize,
    },
    /// A header that no program writes.
    #[error("line {line} of it is no armour header")]
    Header {
        /// The line, from 1.
        line: usize,
    },
    /// A block without its end.
    #[error("its armour has no end: the file was cut")]
    Unclosed,
    /// Data that is not base64.
    #[error("its armour is not base64")]
    NotBase64,
    /// A checksum that does not fit.
    #[error("its armour's checksum does not fit: the file was damaged")]
    Checksum,
    /// No block at all.
    #[error("it contains no armour")]
    Nothing,
    /// More than one block where one was expected.
    #[error("it contains more than one armoured block")]
    Second,
}

/// The content of all blocks with this label, such as `SIGNATURE`. Blank lines may stand between blocks, nothing else.
pub(crate) fn decode_all(text: &[u8], label: &str) -> Result<Vec<Vec<u8>>, ArmorError> {
    let begin = format!("-----BEGIN PGP {label}-----").into_bytes();
    let end = format!("-----END PGP {label}-----").into_bytes();
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end));
    while let Some((line, content)) = lines.next() {
        if content.is_empty() {
            continue;
        }
        if content != begin {
            return Err(ArmorError::Outside { line });
        }
        skip_headers(&mut lines)?;
        let mut digits = Vec::new();
        let mut checksum = None;
        loop {
            let (_, content) = lines.next().ok_or(ArmorError::Unclosed)?;
            match content.strip_prefix(b"=") {
                _ if content == end => break,
                _ if checksum.is_some() => return Err(ArmorError::NotBase64),
                Some(sum) if sum.len() == 4 => checksum = Some(base64(sum)?),
                _ => digits.extend_from_slice(content),
            }
        }
        let block = base64(&digits)?;
        if checksum.is_some_and(|sum| sum != crc24(&block).to_be_bytes()[1..]) {
            return Err(ArmorError::Checksum);
        }
        blocks.push(block);
    }
    if blocks.is_empty() {
        Err(ArmorError::Nothing)
    } else {
        Ok(blocks)
    }
}

/// The content of the only block.
pub(crate) fn decode_one(text: &[u8], label: &str) -> Result<Vec<u8>, ArmorError> {
    let mut blocks = decode_all(text, label)?;
    let block = blocks.pop().ok_or(ArmorError::Nothing)?;
    if blocks.is_empty() {
        Ok(block)
    } else {
        Err(ArmorError::Second)
    }
}

fn skip_headers<'text>(lines: &mut impl Iterator<Item = (usize, &'text [u8])>) -> Result<(), ArmorError> {
    const KNOWN: [&[u8]; 5] = [b"Version:", b"Comment:", b"MessageID:", b"Hash:", b"Charset:"];
    for (line, content) in lines {
        if content.is_empty() {
            return Ok(());
        }
        if !KNOWN.iter().any(|name| content.starts_with(name)) {
            return Err(ArmorError::Header { line });
        }
    }
    Err(ArmorError::Unclosed)
}

fn base64(digits: &[u8]) -> Result<Vec<u8>, ArmorError> {
    STANDARD.decode(digits).map_err(|_| ArmorError::NotBase64)
}

/// The checksum of RFC 9580 §6.1.1.
fn crc24(bytes: &[u8]) -> u32 {
    let step = |crc: u32| {
        if crc & 0x80_0000 == 0 {
            crc << 1
        } else {
            crc << 1 ^ 0x86_4cfb
        }
    };
    bytes.iter().fold(0xb7_04ce, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 16, |crc, _| step(crc)) & 0xff_ffff
    })
}
