//! What takes room on the server, and removing what nothing refers to.

use content::{Kind, Sweep, Swept};
use serde::{Deserialize, Serialize};
use store::Owner;
use utoipa::ToSchema;

use super::caller::Caller;
use super::change::{self, Done, Keep, Made, Once, Record};
use super::permission::{Noun, Verb};
use super::refusal::Refusal;
use crate::Context;
use crate::operations::storage::{self, StorageError};
use crate::operations::sweep::{SweepError, sweep};
use crate::reconcile::chain;

/// So many things that were swept are named one by one.
const MOST_NAMED: usize = 10_000;

/// Room on the server's disk.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Storage)]
pub struct StorageView {
    /// What takes how much.
    pub causes: Vec<CauseView>,
    /// Free bytes where the data is; missing where the system does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// Days until the disk is full at this pace; missing where it does not fill, or nobody can tell yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<u64>,
}

/// One thing that takes room.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = StorageCause)]
pub struct CauseView {
    /// `database`, `content`, `derived` (compiled indexes), `downloads` (unfinished), `logs` or `backups`.
    pub cause: String,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Bytes that it grows by in a day; missing before there is a sample of an earlier day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_bytes_per_day: Option<i64>,
}

/// How to sweep.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SweepWish {
    /// Only say what would go.
    pub dry_run: bool,
}

/// What was swept, or would be.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Swept)]
pub struct SweptView {
    /// Files.
    pub files: u64,
    /// Bytes on the disk, of all that went.
    pub bytes: u64,
    /// Files that stay.
    pub kept: u64,
    /// What went, or would; the first 10,000.
    pub gone: Vec<GoneView>,
}

/// One thing that was swept, or would be.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = SweptItem)]
pub struct GoneView {
    /// `file`, `derived` (made from the file, such as a compiled index) or `download` (unfinished).
    pub kind: &'static str,
    /// The SHA-256 that it stood under, in hexadecimal digits.
    pub digest: String,
    /// Bytes on the disk.
    pub bytes: u64,
}

impl From<Swept> for SweptView {
    fn from(swept: Swept) -> Self {
        let gone = swept.gone.iter().take(MOST_NAMED).map(|gone| GoneView {
            kind: match gone.kind {
                Kind::File => "file",
                Kind::Derived => "derived",
                Kind::Download => "download",
            },
            digest: gone.digest.to_string(),
            bytes: gone.bytes,
        });
        Self {
            files: swept.files,
            bytes: swept.bytes,
            kept: swept.kept,
            gone: gone.collect(),
        }
    }
}

/// What takes room, and how it grows.
///
/// # Errors
/// Of the database and the disk.
pub async fn show(ctx: &Context) -> Result<StorageView, Refusal> {
    let room = storage::room(ctx).await.map_err(unseen)?;
    let days_left = room.days_left();
    let growth = room.growth.unwrap_or_default();
    let mut causes: Vec<CauseView> = room
        .usage
        .into_iter()
        .map(|(cause, bytes)| CauseView {
            growth_bytes_per_day: growth.get(&cause).copied(),
            cause,
            bytes,
        })
        .collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.bytes));
    Ok(StorageView {
        causes,
        free_bytes: room.free_bytes,
        days_left,
    })
}

/// Removes what nothing refers to, or says what would go.
///
/// # Errors
/// Of the database and the disk, and a reference that cannot be read.
pub async fn collect(ctx: &Context, caller: &Caller, wish: SweepWish, once: Once) -> Result<Made, Refusal> {
    if let Some(made) = change::answered(ctx, caller, Owner::Shared, &once).await? {
        return Ok(made);
    }
    let how = match wish.dry_run {
        true => Sweep::DryRun,
        false => Sweep::Remove,
    };
    let view = SweptView::from(sweep(ctx, how).await.map_err(unswept)?);
    let record = Record::of(Verb::Run, Noun::Storage, "content")
        .with("dry_run", wish.dry_run)
        .with("files", view.files)
        .with("bytes", view.bytes);
    change::make(ctx, caller, Owner::Shared, once, Keep::Plain, move |_| {
        Ok(Done::new(view.clone(), record.clone()).only_done())
    })
    .await
}

fn unseen(error: StorageError) -> Refusal {
    match error {
        StorageError::Store(error) => Refusal::Store(error),
        other => {
            tracing::error!(error = %chain(&other), "It could not be told what takes room.");
            Refusal::Fault("it could not be told what takes room: the line before this one says why")
        }
    }
}

fn unswept(error: SweepError) -> Refusal {
    match error {
        SweepError::Store(error) => Refusal::Store(error),
        other => {
            tracing::error!(error = %chain(&other), "The content store could not be swept.");
            Refusal::Fault("the content store could not be swept: the line before this one says why")
        }
    }
}
