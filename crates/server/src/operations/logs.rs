//! What the server writes down: full sentences with their facts as fields, one event a line. Under systemd they go to the
//! journal by standard error, else as JSON lines into files of bounded size below the data directory; a person at a
//! terminal sees them too.

mod line;

use line::{Form, Lines};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// A log file is begun anew when it would get longer than this, in bytes.
pub const LONGEST_FILE: u64 = 16 * 1024 * 1024;
/// So many old files are kept; logs take at most (this + 1) × [`LONGEST_FILE`].
pub const OLD_FILES: u32 = 4;

/// Where logs go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The systemd journal, which reads standard error and adds the time (systemd.exec(5), `JOURNAL_STREAM`).
    Journal,
    /// Files in this folder, as JSON lines.
    Files(PathBuf),
    /// Files in this folder, and warnings on standard error for whoever started the server by hand.
    FilesAndTerminal(PathBuf),
}

/// The subscriber that writes events of `level` and above there.
///
/// # Errors
/// The folder or the file cannot be made.
pub fn subscriber(
    destination: &Destination,
    level: Level,
) -> io::Result<Box<dyn tracing::Subscriber + Send + Sync>> {
    let level = LevelFilter::from_level(level);
    let files = |folder: &Path| -> io::Result<_> {
        let file = RotatingFile::open(folder, "server", LONGEST_FILE, OLD_FILES)?;
        Ok(fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(Lines(Form::Json, file))
            .with_filter(level))
    };
    Ok(match destination {
        Destination::Journal => {
            let plain = fmt::layer()
                .without_time()
                .with_ansi(false)
                .with_writer(Lines(Form::Plain, io::stderr));
            Box::new(Registry::default().with(plain.with_filter(level)))
        }
        Destination::Files(folder) => Box::new(Registry::default().with(files(folder)?)),
        Destination::FilesAndTerminal(folder) => {
            let terminal = fmt::layer()
                .without_time()
                .with_target(false)
                .with_ansi(false)
                .with_writer(Lines(Form::Plain, io::stderr))
                .with_filter(LevelFilter::WARN);
            Box::new(Registry::default().with(files(folder)?).with(terminal))
        }
    })
}

/// A file that is begun anew before it gets too long: `NAME.log`, older ones `NAME.1.log` and so on.
#[derive(Clone, Debug)]
pub struct RotatingFile(Arc<Mutex<Rotating>>);

#[derive(Debug)]
struct Rotating {
    folder: PathBuf,
    name: String,
    longest: u64,
    old: u32,
    file: File,
    length: u64,
}

impl RotatingFile {
    /// Goes on writing at the end of the file that is there.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn open(folder: &Path, name: &str, longest: u64, old: u32) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let file = open(&path(folder, name, 0))?;
        let length = file.metadata()?.len();
        Ok(Self(Arc::new(Mutex::new(Rotating {
            folder: folder.to_owned(),
            name: name.to_owned(),
            longest,
            old,
            file,
            length,
        }))))
    }
}

impl Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.length > 0 && self.length + line.len() as u64 > self.longest {
            self.begin_anew()?;
        }
        self.file.write_all(line)?;
        self.length += line.len() as u64;
        Ok(())
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        for number in (0..self.old).rev() {
            let (from, to) = (
                path(&self.folder, &self.name, number),
                path(&self.folder, &self.name, number + 1),
            );
            match fs::rename(&from, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&path(&self.folder, &self.name, 0))?;
        self.length = self.file.metadata()?.len();
        Ok(())
    }
}

fn path(folder: &Path, name: &str, number: u32) -> PathBuf {
    folder.join(match number {
        0 => format!("{name}.log"),
        _ => format!("{name}.{number}.log"),
    })
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

impl Write for &RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut rotating = self.0.lock().expect("nobody panics while writing a log line");
        rotating.write(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for RotatingFile {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("list")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }

    #[test]
    fn logs_never_take_more_than_their_room_and_the_newest_lines_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = RotatingFile::open(folder.path(), "server", 100, 2).expect("open");
        for number in 0..100 {
            writeln!(&logs, "line {number:04} of the log").expect("write");
        }
        assert_eq!(
            names(folder.path()),
            ["server.1.log", "server.2.log", "server.log"]
        );
        let newest = fs::read_to_string(folder.path().join("server.log")).expect("read");
        assert!(newest.ends_with("line 0099 of the log\n"), "{newest}");
        for name in names(folder.path()) {
            let length = fs::metadata(folder.path().join(&name)).expect("look").len();
            assert!(length <= 100, "{name} has {length} bytes");
        }
    }

    #[test]
    fn a_server_that_starts_again_goes_on_in_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        for word in ["first", "second"] {
            let logs = RotatingFile::open(folder.path(), "server", 1000, 2).expect("open");
            writeln!(&logs, "{word}").expect("write");
        }
        let text = fs::read_to_string(folder.path().join("server.log")).expect("read");
        assert_eq!(text, "first\nsecond\n");
    }

    #[test]
    fn an_event_is_a_line_of_json_with_its_facts_as_fields_and_cannot_forge_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let destination = Destination::Files(folder.path().to_owned());
        let subscriber = subscriber(&destination, Level::INFO).expect("open");
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(
                host = "web\n{\"level\":\"ERROR\"}\u{1b}[2J",
                "A host was enrolled."
            );
            tracing::debug!("Not written.");
        });
        let text = fs::read_to_string(folder.path().join("server.log")).expect("read");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        let event: serde_json::Value = serde_json::from_str(text.trim()).expect("JSON");
        assert_eq!(event["message"], "A host was enrolled.");
        assert_eq!(event["host"], "web\n{\"level\":\"ERROR\"}\u{1b}[2J");
    }
}
