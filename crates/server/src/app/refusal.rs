//! Why something that was asked for is not done. What it looks like on the wire is said in `http/problem`.

use super::permission::Permission;

/// Not done, and nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing, or none that the caller may know of.
    #[error("there is no such {what}")]
    NotFound {
        /// The noun, for people.
        what: &'static str,
    },
    /// The caller may know of it, and may not do this.
    #[error("this needs the permission {0}")]
    NotAllowed(Permission),
    /// What the caller would give away is more than the caller has.
    #[error("nobody gives away more than he has: {0}")]
    MoreThanYours(Permission),
    /// Something of this name is there.
    #[error("there is a {what} of this name already")]
    AlreadyExists {
        /// The noun, for people.
        what: &'static str,
    },
    /// Somebody changed it since the version that the caller names.
    #[error("it was changed meanwhile: read it again, and decide anew")]
    ChangedMeanwhile,
    /// Something else would be approved now than was seen.
    #[error(
        "something else would be approved now than the preview showed: look at it again, and decide anew"
    )]
    PreviewChanged,
    /// Its state does not allow this.
    #[error("{0}")]
    WrongState(String),
    /// A value that may not be; `field` is a JSON pointer.
    #[error("{field}: {detail}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Why.
        detail: String,
    },
    /// Who he says he is cannot be so. One refusal for every reason, so that nobody learns which names exist.
    #[error("name, password or code do not fit")]
    LogInRefused,
    /// A guesser, or somebody at whose name is guessed, has to wait.
    #[error("after several failures the next try is looked at in {seconds} s")]
    SlowDown {
        /// How long.
        seconds: u32,
    },
    /// A one-time link that was used, is too old, or never was.
    #[error(
        "the link was used already, or is too old; make a new one on the server's machine with `patchyard user link`"
    )]
    Spent,
    /// The idempotency key came with another request before.
    #[error("this Idempotency-Key belongs to another request; take a new one")]
    KeyReused,
    /// Two requests with one key at the same moment.
    #[error("a request with this Idempotency-Key is under way")]
    KeyInUse,
    /// The database.
    #[error("keep or find it in the database")]
    Store(#[from] store::Error),
    /// A fault that is nobody's doing outside.
    #[error("{0}")]
    Fault(&'static str),
}

impl Refusal {
    /// A value may not be, and why.
    pub fn invalid(field: &'static str, detail: impl Into<String>) -> Self {
        Self::Invalid {
            field,
            detail: detail.into(),
        }
    }

    /// The row's name is taken: says so in place of the database's words.
    pub fn taken(what: &'static str) -> impl Fn(store::Error) -> Self {
        move |error| match error {
            store::Error::Taken { .. } => Self::AlreadyExists { what },
            other => Self::Store(other),
        }
    }
}

/// What is wrong with the database, as far as it matters to who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// There is no room left.
    Full,
    /// What it is asked for does not go with the rows that are there.
    Unfit,
    /// It does not answer, or takes no writes; later it may.
    Unavailable,
    /// Anything else: a fault.
    Other,
}

impl StoreFault {
    /// What an error of the database is.
    pub fn of(error: &store::Error) -> Self {
        use store::Error;
        match error {
            Error::Full(_) => Self::Full,
            Error::NoSuchRow(_) | Error::Taken { .. } => Self::Unfit,
            Error::Locked(_)
            | Error::ReadOnly(_)
            | Error::Unavailable(_)
            | Error::OutcomeUnknown(_)
            | Error::Contended(_)
            | Error::Fenced { .. }
            | Error::Closed => Self::Unavailable,
            _ => Self::Other,
        }
    }
}

/// The row after a compare-and-set.
///
/// # Errors
/// The refusal for a row that another changed, or that is not there.
pub fn changed<T>(change: store::Change<T>, what: &'static str) -> Result<T, Refusal> {
    match change {
        store::Change::Changed(row) => Ok(row),
        store::Change::Conflict(_) => Err(Refusal::ChangedMeanwhile),
        store::Change::Absent => Err(Refusal::NotFound { what }),
    }
}
