//! PostgreSQL: a transaction for each change, run again where it crossed another (SQLSTATE 40001, 40P01). Work runs on
//! threads beside the async tasks, at most one for each connection.

use super::Tuning;
use super::view::{Connection, Tx, View};
use crate::error::Error;
use failpoint::{Point, reach};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// How often a change that crosses others is run before it gives up.
const ATTEMPTS: u32 = 12;

/// An open PostgreSQL database.
#[derive(Clone)]
pub(super) struct Postgres(Arc<Connections>);

struct Connections {
    options: PgConnectOptions,
    idle: Mutex<Vec<PgConnection>>,
    seats: Arc<Semaphore>,
}

impl Postgres {
    pub(super) async fn open(url: &str, tuning: &Tuning) -> Result<Self, Error> {
        let patience = format!("{}ms", tuning.patience.as_millis());
        let options = url
            .parse::<PgConnectOptions>()?
            .application_name("patchyard")
            .options([
                ("lock_timeout", patience.as_str()),
                ("timezone", "UTC"),
                ("synchronous_commit", "on"),
            ])
            .statement_cache_capacity(256)
            .disable_statement_logging();
        let first = options.connect().await?;
        Ok(Self(Arc::new(Connections {
            options,
            idle: Mutex::new(vec![first]),
            seats: Arc::new(Semaphore::new(tuning.connections.max(1) as usize)),
        })))
    }

    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: Fn(&mut Tx) -> Result<T, E> + Send + 'static,
    {
        self.beside(move |connections, runtime| {
            let mut tx = Tx::new(connections.begin(&runtime, "BEGIN")?);
            for attempt in 1.. {
                let outcome = work(&mut tx);
                let committed = match outcome {
                    Ok(_) => commit(&mut tx),
                    Err(_) => tx.script("ROLLBACK"),
                };
                if tx.take_crossed() && attempt < ATTEMPTS {
                    // A commit that crossed another has ended the transaction; a rollback too.
                    tx.script("BEGIN")?;
                    continue;
                }
                return match (outcome, committed) {
                    (Ok(_), Err(error)) => Err(error.into()),
                    (outcome, Ok(())) => {
                        connections.give_back(tx.into_view());
                        outcome
                    }
                    (outcome, Err(_)) => outcome,
                };
            }
            unreachable!("the attempts are counted")
        })
        .await
    }

    pub(super) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut View) -> Result<T, E> + Send + 'static,
    {
        self.beside(move |connections, runtime| {
            let mut view = connections.begin(&runtime, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
            let outcome = work(&mut view);
            if view.script("ROLLBACK").is_ok() {
                connections.give_back(view);
            }
            outcome
        })
        .await
    }

    /// Runs work where it may wait, as soon as a connection is free.
    async fn beside<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&Connections, Handle) -> Result<T, E> + Send + 'static,
    {
        let connections = Arc::clone(&self.0);
        let seat = Arc::clone(&connections.seats)
            .acquire_owned()
            .await
            .map_err(|_| Error::Closed)?;
        let runtime = Handle::current();
        let working = tokio::task::spawn_blocking(move || {
            let _seat = seat;
            work(&connections, runtime)
        });
        match working.await {
            Ok(outcome) => outcome,
            Err(failed) if failed.is_panic() => resume_unwind(failed.into_panic()),
            Err(_) => Err(Error::Closed.into()),
        }
    }

    pub(super) async fn close(&self) {
        self.0.seats.close();
        let idle = std::mem::take(&mut *self.0.idle());
        for connection in idle {
            // What was committed is durable; an error while closing changes nothing about it.
            drop(connection.close().await);
        }
    }
}

fn commit(tx: &mut Tx) -> Result<(), Error> {
    reach(Point::Changed);
    tx.script("COMMIT").map_err(lost_answer)?;
    reach(Point::Committed);
    Ok(())
}

/// A commit whose answer is lost may have been done.
fn lost_answer(error: Error) -> Error {
    match error {
        Error::Unavailable(source) => Error::OutcomeUnknown(source),
        other => other,
    }
}

impl Connections {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection inside a new transaction. One that broke while it was idle is replaced.
    fn begin(&self, runtime: &Handle, begin: &'static str) -> Result<View, Error> {
        loop {
            let idle = self.idle().pop();
            let is_fresh = idle.is_none();
            let connection = match idle {
                Some(connection) => connection,
                None => runtime.block_on(self.options.connect())?,
            };
            let mut view = View::new(Connection::Postgres(Box::new(connection)), runtime.clone());
            match view.script(begin) {
                Ok(()) => return Ok(view),
                Err(error) if is_fresh => return Err(error),
                Err(_) => {}
            }
        }
    }

    fn give_back(&self, view: View) {
        if let Connection::Postgres(connection) = view.connection {
            self.idle().push(*connection);
        }
    }
}
