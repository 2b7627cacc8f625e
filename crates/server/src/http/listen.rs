//! The listener: accepts connections, speaks TLS and HTTP/1.1 on them, hands requests to the agent route or to the router
//! of people and programs, and ends cleanly.

use super::agent::{self, Reading, Refusal, Said};
use super::gate::{Gate, Place};
use super::paced::Paced;
use super::plain::{self, Answers, Left};
use crate::agents::{self, Begun, Peer};
use crate::authority::tls;
use crate::context::Context;
use crate::operations::metrics::Metric;
use crate::start::told_to_stop;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

/// Connections that the kernel keeps for us to accept.
const BACKLOG: u32 = 8192;
/// How long a handshake may take once it has its turn.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a connection may be idle, or take to send the head of a request.
const HEAD_DEADLINE: Duration = Duration::from_secs(75);
/// The most bytes of a request's head.
const HEAD_BYTES: usize = 16 * 1024;
/// The most headers of a request.
const HEADERS: usize = 64;
/// How long requests at work get to end when the server stops.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// How long to wait when the system has no more file descriptors.
const BREATH: Duration = Duration::from_millis(50);

/// A listener that is bound, and does not accept yet.
#[derive(Debug)]
pub struct Bound {
    socket: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds the address; port 0 takes a free one.
    pub fn new(address: SocketAddr) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let socket = socket.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        Ok(Self { socket, address })
    }

    /// The address that it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` says so, then ends what is at work: held check-ins are answered, connections closed.
    pub async fn serve(
        self,
        context: Context,
        router: axum::Router,
        mut stop: watch::Receiver<bool>,
    ) -> Result<(), rustls::Error> {
        let config = tls::server_config(&context.authority)?;
        let gate = Gate::new(&context.settings.file.limits, Arc::clone(&context.chance));
        let door = Arc::new(Door {
            tls: TlsAcceptor::from(Arc::new(config)),
            gate: Arc::new(gate),
            router,
            stop: stop.clone(),
            context,
        });
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = told_to_stop(&mut stop) => break,
            };
            match accepted {
                Ok((stream, address)) => match door.gate.place(address.ip()) {
                    Some(place) => {
                        connections.spawn(Arc::clone(&door).connection(stream, address, place));
                    }
                    None => door.context.metrics.count(Metric::Busy),
                },
                Err(error) => {
                    tracing::debug!(%error, "A connection could not be accepted.");
                    if !is_of_one_connection(&error) {
                        tokio::time::sleep(BREATH).await;
                    }
                }
            }
            while connections.try_join_next().is_some() {}
        }
        drop(self.socket);
        door.context.wake_ups.wake_all_hosts();
        let drained = timeout(DRAIN_DEADLINE, async {
            while connections.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            connections.shutdown().await;
        }
        Ok(())
    }
}

/// Whether accepting failed because of the connection and not because of us (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

struct Door {
    context: Context,
    tls: TlsAcceptor,
    gate: Arc<Gate>,
    router: axum::Router,
    stop: watch::Receiver<bool>,
}

impl Door {
    async fn connection(self: Arc<Self>, stream: TcpStream, address: SocketAddr, _place: Place) {
        // Small answers must not wait for more to send (RFC 896).
        let _best_effort = stream.set_nodelay(true);
        let _open = self.context.metrics.hold(Metric::Connections);
        let Some(mut stream) = Box::pin(self.shake_hands(stream)).await else {
            return;
        };
        let mut stop = self.stop.clone();
        // Who asks for HTTP by its name is a browser or a program; agents ask for nothing.
        let plain = match stream.get_ref().1.alpn_protocol() {
            Some(_) => Ok(Left::Other(Vec::new())),
            None => {
                let caller = Caller {
                    door: &self,
                    peer: Peer {
                        address: address.ip().to_canonical(),
                    },
                };
                plain::serve(&caller, &mut stream, HEAD_DEADLINE, &mut stop).await
            }
        };
        let ended = match plain {
            Ok(Left::Other(begun)) => Box::pin(self.any_http(stream, begun, address, stop))
                .await
                .map_err(io::Error::other),
            Ok(Left::Done) => stream.shutdown().await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::trace!(%error, "A connection ended early.");
        }
    }

    async fn shake_hands(&self, stream: TcpStream) -> Option<TlsStream<Paced<TcpStream>>> {
        let _turn = self.gate.handshake().await;
        let shaken = timeout(HANDSHAKE_DEADLINE, self.tls.accept(Paced::new(stream))).await;
        let stream = shaken.ok()?.ok()?;
        self.context.metrics.count(Metric::Handshakes);
        Some(stream)
    }

    /// Speaks all of HTTP/1.1 on a connection on which this was read already.
    async fn any_http(
        self: &Arc<Self>,
        stream: TlsStream<Paced<TcpStream>>,
        begun: Vec<u8>,
        address: SocketAddr,
        mut stop: watch::Receiver<bool>,
    ) -> hyper::Result<()> {
        let (reader, writer) = tokio::io::split(stream);
        let stream = tokio::io::join(io::Cursor::new(begun).chain(reader), writer);
        let service = service_fn(move |request| {
            let door = Arc::clone(self);
            async move { Ok::<_, Infallible>(door.answer(request, address).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_DEADLINE)
            .max_headers(HEADERS)
            .max_header_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = told_to_stop(&mut stop) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    }

    async fn answer(&self, request: Request<Incoming>, address: SocketAddr) -> Response<axum::body::Body> {
        if agent::is_ours(&request) {
            let answer = match self.any_exchange(request, address).await {
                Ok(answer) => agent::envelope(answer),
                Err(refusal) => agent::refused(self.tell(refusal)),
            };
            return answer.map(axum::body::Body::new);
        }
        let Some(_turn) = self.gate.request().await else {
            return agent::refused(self.tell(Refusal::Busy)).map(axum::body::Body::new);
        };
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(address));
        match self.router.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        }
    }

    /// How a refusal is told; counts those who are turned away.
    fn tell(&self, refusal: Refusal) -> Said {
        if refusal == Refusal::Busy {
            self.context.metrics.count(Metric::Busy);
        }
        refusal.said(&self.gate)
    }

    /// An exchange in another form than the plain one, such as in pieces or by HTTP/1.0 from a proxy.
    async fn any_exchange(
        &self,
        request: Request<Incoming>,
        address: SocketAddr,
    ) -> Result<Vec<u8>, Refusal> {
        if request.method() != Method::POST {
            return Err(Refusal::Method);
        }
        let caller = Caller {
            door: self,
            peer: Peer {
                address: address.ip().to_canonical(),
            },
        };
        let body = agent::read_body(request.into_body(), &self.gate).await?;
        Ok(match caller.exchange(body).await? {
            plain::Begun::Answered(answer) => answer,
            plain::Begun::Held(held) => held.await,
        })
    }
}

/// Somebody at the door.
struct Caller<'a> {
    door: &'a Door,
    peer: Peer,
}

impl Answers for Caller<'_> {
    fn gate(&self) -> &Gate {
        &self.door.gate
    }

    fn refused(&self, refusal: Refusal) -> Said {
        self.door.tell(refusal)
    }

    fn now(&self) -> Timestamp {
        self.door.context.clock.now()
    }

    /// One exchange with an agent. A check-in that is held gives up its turn and its body meanwhile.
    async fn exchange(&self, body: Reading<'_>) -> Result<plain::Begun, Refusal> {
        let context = &self.door.context;
        // The turn comes after the body: who sends slowly keeps nobody else from working.
        let _turn = self.door.gate.request().await.ok_or(Refusal::Busy)?;
        let (bytes, _room) = body.into_parts();
        // Apart, so that a connection that is idle does not keep the room for it.
        let begun = Box::pin(agents::begin(context, &bytes, self.peer)).await;
        Ok(match begun {
            Begun::Answered(answer) => plain::Begun::Answered(answer),
            Begun::Held(held) => {
                let context = context.clone();
                plain::Begun::Held(Box::pin(async move { held.finish(&context).await }))
            }
        })
    }
}
