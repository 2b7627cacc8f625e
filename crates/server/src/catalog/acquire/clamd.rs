//! Asking clamd about a file (clamd(8), command INSTREAM): the file in pieces over its socket, its verdict back. What it says
//! is text of another program: it is bounded, and shown as such.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use store::acquisition::ScanState;

/// How long connecting and each single read or write may take; scanning one large file takes no longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of one piece.
const PIECE_BYTES: usize = 64 << 10;
/// Bytes of an answer at most.
const ANSWER_BYTES: u64 = 1024;

/// Where clamd listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clamd {
    /// An absolute path of a socket, or `host:port`.
    address: String,
}

/// What came of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What it means.
    pub state: ScanState,
    /// What was found, or why nothing was scanned.
    pub detail: String,
    /// The scanner with its version and the date of its signatures.
    pub engine: String,
}

trait Line: Read + Write {}
impl<T: Read + Write> Line for T {}

impl Clamd {
    /// clamd at this address.
    pub fn at(address: &str) -> Self {
        Self {
            address: address.to_owned(),
        }
    }

    /// Has these bytes scanned. Whatever goes wrong is [`ScanState::NotScanned`]: only a plain OK is clean.
    pub fn scan(&self, bytes: &[u8]) -> Said {
        let not_scanned = |error: io::Error| Said {
            state: ScanState::NotScanned,
            detail: plain(&format!("clamd at {} cannot be asked: {error}", self.address)),
            engine: String::new(),
        };
        let engine = match self.ask(b"zVERSION\0", &[]) {
            Ok(engine) => engine,
            Err(error) => return not_scanned(error),
        };
        match self.ask(b"zINSTREAM\0", bytes) {
            Ok(answer) => verdict(&answer, engine),
            Err(error) => Said {
                engine,
                ..not_scanned(error)
            },
        }
    }

    fn ask(&self, command: &[u8], stream: &[u8]) -> io::Result<String> {
        let mut line = self.connect()?;
        line.write_all(command)?;
        if command.starts_with(b"zINSTREAM") {
            // clamd ends the connection early at its own limit (StreamMaxLength), with its reason: the answer says it.
            let _cut = send(&mut *line, stream);
        }
        let mut answer = Vec::new();
        line.take(ANSWER_BYTES)
            .read_to_end(&mut answer)
            .or_else(|error| {
                if answer.is_empty() {
                    Err(error)
                } else {
                    Ok(answer.len())
                }
            })?;
        let end = answer.iter().position(|byte| *byte == 0).unwrap_or(answer.len());
        match end {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(plain(&String::from_utf8_lossy(&answer[..end]))),
        }
    }

    fn connect(&self) -> io::Result<Box<dyn Line>> {
        if self.address.starts_with('/') {
            let stream = UnixStream::connect(&self.address)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            return Ok(Box::new(stream));
        }
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(Box::new(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The bytes in pieces, each with its length before it; an empty one ends them.
fn send(line: &mut dyn Line, bytes: &[u8]) -> io::Result<()> {
    for piece in bytes.chunks(PIECE_BYTES) {
        let length = u32::try_from(piece.len()).expect("a piece is small");
        line.write_all(&length.to_be_bytes())?;
        line.write_all(piece)?;
    }
    line.write_all(&0_u32.to_be_bytes())?;
    line.flush()
}

/// `stream: OK`, `stream: NAME FOUND`, or anything else, which is no verdict.
fn verdict(answer: &str, engine: String) -> Said {
    let said = answer.strip_prefix("stream: ").unwrap_or(answer).trim_end();
    let (state, detail) = match (said, said.strip_suffix(" FOUND")) {
        ("OK", _) if answer.starts_with("stream: ") => (ScanState::Clean, String::new()),
        (_, Some(found)) => (ScanState::Infected, found.to_owned()),
        _ => (ScanState::NotScanned, format!("clamd says {said}")),
    };
    Said {
        state,
        detail,
        engine,
    }
}

/// Text of another program without what would steer who reads it.
fn plain(text: &str) -> String {
    domain::text::escaped(text.trim_end()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_ok_is_clean() {
        for (answer, state, detail) in [
            ("stream: OK", ScanState::Clean, ""),
            (
                "stream: Eicar-Test-Signature FOUND",
                ScanState::Infected,
                "Eicar-Test-Signature",
            ),
            ("OK", ScanState::NotScanned, "clamd says OK"),
            ("stream: OK ERROR", ScanState::NotScanned, "clamd says OK ERROR"),
            (
                "INSTREAM size limit exceeded. ERROR",
                ScanState::NotScanned,
                "clamd says INSTREAM size limit exceeded. ERROR",
            ),
            ("", ScanState::NotScanned, "clamd says "),
        ] {
            let said = verdict(answer, String::new());
            assert_eq!((said.state, said.detail.as_str()), (state, detail), "{answer}");
        }
    }
}
