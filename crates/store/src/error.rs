//! How a statement can fail, alike on both engines, and what a person can do about it.

use std::borrow::Cow;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another program holds the database (SQLITE_BUSY, SQLITE_LOCKED, lock_not_available).
    #[error("use a database that another program has locked")]
    Locked(#[source] sqlx::Error),
    /// The file, the folder or the transaction may only be read.
    #[error("write to a database that may only be read")]
    ReadOnly(#[source] sqlx::Error),
    /// No room is left.
    #[error("write to a database whose disk is full")]
    Full(#[source] sqlx::Error),
    /// What the file holds is no sound database.
    #[error("read a damaged database")]
    Corrupt(#[source] sqlx::Error),
    /// The server or the disk does not answer. Nothing was changed.
    #[error("reach the database")]
    Unavailable(#[source] sqlx::Error),
    /// The connection broke while a change was committed: it may have been done or not.
    #[error("hear whether a change was committed")]
    OutcomeUnknown(#[source] sqlx::Error),
    /// A row with this key is there already.
    #[error("add a row whose {constraint} is taken")]
    Taken {
        /// The columns (SQLite) or the index (PostgreSQL).
        constraint: String,
        /// What the engine says.
        #[source]
        source: sqlx::Error,
    },
    /// A row refers to one that is not there, or is not this tenant's.
    #[error("refer to a row that is not there")]
    NoSuchRow(#[source] sqlx::Error),
    /// A value is outside what its column holds.
    #[error("store a value that its column does not hold")]
    Unfit(#[source] sqlx::Error),
    /// A text has a NUL character, which a database does not hold.
    #[error("store text with a NUL character")]
    Nul,
    /// Two changes crossed each other, again and again.
    #[error("change rows that others change all the time")]
    Contended(#[source] sqlx::Error),
    /// The lease under which the writer works was taken by another: nothing was written.
    #[error("write under the lease {lease:?}, which another holds by now")]
    Fenced {
        /// The lease.
        lease: Cow<'static, str>,
    },
    /// A row holds what no version of this program wrote.
    #[error("read column {column} of a row as {wanted}")]
    Row {
        /// Counted from zero.
        column: usize,
        /// The type.
        wanted: &'static str,
    },
    /// Stored bytes do not decode.
    #[error("decode stored {what}")]
    Decode {
        /// What they should be.
        what: &'static str,
    },
    /// The database was closed.
    #[error("use a database that was closed")]
    Closed,
    /// Anything else that the engine says.
    #[error("run a statement")]
    Statement(#[source] sqlx::Error),
}

impl Error {
    /// What a person does next, as a sentence.
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Locked(_) => {
                "Stop the other program that uses this database (a second server, a shell); then try again."
            }
            Self::ReadOnly(_) => {
                "Give the server's user the right to write to the data directory, or mount it writable; with \
                 PostgreSQL, connect to the primary."
            }
            Self::Full(_) => {
                "Free disk space or raise the limit; `patchyard storage` says what takes it. Nothing that was \
                 acknowledged is lost."
            }
            Self::Corrupt(_) => {
                "Stop the server, keep the damaged file, and restore the last backup with `patchyard restore`."
            }
            Self::Unavailable(_) | Self::OutcomeUnknown(_) => {
                "Check that the database runs and is reachable; requests may be repeated safely."
            }
            Self::Contended(_) => "Try again.",
            Self::Taken { .. } | Self::NoSuchRow(_) | Self::Unfit(_) | Self::Nul => {
                "Look at the current state and decide again."
            }
            Self::Fenced { .. } => "Nothing: another node does this work now.",
            Self::Row { .. } | Self::Decode { .. } | Self::Statement(_) => {
                "Report this with `patchyard support-bundle`; if the file was edited by hand, restore a backup."
            }
            Self::Closed => "Start the server again.",
        }
    }

    /// Whether the same change may succeed if it is run again at once.
    pub(crate) const fn is_crossing(&self) -> bool {
        matches!(self, Self::Contended(_))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &error else {
            return match error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
                _ => Self::Statement(error),
            };
        };
        let code = database.code().map(Cow::into_owned).unwrap_or_default();
        let constraint = database.constraint().map(String::from);
        let message = database.message().to_owned();
        if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
            return sqlite(&code, &message, error);
        }
        postgres(&code, constraint, error)
    }
}

/// By SQLite's extended result codes; the low byte is the primary one (<https://www.sqlite.org/rescode.html>).
fn sqlite(code: &str, message: &str, error: sqlx::Error) -> Error {
    let code: i32 = code.parse().unwrap_or(0);
    match (code & 0xff, code) {
        (5 | 6, _) => Error::Locked(error),
        (8, _) => Error::ReadOnly(error),
        (13, _) => Error::Full(error),
        (11 | 26, _) => Error::Corrupt(error),
        (10 | 14, _) => Error::Unavailable(error),
        (19, 1555 | 2067) => {
            let constraint = message.rsplit(": ").next().unwrap_or(message).to_owned();
            Error::Taken {
                constraint,
                source: error,
            }
        }
        (19, 787) => Error::NoSuchRow(error),
        (18..=20, _) => Error::Unfit(error),
        _ => Error::Statement(error),
    }
}

/// By SQLSTATE (<https://www.postgresql.org/docs/15/errcodes-appendix.html>).
fn postgres(code: &str, constraint: Option<String>, error: sqlx::Error) -> Error {
    match code {
        "40001" | "40P01" => Error::Contended(error),
        "55P03" => Error::Locked(error),
        "25006" => Error::ReadOnly(error),
        "53100" => Error::Full(error),
        "XX001" | "XX002" => Error::Corrupt(error),
        "23505" => Error::Taken {
            constraint: constraint.unwrap_or_default(),
            source: error,
        },
        "23503" => Error::NoSuchRow(error),
        _ if code.starts_with("08") || code.starts_with("57P") || code.starts_with("53") => {
            Error::Unavailable(error)
        }
        _ if code.starts_with("22") || code.starts_with("23") => Error::Unfit(error),
        _ => Error::Statement(error),
    }
}
