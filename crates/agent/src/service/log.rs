//! What an operator can act on, one full sentence a line: to standard error, which systemd keeps in its journal, or to a file
//! that is never larger than its cap.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The most that a log file holds before it becomes `NAME.1`, in bytes; so both together hold at most twice that.
pub const CAP_BYTES: u64 = 1 << 20;

/// Where sentences go.
#[derive(Clone, Debug)]
pub enum Log {
    /// Nobody reads it: the person who asked is told otherwise.
    Nowhere,
    /// Standard error, without a date: whoever keeps it adds one.
    StandardError,
    /// A capped file.
    Capped {
        /// The file.
        path: PathBuf,
        /// Its cap in bytes.
        cap_bytes: u64,
    },
}

impl Log {
    /// A file with the usual cap.
    pub fn to_file(path: &Path) -> Self {
        Self::Capped {
            path: path.to_owned(),
            cap_bytes: CAP_BYTES,
        }
    }

    /// Writes one line; `now` is the date for a file. A log that cannot be written stops nothing.
    pub fn say(&self, now: jiff::Timestamp, sentence: &str) {
        let line = crate::shown::harmless(sentence, 2_000);
        match self {
            Self::Nowhere => {}
            Self::StandardError => {
                // Standard error may be closed; there is nowhere left to say so.
                let _ = writeln!(std::io::stderr(), "{line}");
            }
            Self::Capped { path, cap_bytes } => {
                let line = format!("{now:.0} {line}\n");
                if let Err(error) = append(path, *cap_bytes, line.as_bytes()) {
                    let _ = writeln!(
                        std::io::stderr(),
                        "cannot write the log {}: {error}",
                        path.display()
                    );
                }
            }
        }
    }
}

fn append(path: &Path, cap_bytes: u64, line: &[u8]) -> std::io::Result<()> {
    let open = || -> std::io::Result<File> { OpenOptions::new().create(true).append(true).open(path) };
    let mut file = open()?;
    if file.metadata()?.len() + line.len() as u64 > cap_bytes {
        let mut old = path.as_os_str().to_owned();
        old.push(".1");
        std::fs::rename(path, old)?;
        file = open()?;
    }
    file.write_all(line)
}
