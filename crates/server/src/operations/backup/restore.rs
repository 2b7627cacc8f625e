//! Restoring: a data directory made of a backup, in which a new life of the server begins. Agents that were enrolled with
//! the old life go on with the new one; nothing that the old one ordered is executed again.

use super::{BackupError, ContentChoice, DATABASE, MASTER_KEY, copy_file, failed, make_folder, verify};
use crate::clock::{Chance, draw};
use crate::settings::{FILE_NAME, Settings, SettingsError};
use content::{Expected, InsertError};
use domain::digest::Sha256Digest;
use domain::id::EpochId;
use failpoint::{Point, reach};
use jiff::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};
use store::{Db, Whole, epoch, source};

/// What to restore, and where.
#[derive(Clone, Copy, Debug)]
pub struct Restore<'a> {
    /// The backup.
    pub backup: &'a Path,
    /// The data directory to make; it must not be there, or be empty.
    pub data: &'a Path,
    /// The master key, where it is not in the backup.
    pub master_key: Option<&'a Path>,
}

/// What was restored.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The number of the life that begins.
    pub epoch: i64,
    /// When the backup was made; what was learned since has to be learned again.
    pub made_at: String,
    /// Files of the content that came with the backup.
    pub content_files: u64,
}

/// Why nothing was restored. The data directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The directory is in use.
    #[error("{} is not empty: restore into another directory, or move this one away first", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// Neither in the backup nor named.
    #[error(
        "the backup does not hold the master key: name its file with --master-key (it was keys/{MASTER_KEY} of the old data directory)"
    )]
    NoMasterKey,
    /// The settings in the backup.
    #[error("read the settings of the backup")]
    Settings(#[from] SettingsError),
    /// The database could not be opened.
    #[error("open the restored database")]
    Open(#[from] store::OpenError),
    /// The database could not be filled.
    #[error("fill the database that the settings name")]
    Copy(#[from] store::copy::CopyError),
    /// The new life could not be begun.
    #[error("begin a new epoch")]
    Epoch(#[from] store::Error),
    /// The content store.
    #[error("keep the content of the backup")]
    Content(#[from] InsertError),
    /// The setting `database`.
    #[error("understand the setting `database`")]
    DatabaseUrl(#[from] store::NotAUrl),
}

/// Restores a backup after it was verified as a whole. The data directory gets its name when all of it is there.
///
/// # Errors
/// [`RestoreError`].
pub async fn restore(
    request: Restore<'_>,
    now: Timestamp,
    chance: &dyn Chance,
) -> Result<Restored, RestoreError> {
    let backup = verify(request.backup)?;
    if request.data.is_dir()
        && fs::read_dir(request.data)
            .map_err(failed(request.data))?
            .next()
            .is_some()
    {
        return Err(RestoreError::NotEmpty {
            path: request.data.to_owned(),
        });
    }
    let unfinished = request.data.with_extension("restoring");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(failed(&unfinished))?;
    }
    make_folder(&unfinished.join("keys"))?;
    for entry in &backup.manifest.files {
        let is_settings = entry.path == FILE_NAME;
        if entry.path.starts_with("keys/") || is_settings {
            copy_file(&request.backup.join(&entry.path), &unfinished.join(&entry.path))?;
        }
    }
    let master = unfinished.join("keys").join(MASTER_KEY);
    match request.master_key {
        Some(given) if !master.is_file() => copy_file(given, &master)?,
        None if !master.is_file() => return Err(RestoreError::NoMasterKey),
        _ => {}
    }
    let database = unfinished.join("patchyard.db");
    copy_file(&request.backup.join(DATABASE), &database)?;
    let restored = Db::open(&database.as_path().into(), now).await?;
    let settings = Settings::read(&unfinished)?;
    let id = EpochId::new(crate::start::millis(now), draw(chance));
    let reason = format!("restored from the backup of {}", backup.manifest.made_at);
    reach(Point::RestoreFilled);
    let begun = match &settings.file.database {
        None => begin(&restored, id, reason, now).await?,
        Some(url) => {
            let target = Db::open(&store::Url::parse(url)?, now).await?;
            store::copy::copy(&restored, &target).await?;
            let begun = begin(&target, id, reason, now).await?;
            target.close().await;
            begun
        }
    };
    restored.close().await;
    if settings.file.database.is_some() {
        fs::remove_file(&database).map_err(failed(&database))?;
    }
    let content_files = match backup.manifest.content {
        ContentChoice::Included => keep_content(request.backup, &unfinished)?,
        ContentChoice::Listed => 0,
    };
    if request.data.is_dir() {
        fs::remove_dir(request.data).map_err(failed(request.data))?;
    }
    reach(Point::RestoreWhole);
    fs::rename(&unfinished, request.data).map_err(failed(request.data))?;
    reach(Point::RestoreNamed);
    super::sync_folder(request.data.parent().unwrap_or(Path::new("/")))?;
    Ok(Restored {
        epoch: begun.number,
        made_at: backup.manifest.made_at,
        content_files,
    })
}

/// Begins the new life. Every source is due in it: files of the content may be missing, and vendors have gone on.
async fn begin(db: &Db, id: EpochId, reason: String, now: Timestamp) -> Result<epoch::Epoch, store::Error> {
    db.write(move |tx| {
        source::ask_for_all_syncs(tx, &Whole::server(), now)?;
        epoch::begin(tx, &Whole::server(), id, &reason, now)
    })
    .await
}

/// Each file gets into the store by its digest, as if it had been fetched.
fn keep_content(backup: &Path, data: &Path) -> Result<u64, RestoreError> {
    let store = content::Store::open(&data.join("content")).map_err(InsertError::from)?;
    let folder = backup.join("content");
    let mut count = 0;
    for name in super::names(&folder)? {
        let path = folder.join(&name);
        let damaged = || BackupError::Damaged {
            path: format!("content/{name}"),
        };
        let sha256 = Sha256Digest::parse(name.as_bytes()).map_err(|_no_digest| damaged())?;
        let file = fs::File::open(&path).map_err(failed(&path))?;
        let size_bytes = file.metadata().map_err(failed(&path))?.len();
        store.insert(file, Expected::Exactly { sha256, size_bytes })?;
        count += 1;
    }
    Ok(count)
}
