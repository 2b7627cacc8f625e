//! Opening the database of an earlier version: it is backed up first, then brought to this version's schema, all of it or
//! nothing. The last few such backups are kept.

use super::backup::{self, Backup, BackupError, Choice, ContentChoice, MasterKeyChoice, Subject};
use crate::app::backup::FOLDER;
use crate::clock::{Chance, draw};
use domain::id::BackupId;
use jiff::Timestamp;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use store::backup_log::{self, BackupOutcome};
use store::{Db, OpenError, Schema, Tuning, Url, Whole};

/// How the folders begin that such backups are in.
const PREFIX: &str = "upgrade-from-schema-";
/// So many of them are kept.
const KEPT: usize = 3;

/// Which database to open, and what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// Where it is.
    pub url: &'a Url,
    /// The data directory.
    pub data: &'a Path,
    /// The content store.
    pub content: &'a content::Store,
}

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// It cannot be opened, or is of a newer version.
    #[error("open the database {url}")]
    Open {
        /// Where it is, without a password.
        url: String,
        /// Why.
        #[source]
        cause: OpenError,
    },
    /// There is no backup, so nothing was changed.
    #[error(
        "back up the database of schema {schema} before this version changes it; nothing was changed: make room, or start the version before"
    )]
    Backup {
        /// The schema that stands there.
        schema: u32,
        /// Why.
        #[source]
        cause: Box<BackupError>,
    },
    /// It could not be brought up to date, and is as it was.
    #[error(
        "bring the database to this version's schema; it is as it was, and the version before can go on with it (its backup: {})",
        backup.display()
    )]
    Migrate {
        /// The backup that was made before.
        backup: PathBuf,
        /// Why.
        #[source]
        cause: OpenError,
    },
    /// It is up to date, but the backup could not be noted in it.
    #[error("note the backup that was made before the upgrade")]
    Note(#[from] store::Error),
}

/// Opens a database and brings it to the schema of the tuning; one of an earlier schema is backed up before.
///
/// # Errors
/// [`UpgradeError`].
pub async fn open(
    opening: Opening<'_>,
    tuning: Tuning,
    now: Timestamp,
    chance: &dyn Chance,
) -> Result<Db, UpgradeError> {
    let failed = |cause| UpgradeError::Open {
        url: opening.url.to_string(),
        cause,
    };
    let found = Db::schema(opening.url, tuning.clone()).await.map_err(failed)?;
    let Schema::Older { step } = found else {
        return Db::open_tuned(opening.url, tuning, now).await.map_err(failed);
    };
    let newest = tuning.migrations.newest();
    let Some(old) = Db::open_as_it_is(opening.url).await.map_err(failed)? else {
        // Another node of a newer version was faster.
        return Db::open_tuned(opening.url, tuning, now).await.map_err(failed);
    };
    let backup = back_up(opening, &old, step, now).await;
    old.close().await;
    let backup = backup?;
    tracing::info!(
        from = step,
        to = newest,
        "The database of schema {step} was backed up and is brought to schema {newest}."
    );
    let db = Db::open_tuned(opening.url, tuning, now)
        .await
        .map_err(|cause| UpgradeError::Migrate {
            backup: backup.folder.clone(),
            cause,
        })?;
    let id = BackupId::new(crate::start::millis(now), draw(chance));
    note(
        &db,
        &backup,
        id,
        format!("before the upgrade to schema {newest}"),
        now,
    )
    .await?;
    Ok(db)
}

async fn back_up(
    opening: Opening<'_>,
    old: &Db,
    schema: u32,
    now: Timestamp,
) -> Result<Backup, UpgradeError> {
    let failed = |cause: BackupError| UpgradeError::Backup {
        schema,
        cause: Box::new(cause),
    };
    let folders = opening.data.join(FOLDER);
    let name = now
        .strftime(&format!("{PREFIX}{schema}-%Y-%m-%dT%H%M%S-%6fZ"))
        .to_string();
    let subject = Subject {
        db: old,
        content: opening.content,
        data: opening.data,
    };
    // The files that it lists, and the master key, stay where they are.
    let choice = Choice {
        content: ContentChoice::Listed,
        master_key: MasterKeyChoice::Apart,
    };
    let made = backup::write(subject, &folders.join(name), choice, now).await;
    let made = made.map_err(failed)?;
    let folder = made.folder.clone();
    tokio::task::spawn_blocking(move || backup::verify(&folder))
        .await
        .expect("verifying a backup does not panic")
        .map_err(failed)
}

async fn note(
    db: &Db,
    backup: &Backup,
    id: BackupId,
    reason: String,
    now: Timestamp,
) -> Result<(), store::Error> {
    let (place, size) = (backup.folder.display().to_string(), backup.size_bytes);
    let digest = backup.digest().ok();
    db.write(move |tx| {
        let whole = Whole::server();
        backup_log::begin(tx, &whole, id, &reason, &place, now)?;
        backup_log::end(tx, &whole, id, BackupOutcome::Complete, size, digest, now).map(drop)
    })
    .await
}

/// Removes all backups of upgrades but the last few; those that a person asked for stay. How many went.
///
/// # Errors
/// A folder cannot be listed or removed.
pub fn forget_old_backups(data: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(data.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut made = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        // Schema by schema, then by time.
        let key = name.strip_prefix(PREFIX).and_then(|rest| {
            let (schema, time) = rest.split_once('-')?;
            Some((schema.parse::<u32>().ok()?, time.to_owned()))
        });
        made.extend(key.map(|key| (key, path.clone())));
    }
    made.sort();
    let old = made.len().saturating_sub(KEPT);
    for (_, path) in &made[..old] {
        fs::remove_dir_all(path)?;
    }
    Ok(old)
}
