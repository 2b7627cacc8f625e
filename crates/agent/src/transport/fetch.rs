//! One file from a server, by its digest: over the connections of exchanges, from where an earlier attempt ended. Bounded in
//! size, time and pace. Whether the bytes are the right ones is seen by whoever keeps them.

use super::{ExchangeError, Transport, retry_after};
use domain::digest::Sha256Digest;
use jiff::Timestamp;
use std::io::Read;
use std::time::{Duration, Instant};
use ureq::http::{HeaderMap, HeaderValue, Response, header};

/// Where files are, by digest.
const CONTENT_PATH: &str = "/content/";
/// A server that sends less than this in a second is too slow.
const LEAST_BYTES_A_SECOND: u64 = 10 << 10;
/// Bytes that are read at once.
const AT_ONCE: usize = 64 << 10;

/// The file that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct AskedFile<'a> {
    /// SHA-256 of its bytes.
    pub sha256: Sha256Digest,
    /// How many they are at most.
    pub most_bytes: u64,
    /// How many of the first are here already.
    pub from: u64,
    /// What lets this host have it.
    pub ticket: &'a str,
}

/// Where the bytes go.
pub trait Sink {
    /// The server begins at the first byte: what is here is dropped.
    fn begin_anew(&mut self) -> std::io::Result<()>;
    /// The next bytes.
    fn take(&mut self, bytes: &[u8]) -> std::io::Result<()>;
}

/// How much came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// All.
    Whole,
    /// As much as there was time for, fast enough.
    Part,
}

/// A file that did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The way to the server, or the server's state.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The ticket is over, or for something else.
    #[error("{server} does not let this host have the file {sha256}")]
    NotAllowed {
        /// `host:port`.
        server: String,
        /// The file.
        sha256: Sha256Digest,
    },
    /// It is not there.
    #[error("{server} does not have the file {sha256}")]
    NotThere {
        /// `host:port`.
        server: String,
        /// The file.
        sha256: Sha256Digest,
    },
    /// It is longer than was said, or not the range that was asked for.
    #[error("{server} gives other bytes for {sha256} than were asked for")]
    OtherBytes {
        /// `host:port`.
        server: String,
        /// The file.
        sha256: Sha256Digest,
    },
    /// Too few bytes in too much time.
    #[error("{server} sends less than 10 KiB in a second")]
    TooSlow {
        /// `host:port`.
        server: String,
    },
    /// What came cannot be kept.
    #[error("cannot keep what was fetched")]
    Keep(#[source] std::io::Error),
}

impl Transport {
    /// Fetches a file, for at most this time. `now` is the agent's time, by which the server's certificate must be valid.
    /// What came before an error was given to the sink, and need not be asked for again.
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn fetch(
        &self,
        server: &str,
        asked: &AskedFile<'_>,
        now: Timestamp,
        limit: Duration,
        sink: &mut dyn Sink,
    ) -> Result<Came, FetchError> {
        self.clock.set(now.as_second());
        let not_allowed = || FetchError::NotAllowed {
            server: server.to_owned(),
            sha256: asked.sha256,
        };
        let ticket = HeaderValue::try_from(format!("Bearer {}", asked.ticket)).map_err(|_| not_allowed())?;
        let mut request = self
            .agent
            .get(format!("https://{server}{CONTENT_PATH}{}", asked.sha256))
            .header(header::AUTHORIZATION, ticket);
        if asked.from > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", asked.from));
        }
        let request = request
            .config()
            .timeout_recv_response(Some(self.settings.answer_limit))
            .timeout_recv_body(Some(limit))
            .build();
        let answer = request.call().map_err(|error| self.failed(server, error))?;
        let have = match answer.status().as_u16() {
            206 if is_the_rest(answer.headers(), asked) => asked.from,
            200 => {
                sink.begin_anew().map_err(FetchError::Keep)?;
                0
            }
            _ => return Err(refused(server, asked, &answer)),
        };
        self.read_file(server, asked, have, limit, answer, sink)
    }

    fn read_file(
        &self,
        server: &str,
        asked: &AskedFile<'_>,
        have: u64,
        limit: Duration,
        answer: Response<ureq::Body>,
        sink: &mut dyn Sink,
    ) -> Result<Came, FetchError> {
        let other_bytes = || FetchError::OtherBytes {
            server: server.to_owned(),
            sha256: asked.sha256,
        };
        let left = asked.most_bytes.saturating_sub(have);
        // One byte more than is left tells a file of the largest size from a longer one.
        let mut body = answer
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader()
            .take(left + 1);
        let begun = now_instant();
        let mut came = 0;
        let mut buffer = vec![0; AT_ONCE];
        loop {
            let spent = now_instant().saturating_duration_since(begun);
            if spent >= limit {
                return paced(server, came, spent);
            }
            let read = match body.read(&mut buffer) {
                Ok(read) => read,
                Err(error) => match ureq::Error::from(error) {
                    ureq::Error::Timeout(_) => return paced(server, came, limit),
                    error => return Err(self.failed(server, error).into()),
                },
            };
            if read == 0 {
                return Ok(Came::Whole);
            }
            came += read as u64;
            if came > left {
                return Err(other_bytes());
            }
            sink.take(&buffer[..read]).map_err(FetchError::Keep)?;
        }
    }
}

/// What a status other than success says.
fn refused(server: &str, asked: &AskedFile<'_>, answer: &Response<ureq::Body>) -> FetchError {
    let (server, sha256) = (server.to_owned(), asked.sha256);
    match answer.status().as_u16() {
        401 | 403 => FetchError::NotAllowed { server, sha256 },
        404 | 410 => FetchError::NotThere { server, sha256 },
        206 | 416 => FetchError::OtherBytes { server, sha256 },
        429 | 503 => FetchError::Exchange(ExchangeError::Busy {
            server,
            retry_after_seconds: retry_after(answer.headers()),
        }),
        status => FetchError::Exchange(ExchangeError::Status { server, status }),
    }
}

/// Whether a range is what was asked for: from there to the end of a file that is not too large (RFC 9110, section 14.4).
fn is_the_rest(headers: &HeaderMap, asked: &AskedFile<'_>) -> bool {
    let range = || -> Option<(u64, u64, u64)> {
        let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
        let (range, total) = range.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some((first.parse().ok()?, last.parse().ok()?, total.parse().ok()?))
    };
    asked.from > 0
        && range().is_some_and(|(first, last, total)| {
            first == asked.from && last.checked_add(1) == Some(total) && total <= asked.most_bytes
        })
}

/// A part of a file, if it came fast enough.
fn paced(server: &str, came: u64, spent: Duration) -> Result<Came, FetchError> {
    let least = u128::from(LEAST_BYTES_A_SECOND) * spent.as_millis() / 1_000;
    if u128::from(came) >= least {
        return Ok(Came::Part);
    }
    Err(FetchError::TooSlow {
        server: server.to_owned(),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge: the pace of a transfer is real time"
)]
fn now_instant() -> Instant {
    Instant::now()
}

impl FetchError {
    /// What the person can do next, as one sentence.
    pub fn next_step(&self) -> String {
        match self {
            Self::Exchange(error) => error.next_step(),
            Self::NotAllowed { .. } => {
                "nothing to do if it is rare: the next check-in brings a new ticket; otherwise see whether the deployment still runs"
                    .to_owned()
            }
            Self::NotThere { .. } | Self::OtherBytes { .. } => {
                "run `patchyard doctor` on the server, which looks into its files".to_owned()
            }
            Self::TooSlow { .. } => {
                "see what uses the network between this host and the server; the agent goes on where it was".to_owned()
            }
            Self::Keep(_) => "see whether there is room below /var/lib/patchyard-agent".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_kibibytes_a_second_are_enough_and_one_byte_less_is_not() {
        let spent = Duration::from_secs(20);
        assert_eq!(paced("s", 204_800, spent).ok(), Some(Came::Part));
        assert!(matches!(
            paced("s", 204_799, spent),
            Err(FetchError::TooSlow { .. })
        ));
    }
}
