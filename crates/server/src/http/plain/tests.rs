//! What is taken for a plain exchange is what the library of all HTTP takes it for, and everything else is left to it.

use super::*;
use crate::clock::SeededChance;
use crate::settings::Limits;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::oneshot;

const IDLE: Duration = Duration::from_secs(75);

/// Answers each body with its length, or holds it until it is told to answer.
struct Echo {
    gate: Gate,
    held: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Echo {
    fn new() -> Self {
        Self {
            gate: Gate::new(&Limits::default(), Arc::new(SeededChance::new(1))),
            held: Mutex::new(None),
        }
    }
}

impl Answers for Echo {
    fn gate(&self) -> &Gate {
        &self.gate
    }

    fn refused(&self, refusal: Refusal) -> Said {
        refusal.said(&self.gate)
    }

    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn exchange(&self, body: Reading<'_>) -> Result<Begun, Refusal> {
        let (bytes, _room) = body.into_parts();
        let answer = format!("{} bytes", bytes.len()).into_bytes();
        let held = self.held.lock().expect("not poisoned").take();
        Ok(match held {
            None => Begun::Answered(answer),
            Some(until) => Begun::Held(Box::pin(async move {
                let _told = until.await;
                answer
            })),
        })
    }
}

fn request(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A connection that is served: the far end, and what becomes of it.
struct Served {
    far: DuplexStream,
    left: tokio::task::JoinHandle<io::Result<Left>>,
    stop: watch::Sender<bool>,
}

fn serve_with(echo: Echo) -> Served {
    let (near, far) = duplex(1 << 20);
    let (stop, mut stopped) = watch::channel(false);
    let left = tokio::spawn(async move {
        let mut near = BufReader::new(near);
        serve(&echo, &mut near, IDLE, &mut stopped).await
    });
    Served { far, left, stop }
}

impl Served {
    async fn left(self) -> Left {
        let left = self.left.await.expect("it ends");
        left.expect("the connection holds")
    }

    /// The next answer: its head and its body.
    async fn answer(&mut self) -> (String, Vec<u8>) {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .and_then(|length| length.parse().ok())
                    .expect("a length");
                let mut body = vec![0; length];
                self.far.read_exact(&mut body).await.expect("a body");
                return (head, body);
            }
            bytes.push(self.far.read_u8().await.expect("a head"));
        }
    }
}

#[tokio::test]
async fn plain_exchanges_are_answered_one_after_the_other_however_they_are_cut() {
    let mut served = serve_with(Echo::new());
    for size in [0, 5, 100_000] {
        served
            .far
            .write_all(&request(&vec![7; size]))
            .await
            .expect("sent");
        let (head, body) = served.answer().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/vnd.patchyard.envelope\r\n"));
        assert!(
            head.ends_with("\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT"),
            "{head}"
        );
        assert_eq!(body, format!("{size} bytes").into_bytes());
    }
    for byte in request(b"in pieces") {
        served.far.write_all(&[byte]).await.expect("sent");
        tokio::task::yield_now().await;
    }
    assert_eq!(served.answer().await.1, b"9 bytes");
    served.far.shutdown().await.expect("it is said");
    assert_eq!(served.left().await, Left::Done);
}

/// Heads that are no plain exchange, each for one reason.
const OTHER: [&str; 19] = [
    "GET /agent/v1/exchange HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /agent/v1/exchange HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
    "POST /agent/v1/exchange?a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    "POST  /agent/v1/exchange HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    "POST /agent/v1/exchange HTTP/1.1\nContent-Length: 1\n\nx",
    "POST /agent/v1/exchange HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\nx",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: \r\n\r\n",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    "POST /agent/v1/exchange HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: 1\r\ntransfer-encoding: identity\r\n\r\nx",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length: 1\r\nUpgrade: h2c\r\n\r\nx",
    "POST /agent/v1/exchange HTTP/1.1\r\nContent-Length : 1\r\n\r\nx",
];

#[tokio::test]
async fn what_is_not_exactly_plain_is_handed_over_with_every_byte() {
    for head in OTHER {
        let mut served = serve_with(Echo::new());
        served.far.write_all(head.as_bytes()).await.expect("sent");
        assert_eq!(served.left().await, Left::Other(head.into()), "{head}");
    }
    let two = request(b"one").repeat(2);
    let mut served = serve_with(Echo::new());
    served.far.write_all(&two).await.expect("sent");
    assert_eq!(
        served.left().await,
        Left::Other(two),
        "who does not wait for answers"
    );
    let endless = format!("POST {PATH} HTTP/1.1\r\nX: {}", "x".repeat(HEAD_BYTES));
    let mut served = serve_with(Echo::new());
    served.far.write_all(endless.as_bytes()).await.expect("sent");
    assert_eq!(served.left().await, Left::Other(endless.into()));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_long_or_too_slow_is_refused_and_nothing_follows() {
    let mut served = serve_with(Echo::new());
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nContent-Length: {}\r\n\r\n",
        MOST_BYTES + 1
    );
    served.far.write_all(head.as_bytes()).await.expect("sent");
    let (head, body) = served.answer().await;
    assert!(head.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    assert!(body.starts_with(b"No envelope is that long."));
    assert_eq!(served.left().await, Left::Done);

    let mut served = serve_with(Echo::new());
    let whole = request(&[0; 100]);
    served
        .far
        .write_all(&whole[..whole.len() - 1])
        .await
        .expect("sent");
    let (head, _) = served.answer().await;
    assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
    assert_eq!(served.left().await, Left::Done);

    let limits = Limits {
        body_bytes: 4096,
        ..Limits::default()
    };
    let mut served = serve_with(Echo {
        gate: Gate::new(&limits, Arc::new(SeededChance::new(1))),
        ..Echo::new()
    });
    served.far.write_all(&request(&[0; 10_000])).await.expect("sent");
    let (head, _) = served.answer().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(head.contains("\r\nretry-after: "), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_is_let_go() {
    let mut served = serve_with(Echo::new());
    served.far.write_all(b"POST /agent/v1/").await.expect("sent");
    let began = Instant::now();
    assert_eq!(served.left().await, Left::Done);
    assert_eq!(began.elapsed().as_secs(), IDLE.as_secs());
}

#[tokio::test]
async fn a_held_exchange_is_forgotten_when_its_agent_goes_away_and_answered_when_not() {
    let hold = || {
        let (tell, until) = oneshot::channel();
        let echo = Echo::new();
        *echo.held.lock().expect("not poisoned") = Some(until);
        (tell, serve_with(echo))
    };
    let (mut tell, mut served) = hold();
    served.far.write_all(&request(b"held")).await.expect("sent");
    drop(served.far);
    assert_eq!(served.left.await.expect("it ends").expect("no fault"), Left::Done);
    tell.closed().await;

    let (tell, mut served) = hold();
    served.far.write_all(&request(b"held")).await.expect("sent");
    // The next request is sent before the answer came: both are answered.
    tokio::task::yield_now().await;
    served.far.write_all(&request(b"next one")).await.expect("sent");
    tokio::task::yield_now().await;
    tell.send(()).expect("it is held");
    assert_eq!(served.answer().await.1, b"4 bytes");
    assert_eq!(served.answer().await.1, b"8 bytes");
}

#[tokio::test]
async fn when_the_server_stops_what_is_at_work_is_answered_and_the_connection_closed() {
    let idle = serve_with(Echo::new());
    idle.stop.send_replace(true);
    assert_eq!(idle.left.await.expect("it ends").expect("no fault"), Left::Done);

    let (tell, until) = oneshot::channel();
    let echo = Echo::new();
    *echo.held.lock().expect("not poisoned") = Some(until);
    let mut served = serve_with(echo);
    served.far.write_all(&request(b"held")).await.expect("sent");
    tokio::task::yield_now().await;
    served.stop.send_replace(true);
    tell.send(()).expect("it is held");
    let (head, body) = served.answer().await;
    assert!(head.ends_with("connection: close"), "{head}");
    assert_eq!(body, b"4 bytes");
    assert_eq!(served.left().await, Left::Done);
}

/// What hyper takes the first request of these bytes for: method, target and body.
async fn by_hyper(bytes: &[u8]) -> Option<(String, String, Vec<u8>)> {
    let (near, mut far) = duplex(1 << 20);
    let seen = Arc::new(Mutex::new(None));
    let noting = Arc::clone(&seen);
    let service = service_fn(move |request: Request<Incoming>| {
        let noting = Arc::clone(&noting);
        async move {
            let (method, target) = (request.method().to_string(), request.uri().to_string());
            if let Ok(body) = request.into_body().collect().await {
                let mut seen = noting.lock().expect("not poisoned");
                seen.get_or_insert((method, target, body.to_bytes().to_vec()));
            }
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }
    });
    far.write_all(bytes).await.expect("there is room");
    far.shutdown().await.expect("it is said");
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(near), service);
    let _ended = connection.await;
    let mut seen = seen.lock().expect("not poisoned");
    seen.take()
}

/// Heads of fields good and bad.
fn field() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("content-length".to_owned()),
        Just("Content-Length".to_owned()),
        Just("transfer-encoding".to_owned()),
        Just("host".to_owned()),
        Just("connection".to_owned()),
        Just(" content-length".to_owned()),
        "[a-zA-Z!#$_-]{1,8}",
    ];
    let value = prop_oneof![
        Just("4".to_owned()),
        Just("04".to_owned()),
        Just(" 4 ".to_owned()),
        Just("0".to_owned()),
        Just("chunked".to_owned()),
        Just("keep-alive".to_owned()),
        "[ -~\t]{0,12}",
    ];
    let end = prop_oneof![9 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r\n ")];
    (name, value, end).prop_map(|(name, value, end)| format!("{name}:{value}{end}"))
}

proptest! {
    #[test]
    fn what_is_taken_for_plain_is_what_hyper_takes_it_for(
        length in prop_oneof![Just(""), Just("Content-Length: 4\r\n")],
        fields in proptest::collection::vec(field(), 0..4),
        body in proptest::collection::vec(any::<u8>(), 4..5),
    ) {
        let head = format!("POST {PATH} HTTP/1.1\r\n{length}{}\r\n", fields.concat());
        let bytes = [head.as_bytes(), &body].concat();
        if let Looked::Plain(head) = look(&bytes) && head.bytes + head.body <= bytes.len() {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let seen = runtime.expect("it needs nothing").block_on(by_hyper(&bytes));
            let own = bytes[head.bytes..head.bytes + head.body].to_vec();
            prop_assert_eq!(seen, Some(("POST".to_owned(), PATH.to_owned(), own)));
        }
    }

    #[test]
    fn any_bytes_are_looked_at_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let head = [format!("POST {PATH} HTTP/1.1\r\n").as_bytes(), &bytes].concat();
        for bytes in [&bytes[..], &head] {
            if let Looked::Plain(head) = look(bytes) {
                prop_assert!(head.bytes <= bytes.len());
            }
        }
    }
}
