//! Sweeping the content store: what snapshots, sources, documents and the agent's package refer to is marked, the rest goes
//! after a day. A reference that cannot be read stops the sweep: nothing is removed on a guess.

use super::steady;
use crate::Context;
use crate::app::agent_package;
use crate::catalog::row::{self, AddressesJson, BadRow};
use crate::reconcile::Outcome;
use content::{Sweep, Swept};
use domain::digest::Sha256Digest;
use jiff::SignedDuration;
use std::collections::{BTreeMap, HashSet};
use store::{Whole, content_grant, document, server_setting, snapshot, source};

/// Whoever inserts a file has so long to refer to it.
const GRACE: SignedDuration = SignedDuration::from_hours(24);
/// How the settings begin that name the files which agents carried.
const CARRIED: &str = "carried.";

/// Why nothing was swept, or not all.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The database.
    #[error("find out what is referred to")]
    Store(#[from] store::Error),
    /// A row that is not of this program's form.
    #[error(transparent)]
    BadRow(#[from] BadRow),
    /// A digest that is none.
    #[error("{text:?} in {place} is no digest: nothing is swept before that is mended")]
    NoDigest {
        /// What stands there.
        text: String,
        /// Where.
        place: &'static str,
    },
    /// The content store.
    #[error("sweep the content store")]
    Content(#[from] content::StoreError),
}

/// The periodic run.
///
/// # Errors
/// [`SweepError`].
pub async fn run(ctx: &Context) -> Outcome {
    if let Some(since) = steady::stepped(ctx, "sweep").await? {
        return Ok(steady::said(since));
    }
    let swept = sweep(ctx, Sweep::Remove).await?;
    Ok(format!(
        "{} files with {} KiB removed",
        swept.files,
        swept.bytes >> 10
    ))
}

/// Removes what nothing refers to, or says what would go.
///
/// # Errors
/// [`SweepError`].
pub async fn sweep(ctx: &Context, how: Sweep) -> Result<Swept, SweepError> {
    // The time is taken before the marks: what is stored after them is younger than it.
    let before = (ctx.clock.now() - GRACE).as_second();
    let marks = marks(ctx).await?;
    let content = ctx.content.clone();
    let sweeping =
        tokio::task::spawn_blocking(move || content.sweep(|digest| marks.contains(digest), before, how));
    Ok(sweeping.await.expect("a sweep does not panic")?)
}

async fn marks(ctx: &Context) -> Result<HashSet<Sha256Digest>, SweepError> {
    ctx.db
        .attempt_read(|view| {
            let whole = Whole::server();
            let mut marks: HashSet<Sha256Digest> = HashSet::new();
            content_grant::each(view, &whole, |grant| {
                marks.insert(grant.digest);
                Ok(())
            })?;
            for snapshot in snapshot::in_force(view, &whole)? {
                marks.insert(snapshot.digest);
                for index in row::indexes(&snapshot)? {
                    marks.insert(index.digest);
                    marks.extend(index.published.map(|published| published.digest));
                }
            }
            for source in source::all_of_server(view, &whole)? {
                let addresses: AddressesJson = row::parse("the addresses", &source.addresses)?;
                for key_file in &addresses.key_files {
                    marks.insert(digest(key_file, "the key files of a source")?);
                }
            }
            for setting in server_setting::all(view, &whole)? {
                if setting.name == agent_package::SETTING {
                    marks.insert(digest(&setting.value, "the setting of the agent's package")?);
                } else if setting.name.starts_with(CARRIED) {
                    let files: BTreeMap<String, String> = row::parse("carried files", &setting.value)?;
                    for file in files.values() {
                        marks.insert(digest(file, "the files that agents carried")?);
                    }
                }
            }
            marks.extend(document::kept_as_content(view, &whole)?);
            Ok(marks)
        })
        .await
}

fn digest(text: &str, place: &'static str) -> Result<Sha256Digest, SweepError> {
    Sha256Digest::parse(text.as_bytes()).map_err(|_no_digest| SweepError::NoDigest {
        text: text.to_owned(),
        place,
    })
}
