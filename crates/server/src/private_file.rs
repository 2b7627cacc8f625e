//! Files that only their owner reads, written whole or not at all: keys, tokens, settings, log-ins.

use failpoint::{Point, reach};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file for its owner only (mode 0600), so that after a power cut the whole new file is there or the old one.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temp = folder.join(name);
    match fs::remove_file(&temp) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temp)?;
    file.write_all(bytes)?;
    reach(Point::KeyWritten);
    file.sync_all()?;
    reach(Point::KeyFlushed);
    fs::rename(&temp, path)?;
    reach(Point::KeyNamed);
    File::open(folder)?.sync_all()
}
