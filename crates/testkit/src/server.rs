//! An archive server on a loopback port that answers as nginx answers for a folder of files, and lies where a test
//! tells it to. Blocking, one thread a connection; everything ends when it is dropped. The lies are in [`lie`], the
//! wire in `http`, archives that do not let everybody in in [`private`].

mod answer;
mod http;
pub mod lie;
pub mod private;

pub use lie::Lie;
pub use private::Private;

use anyhow::Context;
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Path below the root, decoded, without leading slash.
    pub path: String,
    /// `Range`, as sent.
    pub range: Option<String>,
    /// Whether it asked for a change only (`If-None-Match`, `If-Modified-Since`).
    pub conditional: Conditional,
    /// `Authorization`, as sent.
    pub authorization: Option<String>,
    /// The status that it got; 0 if it got none.
    pub status: u16,
}

/// Whether a request asks for a changed file only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditional {
    /// It does.
    Yes,
    /// It wants the file in any case.
    No,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    stopped: Condvar,
    private: Option<Private>,
}

#[derive(Debug)]
struct State {
    root: PathBuf,
    lies: BTreeMap<String, Lie>,
    requests: Vec<Request>,
    connections: Vec<TcpStream>,
    running: Running,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Running {
    Yes,
    Stopping,
}

impl Server {
    /// Serves the files below `root` on a free port of 127.0.0.1.
    pub fn start(root: &Path) -> anyhow::Result<Self> {
        Self::start_for(root, None)
    }

    /// The same over TLS, and only to those whom `private` lets in.
    pub fn start_private(root: &Path, private: &Private) -> anyhow::Result<Self> {
        Self::start_for(root, Some(private.clone()))
    }

    fn start_for(root: &Path, private: Option<Private>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("could not listen on a loopback port")?;
        let address = listener
            .local_addr()
            .context("a listening socket has an address")?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                root: root.to_owned(),
                lies: BTreeMap::new(),
                requests: Vec::new(),
                connections: Vec::new(),
                running: Running::Yes,
            }),
            stopped: Condvar::new(),
            private,
        });
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// Its address with a trailing slash, such as `http://127.0.0.1:40123/`.
    pub fn uri(&self) -> String {
        let scheme = match self.shared.private {
            None => "http",
            Some(_) => "https",
        };
        format!("{scheme}://{}/", self.address)
    }

    /// From now on lies about that path (below the root, without leading slash); `*` stands for every path that has
    /// no lie of its own.
    pub fn lie(&self, path: &str, lie: Lie) {
        self.shared.state().lies.insert(path.to_owned(), lie);
    }

    /// Tells the truth about everything again.
    pub fn be_honest(&self) {
        self.shared.state().lies.clear();
    }

    /// Serves another tree from now on.
    pub fn serve(&self, root: &Path) {
        self.shared.state().root = root.to_owned();
    }

    /// All requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// How many requests asked for that path.
    pub fn count(&self, path: &str) -> usize {
        self.shared
            .state()
            .requests
            .iter()
            .filter(|request| request.path == path)
            .count()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.shared.state().requests.clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.running = Running::Stopping;
            for connection in state.connections.drain(..) {
                // A connection that its client closed already cannot be shut down again.
                let _ = connection.shutdown(std::net::Shutdown::Both);
            }
        }
        self.shared.stopped.notify_all();
        // The acceptor sees the state change only when somebody knocks.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits that long, or until the server stops.
    fn pause(&self, time: Duration) -> Running {
        let state = self.state();
        let waited = self
            .stopped
            .wait_timeout_while(state, time, |state| state.running == Running::Yes);
        waited.map_or(Running::Stopping, |(state, _)| state.running)
    }

    /// Root and lie for a path.
    fn look_up(&self, path: &str) -> (PathBuf, Option<Lie>) {
        let state = self.state();
        let lie = state.lies.get(path).or_else(|| state.lies.get("*"));
        (state.root.clone(), lie.cloned())
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        let Ok(connection) = connection else { return };
        // nginx does not hold back small answers either; without this a delayed acknowledgement costs 40 ms each.
        if connection.set_nodelay(true).is_err() {
            continue;
        }
        let Ok(copy) = connection.try_clone() else { return };
        let mut state = shared.state();
        if state.running == Running::Stopping {
            return;
        }
        state.connections.push(copy);
        drop(state);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A copy of the socket lives on in the list: only a shutdown ends the connection.
            let Ok(ending) = connection.try_clone() else {
                return;
            };
            match &shared.private {
                None => converse(connection, &shared),
                // Whom the handshake does not let in has seen why.
                Some(private) => {
                    if let Ok(connection) = private.shake_hands(connection) {
                        converse(connection, &shared);
                    }
                }
            }
            let _ = ending.shutdown(std::net::Shutdown::Both);
        });
    }
}

/// Answers the requests of one connection until either side ends it.
fn converse(connection: impl Read + Write, shared: &Shared) {
    let mut reader = BufReader::new(connection);
    // Whatever goes wrong on a connection is its client's to see.
    while let Ok(Some(head)) = http::read_head(&mut reader) {
        let (root, lie) = shared.look_up(&head.path);
        let number = {
            let mut state = shared.state();
            state.requests.push(Request {
                path: head.path.clone(),
                range: head.range.clone(),
                conditional: head.conditional(),
                authorization: head.authorization.clone(),
                status: 0,
            });
            state.requests.len() - 1
        };
        let note = |status: u16| {
            // Requests may have been forgotten meanwhile.
            if let Some(request) = shared.state().requests.get_mut(number) {
                request.status = status;
            }
        };
        let connection = reader.get_mut();
        let is_let_in = shared
            .private
            .as_ref()
            .is_none_or(|private| private.lets_in(&head));
        let answered = match is_let_in {
            true => answer::answer(connection, &head, &root, lie.as_ref(), &note, &|time| {
                shared.pause(time)
            }),
            false => {
                note(401);
                answer::simple(
                    connection,
                    &head,
                    401,
                    "WWW-Authenticate: Basic realm=\"private\"\r\n",
                )
            }
        };
        match answered {
            Ok(answer::Next::Request) => {}
            Ok(answer::Next::Close) | Err(_) => break,
        }
    }
}
