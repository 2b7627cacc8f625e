//! Backups: a folder with a verified copy of the database, the sealed keys, the settings and the list (or the files) of the
//! content, made while the server runs. Its manifest is written last and names every file with its digest, so that a
//! backup that was cut short, or changed, is none.

mod restore;

pub use restore::{Restore, RestoreError, Restored, restore};

use crate::Context;
use content::HashingReader;
use domain::digest::Sha256Digest;
use domain::id::BackupId;
use failpoint::{Point, reach};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use store::backup_log::{self, BackupOutcome};
use store::{Db, Tuning, Whole, epoch};

/// The form of backups that this version makes and reads.
pub const FORMAT: u32 = 1;
/// The manifest's file.
const MANIFEST: &str = "manifest.json";
/// The database's copy; SQLite, whatever the server runs on.
const DATABASE: &str = "database.sqlite";
/// The list of the content, a digest a line.
const CONTENT_LIST: &str = "content.list";
/// No manifest is longer, in bytes: a million files.
const LONGEST_MANIFEST: u64 = 256 * 1024 * 1024;
/// The key under which all others are sealed.
const MASTER_KEY: &str = "master.key";

/// What a backup holds besides database, keys and settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The files of the content store, or their list only: what vendors publish can be synced again.
    pub content: ContentChoice,
    /// The master key. With it the backup alone is enough to be the server, for a thief too.
    pub master_key: MasterKeyChoice,
}

/// Whether files of the content store are in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentChoice {
    /// Their digests.
    Listed,
    /// They themselves.
    Included,
}

/// Whether the master key is in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MasterKeyChoice {
    /// It is kept elsewhere, by a person.
    Apart,
    /// It is.
    Included,
}

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of the server that made it.
    pub version: String,
    /// The schema of its database.
    pub schema: u32,
    /// The life of the server in which it was made.
    pub epoch: u64,
    /// When it was made (RFC 3339).
    pub made_at: String,
    /// What of the content is in it.
    pub content: ContentChoice,
    /// Whether the master key is.
    pub master_key: MasterKeyChoice,
    /// Rows of the database.
    pub rows: u64,
    /// Every other file of the backup.
    pub files: Vec<FileEntry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path below the backup's folder.
    pub path: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: String,
}

/// A backup that was made, or verified.
#[derive(Clone, Debug)]
pub struct Backup {
    /// Its folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its size in bytes, the manifest left out.
    pub size_bytes: u64,
}

impl Backup {
    /// SHA-256 of its manifest, which names every other file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn digest(&self) -> Result<Sha256Digest, BackupError> {
        Ok(digest_of(&self.folder.join(MANIFEST))?.0)
    }
}

/// Why a backup was not made, or is none.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder is there already.
    #[error("{} is there already: name another folder", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("use {} of the backup: is there room, and may you write there?", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The database could not be copied.
    #[error("copy the database into the backup")]
    Database(#[from] store::copy::CopyError),
    /// The copy could not be opened.
    #[error("open the backup's database")]
    Open(#[from] store::OpenError),
    /// The backup could not be noted in the database.
    #[error("note the backup")]
    Note(#[from] store::Error),
    /// The content store could not be listed.
    #[error("list the content")]
    Content(#[from] content::StoreError),
    /// There is no manifest: it is no backup, or one that did not end.
    #[error("{} is no whole backup: it has no {MANIFEST}", path.display())]
    NotWhole {
        /// The folder.
        path: PathBuf,
    },
    /// The manifest cannot be read.
    #[error("understand the manifest of {}", path.display())]
    Manifest {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// A newer Patchyard made it.
    #[error(
        "the backup is of version {version}, which is newer than this one: use that version or a newer one"
    )]
    Newer {
        /// Who made it.
        version: String,
    },
    /// A file is not what the manifest says.
    #[error("{path} of the backup was cut short or changed: use another backup")]
    Damaged {
        /// Which.
        path: String,
    },
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BackupError {
    move |cause| BackupError::File {
        path: path.to_owned(),
        cause,
    }
}

/// Makes a backup in this folder, which must not be there yet, and verifies it.
///
/// # Errors
/// [`BackupError`]; what was written until then is removed.
pub async fn make(ctx: &Context, folder: &Path, reason: &str, choice: Choice) -> Result<Backup, BackupError> {
    if folder.exists() {
        return Err(BackupError::Exists {
            path: folder.to_owned(),
        });
    }
    let id = crate::app::change::draw_id(ctx, BackupId::new);
    let (begun, reason, place) = (ctx.clock.now(), reason.to_owned(), folder.display().to_string());
    ctx.db
        .write(move |tx| backup_log::begin(tx, &Whole::server(), id, &reason, &place, begun))
        .await?;
    reach(Point::BackupBegun);
    let subject = Subject {
        db: &ctx.db,
        content: &ctx.content,
        data: &ctx.settings.data,
    };
    let made = write(subject, folder, choice, begun).await;
    let (outcome, size, digest) = match &made {
        Ok(backup) => (BackupOutcome::Complete, backup.size_bytes, Some(backup.digest()?)),
        Err(_) => (BackupOutcome::Failed, 0, None),
    };
    reach(Point::BackupNamed);
    let ended = ctx.clock.now();
    ctx.db
        .write(move |tx| backup_log::end(tx, &Whole::server(), id, outcome, size, digest, ended))
        .await?;
    made
}

/// What a backup is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// The database, of this or an earlier schema.
    pub db: &'a Db,
    /// The content store.
    pub content: &'a content::Store,
    /// The data directory, with keys and settings.
    pub data: &'a Path,
}

/// Writes a backup into a folder that is not there. What was begun and did not end well is removed.
pub(super) async fn write(
    subject: Subject<'_>,
    folder: &Path,
    choice: Choice,
    now: Timestamp,
) -> Result<Backup, BackupError> {
    let unfinished = folder.with_extension("partial");
    let made = fill(subject, &unfinished, folder, choice, now).await;
    if made.is_err() {
        // What cannot be removed stays as NAME.partial and is taken for a backup by nobody.
        let _ = fs::remove_dir_all(&unfinished);
    }
    made
}

async fn fill(
    subject: Subject<'_>,
    unfinished: &Path,
    folder: &Path,
    choice: Choice,
    now: Timestamp,
) -> Result<Backup, BackupError> {
    if unfinished.exists() {
        // Of a server that was killed while it made one.
        fs::remove_dir_all(unfinished).map_err(failed(unfinished))?;
    }
    make_folder(unfinished)?;
    let database = unfinished.join(DATABASE);
    let tuning = Tuning {
        migrations: subject.db.migrations().clone(),
        ..Tuning::default()
    };
    let schema = tuning.migrations.newest();
    let copy = Db::open_tuned(&database.as_path().into(), tuning, now).await?;
    let copied = store::copy::copy(subject.db, &copy).await;
    copy.close().await;
    let tables = copied?;
    let epoch = subject.db.read(|view| epoch::current(view, &Whole::server()));
    let epoch = epoch.await?;
    let manifest = Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema,
        epoch: epoch.map_or(0, |epoch| u64::try_from(epoch.number).unwrap_or(0)),
        made_at: now.to_string(),
        content: choice.content,
        master_key: choice.master_key,
        rows: tables.iter().map(|table| table.rows).sum(),
        files: Vec::new(),
    };
    let (data, content) = (subject.data.to_owned(), subject.content.clone());
    let (unfinished, folder) = (unfinished.to_owned(), folder.to_owned());
    let finish = move || finish(manifest, &data, &content, &unfinished, &folder);
    tokio::task::spawn_blocking(finish)
        .await
        .expect("writing a backup does not panic")
}

/// Everything but the database; then the manifest, then the name.
fn finish(
    mut manifest: Manifest,
    data: &Path,
    content: &content::Store,
    unfinished: &Path,
    folder: &Path,
) -> Result<Backup, BackupError> {
    let keys = data.join("keys");
    make_folder(&unfinished.join("keys"))?;
    for name in names(&keys)? {
        let is_master = name == MASTER_KEY;
        if name.ends_with(".sealed") || (is_master && manifest.master_key == MasterKeyChoice::Included) {
            copy_file(&keys.join(&name), &unfinished.join("keys").join(&name))?;
        }
    }
    let settings = data.join(crate::settings::FILE_NAME);
    if settings.is_file() {
        copy_file(&settings, &unfinished.join(crate::settings::FILE_NAME))?;
    }
    let digests = content.digests()?;
    let list: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
    write_file(&unfinished.join(CONTENT_LIST), list.as_bytes())?;
    if manifest.content == ContentChoice::Included {
        make_folder(&unfinished.join("content"))?;
        for digest in &digests {
            if let Some(path) = content.path(digest) {
                copy_file(&path, &unfinished.join("content").join(digest.to_string()))?;
            }
        }
    }
    let mut size_bytes = 0;
    for path in files_below(unfinished, Path::new(""))? {
        let (digest, size) = digest_of(&unfinished.join(&path))?;
        size_bytes += size;
        manifest.files.push(FileEntry {
            path: path.display().to_string(),
            size_bytes: size,
            sha256: digest.to_string(),
        });
    }
    let text = serde_json::to_vec_pretty(&manifest).expect("a manifest is texts and numbers");
    reach(Point::BackupListed);
    write_file(&unfinished.join(MANIFEST), &text)?;
    sync_folder(unfinished)?;
    reach(Point::BackupWhole);
    fs::rename(unfinished, folder).map_err(failed(folder))?;
    sync_folder(folder.parent().unwrap_or(Path::new("/")))?;
    Ok(Backup {
        folder: folder.to_owned(),
        manifest,
        size_bytes,
    })
}

/// Reads a backup's manifest and holds every file against it.
///
/// # Errors
/// [`BackupError`]: it is not whole, newer, or changed.
pub fn verify(folder: &Path) -> Result<Backup, BackupError> {
    let path = folder.join(MANIFEST);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BackupError::NotWhole {
                path: folder.to_owned(),
            });
        }
        opened => opened.map_err(failed(&path))?,
    };
    let bounded = io::BufReader::new(io::Read::take(file, LONGEST_MANIFEST));
    let manifest: Manifest = serde_json::from_reader(bounded).map_err(|cause| BackupError::Manifest {
        path: folder.to_owned(),
        cause,
    })?;
    if manifest.format > FORMAT || manifest.schema > store::NEWEST {
        return Err(BackupError::Newer {
            version: manifest.version,
        });
    }
    let mut size_bytes = 0;
    for entry in &manifest.files {
        let damaged = || BackupError::Damaged {
            path: entry.path.clone(),
        };
        let path = below(folder, &entry.path).ok_or_else(damaged)?;
        let (digest, size) = digest_of(&path).map_err(|_unreadable| damaged())?;
        if size != entry.size_bytes || digest.to_string() != entry.sha256 {
            return Err(damaged());
        }
        size_bytes += size;
    }
    if !manifest.files.iter().any(|entry| entry.path == DATABASE) {
        return Err(BackupError::Damaged {
            path: DATABASE.to_owned(),
        });
    }
    Ok(Backup {
        folder: folder.to_owned(),
        manifest,
        size_bytes,
    })
}

/// A path of a manifest below its folder; `None` for one that would leave it.
fn below(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && path.components().next().is_some()).then(|| folder.join(path))
}

fn names(folder: &Path) -> Result<Vec<String>, BackupError> {
    let list = || -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    };
    list().map_err(failed(folder))
}

fn files_below(root: &Path, inside: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut files = Vec::new();
    for name in names(&root.join(inside))? {
        let path = inside.join(name);
        match root.join(&path).is_dir() {
            true => files.extend(files_below(root, &path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

fn digest_of(path: &Path) -> Result<(Sha256Digest, u64), BackupError> {
    let hash = || -> io::Result<(Sha256Digest, u64)> {
        let mut reader = HashingReader::new(File::open(path)?);
        io::copy(&mut reader, &mut io::sink())?;
        Ok(reader.finish())
    };
    hash().map_err(failed(path))
}

fn make_folder(folder: &Path) -> Result<(), BackupError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(failed(folder))
}

fn copy_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    let copy = || -> io::Result<()> {
        let mut to = new_file(to)?;
        io::copy(&mut File::open(from)?, &mut to)?;
        reach(Point::BackupFilled);
        to.sync_all()
    };
    copy().map_err(failed(to))
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let write = || -> io::Result<()> {
        let mut file = new_file(path)?;
        file.write_all(bytes)?;
        reach(Point::BackupFilled);
        file.sync_all()
    };
    write().map_err(failed(path))
}

fn new_file(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed(folder))
}
