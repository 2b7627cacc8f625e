//! One database into another, while no server uses either: from SQLite to PostgreSQL when one machine is outgrown, or back.

use jiff::Timestamp;
use std::path::PathBuf;
use store::copy::{Copied, CopyError};
use store::{Db, NotAUrl, OpenError, Url};

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseCopyError {
    /// A text that names no database.
    #[error(transparent)]
    Url(#[from] NotAUrl),
    /// Opening a file that is not there would make an empty database.
    #[error("there is no database {}", path.display())]
    Absent {
        /// The file.
        path: PathBuf,
    },
    /// One of the two could not be opened.
    #[error("open the database {url}")]
    Open {
        /// Which, without a password.
        url: String,
        /// Why.
        #[source]
        cause: OpenError,
    },
    /// It was not copied, or arrived otherwise.
    #[error("copy the database")]
    Copy(#[from] CopyError),
}

/// Copies every row of `from` into `to`, which is made if it is a file that is not there, and must be empty. What arrived is
/// counted and digested anew on both sides.
///
/// # Errors
/// [`DatabaseCopyError`].
pub async fn copy(from: &str, to: &str, now: Timestamp) -> Result<Vec<Copied>, DatabaseCopyError> {
    let (from, to) = (Url::parse(from)?, Url::parse(to)?);
    if let Url::Sqlite(path) = &from
        && !path.is_file()
    {
        return Err(DatabaseCopyError::Absent { path: path.clone() });
    }
    let source = open(&from, now).await?;
    let target = open(&to, now).await?;
    let copied = store::copy::copy(&source, &target).await;
    source.close().await;
    target.close().await;
    Ok(copied?)
}

async fn open(url: &Url, now: Timestamp) -> Result<Db, DatabaseCopyError> {
    Db::open(url, now).await.map_err(|cause| DatabaseCopyError::Open {
        url: url.to_string(),
        cause,
    })
}
