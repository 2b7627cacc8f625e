//! The one route of agents: an envelope in, an envelope out. What is in them is the matter of `agents`.

use super::gate::{Gate, Room};
use super::paced::{PATIENCE, earned};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};

/// Where agents send their envelopes, by POST.
pub const PATH: &str = "/agent/v1/exchange";

/// The media type of an envelope.
pub const ENVELOPE: &str = "application/vnd.patchyard.envelope";
/// The media type of a refusal.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// What an envelope may have around its body, in bytes.
const AROUND_BODY: usize = 4096;
/// The most bytes of a request.
pub const MOST_BYTES: usize = protocol::limits::BODY_BYTES + AROUND_BODY;
/// Why a request is not answered with an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Not POST.
    Method,
    /// Longer than any envelope.
    TooLarge,
    /// Slower than the minimum rate.
    TooSlow,
    /// Too much is at work.
    Busy,
    /// The connection broke, or the framing is malformed.
    Broken,
}

/// A body that is being read, within its limits: size, pace, and what all bodies together may take.
#[derive(Debug)]
pub struct Reading<'a> {
    gate: &'a Gate,
    room: Room,
    bytes: Vec<u8>,
    begun: Instant,
}

impl<'a> Reading<'a> {
    /// A body that begins with these bytes.
    ///
    /// # Errors
    /// As [`Reading::take`].
    pub fn of(bytes: Vec<u8>, gate: &'a Gate) -> Result<Self, Refusal> {
        let mut room = Room::default();
        match room.grow_to(gate, bytes.len()) {
            true => Ok(Self {
                gate,
                room,
                bytes,
                begun: Instant::now(),
            }),
            false => Err(Refusal::Busy),
        }
    }

    /// Until when the next bytes have to come.
    pub fn deadline(&self) -> Instant {
        self.begun + PATIENCE + earned(self.bytes.len())
    }

    /// Takes more of it.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`], or [`Refusal::Busy`] where all bodies together are too large.
    pub fn take(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        let length = self.bytes.len() + piece.len();
        if length > MOST_BYTES {
            return Err(Refusal::TooLarge);
        }
        if !self.room.grow_to(self.gate, length) {
            return Err(Refusal::Busy);
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// How many bytes were taken.
    pub fn bytes_taken(&self) -> usize {
        self.bytes.len()
    }

    /// What was taken, and the room that it takes.
    pub fn into_parts(self) -> (Vec<u8>, Room) {
        (self.bytes, self.room)
    }
}

/// Reads the whole body.
pub async fn read_body(mut body: Incoming, gate: &Gate) -> Result<Reading<'_>, Refusal> {
    if body.size_hint().lower() > MOST_BYTES as u64 {
        return Err(Refusal::TooLarge);
    }
    let mut reading = Reading::of(Vec::new(), gate)?;
    loop {
        let frame = match timeout_at(reading.deadline(), body.frame()).await {
            Err(_elapsed) => return Err(Refusal::TooSlow),
            Ok(None) => return Ok(reading),
            Ok(Some(Err(_broken))) => return Err(Refusal::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Ok(piece) = frame.into_data() {
            reading.take(&piece)?;
        }
    }
}

/// An envelope as an answer.
pub fn envelope(bytes: Vec<u8>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(bytes.into()));
    let envelope = HeaderValue::from_static(ENVELOPE);
    answer.headers_mut().insert(CONTENT_TYPE, envelope);
    answer
}

/// How a refusal is told: a status and a sentence, because whoever gets it may be no agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// The status.
    pub status: StatusCode,
    /// For people.
    pub sentence: &'static str,
    /// When to come again.
    pub retry_after_seconds: Option<u32>,
}

impl Refusal {
    /// How it is told.
    pub fn said(self, gate: &Gate) -> Said {
        let (status, sentence) = match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "Agents send envelopes here, by POST.\n",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "No envelope is that long. Send fewer documents at a time.\n",
            ),
            Self::TooSlow => (
                StatusCode::REQUEST_TIMEOUT,
                "The request came too slowly. Send it again.\n",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The server is busy. Come again after the time in Retry-After.\n",
            ),
            Self::Broken => (StatusCode::BAD_REQUEST, "The request is malformed.\n"),
        };
        Said {
            status,
            sentence,
            retry_after_seconds: (self == Self::Busy).then(|| gate.retry_after_seconds()),
        }
    }
}

/// A refusal as an answer.
pub fn refused(said: Said) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(said.sentence));
    *answer.status_mut() = said.status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
    if let Some(seconds) = said.retry_after_seconds {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// Whether a request is one of agents.
pub fn is_ours<B>(request: &Request<B>) -> bool {
    request.uri().path() == PATH
}
