//! The door: opening a database, reading from it and changing it, alike on both engines. Work is an ordinary closure over
//! a [`View`] or a [`Tx`]; it runs beside the async tasks and may be run again, so it takes everything as values.
//!
//! ```
//! # use store::{Db, Error, Scope, site};
//! # async fn example(db: Db, scope: Scope, id: domain::id::SiteId, now: jiff::Timestamp) -> Result<(), Error> {
//! db.write(move |tx| site::create(tx, &scope, id, "main", now)).await?;
//! let site = db.read(move |view| site::get(view, &scope, id)).await?;
//! # Ok(())
//! # }
//! ```

mod postgres;
mod sqlite;
mod view;

pub(crate) use view::placeholders;
pub use view::{Tx, View};

use crate::copy;
use crate::error::Error;
use crate::migrations::{Migrations, NEWEST, OpenError, Schema};
use jiff::Timestamp;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where a database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Url {
    /// A file; its folder is there already.
    Sqlite(PathBuf),
    /// A PostgreSQL server, as `postgres://user:password@host:port/database`.
    Postgres(String),
}

/// A text that names no database.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a database is sqlite:/path/of/the.db or postgres://user@host/database")]
pub struct NotAUrl;

impl Url {
    /// Reads `sqlite:PATH`, `postgres://...` or `postgresql://...`.
    ///
    /// # Errors
    /// [`NotAUrl`] for any other text.
    pub fn parse(text: &str) -> Result<Self, NotAUrl> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
                Ok(Self::Postgres(text.to_owned()))
            }
            _ => Err(NotAUrl),
        }
    }
}

impl From<&Path> for Url {
    fn from(file: &Path) -> Self {
        Self::Sqlite(file.to_owned())
    }
}

/// Without a password.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => {
                let rest = url.split_once("//").map_or(url.as_str(), |(_, rest)| rest);
                let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
                let place = place.split('?').next().unwrap_or(place);
                match login.split(':').next() {
                    Some("") | None => write!(f, "postgres://{place}"),
                    Some(user) => write!(f, "postgres://{user}@{place}"),
                }
            }
        }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a database is used.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// Readers at a time (SQLite), or connections in all (PostgreSQL).
    pub connections: u32,
    /// Changes that wait for the writer before further ones have to wait outside (SQLite).
    pub queue: usize,
    /// Changes in one commit at most (SQLite).
    pub group: usize,
    /// How long a statement waits for another program's lock.
    pub patience: Duration,
    /// Pages that the file may have at most (SQLite; tests of a full disk).
    pub max_pages: Option<u32>,
    /// The schema that it is brought to.
    pub migrations: Migrations,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            connections: 8,
            queue: 4096,
            group: 256,
            patience: Duration::from_secs(5),
            max_pages: None,
            migrations: Migrations::default(),
        }
    }
}

/// A database. Cheap to clone; the last one to go closes it.
#[derive(Clone)]
pub struct Db {
    engine: Engine,
    migrations: Arc<Migrations>,
}

#[derive(Clone)]
enum Engine {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let engine = match self.engine {
            Engine::Sqlite(_) => "SQLite",
            Engine::Postgres(_) => "PostgreSQL",
        };
        f.debug_tuple("Db").field(&engine).finish()
    }
}

impl Db {
    /// Opens the database, creates it where there is none, and brings its schema up to this version's. Runs inside a tokio
    /// runtime, which the database uses from then on. `now` is when migrations are noted to be done.
    ///
    /// # Errors
    /// Where it cannot be opened, or its schema is of a newer version.
    pub async fn open(url: &Url, now: Timestamp) -> Result<Self, OpenError> {
        Self::open_tuned(url, Tuning::default(), now).await
    }

    /// As [`Db::open`], with other settings than usual.
    ///
    /// # Errors
    /// As there.
    pub async fn open_tuned(url: &Url, tuning: Tuning, now: Timestamp) -> Result<Self, OpenError> {
        let db = Self::connect(url, tuning).await?;
        let migrations = Arc::clone(&db.migrations);
        db.attempt(move |tx| migrations.migrate(tx, now)).await?;
        Ok(db)
    }

    /// Opens a database of this or an earlier schema as it is: for a backup before it is brought up to date. `None` where
    /// it has none, or that of a newer version; then nothing but the table of its steps is known.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn open_as_it_is(url: &Url) -> Result<Option<Self>, OpenError> {
        let db = Self::connect(url, Tuning::default()).await?;
        let step = match db.compared().await? {
            Schema::Current => NEWEST,
            Schema::Older { step } => step,
            Schema::Empty | Schema::Newer { .. } => {
                db.close().await;
                return Ok(None);
            }
        };
        Ok(Some(Self {
            migrations: Arc::new(Migrations::default().up_to(step)),
            ..db
        }))
    }

    /// How the schema that stands there compares with that of the tuning; changes nothing but an empty file.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub async fn schema(url: &Url, tuning: Tuning) -> Result<Schema, OpenError> {
        let db = Self::connect(url, tuning).await?;
        let schema = db.compared().await;
        db.close().await;
        schema
    }

    async fn compared(&self) -> Result<Schema, OpenError> {
        let migrations = Arc::clone(&self.migrations);
        self.attempt_read(move |view| migrations.compare(view)).await
    }

    /// The steps that led to its schema.
    pub fn migrations(&self) -> &Migrations {
        &self.migrations
    }

    async fn connect(url: &Url, tuning: Tuning) -> Result<Self, Error> {
        let engine = match url {
            Url::Sqlite(path) => Engine::Sqlite(sqlite::Sqlite::open(path, &tuning).await?),
            Url::Postgres(url) => Engine::Postgres(postgres::Postgres::open(url, &tuning).await?),
        };
        Ok(Self {
            engine,
            migrations: Arc::new(tuning.migrations),
        })
    }

    /// Makes a change; returns when it is durable. A failure leaves nothing of it. The work may be run more than once,
    /// so it does nothing but what it does to the database.
    ///
    /// # Errors
    /// What the work or the database fails with. An error of a statement ends the work: hand it on.
    pub async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Tx) -> Result<T, Error> + Send + 'static,
    {
        self.attempt(work).await
    }

    /// As [`Db::write`], for work that has errors of its own; any of them leaves nothing of the change.
    ///
    /// # Errors
    /// As there.
    pub async fn attempt<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: Fn(&mut Tx) -> Result<T, E> + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.write(work).await,
            Engine::Postgres(postgres) => postgres.write(work).await,
        }
    }

    /// Reads; everything that one piece of work reads is of one moment.
    ///
    /// # Errors
    /// What the work or the database fails with.
    pub async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut View) -> Result<T, Error> + Send + 'static,
    {
        self.attempt_read(work).await
    }

    /// As [`Db::read`], for work that has errors of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn attempt_read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&mut View) -> Result<T, E> + Send + 'static,
    {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.read(work).await,
            Engine::Postgres(postgres) => postgres.read(work).await,
        }
    }

    /// Writes the whole database as of one moment into a new SQLite file of the same schema, while it is used.
    ///
    /// # Errors
    /// Where the file is there already or cannot be written.
    pub async fn copy_into_file(&self, file: &Path, now: Timestamp) -> Result<(), copy::CopyError> {
        match &self.engine {
            Engine::Sqlite(sqlite) => Ok(sqlite.vacuum_into(file).await?),
            Engine::Postgres(_) => {
                let tuning = Tuning {
                    migrations: Migrations::clone(&self.migrations),
                    ..Tuning::default()
                };
                let target = Self::open_tuned(&Url::from(file), tuning, now).await?;
                let copied = copy::copy(self, &target).await;
                target.close().await;
                copied.map(drop)
            }
        }
    }

    /// Whether this is the embedded engine.
    pub const fn is_embedded(&self) -> bool {
        matches!(self.engine, Engine::Sqlite(_))
    }

    /// Ends after the changes that wait, and closes the connections. Clones of it answer [`Error::Closed`] afterwards.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }
}
