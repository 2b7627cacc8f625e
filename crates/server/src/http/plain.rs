//! Exchanges in their plain form: what agents send needs nothing of HTTP/1.1 (RFC 9112) but a length, so it is read straight
//! from the connection, which then costs no buffers while it is idle or held. Whatever is not exactly that form is handed,
//! with what was read of it, to the library that knows all of HTTP.

use super::agent::{self, MOST_BYTES, PATH, Reading, Refusal, Said};
use super::gate::Gate;
use crate::start::told_to_stop;
use hyper::StatusCode;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use std::io;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The most bytes of a head that is read here.
const HEAD_BYTES: usize = 8 * 1024;
/// The most header fields of one.
const FIELDS: usize = 32;

/// Who answers plain exchanges.
pub(super) trait Answers {
    /// The bounds of the listener.
    fn gate(&self) -> &Gate;

    /// How a refusal is told.
    fn refused(&self, refusal: Refusal) -> Said;

    /// The time of day, for the answers' heads.
    fn now(&self) -> Timestamp;

    /// Answers one body, or leaves it waiting for the future.
    fn exchange(&self, body: Reading<'_>) -> impl Future<Output = Result<Begun, Refusal>> + Send;
}

/// What became of an exchange.
pub(super) enum Begun {
    /// It is answered.
    Answered(Vec<u8>),
    /// It will be.
    Held(std::pin::Pin<Box<dyn Future<Output = Vec<u8>> + Send>>),
}

/// How reading plain exchanges ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The connection is done.
    Done,
    /// Something else follows, of which this was read.
    Other(Vec<u8>),
}

/// Answers plain exchanges until the other end is done, says something else, is silent for `idle`, or the server stops.
///
/// # Errors
/// Whatever breaks the connection.
pub(super) async fn serve<S>(
    door: &impl Answers,
    stream: &mut S,
    idle: Duration,
    stop: &mut watch::Receiver<bool>,
) -> io::Result<Left>
where
    S: AsyncBufRead + AsyncWrite + Unpin,
{
    loop {
        let (mut bytes, head) = {
            let head = pin!(read_head(stream, idle));
            tokio::select! {
                head = head => match head? {
                    // More than the body follows for who does not wait for answers, which agents do.
                    Some((bytes, Some(head))) if bytes.len() <= head.bytes + head.body => (bytes, head),
                    Some((bytes, _)) => return Ok(Left::Other(bytes)),
                    None => return Ok(Left::Done),
                },
                () = told_to_stop(stop) => return Ok(Left::Done),
            }
        };
        bytes.drain(..head.bytes);
        let answer = match read_body(door, stream, bytes, head.body).await {
            Ok(body) => match door.exchange(body).await {
                Ok(Begun::Answered(answer)) => Ok(answer),
                Ok(Begun::Held(held)) => match unless_gone(stream, held).await? {
                    Some(answer) => Ok(answer),
                    None => return Ok(Left::Done),
                },
                Err(refusal) => Err((refusal, After::Open)),
            },
            // What is left of the body is not read: nothing can follow.
            Err(refusal) => Err((refusal, After::Closed)),
        };
        let after = match &answer {
            Err((_, After::Closed)) => After::Closed,
            _ if *stop.borrow() => After::Closed,
            _ => After::Open,
        };
        let answer = match answer {
            Ok(envelope) => answer_of(
                StatusCode::OK,
                agent::ENVELOPE,
                None,
                &envelope,
                after,
                door.now(),
            ),
            Err((refusal, _)) => {
                let said = door.refused(refusal);
                let text = said.sentence.as_bytes();
                answer_of(
                    said.status,
                    agent::TEXT,
                    said.retry_after_seconds,
                    text,
                    after,
                    door.now(),
                )
            }
        };
        stream.write_all(&answer).await?;
        stream.flush().await?;
        if after == After::Closed {
            return Ok(Left::Done);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Open,
    Closed,
}

/// The head of a plain exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    /// Its own length.
    bytes: usize,
    /// The length of the body that follows.
    body: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    Plain(Head),
    /// More has to come.
    Partial,
    Other,
}

/// Reads up to the end of a head: all that was read, and the head if it is a plain one. `None` where nothing more comes.
async fn read_head<S>(stream: &mut S, idle: Duration) -> io::Result<Option<(Vec<u8>, Option<Head>)>>
where
    S: AsyncBufRead + Unpin,
{
    let deadline = Instant::now() + idle;
    let mut bytes = Vec::new();
    loop {
        let Ok(filled) = timeout_at(deadline, stream.fill_buf()).await else {
            return Ok(None);
        };
        let piece = filled?;
        if piece.is_empty() {
            return Ok(None);
        }
        bytes.extend_from_slice(piece);
        let taken = piece.len();
        stream.consume(taken);
        match look(&bytes) {
            Looked::Plain(head) => return Ok(Some((bytes, Some(head)))),
            Looked::Other => return Ok(Some((bytes, None))),
            Looked::Partial if bytes.len() > HEAD_BYTES => return Ok(Some((bytes, None))),
            Looked::Partial => {}
        }
    }
}

/// Whether these bytes begin as a plain exchange: its very request line, and among the fields one length, nothing that
/// frames the body otherwise, and nothing that asks for more than an answer.
fn look(bytes: &[u8]) -> Looked {
    const LINE: [&[u8]; 3] = [b"POST ", PATH.as_bytes(), b" HTTP/1.1\r\n"];
    let mut rest = bytes;
    for part in LINE {
        let common = rest.len().min(part.len());
        if rest[..common] != part[..common] {
            return Looked::Other;
        }
        if rest.len() < part.len() {
            return Looked::Partial;
        }
        rest = &rest[part.len()..];
    }
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let (length, fields) = match httparse::parse_headers(rest, &mut fields) {
        Ok(httparse::Status::Complete(parsed)) => parsed,
        Ok(httparse::Status::Partial) => return Looked::Partial,
        Err(_) => return Looked::Other,
    };
    let mut body = None;
    for field in fields {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            match length_of(field.value) {
                Some(length) if body.is_none() => body = Some(length),
                _ => return Looked::Other,
            }
        } else if is("connection") {
            if !field.value.eq_ignore_ascii_case(b"keep-alive") {
                return Looked::Other;
            }
        } else if is("transfer-encoding") || is("expect") || is("upgrade") || is("te") || is("trailer") {
            return Looked::Other;
        }
    }
    match body {
        Some(body) => Looked::Plain(Head {
            bytes: bytes.len() - rest.len() + length,
            body,
        }),
        None => Looked::Other,
    }
}

/// A length as RFC 9110, section 8.6, has it: digits only.
fn length_of(value: &[u8]) -> Option<usize> {
    if value.is_empty() || value.len() > 10 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Reads a body of this length, of which some bytes are there, within the limits of all bodies.
async fn read_body<'a, S>(
    door: &'a impl Answers,
    stream: &mut S,
    begun: Vec<u8>,
    length: usize,
) -> Result<Reading<'a>, Refusal>
where
    S: AsyncBufRead + Unpin,
{
    if length > MOST_BYTES {
        return Err(Refusal::TooLarge);
    }
    let mut reading = Reading::of(begun, door.gate())?;
    while reading.bytes_taken() < length {
        let deadline = reading.deadline();
        let Ok(filled) = timeout_at(deadline, stream.fill_buf()).await else {
            return Err(Refusal::TooSlow);
        };
        let piece = filled.map_err(|_broken| Refusal::Broken)?;
        let taken = piece.len().min(length - reading.bytes_taken());
        if taken == 0 {
            return Err(Refusal::Broken);
        }
        reading.take(&piece[..taken])?;
        stream.consume(taken);
    }
    Ok(reading)
}

/// The answer, or `None` if the other end goes away before it is there: nobody waits for somebody who is gone.
async fn unless_gone<S>(stream: &mut S, held: impl Future<Output = Vec<u8>>) -> io::Result<Option<Vec<u8>>>
where
    S: AsyncBufRead + Unpin,
{
    let mut held = pin!(held);
    tokio::select! {
        biased;
        answer = &mut held => return Ok(Some(answer)),
        more = stream.fill_buf() => if more?.is_empty() {
            return Ok(None);
        }
    }
    // It has sent the next request already, so it is there.
    Ok(Some(held.await))
}

fn answer_of(
    status: StatusCode,
    media_type: &str,
    retry_after_seconds: Option<u32>,
    body: &[u8],
    after: After,
    now: Timestamp,
) -> Vec<u8> {
    use std::io::Write as _;
    const INTO_MEMORY: &str = "writing into memory does not fail";
    let mut answer = Vec::with_capacity(256 + body.len());
    let reason = status.canonical_reason().unwrap_or_default();
    write!(
        answer,
        "HTTP/1.1 {} {reason}\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n",
        status.as_u16(),
        body.len()
    )
    .expect(INTO_MEMORY);
    // A clock far outside the calendar has no date to tell (RFC 9110, section 6.6.1).
    if let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&now) {
        write!(answer, "date: {date}\r\n").expect(INTO_MEMORY);
    }
    if let Some(seconds) = retry_after_seconds {
        write!(answer, "retry-after: {seconds}\r\n").expect(INTO_MEMORY);
    }
    if after == After::Closed {
        answer.extend_from_slice(b"connection: close\r\n");
    }
    answer.extend_from_slice(b"\r\n");
    answer.extend_from_slice(body);
    answer
}

#[cfg(test)]
mod tests;
