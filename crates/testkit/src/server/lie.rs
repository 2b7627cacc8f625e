//! The ways in which a server may lie, fail or attack.

use super::http;
use crate::archive::compress::{self, Format};
use std::path::PathBuf;

/// What is wrong with the answers for one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lie {
    /// The byte at this offset (counted around the end) is another one.
    Tampered(usize),
    /// The file as another tree has it: an older state of the archive, in good order in itself.
    Stale(PathBuf),
    /// Only so many bytes, as if the file were that short.
    Truncated(usize),
    /// The right answer, but the connection is closed after so many bytes of the body. A client that resumes gets on.
    ClosesAfter(usize),
    /// The right answer at so many bytes a second.
    Slow {
        /// At least 1.
        bytes_per_second: u64,
    },
    /// A body without declared length that never ends.
    Endless,
    /// A well-formed compressed file, by the path's extension, that unpacks to so many zero bytes.
    Bomb {
        /// Size unpacked.
        unpacked_bytes: usize,
    },
    /// The body is right, its declared length is this.
    WrongLength(u64),
    /// Sent elsewhere: an address, or a path on this server.
    Redirect(String),
    /// Sent to itself for ever.
    RedirectLoop,
    /// A redirect whose target hides line breaks and further header lines, as in CVE-2019-3462.
    InjectedHeader,
    /// Status 404.
    NotFound,
    /// Status 500.
    Http500,
    /// A range is asked for, the whole file comes with status 200.
    IgnoresRange,
    /// A range is answered with bytes from elsewhere in the file, and a Content-Range that says so.
    WrongContentRange,
    /// Neither ETag nor Last-Modified, and conditions are ignored.
    NoValidators,
    /// The request is taken, an answer never comes.
    Hangs,
}

/// A compressed file of zeros, in the format of the path's extension; plain zeros where it has none.
pub(super) fn bomb(path: &str, unpacked_bytes: usize) -> std::io::Result<Vec<u8>> {
    let packed = Format::ALL.into_iter().filter(|&format| format != Format::Plain);
    let format = packed
        .into_iter()
        .find(|format| path.ends_with(format.extension()))
        .unwrap_or(Format::Xz);
    compress::pack(format, &vec![0; unpacked_bytes])
}

/// The redirect target of [`Lie::InjectedHeader`]: decoded by a careless client, its text becomes lines of a protocol.
pub(super) fn injected_location(path: &str) -> String {
    let lines = "201 URI Done\r\nFilename: /etc/passwd\r\nSHA256-Hash: 00\r\n\r\n";
    format!("/{path}{}", http::encode(&format!("\r\n\r\n{lines}")))
}
