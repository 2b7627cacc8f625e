//! SQLite: one connection writes, on a thread of its own, and makes many changes durable with one commit; several read.
//! A change that fails is taken back alone. Where a whole commit fails, each of its changes is tried by itself, so that
//! only those fail that must.

use super::Tuning;
use super::view::{Connection, Tx, View};
use crate::error::Error;
use crate::value::values;
use failpoint::{Point, reach};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use std::any::Any;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// An open SQLite file.
#[derive(Clone)]
pub(super) struct Sqlite {
    writer: mpsc::Sender<Message>,
    readers: Arc<Readers>,
}

enum Message {
    Change(Box<dyn Change>),
    Close(oneshot::Sender<()>),
}

impl Sqlite {
    pub(super) async fn open(path: &Path, tuning: &Tuning) -> Result<Self, Error> {
        let options = options(path, tuning);
        let connection = options.connect().await?;
        let (sender, receiver) = mpsc::channel(tuning.queue.max(1));
        let runtime = Handle::current();
        let tx = Tx::new(View::new(Connection::Sqlite(connection), runtime.clone()));
        let place = Place::of(path);
        let writer = Writer {
            tx,
            place,
            queue: receiver,
            group: tuning.group.max(1),
            runtime,
        };
        std::thread::Builder::new()
            .name("database-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| Error::Unavailable(sqlx::Error::Io(error)))?;
        let readers = Readers {
            options,
            idle: Mutex::new(Vec::new()),
            seats: Arc::new(Semaphore::new(tuning.connections.max(1) as usize)),
        };
        Ok(Self {
            writer: sender,
            readers: Arc::new(readers),
        })
    }

    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: Fn(&mut Tx) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let change = Box::new(Pending {
            work,
            outcome: None,
            reply,
        });
        let sent = self.writer.send(Message::Change(change)).await;
        sent.map_err(|_| Error::Closed)?;
        match answer.await.map_err(|_| Error::Closed)? {
            Ok(outcome) => outcome,
            Err(panic) => resume_unwind(panic),
        }
    }

    pub(super) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut View) -> Result<T, E> + Send + 'static,
    {
        self.beside(move |view| {
            view.script("BEGIN")?;
            let outcome = work(view);
            if view.script("ROLLBACK").is_err() {
                view.is_spent = true;
            }
            outcome
        })
        .await
    }

    /// A copy of the file as of one moment (<https://www.sqlite.org/lang_vacuum.html#vacuuminto>), without its free pages.
    pub(super) async fn vacuum_into(&self, file: &Path) -> Result<(), Error> {
        let file = file.to_string_lossy().into_owned();
        let options = self.readers.options.clone().create_if_missing(false);
        self.beside(move |view| {
            // The readers' own connections may write nothing, not even another file.
            let connection = view.wait_for(options.connect())?;
            let mut copying = View::new(Connection::Sqlite(connection), Handle::current());
            copying.rows("VACUUM INTO $1", values![file])?;
            reach(Point::Copied);
            Ok(())
        })
        .await
    }

    /// Runs work where it may wait, on a connection that reads. One whose transaction cannot be ended is not used again.
    async fn beside<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut View) -> Result<T, E> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let seat = Arc::clone(&readers.seats)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let runtime = Handle::current();
        let reading = tokio::task::spawn_blocking(move || {
            let _seat = seat;
            let mut view = View::new(Connection::Sqlite(readers.take(&runtime)?), runtime);
            let outcome = work(&mut view);
            if !view.is_spent {
                readers.give_back(view);
            }
            outcome
        });
        match reading.await {
            Ok(outcome) => outcome,
            Err(failed) if failed.is_panic() => resume_unwind(failed.into_panic()),
            Err(_) => Err(Error::Closed.into()),
        }
    }

    pub(super) async fn close(&self) {
        self.readers.seats.close();
        let idle = std::mem::take(&mut *self.readers.idle());
        for connection in idle {
            // What was committed is durable; an error while closing changes nothing about it.
            drop(connection.close().await);
        }
        let (closed, wait) = oneshot::channel();
        if self.writer.send(Message::Close(closed)).await.is_ok() {
            drop(wait.await);
        }
    }
}

/// A file that is opened so keeps what it acknowledged when the power fails: WAL with `synchronous = FULL`
/// (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
fn options(path: &Path, tuning: &Tuning) -> SqliteConnectOptions {
    let mut options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(8192)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(tuning.patience)
        .pragma("temp_store", "memory")
        .pragma("cache_size", "-16000")
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "67108864")
        .pragma("trusted_schema", "off")
        .pragma("cell_size_check", "on")
        .statement_cache_capacity(256)
        .disable_statement_logging();
    if let Some(pages) = tuning.max_pages {
        options = options.pragma("max_page_count", pages.to_string());
    }
    options
}

struct Readers {
    options: SqliteConnectOptions,
    idle: Mutex<Vec<SqliteConnection>>,
    seats: Arc<Semaphore>,
}

impl Readers {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<SqliteConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, runtime: &Handle) -> Result<SqliteConnection, Error> {
        let idle = self.idle().pop();
        match idle {
            Some(connection) => Ok(connection),
            None => {
                let options = self
                    .options
                    .clone()
                    .create_if_missing(false)
                    .pragma("query_only", "on");
                Ok(runtime.block_on(options.connect())?)
            }
        }
    }

    fn give_back(&self, view: View) {
        if let Connection::Sqlite(connection) = view.connection {
            self.idle().push(connection);
        }
    }
}

fn commit(tx: &mut Tx) -> Result<(), Error> {
    reach(Point::Changed);
    tx.script("COMMIT")?;
    reach(Point::Committed);
    Ok(())
}

/// A change that waits for its commit. It can be run again until it is answered.
trait Change: Send {
    /// Runs it and keeps what came of it.
    fn run(&mut self, tx: &mut Tx) -> Ran;
    /// Answers whoever waits: with what came of it, or with why it was not committed.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ran {
    Done,
    Failed,
}

struct Pending<T, E, F> {
    work: F,
    outcome: Option<Result<Result<T, E>, Box<dyn Any + Send>>>,
    reply: oneshot::Sender<Result<Result<T, E>, Box<dyn Any + Send>>>,
}

impl<T, E, F> Change for Pending<T, E, F>
where
    T: Send,
    E: From<Error> + Send,
    F: Fn(&mut Tx) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx) -> Ran {
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(tx)));
        let ran = if matches!(outcome, Ok(Ok(_))) {
            Ran::Done
        } else {
            Ran::Failed
        };
        self.outcome = Some(outcome);
        ran
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let outcome = match (committed, self.outcome) {
            (Err(error), None | Some(Ok(Ok(_)))) => Ok(Err(error.into())),
            (_, Some(outcome)) => outcome,
            (Ok(()), None) => Ok(Err(Error::Closed.into())),
        };
        // Whoever asked may have gone.
        self.reply.send(outcome).ok();
    }
}

/// The file that was opened. One that is moved away or removed goes on to take what is written to it, for nobody to find.
struct Place {
    path: PathBuf,
    /// `None` for a database in memory.
    file: Option<(u64, u64)>,
}

impl Place {
    fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            file: file_of(path).ok(),
        }
    }

    /// Whether the file still stands where it was opened.
    fn check(&self) -> io::Result<()> {
        match self.file.is_none() || Some(file_of(&self.path)?) == self.file {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "another file stands in the place of the database",
            )),
        }
    }
}

/// Device and number, which no two files share.
fn file_of(path: &Path) -> io::Result<(u64, u64)> {
    let facts = std::fs::metadata(path)?;
    Ok((facts.dev(), facts.ino()))
}

struct Writer {
    tx: Tx,
    place: Place,
    queue: mpsc::Receiver<Message>,
    group: usize,
    runtime: Handle,
}

impl Writer {
    /// Takes what waits, commits it together, answers; until nobody can ask any more.
    fn run(mut self) {
        let mut closing = None;
        while closing.is_none() {
            let Some(message) = self.queue.blocking_recv() else {
                break;
            };
            let mut changes = Vec::new();
            let mut next = Some(message);
            while let Some(message) = next {
                match message {
                    Message::Change(change) => changes.push(change),
                    Message::Close(closed) => closing = Some(closed),
                }
                let has_room = closing.is_none() && changes.len() < self.group;
                next = if has_room {
                    self.queue.try_recv().ok()
                } else {
                    None
                };
            }
            self.commit(changes);
        }
        self.queue.close();
        self.end();
        if let Some(closed) = closing {
            // Whoever asked may have gone.
            closed.send(()).ok();
        }
    }

    fn commit(&mut self, mut changes: Vec<Box<dyn Change>>) {
        match self.together(&mut changes) {
            Ok(()) => changes.into_iter().for_each(|change| change.answer(Ok(()))),
            Err(error) => match <[_; 1]>::try_from(changes) {
                Ok([change]) => change.answer(Err(error)),
                Err(changes) => changes.into_iter().for_each(|change| self.commit(vec![change])),
            },
        }
    }

    /// All changes in one transaction, each in a savepoint. An error says that none of them was committed.
    fn together(&mut self, changes: &mut [Box<dyn Change>]) -> Result<(), Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let gone = |error| Error::Unavailable(sqlx::Error::Io(error));
        self.place.check().map_err(gone)?;
        let outcome = self.transact(changes);
        let outcome = outcome.and_then(|()| {
            let gone = |error| Error::OutcomeUnknown(sqlx::Error::Io(error));
            self.place.check().map_err(gone)
        });
        if outcome.is_err() {
            // SQLite ends the transaction by itself after some errors, and then has nothing to take back.
            drop(self.tx.script("ROLLBACK"));
        }
        outcome
    }

    fn transact(&mut self, changes: &mut [Box<dyn Change>]) -> Result<(), Error> {
        let tx = &mut self.tx;
        tx.script("BEGIN IMMEDIATE")?;
        if let [change] = changes {
            return match change.run(tx) {
                Ran::Done => commit(tx),
                // The change keeps its own error; a transaction that ended by itself needs no end.
                Ran::Failed => {
                    drop(tx.script("ROLLBACK"));
                    Ok(())
                }
            };
        }
        for change in &mut *changes {
            tx.script("SAVEPOINT change")?;
            match change.run(tx) {
                Ran::Done => tx.script("RELEASE change")?,
                Ran::Failed => tx.script("ROLLBACK TO change; RELEASE change")?,
            }
        }
        commit(tx)
    }

    /// Moves what the log holds into the file, and closes it. What was committed is durable either way.
    fn end(mut self) {
        drop(self.tx.script("PRAGMA wal_checkpoint(TRUNCATE)"));
        if let Connection::Sqlite(connection) = self.tx.into_view().connection {
            drop(self.runtime.block_on(connection.close()));
        }
    }
}
