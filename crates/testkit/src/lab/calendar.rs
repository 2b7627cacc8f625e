//! Another date for one program: hosts and servers of the lab share this machine's kernel and with it its clock, so a
//! program that is to live on another day is told so by libfaketime(1). Clocks that count since the boot stay true.

use super::LabMissing;
use super::booted::BootedHost;
use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the Debian package puts it, for programs with threads.
const FOLDER: &str = "/usr/lib/x86_64-linux-gnu/faketime";
const NAME: &str = "libfaketimeMT.so.1";

/// The library.
pub fn library() -> Result<PathBuf, LabMissing> {
    let library = Path::new(FOLDER).join(NAME);
    match library.is_file() {
        true => Ok(library),
        false => Err(LabMissing::Tool {
            package: "libfaketime",
        }),
    }
}

/// The environment of a program for which it is so much later or earlier, such as `+100d` or `-3h`.
pub fn shifted(by: &str) -> Result<Vec<(&'static str, String)>, LabMissing> {
    Ok(vec![
        ("LD_PRELOAD", library()?.display().to_string()),
        ("FAKETIME", by.to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("NO_FAKE_STAT", "1".to_owned()),
    ])
}

/// Puts the library into a host, so that [`shifted`] works there too.
pub fn put_into(host: &BootedHost) -> anyhow::Result<()> {
    let library = library()?;
    let inside = host.root().join(FOLDER.trim_start_matches('/'));
    fs::create_dir_all(&inside).context("could not make the library's folder")?;
    fs::copy(library, inside.join(NAME)).context("could not copy the library")?;
    Ok(())
}
