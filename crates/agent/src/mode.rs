//! The local ceiling: what this host allows at most, whatever a server orders. Root sets it on the host; no message can lift it.

use crate::service::{Places, read_bounded};
use rustix::fs::Mode as Permissions;
use std::fs::File;
use std::io::Write;

pub use domain::host::mode::Mode;

/// A ceiling that could not be set.
#[derive(Debug, thiserror::Error)]
#[error("cannot set the mode in {}; only the user who runs the agent's executor may, usually root", path.display())]
pub struct SetModeError {
    path: std::path::PathBuf,
    #[source]
    cause: std::io::Error,
}

/// The ceiling of this host: [`Mode::Monitor`] until one was set, and whenever the file says nothing that is understood.
pub fn read(places: &Places) -> Mode {
    let text = read_bounded(&places.mode(), 64)
        .ok()
        .flatten()
        .unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.trim().parse().unwrap_or_default()
}

/// Sets the ceiling, whole or not at all.
pub fn set(places: &Places, mode: Mode) -> Result<(), SetModeError> {
    let path = places.mode();
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(&places.state)?;
        let next = path.with_extension("next");
        let mut file = File::create(&next)?;
        rustix::fs::fchmod(&file, Permissions::from_raw_mode(0o644))?;
        writeln!(file, "{mode}")?;
        file.sync_all()?;
        std::fs::rename(&next, &path)?;
        File::open(&places.state)?.sync_all()
    };
    write().map_err(|cause| SetModeError {
        path: path.clone(),
        cause,
    })
}
