//! The one form of JSON: what is written again from what was read has to be the same bytes, so that a digest or a signature
//! names what is said and not one of its spellings.

use super::DocumentError;
use crate::limits;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("documents have text as keys and no floating numbers")
}

pub(crate) fn parse<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    limits::within("bytes of a document", bytes.len(), limits::BODY_BYTES)?;
    limits::strings_within(bytes)?;
    parse_within(bytes)
}

/// The same for what has limits of its own, and strings in it that are files themselves.
pub(crate) fn parse_within<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, DocumentError> {
    let value = serde_json::from_slice(bytes).map_err(DocumentError::Malformed)?;
    let mut compared = Compared { rest: bytes };
    match serde_json::to_writer(&mut compared, &value) {
        Ok(()) if compared.rest.is_empty() => Ok(value),
        _ => Err(DocumentError::NotCanonical(
            "its text is not the one that it is written as",
        )),
    }
}

/// A writer that only compares what it is given with what it has.
struct Compared<'a> {
    rest: &'a [u8],
}

impl std::io::Write for Compared<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => return Err(std::io::ErrorKind::InvalidData.into()),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
