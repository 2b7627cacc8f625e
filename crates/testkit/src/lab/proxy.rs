//! A dumb forwarding TCP proxy: it holds no keys, understands nothing and passes bytes on. It can be told to lose, to
//! delay or to cut what passes, which is how a lab has bad networks: the kernel's own means need a module.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is passed on at once.
const PIECE_BYTES: usize = 16 << 10;
/// How long a thread waits for bytes before it looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// What happens to what passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// It is passed on at once.
    #[default]
    Fair,
    /// Each piece waits this long.
    Slow(Duration),
    /// New connections are closed, and so are open ones at their next byte.
    Cut,
    /// Connections stay open, and nothing comes through: nobody is told.
    Silent,
    /// A connection is closed after so many bytes towards the server.
    CutAfter(u64),
}

/// A running proxy, ended with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    listener: TcpListener,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    target: Mutex<SocketAddr>,
    weather: Mutex<Weather>,
    is_ended: AtomicBool,
    connections: AtomicU64,
    bytes: AtomicU64,
}

impl Proxy {
    /// Listens on `listen` (port 0 takes a free one) and passes on to `target`.
    pub fn start(listen: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        Self::on(TcpListener::bind(listen)?, target)
    }

    /// The same on a socket that listens already, in another network perhaps.
    pub fn on(listener: TcpListener, target: SocketAddr) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            weather: Mutex::default(),
            is_ended: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let accepting = Arc::clone(&shared);
        let own = listener.try_clone()?;
        let thread = std::thread::spawn(move || accept(&own, &accepting));
        Ok(Self {
            address,
            listener,
            shared,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, for open connections too.
    pub fn weather(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = weather;
    }

    /// Passes new connections on to somewhere else.
    pub fn point_to(&self, target: SocketAddr) {
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = target;
    }

    /// Connections that were accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Bytes that were passed on, both ways.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts: on Linux accept(2) of a socket that was shut down fails.
        let _ = rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn weather(&self) -> Weather {
        *self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.is_ended() {
            return;
        }
        let Ok(client) = client else { continue };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        if shared.weather() == Weather::Cut {
            continue;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A connection that fails is closed on both sides, which is all that a proxy can say.
            let _ = serve(client, &shared);
        });
    }
}

fn serve(client: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let target = *shared.target.lock().unwrap_or_else(PoisonError::into_inner);
    let server = TcpStream::connect(target)?;
    let (from_server, to_client) = (server.try_clone()?, client.try_clone()?);
    let back = Arc::clone(shared);
    let backwards = std::thread::spawn(move || pass(from_server, to_client, &back, None));
    pass(client, server, shared, Some(0));
    let _ = backwards.join();
    Ok(())
}

/// Passes one direction on until its end; `sent` counts the bytes of the direction that [`Weather::CutAfter`] limits.
fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared, mut sent: Option<u64>) {
    let mut piece = vec![0; PIECE_BYTES];
    let _ = from.set_read_timeout(Some(LOOK));
    while !shared.is_ended() {
        let length = match from.read(&mut piece) {
            Ok(0) => {
                // One direction may end before the other.
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        let kept = match shared.weather() {
            Weather::Fair => length,
            Weather::Slow(delay) => {
                std::thread::sleep(delay);
                length
            }
            Weather::Cut => break,
            Weather::Silent => continue,
            Weather::CutAfter(limit) => match sent {
                Some(sent) => length.min(usize::try_from(limit.saturating_sub(sent)).unwrap_or(length)),
                None => length,
            },
        };
        // Counted before they can arrive: who has them finds them counted.
        shared.bytes.fetch_add(kept as u64, Ordering::SeqCst);
        if to.write_all(&piece[..kept]).is_err() || kept < length {
            break;
        }
        sent = sent.map(|sent| sent + kept as u64);
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
