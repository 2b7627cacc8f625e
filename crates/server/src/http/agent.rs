//! The one route of agents: an envelope in, an envelope out. What is in them is the matter of `agents`.

use super::gate::{Gate, Room};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Where agents send their envelopes, by POST.
pub const PATH: &str = "/agent/v1/exchange";

/// The media type of an envelope.
const ENVELOPE: HeaderValue = HeaderValue::from_static("application/vnd.patchyard.envelope");
/// What an envelope may have around its body, in bytes.
const AROUND_BODY: usize = 4096;
/// The most bytes of a request.
pub const MOST_BYTES: usize = protocol::limits::BODY_BYTES + AROUND_BODY;
/// How long the first bytes may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The slowest that a body may come, in bytes per second, once the patience is used up.
const SLOWEST: u64 = 10 * 1024;

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

/// Reads the whole body within its limits: size, pace, and what all bodies together may take.
pub async fn read_body(mut body: Incoming, gate: &Gate, room: &mut Room) -> Result<Vec<u8>, Refusal> {
    let announced = body.size_hint().lower();
    if announced > MOST_BYTES as u64 {
        return Err(Refusal::TooLarge);
    }
    let begun = Instant::now();
    let mut bytes = Vec::new();
    loop {
        let earned = Duration::from_millis(bytes.len() as u64 * 1000 / SLOWEST);
        let frame = match timeout_at(begun + PATIENCE + earned, body.frame()).await {
            Err(_elapsed) => return Err(Refusal::TooSlow),
            Ok(None) => return Ok(bytes),
            Ok(Some(Err(_broken))) => return Err(Refusal::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        let length = bytes.len() + piece.len();
        if length > MOST_BYTES {
            return Err(Refusal::TooLarge);
        }
        if !room.grow_to(gate, length) {
            return Err(Refusal::Busy);
        }
        bytes.extend_from_slice(&piece);
    }
}

/// An envelope as an answer.
pub fn envelope(bytes: Vec<u8>) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(bytes.into()));
    answer.headers_mut().insert(CONTENT_TYPE, ENVELOPE);
    answer
}

/// A refusal as an answer: a status and a sentence, because whoever gets it may be no agent.
pub fn refused(refusal: Refusal, gate: &Gate) -> Response<Full<Bytes>> {
    let (status, sentence) = match refusal {
        Refusal::Method => (
            StatusCode::METHOD_NOT_ALLOWED,
            "Agents send envelopes here, by POST.\n",
        ),
        Refusal::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "No envelope is that long. Send fewer documents at a time.\n",
        ),
        Refusal::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "The request came too slowly. Send it again.\n",
        ),
        Refusal::Busy => (
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is busy. Come again after the time in Retry-After.\n",
        ),
        Refusal::Broken => (StatusCode::BAD_REQUEST, "The request is malformed.\n"),
    };
    let mut answer = Response::new(Full::from(sentence));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    if refusal == Refusal::Busy {
        let seconds = HeaderValue::from(gate.retry_after_seconds());
        answer.headers_mut().insert(RETRY_AFTER, seconds);
    }
    answer
}

/// Whether a request is one of agents.
pub fn is_ours<B>(request: &Request<B>) -> bool {
    request.uri().path() == PATH
}
