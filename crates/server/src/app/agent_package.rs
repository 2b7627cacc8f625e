//! The agent's package that this server hands to hosts which have none yet. It is public, as any program's package is; who
//! fetches it holds it against the digest that came with the command.

use crate::Context;
use content::{Expected, InsertError, Mapped};
use domain::digest::Sha256Digest;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use store::{Change, Whole, server_setting};

/// The setting that names it.
pub const SETTING: &str = "agent-package";
/// The largest package that is taken, in bytes.
pub const LARGEST: u64 = 64 * 1024 * 1024;

/// Why a package is not offered.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// It could not be opened.
    #[error("open the agent's package {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It could not be kept.
    #[error("keep the agent's package")]
    Keep(#[source] InsertError),
    /// The setting could not be written.
    #[error("note which package of the agent is current")]
    Note(#[from] store::Error),
}

/// Keeps this package and offers it from now on, in the place of an older one.
///
/// # Errors
/// [`OfferError`].
pub async fn offer(ctx: &Context, path: &Path) -> Result<Sha256Digest, OfferError> {
    let (content, path) = (ctx.content.clone(), path.to_owned());
    let (digest, _) = tokio::task::spawn_blocking(move || {
        let file = File::open(&path).map_err(|cause| OfferError::Open { path, cause })?;
        content
            .insert(file, Expected::AtMost { size_bytes: LARGEST })
            .map_err(OfferError::Keep)
    })
    .await
    .expect("keeping a file does not panic")?;
    let now = ctx.clock.now();
    ctx.db
        .write(move |tx| {
            let (whole, value) = (Whole::server(), digest.to_string());
            let version = match server_setting::get(tx, &whole, SETTING)? {
                Some(setting) if setting.value == value => return Ok(()),
                Some(setting) => setting.version,
                None => 0,
            };
            match server_setting::set(tx, &whole, SETTING, version, &value, now)? {
                // Another node of the same version noted its own package at the same moment: either will do.
                Change::Changed(_) | Change::Conflict(_) | Change::Absent => Ok(()),
            }
        })
        .await?;
    Ok(digest)
}

/// The package that is offered; `None` where there is none.
///
/// # Errors
/// Of the database.
pub async fn current(ctx: &Context) -> Result<Option<Sha256Digest>, store::Error> {
    let setting = ctx
        .db
        .read(|view| server_setting::get(view, &Whole::server(), SETTING))
        .await?;
    Ok(setting.and_then(|setting| Sha256Digest::parse(setting.value.as_bytes()).ok()))
}

/// The bytes of the package that is offered, if this is its digest: no other file can be had this way.
///
/// # Errors
/// Of the database.
pub async fn bytes(ctx: &Context, digest: &str) -> Result<Option<Mapped>, store::Error> {
    let Some(current) = current(ctx).await? else {
        return Ok(None);
    };
    if current.to_string() != digest {
        return Ok(None);
    }
    Ok(ctx.content.map(&current).ok().flatten())
}
