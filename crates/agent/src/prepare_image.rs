//! Giving an identity up: before a golden image is made of this host, before it is enrolled elsewhere, or for good.

use crate::journal::{Journal, JournalError};
use crate::service::Places;
use crate::status;
use crate::trust;
use std::path::{Path, PathBuf};

/// An identity that was not given up.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The agent runs.
    #[error(
        "the agent runs and would go on with this identity; stop it first with `systemctl stop patchyard-agent`"
    )]
    Runs,
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Something cannot be removed.
    #[error("cannot remove {}", path.display())]
    Remove {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

/// Removes identity, orders, documents and status; settings, mode and approvers stay.
///
/// # Errors
/// [`ForgetError`]; a journal that is damaged is removed all the same.
pub fn prepare(places: &Places) -> Result<(), ForgetError> {
    if status::service(places) == status::Service::Runs {
        return Err(ForgetError::Runs);
    }
    if places.identity().exists() {
        Journal::open(&places.identity())?.remove()?;
    }
    for folder in [
        places.outbox(),
        places.asks(),
        places.files(),
        places.public(),
        places.identity(),
        places.work(),
    ] {
        remove_folder(&folder)?;
    }
    for file in [trust::server_file(places), places.doing()] {
        remove(&file, std::fs::remove_file(&file))?;
    }
    // Approvers' keys are the host's own settings, and stay.
    let _ = std::fs::remove_dir(places.trust());
    Ok(())
}

/// Removes everything that the agent keeps, settings included.
pub fn purge(places: &Places) -> Result<(), ForgetError> {
    prepare(places)?;
    remove_folder(&places.trust())?;
    for file in [places.mode(), places.running(), places.settings.clone()] {
        remove(&file, std::fs::remove_file(&file))?;
    }
    // Only if nothing of anybody else's is in them.
    let _ = std::fs::remove_dir(&places.state);
    let _ = places.settings.parent().map(std::fs::remove_dir);
    Ok(())
}

fn remove_folder(folder: &Path) -> Result<(), ForgetError> {
    remove(folder, std::fs::remove_dir_all(folder))
}

fn remove(path: &Path, removed: std::io::Result<()>) -> Result<(), ForgetError> {
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ForgetError::Remove {
            path: path.to_owned(),
            cause: error,
        }),
        _ => Ok(()),
    }
}
