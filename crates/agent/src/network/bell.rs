//! How the network process and the executor wake each other: asks and boards are files, and lines on the standard streams only
//! say when to look. One thread reads what the executor says, so that a pause ends when something has changed.

use crate::executor::asks::{self, Ask};
use crate::executor::{CHANGED, DONE, RING};
use crate::service::Places;
use std::io::{BufRead, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// The bell to the executor that started this process.
#[derive(Debug)]
pub struct Bell {
    said: Receiver<Said>,
    /// Something changed that nobody has looked at.
    news: News,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// [`DONE`].
    Done,
    /// [`CHANGED`].
    Changed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    None,
    Waits,
}

/// How a pause ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// Its time is over.
    Time,
    /// What the executor tells of orders has changed.
    Changed,
}

/// The executor does not listen any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended;

impl Bell {
    /// The bell of a process that an executor started.
    pub fn of_this_process() -> Self {
        Self::hearing(std::io::BufReader::new(std::io::stdin()))
    }

    fn hearing(lines: impl BufRead + Send + 'static) -> Self {
        let (sender, said) = channel();
        thread::spawn(move || {
            // At the end of the stream the sender is dropped, which is how the end is heard.
            for line in lines.lines().map_while(Result::ok) {
                let word = match line.trim_end() {
                    DONE => Said::Done,
                    CHANGED => Said::Changed,
                    _ => continue,
                };
                if sender.send(word).is_err() {
                    return;
                }
            }
        });
        Self {
            said,
            news: News::None,
        }
    }

    /// Asks to read the host if it changed, and waits until that is done.
    pub(super) fn collect(&mut self, places: &Places) -> std::io::Result<()> {
        asks::leave(&places.asks(), &Ask::Collect {})?;
        self.ring()?;
        loop {
            match self.said.recv() {
                Ok(Said::Done) => return Ok(()),
                Ok(Said::Changed) => self.news = News::Waits,
                Err(_) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// Says that there are asks or files to look at.
    pub(super) fn ring(&mut self) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{RING}")?;
        out.flush()
    }

    /// Waits for this long, or until something changed.
    pub(super) fn wait(&mut self, delay: Duration) -> Result<Woken, Ended> {
        while self.news == News::None {
            match self.said.recv_timeout(delay) {
                // The answer to an earlier question; nobody waits for it any more.
                Ok(Said::Done) => {}
                Ok(Said::Changed) => self.news = News::Waits,
                Err(RecvTimeoutError::Timeout) => return Ok(Woken::Time),
                Err(RecvTimeoutError::Disconnected) => return Err(Ended),
            }
        }
        self.news = News::None;
        // However often it was said: the look that follows sees all of it.
        while self.said.try_recv().is_ok() {}
        Ok(Woken::Changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_pause_ends_when_the_executor_says_that_something_changed_and_once_for_all_that_was_said() {
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let mut bell = Bell::hearing(std::io::BufReader::new(reader));
        writer
            .write_all(b"done\nsomething else\norders\n")
            .expect("it is read");
        assert_eq!(bell.wait(LONG), Ok(Woken::Changed));
        assert_eq!(bell.wait(Duration::ZERO), Ok(Woken::Time));
        drop(writer);
        assert_eq!(bell.wait(LONG), Err(Ended));
    }

    #[test]
    fn what_changes_while_the_host_is_read_is_looked_at_afterwards() {
        let folder = tempfile::tempdir().expect("a folder");
        let places = Places {
            state: folder.path().to_owned(),
            settings: folder.path().join("agent.toml"),
        };
        std::fs::create_dir(places.asks()).expect("a folder");
        let mut bell = Bell::hearing(Cursor::new("orders\ndone\n"));
        bell.collect(&places).expect("it is done");
        assert_eq!(asks::take(&places.asks(), None), [Ok(Ask::Collect {})]);
        assert_eq!(bell.wait(LONG), Ok(Woken::Changed));
    }
}
