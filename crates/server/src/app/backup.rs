//! Backups that are asked for over the API: below the data directory only, under a plain name.

use serde::{Deserialize, Serialize};
use store::backup_log::{self, BackupOutcome};
use store::{Owner, Whole};
use utoipa::ToSchema;

use super::caller::Caller;
use super::change::{self, Done, Keep, Made, Once, Record};
use super::permission::{Noun, Verb};
use super::refusal::Refusal;
use super::shape::{IdText, Listed, Part, When};
use crate::Context;
use crate::operations::backup::{self, Backup, BackupError, Choice, ContentChoice, MasterKeyChoice};
use crate::reconcile::chain;

/// The folder of the data directory that backups are made in.
pub const FOLDER: &str = "backups";
/// The longest name of a backup, in bytes.
const LONGEST_NAME: usize = 64;

/// A backup to be made.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBackup {
    /// Its name: 1 to 64 letters, digits, hyphens and underscores.
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]+$")]
    pub name: String,
    /// Whether the files of the content store are in it, or their list only.
    #[serde(default)]
    pub content: bool,
    /// Whether the master key is in it. With it the backup alone is enough to be the server, for a thief too.
    #[serde(default)]
    pub master_key: bool,
}

/// A backup that was made.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MadeBackup {
    /// Its name.
    pub name: String,
    /// Its folder on the server's machine.
    pub place: String,
    /// When it was made.
    pub made_at: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Rows of its database.
    pub rows: u64,
    /// Its files.
    pub files: u64,
}

/// A backup as the database remembers it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Backup)]
pub struct BackupView {
    /// Its id.
    pub id: IdText,
    /// When it was begun.
    pub started_at: When,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<When>,
    /// Why it was made.
    pub reason: String,
    /// Its folder on the server's machine.
    pub place: String,
    /// `begun`, `complete` or `failed`. One that stays `begun` was cut short with the server.
    pub outcome: &'static str,
    /// Its size in bytes.
    pub size_bytes: u64,
}

impl Listed for BackupView {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "started_at",
        "ended_at",
        "reason",
        "place",
        "outcome",
        "size_bytes",
    ];
}

impl From<backup_log::Backup> for BackupView {
    fn from(backup: backup_log::Backup) -> Self {
        Self {
            id: IdText::of(backup.id),
            started_at: When(backup.started_at),
            ended_at: backup.ended_at.map(When),
            reason: backup.reason,
            place: backup.place,
            outcome: match backup.outcome {
                BackupOutcome::Begun => "begun",
                BackupOutcome::Complete => "complete",
                BackupOutcome::Failed => "failed",
            },
            size_bytes: backup.size_bytes,
        }
    }
}

/// The last backups, the newest first.
///
/// # Errors
/// Of the database.
pub async fn list(ctx: &Context, limit: u32) -> Result<Part<BackupView, String>, Refusal> {
    let latest = ctx
        .db
        .read(move |view| backup_log::latest(view, &Whole::server(), limit));
    Ok(Part {
        items: latest.await?.into_iter().map(BackupView::from).collect(),
        next: None,
    })
}

/// Makes a backup. It goes on if the caller leaves meanwhile; the same request sent again gets its answer then.
///
/// # Errors
/// A name that may not be or is taken, another backup under way, and what goes wrong in making it.
pub async fn make(ctx: &Context, caller: &Caller, new: NewBackup, once: Once) -> Result<Made, Refusal> {
    if !is_plain(&new.name) {
        let detail = "a name has 1 to 64 letters, digits, hyphens and underscores; it is no path";
        return Err(Refusal::invalid("/name", detail));
    }
    let (ctx, caller) = (ctx.clone(), caller.clone());
    let working = tokio::spawn(async move {
        let Ok(_alone) = ctx.one_backup.try_lock() else {
            let sentence = "a backup is being made at this moment: ask again when it has ended";
            return Err(Refusal::WrongState(sentence.to_owned()));
        };
        if let Some(made) = change::answered(&ctx, &caller, Owner::Shared, &once).await? {
            return Ok(made);
        }
        let folder = ctx.settings.data.join(FOLDER).join(&new.name);
        let choice = Choice {
            content: match new.content {
                true => ContentChoice::Included,
                false => ContentChoice::Listed,
            },
            master_key: match new.master_key {
                true => MasterKeyChoice::Included,
                false => MasterKeyChoice::Apart,
            },
        };
        let backup = backup::make(&ctx, &folder, "asked for", choice)
            .await
            .map_err(refusal)?;
        let view = shown(&new.name, &backup);
        let record = Record::of(Verb::Run, Noun::Storage, "backup")
            .with("backup", new.name.clone())
            .with("content", new.content)
            .with("master_key", new.master_key);
        change::make(&ctx, &caller, Owner::Shared, once, Keep::Plain, move |_| {
            Ok(Done::new(view.clone(), record.clone()))
        })
        .await
    });
    working
        .await
        .unwrap_or(Err(Refusal::Fault("making a backup ended badly")))
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain)
}

fn shown(name: &str, backup: &Backup) -> MadeBackup {
    MadeBackup {
        name: name.to_owned(),
        place: backup.folder.display().to_string(),
        made_at: backup.manifest.made_at.clone(),
        size_bytes: backup.size_bytes,
        rows: backup.manifest.rows,
        files: backup.manifest.files.len() as u64,
    }
}

fn refusal(error: BackupError) -> Refusal {
    match error {
        BackupError::Exists { .. } => Refusal::AlreadyExists { what: "backup" },
        BackupError::Note(error) => Refusal::Store(error),
        other => {
            tracing::error!(error = %chain(&other), "A backup could not be made.");
            Refusal::Fault("a backup could not be made: the line before this one says why")
        }
    }
}
