//! Files of orders for agents and relays: `GET /content/<sha256>` with a ticket, byte for byte as their publisher made them,
//! whole or in one range (RFC 9110, section 14), straight from the mapped file in pieces. A digest is the strongest of entity
//! tags: what it names never changes.

use super::limits::{Budgets, STRANGER_RATE};
use crate::Context;
use crate::agents::content::{Granted, NotGiven};
use crate::agents::content_ticket::NoTicket;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::digest::Sha256Digest;
use hyper::body::{Frame, SizeHint};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

/// Bytes that are handed to the connection at a time: it takes the next piece when it has sent this one.
const PIECE_BYTES: usize = 64 << 10;
/// When somebody may ask again for what has to be fetched first, in seconds.
const LATER_SECONDS: u32 = 10;

#[derive(Clone, Debug)]
struct Serving {
    context: Context,
    granted: Arc<Granted>,
    /// What addresses without a good ticket may still ask.
    strangers: Arc<Budgets<IpAddr>>,
}

/// The route.
pub fn routes(context: &Context) -> Router {
    let serving = Serving {
        context: context.clone(),
        granted: Arc::new(Granted::new(context)),
        strangers: Arc::new(Budgets::new(STRANGER_RATE)),
    };
    Router::new()
        .route("/content/{digest}", get(file))
        .with_state(serving)
}

async fn file(
    State(serving): State<Serving>,
    Path(digest): Path<String>,
    peer: Option<axum::Extension<ConnectInfo<SocketAddr>>>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let Ok(digest) = Sha256Digest::parse(digest.as_bytes()) else {
        return said(StatusCode::NOT_FOUND, &NotGiven::NotGranted);
    };
    let found = serving
        .granted
        .file(&serving.context, ticket(&headers), digest)
        .await;
    match found {
        Ok(mapped) => answer(&method, &headers, digest, Bytes::from_owner(Shared(mapped))),
        Err(NotGiven::Ticket(why)) => {
            let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
                peer.0.0.ip().to_canonical()
            });
            let taken = serving.strangers.take(address, serving.context.clock.now());
            match taken {
                Ok(()) => no_ticket(why),
                Err(seconds) => later(StatusCode::TOO_MANY_REQUESTS, seconds, &NotGiven::Ticket(why)),
            }
        }
        Err(why @ NotGiven::NotGranted) => said(StatusCode::NOT_FOUND, &why),
        Err(why @ NotGiven::NotHere) => later(StatusCode::SERVICE_UNAVAILABLE, LATER_SECONDS, &why),
        Err(why @ (NotGiven::Store(_) | NotGiven::Content(_))) => {
            let chain = crate::reconcile::chain(&why);
            tracing::error!(%digest, error = %chain, "A file cannot be served: {chain}.");
            later(StatusCode::SERVICE_UNAVAILABLE, LATER_SECONDS, &NotGiven::NotHere)
        }
    }
}

/// A mapped file that many answers share.
struct Shared(Arc<content::Mapped>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// What stands behind `Bearer` (RFC 6750, section 2.1); nothing where there is none.
fn ticket(headers: &HeaderMap) -> &str {
    let shown = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    shown
        .and_then(|shown| shown.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Bearer"))
        .map_or("", |(_, ticket)| ticket.trim())
}

fn said(status: StatusCode, why: &NotGiven) -> Response {
    (status, format!("{why}\n")).into_response()
}

fn no_ticket(why: NoTicket) -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (challenge, said(StatusCode::UNAUTHORIZED, &why.into())).into_response()
}

fn later(status: StatusCode, seconds: u32, why: &NotGiven) -> Response {
    ([(header::RETRY_AFTER, seconds.to_string())], said(status, why)).into_response()
}

/// The whole file, or the part of it that is asked for.
fn answer(method: &Method, headers: &HeaderMap, digest: Sha256Digest, bytes: Bytes) -> Response {
    let tag = HeaderValue::try_from(format!("\"{digest}\"")).expect("a digest is visible ASCII");
    let length = bytes.len() as u64;
    let mut answer = Response::new(Body::empty());
    let fields = answer.headers_mut();
    fields.insert(header::ETAG, tag.clone());
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    fields.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    if is_known(headers, &tag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return answer;
    }
    let part = match method == Method::GET && is_same(headers, &tag) {
        true => headers.get(header::RANGE).and_then(|asked| range(asked, length)),
        // A range is asked of GET only, and of the file that the asker has a part of (sections 14.2, 13.1.5).
        false => None,
    };
    let (status, part) = match part {
        None => (StatusCode::OK, 0..length),
        Some(Ok(part)) => (StatusCode::PARTIAL_CONTENT, part),
        Some(Err(Unsatisfiable)) => {
            *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            fields_of(&mut answer, header::CONTENT_RANGE, &format!("bytes */{length}"));
            return answer;
        }
    };
    *answer.status_mut() = status;
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        fields_of(&mut answer, header::CONTENT_RANGE, &text);
    }
    fields_of(
        &mut answer,
        header::CONTENT_LENGTH,
        &(part.end - part.start).to_string(),
    );
    if method != Method::HEAD {
        let in_memory = |at: u64| usize::try_from(at).expect("it is within a mapped file");
        let part = bytes.slice(in_memory(part.start)..in_memory(part.end));
        *answer.body_mut() = Body::new(Pieces(part));
    }
    answer
}

fn fields_of(answer: &mut Response, name: header::HeaderName, text: &str) {
    let value = HeaderValue::try_from(text).expect("numbers are visible ASCII");
    answer.headers_mut().insert(name, value);
}

/// Whether the asker has the file already (`If-None-Match`).
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let tag = tag.as_bytes();
    let mut fields = headers.get_all(header::IF_NONE_MATCH).iter();
    fields.any(|field| {
        field.as_bytes().split(|byte| *byte == b',').any(|known| {
            let known = known.trim_ascii();
            known == b"*" || known.strip_prefix(b"W/").unwrap_or(known) == tag
        })
    })
}

/// Whether a range goes on with this very file: `If-Range` names it by its tag, or is not there. A date never does.
fn is_same(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|known| known == tag)
}

/// No byte of the range is in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unsatisfiable;

/// The bytes that a `Range` field asks for; `None` where it is to be ignored: another unit, several ranges, no range at all.
fn range(asked: &HeaderValue, length: u64) -> Option<Result<Range<u64>, Unsatisfiable>> {
    let text = asked.to_str().ok()?.trim();
    let (unit, ranges) = text.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") || ranges.contains(',') {
        return None;
    }
    let (first, last) = ranges.trim().split_once('-')?;
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if last < first => return None,
        (Some(first), Some(last)) => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(count)) if first.is_empty() => length.saturating_sub(count)..length,
        _ => return None,
    };
    Some(match part.is_empty() {
        true => Err(Unsatisfiable),
        false => Ok(part),
    })
}

/// A number of digits only; one that is too large is larger than every file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// A part of a mapped file, a piece at a time, so that no connection's buffer takes all of it.
struct Pieces(Bytes);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.0.len().min(PIECE_BYTES);
        let piece = self.0.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}
