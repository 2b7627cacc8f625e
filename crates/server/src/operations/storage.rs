//! What takes room, how fast it grows and how long the disk will do: looked at when asked, and once a day kept as a sample
//! that growth is told from.

use crate::Context;
use crate::operations::doctor::free_bytes;
use crate::reconcile::Outcome;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use store::lease::{self, Fence};
use store::{Whole, server_setting, shape};

/// The setting that holds the samples.
const SETTING: &str = "storage-samples";
/// Samples that are kept, one a day.
const MOST_SAMPLES: usize = 400;
/// Growth is told from samples of so many days at most: what grew long ago says little about tomorrow.
const LOOK_BACK_DAYS: i64 = 30;
const DAY_SECONDS: i64 = 86_400;

/// Bytes on the disk by what takes them.
pub type Usage = BTreeMap<String, u64>;

/// What took how much on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Days since 1970-01-01 (UTC).
    pub day: i64,
    /// Bytes by cause.
    pub bytes: Usage,
}

/// Room, told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// What takes how much now.
    pub usage: Usage,
    /// Bytes that each grows by in a day; none before there is a sample of an earlier day.
    pub growth: Option<BTreeMap<String, i64>>,
    /// Free bytes where the data is; none where the system does not say.
    pub free_bytes: Option<u64>,
}

/// Why room could not be told.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The database.
    #[error("ask the database about its size")]
    Store(#[from] store::Error),
    /// The content store.
    #[error("look through the content store")]
    Content(#[from] content::StoreError),
    /// A folder of the data directory.
    #[error("look through the logs and backups of the data directory")]
    Folder(#[from] io::Error),
    /// The samples are not what this program writes.
    #[error("read the setting `{SETTING}`")]
    Samples(#[from] serde_json::Error),
}

/// What takes how much now.
///
/// # Errors
/// [`StorageError`].
pub async fn usage(ctx: &Context) -> Result<Usage, StorageError> {
    let database = ctx.db.read(shape::size_bytes).await?;
    let (content, data) = (ctx.content.clone(), ctx.settings.data.clone());
    let looking = tokio::task::spawn_blocking(move || {
        let files = content.usage()?;
        let causes = [
            ("database", database),
            ("content", files.file_bytes),
            ("derived", files.derived_bytes),
            ("downloads", files.partial_bytes),
            ("logs", folder_bytes(&data.join("logs"))?),
            ("backups", folder_bytes(&data.join("backups"))?),
        ];
        Ok(causes.map(|(cause, bytes)| (cause.to_owned(), bytes)).into())
    });
    looking.await.expect("looking at files does not panic")
}

/// Room as it is, and as it goes.
///
/// # Errors
/// [`StorageError`].
pub async fn room(ctx: &Context) -> Result<Room, StorageError> {
    let usage = usage(ctx).await?;
    let samples = samples(ctx).await?;
    let growth = growth(&samples, &usage, day_of(ctx.clock.now()));
    Ok(Room {
        usage,
        growth,
        free_bytes: free_bytes(ctx),
    })
}

impl Room {
    /// Days until the disk is full at this pace; none where it does not fill, or nobody can tell yet.
    pub fn days_left(&self) -> Option<u64> {
        let pace: i64 = self.growth.as_ref()?.values().sum();
        let pace = u64::try_from(pace).ok().filter(|&pace| pace > 0)?;
        Some(self.free_bytes? / pace)
    }
}

/// The samples that are kept, the oldest first.
///
/// # Errors
/// [`StorageError`].
pub async fn samples(ctx: &Context) -> Result<Vec<Sample>, StorageError> {
    let setting = ctx
        .db
        .read(|view| server_setting::get(view, &Whole::server(), SETTING))
        .await?;
    match setting {
        Some(setting) => Ok(serde_json::from_str(&setting.value)?),
        None => Ok(Vec::new()),
    }
}

/// A day's chore: what takes room is noted, and the database looks at how its rows are spread.
///
/// # Errors
/// Of the database, the disk, and when another holds the lease.
pub async fn daily(ctx: &Context, fence: &Fence) -> Outcome {
    let bytes = usage(ctx).await?;
    let total: u64 = bytes.values().sum();
    let now = ctx.clock.now();
    let mut kept = samples(ctx).await?;
    let day = day_of(now);
    kept.retain(|sample| sample.day != day);
    kept.push(Sample { day, bytes });
    kept.sort_by_key(|sample| sample.day);
    kept.drain(..kept.len().saturating_sub(MOST_SAMPLES));
    let text = serde_json::to_string(&kept)?;
    let fence = fence.clone();
    let written = ctx.db.write(move |tx| {
        let whole = Whole::server();
        lease::hold(tx, &whole, &fence, now)?;
        let version = server_setting::get(tx, &whole, SETTING)?.map_or(0, |setting| setting.version);
        // Nobody else writes it: the lease is held.
        let _set = server_setting::set(tx, &whole, SETTING, version, &text, now)?;
        shape::refresh_statistics(tx)
    });
    written.await?;
    Ok(format!("{} MiB in use noted", total >> 20))
}

fn day_of(now: Timestamp) -> i64 {
    now.as_second().div_euclid(DAY_SECONDS)
}

/// Bytes that each cause grew by in a day, from the oldest sample of the last month to now.
fn growth(samples: &[Sample], now: &Usage, today: i64) -> Option<BTreeMap<String, i64>> {
    let mut recent = samples
        .iter()
        .filter(|sample| (today - LOOK_BACK_DAYS..today).contains(&sample.day));
    let oldest = recent.next()?;
    let days = today - oldest.day;
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let grown = now.iter().map(|(cause, &bytes)| {
        let then = oldest.bytes.get(cause).copied().unwrap_or(0);
        (cause.clone(), (signed(bytes) - signed(then)) / days)
    });
    Some(grown.collect())
}

/// Bytes on the disk of all files below a folder; 0 where there is none. Links are not followed.
fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut bytes = 0;
    for entry in entries {
        let path = entry?.path();
        match fs::symlink_metadata(&path) {
            Ok(facts) if facts.is_dir() => bytes += folder_bytes(&path)?,
            Ok(facts) => bytes += facts.blocks() * 512,
            // It went meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(day: i64, database: u64) -> Sample {
        Sample {
            day,
            bytes: [("database".to_owned(), database)].into(),
        }
    }

    fn room(samples: &[Sample], database: u64, free: u64) -> Room {
        let usage = sample(0, database).bytes;
        Room {
            growth: growth(samples, &usage, 100),
            usage,
            free_bytes: Some(free),
        }
    }

    #[test]
    fn a_disk_fills_at_the_pace_of_the_last_month() {
        let samples = [sample(10, 1_000_000), sample(90, 1000), sample(99, 1900)];
        let told = room(&samples, 2000, 1050);
        assert_eq!(told.growth.as_ref().expect("two days are known")["database"], 100);
        assert_eq!(told.days_left(), Some(10));
    }

    #[test]
    fn what_shrinks_or_was_seen_on_one_day_only_has_no_last_day() {
        assert_eq!(room(&[sample(100, 1)], 2000, 1050).growth, None);
        assert_eq!(room(&[], 2000, 1050).days_left(), None);
        assert_eq!(room(&[sample(90, 3000)], 2000, 1050).days_left(), None);
        assert_eq!(room(&[sample(90, 2000)], 2000, 1050).days_left(), None);
    }
}
